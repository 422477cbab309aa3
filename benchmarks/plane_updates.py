"""The 2-D lab's updates a second: `python -m benchmarks.plane_updates [--rounds 7]`.

fit(), a whole run as the worker does it, store and checkpoints included, and a loop in plain PyTorch with the same
network, optimizer, batches and a look at the validation points after each epoch, in turn on one thread. The aim is 20,000 updates
a second by fit(). Processor seconds stand beside those of the clock: on a busy machine only they say something.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from benchmarks.conditions import conditions, spread
from core.config import RunConfig
from core.data import load
from core.process import configure_training_process
from core.runs import RunStore
from core.runs.execute import StoreControl, execute
from core.settings import Settings
from core.training import Step, build_for, fit
from pages.parts.learn.decision_boundary.config import FIRST

CPU = torch.device("cpu")
UPDATES: dict[str, dict[str, object]] = {
    "as the lab begins": {},
    "2-8-2, cross-entropy, 500 points": {"model.hidden": [8], "training.loss": "cross_entropy", "data.points": 500},
    "the same by Adam": {"model.hidden": [8], "training.loss": "cross_entropy", "data.points": 500,
                         "training.optimizer": {"name": "adam"}},
    "six layers of 8": {"model.hidden": [8] * 6},
}


def by_pytorch(config: RunConfig) -> int:
    """The updates of a loop as one writes it; SGD or Adam, cross-entropy or binary cross-entropy on logits."""
    data, training = load(config.data, Path("none")), config.training
    model = build_for(config, data)
    kind = torch.optim.SGD if training.optimizer.name == "sgd" else torch.optim.Adam
    optimizer, updates = kind(model.parameters(), training.optimizer.learning_rate), 0
    (points, labels), (held_out, answers) = (split.take(torch.arange(len(split))) for split in (data.train, data.validation))

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if training.loss == "cross_entropy":
            return F.cross_entropy(model(x), y)
        return F.binary_cross_entropy_with_logits(model(x)[:, 0], y.float())

    losses = []
    for _ in range(training.epochs):
        for rows in torch.randperm(len(points)).split(training.batch_size):
            optimizer.zero_grad()
            loss = loss_of(points[rows], labels[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            updates += 1
        with torch.no_grad():
            losses.append(loss_of(held_out, answers))
    torch.stack(losses).tolist()
    return updates


def by_fit(config: RunConfig) -> int:
    data = load(config.data, Path("none"))
    return sum(isinstance(event, Step) for event in fit(config, data, build_for(config, data), CPU))


def by_worker(config: RunConfig) -> int:
    """What a worker does with a run, from its row in the store to its test accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "data", Path(folder) / "runs", Path(folder), 1)
        store = RunStore(settings.runs_dir)
        run = store.create_running(config, "benchmark", "here", title="benchmark")
        updates = execute(store, run, settings, StoreControl(store, run.id, threading.Event())).step
        store.close()
    return updates


def updates(rounds: int) -> None:
    """Print how many each of the ways does."""
    ways: dict[str, Callable[[RunConfig], int]] = {"plain PyTorch": by_pytorch, "fit()": by_fit, "worker": by_worker}
    for title, changes in UPDATES.items():
        config = FIRST.with_values({"training.epochs": 100, "training.device": "cpu"} | changes)
        clock, processor = ({way: [] for way in ways} for _ in range(2))
        for turn in range(rounds + 1):  # the first one warms up
            for way, train in ways.items():
                began, spent = time.perf_counter(), time.thread_time()
                count = train(config)
                if turn:
                    clock[way].append(count / (time.perf_counter() - began))
                    processor[way].append(count / (time.thread_time() - spent))
        for way in ways:
            print(f"{title}, {way}: {spread(clock[way], 'updates/s', 0)}; "
                  f"for each processor second {spread(processor[way], 'updates', 0)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    configure_training_process()
    torch.set_num_threads(1)
    print(conditions())
    updates(asked.rounds)


if __name__ == "__main__":
    main()
