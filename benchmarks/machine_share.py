"""Share of the machine's matrix-product peak that training reaches, layer by layer: python -m benchmarks.machine_share.

The peak is measured: the fastest of many square products, in the number format and with the threads of the run. A layer's
arithmetic is two operations for each multiply-add, forward once and backward twice. What is left is the price of moving numbers:
each line names the layer's arithmetic for each byte it returns, and few operations for each byte mean that memory holds it back.
"""

import time

import torch

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
    with torch.device("meta"):
        rows = describe_layers(fresh_model(config, data.input_shape, len(data.source_classes)), data.input_shape)
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


def main() -> None:
    configure_training_process()  # as the app's training processes are
    print(conditions())
    for name in NAMES:
        report(name, PRESETS[name].config)


if __name__ == "__main__":
    main()
