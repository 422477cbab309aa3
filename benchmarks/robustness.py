"""What is lost when something dies: python -m benchmarks.robustness [--kills 30] [--checkpoints 50] [--servers 5] [--runs 200].

One line for each thing that is done to a runs folder and the processes on it: how often, how often all was as it should be,
and figures. A worker and a server are killed (−9) at random moments of a training, a process in the middle of writing
checkpoints; a server is asked to end (SIGTERM); its clock is set an hour on and back; the disk fills up while a run goes on, and
can only be read when the app starts (a small disk of memory, for which this has to be root); data vanishes; many runs come one
after the other. Needs Linux.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.conditions import conditions
from core.config import RunConfig
from core.data.own.sets import delete_set, save_set
from core.presets import PRESETS
from core.runs import LocalEngine, Run, RunStore, has_checkpoint, load_model
from core.runs.checkpoints import read_checkpoint
from core.settings import Settings

LONG = PRESETS["digits-quick"].config.with_values({"training.epochs": 1000, "training.batch_size": 16, "training.device": "cpu"})
SHORT = PRESETS["digits-quick"].config.with_values({"training.epochs": 1, "data.variations": 0, "training.device": "cpu"})
PATIENCE = 120.0  # seconds, for anything to happen
HOUR = 3600.0
SERVER = """
import sys, time
from core.config import read_config
from core.runs import LocalEngine, RunStore
from core.settings import Settings

engine = LocalEngine(RunStore(Settings.from_environment().runs_dir), Settings.from_environment())
print(engine.submit(read_config(sys.argv[1]), "bench"), *engine.worker_pids, flush=True)
time.sleep(600)
"""
# torch is imported once, and a child that does nothing but write checkpoints is forked for each line
WRITER = """
import os, sys
from pathlib import Path
import torch
from core.config import read_config
from core.runs import RunStore
from core.runs.checkpoints import Meaning, save_weights
from core.training import Checkpoint, build_for, prepare
from core.settings import Settings

settings, config = Settings.from_environment(), read_config(sys.argv[1])
data, model = prepare(config, settings.data_dir, settings.cache_dir)
store, run_id = RunStore(settings.runs_dir), sys.argv[2]
meaning = Meaning(data.classes, data.input_shape, data.mean, data.std)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        step = 0
        while True:
            step += 1
            for value in model.state_dict().values():
                value.fill_(step)
            save_weights(store, run_id, config, meaning, Checkpoint(step, step, model.state_dict()))
            os.write(1, f"{step}\\n".encode())
    print("pid", pid, flush=True)
    os.waitpid(pid, 0)
    os.write(1, b"gone\\n")
"""


def line(what: str, times: int, right: int, figures: str) -> None:
    print(f"  {what:<38}{times:>6}{right:>7}  {figures}", flush=True)


def waited(happened: Callable[[], bool]) -> float:
    """Seconds until it has happened. Raises TimeoutError."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError("it has not happened")
        time.sleep(0.02)
    return time.monotonic() - began


def is_alive(pid: int) -> bool:
    """Whether a process is there and not only waited for."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return False


def resident(pid: int) -> float:
    """MB of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def is_whole(store: RunStore, run: Run) -> bool:
    """Whether steps are recorded without a gap, and the weights, if any were kept, can be used."""
    steps = store.metrics(run.id, names=("loss",)).series.get("loss", ([], []))[0]
    whole = steps == list(range(1, len(steps) + 1)) and run.step == len(steps)
    return whole and (not has_checkpoint(store, run.id) or bool(load_model(store, run.id).classes))


def going(store: RunStore, run_id: str) -> Run:
    """The run once it has taken steps."""
    waited(lambda: store.get(run_id).step > 0 or not store.get(run_id).is_active)
    return store.get(run_id)


def ended(store: RunStore, run_id: str) -> float:
    return waited(lambda: not store.get(run_id).is_active)


