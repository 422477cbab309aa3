"""The time slider, on the server's side: python -m benchmarks.time_slider [--presets digits-quick] [--epochs 2].

Trains each preset as the app does, at one number of threads, with moments and without, in turn, and prints what keeping them
takes of the run's time by the clock, what lies on disk, and whether the weights are the same in the end. Then it goes through the
moments as the page Go back in time does and prints how long the first picture takes (the aim is 500 ms), with the data and the
examples read and the axes worked out, and each further one (150 ms), of all that is shown unless --parts says less.

Last it asks the app for the page over Streamlit's own websocket, in a session of its own each time: milliseconds from the request
to the end of the script, first picture and all, on a server that has shown its Home and read no data, then with a moment that
nobody has looked at, which is more than a slider that is moved asks for. Presets whose data are not there are left out; their
epochs are few, as pictures of an early moment take as long as those of a late one. All of it takes about three minutes on two
cores.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app_process, computed, rerun, session
from core.config import RunConfig
from core.data import load, spec_of
from core.figures.moments import LIGHT, Shot, animation, panels
from core.inspection.moment import PARTS, WEIGHTS, axes_of, examples_of, look_at
from core.presets import PRESETS
from core.runs import Run, RunStore, load_model
from core.runs.execute import execute
from core.runs.moments import MomentKeeper, moments, read_moment
from core.settings import Settings

LOOK, WRITE = MomentKeeper.look, MomentKeeper.write
SHOWN = ("answers", "filters", "maps", "confusion", "map", WEIGHTS)


@dataclass
class Cost:
    """Seconds that copying and writing have taken, each; what writes because of a copy counts once."""

    seconds: list[float] = field(default_factory=list)
    inside: bool = False

    def timed(self, work, *given, **named):  # in the place of MomentKeeper's
        if self.inside:
            return work(*given, **named)
        self.inside, began = True, time.perf_counter()
        try:
            return work(*given, **named)
        finally:
            self.inside = False
            self.seconds.append(time.perf_counter() - began)


def train(store: RunStore, settings: Settings, config: RunConfig) -> Run:
    return execute(store, store.create_running(config, "benchmark", "here", "a benchmark's run"), settings)


def keeping(store: RunStore, settings: Settings, name: str, config: RunConfig, turns: int) -> Run:
    """Print what keeping moments costs one preset; the last run that has some."""
    train(store, settings, config.with_values({"training.epochs": 1}))  # what is slow the first time
    shares, with_them, without, counts = [], [], [], []
    for _ in range(turns):
        cost = Cost()
        MomentKeeper.look = lambda *given, cost=cost, **named: cost.timed(LOOK, *given, **named)
        MomentKeeper.write = lambda *given, cost=cost, **named: cost.timed(WRITE, *given, **named)
        run, bare = train(store, settings, config), train(store, settings, config.with_values({"training.moments": 0}))
        MomentKeeper.look, MomentKeeper.write = LOOK, WRITE
        shares.append(100 * sum(cost.seconds) / run.seconds)
        with_them.append(run.seconds)
        without.append(bare.seconds)
        kept = moments(store, run.id).kept
        counts.append(len(kept))
        a, b = (load_model(store, one.id).model.state_dict() for one in (run, bare))
        print(f"  {len(kept)} moments, {sum(moment.size for moment in kept) / 1e6:.1f} MB; weights "
              f"{'the same' if all(torch.equal(a[key], b[key]) for key in a) else 'NOT THE SAME'}, bit for bit", flush=True)
    print(f"{name}: keeping takes {spread(shares, '% of the run', 1)}; {spread(with_them, 's')} with, {spread(without, 's')} "
          f"without; {spread(counts, 'moments', 0)}", flush=True)
    return run


def looking(store: RunStore, settings: Settings, run: Run, parts: tuple[str, ...]) -> None:
    """Print how long its pictures take."""
    kept = moments(store, run.id).kept

    def picture(moment, examples, axes):
        return panels(look_at(read_moment(moment), examples, axes, parts), examples, axes, data.classes, LIGHT)

    firsts, first_computed = [], []
    for _ in range(3):
        began, computed = time.perf_counter(), time.process_time()
        data = load(run.config.data, settings.data_dir, settings.cache_dir)
        first, last = read_moment(kept[0]), read_moment(kept[-1])
        examples = examples_of(data, "test", last)
        axes = axes_of(last, first, examples, [part for part in parts if part == WEIGHTS])
        picture(kept[-1], examples, axes)
        firsts.append(1000 * (time.perf_counter() - began))
        first_computed.append(1000 * (time.process_time() - computed))
    each, each_computed, shots = [], [], []
    for moment in kept:
        began, computed = time.perf_counter(), time.process_time()
        found = picture(moment, examples, axes)
        each.append(1000 * (time.perf_counter() - began))
        each_computed.append(1000 * (time.process_time() - computed))
        shots.append(Shot(f"step {moment.step}", found))
    size = sum(len(panel.src) for panel in shots[-1].panels)
    print(f"  {len(examples.inputs)} examples; first picture {spread(firsts, 'ms', 0)} (aim: ≤ 500 ms); each further one "
          f"{spread(each, 'ms', 0)} (aim: ≤ 150 ms); {size / 1000:.0f} kB to the browser")
    print(f"  of that computed, whatever else the machine does: first {spread(first_computed, 'ms', 0)}, further "
          f"{spread(each_computed, 'ms', 0)}")
    for kind in ("webp", "gif"):
        began = time.perf_counter()
        content = animation(shots, "A run", kind)
        print(f"  as {kind}: {len(content) / 1e6:.2f} MB in {time.perf_counter() - began:.1f} s", flush=True)


def asking(store: RunStore, run: Run, most: int = 12) -> None:
    """Print how long the whole page takes."""
    steps = [moment.step for moment in moments(store, run.id).kept][-2::-1][:most]
    with app_process(store.path, 0) as (port, pid):
        with session(port) as connection:
            rerun(connection, "", "")
            rerun(connection, "compare_runs", "")
        times, worked = [], []
        for query in ("", *(f"&moment={step}" for step in steps)):
            with session(port) as connection:
                before = computed(pid)
                times.append(rerun(connection, "go_back", f"run={run.id}{query}"))
                worked.append(computed(pid) - before)
    print(f"  the whole page: at first {times[0]:.0f} ms, with another moment in a new session {spread(times[1:], 'ms', 0)}; of "
          f"the processor {worked[0]:.0f} and {sum(worked[1:]) / len(steps):.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=["digits-quick", "mnist-cnn-fast", "mnist-is-8-cnn"])
    parser.add_argument("--epochs", type=int, default=1, help="instead of the preset's; 0: the preset's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=1, help="of training with and without moments")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=SHOWN)
    asked = parser.parse_args()
    print(conditions())
    environment = Settings.from_environment()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(environment.data_dir, Path(folder) / "runs", environment.cache_dir, 1)
        store = RunStore(settings.runs_dir)
        for name in asked.presets:
            config = PRESETS[name].config
            config = config.with_values({"training.threads": asked.threads, "training.precision": "float32",
                                         "training.epochs": asked.epochs or config.training.epochs})
            if not spec_of(config.data.dataset).is_available(settings.data_dir):
                print(f"{name}: its data are not in {settings.data_dir}")
                continue
            run = keeping(store, settings, name, config, asked.turns)
            looking(store, settings, run, tuple(asked.parts))
            asking(store, run)
        store.close()


if __name__ == "__main__":
    main()
