"""Whether a run fits into memory, answered before it takes any.

A system that promises more memory than it has would end some process, and not always the one that asked for too much.
"""

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, normalize
from core.devices import free_memory_bytes
from core.hooks import hooked
from core.layers.memory import values_kept
from core.models import build
from core.training import outputs_for
from core.training.inference import MOST_AT_ONCE, evaluation_mode, largest_result
from core.wording import size_of_bytes

FLOAT32_BYTES = 4
TOO_MUCH = "The run needs more memory than this machine has. Try a smaller network or batch size."
COPIES = 3  # of each weight besides those: the weight, its gradient, and the last good value


class NotEnoughMemory(ValueError):
    """A run that would not fit; the message is one line with what it needs and what there is."""


def check_weights_fit(config: RunConfig, data: Dataset, device: torch.device) -> None:
    """To be asked before the network is built: whether its weights and what goes with them fit into what is free.

    Only counts: a run of shapes alone through the network would load 80 MB of PyTorch's modules. Raises NotEnoughMemory, and
    ModelError where there can be no such network.
    """
    with torch.device("meta"):  # weights without numbers
        model = build(config.model, data.input_shape, outputs_for(config, len(data.source_classes)))
    _compare(weight_bytes(model, config), device)


def check_batch_fits(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> None:
    """To be asked of the network as built, before it trains: whether what its layers return for a batch fits too.

    Raises NotEnoughMemory.
    """
    pixels, _ = data.train.take(torch.arange(min(2, len(data.train))))
    images = normalize(pixels, data.mean, data.std)
    batch = min(config.training.batch_size, len(data.train))
    held = sum(p.numel() for p in model.parameters()) * FLOAT32_BYTES  # already taken
    _compare(weight_bytes(model, config) - held + result_bytes(model, images) * batch, device)


def check_answers_fit(model: nn.Module, images: Tensor, least: int = MOST_AT_ONCE) -> None:
    """To be asked before a network that is there answers many images: whether what its layers return for some of them fits.

    images: a few inputs (N, …), ready for the network. least: bytes of a usual batch. Raises NotEnoughMemory.
    """
    needed, free = 2 * max(least, largest_result(model, images)), free_memory_bytes()  # one more for what an operation works with
    if free is not None and needed > free:
        raise NotEnoughMemory(f"To ask this network takes about {size_of_bytes(needed)} of memory, and {size_of_bytes(free)} are "
                              "free. End other programs, or choose a smaller network.")


def weight_bytes(model: nn.Module, config: RunConfig) -> int:
    """What training keeps for all weights: themselves, gradients, the last good ones, the optimizer's numbers, the best."""
    kept = COPIES + values_kept(config.training.optimizer) + (config.training.keep == "best")
    return sum(p.numel() for p in model.parameters()) * FLOAT32_BYTES * kept


def result_bytes(model: nn.Module, images: Tensor) -> int:
    """What all layers without layers inside return for one image, which training keeps until the backward pass: measured on a
    few images (N, C, H, W), as float32. The network is left as it was."""
    counted = 0

    def count(module: nn.Module, args: object, kwargs: object, output: object) -> None:
        nonlocal counted
        counted += output.numel() * FLOAT32_BYTES if isinstance(output, Tensor) else 0

    layers = [module for module in model.modules() if not list(module.children())]
    with hooked(layers, after=count), evaluation_mode(model), torch.inference_mode():
        model(images)
    return counted // max(1, len(images))


def _compare(needed: int, device: torch.device) -> None:
    free = free_memory_bytes(device)
    if free is not None and needed > free:
        raise NotEnoughMemory(f"The run needs about {size_of_bytes(needed)} of memory, and {size_of_bytes(free)} are free. "
                              "Try a smaller network or batch size.")
