"""Whether a run fits into memory, answered before it takes any."""

import torch

from core.config import RunConfig
from core.data import Dataset
from core.devices import free_memory_bytes
from core.inspection.doctor.case import Case
from core.inspection.doctor.cost_rules import gigabytes, training_bytes

TOO_MUCH = "The run needs more memory than this machine has. Try a smaller network or batch size."


class NotEnoughMemory(ValueError):
    """A run that would not fit; the message is one line with what it needs and what there is."""


def check_memory(config: RunConfig, data: Dataset, device: torch.device) -> None:
    """Compare what training needs at least with what is free. Silent where either isn't known.

    The network is only drawn up on PyTorch's meta device. Without this check a system that promises more memory than it has
    would end some process, and not always the one that asked for too much.

    Raises:
        NotEnoughMemory: it would not fit.
    """
    case, free = Case(config, data=data), free_memory_bytes(device)
    if free is None or not case.rows:
        return
    needed = training_bytes(case)
    if needed > free:
        raise NotEnoughMemory(f"The run needs about {gigabytes(needed)} of memory, and {gigabytes(free)} are free. "
                              "Try a smaller network or batch size.")


def ran_out(error: RuntimeError) -> bool:
    """Whether PyTorch's error says that there was no memory left. Its allocator for processors has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
