"""RayEngine: runs on a Ray cluster, by way of one child process that joins it."""

import contextlib
import json
import subprocess
import threading
from dataclasses import asdict
from typing import IO

from core.cluster.connection import INSTALL, is_installed
from core.process import configured
from core.runs.engine import LocalEngine, ProcessEngine
from core.runs.records import Going, Status
from core.runs.rights import check_server
from core.runs.store import RunStore
from core.settings import Settings
from core.subprocesses import start

SECONDS_TO_LEAVE = 5.0  # of the child, to give the cluster back what it has
NEEDED = ("data_dir", "runs_dir", "cache_dir", "workers", "cuda_graphs", "disk_budget", "sink", "hosted", "cluster",
          "cluster_cores")
NO_RAY = f"PLAYGROUND_ENGINE is ray, and Ray is not installed here. Install it ({INSTALL}) and start the app again."


class RayEngine(ProcessEngine):
    """Runs on the Ray cluster that the settings name, `settings.workers` of them at once at most.

    What is asked of it and of LocalEngine is the same. A run whose process on the cluster dies goes on with another one, from its
    last checkpoint. trouble: why the queue waits, in one line; "" where it does not.
    """

    _died = "The connection to the cluster was lost"
    _ended_as: Status = "interrupted"

    def __init__(self, store: RunStore, settings: Settings | None = None) -> None:
        settings = settings or Settings.from_environment()
        self._said: dict[str, object] = {}  # the child's dispatcher.State
        if not is_installed():
            self._said["trouble"] = NO_RAY
        super().__init__(store, settings, ("cluster",) if settings.workers and is_installed() else ())

    @property
    def trouble(self) -> str:
        """Why runs wait, in one line; "" where they do not."""
        return str(self._said.get("trouble", ""))

    @property
    def capacity(self) -> int:
        """How many runs are done at once, at most."""
        return self.settings.workers

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of those that train, each on its machine of the cluster."""
        check_server(self.store.actor)
        pids = self._said.get("pids", ())
        return list(pids) if isinstance(pids, list | tuple) else []

    def _start(self, name: str, device: str, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        values = {key: value for key, value in asdict(self.settings).items() if key in NEEDED}
        popen = start(*configured("other", "core.cluster.dispatcher", name, json.dumps(values, default=str)),
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, own_group=True)
        threading.Thread(target=self._listen, args=(popen,), name="cluster-state", daemon=True).start()
        return popen

    def _listen(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            self._said.update(json.loads(line))
        self._said["pids"] = []

    def _end_unwilling(self, late: list[Going]) -> None:
        """Have the process of a run ended that does not stop; the child marks the run."""
        with self._lock:
            for run in late:
                for worker in self._workers:
                    if worker.name == run.worker:
                        worker.tell(f"end {run.id}")

    def _let_go(self) -> None:
        with self._lock:
            for worker in self._workers:
                with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
                    assert worker.popen.stdin is not None
                    worker.popen.stdin.close()
                    worker.popen.wait(SECONDS_TO_LEAVE)


def engine_for(store: RunStore, settings: Settings) -> ProcessEngine:
    """The engine that the settings name."""
    return RayEngine(store, settings) if settings.cluster else LocalEngine(store, settings)