def worker_kills(settings: Settings, times: int, chance: random.Random) -> None:
    right, took = 0, []
    store = RunStore(settings.runs_dir)
    with LocalEngine(store, settings) as engine:
        for _ in range(times):
            run_id = engine.submit(LONG, "bench")
            going(store, run_id)
            time.sleep(chance.uniform(0, 0.5))
            pid, = engine.worker_pids
            os.kill(pid, signal.SIGKILL)
            took.append(ended(store, run_id))
            run = store.get(run_id)
            right += run.status == "failed" and "process died" in run.message and is_whole(store, run)
            waited(lambda pid=pid: engine.worker_pids != [pid])
    line("kill −9 of the worker", times, right, f"marked as failed within {max(took, default=0):.1f} s")


@contextmanager
def server(settings: Settings) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """A process with an engine and a long run: (it, the run's id, its worker's process)."""
    environment = os.environ | {"PLAYGROUND_RUNS": str(settings.runs_dir), "PLAYGROUND_WORKERS": "1"}
    process = subprocess.Popen([sys.executable, "-c", SERVER, LONG.model_dump_json()], stdout=subprocess.PIPE, text=True,
                               env=environment)
    assert process.stdout is not None
    run_id, pid = process.stdout.readline().split()
    try:
        yield process, run_id, int(pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def server_ends(settings: Settings, times: int, chance: random.Random, number: int, what: str) -> None:
    right, took = 0, []
    store = RunStore(settings.runs_dir)
    for _ in range(times):
        with server(settings) as (process, run_id, pid):
            going(store, run_id)
            time.sleep(chance.uniform(0, 0.5))
            process.send_signal(number)
            took.append(waited(lambda pid=pid, process=process: not is_alive(pid) and process.poll() is not None))
            run = store.get(run_id)
            right += run.status == "interrupted" and is_whole(store, run)
    line(what, times, right, f"no process left after {max(took, default=0):.1f} s")


def checkpoint_kills(settings: Settings, times: int, chance: random.Random) -> None:
    store = RunStore(settings.runs_dir)
    run = store.create_running(SHORT, "bench", "here")
    environment = os.environ | {"PLAYGROUND_RUNS": str(settings.runs_dir)}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, SHORT.model_dump_json(), run.id], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True, bufsize=1, env=environment)
    assert writer.stdin is not None and writer.stdout is not None
    right = written = 0
    path = store.folder(run.id) / "checkpoint.safetensors"
    try:
        for _ in range(times):
            said, pid = [], 0
            writer.stdin.write("go\n")
            while not (pid and said):
                word, *rest = writer.stdout.readline().split()
                if word == "pid":
                    pid = int(rest[0])
                else:
                    said.append(int(word))
            time.sleep(chance.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
            while (word := writer.stdout.readline().strip()) != "gone":
                said.append(int(word))
            found = read_checkpoint(path)
            values = {float(value.float().mean()) for value in found.model.state_dict().values()}
            right += len(values) == 1 and found.epoch in (said[-1], said[-1] + 1) and values == {float(found.epoch)}
            written += said[-1]
    finally:
        writer.kill()
        writer.communicate()
    left = len(list(store.folder(run.id).glob(".*.part")))
    line("kill −9 while checkpoints are written", times, right, f"{written:,} written; {left} unfinished files left beside them")


def clocks(settings: Settings) -> None:
    right, took, real = 0, [], time.time
    store = RunStore(settings.runs_dir)
    with LocalEngine(store, settings) as engine:
        for off in (HOUR, -HOUR):
            run_id = engine.submit(LONG, "bench")
            going(store, run_id)
            with patch("core.runs.store.time.time", lambda off=off: real() + off):  # the server's; its worker's stays
                step, until = store.get(run_id).step, time.monotonic() + 6
                while time.monotonic() < until:
                    time.sleep(0.2)
                went_on = store.get(run_id).is_active and store.get(run_id).step > step
                engine.cancel(run_id)
                took.append(ended(store, run_id))
            right += went_on and store.get(run_id).status == "stopped"
    line("server's clock ±1 h", 2, right, f"stopped within {max(took):.1f} s")


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path | None]:
    """A disk of its own; None where this user may not have one."""
    with tempfile.TemporaryDirectory() as folder:
        made = shutil.which("mount") and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], capture_output=True, check=False).returncode
        try:
            yield Path(folder) if made else None
        finally:
            if made:
                subprocess.run(["umount", "-l", folder], check=False)


