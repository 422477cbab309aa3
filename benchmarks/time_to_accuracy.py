"""Time until a network is as good as the classic notes' one: python -m benchmarks.time_to_accuracy [--only mlp] [--busy-tab].

MLP, 784-50-10: the notes train for 10 epochs and report 97.14 %. Ours is the same network with a larger learning rate that
rises and falls (one cycle), batches of 128 and normalised pixels; its settings were chosen by validation accuracy. CNN: the
notes' loop until its network first gets 99.0 % of the test images right, looking after each epoch (looking is not counted);
ours is the preset mnist-cnn-fast, one epoch. Digits: the preset digits-quick, of which no notes tell; its aim is one of
seconds. Ours is timed whole: fit() from its first to its last event, validation included. Each training has a process of its
own, ours settled as the app's training processes are; on a GPU it has done the same run once before it is timed, as what a GPU
loads and chooses the first time is no training. --busy keeps so many other processes busy, --busy-tab a Chromium's tab that takes
three quarters of a core: beside both sides. Needs MNIST.
"""

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.conditions import as_in_the_app, beside, conditions, in_own_process, keeping_busy, spread, threads_in_the_app
from benchmarks.training_speed import SYSTEMS, NotesCNN, NotesMLP, train_as_notes, unpacked
from core.config import AdamConfig, DataConfig, OneCycleConfig, RunConfig, TrainingConfig
from core.data import DataError, load
from core.devices import select_device
from core.evaluation import evaluate
from core.models import MLPConfig
from core.presets import PRESETS
from core.process import configure_training_process
from core.settings import Settings
from core.training import Epoch, build_for, fit

MOST_EPOCHS = 8  # of the notes' CNN loop, should it not get there
FAST_MLP = RunConfig(
    data=DataConfig(normalization="standard"), model=MLPConfig(hidden=(50,)),
    training=TrainingConfig(optimizer=AdamConfig(learning_rate=0.01), schedule=OneCycleConfig(), batch_size=128, epochs=3))
AIMS = {"mlp": (97.14, 25.0), "cnn": (99.0, 10.0)}  # percent of the test images, times the notes' loop
# aims by network and kind of device: quiet, beside a browser
SECONDS = {("cnn", "cpu"): (2.2, 3.0), ("digits", "cpu"): (3.0, 3.0), ("cnn", "cuda"): (0.7, None)}


def ours(config: RunConfig, settings: Settings, seed: int) -> tuple[float, float, float]:
    """Seconds, validation and test accuracy in percent of one run."""
    configure_training_process()  # first of all, as a worker does: threads that are there already stay as they were
    config = config.with_values({"training.seed": seed})
    data = load(config.data, settings.data_dir, settings.cache_dir)
    model = build_for(config, data)
    device = select_device()
    config = as_in_the_app(config, data, model, device)  # once for each kind of network and machine, so not timed
    if device.type != "cpu":
        for _ in fit(config, data, copy.deepcopy(model), device, threads=threads_in_the_app(model, device)):
            pass
    began = time.perf_counter()
    events = fit(config, data, model, device, threads=threads_in_the_app(model, device))
    *_, last = (event for event in events if isinstance(event, Epoch))
    seconds = time.perf_counter() - began
    return seconds, 100 * (last.validation_accuracy or 0), 100 * (evaluate(model, data, config).accuracy or 0)


def notes(name: str, settings: Settings, root: Path, seed: int) -> tuple[float, float, int]:
    """Seconds of the notes' loop until it is done (MLP: 10 epochs, of which two are timed), test accuracy, epochs."""
    system = SYSTEMS[name]
    data = load(system.config.data, settings.data_dir, settings.cache_dir)
    model = NotesMLP() if name == "mlp" else NotesCNN()
    model.load_state_dict(build_for(system.config.with_values({"training.seed": seed}), data).state_dict())
    if name == "mlp":
        two = system.config.with_values({"training.epochs": 2})
        seconds = train_as_notes(type(system)(system.title, two, system.aim), model, data.train.rows, root, seed)
        return 10 * statistics.mean(clock for clock, _ in seconds), 100 * (evaluate(model, data, system.config).accuracy or 0), 10
    one = type(system)(system.title, system.config.with_values({"training.epochs": 1}), system.aim)
    total, accuracy = 0.0, 0.0
    for epoch in range(1, MOST_EPOCHS + 1):  # Adam starts anew each epoch here, which if anything helps it a little
        total += sum(clock for clock, _ in train_as_notes(one, model, data.train.rows, root, 100 * seed + epoch))
        accuracy = 100 * (evaluate(model, data, system.config).accuracy or 0)
        if accuracy >= AIMS["cnn"][0]:
            break
    return total, accuracy, epoch


