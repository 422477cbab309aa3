"""RayEngine: runs on a Ray cluster, by way of one child process that joins it."""

import contextlib
import subprocess
from typing import IO

from core.cluster.bridge import LOST_CODE
from core.cluster.connection import INSTALL, is_installed
from core.cluster.dispatcher import Dispatcher
from core.process import configured
from core.runs.engine import LocalEngine, ProcessEngine
from core.runs.records import Going, Status
from core.runs.rights import check_server
from core.runs.store import RunStore
from core.settings import Settings
from core.subprocesses import start

SECONDS_TO_LEAVE = 5.0  # of the child, to give the cluster back what it has
NO_RAY = f"PLAYGROUND_ENGINE is ray, and Ray is not installed here. Install it ({INSTALL}) and start the app again."
LOST = ("The cluster was lost while this run was going. Weights of its last full epoch were kept, if any; “Continue” goes on "
        "from there.")


class RayEngine(ProcessEngine):
    """Runs on the Ray cluster that the settings name, `settings.workers` of them at once at most.

    What is asked of it and of LocalEngine is the same. A run whose process on the cluster dies goes on with another one, from its
    last checkpoint. trouble: why the queue waits, in one line; "" where it does not.
    """

    _died = "The connection to the cluster was lost"
    _ended_as: Status = "interrupted"

    def __init__(self, store: RunStore, settings: Settings | None = None) -> None:
        settings = settings or Settings.from_environment()
        self._installed = is_installed()
        self._dispatchers: list[Dispatcher] = []  # one, that of the child that is there; a list for all views of this engine
        super().__init__(store, settings, ("cluster",) if settings.workers and self._installed else ())

    @property
    def trouble(self) -> str:
        """Why runs wait, in one line; "" where they do not."""
        if not self._installed:
            return NO_RAY
        return next((one.trouble for one in self._dispatchers), "")

    @property
    def capacity(self) -> int:
        """How many runs are done at once, at most."""
        return self.settings.workers

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of those that train, each on its machine of the cluster."""
        check_server(self.store.actor)
        return [pid for one in self._dispatchers for pid in one.pids]

    def wake(self) -> None:
        for one in self._dispatchers:
            one.wake()

    def _start(self, name: str, device: str, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        child = start(*configured("other", "core.cluster.bridge", self.settings.cluster, name, str(self.settings.runs_dir)),
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, own_group=True)
        self._dispatchers[:] = [Dispatcher(name, self.settings, child)]
        return child

    def _how_it_died(self, code: int) -> str:
        return LOST if code == LOST_CODE else super()._how_it_died(code)

    def _end_unwilling(self, late: list[Going]) -> None:
        """Have the process of a run ended that does not stop; who follows it marks the run."""
        for run in late:
            for one in self._dispatchers:
                if one.name == run.worker:
                    one.end_run(run.id)

    def _let_go(self) -> None:
        for one in self._dispatchers:
            one.leave()
        with self._lock:
            for worker in self._workers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.popen.wait(SECONDS_TO_LEAVE)
                worker.popen.kill()
        for one in self._dispatchers:
            one.join()


def engine_for(store: RunStore, settings: Settings) -> ProcessEngine:
    """The engine that the settings name."""
    return RayEngine(store, settings) if settings.cluster else LocalEngine(store, settings)
