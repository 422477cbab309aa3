"""The wall of a lesson while a class trains: python -m benchmarks.wall [--runs 30] [--steps 2000] [--drawings 20].

Makes a runs folder in which so many pupils train a run each, with so many steps recorded, and asks the app for the lesson's wall
again and again over Streamlit's own websocket, while each of them records more between two drawings: milliseconds from the
request to the end of the script, which is the server's share, and how much of it the server computes. A whole page is asked for;
what is drawn anew every two seconds is a part of it. Beside it, the parts of the work by themselves: runs, names and counts read;
dots; curves; what the doctor looks at. As a baseline, the same page where nobody has trained.
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

from websockets.sync.client import ClientConnection

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import answered, app_process, computed, session
from core.actors import LOCAL, Actor
from core.figures.wall import curves, dots
from core.lessons import Lesson, keep_lesson
from core.presets import PRESETS
from core.runs import Metric, RunStore
from core.runs.wall import Doctor, read_wall
from core.training import Started

PRESET, RATE, PER_EPOCH = "mnist-mlp-50", "training.optimizer.learning_rate", 400
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
AIM = 150  # ms


def begin(store: RunStore, code: str, runs: int, steps: int) -> list[str]:
    """So many runs of as many people that train, with so many steps done."""
    ids = []
    for number in range(runs):
        pupil = Actor(f"{number:032x}", "visitor")
        config = PRESETS[PRESET].config.with_values({RATE: RATES[number % len(RATES)], "training.seed": number})
        store.as_actor(pupil).in_lesson(code).create(config, pupil.key)
        store.as_actor(pupil).keep_name(code, pupil.key, f"Pupil {number}")
        store.as_actor(pupil).keep_prediction(code, pupil.key, "tensors.ask_create", number % 3)
        run = store.claim("benchmark")
        assert run is not None
        store.begin(run.id, Started(PER_EPOCH, 2 * steps, 39_760, "cpu", "float32"))
        record(store, run.id, number, 1, steps)
        ids.append(run.id)
    return ids


def record(store: RunStore, run_id: str, number: int, first: int, last: int) -> None:
    """Steps from first to last, with all that a training process records."""
    metrics = []
    for step in range(first, last + 1):
        loss = 2.3 * math.exp(-step / 400) + 0.1 * math.sin(step * (number + 1)) + 0.2
        metrics += [Metric("loss", step, loss), Metric("accuracy", step, 1 - loss / 3), Metric("learning_rate", step, 0.01)]
        if step % 10 == 0:
            metrics += [Metric(f"gradient.{layer}", step, loss) for layer in ("fc1", "fc2")]
        if step % PER_EPOCH == 0:
            metrics += [Metric(f"{part}_{what}", step, loss if what == "loss" else 1 - loss / 3)
                        for part in ("train", "validation") for what in ("loss", "accuracy")]
    store.record(run_id, metrics, step=last, epoch=last // PER_EPOCH, validation_accuracy=0.9)


def drawings(connection: ClientConnection, pid: int, store: RunStore, code: str, ids: list[str], steps: int, count: int) -> None:
    """The page again and again, while all of them go on."""
    times, used, sent = [], [], 0
    for number in range(count + 2):  # the first ones import what they need, and meet the doctor's first looks
        for place, run_id in enumerate(ids):
            record(store, run_id, place, steps + 10 * number + 1, steps + 10 * number + 10)
        before = computed(pid)
        took, sent = answered(connection, "lesson_wall", f"wall={code}")
        times.append(took)
        used.append(computed(pid) - before)
    print(f"  the page, {len(ids):>2} runs that train: {spread(times[2:], 'ms', 0)} (aim: ≤ {AIM} ms), of the processor "
          f"{statistics.mean(used[2:]):.0f} ms; {sent / 1000:.0f} kB")


def parts(store: RunStore, code: str, ids: list[str], steps: int, count: int) -> None:
    """The work by itself, in this process."""
    doctor, found = Doctor(), {"runs, names, counts and the doctor": [], "dots": [], "curves": []}
    for number in range(count):
        for place, run_id in enumerate(ids):
            record(store, run_id, place, 2 * steps + number + 1, 2 * steps + number + 1)
        start = time.perf_counter()
        wall = read_wall(store, code, doctor)
        middle = time.perf_counter()
        dots(wall, RATE)
        drawn = time.perf_counter()
        curves(store, wall)
        for part, took in zip(found.values(), (middle - start, drawn - middle, time.perf_counter() - drawn), strict=True):
            part.append(took)
    for name, seconds in found.items():
        print(f"    {name}: {spread([1000 * one for one in seconds[1:]], 'ms', 1)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--steps", type=int, default=2000, help="of each run before the first drawing")
    parser.add_argument("--drawings", type=int, default=20)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = RunStore(folder)
        code, empty = keep_lesson(Lesson(), folder, LOCAL), keep_lesson(Lesson(), folder, LOCAL)
        ids = begin(store, code, args.runs, args.steps)
        with app_process(folder, workers=0) as (port, pid), session(port) as connection:
            nothing = [answered(connection, "lesson_wall", f"wall={empty}")[0] for _ in range(args.drawings + 2)]
            print(f"  the page, baseline without runs: {spread(nothing[2:], 'ms', 0)}")
            drawings(connection, pid, store, code, ids, args.steps, args.drawings)
        parts(store, code, ids, args.steps, args.drawings)
        store.close()


if __name__ == "__main__":
    main()
