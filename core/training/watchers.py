"""Watching a training: pictures of what it knows, taken again and again while it learns, densely at first.

A watcher looks at the network between steps. It draws no random numbers and changes nothing, so that a run that is watched ends
with the weights of one that is not.
"""

import time
from collections.abc import Callable
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import TrainingConfig
from core.data import Dataset, normalize
from core.data.batches import Batches
from core.devices import CHANNELS_LAST_ON, autocast_type, is_convolutional
from core.training.events import Look
from core.training.inference import LARGEST_BATCH, autocasting, evaluation_mode
from core.training.monitors import SAMPLES, one_of_each
from core.training.objectives import objective_of
from core.transforms import fixed_sizes, resize

WATCH = "watch"  # the kind of ImageWatcher's looks
SECONDS_AT_FIRST = 2.0  # of training, in which looks are dense
GAP_AT_FIRST, GAP_LATER = 0.08, 0.5  # seconds between two looks, at least
SHARE_AT_FIRST, SHARE_LATER = 0.2, 0.02  # of the time, at most, that looking may take in those seconds, and later
CHEAP = 0.01  # seconds: looks that take no longer are also taken after 1, 2, 4, 8 … steps in those seconds
MOST_FILTERS = 16
LARGEST_FILTER = 32  # pixels: a side of what is kept of a filter


class Watcher(Protocol):
    """What fit() asks to look at the network. seconds are of training: neither pauses nor waiting for a pace count."""

    def due(self, step: int, seconds: float) -> bool:
        """Whether to look now, after `step` steps. Asked after each, so it should answer at once."""
        ...

    def look(self, model: nn.Module, step: int, epoch: int, seconds: float, loss: float) -> Look | None:
        """A picture of the network as it is; None where there is nothing to see.

        loss: mean of the last steps' losses, NaN before the first step.
        """
        ...


class Pace:
    """When to look: densely at first, then so that looking takes a bounded share of the time.

    clock: seconds that only grow, waiting included.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.next, self.cost = 0.0, 0.0  # when the next look comes by the clock; seconds that the last one took

    def due(self, step: int, seconds: float) -> bool:
        doubled = step & (step - 1) == 0 and seconds < SECONDS_AT_FIRST and self.cost <= CHEAP
        return doubled or self.clock() >= self.next

    def spent(self, began: float, seconds: float) -> None:
        """To be called after a look, with when it began and the seconds of training before it."""
        now = self.clock()
        self.cost = now - began
        gap, share = (GAP_AT_FIRST, SHARE_AT_FIRST) if seconds < SECONDS_AT_FIRST else (GAP_LATER, SHARE_LATER)
        self.next = now + max(gap, self.cost / share)


class ImageWatcher:
    """Images that a network answers again and again while it learns, beside ten validation examples and its first filters.

    A Look's arrays: watched (W, K) and examples (10, K) float32, probabilities; positions and labels (10,) int32, which
    validation images the examples are and what is right; filters (F, h, w) uint8, see first_filters(); loss (1,) float32.
    """

    def __init__(self, images: Tensor, training: TrainingConfig, data: Dataset, model: nn.Module, device: torch.device,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        """images: (W, C, H, W) float32 in [0, 1], which suits() the data; prepared here as the run's validation images are."""
        self.pace, self.count, self.input_shape = Pace(clock), len(images), data.input_shape
        convolutional = is_convolutional(model)
        self.autocast = autocast_type(training.precision)
        self.objective = objective_of(training, data.target)
        split = data.validation
        positions = one_of_each(split.labels[split.rows], len(data.classes), SAMPLES)
        self.positions = np.array(positions, np.int32)
        self.labels = split.labels[split.rows][list(positions)].numpy().astype(np.int32)
        prepared = [prepare_watched(images, data)]
        if positions:
            order = torch.tensor(positions, dtype=torch.int64)
            prepared.append(next(Batches(data, split, torch.device("cpu")).iterate(len(order), order)).images)
        self.device, self.batch = device, torch.cat(prepared).to(device)
        self.at_once = max(1, LARGEST_BATCH // prod(data.input_shape))  # as in validation: of large images few
        if convolutional and device.type in CHANNELS_LAST_ON:
            self.batch = self.batch.contiguous(memory_format=torch.channels_last)

    def due(self, step: int, seconds: float) -> bool:
        return self.pace.due(step, seconds)

    def look(self, model: nn.Module, step: int, epoch: int, seconds: float, loss: float) -> Look | None:
        """None where an answer is not finite, as those of weights that are lost."""
        began = self.pace.clock()
        with evaluation_mode(model), torch.inference_mode(), autocasting(self.device, self.autocast):
            logits = torch.cat([model(part) for part in self.batch.split(self.at_once)])
        answers = self.objective.probabilities(logits.float()).cpu().numpy()
        arrays = {"watched": answers[:self.count], "examples": answers[self.count:], "positions": self.positions,
                  "labels": self.labels, "filters": first_filters(model, self.input_shape),
                  "loss": np.array([loss], np.float32)}
        self.pace.spent(began, seconds)
        return Look(WATCH, step, epoch, seconds, arrays) if np.isfinite(answers).all() else None


def suits(shape: tuple[int, ...], input_shape: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    """Whether an image (C, H, W) can be shown to a network that takes `input_shape`; any size can where images are brought to
    `sizes`."""
    return len(shape) == 3 and shape[0] == input_shape[0] if sizes else shape == input_shape


def prepare_watched(images: Tensor, data: Dataset) -> Tensor:
    """Images (W, C, H, W) float32 in [0, 1] as the network gets its validation images: brought to their size, normalised."""
    for size in fixed_sizes(data.transforms):
        images = resize(images, size)
    return normalize(images, data.mean, data.std)


def first_filters(model: nn.Module, input_shape: tuple[int, ...]) -> np.ndarray:
    """(F, h, w) uint8, at most 16: what the first layer looks for. 128 is 0, 255 the largest size of a weight, 1 its negative.

    A convolution's filters, or the weights of a linear layer's first units as pictures of the input (C, H, W), where that is what
    comes first; means over channels, and at most 32 pixels a side. None at all where a linear layer's input is no picture.
    """
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
    weight = None if first is None else first.weight.detach()[:MOST_FILTERS].float()
    if isinstance(first, nn.Linear) and weight is not None:
        weight = weight.view(-1, *input_shape) if first.in_features == prod(input_shape) and len(input_shape) == 3 else None
    if weight is None:
        return np.zeros((0, 0, 0), np.uint8)
    pictures = weight.mean(1)
    if max(pictures.shape[1:]) > LARGEST_FILTER:
        height, width = (min(side, LARGEST_FILTER) for side in pictures.shape[1:])
        pictures = F.adaptive_avg_pool2d(pictures.unsqueeze(1), (height, width))[:, 0]
    largest = pictures.abs().amax().clamp(min=1e-12)
    return (pictures / largest * 127 + 128).round().nan_to_num(128).to("cpu", torch.uint8).numpy()
