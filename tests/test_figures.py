"""Figures: thinning that keeps spikes, charts as plain JSON, pictures pixel by pixel."""

import html
import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.digit_robustness import SWEEPS, Map
from core.figures.bars import class_counts, grouped_counts, probability_bars, split_counts
from core.figures.curves import BEFORE, Curves, curve_chart
from core.figures.evaluation import confusion_figure
from core.figures.explore import balance_chart, order_chart
from core.figures.grids import number
from core.figures.images import as_picture, contact_sheet, ink_picture
from core.figures.literal import literal
from core.figures.robustness import robustness_figure
from core.figures.thinning import smooth, thin
from core.figures.weights import answers_figure
from core.wording import chance
from tests.hostile import HOSTILE

# Thinning

def test_few_points_stay_as_they_are():
    assert thin([], [], 10) == ([], [])
    assert thin([3], [0.5], 10) == ([3], [0.5])
    assert thin(range(10), [1.0] * 10, 10) == (list(range(10)), [1.0] * 10)


def test_thinning_by_hand():
    steps = [10, 20, 30, 40, 50, 60, 70, 80]
    #          bucket 1            bucket 2
    values = [5.0, 1.0, 9.0, 5.0, 4.0, 4.5, 3.0, 4.0]
    assert thin(steps, values, 4) == ([20, 30, 60, 70], [1.0, 9.0, 4.5, 3.0])
    assert thin(steps, values, 2) == ([20, 30], [1.0, 9.0])
    assert thin(steps, values, 5) == thin(steps, values, 4)


def test_every_spike_stays():
    values = np.full(10_000, 2.0)
    spikes = {137: 9.0, 5_000: -3.0, 9_999: 50.0, 0: 7.0}
    for step, value in spikes.items():
        values[step] = value
    steps, kept = thin(range(10_000), values.tolist(), 300)
    assert len(steps) <= 300 and steps == sorted(steps)
    found = dict(zip(steps, kept, strict=True))
    assert all(found[step] == value for step, value in spikes.items())


