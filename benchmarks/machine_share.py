"""Share of the machine's matrix-product peak that training reaches, by layer: python -m benchmarks.machine_share [--only cnn].

The peak is measured: the fastest of many square products, in the number format and with the threads of the run. A layer's
arithmetic is two operations for each multiply-add, forward once and backward twice. What is left is the price of moving numbers:
each line names the layer's arithmetic for each byte it returns, and few operations for each byte mean that memory holds it back.
Beside the whole step: the sum of its layers' best times, each the fastest that PyTorch's own layer took by itself, forward and
backward, over both layouts and both number formats, with the run's threads, on a batch that lies in the cache.
"""

import argparse
import copy
import time
from statistics import median

import torch
from torch import nn

from benchmarks.conditions import add_busy, beside, conditions, in_words, keeping_busy, spread
from benchmarks.training_speed import SYSTEMS
from core.config import RunConfig
from core.data import outline
from core.inspection import describe_layers
from core.presets import PRESETS
from core.process import configure_training_process
from core.settings import Settings
from core.training import fresh_model
from core.training.measured import measure

NETWORKS = {name: PRESETS[name].config for name in ("mnist-mlp-50", "mnist-is-8-cnn", "mnist-cnn-fast", "fashion-mlp-512")}
NETWORKS |= {"cnn": SYSTEMS["cnn"].config}  # as training_speed calls it
TITLES = {"cnn": f"cnn, {SYSTEMS['cnn'].title}"}
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


def report(name: str, config: RunConfig, rounds: int) -> None:
    """One network, measured anew in each round with its peak and its layers' best times; layers are told by their medians."""
    data = outline(config.data)
    classes, cache = len(data.source_classes), Settings.from_environment().cache_dir
    rows = describe_layers(fresh_model(config, data.input_shape, classes), data.input_shape)
    found, peaks, best = [], [], []
    for _ in range(rounds):
        found.append(measure(config, data.input_shape, classes, 55_000, cache))
        one = found[-1]
        peaks.append(peak(one.precision, one.device, one.threads))
        model = fresh_model(config, data.input_shape, classes)
        best.append(sum(alone(model.get_submodule(row.name), row.input_shape, one.batch_size, one.device, one.threads, place == 0)
                        for place, row in enumerate(rows)))
    operations = [3 * 2 * row.mult_adds * one.batch_size for row in rows]
    top = median(peaks)
    print(f"\n{name}: batch {one.batch_size}, {one.precision}, {in_words((one.threads,))}\n"
          f"  a step takes {spread([1000 * one.step for one in found], 'ms')}, each the median of {one.steps} steps\n"
          f"  peak {spread([value / 1e9 for value in peaks], 'G operations/s', 0)}")
    for row, work in zip(rows, operations, strict=True):
        taken = [one.layers[row.name] for one in found if row.name in one.layers]
        if not taken or (share := median(layer.share for layer in taken)) < 0.02:
            continue
        speed = work / max(median(layer.forward + layer.backward for layer in taken), 1e-9)
        intensity = work / max(1, 3 * row.activation_bytes * one.batch_size)
        print(f"  {row.name:<12} {row.kind:<12} {share:5.0%} of the step, {speed / 1e9:8.1f} G operations/s, "
              f"{speed / top:6.1%} of the peak; {intensity:6.1f} operations/byte: {limit(intensity, speed / top)}")
    rest = median(1 - sum(layer.share for layer in one.layers.values()) for one in found)
    print(f"  {'rest':<12} {'':<12} {rest:5.0%} of the step: data, loss, optimizer, Python")
    shares = [100 * sum(operations) / one.step / value for one, value in zip(found, peaks, strict=True)]
    times = [one.step / seconds for one, seconds in zip(found, best, strict=True)]
    print(f"  whole step: {sum(operations) / median(one.step for one in found) / 1e9:.1f} G operations/s, "
          f"{spread(shares, '% of the peak', 1)}\n"
          f"  the sum of its layers' best times is {spread([1000 * seconds for seconds in best], 'ms')}: the step takes "
          f"{spread(times, 'times as long')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(NETWORKS))
    add_busy(parser)
    asked = parser.parse_args()
    configure_training_process()  # as the app's training processes are
    print(conditions())
    print(beside(asked.busy, asked.busy_tab))
    with keeping_busy(asked.busy, asked.busy_tab):
        for name, config in NETWORKS.items():
            if asked.only in (None, name):
                report(TITLES.get(name, name), config, asked.rounds)


if __name__ == "__main__":
    main()
