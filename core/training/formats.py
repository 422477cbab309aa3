"""Which number format a run takes, where the config leaves it to the machine: float32, or bfloat16 where that is faster here.

Whether a processor or GPU gains by bfloat16, and with which network, no list of processors says: a few steps of each are timed
in turn, on a copy of the network and with random data. What comes out is remembered for this machine.
"""

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset
from core.data.batches import Batch
from core.devices import autocast_type, free_memory_bytes, is_convolutional, machine_mark, processor_clock, wait_for, with_threads
from core.files import write_atomically
from core.hooks import hooked
from core.layers.memory import FLOAT32_BYTES, values_kept
from core.training.dense import Chain
from core.training.inference import evaluation_mode
from core.training.shortcuts import FAILURES, Shortcuts
from core.training.step import TrainingStep
from core.training.trainable import train_mode

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")
CLEARLY = 1.1  # times as fast as float32: less is no reason to give digits away
SECONDS = 0.25  # of trying, where steps are short enough for that: 0.3 with the copy that is tried, and the last step
LEAST_ROUNDS, MOST_ROUNDS = 3, 10  # steps of each format that count
FEW = 4  # examples of the first steps, after which it is known how many fit into the time
HOPELESS = 2.0  # times as long as float32's step
LEAST_WORK = 2e11  # multiplications of a whole training on a processor, two to five seconds: shorter ones are over before it pays
MOST_MEMORY = 0.5  # of what is free: a copy that takes more is not made
MOST_REMEMBERED = 200  # kinds of networks
FILE = "number_formats.json"
REHEARSED = ("cuda", "mps")  # kinds of device whose shortcuts are tried in one step before a run begins
TINY_RATE = 1e-6  # learning rate of the steps that are timed: they are to stay finite


@dataclass(frozen=True)
class NumberFormat:
    """What a run computes in, and why in one line; "" where the config asked for it."""

    precision: Precision
    why: str = ""

    def put_into(self, config: RunConfig) -> RunConfig:
        """The config with this format in place of what was asked for."""
        return computed_in(config, self.precision)


@dataclass(frozen=True)
class Clocks:
    """Seconds that only grow: `steps` tells what a step takes, `wall` how long somebody has waited."""

    steps: Callable[[], float]
    wall: Callable[[], float] = time.perf_counter


def clocks_for(device: torch.device) -> Clocks:
    """On the CPU a step is worth the processor's time that it took, which other processes don't lengthen by being busy."""
    return Clocks(processor_clock("process") if device.type == "cpu" else time.perf_counter)


def computed_in(config: RunConfig, precision: str) -> RunConfig:
    """A run's config with the format that it was trained in, where that is known ("" if not): the config may have left it open,
    or asked for one that this machine does not have."""
    if precision not in PRECISIONS:
        return config
    return config.model_copy(update={"training": config.training.model_copy(update={"precision": precision})})


def choose(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, cache: Path | None = None,
           shortcuts: Shortcuts | None = None, clocks: Clocks | None = None) -> NumberFormat:
    """The number format for a run of `config` from `model` on, measured here if nobody has done so before.

    Neither the network, PyTorch's random state nor its number of threads is changed. A config that names a format gets it
    without a measurement; but on devices other than the processor one step is tried first, and bfloat16 that fails there is
    given up (see core.training.shortcuts).

    Args:
        model: in any state, on any device; what is tried is a copy of it. cache: the folder that remembers; None: nothing is.
    """
    shortcuts = shortcuts or Shortcuts(device)
    asked = config.training.precision
    unlikely = "" if asked != "auto" else _why_not_tried(config, data, model, device)
    with _set_aside(device):
        if device.type in REHEARSED and _fits_twice(config, model, device):
            fits = _rehearse(config, data, model, device, shortcuts, asked == "bfloat16")
            if not fits:
                return NumberFormat("float32", "" if asked == "float32" else
                                    f"float32: bfloat16 failed on {device.type} here")
        if asked != "auto":
            return NumberFormat(asked)
        if unlikely:
            return NumberFormat("float32", f"float32: {unlikely}")
        known, key = Remembered(cache), kind_of_run(config, data, model, device)
        speedup = known.speedup(key)
        if speedup is None:
            if device.type == "cpu" and work_of(config, data, model) < LEAST_WORK:
                return NumberFormat("float32", "float32: bfloat16 is not tried for so short a training")
            speedup = _measured(config, data, model, device, shortcuts, clocks or clocks_for(device))
            if speedup is None:
                return NumberFormat("float32", "float32: bfloat16 could not be tried here")
            speedup = known.keep(key, speedup)
    return decided(speedup)


