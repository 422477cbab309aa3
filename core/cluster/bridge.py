"""Joins a Ray cluster and hands on what server and workers say. A child process of the server, started and watched by RayEngine.

It runs as `python -m core.process other core.cluster.bridge ADDRESS NAME RUNS`. On its standard input come Requests, whose end
says that the server is gone; on its standard output go Replies, and a State each time that changes. It holds no PyTorch and reads
nothing of what it hands on.
"""

import os
import re
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from core.cluster.connection import CannotJoin, answers, join
from core.cluster.messages import PlaceGone, Reply, Request, State
from core.cluster.wire import read, write
from core.cluster.worker import actor_class
from core.errors import reason
from core.memory import malloc_for_server

SECONDS_BETWEEN_TRIES = 5.0  # to join
SECONDS_TO_JOIN = 20.0  # then it is said that nothing has come of it yet
NO_RAY_THERE = "Something answers at {}, but not as a Ray cluster does. Look whether RAY_ADDRESS and the token are right."
SECONDS_PER_PING, SECONDS_OF_SILENCE = 2.0, 8.0  # of the cluster's address; after these it is lost
SECONDS_TO_LEAVE = 10.0  # at most, to give back what it has
LOST_CODE = 3  # exit code
# Ray's errors that say that a process can't be had, or has died with its memory, its machine or an answer of its
GONE = ("RayActorError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError", "OutOfMemoryError", "RuntimeEnvSetupError",
        "ActorUnschedulableError")


class Bridge:
    """output: where replies and states go. Methods without an underscore, but for run(), are what the server asks for."""

    def __init__(self, address: str, output: BinaryIO) -> None:
        self.address, self.output = address, output
        self.ray: Any = None
        self._places: dict[int, Any] = {}
        self._said: State | None = None
        self._lock = threading.Lock()  # of the output
        self._leaving = threading.Event()

    def run(self, requests: BinaryIO) -> bool:
        """Do what is asked until nobody asks any more; whether the server has said that it would go."""
        threading.Thread(target=self._stay, daemon=True).start()
        pool, said = ThreadPoolExecutor(4), False  # for what takes long; all else is done in its order
        with suppress(EOFError):
            while not said:
                request: Request = read(requests)
                if said := request.name == "leave":
                    break
                if request.name == "nodes" or any(isinstance(argument, Mapping) for argument in request.arguments):
                    pool.submit(self._do, request)
                else:
                    self._do(request)
        self._leaving.set()
        return said

    # --- what is asked for

    def nodes(self) -> list[dict[str, float]]:
        """What each machine of the cluster has: "CPU", "GPU" …"""
        return [node.get("Resources", {}) for node in self.ray.nodes() if node.get("Alive")]

    def place(self, number: int, gpu: bool, cores: int, cuda_graphs: bool) -> None:
        """Have the cluster start a process, once it has room for it."""
        options = {"num_cpus": cores, "num_gpus": 1 if gpu else 0}
        self._places[number] = actor_class(self.ray).options(**options).remote(gpu, cores, cuda_graphs)

    def call(self, number: int, method: str, arguments: tuple[Any, ...], files: Mapping[str, str] | None) -> Future[Any]:
        """Call a method of a process's. files: what else it is given the content of, by way of Ray's object store."""
        if files is not None:
            arguments = (*arguments, self.ray.put(contents(files)) if files else {})
        place = self._places.get(number)
        if place is None:
            raise PlaceGone("It was ended")
        return getattr(place, method).remote(*arguments).future()

    def kill(self, number: int) -> None:
        place = self._places.pop(number, None)
        if place is not None:
            self.ray.kill(place)

    def lose(self, why: str = "") -> None:
        """End: what has lost a cluster can't join one again. The server starts another process like this."""
        self._say(State(f"The cluster at {self.address} was lost{why}."))
        os._exit(LOST_CODE)

    # --- how it is done

    def _do(self, request: Request) -> None:
        try:
            value = getattr(self, request.name)(*request.arguments)
        except Exception as error:
            self._reply(request.number, error=error)
            return
        if isinstance(value, Future):
            value.add_done_callback(lambda done: self._reply(request.number, None if done.exception() else done.result(),
                                                             done.exception()))
        else:
            self._reply(request.number, value)

    def _reply(self, number: int, value: Any = None, error: BaseException | None = None) -> None:
        self._write(Reply(number, value, None if error is None else self._plain(error)))

    def _plain(self, error: BaseException) -> Exception:
        """An error as the server knows it, which has no Ray."""
        if isinstance(error, tuple(getattr(self.ray.exceptions, name) for name in GONE)):
            return PlaceGone(cause_of(error))
        if isinstance(error, PlaceGone):
            return error
        return OSError(reason(error)) if isinstance(error, OSError) else RuntimeError(cause_of(error))

    def _write(self, what: State | Reply) -> None:
        with self._lock, suppress(OSError):  # the server is gone, which run() sees
            write(what, self.output)

    def _say(self, state: State) -> None:
        if state != self._said:
            self._said = state
            self._write(state)

    def _stay(self) -> None:
        """Join the cluster, however long that takes, and end where it is lost."""
        try:
            self._join()
        except Exception as error:
            self._say(State(f"The cluster can't be used: {reason(error)}"))
            raise
        if self.ray is not None:
            self._say(State(joined=True))
            self._listen()

    def _join(self) -> None:
        while self.ray is None and not self._leaving.is_set():
            silent = threading.Timer(SECONDS_TO_JOIN, self._say, [State(NO_RAY_THERE.format(self.address))])
            silent.daemon = True
            silent.start()
            try:
                self.ray = join(self.address)
            except CannotJoin as error:
                silent.cancel()
                self._say(State(str(error)))
                self._leaving.wait(SECONDS_BETWEEN_TRIES)
            silent.cancel()

    def _listen(self) -> None:
        """Where nobody has answered for long, the cluster is lost; Ray answers nothing then."""
        silent = 0.0
        while not self._leaving.wait(SECONDS_PER_PING):
            silent = 0.0 if answers(self.address, SECONDS_PER_PING) else silent + SECONDS_PER_PING
            if silent > SECONDS_OF_SILENCE:
                self.lose()


