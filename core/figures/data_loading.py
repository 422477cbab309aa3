"""The lab on data loading as pictures: which sample is in which batch, what shuffle does, and who waits for whom."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.figures.explore import class_colors
from core.figures.palette import GREY, ON_BARS, TRAIN, VALIDATION
from core.labs.data_loading import Compared, Epoch, Learning
from core.labs.loader_timeline import Timeline
from core.labs.loader_timing import Timing

MARGIN = {"l": 8, "r": 8, "t": 36, "b": 8}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
CELL = 24  # pixels
NUMBERED = 16  # so many samples a batch still have room for their numbers


def pale(color: str) -> str:
    """Half of "#rrggbb" and half white, for cells with black numbers."""
    return "#" + "".join(f"{(int(color[place:place + 2], 16) + 255) // 2:02x}" for place in (1, 3, 5))


def batches_figure(epoch: Epoch, labels: Sequence[int]) -> go.Figure:
    """One row a batch, one cell a sample with its number, in the colour of its class. labels: of all samples, by number."""
    colors = [pale(color) for color in class_colors(max(labels) + 1)]
    widest = max((len(batch) for batch in epoch.batches), default=1)
    rows = [[labels[index] for index in batch] + [None] * (widest - len(batch)) for batch in epoch.batches]
    texts = [[str(index) for index in batch] + [""] * (widest - len(batch)) for batch in epoch.batches]
    last = max(1, len(colors) - 1)
    figure = go.Figure(go.Heatmap(
        z=rows, text=texts, texttemplate="%{text}" if widest <= NUMBERED else "", showscale=False, xgap=2, ygap=2, zmin=0,
        zmax=last,
        colorscale=[[index / last, color] for index, color in enumerate(colors)], textfont={"size": 11, "color": "#000000"},
        hoverongaps=False, hovertemplate="batch %{y}: sample %{text}, class %{z}<extra></extra>"))
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(showticklabels=False, range=[-0.5, widest - 0.5], **axis)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5], title="batch", dtick=max(1, len(rows) // 10), **axis)
    figure.update_layout(height=max(120, len(rows) * CELL + 24), margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    return figure


def learning_figure(shuffled: Learning, in_order: Learning) -> go.Figure:
    """Accuracy on held-out digits over the epochs, with shuffle and without."""
    figure = go.Figure()
    for name, found, color in (("shuffle=True", shuffled, VALIDATION), ("shuffle=False", in_order, TRAIN)):
        figure.add_scatter(x=[(step + 1) / found.steps_per_epoch for step in range(len(found.accuracies))], y=found.accuracies,
                           name=name, mode="lines", line={"color": color, "width": 2})
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND, hovermode="x unified", xaxis={"title": "epochs done"},
                         yaxis={"title": "accuracy on held-out digits", "tickformat": ".0%", "range": [0, 1]})
    return figure


def answers_figure(found: Learning) -> go.Figure:
    """What a network answers, class by class, beside what would be right."""
    figure = go.Figure()
    for name, counts, color in (("answered", found.answers, TRAIN), ("right would be", found.truth, GREY)):
        figure.add_bar(x=list(range(len(counts))), y=list(counts), name=name, marker_color=color,
                       hovertemplate="%{x}: %{y} digits<extra>" + name + "</extra>")
    figure.update_layout(height=260, margin=MARGIN, legend=LEGEND, barmode="group", bargap=0.25,
                         xaxis={"title": "class", "type": "category"}, yaxis={"title": "digits"})
    return figure


def compared_figure(compared: Sequence[Compared]) -> go.Figure:
    """One point a seed, and the mean as a line, for each of the sets."""
    figure = go.Figure()
    for number, (found, color) in enumerate(zip(compared, (GREY, VALIDATION, TRAIN), strict=True)):
        figure.add_scatter(x=list(found.accuracies), y=[number] * len(found.accuracies), mode="markers", showlegend=False,
                           marker={"size": 11, "color": color, "opacity": 0.7},
                           hovertemplate="%{x:.2%}<extra>" + found.title + "</extra>")
        figure.add_shape(type="line", x0=found.mean, x1=found.mean, y0=number - 0.3, y1=number + 0.3,
                         line={"color": color, "width": 3})
    figure.update_layout(height=220, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False,
                         xaxis={"title": "accuracy on 1,747 other digits", "tickformat": ".0%"},
                         yaxis={"tickvals": list(range(len(compared))), "range": [len(compared) - 0.5, -0.5],
                                "ticktext": [found.title.replace(" and ", "<br>and ") for found in compared], "zeroline": False})
    return figure


def timing_figure(timings: Sequence[Timing]) -> go.Figure:
    """Seconds an epoch of one kind of images took, a bar for each number of workers; the part before the first batch is paler."""
    names = [f"num_workers={timing.workers}" for timing in timings]
    figure = go.Figure()
    for name, seconds, opacity in (("until the first batch", [timing.first for timing in timings], 0.45),
                                   ("the rest", [timing.seconds - timing.first for timing in timings], 1.0)):
        figure.add_bar(y=names, x=seconds, name=name, orientation="h", marker={"color": VALIDATION, "opacity": opacity},
                       hovertemplate="%{x:.2f} s<extra>" + name + "</extra>")
    figure.update_layout(height=60 + 40 * len(names), margin=MARGIN, legend={**LEGEND, "traceorder": "normal"}, barmode="stack",
                         xaxis={"title": "s", "rangemode": "tozero"}, yaxis={"autorange": "reversed"})
    return figure


def timeline_figure(found: Timeline) -> go.Figure:
    """One row a process, one bar for each batch that it loads or trains on, by ms."""
    rows = max(span.row for span in found.spans)
    names = ["training", *(f"worker {row}" for row in range(1, rows + 1))]
    figure = go.Figure()
    for what, color in (("load", VALIDATION), ("train", TRAIN)):
        spans = [span for span in found.spans if span.what == what]
        figure.add_bar(y=[names[span.row] for span in spans], base=[span.start for span in spans],
                       x=[span.end - span.start for span in spans], name=what, orientation="h",
                       marker={"color": color, "line": {"color": "white", "width": 1}}, text=[str(span.batch) for span in spans],
                       textposition="inside", textangle=0, insidetextanchor="middle", constraintext="both",
                       insidetextfont={"color": ON_BARS},
                       hovertemplate="batch %{text}: %{base:.0f} ms and %{x:.0f} ms more<extra>" + what + "</extra>")
    figure.update_layout(height=90 + 36 * len(names), margin=MARGIN, legend=LEGEND, barmode="overlay", dragmode=False,
                         xaxis={"title": "ms", "rangemode": "tozero"},
                         yaxis={"categoryorder": "array", "categoryarray": names[::-1]})
    return figure
