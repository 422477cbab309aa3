"""Seconds that training takes, measured by a few steps of the real loop, and which layers they go to."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, Split
from core.devices import is_convolutional, select_device, threads_for, wait_for, with_threads
from core.hooks import CallStack, hooked
from core.layers.memory import training_bytes
from core.layers.table import describe_layers, totals
from core.training import fresh_model
from core.training.formats import remembered
from core.training.loop import Loop
from core.training.trainable import train_mode
from core.wording import size_of_bytes

MOST_SECONDS = 2.0  # for each of the two rounds: whole steps, then layer by layer
MOST_STEPS = 30
MOST_BYTES = 2_000_000_000  # a page must not take the memory that runs need


class MeasureError(ValueError):
    """A network that is not to be measured here; the message is one line that says why."""


@dataclass(frozen=True)
class LayerTime:
    """Seconds of one training step that one layer takes, and its part of the step, 0 to 1."""

    forward: float
    backward: float
    share: float


@dataclass(frozen=True)
class Measured:
    """What a few training steps took on this machine.

    step: seconds of one whole step, the median of `steps`; per_epoch: of an epoch of `steps_per_epoch` such steps.
    layers: by the layer's name, of one step. What no layer accounts for (loss, optimizer, Python) is the rest.
    """

    device: str
    precision: str
    threads: int
    batch_size: int
    steps: int
    step: float
    steps_per_epoch: int
    layers: dict[str, LayerTime]

    @property
    def per_epoch(self) -> float:
        return self.step * self.steps_per_epoch

    @property
    def images_per_second(self) -> float:
        return self.batch_size / self.step


def measure(config: RunConfig, input_shape: tuple[int, ...], classes: int, examples: int, cache: Path | None = None) -> Measured:
    """Train a fresh network for a few steps on random examples, with the run's own loop, device and number format.

    Takes about four seconds at most, but at least four steps however long they are. PyTorch's random state and number of
    threads are as before afterwards.

    Args:
        input_shape: of one example; classes: of the data set, 0 where a number is predicted; examples: in an epoch.
        cache: the folder that remembers what a run's number format is here, where the config leaves that open.

    Raises:
        MeasureError: training would take more memory than a page may use. ModelError, DeviceError: as for a run.
    """
    device = select_device(config.training.device)
    with torch.device("meta"):
        outline = fresh_model(config, input_shape, classes)
    rows = describe_layers(outline, input_shape)
    batch = config.training.batch_size
    needed = training_bytes(rows, config.training.optimizer, batch)
    if needed > MOST_BYTES:
        raise MeasureError(f"A training step of this network takes about {size_of_bytes(needed)}, more than the "
                           f"{size_of_bytes(MOST_BYTES)} that are measured here. Choose a smaller batch size or network.")
    convolutional = is_convolutional(outline)
    threads = threads_for(totals(rows).parameters, convolutional)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), with_threads(threads):
        return _measure(config, _random_data(config, input_shape, classes, batch), device, threads,
                        -(-max(1, examples) // batch), cache)


def _measure(config: RunConfig, data: Dataset, device: torch.device, threads: int, per_epoch: int,
             cache: Path | None) -> Measured:
    model = fresh_model(config, data.input_shape, len(data.source_classes))
    config = remembered(config, data, model, device, cache).put_into(config)
    loop = Loop(config, data, model, device)
    train_mode(loop.model)
    whole = list(_timed_steps(loop, device))
    sums: dict[str, tuple[float, float]] = {}
    watched, steps = 0.0, 0
    with _watching(loop.model, device) as record:
        for seconds in _timed_steps(loop, device, record):
            watched, steps = watched + seconds, steps + 1
            for name, forward, backward in record.take():
                before = sums.get(name, (0.0, 0.0))
                sums[name] = before[0] + forward, before[1] + backward
    # shares are of the watched steps, which on a GPU take longer than others, as it is waited for after each layer
    layers = {name: LayerTime(forward / steps, backward / steps, (forward + backward) / watched)
              for name, (forward, backward) in sums.items()}
    batch = config.training.batch_size
    return Measured(str(device), loop.precision, threads, batch, len(whole), median(whole), per_epoch, layers)


def _random_data(config: RunConfig, shape: tuple[int, ...], classes: int, batch: int) -> Dataset:
    """A batch's worth of random examples, as load() would give them: nothing in a step's time depends on what they show."""
    images = len(shape) == 3
    examples = torch.randint(256, (batch, *shape), dtype=torch.uint8) if images else torch.randn(batch, *shape)
    answers = 2 if config.data.task == "is_target" else classes
    labels = torch.arange(batch) % answers if classes else torch.randn(batch)
    split = Split(examples, labels, torch.arange(batch))
    mean, std = (0.5,) * shape[0], (0.5,) * shape[0]
    names = tuple(map(str, range(classes)))
    return Dataset("random", "Random examples", names, names, mean, std, split, split, split,
                   "images" if images else "points", "classes" if classes else "number")


def _timed_steps(loop: Loop, device: torch.device, record: "_Record | None" = None) -> Iterator[float]:
    """Seconds of each step, data included, after one that warms up. Each is an epoch of the loop's: there is one batch."""
    began = time.perf_counter()
    for step in range(MOST_STEPS):
        if step == 1 and record is not None:
            record.forget()
        start = time.perf_counter()
        for batch in loop.batches():
            loop.train_step(batch)
        loop.epoch, loop.batch = loop.epoch + 1, 0
        wait_for(device)
        now = time.perf_counter()
        if step:
            yield now - start
            if now - began > MOST_SECONDS:
                return


class _Record:
    """When each layer began and ended forward, and when the gradient of its output was there."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.began: dict[str, float] = {}
        self.forward: dict[str, float] = {}
        self.gradients: list[tuple[float, str]] = []
        self.end = 0.0

    def now(self) -> float:
        wait_for(self.device)
        return time.perf_counter()

    def take(self) -> list[tuple[str, float, float]]:
        """(layer, seconds forward, seconds backward) of the step that has just been made; then everything is forgotten.

        Backward visits the layers in reverse. From the moment at which a layer's output has its gradient until the next
        layer's has, this layer's own backward runs.
        """
        times = [time for time, _ in self.gradients] + [self.end]
        backward: dict[str, float] = {}
        for number, (start, name) in enumerate(self.gradients):
            backward[name] = backward.get(name, 0.0) + times[number + 1] - start
        found = [(name, seconds, backward.get(name, 0.0)) for name, seconds in self.forward.items()]
        self.forget()
        return found

    def forget(self) -> None:
        self.began, self.forward, self.gradients = {}, {}, []


@contextmanager
def _watching(model: nn.Module, device: torch.device) -> Iterator[_Record]:
    """Hooks on every layer while the block runs; they are gone afterwards, whatever happens in it."""
    record, stack = _Record(device), CallStack()
    layers = {module for module in model.modules() if not any(True for _ in module.children())}

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = stack.enter(module)
        if module in layers:
            record.began[call.path] = record.now()

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        call = stack.leave(module)
        if call is None or module not in layers:
            return
        name = call.path or type(module).__name__
        record.forward[name] = record.forward.get(name, 0.0) + record.now() - record.began[call.path]
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(lambda gradient: record.gradients.append((record.now(), name)))

    first = next((p for p in model.parameters() if p.requires_grad), None)
    with ExitStack() as hooks:
        if first is not None:  # its gradient is the last to be ready: then backward is over
            handle = first.register_post_accumulate_grad_hook(lambda weight: setattr(record, "end", record.now()))
            hooks.callback(handle.remove)
        with hooked(model.modules(), before, after):
            yield record