@given(values=st.lists(st.floats(-1e6, 1e6), max_size=300), points=st.integers(2, 50))
def test_thinned_points_are_points_in_order(values, points):
    steps = [7 * i + 1 for i in range(len(values))]
    kept_steps, kept = thin(steps, values, points)
    assert len(kept_steps) == len(kept) <= points
    assert kept_steps == sorted(set(kept_steps))
    assert all(values[(step - 1) // 7] == value for step, value in zip(kept_steps, kept, strict=True))
    if values:
        assert min(kept) == min(values) and max(kept) == max(values)


@given(values=st.lists(st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf"), float("-inf")]), max_size=300),
       points=st.integers(2, 50))
def test_what_is_no_number_hides_no_extreme(values, points):
    """As where a run diverges: the last peak before its first NaN is what one looks for."""
    finite = [value for value in values if np.isfinite(value)]
    kept = [value for value in thin(range(len(values)), values, points)[1] if np.isfinite(value)]
    assert not finite or min(kept) == min(finite) and max(kept) == max(finite)
    assert bool(kept) == bool(finite)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=60, max_size=300), points=st.integers(2, 30))
def test_the_ends_are_kept_with_their_extremes(values, points):
    """The first and the last n of the points stand for the first and the last part of the values."""
    steps, kept = thin(range(len(values)), values, points)
    size = len(values) // (points // 2)  # a bucket has this many values, or one more
    for part, seen in ((values[:size], [v for s, v in zip(steps, kept, strict=True) if s <= size]),
                       (values[-size:], [v for s, v in zip(steps, kept, strict=True) if s >= len(values) - size - 1])):
        assert min(seen) <= min(part) and max(seen) >= max(part)


def test_smoothing_by_hand():
    assert smooth([]) == []
    assert smooth([3.0]) == [3.0]
    # (1), (0.5·1 + 3) / 1.5, (0.25·1 + 0.5·3 + 5) / 1.75
    assert smooth([1.0, 3.0, 5.0], weight=0.5) == pytest.approx([1.0, 3.5 / 1.5, 6.75 / 1.75])
    assert smooth([2.0, 4.0]) == pytest.approx([2.0, (0.9 * 2 + 4) / 1.9])
    assert smooth([1.0, 2.0, 3.0], weight=0.0) == [1.0, 2.0, 3.0]
    assert smooth([4.0] * 1000) == pytest.approx([4.0] * 1000)


def test_smoothing_as_pandas_does():
    import pandas as pd

    values = np.random.default_rng(0).normal(size=10_000)  # 0.9 to the power of 10,000 is no float
    values[:2], values[[70, 71, 90]], values[500:9600] = np.nan, (np.nan, np.inf, -np.inf), np.nan
    for weight in (0.0, 0.9, 0.999):
        mean = pd.Series(values).ewm(alpha=1 - weight).mean()
        assert smooth(values.tolist(), weight) == pytest.approx(mean.tolist(), nan_ok=True)


# Curves

def curves(count: int, per_epoch: int = 10, epochs: int = 5) -> Curves:
    random = np.random.default_rng(0)
    steps = list(range(1, count + 1))
    ends = list(range(per_epoch, count + 1, per_epoch))
    return Curves(per_epoch, epochs, {
        "loss": (steps, (random.random(count) * 3).tolist()), "accuracy": (steps, random.random(count).tolist()),
        "validation_loss": (ends, random.random(len(ends)).tolist()),
        "validation_accuracy": (ends, random.random(len(ends)).tolist())})


def plain(chart: dict) -> dict:
    """The chart as the browser gets it. Raises where it isn't plain JSON: NaN, NumPy numbers, tuples as keys."""
    return json.loads(json.dumps(chart, allow_nan=False))


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
@pytest.mark.parametrize("data", [Curves(0, 0), Curves(10, 5), curves(1), curves(9), curves(10), curves(100_000, 1000, 100)],
                         ids=["nothing", "empty", "one point", "no epoch", "one epoch", "100,000 points"])
def test_curve_chart_is_small_plain_json(data, quantity):
    chart = curve_chart(data, quantity)
    assert plain(chart) == chart
    assert len(json.dumps(chart)) < 60_000
    names = [line["name"] for line in chart["series"]]
    assert names == ["each batch", "training", "validation"]
    assert set(chart["legend"]["data"]) <= set(names)
    assert 0 < (end := chart["xAxis"]["max"]) <= max(1, data.epochs)
    assert all(0 <= point[0] <= end for line in chart["series"] for point in line["data"])


@pytest.mark.parametrize(("step", "epochs", "end"), [
    (0, 5, 0.1), (9, 5, 0.1), (10, 5, 0.1), (11, 5, 0.2), (51, 5, 1.0), (101, 5, 2.0), (201, 5, 5.0), (500, 5, 5.0),
    (1, 1000, 0.1), (30_000, 1000, 500.0), (60_000, 1000, 1000.0), (250, 3, 3.0), (0, 0, 1.0)])
def test_the_axis_grows_with_the_training(step, epochs, end):
    """From one round number to the next: the curve takes two fifths of it and more once a tenth of an epoch is over."""
    data = Curves(100, epochs, {"loss": ([step], [1.0])} if step else {})
    assert curve_chart(data, "loss")["xAxis"]["max"] == data.axis_end == end
    assert step <= 10 or step / 100 >= 0.4 * end


def test_curve_chart_by_hand():
    data = Curves(2, 3, {"accuracy": ([1, 2, 3], [0.25, 0.5, 0.123456789]), "validation_accuracy": ([2], [0.4])})
    chart = curve_chart(data, "accuracy")
    batch, training, validation = (line["data"] for line in chart["series"])
    assert batch == [[0.5, 25.0], [1.0, 50.0], [1.5, 12.346]]
    assert [point[0] for point in training] == [0.5, 1.0, 1.5]
    running = smooth([0.25, 0.5, 0.123456789])
    assert [point[1] for point in training] == pytest.approx([100 * value for value in running], abs=1e-3)
    assert validation == [[1.0, 40.0]]
    assert chart["yAxis"]["max"] == 100 and chart["title"]["text"] == "Accuracy"
    loss = curve_chart(Curves(2, 3, {"loss": ([1], [2.5])}), "loss")
    assert loss["series"][0]["data"] == [[0.5, 2.5]] and "max" not in loss["yAxis"] and loss["title"]["text"] == "Loss"


def test_the_grey_curve_of_the_run_before_is_on_the_same_scale():
    before = Curves(4, 2, {"accuracy": ([2, 4], [0.5, 0.25]), "loss": ([2, 4], [3.0, 1.0])})
    for quantity, values in (("accuracy", [50.0, 25.0]), ("loss", [3.0, 1.0])):
        lines = curve_chart(Curves(2, 2), quantity, before, smoothing=0.0)["series"]
        grey = next(line for line in lines if line["name"] == BEFORE)
        assert grey["data"] == [[0.5, values[0]], [1.0, values[1]]]  # by its own steps in an epoch


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("finished", [False, True])
def test_a_run_that_diverged_has_gaps(finished, value):
    data = Curves(2, 3, {"loss": ([1, 2], [1.0, 3e38]), "validation_loss": ([2, 4, 6], [1.5, value, 2.5])})
    chart = plain(curve_chart(data, "loss", finished=finished))
    assert chart["series"][2]["data"] == [[1.0, 1.5], [2.0, None], [3.0, 2.5]]


def test_the_spike_of_a_long_run_is_in_its_chart():
    data = curves(100_000, 1000, 100)
    data.series["loss"][1][77_777] = 88.0
    for finished in (False, True):
        assert max(value for _, value in curve_chart(data, "loss", finished=finished)["series"][0]["data"]) == 88.0


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_a_finished_chart_is_the_live_one_with_tools(quantity):
    data = curves(50)
    live, finished = (plain(curve_chart(data, quantity, finished=over)) for over in (False, True))
    assert set(finished.pop("toolbox")["feature"]) == {"dataZoom", "saveAsImage"}
    assert finished == live


def test_a_finished_chart_of_a_long_run_is_thinned():
    raw, mean, validation = curve_chart(curves(100_000, 1000, 100), "loss", finished=True)["series"]
    assert 400 < len(raw["data"]) <= 800 and 300 < len(mean["data"]) <= 600 and len(validation["data"]) == 100


# Bars

def test_probability_bars():
    assert probability_bars(["a", "b", "c"], [0.1, 0.75, 0.15]) == {"classes": ["a", "b", "c"], "values": [10, 75, 15], "best": 1}


@pytest.mark.parametrize("probabilities", [np.array([0.2, 0.8], np.float32), torch.tensor([0.2, 0.8])])
def test_probability_bars_of_arrays_and_tensors(probabilities):
    assert probability_bars(("no", "yes"), probabilities) == {
        "classes": ["no", "yes"], "values": pytest.approx([20, 80]), "best": 1}


def test_bars_get_what_the_words_beside_them_are_made_of():
    """Rounded before, 99.94 % would be "> 99.9 %" in words and "99.9 %" beside its bar."""
    [sure, rest] = probability_bars(["a", "b"], [0.99906, 0.00094])["values"]
    assert sure > 99.9 and rest < 0.1 and (chance(0.99906), chance(0.00094)) == ("> 99.9 %", "< 0.1 %")


def test_probability_bars_of_a_broken_network():
    assert probability_bars(["a", "b"], [math.nan, math.inf])["values"] == [None, None]
    assert probability_bars(["a", "b"], [math.nan, 0.2])["best"] == 1


def test_class_counts():
    figure = class_counts(["0", "1", "Ankle boot"], [5923, 6, 0])
    bars, = figure.data
    assert (bars.x, bars.y, bars.text) == (("0", "1", "Ankle boot"), (5923, 6, 0), ("5,923", "6", "0"))
    assert figure.layout.xaxis.type == "category"  # else Plotly takes digits' names for numbers


# Pictures

def test_as_picture_by_hand():
    gray = torch.tensor([[[0, 128, 255]]], dtype=torch.uint8)  # (1, 1, 3)
    assert as_picture(gray).tolist() == [[0, 128, 255]]
    assert as_picture(gray, 2).tolist() == [[0, 0, 128, 128, 255, 255]] * 2
    colour = torch.tensor([[[10]], [[20]], [[30]]], dtype=torch.uint8)  # (3, 1, 1)
    assert as_picture(colour, 2).tolist() == [[[10, 20, 30]] * 2] * 2


def test_as_picture_of_floats():
    picture = as_picture(torch.tensor([[[0.0, 0.5, 1.0, -3.0, 7.0, 0.4999 / 255, 0.5001 / 255]]]))
    assert picture.dtype == np.uint8 and picture.tolist() == [[0, 128, 255, 0, 255, 0, 1]]


def test_as_picture_gives_back_every_gray():
    grays = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    assert np.array_equal(as_picture(grays.float() / 255), grays[0].numpy())


def test_as_picture_is_a_copy_on_enlarging_and_leaves_the_image():
    image = torch.zeros(1, 2, 2, dtype=torch.uint8)
    as_picture(image, 3)[:] = 9
    assert not image.any()


def test_contact_sheet_by_hand():
    images = torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1, 1)
    g = 128
    assert contact_sheet(images, columns=2, scale=1, gap=1).tolist() == [
        [g, g, g, g, g],
        [g, 1, g, 2, g],
        [g, g, g, g, g],
        [g, 3, g, g, g],
        [g, g, g, g, g]]
    assert contact_sheet(images, columns=3, scale=1, gap=0).tolist() == [[1, 2, 3]]
    assert contact_sheet(images[:1], columns=1, scale=2, gap=0).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(("count", "channels", "height", "width", "columns", "shape"), [
    (72, 1, 28, 28, 12, (6 * 58 + 2, 12 * 58 + 2)),
    (73, 1, 28, 28, 12, (7 * 58 + 2, 12 * 58 + 2)),
    (2, 1, 28, 28, 12, (58 + 2, 12 * 58 + 2)),  # as wide as a full row
    (0, 1, 28, 28, 12, (58 + 2, 12 * 58 + 2)),
    (4, 3, 10, 20, 2, (2 * 22 + 2, 2 * 42 + 2, 3)),
    (1, 3, 1, 1, 1, (6, 6, 3)),
])
def test_contact_sheet_size(count, channels, height, width, columns, shape):
    sheet = contact_sheet(torch.full((count, channels, height, width), 200, dtype=torch.uint8), columns)
    assert sheet.shape == shape and sheet.dtype == np.uint8
    assert (sheet == 200).sum() == count * channels * height * width * 4
    assert set(np.unique(sheet)) <= {128, 200}