def disks(settings: Settings) -> None:
    """A disk that fills up while a run goes on, and one that can only be read when the app starts."""
    with small_disk(40) as disk:
        if disk is None:
            return line("disks full and read-only", 0, 0, "not tried: only root can mount a disk")
        store = RunStore(disk / "runs")
        with LocalEngine(store, replace(settings, runs_dir=store.path)) as engine:
            run_id = engine.submit(LONG, "bench")
            going(store, run_id)
            with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
                while file.write(bytes(65536)):
                    pass
            took = ended(store, run_id)
            run = store.get(run_id)
            right = run.status == "failed" and is_whole(store, run)
            line("disk fills up in a run", 1, int(right), f"ended on the full disk after {took:.1f} s: {run.message[:80]}")
            store.delete(run_id)
            (disk / "ballast").unlink()
            again = engine.submit(SHORT, "bench")
            ended(store, again)
            line("… and is emptied", 1, int(store.get(again).status == "finished"), "the run is deleted, the next one finishes")
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        store = RunStore(disk / "runs")
        with LocalEngine(store, replace(settings, runs_dir=store.path)) as engine:
            right = [one.id for one in store.runs()] == [again] and not engine.worker_pids and is_whole(store, store.get(again))
        store.close()
        line("start on a read-only disk", 1, int(right), "runs are there, nothing is trained")


def vanished_data(settings: Settings) -> None:
    """While a run on it goes on, and before one begins."""
    store, right, said = RunStore(settings.runs_dir), 0, ""
    images = np.random.default_rng(0).integers(0, 255, (400, 1, 28, 28), dtype=np.uint8)

    def own() -> str:
        return save_set(settings.data_dir, "Vanishing", ("a", "b"), images, np.arange(400) % 2, np.arange(400) >= 300).name

    def config(name: str, epochs: int) -> RunConfig:
        return LONG.with_values({"data.dataset": name, "data.validation": 50, "data.variations": 0, "training.epochs": epochs})

    with LocalEngine(store, settings) as engine:
        name = own()
        run_id = engine.submit(config(name, 100), "bench")
        going(store, run_id)
        delete_set(settings.data_dir, name)
        ended(store, run_id)
        right += store.get(run_id).status == "finished"
        run_id = engine.submit(config(name, 1), "bench")
        ended(store, run_id)
        said = store.get(run_id).message
        right += store.get(run_id).status == "failed" and "\n" not in said
    line("data vanishes", 2, right, said[:60])


def many_runs(settings: Settings, times: int) -> None:
    """Memory after the first tenth beside that at the end, and what is left when the engine is closed."""
    store, right, early = RunStore(settings.runs_dir), 0, 0.0
    with LocalEngine(store, settings) as engine:
        pid, = engine.worker_pids
        for number in range(times):
            run_id = engine.submit(SHORT.with_values({"training.seed": number}), "bench")
            ended(store, run_id)
            right += store.get(run_id).status == "finished"
            if number == max(1, times // 10):
                early = resident(pid)
        late = resident(pid)
        same = engine.worker_pids == [pid]
    left = sum(map(is_alive, [pid]))
    line("runs one after the other", times, right, f"worker {early:.0f} → {late:.0f} MB ({100 * (late / early - 1):+.1f} %); "
         f"{'the same process throughout' if same else 'it was replaced'}; {left} processes left")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--checkpoints", type=int, default=50)
    parser.add_argument("--servers", type=int, default=5)
    parser.add_argument("--runs", type=int, default=200)
    args, chance = parser.parse_args(), random.Random(0)
    print(conditions())
    print(f"  {'':<38}{'times':>6}{'right':>7}")
    with tempfile.TemporaryDirectory() as folder:
        data, runs = Path(folder) / "data", Path(folder) / "runs"
        settings = replace(Settings.from_environment(), data_dir=data, runs_dir=runs, workers=1)
        worker_kills(settings, args.kills, chance)
        server_ends(settings, args.servers, chance, signal.SIGKILL, "kill −9 of the server")
        server_ends(settings, args.servers, chance, signal.SIGTERM, "SIGTERM of the server")
        checkpoint_kills(settings, args.checkpoints, chance)
        clocks(settings)
        disks(settings)
        vanished_data(settings)
        many_runs(settings, args.runs)


if __name__ == "__main__":
    main()
