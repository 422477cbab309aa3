"""The page Go back in time: its states, what its slider is given and asks for, and the ways to it."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.runs.annotations import Change
from core.runs.moments import moments
from core.settings import Settings
from pages.parts.moments import view
from pages.parts.moments.slider import Asked, asked
from pages.parts.moments.subject import Shown
from pages.parts.runs.space import moments_cost
from pages.parts.shell import keys
from tests.helpers import run_here, tiny
from tests.test_pages import alone, assert_whole, finished, runs, texts  # noqa: F401 (fixtures)
from tests.test_watched_page import components

PAGE = "pages/go_back.py"


def slider(at) -> dict:
    [found] = [one for one in components(at) if "moments" in one]
    return found


def test_it_shows_the_last_moment_or_the_one_in_the_address(finished, trained):  # noqa: F811
    kept = moments(trained[0], finished).kept
    at = alone(PAGE, finished)
    assert_whole(at)
    shown = slider(at)
    assert [moment["step"] for moment in shown["moments"]] == [moment.step for moment in kept]
    assert shown["moments"][0]["label"] == "before the first step" and shown["at"] == kept[-1].step and not shown["going"]
    [frame] = shown["frames"]
    assert frame["step"] == kept[-1].step and "of 360 test examples right" in frame["line"]
    assert [panel["title"] for panel in frame["panels"]] == [
        "Answers", "First layer's weights", "relu1, ReLU, 8", "Confusion matrix", "Map of the examples", "Weights"]
    assert all(panel["src"].startswith("data:image/png;base64,") and panel["alt"] for panel in frame["panels"])
    at.query_params["moment"] = "3"  # what is nearest
    nearest = slider(at.run())
    assert nearest["at"] == min((moment.step for moment in kept), key=lambda step: abs(step - 3))
    at.query_params["moment"] = "<b>"
    assert slider(at.run())["at"] == kept[-1].step

    at.selectbox(key="moments.kind").set_value("Gradients").run()
    changed = slider(at)
    assert changed["of"] != shown["of"] and changed["frames"][0]["panels"][-1]["title"] == "Gradients"
    at.button_group(key="moments.shown").set_value(["Map"]).run()
    assert [panel["title"] for panel in slider(at)["frames"][0]["panels"]] == ["Map of the examples"]
    at.button_group(key="moments.shown").set_value([]).run()
    assert_whole(at)
    assert "Choose above" in texts(at)


def test_a_run_that_goes_shows_what_there_is_of_validation_images(runs, places):  # noqa: F811
    settings = Settings.from_environment()
    run = run_here(runs, settings, tiny())
    with runs._database.writing() as db:  # as if it were going
        db.execute("UPDATE runs SET status = 'running', finished = NULL")
    at = alone(PAGE, run.id)
    assert_whole(at)
    shown = slider(at)
    assert shown["going"] and "validation examples right" in shown["frames"][0]["line"]
    kept = moments(runs, run.id).kept
    weights = load_file(kept[1].path)
    with safe_open(kept[1].path, "pt") as file:
        about = file.metadata()
    save_file({name: torch.full_like(value, float("nan")) for name, value in weights.items()}, kept[1].path, metadata=about)
    at.query_params["moment"] = str(kept[1].step)
    at.session_state[keys.MOMENTS_SENT] = "", None  # as a visitor who comes with that address
    [frame] = slider(at.run())["frames"]
    assert frame["panels"] == [] and frame["line"].endswith("holds NaN or infinite values.")
    for moment in kept:
        moment.path.write_bytes(b"damaged")
    at.run()
    assert_whole(at)
    assert "is damaged" in texts(at)


def test_an_archived_run_is_offered_by_its_address_alone(runs, places):  # noqa: F811
    settings = Settings.from_environment()
    put_away, other = (run_here(runs, settings, tiny(training__seed=seed)).id for seed in (0, 1))
    runs.annotate([put_away], Change(archived=True))
    at = alone(PAGE, put_away)
    assert_whole(at)
    assert at.selectbox(key=f"moments.run.{put_away}").value == put_away
    at = alone(PAGE)
    assert [option[-5:-1] for option in at.selectbox[0].options] == [other[:4]]


def test_a_run_that_is_deleted_while_somebody_looks_at_it(runs, places, monkeypatch):  # noqa: F811
    """The slider draws itself anew without the page, which then has to say what happened."""
    run = run_here(runs, Settings.from_environment(), tiny())
    runs.discard([run.id])
    drawn_anew = []

    def rerun():
        drawn_anew.append(True)
        raise StopIteration

    monkeypatch.setattr(view.st, "rerun", rerun)
    with pytest.raises(StopIteration):
        view._view(SimpleNamespace(store=runs), run, Shown(()))
    assert drawn_anew
    at = alone(PAGE, run.id)
    assert_whole(at)
    assert "There is no run" in texts(at)


def test_the_way_to_it_from_a_run(finished):  # noqa: F811
    at = alone("pages/train_model.py", finished)
    assert_whole(at)
    assert at.button(key="panel.back").label == "Go back in time"


def test_where_the_space_went(finished, trained):  # noqa: F811
    at = alone("pages/compare_runs.py", finished)
    [box] = [one for one in at.expander if one.label == "Where the disk space went"]
    assert not box.dataframe
    at.session_state["runs.space"] = True
    at.run()
    assert_whole(at)
    kept = moments(trained[0], finished).kept
    table = at.dataframe[-1].value
    [row] = table[table["Id"] == finished[:8]].to_dict("records")
    assert row["Kept"] == len(kept) and row["Moments"] == pytest.approx(sum(moment.size for moment in kept) / 1e6)
    assert row["All"] == pytest.approx(row["Weights"] + row["Moments"] + row["Other"])
    assert "can still be brought back" not in texts(at)
    trained[0].discard([finished])
    at.run()
    assert_whole(at)
    assert "1 deleted run that can still be brought back takes" in texts(at)


def test_what_moments_cost_is_said_before_the_run():
    said = re.fullmatch(r"On disk at most (\d+\.\d) kB: 40 moments of (\d+\.\d) kB each\.", moments_cost(tiny()))
    weights = 2 * (784 * 8 + 8 + 8 * 10 + 10) / 1000  # what stands beside them is in tests/test_moment_epochs.py
    assert said and weights < float(said[2]) < weights + 4 and float(said[1]) == pytest.approx(40 * float(said[2]), rel=0.01)
    assert moments_cost(tiny(training__moments=0)) == "None will be kept."
    assert moments_cost(tiny(training__moments=2)) == "None will be kept: fewer than 3 show nothing."
    assert moments_cost(tiny(data__dataset="circle", training__loss="bce_with_logits")) == ""
    large = tiny(model__hidden=[8192, 8192])
    assert moments_cost(large).startswith("None will be kept: one of this network takes 1")


@pytest.mark.parametrize(("sent", "understood"), [
    ({"steps": [1, 2], "at": 2}, Asked((1, 2), 2)), ({"steps": [1, "x", None], "at": None}, Asked((1,), None)),
    ({"steps": list(range(1000)), "at": 0}, Asked(tuple(range(12)), 0)),
    ({"steps": "abc", "at": 1}, Asked((), None)), ({"steps": [], "at": "1"}, Asked((), None)), ("", Asked((), None)),
    (None, Asked((), None)), ([1], Asked((), None))])
def test_messages_made_by_hand_ask_for_nothing_else(monkeypatch, sent, understood):
    class Sent:
        asked = sent

    monkeypatch.setattr("pages.parts.moments.slider.st.session_state", {"key": Sent()})
    assert asked("key") == understood
    json.dumps(sent)
