"""Runs beside each other: their curves out of the store, what they differ in, names that say it, and the charts."""

import numpy as np
import pytest

from core.evaluation.metrics import Interval
from core.figures.metric_titles import METRICS, metric_title
from core.figures.run_tables import (
    effects_chart,
    front_chart,
    importance_chart,
    is_wide,
    parallel_chart,
    scatter_chart,
)
from core.figures.side_by_side import MOST_AT_ONCE, legend_html, looks, overlay_chart, pixels_for
from core.presets import PRESETS
from core.runs import Metric, load_model
from core.runs.change_walk import Effect
from core.runs.curves import View, extent, read_bands, read_clocks, read_curves
from core.runs.differing import NOT_THERE, by_seed, flat, in_words, labels_of, names_of, values_of, varying
from core.runs.evaluations import compute_predictions
from core.runs.importance import Importance, Share
from core.runs.outcomes import COSTS, RESULTS, mult_adds_of
from core.runs.thinning import Band
from core.training import Intervention, Started
from tests.helpers import run_here, tiny


def made(store, config, steps=40, per_epoch=10, title="A run", seconds=2.0, finished=True, by_hand=False):
    """A run that has recorded a loss of 1 / step, and 0.5 + epoch / 100 as its validation accuracy."""
    run = store.create_running(config, "someone", "here", title)
    store.begin(run.id, Started(per_epoch, steps, 6370, "cpu", "float32"))
    metrics = [Metric("loss", step, 1 / step) for step in range(1, steps + 1)]
    for epoch in range(1, steps // per_epoch + 1):
        metrics += [Metric("validation_accuracy", epoch * per_epoch, 0.5 + epoch / 100),
                    Metric("seconds", epoch * per_epoch, seconds)]
    change = [Intervention(1, 3, "learning_rate", 0.1, 0.2)] if by_hand else []
    half = len(metrics) // 2
    store.record(run.id, metrics[:half], interventions=change)
    store.record(run.id, metrics[half:], step=steps, epoch=steps // per_epoch, validation_accuracy=0.5 + steps // per_epoch / 100)
    if finished:
        store.finish(run.id, "finished", test_accuracy=0.75, test_loss=0.5, seconds=seconds * steps / per_epoch)
    return store.get(run.id)


# --- out of the store


def test_many_runs_and_their_points_are_read_together(store):
    first, second = made(store, tiny()), made(store, tiny(training__seed=1), steps=5)
    assert [run.id for run in store.these([second.id, "0" * 32, first.id])] == [second.id, first.id]
    assert store.metric_names([first.id, second.id]) == {"loss": 2, "seconds": 1, "validation_accuracy": 1}
    found = {run.id: (steps.tolist(), values.tolist()) for run, steps, values in store.points([first, second], "loss")}
    assert found == {run.id: store.metrics(run.id).series["loss"] for run in (first, second)}
    assert [run.id for run, *_ in store.points([first, second], "validation_accuracy")] == [first.id]
    windowed = next(steps for _, steps, _ in store.points([first], "loss", 35, 40))
    assert {35, 40} <= set(windowed.tolist()) and len(windowed) < 40, "what was flushed before it is not read"


def test_runs_are_found_by_exactly_their_settings(store):
    older, newer = made(store, tiny()), made(store, tiny())
    made(store, tiny(), by_hand=True)
    assert [[run.id for run in runs] for runs in store.of_configs([tiny(training__seed=3), tiny()])] == [[], [newer.id, older.id]]
    assert store.of_configs([]) == []


def test_how_many_runs_have_looked_at_the_test_images(store):
    assert store.looks_at_test_images() == {}
    made(store, tiny())
    made(store, tiny(training__epochs=3))
    made(store, tiny(data__task="is_target", training__loss="bce_with_logits"))
    made(store, tiny(), finished=False)
    assert store.looks_at_test_images() == {("digits", "classes"): (2, 0), ("digits", "is_target"): (1, 0)}


def test_later_looks_at_the_test_images_are_counted_too(store, settings, digits):
    run = run_here(store, settings, tiny())
    assert store.looks_at_test_images() == {("digits", "classes"): (1, 0)}
    trained = load_model(store, run.id)
    for split in ("test", "validation", "test"):
        compute_predictions(store, run.id, trained, digits, split)
    assert store.looks_at_test_images() == {("digits", "classes"): (1, 2)}
    store.requeue(run.id, tiny(training__epochs=2))
    store.forget_after(run.id, -1, 0)
    assert store.looks_at_test_images() == {("digits", "classes"): (0, 2)}, "its own result is gone until it has another"
    store.note_test_look("0" * 32)


def test_curves_over_steps_epochs_and_seconds(store):
    run, other = made(store, tiny(), seconds=2.0), made(store, tiny(training__seed=1), steps=45, seconds=4.0)
    runs = [run, other]
    clocks = read_clocks(store, runs)
    assert clocks[run.id][1].tolist() == [0, 2, 4, 6, 8] and extent(runs, "seconds", clocks) == 16
    assert extent(runs, "step", clocks) == 45 and extent(runs, "epoch", clocks) == 4.5
    by_step = read_curves(store, runs, View("loss", "step"), 100)
    assert by_step[run.id][0].tolist() == list(range(1, 41)) and by_step[run.id][1][3] == 0.25
    assert read_curves(store, runs, View("loss", "epoch"), 100)[run.id][0][:2].tolist() == [0.1, 0.2]
    timed = read_curves(store, runs, View("loss", "seconds"), 100, clocks)
    assert timed[run.id][0][[4, 9]].tolist() == [1.0, 2.0]
    assert len(timed[other.id][0]) == 40, "the half epoch has no time yet"
    assert read_curves(store, runs, View("no such metric", "step"), 100) == {}
    close = read_curves(store, runs, View("loss", "epoch", 2.0, 2.5), 100)
    assert close[run.id][0].tolist() == pytest.approx([1.9, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6])
    assert len(read_curves(store, runs, View("loss", "step"), 5)[run.id][0]) <= 15


def test_only_what_comes_with_each_step_is_smoothed(store):
    run = made(store, tiny())
    smoothed = read_curves(store, [run], View("loss", "step", smoothing=0.5), 100)[run.id][1]
    assert smoothed[1] == pytest.approx((0.5 * 1 + 0.5) / 1.5)
    each_epoch = read_curves(store, [run], View("validation_accuracy", smoothing=0.5), 100)[run.id]
    assert each_epoch[1].tolist() == [0.51, 0.52, 0.53, 0.54]
    window = read_curves(store, [run], View("loss", "step", 30, 40, 0.5), 100)[run.id]
    assert window[1][-1] == pytest.approx(smoothed[-1]), "the mean of a window began at the beginning"


def test_seeds_together(store):
    runs = [made(store, tiny(training__seed=seed), steps=10 + 10 * seed) for seed in range(3)]
    band, = read_bands(store, [runs], View("validation_accuracy"), 400)
    assert band.x.tolist() == [1, 2, 3] and band.low.tolist() == band.high.tolist() == [0.51, 0.52, 0.53]
    assert [[run.id for run in group] for group in by_seed(runs)] == [[run.id for run in runs]]


# --- what differs


def test_settings_that_differ_and_what_they_are_called():
    first, second = tiny(), tiny(training__batch_size=128, training__optimizer__name="sgd")
    assert flat(first)["model.hidden"] == [8]
    paths = varying([first, second])
    assert {"training.batch_size", "training.optimizer.name", "training.optimizer.learning_rate",
            "training.optimizer.beta1"} < set(paths)
    assert "training.epochs" not in paths and varying([first]) == varying([first, first]) == []
    assert labels_of([first, second], paths)["training.optimizer.learning_rate"] == "learning rate"
    plateau = tiny(training__schedule__name="plateau")
    step = tiny(training__schedule__name="step")
    assert len(set(labels_of([plateau, step], varying([plateau, step])).values())) == len(varying([plateau, step]))
    whole = [entry.config for entry in PRESETS.values()]
    labels = labels_of(whole, varying(whole))
    assert len(set(labels.values())) == len(labels) and all(labels.values())


@pytest.mark.parametrize(("value", "text"), [(0.001, "0.001"), (1e-05, "1e−5"), (True, "on"), ([64, 32], "64-32"), ([], "none"),
                                             (NOT_THERE, "–"), ("", "none"), (5, "5"), (["a", "b"], "a, b"),
                                             ([{"kind": "conv2d", "out_channels": 8}], "conv2d"), ("x" * 50, "x" * 27 + "…")])
def test_values_in_a_few_letters(value, text):
    assert in_words("some.path", value) == text


def test_names_say_what_differs(store):
    def names(*configs, **options):
        return list(names_of([made(store, config, title="Mine") for config in configs], **options).values())

    assert names(tiny()) == ["Mine"]
    assert names(tiny(), tiny(training__batch_size=128)) == ["batch size 64", "batch size 128"]
    assert names(tiny(training__seed=1), tiny(training__seed=2)) == ["seed 1", "seed 2"]
    assert names(tiny(training__optimizer__name="sgd"), tiny()) == ["optimizer sgd, learning rate 0.01",
                                                                    "optimizer adam, learning rate 0.001"]
    alike = names(tiny(), tiny(), tiny(training__batch_size=128))
    assert alike[2] == "batch size 128" and len(set(alike)) == 3 and alike[0].startswith("batch size 64 (")
    twice = names(tiny(training__seed=1), tiny(training__seed=2, training__epochs=3), seeds=False)
    assert twice == ["epochs 1", "epochs 3"]
    sgd = tiny(training__optimizer__name="sgd", training__optimizer__learning_rate=0.001)
    betas = names(tiny(training__optimizer__beta1=0.5), sgd, tiny())
    assert betas == ["optimizer adam, beta1 0.5, beta2 0.999", "optimizer sgd, momentum 0, nesterov off",
                     "optimizer adam, beta1 0.9, beta2 0.999"], "what not all have comes in where it is needed"


def test_runs_that_differ_in_many_settings_are_called_by_their_titles(store):
    few = {"training__epochs": 2, "training__batch_size": 32, "training__optimizer__learning_rate": 0.5,
           "training__loss": "mse", "data__normalization": "half"}
    first, like_it = made(store, tiny(), title="First · seed 0"), made(store, tiny(**few), title="First · seed 0")
    assert names_of([first, like_it])[like_it.id].startswith("normalisation half, loss mse, ")
    other = made(store, tiny(**few, training__seed=1), title="Other  *one* · seed 1")
    assert names_of([first, other]) == {first.id: "First · seed 0", other.id: "Other *one* · seed 1"}
    assert values_of([first, other]) is None and values_of([first, other], seeds=False)[1][other.id][-1] == "2"
    more = made(store, tiny(**few, data__fraction=0.5, training__seed=1), title="Other · seed 1")
    assert names_of([first, like_it, more], seeds=False) == {
        first.id: f"First ({first.id[:4]})", like_it.id: f"First ({like_it.id[:4]})", more.id: "Other"}


def test_of_many_runs_settings_are_named_once(store):
    runs = [made(store, tiny(training__batch_size=size, training__seed=size)) for size in (32, 64)]
    assert values_of(runs, seeds=False) == (["batch size"], {runs[0].id: ["32"], runs[1].id: ["64"]})
    assert values_of(runs)[0] == ["batch size", "seed"]
    other = made(store, tiny(training__optimizer__name="sgd", training__batch_size=32, training__seed=32))
    assert values_of([*runs, other])[1][other.id] == ["sgd", "0.01", "32", "32"]
    assert values_of([*runs, made(store, runs[0].config)]) is None and values_of(runs[:1]) is None
    page = legend_html(looks({"a": "batch <b>", "c": "x"}, {}), {}, "batch <size>", {"a": "<b>", "c": "64"})
    assert "batch &lt;size&gt;" in page and "&lt;b&gt;" in page and "batch &lt;b&gt;" not in page


def test_multiply_adds_by_hand(places):
    assert mult_adds_of(tiny(), places / "data") == (784 + 1) * 8 + (8 + 1) * 10  # with its bias, as core.layers counts
    assert mult_adds_of(tiny(data__dataset="own:gone"), places / "data") is None


# --- charts


def line(*y):
    return np.arange(len(y), dtype=float), np.array(y, float)


def test_every_run_has_its_line_and_the_picked_one_lies_on_top():
    named = looks({"a": "one", "b": "two", "c": "three"}, {"a": "#e4572e", "b": "#e4572e", "c": "#2e86ab"}, picked="a")
    assert [look.dash for look in named.values()] == ["solid", "dash", "solid"]
    figure = overlay_chart("validation_accuracy", "epoch", {"a": line(0.1, 0.2), "b": line(0.3, 0.4), "c": line(0.5, 0.6)}, named,
                           ends={"c": (2.0, 0.7), "b": (2.0, float("nan"))})
    assert [trace.name for trace in figure.data] == ["two", "three", "three, test", "one"]
    assert figure.data[-1].line.width > figure.data[0].line.width and figure.data[-1].opacity > figure.data[0].opacity
    assert list(figure.data[2].y) == [0.7] and figure.layout.yaxis.tickformat.endswith("%")
    assert figure.layout.hovermode == "x unified"


def test_many_runs_are_one_pale_line_with_gaps():
    lines = {str(number): line(1.0, 0.5, -1.0) for number in range(30)}
    figure = overlay_chart("loss", "step", lines, looks({"3": "third"}, {}), logarithmic=True)
    pale, third = figure.data
    assert len(pale.x) == 29 * 4 and np.isnan(pale.y[3]) and np.isnan(pale.y[2]) and pale.hoverinfo == "skip"
    assert third.name == "third" and figure.layout.yaxis.type == "log" and figure.layout.hovermode == "closest"
    assert MOST_AT_ONCE < 30 and not overlay_chart("loss", "step", {}, {}).data


def test_a_band_is_an_area_and_its_mean():
    band = Band(*(np.array([0.0, 1.0, 2.0]) + offset for offset in (0, -1, 0, 1)))
    area, mean = overlay_chart("loss", "epoch", {}, looks({"a": "x"}, {"a": "#2e86ab"}), {"a": band}).data
    assert list(area.x) == [0, 1, 2, 2, 1, 0] and list(area.y) == [1, 2, 3, 1, 0, -1] and list(mean.y) == [0, 1, 2]
    area, _ = overlay_chart("loss", "epoch", {}, looks({"a": "x"}, {"a": "#2e86ab"}), {"a": band}, logarithmic=True).data
    assert list(area.x) == [2, 2], "where an edge has no logarithm there is no area"


def test_what_is_sent_stays_small():
    assert pixels_for(1) == pixels_for(20, 2) == 400
    for runs in (100, 1000, 5000):
        assert pixels_for(runs, 2) * 3 * runs * 2 <= 120_000 or pixels_for(runs, 2) == 16
    lines = {str(number): (np.arange(3.0 * pixels_for(1000)), np.ones(3 * pixels_for(1000))) for number in range(1000)}
    assert len(overlay_chart("loss", "epoch", lines, {}).to_json()) < 2_000_000


def test_names_of_people_are_text_everywhere():
    hostile = '<img src=x onerror=alert(1)><b>%{y}</b> "quoted" & more'
    page = legend_html(looks({"a": hostile}, {}), {"a": hostile})
    assert "<img" not in page and "<b>" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") == 2
    chart = overlay_chart("loss", "epoch", {"a": line(1, 2)}, looks({"a": hostile}, {}))
    assert "<b>" not in chart.data[0].name and "%{" not in chart.data[0].name
    front = front_chart([1.0], [0.5], [hostile], ["#e4572e"], COSTS["seconds"], RESULTS["test_accuracy"])
    scatter = scatter_chart([hostile], [0.5], [hostile], ["#e4572e"], hostile, RESULTS["test_accuracy"])
    effect = effects_chart([Effect(hostile, 1, 0.1, None)], RESULTS["test_accuracy"])
    shares = (Share((hostile,), 0.1, Interval(0.0, 0.2)),)
    share = importance_chart(Importance(20, shares, 0.5, 0.1, 0.2), {}, RESULTS["test_loss"])
    for figure in (front, scatter, effect, share):
        assert "<b>" not in figure.to_json().replace("\\u003c", "<"), figure


def test_every_metric_has_a_title():
    assert metric_title("validation_loss").title == "Validation loss" and metric_title("gradient.fc1").falls
    assert metric_title("dead.relu1").share and metric_title("something new").title == "something new"
    titles = [about.title for about in METRICS.values()]
    assert len(set(titles)) == len(titles)


def test_the_front_is_marked_and_wide_axes_are_logarithmic():
    figure = front_chart([1.0, 100.0, 50.0], [0.9, 0.95, 0.8], ["a", "b", "c"], ["#e4572e"] * 3, COSTS["parameters"],
                         RESULTS["test_accuracy"])
    steps, points = figure.data
    assert list(steps.x) == [1.0, 100.0] and list(points.marker.symbol) == ["diamond", "diamond", "circle"]
    assert figure.layout.xaxis.type == "log" and list(points.text) == ["a", "b", ""]
    assert figure.layout.xaxis.tickformat, "else Plotly writes digits alone between powers of ten: 5 100k 2 5 1M"
    assert not is_wide([0.0, 100.0]) and not is_wide([]) and not is_wide([1.0, 30.0])


def test_a_setting_with_few_values_has_a_tick_for_each():
    def ticks(*values):
        return scatter_chart(values, [0.5] * len(values), ["a"] * len(values), ["#e4572e"] * len(values), "x",
                             RESULTS["test_accuracy"]).layout.xaxis

    assert list(ticks(0.0, 1.0, 2.0, 1.0).tickvals) == [0, 1, 2]
    rates = ticks(0.0003, 0.03, 0.001)
    assert rates.type == "log" and list(rates.tickvals) == [0.0003, 0.001, 0.03] and rates.ticktext[0] == "0.0003"
    assert ticks(1.0, 1.01, 2.0).tickvals is None and ticks(*map(float, range(9))).tickvals is None
    axes = parallel_chart({"seed": [0, 1, 2]}, [0.1, 0.2, 0.3], RESULTS["test_loss"]).data[0].dimensions
    assert list(axes[0].tickvals) == [0, 1, 2]


def test_an_axis_with_one_value_names_it_once():
    figure = front_chart([105_194, 105_194], [0.9, 0.95], ["a", "b"], ["#e4572e"] * 2, COSTS["parameters"],
                         RESULTS["test_accuracy"])
    x, y = figure.layout.xaxis, figure.layout.yaxis
    assert list(x.tickvals) == [105_194] and x.range[0] < 105_194 < x.range[1] and x.tickformat == ",.6~g"
    assert y.tickvals is None and y.range is None
    zeros = scatter_chart([0.0, 0.0], [0.5, 0.5], ["a", "b"], ["#e4572e"] * 2, "momentum", RESULTS["test_accuracy"]).layout
    assert list(zeros.xaxis.range) == [-1.0, 1.0] and list(zeros.yaxis.tickvals) == [0.5]


def test_settings_that_are_no_numbers_have_a_place_each():
    scatter = scatter_chart(["adam", True, NOT_THERE], [0.1, 0.2, 0.3], ["a", "b", "c"], ["#e4572e"] * 3, "x",
                            RESULTS["test_loss"])
    assert list(scatter.data[0].x) == ["adam", "on", "–"] and scatter.layout.xaxis.type == "category"
    axes = parallel_chart({"rate": [0.001, 0.1, 0.01], "kind": ["b", "a", "b"], "batch size": [64, 32, 128]}, [0.1, 0.2, 0.3],
                          RESULTS["test_accuracy"]).data[0].dimensions
    assert list(axes[0]["values"]) == [-3, -1, -2] and list(axes[0].ticktext) == ["0.001", "0.01", "0.1"]
    assert list(axes[1]["values"]) == [1, 0, 1] and list(axes[2]["values"]) == [64, 32, 128]
    assert axes[3].label == "test accuracy" and axes[3].tickformat == ".4~%"
    layers = ["16", "64-32", "4", "none"]
    parallel = parallel_chart({"hidden layers": layers}, [2e5, 1e5, 3e4, 5.0], RESULTS["test_loss"])
    assert list(parallel.data[0].dimensions[0].ticktext) == ["4", "16", "64-32", "none"]
    assert list(scatter_chart(layers, [1, 2, 3, 4], layers, ["#e4572e"] * 4, "hidden layers", RESULTS["test_loss"])
                .layout.xaxis.categoryarray) == ["4", "16", "64-32", "none"]
    assert parallel.data[0].dimensions[1].tickformat == ".4~s"
    wide = parallel_chart({"architecture": ["Convolutional network (CNN)", "b"]}, [0.1, 0.2], RESULTS["test_loss"])
    assert wide.layout.margin.l > parallel.layout.margin.l >= 60, "the first axis' values stand left of it"
    many = parallel_chart({str(number): [1, 2] for number in range(20)}, [0.1, 0.2], RESULTS["test_loss"]).data[0]
    assert len(many.dimensions) == 9 and many.line.colorscale[0][1] == "#2e86ab", "a small loss is the good end"
