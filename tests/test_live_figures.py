"""Figures of a run that is going: long runs, logarithmic axes, seeds together, range tests, answers, confusion."""

import json
import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.figures.answers import answer_strip, confusion_heatmap, picture_address, short
from core.figures.curves import Curves, curve_chart, detail_chart, epoch_rows
from core.figures.range_curve import range_chart
from core.figures.seeds import band, seeds_chart
from core.figures.thinning import thin
from core.training.range_test import RangeStep

LONG = 100_000


def long_run() -> Curves:
    """100,000 steps with one spike up and one down, each a single step."""
    chance = random.Random(0)
    steps = list(range(1, LONG + 1))
    losses = [1.0 + chance.random() / 10 for _ in steps]
    losses[33_333], losses[66_666] = 9.0, 0.001
    accuracies = [0.5] * LONG
    accuracies[50_000] = 0.0
    return Curves(1000, 100, {"loss": (steps, losses), "accuracy": (steps, accuracies),
                              "validation_loss": (steps[999::1000], losses[999::1000])})


def test_a_hundred_thousand_steps_keep_their_extremes_and_stay_small():
    """Both charts of a run are sent about once a second: together they stay under 60 kB, however long it gets."""
    curves = long_run()
    sent = 0
    for quantity, extremes in (("loss", {9.0, 0.001}), ("accuracy", {0.0})):
        chart = curve_chart(curves, quantity)
        raw = next(line for line in chart["series"] if line["name"] == "each batch")["data"]
        assert extremes <= {y for _, y in raw} and len(raw) <= 400
        assert [x for x, _ in raw] == sorted(x for x, _ in raw)
        sent += len(json.dumps(chart))
    assert sent < 60_000
    assert len(json.dumps(detail_chart(curves, {"loss": "loss"}, "Loss"))) < 10_000


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(2, 300))
def test_thinning_keeps_the_smallest_and_the_largest(values, points):
    steps, kept = thin(list(range(len(values))), values, points)
    assert len(kept) <= max(points, 2) and min(kept) == min(values) and max(kept) == max(values)
    assert all(values[step] == value for step, value in zip(steps, kept, strict=True))


def test_curves_as_a_table_by_hand():
    curves = Curves(2, 3, {"loss": ([1, 2, 3], [4.0, 2.0, 1.0]), "validation_loss": ([2], [2.5]),
                           "validation_accuracy": ([2, 4], [0.5, 0.75])})
    assert epoch_rows(curves) == [
        {"epoch": 1, "training loss, mean of batches": 3.0, "validation loss": 2.5,
         "training accuracy, mean of batches": None, "validation accuracy": 0.5},
        {"epoch": 2, "training loss, mean of batches": 1.0, "validation loss": None,
         "training accuracy, mean of batches": None, "validation accuracy": 0.75}]
    assert epoch_rows(Curves(0, 3)) == []


def test_without_smoothing_batches_alone_are_drawn():
    curves = Curves(10, 1, {"loss": ([1, 2, 3], [3.0, 1.0, 2.0])})
    lines = {line["name"]: line["data"] for line in curve_chart(curves, "loss", smoothing=0.0)["series"]}
    assert [y for _, y in lines["training"]] == [3.0, 1.0, 2.0] and lines["each batch"] == []
    lines = {line["name"]: line["data"] for line in curve_chart(curves, "loss", smoothing=0.5)["series"]}
    assert [y for _, y in lines["each batch"]] == [3.0, 1.0, 2.0]
    # sum(w^k v) / sum(w^k): (0.5·3 + 1) / 1.5 and (0.25·3 + 0.5·1 + 2) / 1.75
    assert [y for _, y in lines["training"]] == pytest.approx([3.0, 2.5 / 1.5, 3.25 / 1.75], rel=1e-4)


def test_what_has_no_logarithm_is_a_gap():
    curves = Curves(10, 1, {"loss": ([1, 2, 3, 4], [1.0, 0.0, math.nan, 2.0])})
    chart = curve_chart(curves, "loss", smoothing=0.0, logarithmic=True)
    assert chart["yAxis"]["type"] == "log"
    assert [y for _, y in next(line for line in chart["series"] if line["name"] == "training")["data"]] == [1.0, None, None, 2.0]


def test_a_band_by_hand():
    whole = band([([1, 2, 3], [1.0, 2.0, 3.0]), ([1, 2], [3.0, math.nan])])
    assert (whole.steps, whole.low, whole.mean, whole.high) == ((1, 2, 3), (1.0, 2.0, 3.0), (2.0, 2.0, 3.0), (3.0, 2.0, 3.0))
    assert band([]).steps == () and band([([], [])]).steps == ()
    assert len(band([(list(range(1, 10_001)), [0.5] * 10_000)]).steps) == 200