def decided(speedup: float) -> NumberFormat:
    """The format, where bfloat16 is so many times as fast as float32."""
    measured = "here, measured for this network"
    if speedup >= CLEARLY:
        return NumberFormat("bfloat16", f"bfloat16: {speedup:.2f} times as fast as float32 {measured}")
    how = f"is only {speedup:.2f} times as fast" if speedup >= 1 else f"takes {1 / speedup:.2f} times as long"
    return NumberFormat("float32", f"float32: bfloat16 {how} {measured}")


def remembered(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, cache: Path | None) -> NumberFormat:
    """What choose() would take without trying anything: for whoever only wants to say what a run would do."""
    speedup = None
    if config.training.precision == "auto" and not _why_not_tried(config, data, model, device):
        speedup = Remembered(cache).speedup(kind_of_run(config, data, model, device))
    if config.training.precision != "auto":
        return NumberFormat(config.training.precision)
    return decided(speedup) if speedup is not None else NumberFormat("float32")


def _why_not_tried(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> str:
    """What speaks against bfloat16 without a measurement; "" if nothing does."""
    if device.type not in ("cpu", "cuda"):
        return f"bfloat16 is not tried on {device.type}"
    if device.type == "cpu" and not is_convolutional(model):
        return "on a processor bfloat16 is tried for convolutional networks alone"
    return "" if _fits_twice(config, model, device) else "there is too little memory to try bfloat16"


def _fits_twice(config: RunConfig, model: nn.Module, device: torch.device) -> bool:
    """Whether there is room for a copy of the network that trains."""
    weights = sum(weight.numel() for weight in model.parameters()) * FLOAT32_BYTES
    needed, free = weights * (2 + values_kept(config.training.optimizer)), free_memory_bytes(device)
    return free is None or needed <= MOST_MEMORY * free


def kind_of_run(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> str:
    """What a step's speed depends on, as a short text: layers and sizes, batch size, optimizer, this machine. Not threads."""
    training = config.training
    about = "\n".join((repr(model), str(data.input_shape), str(training.batch_size), training.optimizer.name,
                       *([training.trainable] if training.trainable != "all" else []),
                       *([f"first {training.frozen_first}"] if training.frozen_first else [])))
    return f"{machine_mark(device)}-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def work_of(config: RunConfig, data: Dataset, model: nn.Module) -> float:
    """Multiplications with an addition of a whole training: three times those of a forward pass through its convolutions and
    linear layers, for each example of each epoch. The network is left as it was."""
    counted = 0

    def count(module: nn.Module, args: object, kwargs: object, output: Tensor) -> None:
        nonlocal counted
        places = output[0].numel() // output.shape[1] if isinstance(module, nn.Conv2d) else 1
        counted += module.weight.numel() * places  # pyright: ignore[reportCallIssue]  # torch's stub: a weight may be a module

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    with hooked(layers, after=count), evaluation_mode(model), torch.inference_mode():
        model(random_batch(data, 1, next((weight.device for weight in model.parameters()), torch.device("cpu"))).images)
    return 3.0 * counted * len(data.train) * config.training.epochs


# --- trying

def random_batch(data: Dataset, examples: int, device: torch.device, channels_last: bool = False) -> Batch:
    """Random examples as a run on this data gets them; PyTorch's random state stays as it is."""
    generator, shape = torch.Generator().manual_seed(0), (examples, *data.input_shape)
    images = torch.ones(shape, dtype=torch.int64) if data.kind == "text" else torch.randn(shape, generator=generator)
    labels = torch.arange(examples) % max(1, len(data.classes)) if data.target == "classes" else torch.zeros(examples)
    if channels_last and images.dim() == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    return Batch(images.to(device), labels.to(device))


class Trial:
    """Training steps of a copy of a network, in either format."""

    def __init__(self, config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, shortcuts: Shortcuts) -> None:
        training = config.training.model_copy(update={"precision": "float32"})
        self.step = TrainingStep(training, data.target, copy.deepcopy(model), device, shortcuts.for_trying())
        self.chains: dict[str, Chain | None] = {"float32": self.step.chain}
        train_mode(self.step.model)
        size = min(training.batch_size, max(1, len(data.train)))
        self.device, self.batch = device, random_batch(data, size, device, self.step.channels_last)
        self.loss = torch.zeros(())

    def take(self, precision: Precision, examples: int) -> None:
        """One step on so many of the batch's examples, done when this returns."""
        step = self.step
        step.autocast = step.forward.autocast = autocast_type(precision)
        step.chain = self.chains[precision] if precision in self.chains else step.find_chain()
        self.loss, _ = step.take(Batch(self.batch.images[:examples], self.batch.labels[:examples]), TINY_RATE)
        self.chains[precision] = step.chain  # None where it has just failed
        wait_for(self.device)


def compare(take: Callable[[Precision, int], object], batch: int, clocks: Clocks, began: float | None = None) -> float:
    """How many times as fast as float32 bfloat16 is: the fastest steps of each, which take turns, so that what else the machine
    does meets both.

    Takes about SECONDS, by fewer examples where steps are long; and four steps of a few examples however long they are, after
    which something that is HOPELESS is not tried any longer.

    Args:
        take: does one step in a format with so many examples. batch: how many there are.
        began: since when by the wall's clock somebody has been waiting; None: since now.
    """
    began, few = clocks.wall() if began is None else began, min(FEW, batch)

    def timed(precision: Precision, examples: int) -> float:
        start = clocks.steps()
        take(precision, examples)
        return clocks.steps() - start

    for precision in PRECISIONS:  # kernels are chosen and memory is taken
        take(precision, few)
    plain, half = timed("float32", few), timed("bfloat16", few)
    left = SECONDS - (clocks.wall() - began)
    fitting = int(few * left / max(plain + half, 1e-9) / (LEAST_ROUNDS + 1))  # one round does not count
    if fitting < few or half > HOPELESS * plain:
        return plain / half
    examples, best = min(batch, fitting), dict.fromkeys(PRECISIONS, float("inf"))
    for number in range(MOST_ROUNDS + 1):
        round_began = clocks.wall()
        for precision in PRECISIONS:
            took = timed(precision, examples)
            best[precision] = min(best[precision], took) if number else best[precision]
        now = clocks.wall()
        if number >= LEAST_ROUNDS and now - began + (now - round_began) > SECONDS:
            break
    return best["float32"] / best["bfloat16"]


def _measured(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, shortcuts: Shortcuts,
              clocks: Clocks) -> float | None:
    """compare() on a copy of the network; None where bfloat16 fails, gives no finite loss, or has failed before."""
    if not shortcuts.usable("bfloat16"):
        return None
    began = clocks.wall()
    trial = Trial(config, data, model, device, shortcuts)
    try:
        trial.take("float32", min(FEW, len(trial.batch.labels)))
    except FAILURES:  # the run says so itself
        return None
    try:
        speedup = compare(trial.take, len(trial.batch.labels), clocks, began)
        trial.take("bfloat16", min(FEW, len(trial.batch.labels)))
        return speedup if isfinite(float(trial.loss)) else None
    except FAILURES as error:
        shortcuts.give_up("bfloat16", error)
        return None


def _rehearse(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, shortcuts: Shortcuts,
              bfloat16: bool) -> bool:
    """Try a step of a copy with the shortcuts that can't be left in the middle of a run. Returns whether bfloat16 works, where it
    is asked for.

    What fails without any shortcut as well is left to the run itself to report.
    """
    def works(precision: Precision, taken: Shortcuts = shortcuts) -> Exception | None:
        try:
            trial = Trial(config, data, model, device, taken)
            trial.take(precision, len(trial.batch.labels))
        except FAILURES as error:
            return error
        return None

    plain = works("float32")
    if plain is not None and is_convolutional(model) and shortcuts.usable("channels_last"):
        without = Shortcuts(device, shortcuts.failed | {shortcuts.key("channels_last"): ""})
        error, plain = plain, works("float32", without)
        if plain is None:
            shortcuts.give_up("channels_last", error)
    if plain is not None or not bfloat16:
        return True
    if not shortcuts.usable("bfloat16"):
        return False
    error = works("bfloat16")
    if error is not None:
        shortcuts.give_up("bfloat16", error)
    return error is None


@contextmanager
def _set_aside(device: torch.device) -> Iterator[None]:
    """PyTorch's random state and number of threads are as before afterwards; one thread meanwhile, which others disturb least."""
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), with_threads(1):
        try:
            yield
        finally:
            if mps is not None:
                torch.mps.set_rng_state(mps)


# --- remembering

class Remembered:
    """How many times as fast bfloat16 was for which kind of run, in a file of the cache folder.

    What can't be read or written is measured again. Where two processes have measured at the same time, both take what stands
    in the file first, so that runs which differ by their seed alone compute alike.
    """

    def __init__(self, cache: Path | None) -> None:
        self.path = None if cache is None else cache / FILE

    def speedup(self, key: str) -> float | None:
        return self._read().get(key)

    def keep(self, key: str, speedup: float) -> float:
        """Write it down; returns what stands there then."""
        if self.path is None:
            return speedup
        known = self._read()
        if key in known:
            return known[key]
        known[key] = round(speedup, 3)
        kept = dict(list(known.items())[-MOST_REMEMBERED:])
        with suppress(OSError):  # a full disk, or a folder of somebody else's: it is measured again the next time
            write_atomically(self.path, lambda file: file.write(json.dumps(kept, indent=0).encode()), durable=False)
        return known[key]

    def _read(self) -> dict[str, float]:
        try:
            found: Any = json.loads(self.path.read_text(encoding="utf-8")) if self.path is not None else {}
        except (OSError, ValueError):  # not there, or damaged
            return {}
        if not isinstance(found, dict):
            return {}
        return {key: float(value) for key, value in found.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0}