def test_contact_sheet_has_each_image_in_its_place():
    images = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    sheet = contact_sheet(images, columns=3, scale=1, gap=2)
    for index, (top, left) in enumerate([(2, 2), (2, 10), (2, 18), (8, 2), (8, 10)]):
        assert np.array_equal(sheet[top:top + 4, left:left + 6], images[index].permute(1, 2, 0).numpy())


def test_ink_picture_by_hand():
    ink = np.array([[0.0, 1.0], [0.5, 2.0]])
    assert ink_picture(ink, side=2).tolist() == [[0, 255], [128, 255]]
    assert ink_picture(ink, side=4).tolist() == [[0, 0, 255, 255], [0, 0, 255, 255], [128, 128, 255, 255], [128, 128, 255, 255]]
    # three times would be too large: twice, in the middle
    assert ink_picture(np.ones((2, 2)), side=5).tolist() == [[255] * 4 + [0]] * 4 + [[0] * 5]


@pytest.mark.parametrize(("shape", "filled"), [
    ((1, 1), (140, 140)),
    ((28, 28), (140, 140)),
    ((20, 14), (140, 98)),
    ((14, 20), (98, 140)),
    ((20, 1), (140, 7)),
    ((1, 140), (1, 140)),
    ((141, 141), (140, 140)),
    ((280, 140), (140, 70)),
    ((300, 600), (70, 140)),
    ((5000, 1), (140, 1)),
    ((1, 5000), (1, 140)),
    ((1000, 1000), (140, 140)),
])
def test_ink_picture_fits_the_frame(shape, filled):
    picture = ink_picture(np.ones(shape, np.float32))
    assert picture.shape == (140, 140) and picture.dtype == np.uint8
    rows, columns = (np.flatnonzero(picture.any(axis)) for axis in (1, 0))
    assert (len(rows), len(columns)) == filled
    assert (picture[np.ix_(rows, columns)] == 255).all()
    for found in (rows, columns):  # in the middle, to the pixel
        assert abs(found[0] - (139 - found[-1])) <= 1


