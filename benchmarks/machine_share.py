"""Share of the machine's matrix-product peak that training reaches, layer by layer: python -m benchmarks.machine_share.

The peak is measured: the fastest of many square products, in the number format and with the threads of the run. A layer's
arithmetic is two operations for each multiply-add, forward once and backward twice. What is left is the price of moving numbers:
each line names the layer's arithmetic for each byte it returns, and few operations for each byte mean that memory holds it back.
Beside the whole step: the sum of its layers' best times, each the fastest that PyTorch's own layer took by itself, forward and
backward, over both layouts and both number formats, with the run's threads, on a batch that lies in the cache.
"""

import copy
import time

import torch
from torch import nn

from benchmarks.conditions import conditions
from core.config import RunConfig
from core.data import outline
from core.inspection import describe_layers
from core.presets import PRESETS
from core.process import configure_training_process
from core.settings import Settings
from core.training import fresh_model
from core.training.measured import Measured, measure

NAMES = ("mnist-mlp-50", "mnist-is-8-cnn", "mnist-cnn-fast", "fashion-mlp-512")
SIZE, TRIALS = 1024, 12
ALONE = 30  # tries of a layer by itself, in each layout and number format


def peak(precision: str, device: str, threads: int) -> float:
    """Operations a second of the fastest square product."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    left = torch.randn(SIZE, SIZE, dtype=getattr(torch, precision), device=device)
    best = 0.0
    for _ in range(TRIALS):
        began = time.perf_counter()
        for _ in range(4):
            left @ left
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = max(best, 4 * 2 * SIZE ** 3 / (time.perf_counter() - began))
    torch.set_num_threads(before)
    return best


def alone(layer: nn.Module, shape: tuple[int, ...], batch: int, device: str, threads: int, is_first: bool) -> float:
    """The fewest seconds that a layer took forward and backward by itself; inputs have a gradient where it is not the first."""
    before, best = torch.get_num_threads(), float("inf")
    torch.set_num_threads(threads)
    layouts = (torch.contiguous_format, torch.channels_last) if len(shape) == 3 else (torch.contiguous_format,)
    for number in (torch.float32, torch.bfloat16):
        for layout in layouts:
            one = copy.deepcopy(layer).to(device=device, dtype=number)
            inputs = torch.randn(batch, *shape, device=device, dtype=number).to(memory_format=layout)
            inputs.requires_grad_(not is_first)
            if len(shape) == 3:
                one = one.to(memory_format=layout)
            if not (inputs.requires_grad or any(True for _ in one.parameters())):
                return 0.0  # a first layer that only reshapes
            gradient = torch.randn_like(one(inputs))
            for _ in range(ALONE):
                began = time.perf_counter()
                one(inputs).backward(gradient)
                if device.startswith("cuda"):
                    torch.cuda.synchronize()
                best = min(best, time.perf_counter() - began)
                inputs.grad = None
                one.zero_grad()
    torch.set_num_threads(before)
    return best


def limit(operations_per_byte: float, share: float) -> str:
    """What holds a layer back, in words."""
    if share > 0.3:
        return "arithmetic"
    if operations_per_byte < 30:
        return "memory: few operations for each byte"
    return "small products: starting them and handing out the work"


def report(name: str, config: RunConfig) -> None:
    data = outline(config.data)
    found: Measured = measure(config, data.input_shape, len(data.source_classes), 55_000, Settings.from_environment().cache_dir)
    top = peak(found.precision, found.device, found.threads)
    model = fresh_model(config, data.input_shape, len(data.source_classes))
    rows = describe_layers(model, data.input_shape)
    best = sum(alone(model.get_submodule(row.name), row.input_shape, found.batch_size, found.device, found.threads, place == 0)
               for place, row in enumerate(rows))
    print(f"\n{name}: batch {found.batch_size}, {found.precision}, {found.threads} threads; a step {found.step * 1000:.2f} ms; "
          f"peak {top / 1e9:,.0f} G operations/s")
    whole = 0
    for row in rows:
        taken = found.layers.get(row.name)
        operations = 3 * 2 * row.mult_adds * found.batch_size
        whole += operations
        if taken is None or taken.share < 0.02:
            continue
        speed = operations / max(taken.forward + taken.backward, 1e-9)
        intensity = operations / max(1, 3 * row.activation_bytes * found.batch_size)
        print(f"  {row.name:<12} {row.kind:<12} {taken.share:5.0%} of the step, {speed / 1e9:8.1f} G operations/s, "
              f"{speed / top:6.1%} of the peak; {intensity:6.1f} operations/byte: {limit(intensity, speed / top)}")
    rest = 1 - sum(layer.share for layer in found.layers.values())
    print(f"  {'rest':<12} {'':<12} {rest:5.0%} of the step: data, loss, optimizer, Python")
    print(f"  whole step: {whole / found.step / 1e9:.1f} G operations/s, {whole / found.step / top:.1%} of the peak")
    print(f"  the sum of its layers' best times is {best * 1000:.2f} ms: the step takes {found.step / best:.2f} times as long")


def main() -> None:
    configure_training_process()  # as the app's training processes are
    print(conditions())
    for name in NAMES:
        report(name, PRESETS[name].config)


if __name__ == "__main__":
    main()
