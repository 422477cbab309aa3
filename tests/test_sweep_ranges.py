"""Ranges as people write them, and what a plan makes of them. Needs no Optuna."""

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core.__main__ import main
from core.presets import PRESETS, preset
from core.runs.differing import flat
from core.sweeps import GET, Range, SweepError, SweepPlan, is_available, plan_of, read_plan, read_range
from core.sweeps.report import minutes_of
from core.sweeps.suggest import suggested, variable
from tests.helpers import tiny
from tests.opened_pages import said, whole
from tests.test_pages import ROOT

RATE = "training.optimizer.learning_rate"
CONFIG = preset("digits-quick").config


@pytest.mark.parametrize(("text", "wanted"), [
    (f"{RATE}=1e-4..1e-1:log", Range(path=RATE, low=1e-4, high=0.1, log=True)),
    (f" {RATE} = 0.5..1 ", Range(path=RATE, low=0.5, high=1.0)),
    ("training.batch_size=16..256", Range(path="training.batch_size", low=16, high=256, whole=True)),
    ("training.batch_size=16..256:log:int", Range(path="training.batch_size", low=16, high=256, log=True, whole=True)),
    ("model.channels=[8]|[8,16]|[16, 32]", Range(path="model.channels", choices=([8], [8, 16], [16, 32]))),
    ("training.optimizer.name=adam|sgd|adam", Range(path="training.optimizer.name", choices=("adam", "sgd"))),
    ("training.batch_size=[16,32]", Range(path="training.batch_size", choices=(16, 32))),
    ("training.shuffle=true|false", Range(path="training.shuffle", choices=(True, False))),
])
def test_what_people_write(text, wanted):
    assert read_range(text, CONFIG) == wanted


@pytest.mark.parametrize(("text", "said"), [
    (f"{RATE}=1..200", f"{RATE} is 200.0; it must be above 0 up to 100"),
    (f"{RATE}=0..1", f"{RATE} is 0.0; it must be above 0 up to 100"),
    ("training.batch_size=0..16", "training.batch_size is 0; it must be from 1 to 4096 images"),
    ("training.batch_size=16|5000", "training.batch_size is 5000; it must be from 1 to 4096 images"),
    ("training.batch_size=16..16", "training.batch_size goes from 16 to 16: there is one value to choose from"),
    ("training.batch_size=16", "training.batch_size has one value, 16: there is nothing to choose"),
    ("training.batch_size=32..16", "training.batch_size goes from 32 to 16: the smaller end comes first"),
    ("training.batch_size=1.5..16", "training.batch_size: it must be from one whole number to another"),
    ("training.batch_size=a..b", "training.batch_size: a..b is no range of numbers"),
    (f"{RATE}=1e-4...1e-1", f"{RATE}=1e-4...1e-1: a range has two dots, as 0.1..1"),
    ("training.batch_size=16-64", 'training.batch_size has one value, "16-64": there is nothing to choose. A range is written'),
    ("training.batch_size=1..nan", "training.batch_size: 1..nan is no range of numbers"),
    ("training.batch_size=1..8:octave", "training.batch_size: there is no :octave; after a range come :log, :int or both"),
    ("training.label_smoothing=0..0.5:log", "training.label_smoothing: a range by factors must begin above 0"),
    ("training.optimizer.name=1..2", "training.optimizer.name is no number: name its choices instead, as "
     "training.optimizer.name=ONE|ANOTHER"),
    ("training.optimizer.name=adam|magic", "training.optimizer: there is no 'magic'; choose from sgd, adam"),
    ("data.dataset=mnist|digits", "data.dataset can't be varied: with another question or data set results can't be compared"),
    ("data.validation=100..200", "data.validation can't be varied: it decides by which images the search judges"),
    ('data.join=[]|["digits"]', "data.join can't be varied: it decides by which images the search judges"),
    ("training.seed=0..9", "training.seed can't be varied: it is luck, or where and how a run is done. Seeds are repeated by "
     "themselves"),
    ("lr=1..2", "lr: there is no such field; it begins with data, model or training"),
    ("model.hidden=[1]|[2]", "model.hidden: there is no such field; choose from model.architecture, model.channels, "),
    ("model.channels=[8]|banana", "model.channels is 'banana'; it must be a list, such as [64, 32]"),
    ("nothing", "'nothing': write it as FIELD=LOW..HIGH"), ("=1..2", "'=1..2': write it as"), ("x=", "'x=': write it as"),
])
def test_what_can_not_be(text, said):
    with pytest.raises(SweepError) as refused:
        read_range(text, CONFIG)
    assert str(refused.value).startswith(said) and "\n" not in str(refused.value)


@given(st.text(max_size=60) | st.builds("{}={}".format, st.sampled_from(sorted(flat(CONFIG))), st.text(max_size=40)))
def test_any_text_is_a_range_that_its_field_takes_or_one_line(text):
    try:
        found = read_range(text, CONFIG)
    except SweepError as error:
        assert str(error).strip() and "\n" not in str(error)
    else:
        for value in found.points(2):
            CONFIG.with_values({found.path: value})


