"""Memory of the pages Evaluate, Why and Draw when many runs are visited: python -m benchmarks.visited_memory [--runs 50].

Needs MNIST below PLAYGROUND_DATA. Short runs of several networks are trained into a folder of their own and laid there many times
over. Then one visitor looks at each of them: on Evaluate every section that asks nothing of the network, the Why views below its
images, and on Draw a drawing with two models beside it. The pages run in this process as Streamlit runs them (its AppTest), with
the same caches; printed is what the process holds after so many runs, and of that what is its own and no mapped file.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.sync.client import ClientConnection

from benchmarks.conditions import conditions
from benchmarks.drawing_speed import canvas_url, messages
from benchmarks.page_latency import app_process, session
from core.config import RunConfig
from core.presets import PRESETS
from core.runs import Run, RunStore
from core.runs.execute import execute
from core.settings import Settings
from pages.parts.explain.section import CHANGE, MAPS, NEAREST

SECTIONS = ("Overview", "Numbers", "Confusion", "Thresholds", "Calibration", "Images", "Compare two")
SHORT = {"training.epochs": 1, "training.batch_size": 64, "data.fraction": 0.01, "data.validation": 1000}
TEN = {"data.task": "classes", "training.loss": "cross_entropy"}
# the network and for how many of ten runs
KINDS = {"mnist-mlp-50": (PRESETS["mnist-mlp-50"].config, 5), "mnist-is-8-cnn": (PRESETS["mnist-is-8-cnn"].config, 1),
         "the CNN with ten outputs": (PRESETS["mnist-is-8-cnn"].config.with_values(TEN), 3),
         "resnet18": (PRESETS["mnist-mlp-50"].config.with_values({"model.architecture": "resnet18"}), 1)}


def held(pid: int) -> str:
    """What a process holds and what of it is no file, in words."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    whole, own = (int(lines[name].split()[0]) / 1000 for name in ("VmRSS", "RssAnon"))
    return f"{whole:.0f} MB, {own:.0f} MB of them its own"


class Visitor:
    """One browser tab: pages are asked for over Streamlit's websocket, and buttons in rows are pressed by their words."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.rows: dict[str, tuple[str, list[str]]] = {}  # first option → widget id and options
        self.canvas = ""

    def see(self, page: str, run: str, drawing: str = "", **pressed: str) -> None:
        """Run a page with a drawing on the canvas; `pressed`: first option of a row of buttons → the one to press."""
        ask = BackMsg()
        ask.rerun_script.page_name, ask.rerun_script.query_string = page, f"run={run}"
        for first, option in pressed.items():
            widget, options = self.rows[first.replace("_", " ")]
            assert option in options, (option, options)
            ask.rerun_script.widget_states.widgets.add(id=widget).string_array_value.data.append(option)
        if drawing:
            sheet = ask.rerun_script.widget_states.widgets.add(id=self.canvas)
            sheet.json_value = json.dumps({"drawing": {"raw": {"objects": [{}]}, "data": drawing}, "backgroundFit": None})
        for message in messages(self.connection, ask):
            element = message.delta.new_element
            if element.WhichOneof("type") == "button_group":
                words = [option.content for option in element.button_group.options]
                self.rows[words[0]] = (element.button_group.id, words)
            elif element.WhichOneof("type") == "bidi_component" and page == "draw_digit":
                self.canvas = self.canvas or element.bidi_component.id


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


def visit(visitor: Visitor, run: str, drawing: str) -> None:
    """Every section of Evaluate, why one image was answered so, and a drawing with its map of robustness."""
    visitor.see("evaluate_model", run)
    for section in SECTIONS[1:]:
        visitor.see("evaluate_model", run, Overview=section)
    for view in (MAPS, NEAREST, CHANGE):
        visitor.see("evaluate_model", run, **{"Overview": "Images", MAPS: view})
    visitor.see("draw_digit", run)
    visitor.see("draw_digit", run, drawing)
    for section in ("Move, turn, stretch it", "Why this answer"):
        visitor.see("draw_digit", run, drawing, **{"What the network sees": section})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = replace(Settings.from_environment(), runs_dir=Path(folder), workers=0)
        os.environ |= {"PLAYGROUND_RUNS": folder, "PLAYGROUND_WORKERS": "0"}
        if not os.fork():  # training leaves memory behind that this process needs not
            torch.set_num_threads(1)
            made = make_runs(RunStore(settings.runs_dir), settings, args.runs)
            (Path(folder) / "ids").write_text("\n".join(made), encoding="utf-8")
            os._exit(0)
        os.wait()
        measure(Path(folder), (Path(folder) / "ids").read_text(encoding="utf-8").split())


def measure(folder: Path, runs: list[str]) -> None:
    """Visit them all and say what the server holds on the way."""
    drawing = canvas_url(7, 16)
    with app_process(folder, workers=0) as (port, pid), session(port) as connection:
        visitor, start = Visitor(connection), time.perf_counter()
        visitor.see("", runs[0])
        print(f"Home: {held(pid)}")
        visitor.see("evaluate_model", runs[0])
        visitor.see("draw_digit", runs[0])
        print(f"Evaluate and Draw opened: {held(pid)}")
        for place, run in enumerate(runs, 1):
            visit(visitor, run, drawing)
            if place in {1, 2, 5} or place % 10 == 0:
                print(f"{place:>3} runs visited: {held(pid)}; {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
