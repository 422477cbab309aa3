"""A step of plain chains of linear layers without autograd, beside the same step with it: python -m benchmarks.dense_step."""

import argparse
import time

import torch

from benchmarks.conditions import conditions, spread
from core.config import TrainingConfig
from core.data.batches import Batch
from core.models import MLPConfig, build
from core.process import configure_training_process
from core.training.step import TrainingStep

# widths, examples in a batch, loss, steps that are timed together
CASES = [((784, 50, 10), 64, "cross_entropy", 200), ((2, 8, 1), 10, "bce_with_logits", 1000), ((2, 4, 1), 100, "bce", 1000),
         ((784, 512, 512, 10), 64, "cross_entropy", 20)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    configure_training_process()
    torch.set_num_threads(asked.threads)
    print(conditions(), f"\n{asked.threads} threads; µs a step, both ways in turn")
    for widths, examples, loss, steps in CASES:
        network = build(MLPConfig(hidden=widths[1:-1]), (widths[0],), widths[-1])
        training = TrainingStep(TrainingConfig.model_validate({"loss": loss}), "classes", network.train(), torch.device("cpu"))
        chain, found = training.chain, {"by hand": [], "autograd": []}
        batch = Batch(torch.rand(examples, widths[0]), torch.randint(0, max(2, widths[-1]), (examples,)))
        for _ in range(asked.rounds):
            for way, times in found.items():
                training.chain = chain if way == "by hand" else None
                began = time.perf_counter()
                for _ in range(steps):
                    training.take(batch, 0.001)
                times.append((time.perf_counter() - began) / steps * 1e6)
        for way, times in found.items():
            print(f"{'-'.join(map(str, widths)):16} batch {examples:4} {way:9} {spread(times, 'µs', 0)}")


if __name__ == "__main__":
    main()
