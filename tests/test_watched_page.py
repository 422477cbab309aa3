"""A drawing that is watched while a run learns: from the checkbox on Train model to its answers at any look."""

import json

import numpy as np
import pytest
import torch

from core.figures.learning import tinted
from core.figures.pictures import data_uri
from core.runs import Look, Metric
from core.runs.execute import execute
from core.settings import Settings
from core.training import Started
from pages.parts.shell import keys
from tests.helpers import tiny
from tests.opened_pages import bars, whole
from tests.test_draw_page import on_canvas, strokes
from tests.test_pages import click, page, runs  # noqa: F401 (runs is a fixture)

TRAIN = "pages/train_model.py"


def components(at) -> list[dict]:
    """What our own components on the page were given."""
    shown = [json.loads(one.proto.json or "null") for one in at.main.get("bidi_component")]
    return [one for one in shown if isinstance(one, dict)]


DRAWING = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(3))


def with_drawing(drawing: torch.Tensor | None, **changes):
    """Train model in a session that has drawn something, and settings of a run of a second."""
    at = page(TRAIN)
    at.session_state[keys.DRAWING] = drawing
    at.session_state[keys.DRAFT] = tiny(**changes).model_dump(mode="json")
    return whole(at.run())


@pytest.mark.parametrize("wanted", [True, False])
def test_the_drawing_goes_with_the_run_if_it_is_wanted(runs, wanted):  # noqa: F811
    at = with_drawing(DRAWING)
    if not wanted:
        at.checkbox(key="train.watch").uncheck().run()
    click(at, "train.start")
    [run] = runs.runs()
    kept = runs.watched(run.id)
    assert torch.equal(kept, DRAWING[None]) if wanted else kept is None


def test_another_drawing_is_another_run(runs):  # noqa: F811
    at, counts = with_drawing(DRAWING), []
    for drawing in (DRAWING, DRAWING, 1 - DRAWING):
        at.session_state[keys.DRAWING] = drawing
        click(at.run(), "train.start")
        counts.append(len(runs.runs()))
    assert counts == [1, 1, 2]


@pytest.mark.parametrize(("drawing", "changes"), [
    (None, {}), (DRAWING, {"data__dataset": "circle"}), (torch.rand(3, 32, 32), {})])
def test_what_a_run_cannot_watch_is_not_offered(runs, drawing, changes):  # noqa: F811
    at = with_drawing(drawing, **changes)
    assert "train.watch" not in {one.key for one in at.checkbox}


def test_the_answer_is_shown_at_every_look(runs):  # noqa: F811
    settings = Settings.from_environment()
    run = runs.create_running(tiny(training__epochs=2), "someone", "here", "A watched run", watch=DRAWING[None])
    run = execute(runs, run, settings)
    assert run.status == "finished", run.message
    looks = runs.looks(run.id, "watch")
    assert looks[0].step == 0 and looks[-1].step == run.step and len(looks) >= 3
    at = whole(page(TRAIN, run.id))
    for place in (len(looks) - 1, 0, 1):
        [slider] = at.select_slider
        slider.set_value(looks[place].step).run()
        whole(at)
        [shown] = [one for one in bars(at) if one["title"].startswith("It says")]
        answers = looks[place].arrays["watched"][0]
        assert shown["title"] == f"It says: {answers.argmax()}"
        told = " ".join(one.value for one in at.caption)
        assert f"step {looks[place].step:,} ·" in told and f"its answers at step {looks[place].step:,}." in told
        [filters] = [one for one in components(at) if one.get("label", "").startswith("Weights of the first layer")]
        expected = torch.from_numpy(tinted(looks[place].arrays["filters"], dark=False))  # as Home plays them
        assert [item["src"] for item in filters["items"]] == [data_uri(image) for image in expected] and len(expected) == 8


def test_a_damaged_drawing_is_no_harm(runs):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", "A watched run", watch=DRAWING[None])
    (runs.folder(run.id) / "watched.safetensors").write_bytes(b"not a tensor")
    run = execute(runs, run, Settings.from_environment())
    assert run.status == "finished" and runs.looks(run.id, "watch") == []
    at = whole(page(TRAIN, run.id))
    assert not [one for one in bars(at) if one["title"].startswith("It says")]


def test_from_a_drawing_to_the_run_that_watches_it(runs):  # noqa: F811
    run = execute(runs, runs.create_running(tiny(), "someone", "here", "A first run"), Settings.from_environment())
    at = page("pages/draw_digit.py", run.id)
    assert "draw.watch" not in {one.key for one in at.button}, "there is nothing to watch yet"
    at = on_canvas(at, strokes(7))
    click(at, "draw.watch")
    [started] = [one for one in runs.runs() if one.id != run.id]
    assert started.config == run.config and torch.equal(runs.watched(started.id)[0], at.session_state[keys.DRAWING])


def test_while_it_goes_the_newest_look_is_shown_and_in_a_pause_any(runs):  # noqa: F811
    """The answer is for 3 at step 0 and for 8 at step 5."""
    run = runs.create_running(tiny(), "someone", "here", "A watched run", watch=DRAWING[None])
    looks = [Look("watch", step, 1, step / 10, {
        "watched": torch.eye(10)[said][None].numpy(), "examples": torch.eye(10).numpy(), "filters": np.zeros((0, 0, 0), np.uint8),
        "positions": np.arange(10, dtype=np.int32), "labels": np.arange(10, dtype=np.int32)}) for step, said in ((0, 3), (5, 8))]
    runs.begin(run.id, Started(20, 20, 100, "cpu", "float32"))
    runs.record(run.id, [Metric("loss", 1, 2.0)], looks=looks, step=5)

    def answer(at):
        return next(one["title"] for one in bars(whole(at)) if one["title"].startswith("It says"))

    at = page(TRAIN, run.id)
    assert answer(at) == "It says: 8" and not at.select_slider
    runs.set_pause(run.id, True)
    at = page(TRAIN, run.id)
    assert answer(at) == "It says: 8"
    assert answer(at.select_slider[0].set_value(0).run()) == "It says: 3"
