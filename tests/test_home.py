"""Home: who answers a drawing, what a training shows of it, what can be done then, and what visitors and damage do to it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from core.data.drawing import prepare
from core.figures.learning import frame
from core.models import build
from core.presets import PRESETS
from core.runs import Look, Metric, load_model, shipped
from core.runs.checkpoints import Meaning, save_weights
from core.runs.execute import execute
from core.runs.ood_reference import reference_of
from core.runs.recording import RECORDING, read_recording
from core.runs.shipped import JUDGE, MODEL, first_model
from core.settings import Settings
from core.training import Checkpoint, Started
from core.wording import surely_before
from pages.parts.draw.shipped import shipped as shipped_model
from pages.parts.draw.shipped import shipped_judge
from pages.parts.home import answering, watching
from pages.parts.shell import keys
from tests.helpers import tiny
from tests.opened_pages import offers, said, whole
from tests.small_sets import write_small
from tests.strokes import draw as strokes
from tests.test_draw_page import on_canvas
from tests.test_pages import click, page, runs  # noqa: F401 (runs is a fixture)

DRAWING = prepare(strokes(7)).image
ASSETS = Path(shipped.CHECKOUT)


def shown(at) -> dict:
    """What the picture of Home was given."""
    [found] = [one for one in (json.loads(one.proto.json or "null") for one in at.main.get("bidi_component"))
               if isinstance(one, dict) and "content" in one]
    return found["content"][0]


def buttons(at) -> set[str]:
    return {button.key for button in at.button}


@pytest.fixture
def forgets(monkeypatch):
    """What the server has read of the shipped files is read again, before and after the test."""
    def clear() -> None:
        shipped_model.clear()
        shipped_judge.clear()
        watching.recording.clear()

    clear()
    yield
    clear()


def looks_of(*answers: int) -> list[Look]:
    """A look for each of the digits that are said to the watched image, 0.1 s apart."""
    return [Look("watch", step, 1, step / 10, {
        "watched": torch.eye(10)[digit][None].numpy(), "examples": torch.eye(10).numpy(),
        "filters": np.full((2, 5, 5), step, np.uint8),
        "positions": np.arange(10, dtype=np.int32), "labels": np.arange(10, dtype=np.int32),
        "loss": np.array([np.nan if step == 0 else 2 / step], np.float32)}) for step, digit in enumerate(answers)]


@pytest.fixture
def learned(runs):  # noqa: F811
    """A finished run of a second that was watched with a seven."""
    run = runs.create_running(tiny(training__epochs=2), "someone", "here", "A watched run", watch=DRAWING[None])
    run = execute(runs, run, Settings.from_environment())
    assert run.status == "finished", run.message
    return run


def ended(runs, name: str):  # noqa: F811
    """A run of a preset that was watched with a seven and has weights, though nobody has trained them."""
    run = runs.create_running(PRESETS[name].config, "someone", "here", name, watch=DRAWING[None])
    weights = build(run.config.model, (1, 28, 28), 10, seed=0).state_dict()
    meaning = Meaning(tuple(map(str, range(10))), (1, 28, 28), (0.0,), (1.0,))
    save_weights(runs, run.id, run.config, meaning, Checkpoint(1, 1, weights))
    runs.finish(run.id, "finished")
    return run


# --- before anything was trained

def test_a_new_visitor_sees_a_recording_and_is_told_who_will_answer(runs):  # noqa: F811
    at = whole(page())
    found = shown(at)
    assert found["bars"]["title"] == "Draw a digit" and found["bars"]["values"] == [None] * 10 and not found["bars"]["played"]
    model = first_model()
    assert f"{model.images:,} digits" in found["source"] and "may be wrong" in found["source"]
    play, recorded = found["play"], read_recording()
    assert play["id"] == "recording" and recorded.title in play["label"] and "Recording" in play["label"] and not play["live"]
    assert [one["step"] for one in play["frames"]] == recorded.steps.tolist()
    assert len(play["labels"]) == play["examples"]["count"] == 10


@pytest.mark.parametrize("digit", [0, 3, 7])
def test_the_shipped_network_answers_a_drawing(runs, digit):  # noqa: F811
    at = on_canvas(page(), strokes(digit))
    found = shown(whole(at))
    expected = first_model().predict(prepare(strokes(digit)).image[None])[0]
    assert found["bars"]["title"] == f"It says: {expected.argmax()}" == f"It says: {digit}"
    assert found["bars"]["values"] == pytest.approx((100 * expected).tolist(), abs=0.01)
    best, second = expected.topk(2).indices.tolist()
    line = surely_before(float(expected[best]), str(second), float(expected[second]))
    assert found["bars"]["line"] == f"{line[0].upper()}{line[1:]}."
    assert found["play"] is None, "the browser has the recording; a stroke need not bring it again"
    assert torch.equal(at.session_state[keys.DRAWING], prepare(strokes(digit)).image)


def scribble() -> np.ndarray:
    """(280, 280, 4) uint8: a line to and fro on the sheet."""
    picture = Image.new("RGBA", (280, 280), "white")
    turns = [(40, 60), (240, 90), (60, 200), (220, 40), (120, 240), (50, 120), (250, 180), (90, 50), (180, 250), (30, 160)]
    ImageDraw.Draw(picture).line(turns, fill="black", width=16, joint="curve")
    return np.asarray(picture)


def test_the_shipped_network_doubts_a_scribble(runs):  # noqa: F811
    bars = shown(whole(on_canvas(page(), scribble())))["bars"]
    assert bars["title"] == "I don't know" and bars["line"] == "This is unlike what the model learned from."
    assert sum(bars["values"]) == pytest.approx(100, abs=0.1), "what it would say all the same"


@pytest.mark.parametrize("damage", [None, b"no judge"])
def test_without_its_judge_the_shipped_network_answers_all_the_same(runs, forgets, tmp_path, monkeypatch, damage):  # noqa: F811
    for name in (MODEL, RECORDING):
        (tmp_path / name).write_bytes((ASSETS / name).read_bytes())
    if damage:
        (tmp_path / JUDGE).write_bytes(damage)
    monkeypatch.setattr(shipped, "CHECKOUT", tmp_path)
    at = on_canvas(page(), scribble())
    assert shown(whole(at))["bars"]["title"].startswith("It says: ") and not at.warning


def test_a_browser_without_the_recording_asks_for_it_and_gets_it(runs):  # noqa: F811
    at = on_canvas(page(), strokes(7))
    assert shown(at)["play"] is None
    at.session_state["home.asked"] = True
    assert shown(whole(at.run()))["play"]["id"] == "recording"
    assert shown(whole(at.run()))["play"] is None


# --- training

def test_the_run_is_watched_with_the_drawing(runs):  # noqa: F811
    at = on_canvas(page(), strokes(7))
    click(at, "home.train")
    [run] = runs.runs()
    assert run.config == PRESETS["digits-quick"].config and torch.equal(runs.watched(run.id)[0], prepare(strokes(7)).image)
    found = shown(whole(at))
    assert found["bars"]["title"] == "Starting" and found["bars"]["image"]["count"] == 1 and found["play"] is None
    assert found["source"] == "Your drawing; the training has not begun." and found["waiting"], "no Play again"
    assert "run.stop" in buttons(at) and "home.train" not in buttons(at)


def test_where_nothing_was_drawn_a_test_image_takes_its_place_and_says_so(runs):  # noqa: F811
    at = click(page(), "home.train")
    [run] = runs.runs()
    data = watching.dataset(run.config.data, Settings.from_environment())
    images, labels = data.test.take(torch.tensor([0]))
    assert torch.equal(runs.watched(run.id), images.float() / 255)
    says = f"Nothing was drawn, so a test image of {data.title} takes its place: {data.classes[int(labels[0])]}."
    assert shown(whole(at))["source"] == says
    assert shown(whole(page(run=run.id)))["source"] == says, "after a reload too"


def test_a_test_image_can_be_tried_and_is_what_the_run_is_watched_with(runs):  # noqa: F811
    at = click(on_canvas(page(), strokes(7)), "home.test_image")
    found, data = shown(whole(at)), watching.dataset(PRESETS["digits-quick"].config.data, Settings.from_environment())
    images, labels = data.test.take(torch.arange(2))
    assert found["source"].startswith(f"A test image of {data.title}: {labels[0]}.") and found["bars"]["image"]
    answer = first_model().predict(images[:1].float() / 255)[0]
    assert found["bars"]["values"] == pytest.approx((100 * answer).tolist(), abs=0.01)
    assert f": {labels[1]}." in shown(whole(click(at, "home.test_image")))["source"], "the next one"
    click(at, "home.train")
    assert torch.equal(runs.watched(runs.runs()[0].id), images[1:].float() / 255)


def test_a_drawing_puts_the_test_image_away(runs):  # noqa: F811
    at = click(page(), "home.test_image")
    at = on_canvas(at, strokes(3))
    assert keys.HOME_IMAGE not in at.session_state and shown(whole(at))["bars"]["image"] is None


def test_while_it_trains_looks_are_sent_as_they_come_and_the_last_ones_twice(runs):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", "A watched run", watch=DRAWING[None])
    looks = looks_of(3, 3, 8, 7, 7)
    runs.begin(run.id, Started(20, 20, 100, "cpu", "float32"))
    at = whole(page(run=run.id))
    assert shown(at)["bars"]["title"] == "Getting ready" and shown(at)["play"] is None
    sent = []
    for upto in (2, 3, 3, 5):
        runs.record(run.id, [Metric("loss", upto, 2.0)], looks=looks[:upto], step=upto)
        found = shown(whole(at.run()))
        assert found["bars"]["played"] and found["play"]["live"] and found["play"]["id"] == run.id
        sent.append([one["step"] for one in found["play"]["frames"]])
    assert sent == [[0, 1], [0, 1, 2], [2], [2, 3, 4]]
    assert found["play"]["frames"][-1] == frame(looks[-1])
    assert found["play"]["curve"] == [[0.1, 2.0], [0.2, 1.0], [0.3, 0.6667], [0.4, 0.5]], "whole, whatever was sent before"


def test_a_reload_in_the_middle_shows_the_same_run_and_drawing(runs):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", "A watched run", watch=DRAWING[None])
    runs.begin(run.id, Started(20, 20, 100, "cpu", "float32"))
    runs.record(run.id, [], looks=looks_of(*range(10), *range(10), *range(10)), step=29)
    first, again = (shown(whole(page(run=run.id))) for _ in range(2))
    assert first == again and len(first["play"]["frames"]) == watching.MOST_SENT and len(first["play"]["curve"]) == 29
    assert first["bars"]["image"] == answering.thumbnail(DRAWING, "")["image"]


def test_a_run_in_the_queue_says_how_many_are_before_it(runs):  # noqa: F811
    for other in range(2):
        runs.create(tiny(training__seed=other), "another", "Another's")
    at = click(on_canvas(page(), strokes(7)), "home.train")
    assert (shown(whole(at))["bars"]["title"], shown(at)["bars"]["line"]) == ("In the queue", "2 runs before this one.")


def test_a_paused_run_can_go_on(runs):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", "A watched run", watch=DRAWING[None])
    runs.begin(run.id, Started(20, 20, 100, "cpu", "float32"))
    runs.record(run.id, [], looks=looks_of(1, 2), step=1)
    runs.set_pause(run.id, True)
    at = whole(page(run=run.id))
    assert "Paused" in shown(at)["play"]["label"]
    whole(click(at, "home.go_on"))
    assert runs.get(run.id).pause_requested is None and "home.go_on" not in buttons(at)


# --- afterwards

def test_at_the_end_it_says_what_and_how_sure_and_what_to_do_now(runs, learned):  # noqa: F811
    at = whole(page(run=learned.id))
    found, last = shown(at), runs.looks(learned.id, "watch")[-1]
    answers = last.arrays["watched"][0]
    assert found["bars"]["title"] == f"It says: {answers.argmax()}" and not found["bars"]["played"]
    assert found["bars"]["values"] == pytest.approx((100 * answers).tolist(), abs=0.02)
    assert f"{learned.test_accuracy:.1%}".replace("%", " %") in found["source"] and found["source"].startswith("This network")
    assert found["play"]["frames"][-1] == frame(last) and not found["play"]["live"]
    assert {"home.again", "home.why", "home.inside"} <= buttons(at) and "home.train" not in buttons(at)


def test_it_answers_another_drawing(runs, learned):  # noqa: F811
    at = click(page(run=learned.id), "home.again")
    found = shown(whole(at))
    assert found["bars"]["title"] == "Draw a digit" and found["bars"]["image"] is None
    assert found["source"].startswith("This network")
    for key in ("home.why", "home.inside"):  # of what?
        click(at, key)
        assert [one.value for one in whole(at).toast] == ["Draw a digit first."]
        assert [one.value for one in at.title] == ["See a neural network learn"]
    expected = load_model(runs, learned.id).predict(prepare(strokes(0)).image[None])[0]
    assert shown(whole(on_canvas(at, strokes(0))))["bars"]["values"] == pytest.approx((100 * expected).tolist(), abs=0.01)


def test_why_opens_with_its_first_view(runs, learned):  # noqa: F811
    at = click(page(run=learned.id), "home.why")
    whole(at)
    assert "Why does it say so?" in [one.value for one in at.header] and "pixel" in said(at)


def test_look_inside_takes_the_image_along(runs, learned):  # noqa: F811
    at = whole(click(page(run=learned.id), "home.inside"))
    assert [one.value for one in at.title] == ["Build model"] and at.session_state[keys.RUN] == learned.id
    assert torch.equal(at.session_state[keys.BROUGHT], DRAWING)
    assert at.session_state[keys.LOOK] == keys.LOOK_WALK and at.session_state[keys.SCROLL_TO_WALK], "it opens at the walk"


@pytest.mark.parametrize(("before", "after"), [("digits-quick", "mnist-mlp-50"), ("mnist-mlp-50", "mnist-cnn-fast"),
                                               ("mnist-handwriting", None)])
def test_a_better_one_is_the_next_preset_that_is_there(runs, monkeypatch, tmp_path, before, after):  # noqa: F811
    write_small("mnist", tmp_path / "data", monkeypatch, rows=(6000, 100))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    at = whole(page(run=ended(runs, before).id))
    assert ("home.better" in buttons(at)) == (after is not None) and "home.better_data" not in buttons(at)
    assert ("home.train_again" in buttons(at)) == (after is None), "there is always another run to start"
    if after is None:
        return
    click(at, "home.better")
    newest = next(run for run in runs.runs() if run.is_active)
    assert newest.config == PRESETS[after].config and torch.equal(runs.watched(newest.id)[0], DRAWING)


def test_without_mnist_the_way_to_a_better_one_is_to_get_it(runs):  # noqa: F811
    at = whole(page(run=ended(runs, "digits-quick").id))
    assert "home.better" not in buttons(at)
    whole(click(at, "home.better_data"))
    assert [one.value for one in at.title] == ["Explore data"] and at.session_state["explore.dataset"] == "mnist"


@pytest.mark.parametrize("drawn", [True, False])
def test_the_same_can_be_trained_again_with_a_new_drawing_or_the_old_one(runs, drawn):  # noqa: F811
    run = ended(runs, "digits-quick")
    at = page(run=run.id)
    if drawn:
        on_canvas(click(at, "home.again"), strokes(0))
    whole(click(at, "home.train_again"))
    newest = next(one for one in runs.runs() if one.is_active)
    assert newest.id != run.id and newest.config == run.config
    assert torch.equal(runs.watched(newest.id)[0], prepare(strokes(0)).image if drawn else DRAWING)


@pytest.mark.parametrize("weights", [True, False])
def test_a_stopped_run_says_so_and_can_be_trained_again(runs, monkeypatch, tmp_path, weights):  # noqa: F811
    write_small("mnist", tmp_path / "data", monkeypatch, rows=(6000, 100))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    config = PRESETS["digits-quick"].config
    run = runs.create_running(config, "someone", "here", "A stopped run", watch=DRAWING[None])
    runs.begin(run.id, Started(20, 20, 100, "cpu", "float32"))
    runs.record(run.id, [], looks=looks_of(1, 2), step=1)
    if weights:
        meaning = Meaning(tuple(map(str, range(10))), (1, 28, 28), (0.0,), (1.0,))
        save_weights(runs, run.id, config, meaning, Checkpoint(1, 1, build(config.model, (1, 28, 28), 10, seed=0).state_dict()))
    runs.finish(run.id, "stopped", seconds=5.5)
    at = whole(page(run=run.id))
    title = watching.dataset(config.data, Settings.from_environment()).title
    assert shown(at)["play"]["label"] == f"Stopped after 5.5 s on {title}" and not shown(at)["play"]["timed"]
    assert ("home.better" in buttons(at)) == weights and ("home.train" in buttons(at)) != weights
    whole(click(at, "home.train_again"))
    assert next(one for one in runs.runs() if one.is_active).config == config


# --- visitors

def test_two_visitors_see_each_their_own(runs):  # noqa: F811
    both = [on_canvas(page(), strokes(digit)) for digit in (7, 0)]
    both = [click(at, "home.train") for at in both]
    mine = {at.query_params["run"][0] if isinstance(at.query_params["run"], list) else at.query_params["run"] for at in both}
    assert len(mine) == len(runs.runs()) == 2
    images = [shown(whole(at.run()))["bars"]["image"]["bytes"] for at in both]
    expected = [answering.thumbnail(prepare(strokes(digit)).image, "")["image"]["bytes"] for digit in (7, 0)]
    assert images == expected


def test_a_visitor_who_left_finds_the_run_below(runs, learned):  # noqa: F811
    at = whole(page())
    assert shown(at)["play"]["id"] == "recording" and list(offers(at))[0] == learned.id
    assert "Go on where you were" in [one.value for one in at.header]
    at = click(at, "home.train")
    assert "Go on where you were" in [one.value for one in whole(at).header]


def test_a_run_that_was_deleted_meanwhile_is_said_to_be_gone(runs, learned):  # noqa: F811
    at = whole(page(run=learned.id))
    runs.delete(learned.id)
    whole(at.run())
    assert any("There is no run" in one.value for one in at.warning) and shown(at)["play"]["id"] == "recording"


# --- bad input

@pytest.mark.parametrize("sent", ["data:image/png;base64,AAAA", "<b>8</b>", 7, {"x": 1}, "data:text/html,<script>"])
def test_a_message_made_by_hand_gets_one_line(runs, sent):  # noqa: F811
    at = page()
    at.session_state[f"{keys.CANVAS}.0"] = {"drawing": {"data": sent, "strokes": 1, "number": 1}}
    whole(at.run())
    assert [one.value for one in at.error] == ["The canvas sent something that is no picture. Clear it and draw again."]
    assert shown(at)["bars"]["title"] == "Draw a digit" and "home.train" in buttons(at)


@pytest.mark.parametrize("ink", [0, 255])
def test_a_sheet_without_a_drawing_is_no_drawing(runs, ink):  # noqa: F811
    at = on_canvas(page(), np.full((280, 280, 4), [ink, ink, ink, 255], np.uint8))
    assert shown(whole(at))["bars"]["title"] == "Draw a digit" and keys.DRAWING not in at.session_state


def test_a_blot_is_not_read(runs):  # noqa: F811
    sheet = np.full((280, 280, 4), 255, np.uint8)
    sheet[90:190, 90:190, :3] = 0
    found = shown(whole(on_canvas(page(), sheet)))
    assert found["bars"]["title"] == "I don't know" and "filled shape" in found["bars"]["line"]


def test_what_is_unlike_the_training_images_is_doubted_as_on_draw(runs, learned, monkeypatch):  # noqa: F811
    at = click(page(run=learned.id), "home.again")
    assert shown(whole(on_canvas(at, strokes(7))))["bars"]["title"].startswith("It says"), "nobody waits for what is not known"
    known = reference_of(runs, learned.id, load_model(runs, learned.id), Settings.from_environment())
    low, high = ({name: limit * factor for name, limit in known.limits.items()} for factor in (1e-6, 1e6))
    for limits, title in ((low, "I don't know"), (high, "It says")):
        changed = replace(known, limits=limits, judge=None, labels=None)
        monkeypatch.setattr(answering, "familiar", lambda *_, changed=changed, **_more: (changed, False))
        found = shown(whole(at.run()))["bars"]
        assert found["title"].startswith(title) and sum(found["values"]) == pytest.approx(100, abs=0.1)
        assert (found["line"] == "This is unlike what the model learned from.") == (title == "I don't know")


@pytest.mark.parametrize("own", [True, False])
def test_two_marks_in_one_drawing_are_named(runs, learned, own):  # noqa: F811
    at = click(page(run=learned.id), "home.again") if own else page()
    one = strokes(7)
    two = np.full_like(one, 255)
    half = one[::2, ::2]
    height, width = half.shape[:2]
    two[height // 2:height // 2 + height, :width] = two[height // 2:height // 2 + height, width:2 * width] = half
    assert shown(whole(on_canvas(at, two)))["bars"]["line"].endswith(". Two marks; read as one.")
    assert "marks" not in shown(whole(on_canvas(at, one)))["bars"]["line"]


def test_a_scribble_gets_an_answer_that_may_be_wrong(runs):  # noqa: F811
    random = np.random.default_rng(0)
    sheet = np.full((280, 280, 4), 255, np.uint8)
    for x, y in random.integers(20, 250, (60, 2)):
        sheet[y:y + 9, x:x + 9, :3] = 0
    found = shown(whole(on_canvas(page(), sheet)))
    assert len(found["bars"]["values"]) == 10 and "may be wrong" in found["source"]


def test_the_same_drawing_sent_twice_changes_nothing(runs):  # noqa: F811
    at = on_canvas(page(), strokes(7))
    first = shown(whole(at))
    assert shown(whole(on_canvas(at, strokes(7)))) == first


@pytest.mark.parametrize("content", [None, b"", b"not a tensor", "short"])
@pytest.mark.parametrize("file", [MODEL, RECORDING])
def test_a_shipped_file_that_is_missing_or_damaged_costs_one_line(runs, forgets, tmp_path, monkeypatch, file, content):  # noqa: F811
    for name in (MODEL, RECORDING):
        whole_file = (ASSETS / name).read_bytes()
        if name != file:
            (tmp_path / name).write_bytes(whole_file)
        elif content is not None:
            (tmp_path / name).write_bytes(whole_file[:len(whole_file) // 2] if content == "short" else content)
    monkeypatch.setattr(shipped, "CHECKOUT", tmp_path)
    at = on_canvas(page(), strokes(7)) if file == MODEL else page()
    found = shown(whole(at))
    line = found["source"] if file == MODEL else found["missing"]  # each in a place of its own, where it is whole
    why, what = ("missing" if content is None else "damaged"), ("model" if file == MODEL else "recording")
    assert line == f"The shipped {what} can't be read: its file is {why}. Everything else works."
    assert "can't be read" not in (found["missing"] if file == MODEL else found["source"])
    assert (found["bars"]["values"] == [None] * 10) and "home.train" in buttons(at)
    if file == RECORDING:
        assert found["play"] is None and shown(whole(on_canvas(at, strokes(7))))["bars"]["title"] == "It says: 7"
    click(at, "home.train")
    assert len(runs.runs()) == 1


def test_a_run_without_its_drawing_is_shown_below(runs, learned):  # noqa: F811
    (runs.folder(learned.id) / "watched.safetensors").write_bytes(b"not a tensor")
    at = whole(page(run=learned.id))
    assert shown(at)["play"]["id"] == "recording" and "finished" in said(at)


def test_looks_that_are_not_whole_are_left_out(runs):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", "A watched run", watch=DRAWING[None])
    runs.begin(run.id, Started(20, 20, 100, "cpu", "float32"))
    good, *bad = looks_of(1, 2, 3, 4)
    bad[0].arrays.pop("loss")
    bad[1].arrays["watched"] = np.zeros((1, 3), np.float32)
    bad[2].arrays["positions"] = np.full(10, 10**6, np.int32)
    runs.record(run.id, [], looks=[good, *bad], step=3)
    assert [one["step"] for one in shown(whole(page(run=run.id)))["play"]["frames"]] == [0]
