"""What runs on the cluster: an actor of Ray's, which trains one run at a time.

The class is imported there before anything of ours; what it needs is imported once the process is configured.
"""

import os
import platform
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.cluster.messages import About
from core.cluster.wire import packed, unpacked
from core.process import configure

if TYPE_CHECKING:
    import numpy as np


class ClusterWorker:
    """core.runs.worker on the cluster. The server asks; about() answers once everything is imported and warm.

    files: content by name, uint8 arrays that may lie in Ray's memory.
    """

    def __init__(self, gpu: bool, cores: int, cuda_graphs: bool) -> None:
        """gpu: whether Ray has given it one. cores: of the processor, that its runs may use."""
        configure("training")
        from core.cluster.training import Training

        self._training = Training(gpu, cores, cuda_graphs)

    def about(self) -> About:
        import torch

        # plain text: PyTorch's version is of a class of its own, which the child could not read without PyTorch
        return About(os.getpid(), socket.gethostname(), platform.python_version(), str(torch.__version__),
                     str(self._training.device))

    def start(self, what: bytes, files: "Mapping[str, np.ndarray]") -> None:
        """Begin with a run. what: its Run, DataFiles and first Order, packed; files: of its folder. Ask exchange() what becomes
        of it."""
        run, data, order = unpacked(what)
        self._training.start(run, files, data, order)

    def exchange(self, order: bytes) -> bytes:
        """News for an Order, both packed."""
        return packed(self._training.exchange(*unpacked(order)))

    def give(self, number: int, files: "Mapping[str, np.ndarray]") -> None:
        """What the run has asked for under that number."""
        self._training.give(number, files)


def actor_class(ray: Any) -> Any:
    """The class as an actor of Ray's. Two threads: one may be asked while another waits for news."""
    return ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=2)(ClusterWorker)