def test_ink_picture_keeps_what_is_up_and_left():
    ink = np.zeros((300, 200))
    ink[:150, :100] = 1
    picture = ink_picture(ink)  # scaled to 140×93
    assert picture[:70, 23:69].min() == 255 and not picture[71:].any() and not picture[:, 72:].any()


def test_blank_ink():
    assert not ink_picture(np.zeros((17, 5))).any()


# --- words of people

@settings(max_examples=25)
@given(st.lists(st.text(max_size=12) | st.sampled_from(HOSTILE + ["%{x}", "%%{{y}}"]), min_size=3, max_size=3))
def test_plotly_gets_no_markup_from_names(names):
    """A class's name comes from a folder of somebody's archive, or from a table that was pasted."""
    counts = np.arange(9).reshape(3, 3)
    probability = torch.full((2, 2), 0.5)
    sweep = next(iter(SWEEPS.values()))
    figures = [class_counts(names, [1, 2, 3]), grouped_counts(names, {names[0]: [1, 2, 3]}),
               split_counts(names, [1] * 3, [1] * 3),
               confusion_figure(counts, names), balance_chart(names, {"training": [1, 2, 3]}),
               answers_figure([[0.2, 0.3, 0.5]], names), order_chart(torch.full((4, 3), 1 / 3), names, 4.0),
               robustness_figure(Map(sweep, torch.zeros(2, 2, dtype=torch.long), probability, 0), names)]
    for figure in figures:
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', figure.to_json())
        own = [text for text in texts if html.unescape(json.loads(f'"{text}"')) in names]
        assert not [text for text in own if "<" in json.loads(f'"{text}"')]
    ticks = figures[3].layout.xaxis.ticktext
    assert [html.unescape(tick) for tick in ticks] == [html.unescape(html.escape(name, quote=False)) for name in names]


@pytest.mark.parametrize(("text", "shown"), [
    ("cat", "cat"), ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"), ("a & b", "a &amp; b"), ("&lt;", "&amp;lt;"), ("%{x}", "%&#123;x}"),
    ("<a href='https://example.org'>y</a>", "&lt;a href='https://example.org'&gt;y&lt;/a&gt;"), ("50 %", "50 %")])
def test_plain_text_for_plotly(text, shown):
    assert literal(text) == shown and html.unescape(shown) == text


@pytest.mark.parametrize(("value", "text"), [
    (1.0, "1"), (0.0, "0"), (-0.0933, "-0.093"), (0.000892, "9e-4"), (-0.2514, "-0.251"), (1234.5, "1234"), (-2.5e7, "-2e7"),
    (7, "7"),
    (True, "True"), (float("inf"), "inf"), (99.96, "100")])
def test_a_number_keeps_to_its_cell(value, text):
    assert number(value) == text and len(text) <= 6
