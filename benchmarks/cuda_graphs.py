"""Training steps recorded and replayed, beside plain ones, on a CUDA GPU: python -m benchmarks.cuda_graphs [--rounds 3].

The same run in turn, with CUDA graphs and without, each in a process of its own as a training process is. Printed are seconds for
each epoch but the first, in which recording is decided on, the test accuracy, and what failed, if anything. Needs MNIST.
"""

import argparse
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.conditions import add_busy, as_in_the_app, beside, conditions, in_own_process, keeping_busy, spread
from core.data import DataError
from core.devices import select_device
from core.evaluation import evaluate
from core.presets import preset
from core.process import configure_training_process
from core.settings import Settings
from core.training import Epoch, Fallback, Shortcuts, fit, prepare

PRESETS = {"mnist-mlp-50": 5, "mnist-cnn-fast": 4}  # epochs


@dataclass(frozen=True)
class Trained:
    seconds: list[float]  # of each epoch but the first
    accuracy: float  # percent
    failed: list[str]


def train(name: str, epochs: int, graphs: bool) -> Trained:
    """In a process of its own."""
    configure_training_process()
    settings, device = Settings.from_environment(), select_device()
    config = preset(name).config.with_values({"training.epochs": epochs})
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    config = as_in_the_app(config, data, model, device)
    events = list(fit(config, data, model, device, shortcuts=Shortcuts(device, graphs=graphs)))
    return Trained([event.seconds for event in events if isinstance(event, Epoch)][1:],
                   100 * (evaluate(model, data, config).accuracy or 0), [e.line for e in events if isinstance(e, Fallback)])


def compare(name: str, epochs: int, rounds: int) -> None:
    """One preset with graphs and without, in turn, and what came out."""
    found: dict[bool, list[Trained]] = {True: [], False: []}
    for _ in range(rounds):
        for graphs, runs in found.items():
            runs.append(in_own_process(train, name, epochs, graphs))
    seconds = {graphs: [value for run in runs for value in run.seconds] for graphs, runs in found.items()}
    for graphs, title in ((True, "with graphs"), (False, "without")):
        print(f"{name:<16} {title:<12} {spread(seconds[graphs], 's/epoch', 3)}; test accuracy mean "
              f"{mean(run.accuracy for run in found[graphs]):.2f} %")
    print(f"{name:<16} ratio {median(seconds[False]) / median(seconds[True]):.2f}")
    for line in {line for runs in found.values() for run in runs for line in run.failed}:
        print(f"{name:<16} {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    add_busy(parser)
    asked = parser.parse_args()
    if select_device().type != "cuda":
        raise SystemExit("There is no CUDA GPU here.")
    print(conditions())
    print(beside(asked.busy, asked.busy_tab))
    with keeping_busy(asked.busy, asked.busy_tab):
        for name, epochs in PRESETS.items():
            try:
                compare(name, epochs, asked.rounds)
            except DataError as error:
                raise SystemExit(f"MNIST is needed in PLAYGROUND_DATA: {error}") from None


if __name__ == "__main__":
    main()
