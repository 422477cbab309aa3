"""What charts say to those who don't see them."""

import ast
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch

from core.figures.answers import answer_strip, confusion_heatmap
from core.figures.curves import Curves, curve_chart
from core.figures.grids import tensor_grid
from core.figures.in_words import in_words

ROOT = Path(__file__).parents[1]
CHARTS = {"plotly_chart", "echarts_chart", "graphviz_chart", "vega_lite_chart", "altair_chart", "line_chart", "bar_chart",
          "image"}

OWN_WORDS = {"layer_table.py", "learn_autograd.py", "map.py"}


def test_every_chart_and_picture_has_words():
    """A chart's are made from what it shows: a diagram, a graph and a map have sentences of their own."""
    without, found = [], 0
    for path in [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CHARTS:
                found += 1
                words = next((ast.unparse(given.value) for given in call.keywords if given.arg == "alt"), None)
                made = call.func.attr == "image" or path.name in OWN_WORDS or "in_words(" in str(words)
                if words is None or not made:
                    without.append(f"{path.name}:{call.lineno}")
    assert found > 100 and without == []


def test_lines_say_where_they_begin_and_end():
    curves = Curves(10, 3, {"loss": ([1, 10, 20], [2.5, 1.0, 0.25]), "validation_loss": ([10, 20], [1.5, 1.5])})
    said = in_words(curve_chart(curves, "loss", smoothing=0), "Loss")
    assert said == "Loss: training from 2.5 to 0.25; validation at 1.5."
    assert in_words(curve_chart(Curves(10, 3), "loss"), "Loss") == "Loss."


def test_a_strip_says_each_answer_and_a_matrix_its_size():
    strip = answer_strip(["a", "b"], ["7", "4"], ["7", "9"], [0.98, None])
    assert in_words(strip, "Images") == "Images: ✓ 7, ✗ 9, not 4."
    assert in_words(confusion_heatmap([[3, 1], [0, 2]], ["a", "b"]), "Matrix") == "Matrix: images in 4 cells."


def test_a_small_grid_says_its_cells_and_a_large_one_does_not():
    assert in_words(tensor_grid(torch.arange(6).reshape(2, 3)), "x") == "x: 0, 1, 2 / 3, 4, 5."
    assert in_words(tensor_grid(torch.zeros(9, 9)), "x") == "x."


def test_bars_points_and_names_of_people():
    figure = go.Figure([go.Bar(x=["cat", "dog"], y=[3, 4], name="train"), go.Scatter(x=[1, 2], y=[1, 2], mode="markers")])
    assert in_words(figure, "Images") == "Images: train cat 3, dog 4; 2 points from 1 to 2."
    lying = go.Figure(go.Bar(y=["a", "b"], x=[0.5, float("nan")], orientation="h"))
    assert in_words(lying, "Effects") == "Effects: 1 bar from 0.5 to 0.5."
    named = go.Figure(go.Scatter(y=[1, float("inf"), 3], mode="lines", name="&lt;b&gt;"))
    assert in_words(named, "Loss") == "Loss: <b> from 1 to 3."


def test_places_on_an_axis_have_its_words():
    shares = go.Figure(go.Bar(x=[2.5, 0.5], y=[0, 1], orientation="h"))
    shares.update_layout(yaxis={"tickvals": [0, 1], "ticktext": ["depth", "&lt;b&gt;"]})
    assert in_words(shares, "Shares") == "Shares: depth 2.5, <b> 0.5."
    effects = go.Figure(go.Scatter(x=[-0.5], y=[1], mode="markers"))
    effects.update_layout(yaxis={"tickvals": [0, 1], "ticktext": ["batch", "rate"]})
    assert in_words(effects, "Effects") == "Effects: rate -0.5."


def test_many_points_say_their_range_and_bands_nothing():
    cloud = go.Figure([go.Scatter(x=[0, 1], y=[0, 1], fill="toself", mode="none"),
                       go.Scatter(x=[0, 1, 2], y=np.array([0.25, np.nan, 3.0]), mode="markers", name="runs")])
    assert in_words(cloud, "Loss") == "Loss: runs 2 points from 0.25 to 3."
    trials = {"series": [{"type": "scatter", "name": "trials", "data": [{"name": f"Trial {n}", "value": [n, 90 + n]} for n in
                                                                        range(20)]}]}
    assert in_words(trials, "History") == "History: trials 20 points from 90 to 109."
    every = {"parallelAxis": [{"name": "rate"}, {"name": "loss"}], "series": [
        {"type": "parallel", "name": "trials", "data": [[0.1, 2], [0.2, 3]]}]}
    assert in_words(every, "All") == "All: trials 2 lines over rate, loss."
    both = go.Figure(go.Parcoords(dimensions=[{"label": "rate", "values": [1, 2]}, {"label": "loss", "values": [3, 4]}]))
    assert in_words(both, "All") == "All: 2 lines over rate, loss."


def test_of_many_lines_the_first_are_told():
    figure = go.Figure([go.Scatter(y=[0, 1], mode="lines", name=f"run {number}") for number in range(9)])
    assert in_words(figure, "Loss").endswith("run 5 from 0 to 1; and 3 more.")
