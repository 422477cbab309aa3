"""A Ray cluster of this machine alone, for tests: on the loopback interface, with a token, ended with who started it."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.cluster.connection import is_installed as is_installed
from core.cluster.messages import Answer, Order
from core.cluster.training import Training
from core.runs.records import RunNotFound
from core.training import Command
from tests.helpers import PATIENCE

WHY_NOT = "Ray is not installed: pip install -r requirements-cluster.txt"
# no nicer than core.runs.worker, or the two could not be compared on a machine that is busy
NICE = {"RAY_worker_niceness": "10"}
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray's word for a cluster that listens on 127.0.0.1 alone
LOOKS_OFTEN = {"RAY_health_check_period_ms": "500"}  # whether its machines are there: a dead one is noticed in 3 s instead of 20
CORES = 8  # that it is told to have: each test's engine keeps one warm


@dataclass(frozen=True)
class Cluster:
    """address: where it is. variables: of the environment, to join it. end: ends it with all its processes."""

    address: str
    variables: Mapping[str, str]
    end: Callable[[], None]


@contextmanager
def started_cluster(folder: Path, cores: int = CORES, alone: bool = True) -> Iterator[Cluster]:
    """A cluster below `folder`, whose path has to be short, as sockets lie in it. alone: False for one that others may join,
    which Ray has on this machine's own address."""
    port, client, agent = _free_ports(3)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    variables = {**(ON_LOOPBACK if alone else LOOKS_OFTEN), **NICE, **token}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port", port,
               "--include-dashboard", "false", "--disable-usage-stats", "--num-cpus", str(cores),
               "--temp-dir", str(folder), "--object-store-memory", "200000000", "--ray-client-server-port", client,
               "--dashboard-agent-listen-port", agent]
    log = (folder / "start.log").open("wb")
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        said = _wait_for(folder, process)
        address = re.search(r"Local node IP.*?(\d+\.\d+\.\d+\.\d+)", said)
        assert address is not None, said
        yield Cluster(f"{address[1]}:{port}", variables, lambda: end_cluster(process, folder))
    finally:
        end_cluster(process, folder)
        log.close()


@contextmanager
def joined_machine(cluster: Cluster, folder: Path, gpus: int = 0, hidden: Path | None = None) -> Iterator[Callable[[], None]]:
    """Another machine of the cluster, as far as Ray can tell, with one core and as many GPUs as it is told to have; what ends it
    at once. hidden: a folder that is empty for what runs there, as on a machine with disks of its own; needs to be root.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--address", cluster.address, "--block", "--num-cpus", "1",
               "--num-gpus", str(gpus), "--temp-dir", str(folder), "--object-store-memory", "100000000",
               "--disable-usage-stats", "--dashboard-agent-listen-port", _free_ports(1)[0]]
    if hidden is not None:
        command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden), *command]
    with (folder / "start.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **cluster.variables}, stdout=log, stderr=subprocess.STDOUT,
                                   start_new_session=True)
    try:
        _wait_for(folder, process)
        yield lambda: _end_machine(process, folder)
    finally:
        _end_machine(process, folder)


def can_hide() -> bool:
    """Whether a folder can be hidden from a process here."""
    return not subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode


def _end_machine(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.kill()
    process.wait()
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[str]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in found]


def _wait_for(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """What Ray has said once it runs."""
    deadline = time.monotonic() + PATIENCE
    while "Ray runtime started" not in (said := (folder / "start.log").read_text("utf-8")):
        assert process.poll() is None and time.monotonic() < deadline, said
        time.sleep(0.1)
    return said


def end_cluster(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End it with all its processes: those are Ray's below the folder, by their numbers."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def processes_of(folder: Path) -> list[int]:
    """Of a cluster below this folder, which each of its processes was told, on its command line or as an open file."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            opened = {os.readlink(link) for link in (place / "fd").iterdir()}
            if int(place.name) != os.getpid() and (str(folder).encode() + b"/session" in (place / "cmdline").read_bytes()
                                                   or any(one.startswith(f"{folder}/session") for one in opened)):
                found.append(int(place.name))
    return found


def give_up(training: Training) -> None:
    """Let a worker's part in this process end what it is at, with nobody to write it down: a process would be killed instead."""
    answers: tuple[Answer, ...] = ()
    for _ in range(100):  # one that waits for an answer that was lost with its process does no harm
        news = training.exchange(Order(Command(stop=True), False, "", answers))
        if news.ended:
            return
        answers = tuple(Answer(call.number, error=RunNotFound("")) for call in news.calls if call.number)