@pytest.mark.parametrize("logarithmic", [False, True])
def test_seeds_have_thin_lines_a_mean_and_a_band(logarithmic):
    runs = [Curves(2, 2, {"loss": ([1, 2], [1.0, 2.0]), "validation_loss": ([2], [1.5])}),
            Curves(2, 2, {"loss": ([1, 2], [3.0, 4.0])}), Curves(0, 2, {})]
    chart = seeds_chart(runs, "loss", 0.0, logarithmic)
    lines = {line["name"]: line["data"] for line in chart["series"]}
    assert lines["training 0"] == [[0.5, 1.0], [1.0, 2.0]] and lines["training 1"] == [[0.5, 3.0], [1.0, 4.0]]
    assert lines["training"] == [[0.5, 2.0], [1.0, 3.0]] and lines["validation"] == [[1.0, 1.5]]
    if not logarithmic:
        assert lines["training, lowest"] == [[0.5, 1.0], [1.0, 2.0]] and lines["training, range"] == [[0.5, 2.0], [1.0, 2.0]]
    assert "NaN" not in json.dumps(chart)


def test_a_range_test_is_drawn_with_its_suggestion():
    steps = [RangeStep(1, 1e-6, 2.0, 2.0), RangeStep(2, 1e-3, 1.0, 1.9), RangeStep(3, 1.0, math.inf, math.inf)]
    chart = range_chart(steps, 1e-4)
    assert chart["xAxis"]["type"] == "log" and chart["yAxis"]["max"] == 3.0
    assert chart["series"][1]["data"] == [[1e-6, 2.0], [1e-3, 1.9]]
    assert [x for x, _ in chart["series"][2]["data"]] == [1e-4, 1e-4] and chart["series"][2]["name"] in chart["legend"]["data"]
    assert range_chart([])["series"][0]["data"] == []


def test_answers_are_ticked_or_corrected():
    chart = answer_strip(["a", "b"], ["7", "8"], ["7", "3"], [0.987, None])
    right, wrong = chart["series"][0]["data"]
    assert right["label"]["formatter"] == "✓ 7\n99 %" and wrong["label"]["formatter"] == "✗ 3, not 8"
    assert right["symbol"] == "image://a"
    assert short("a very long name") == "a very lo…" and short("Ankle boot") == "Ankle boot"
    assert answer_strip([], [], [], [])["series"][0]["data"] == []


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_travels_in_its_address(channels):
    assert picture_address(torch.zeros(channels, 28, 28, dtype=torch.uint8)).startswith("data:image/png;base64,iVBOR")


def test_confusion_colours_mistakes_apart():
    cells = {tuple(cell["value"][:2]): cell for cell in confusion_heatmap([[9, 1], [0, 0]], ["no", "yes"])["series"][0]["data"]}
    assert cells[0, 0]["value"][2] == pytest.approx(0.949) and cells[1, 0]["value"][2] == pytest.approx(-0.316)
    assert cells[1, 1]["value"][2] == 0 and not cells[0, 1]["label"]["show"]
    assert cells[0, 0]["label"]["formatter"] == "9"


def test_long_names_below_examples_keep_to_their_places():
    """Five pictures in a row have 54 pixels each at least: words end there, and the pointer shows them whole."""
    names = ["Ankle boot", "Sneaker", "Ankle boot", "T-shirt/top", "Dress"]
    chart = answer_strip(list("abcde"), names, ["Sneaker", *names[1:]], [0.4, 0.9, 0.9, 0.9, 0.9], long=True)
    points = chart["series"][0]["data"]
    assert points[0]["label"]["formatter"] == "✗ Sneaker\nnot Ankle boot\n40 %"
    assert points[0]["name"] == "✗ Sneaker, not Ankle boot"
    label = chart["series"][0]["label"]
    assert (label["width"], label["overflow"]) == (50, "truncate")
    assert chart["grid"]["bottom"] == 44 + 17 and not chart["series"][0]["silent"] and chart["tooltip"]["formatter"] == "{b}"


@pytest.mark.parametrize("long", [False, True])
def test_pictures_of_a_strip_grow_where_it_is_a_quarter_higher(long):
    chart = answer_strip(list("abcde"), ["7"] * 5, ["7"] * 5, [0.9] * 5, long=long)
    large, usual = chart["media"]
    assert large["query"] == {"minHeight": 168 if long else 147, "minWidth": 312}  # a quarter more than 118 (135) and 5 · 50
    assert "query" not in usual and usual["option"]["series"] == [{"symbolSize": 48, "label": chart["series"][0]["label"]}]
    assert large["option"]["series"][0]["symbolSize"] == 60 and large["option"]["series"][0]["label"]["fontSize"] == 15
    middle = (large["query"]["minHeight"] - large["option"]["grid"]["bottom"]) / 2
    assert middle - 30 >= 0 and middle + 30 + 6 + (3 if long else 2) * 21 <= large["query"]["minHeight"]
