"""What runs on the cluster: an actor of Ray's, which trains one run at a time.

The class is imported there before anything of ours; what it needs is imported once the process is configured.
"""

import importlib
import os
import platform
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.cluster.messages import About, DataFiles, News, Order
from core.process import configure

if TYPE_CHECKING:
    import numpy as np

    from core.runs.records import Run


class ClusterWorker:
    """core.runs.worker on the cluster. The server asks; about() answers once everything is imported and warm."""

    def __init__(self, gpu: bool, cores: int, cuda_graphs: bool) -> None:
        """gpu: whether Ray has given it one. cores: of the processor, that its runs may use."""
        configure("training")
        from core.cluster.training import Training

        self._training = Training(gpu, cores, cuda_graphs, importlib.import_module("ray").get)

    def about(self) -> About:
        import torch

        return About(os.getpid(), socket.gethostname(), platform.python_version(), torch.__version__, str(self._training.device))

    def start(self, run: "Run", files: "Mapping[str, np.ndarray]", data: DataFiles, order: Order) -> None:
        """Begin with a run; files: of its folder. Ask exchange() what becomes of it."""
        self._training.start(run, files, data, order)

    def exchange(self, order: Order) -> News:
        return self._training.exchange(order)


def actor_class(ray: Any) -> Any:
    """The class as an actor of Ray's. Two threads: one may be asked while another waits for news."""
    return ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=2)(ClusterWorker)