@pytest.mark.parametrize(("vary", "values", "said"), [
    ([], {}, "There is nothing to search"),
    (["training.batch_size=1..9"], {"trials": 10_000}, "trials is 10000; it must be from 2 to 1000 trials"),
    (["training.batch_size=1..9"], {"trials": 1}, "trials is 1; it must be from 2 to 1000 trials"),
    (["training.batch_size=1..9"], {"minutes": -1}, "minutes is -1; it must be from 0 to 10080 min"),
    (["training.batch_size=1..9"], {"sampler": "oracle"}, "sampler is 'oracle'; input should be 'tpe', 'random', 'grid' or"),
    (["training.batch_size=1..9", "training.batch_size=2..8"], {}, "training.batch_size is named twice"),
    (["training.loss=cross_entropy|nll"], {"metric": "validation_loss"}, "training.loss changes what the loss means"),
])
def test_plans_that_can_not_be(vary, values, said):
    with pytest.raises(SweepError) as refused:
        plan_of(CONFIG, vary, **values)
    assert str(refused.value).startswith(said) and "\n" not in str(refused.value)


def test_a_number_that_is_predicted_is_judged_by_its_loss():
    plan = plan_of(preset("linear-regression").config, [f"{RATE}=0.001..0.1:log"])
    assert plan.metric == "validation_loss" and not plan.higher
    with pytest.raises(SweepError, match="never right or wrong"):
        plan_of(plan.base, plan.vary, metric="validation_accuracy")


def test_settings_of_the_kind_that_was_not_chosen_are_left_out():
    plan = plan_of(CONFIG, ["training.optimizer.momentum=0..0.9", "training.optimizer.name=adam|sgd"])
    chosen = {"training.optimizer.momentum": 0.5, "training.optimizer.name": "sgd"}
    assert plan.config_of(chosen).training.optimizer.momentum == 0.5
    assert plan.config_of(chosen | {"training.optimizer.name": "adam"}).training.optimizer.name == "adam"
    with pytest.raises(SweepError, match="no such field"):
        plan_of(CONFIG, ["training.optimizer.momentum=0..0.9"])


def test_a_trial_differs_from_the_base_in_what_varies_in_its_seed_and_in_keeping_no_moments():
    plan = plan_of(tiny(training__seed=5), ["training.batch_size=16..64", "model.hidden=[8]|[16,8]"])
    assert plan.config_of({"training.batch_size": 32, "model.hidden": [16, 8]}, 2) == tiny(
        training__seed=7, training__batch_size=32, model__hidden=[16, 8], training__moments=0)


def test_points_of_a_grid():
    assert Range(path="x", low=0.0001, high=1, log=True).points() == (0.0001, 0.001, 0.01, 0.1, 1.0)
    assert Range(path="x", low=1, high=3, whole=True).points() == (1, 2, 3)
    plan = plan_of(CONFIG, ["training.batch_size=1..3", f"{RATE}=0.1..1"], sampler="grid", trials=100)
    assert plan.grid_size == plan.most_trials == 15


def test_how_many_combinations_there_are():
    assert Range(path="x", low=1, high=3, whole=True).values() == (1, 2, 3)
    assert Range(path="x", choices=("a", "b")).values() == ("a", "b")
    few = plan_of(CONFIG, ["training.batch_size=1..3", "training.shuffle=true|false"], trials=100)
    assert few.combinations == few.most_trials == 6
    many = plan_of(CONFIG, ["training.batch_size=1..3", f"{RATE}=0.1..1"], trials=100)
    assert many.combinations == math.inf and many.most_trials == 100


def test_shares_of_a_range():
    assert [Range(path="x", low=0.001, high=0.1, log=True).at(share) for share in (0, 0.5, 1)] == [0.001, 0.01, 0.1]
    assert [Range(path="x", choices=("a", "b", "c")).at(share) for share in (0, 0.34, 0.99, 1)] == ["a", "b", "c", "c"]
    narrowed = Range(path="x", low=0.5, high=0.6)
    assert narrowed.rounded(0.2) == 0.2, "it was chosen before"


def test_a_plan_comes_back_from_its_json():
    plan = plan_of(CONFIG, [f"{RATE}=1e-4..1e-1:log", "model.channels=[8]|[8,16]"], trials=7, minutes=0.5)
    assert read_plan(plan.model_dump_json()) == plan
    for text in ("", "{}", json.dumps({"base": {}, "vary": [], "trials": "many"}), "[" * 5000):
        with pytest.raises(SweepError) as refused:
            read_plan(text)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_suggested_can_be_searched(name):
    config = PRESETS[name].config
    labels = variable(config)
    assert len(set(labels.values())) == len(labels) and RATE in labels and "training.seed" not in labels
    plan = plan_of(config, [suggested(config, path) for path in list(labels)[:12]])
    assert isinstance(plan, SweepPlan) and plan.first_params()[RATE] == config.training.optimizer.learning_rate


@pytest.mark.parametrize(("text", "minutes"), [("90s", 1.5), ("10m", 10), ("2h", 120), ("5", 5), ("0", 0)])
def test_times(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "ten", "-1m", "1d", "1e9", "9999999h"])
def test_times_that_are_none(text):
    with pytest.raises(SweepError, match="--budget"):
        minutes_of(text)


def test_choices_as_the_base_has_them_are_tried_first():
    plan = plan_of(CONFIG, [f"{RATE}=0.01..0.1", "training.batch_size=16|64", "model.kernel=3|7"])
    assert plan.first_params() == {RATE: 0.01, "training.batch_size": 64}
    assert plan_of(CONFIG, [Range(path=RATE, low=0.001, high=0.1)]).first_params() == {RATE: 0.002}


def test_without_optuna_one_line_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)  # as where it is not installed
    assert not is_available()
    assert main(["sweep", "digits-quick", "--runs", str(tmp_path), "--vary", "training.batch_size=16..64"]) == 2
    assert capsys.readouterr().err == f"{GET}\n"
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.run()
    at = whole(at.switch_page("pages/search_settings.py").run())
    assert "pip install -r requirements-sweep.txt" in said(at) and not at.multiselect
