"""The server's end of the pipe to its child process, which has joined the cluster: requests, and replies in any order."""

import itertools
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.cluster.messages import Reply, Request, State
from core.cluster.wire import read, write

LOST = "The connection to the cluster was lost."


class LinkLost(Exception):
    """The child has ended, or the server has let go of it."""


class Link:
    """state: what the child has said last. over: whether it has ended. changed: called where either is another one."""

    def __init__(self, child: subprocess.Popen[bytes], changed: Callable[[], None] = lambda: None) -> None:
        self.state, self.over, self.changed = State(), False, changed
        self._child = child
        self._lock = threading.Lock()  # of what is written, and of the two below
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        threading.Thread(target=self._read, name="cluster-replies", daemon=True).start()

    def ask(self, name: str, *arguments: Any) -> Future[Any]:
        """What a method of core.cluster.bridge.Bridge comes to, once it has. It raises what that raised, and LinkLost."""
        future: Future[Any] = Future()
        with self._lock:
            number = next(self._numbers)
            try:
                if self.over:
                    raise LinkLost(LOST)
                assert self._child.stdin is not None
                self._waiting[number] = future
                write(Request(number, name, arguments), self._child.stdin)
            except (OSError, ValueError, LinkLost):  # it has just ended
                self._waiting.pop(number, None)
                future.set_exception(LinkLost(LOST))
        return future

    def place(self, gpu: bool, cores: int, cuda_graphs: bool) -> "Place":
        """A process on the cluster, which may be there at once or once a machine has started; its about() says when."""
        place = Place(self, next(self._numbers))
        self.ask("place", place.number, gpu, cores, cuda_graphs)
        return place

    def _read(self) -> None:
        assert self._child.stdout is not None
        with suppress(Exception):  # it has ended, in the middle of a word perhaps
            while True:
                self._take(read(self._child.stdout))
        with self._lock:
            self.over, self.state = True, State(self.state.trouble or LOST)
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(LinkLost(LOST))
        self.changed()

    def _take(self, said: State | Reply) -> None:
        if isinstance(said, State):
            self.state = said
            self.changed()
            return
        with self._lock:
            future = self._waiting.pop(said.number)
        if said.error is not None:
            future.set_exception(said.error)
        else:
            future.set_result(said.value)


class Place:
    """A process on the cluster: core.cluster.worker.ClusterWorker, whose methods are called by name."""

    def __init__(self, link: Link, number: int) -> None:
        self.link, self.number = link, number

    def call(self, method: str, *arguments: Any, files: Mapping[str, Path] | None = None) -> Future[Any]:
        """What a method comes to. files: its last argument there, their content by name. Raises, once it is known, PlaceGone,
        LinkLost, OSError for a file that can't be read, and RuntimeError for all else."""
        named = None if files is None else {name: str(path) for name, path in files.items()}
        return self.link.ask("call", self.number, method, arguments, named)

    def kill(self) -> None:
        self.link.ask("kill", self.number)