def contents(files: Mapping[str, str | Path]) -> dict[str, Any]:
    """The content of files by their names, uint8 arrays, which Ray hands on without a copy. Raises OSError."""
    import numpy as np  # 15 MB, which most runs do without

    return {name: np.fromfile(path, np.uint8) for name, path in files.items()}


def cause_of(error: BaseException) -> str:
    """Why an actor has died, or a call of it has failed, in one line: the error, which Ray puts last, or what Ray says first."""
    last = str(error).strip().rpartition("\n")[2].strip()
    return last if re.match(r"[A-Za-z_.]*(Error|Exception)\b", last) else reason(error).removesuffix(".")


def end_runs(runs_dir: Path, name: str) -> None:
    """Mark what the server was doing as interrupted, as it can't any more."""
    from core.runs.store import RunStore  # and with it PyTorch
    from core.runs.store_queue import INTERRUPTED

    RunStore(runs_dir).end_runs_of(name, "interrupted", INTERRUPTED)


def main() -> None:
    malloc_for_server()  # weights come through here
    output = os.fdopen(os.dup(1), "wb")  # for the server alone: Ray prints, too
    os.dup2(2, 1)
    # Ray takes it along for tables where it is installed, as it is with Streamlit: 38 MB, and there are no tables here. To an
    # import, a name that stands for None is not there, which Ray is prepared for.
    sys.modules["pyarrow"] = None  # pyright: ignore[reportArgumentType]  # documented in importlib, and not in its types
    address, name, runs = sys.argv[1:]
    bridge = Bridge(address, output)
    said = bridge.run(sys.stdin.buffer)
    if bridge.ray is not None:
        # ends the processes on the cluster that are this one's; where it hangs, their machines end them
        leaving = threading.Thread(target=bridge.ray.shutdown, daemon=True)
        leaving.start()
        leaving.join(SECONDS_TO_LEAVE)
    if not said:
        with suppress(Exception):  # then the next server finds them silent
            end_runs(Path(runs), name)
    os._exit(0)


if __name__ == "__main__":
    main()
