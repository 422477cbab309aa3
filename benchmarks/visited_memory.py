"""Memory of the pages Evaluate, Why and Draw when many runs are visited: python -m benchmarks.visited_memory [--runs 50].

Needs MNIST below PLAYGROUND_DATA. Short runs of several networks are trained into a folder of their own and laid there many times
over. Then one visitor looks at each of them: on Evaluate every section that asks nothing of the network, the Why views below its
images, and on Draw a drawing with two models beside it. The pages run in this process as Streamlit runs them (its AppTest), with
the same caches; printed is what the process holds after so many runs, and of that what is its own and no mapped file.
"""

import argparse
import gc
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from streamlit.testing.v1 import AppTest

from benchmarks.conditions import conditions
from core.config import RunConfig
from core.presets import PRESETS
from core.runs import Run, RunStore
from core.runs.execute import execute
from core.settings import Settings
from pages.parts import keys
from pages.parts.draw_robustness import robustness_section
from pages.parts.why_view import CHANGE, MAPS, NEAREST

ROOT = Path(__file__).parents[1]
SECTIONS = ("Overview", "Confusion", "Thresholds", "Calibration", "Images", "Compare two")
SHORT = {"training.epochs": 1, "training.batch_size": 64, "data.fraction": 0.01, "data.validation": 1000}
TEN = {"data.task": "classes", "training.loss": "cross_entropy"}
# the network and for how many of ten runs
KINDS = {"mnist-mlp-50": (PRESETS["mnist-mlp-50"].config, 5), "mnist-is-8-cnn": (PRESETS["mnist-is-8-cnn"].config, 1),
         "the CNN with ten outputs": (PRESETS["mnist-is-8-cnn"].config.with_values(TEN), 3),
         "resnet18": (PRESETS["mnist-mlp-50"].config.with_values({"model.architecture": "resnet18"}), 1)}


def memory() -> tuple[float, float]:
    """What this process holds and what of it is no file, in MB; NaN where the system does not tell."""
    gc.collect()
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024, int(lines["RssAnon"].split()[0]) / 1024
    except (OSError, KeyError):
        return float("nan"), float("nan")


def laid_again(store: RunStore, run: Run, title: str) -> str:
    """The same run once more, under an id of its own."""
    again = store.create_running(run.config, "benchmark", "here", title)
    shutil.copytree(store.folder(run.id), store.folder(again.id), dirs_exist_ok=True)  # keeps the times of the weights
    store.finish(again.id, "finished", "", run.test_accuracy, run.test_loss, run.seconds)
    return again.id


def make_runs(store: RunStore, settings: Settings, count: int) -> list[str]:
    """Ids of so many runs, in an order that mixes the kinds."""
    trained: list[Run] = []
    for name, (config, share) in KINDS.items():
        run = execute(store, store.create_running(short(config), "benchmark", "here", name), settings)
        assert run.status == "finished", run.message
        trained += [run] * share
    return [laid_again(store, trained[place * 3 % len(trained)], f"run {place}") for place in range(count)]


def short(config: RunConfig) -> RunConfig:
    return config.with_values(SHORT)


def shown(page: AppTest) -> None:
    """Run the page; what went wrong ends the benchmark."""
    page.run()
    assert not page.exception, page.exception


def visit(evaluate: AppTest, run_id: str, other: str) -> None:
    """Every section of Evaluate, and why one image was answered so."""
    evaluate.query_params["run"] = run_id
    for section in SECTIONS:
        evaluate.session_state["evaluate.section"] = section
        evaluate.session_state["evaluate.second"] = other if section == "Compare two" else ""
        shown(evaluate)
    evaluate.session_state["evaluate.section"] = "Images"
    for view in (MAPS, NEAREST, CHANGE):
        evaluate.session_state["evaluate.why.view"] = view
        shown(evaluate)
    evaluate.session_state["evaluate.why.view"] = None


def draw() -> None:
    """What Draw does with a drawing: the models' answers, how unlike, and one map of robustness."""
    import numpy as np
    import streamlit as st

    from core.data.drawing import prepare
    from pages.parts.draw_answers import answer_of, ask, usable_runs
    from pages.parts.frame import open_page
    from pages.parts.services import services

    open_page("Draw")
    server = services()
    runs = usable_runs(server)
    pixels = np.full((280, 280, 4), 255, np.uint8)
    pixels[60:220, 130:150, :3] = 0
    drawing = prepare(pixels)
    models = [ask(server, runs, run_id) for run_id in st.session_state["chosen"]]
    for asked in models:
        answer_of(asked, drawing)
    st.session_state["section"](models, drawing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = replace(Settings.from_environment(), runs_dir=Path(folder), workers=0)
        os.environ |= {"PLAYGROUND_RUNS": folder, "PLAYGROUND_WORKERS": "0"}
        if not os.fork():  # training leaves memory behind that no server has
            torch.set_num_threads(1)
            store = RunStore(settings.runs_dir)
            (Path(folder) / "ids").write_text("\n".join(make_runs(store, settings, args.runs)))
            os._exit(0)
        os.wait()
        measure((Path(folder) / "ids").read_text().split())


def measure(runs: list[str]) -> None:
    """Visit them all and say what is held on the way."""
    evaluate = AppTest.from_file(str(ROOT / "pages/evaluate_model.py"), default_timeout=300)
    drawing = AppTest.from_function(draw, default_timeout=300)
    drawing.session_state["section"] = robustness_section
    before, start, place = memory(), time.perf_counter(), 0
    print(f"before any page: {before[0]:.0f} MB, {before[1]:.0f} MB of them its own")
    evaluate.query_params["run"] = runs[0]
    evaluate.session_state["evaluate.section"] = "Overview"
    shown(evaluate)
    print("the page Evaluate opened: {:.0f} MB, {:.0f} MB its own".format(*memory()))
    for place, run_id in enumerate(runs, 1):
        visit(evaluate, run_id, runs[place % len(runs)])
        drawing.session_state["chosen"] = [run_id, runs[place % len(runs)], runs[(place + 1) % len(runs)]]
        drawing.session_state[keys.RUN] = run_id
        shown(drawing)
        if place in {1, 2, 5} or place % 10 == 0:
            held = memory()
            print(f"{place:>3} runs visited: {held[0]:.0f} MB, {held[1]:.0f} MB its own; {time.perf_counter() - start:.0f} s",
                  flush=True)


if __name__ == "__main__":
    main()
