"""What charts say to those who don't see them."""

import ast
from pathlib import Path

import plotly.graph_objects as go
import torch

from core.figures.answers import answer_strip, confusion_heatmap
from core.figures.curves import Curves, curve_chart
from core.figures.grids import tensor_grid
from core.figures.in_words import in_words

ROOT = Path(__file__).parents[1]
CHARTS = {"plotly_chart", "echarts_chart", "graphviz_chart", "vega_lite_chart", "altair_chart", "line_chart", "bar_chart",
          "image"}


def test_every_chart_and_picture_has_words():
    without, found = [], 0
    for path in [ROOT / "app.py", *(ROOT / "pages").rglob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CHARTS:
                found += 1
                if "alt" not in {given.arg for given in call.keywords}:
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
    assert in_words(figure, "Images") == "Images: train cat 3, dog 4; 2 points."
    lying = go.Figure(go.Bar(y=["a", "b"], x=[0.5, float("nan")], orientation="h"))
    assert in_words(lying, "Effects") == "Effects: 1 bar from 0.5 to 0.5."
    named = go.Figure(go.Scatter(y=[1, float("inf"), 3], mode="lines", name="&lt;b&gt;"))
    assert in_words(named, "Loss") == "Loss: <b> from 1 to 3."


def test_of_many_lines_the_first_are_told():
    figure = go.Figure([go.Scatter(y=[0, 1], mode="lines", name=f"run {number}") for number in range(9)])
    assert in_words(figure, "Loss").endswith("run 5 from 0 to 1; and 3 more.")
