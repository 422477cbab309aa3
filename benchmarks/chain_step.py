"""A step of plain chains of layers without autograd, beside the same step with it: python -m benchmarks.chain_step [--only conv].

Linear layers alone, and convolutions in oneDNN's layout, the two ways in turn in one process. µs of the processor, summed over
threads, which other programs lengthen least, and by the clock.
"""

import argparse
import time
from dataclasses import dataclass

import torch

from benchmarks.conditions import add_busy, beside, conditions, keeping_busy, spread
from core.config import TrainingConfig
from core.data.batches import Batch
from core.models import CNNConfig, MLPConfig, build
from core.process import configure_training_process
from core.training.products import onednn_is_faster
from core.training.step import TrainingStep


@dataclass(frozen=True)
class Case:
    """steps: that are timed together."""

    title: str
    model: MLPConfig | CNNConfig
    shape: tuple[int, ...]
    outputs: int
    examples: int
    loss: str
    steps: int
    precision: str = "float32"


TWO = CNNConfig(channels=(32, 64), fc_width=128)
CASES = [
    Case("784-50-10", MLPConfig(hidden=(50,)), (784,), 10, 64, "cross_entropy", 200),
    Case("2-8-1", MLPConfig(hidden=(8,)), (2,), 1, 10, "bce_with_logits", 1000),
    Case("2-4-1", MLPConfig(hidden=(4,)), (2,), 1, 100, "bce", 1000),
    Case("784-512-512-10", MLPConfig(hidden=(512, 512)), (784,), 10, 64, "cross_entropy", 20),
    *(Case(title, TWO, (1, 28, 28), outputs, 64, loss, 3, precision) for precision in ("float32", "bfloat16")
      for title, outputs, loss in (("conv 32-64-128-10", 10, "cross_entropy"), ("conv 32-64-128-1", 1, "bce_with_logits")))]


def measure(case: Case, rounds: int) -> None:
    training = TrainingConfig.model_validate({"loss": case.loss, "precision": case.precision})
    network = build(case.model, case.shape, case.outputs)
    step = TrainingStep(training, "classes", network.train(), torch.device("cpu"))
    images = torch.rand(case.examples, *case.shape)
    batch = Batch(images, torch.randint(0, max(2, case.outputs), (case.examples,)))
    ways = {"by hand": step.chain, "autograd": None}
    if step.chain is None:
        print(f"{case.title}: takes autograd's step here")
        return
    wall: dict[str, list[float]] = {way: [] for way in ways}
    processor: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, chain in ways.items():
            step.chain = chain
            began, used = time.perf_counter(), time.process_time()
            for _ in range(case.steps):
                step.take(batch, 0.001)
            if number:  # the first round takes memory and makes kernels
                processor[way].append((time.process_time() - used) / case.steps * 1e6)
                wall[way].append((time.perf_counter() - began) / case.steps * 1e6)
    for way in ways:
        print(f"{case.title:18} {case.precision:8} batch {case.examples:4} {way:9} processor {spread(processor[way], 'µs', 0)}; "
              f"clock {spread(wall[way], 'µs', 0)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose title has this in it")
    add_busy(parser)
    asked = parser.parse_args()
    configure_training_process()
    torch.set_num_threads(asked.threads)
    library = "oneDNN" if onednn_is_faster() else "the library that PyTorch takes"
    print(conditions((asked.threads,)))
    print(f"{beside(asked.busy, asked.busy_tab)}; {torch.backends.cpu.get_cpu_capability()}; large products by {library}")
    with keeping_busy(asked.busy, asked.busy_tab):
        for case in CASES:
            if asked.only in case.title:
                measure(case, asked.rounds)


if __name__ == "__main__":
    main()