def seconds_aim(name: str, device: str, busy: bool) -> float | None:
    """How long ours may take on a device of that kind, if that has been said."""
    return SECONDS.get((name, device), (None, None))[busy]


def line(ours: list[tuple[float, float, float]], aim: float | None) -> str:
    """Seconds and accuracies of our trainings, one for each seed."""
    seconds, validation, test = zip(*ours, strict=True)
    return (f"  ours         {spread(list(seconds), 's')}{'' if aim is None else f', aim {aim:g} s'}; test accuracy mean "
            f"{statistics.mean(test):.2f} % of {len(ours)} seeds ({', '.join(f'{a:.2f}' for a in test)}), validation mean "
            f"{statistics.mean(validation):.2f} %")


def digits(settings: Settings, seeds: int, aim: float | None) -> None:
    """digits-quick, which has no notes to stand beside."""
    config = PRESETS["digits-quick"].config
    print("\ndigits: digits-quick, trained to its end")
    print(line([in_own_process(ours, config, settings, seed) for seed in range(seeds)], aim))


def compare(name: str, settings: Settings, root: Path, seeds: int, notes_seeds: int, most_seconds: float | None) -> None:
    """Ours and the notes' in turn, and what came out."""
    config = FAST_MLP if name == "mlp" else PRESETS["mnist-cnn-fast"].config
    theirs, mine = [], []
    for seed in range(seeds):
        mine.append(in_own_process(ours, config, settings, seed))
        if seed < notes_seeds:
            theirs.append(in_own_process(notes, name, settings, root, seed, plain=True))
    wanted, aim = AIMS[name]
    test = [accuracy for _, _, accuracy in mine]
    ratio = statistics.median(their[0] for their in theirs) / statistics.median(seconds for seconds, _, _ in mine)
    print(f"\n{name}: time to {wanted:g} % of the test images")
    how = "10 epochs, from two that were timed" if name == "mlp" else f"epochs {', '.join(str(their[2]) for their in theirs)}"
    print(f"  notes' loop  {spread([their[0] for their in theirs], 's')} ({how}; test accuracy then "
          f"{', '.join(f'{their[1]:.2f}' for their in theirs)} %)")
    print(line(mine, most_seconds))
    reached = "reached" if statistics.mean(test) >= wanted else "not reached"
    print(f"  ratio {ratio:.1f}× (aim {aim:g}×); mean test accuracy {reached}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*AIMS, "digits"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--notes-seeds", type=int, default=2)
    parser.add_argument("--busy", type=int, default=0, help="other processes that compute without a pause")
    parser.add_argument("--busy-tab", action="store_true", help="a browser's tab that keeps three quarters of a core busy")
    args = parser.parse_args()
    settings = Settings.from_environment()
    busy, device = bool(args.busy or args.busy_tab), select_device().type
    print(conditions())
    print(beside(args.busy, args.busy_tab))
    if device != "cpu":
        print(f"ours on {device}: timed after the same run has been done once")
    try:
        with tempfile.TemporaryDirectory() as folder, keeping_busy(args.busy, args.busy_tab):
            if args.only in (None, "digits"):
                digits(settings, args.seeds, seconds_aim("digits", device, busy))
            if args.only == "digits":
                return
            root = unpacked(settings, Path(folder))
            for name in AIMS:
                if args.only in (None, name):
                    compare(name, settings, root, args.seeds, args.notes_seeds, seconds_aim(name, device, busy))
    except (DataError, OSError) as error:
        raise SystemExit(f"MNIST is needed in PLAYGROUND_DATA: {error}") from None


if __name__ == "__main__":
    main()
