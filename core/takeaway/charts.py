"""Every chart of a run as PNG and as SVG, in one zip, drawn by Matplotlib from what the store has.

In SVGs text stays text, which other programs can search and edit. What people have named is drawn as it is: Matplotlib reads what
stands between two dollar signs as a formula, so they are escaped.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.evaluation.metrics import confusion_counts
from core.figures.confusion import cell_colors, cell_texts
from core.figures.metric_titles import metric_title
from core.figures.palette import CLASSES, TRAIN, VALIDATION
from core.figures.thinning import smooth, thin
from core.runs.evaluations import load_predictions
from core.takeaway.bundle import EPOCH
from core.takeaway.parts import Subject, TakeawayError
from core.takeaway.record import short

if TYPE_CHECKING:  # Matplotlib stays out of the server
    from matplotlib.axes import Axes

Series = tuple[Sequence[int], Sequence[float]]
SIZE, DOTS = (8.0, 4.5), 150  # inches; a picture has 1200×675 pixels
# shares of a picture, with room for values of seven digits: to have Matplotlib work it out takes as long as to draw
MARGINS = {"left": 0.1, "right": 0.98, "bottom": 0.12, "top": 0.87}
POINTS = 2_000  # of a line; of more, each part keeps its smallest and its largest
MARKED = 40  # values of a line that are marked each
MOST_CHARTS, MOST_LINES, MOST_NAMED = 40, 30, 12  # in all; in one chart; of them in a legend
MOST_CLASSES, MOST_READABLE = 60, 15  # of a confusion matrix; with more its cells have no numbers
SMOOTHING = 0.9  # of the thick line through the batches, as on the page
QUANTITIES = {"loss": "Loss", "accuracy": "Accuracy"}
Scale = Literal["plain", "log", "share"]
FAMILIES: dict[str, tuple[str, str, Scale]] = {
    "gradient.": ("gradients", "Gradient norm of each layer", "log"),
    "dead.": ("dead-units", "Share of dead units of each ReLU layer", "share")}


def charts_zip(subject: Subject) -> bytes:
    """One PNG and one SVG for each chart. Raises TakeawayError where the run has recorded nothing to draw."""
    charts = charts_of(subject)
    if not charts:
        raise TakeawayError("The run has recorded nothing yet that could be drawn.")
    file, title = io.BytesIO(), words(subject.run.title or subject.run.id, 80)
    with zipfile.ZipFile(file, "w") as archive:
        for name, draw in charts.items():
            for ending, content in pictures(draw, title).items():
                about = zipfile.ZipInfo(f"{name}.{ending}", EPOCH)
                about.external_attr = 0o644 << 16
                archive.writestr(about, content, zipfile.ZIP_DEFLATED if ending == "svg" else zipfile.ZIP_STORED)
    return file.getvalue()


def charts_of(subject: Subject) -> dict[str, Callable[["Axes"], None]]:
    """What draws each chart, by the file's name: curves of all metrics, and the confusion matrix of the test data."""
    run, series = subject.run, subject.store.metrics(subject.run.id).series
    per_epoch = run.steps_per_epoch
    charts: dict[str, Callable[[Axes], None]] = {}
    left = dict(sorted(series.items()))
    for name, title in QUANTITIES.items():
        parts = {part: left.pop(part) for part in (name, f"train_{name}", f"validation_{name}") if part in left}
        if parts:
            charts[name] = lambda axes, parts=parts, title=title: _quantity(axes, parts, per_epoch, title)
    for prefix, (name, title, scale) in FAMILIES.items():
        layers = {part.removeprefix(prefix): left.pop(part) for part in list(left) if part.startswith(prefix)}
        if layers:
            charts[name] = lambda axes, layers=layers, title=title, scale=scale: _lines(axes, layers, per_epoch, title, scale)
    for part, points in left.items():
        about = metric_title(part)
        charts[_file_name(part, charts)] = lambda axes, points=points, about=about: _lines(
            axes, {about.title: points}, per_epoch, about.title, "plain")
    charts = dict(list(charts.items())[:MOST_CHARTS])
    predictions = load_predictions(subject.store, run.id)
    if predictions is not None and 1 < len(predictions.classes) <= MOST_CLASSES:
        counts, classes = confusion_counts(predictions), predictions.classes
        charts["confusion-matrix"] = lambda axes: _confusion(axes, counts, classes)
    return charts


def _file_name(metric: str, taken: Mapping[str, object]) -> str:
    """One that is not taken, of letters that every system can write."""
    name = re.sub(r"[^a-z0-9]+", "-", metric.lower()).strip("-")[:40] or "metric"
    return next(found for number in range(len(taken) + 1)
                if (found := name if not number else f"{name}-{number + 1}") not in taken)


# --- one picture

def pictures(draw: Callable[["Axes"], None], title: str = "") -> dict[str, bytes]:
    """A chart as {"png": …, "svg": …}. title: stands small above it; see words()."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure  # without pyplot, which keeps figures for the whole process

    png, svg = io.BytesIO(), io.BytesIO()
    with _own_settings():
        figure = Figure(figsize=SIZE, dpi=DOTS)
        figure.subplots_adjust(**MARGINS)
        axes = figure.add_subplot()
        draw(axes)
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, color="#5b626a")
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


@contextmanager
def _own_settings() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # its font has no such letter: a box in the PNG, right in the SVG
        matplotlib.rcdefaults()  # whatever a person's own matplotlibrc says
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "torch-playground", "path.simplify": False,
                                    "axes.grid": True, "grid.color": "#e6e8ea", "axes.axisbelow": True, "axes.spines.top": False,
                                    "axes.spines.right": False, "axes.titlelocation": "left", "axes.titleweight": "bold"})
        yield


def words(text: object, longest: int = 40) -> str:
    """Words of people for a picture: one printable line, and nothing in it that is read as a formula."""
    return short(text, longest).replace("$", r"\$")


# --- what is drawn

def _quantity(axes: "Axes", parts: Mapping[str, Series], per_epoch: int, title: str) -> None:
    """Loss or accuracy: each batch pale with its running mean, and the means of epochs."""
    for name, (steps, values) in parts.items():
        if name.startswith("validation_"):
            _line(axes, name, (steps, values), per_epoch, "validation", VALIDATION, 2.0)
        elif name.startswith("train_"):
            continue  # the running mean says it
        else:
            _line(axes, name, (steps, values), per_epoch, "each batch", TRAIN, 0.8, alpha=0.35)
            _line(axes, f"{name}-mean", (steps, smooth(values, SMOOTHING)), per_epoch, "training, running mean", TRAIN, 2.0)
    if len(parts) == 1 and (name := next(iter(parts))).startswith("train_"):
        _line(axes, name, parts[name], per_epoch, "training", TRAIN, 2.0)
    _finish(axes, title, per_epoch)
    if title == QUANTITIES["accuracy"]:
        _shares(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _shares(axes: "Axes") -> None:
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _lines(axes: "Axes", lines: Mapping[str, Series], per_epoch: int, title: str, scale: Scale) -> None:
    for number, (name, points) in enumerate(list(lines.items())[:MOST_LINES]):
        _line(axes, name, points, per_epoch, words(name), CLASSES[number % len(CLASSES)], 1.5)
    some = f" (the first {MOST_LINES} of {len(lines)})" if len(lines) > MOST_LINES else ""
    _finish(axes, words(title, 100) + some, per_epoch)
    if scale == "share":
        _shares(axes)
    elif scale == "log" and any(value > 0 for _, values in lines.values() for value in values):
        axes.set_yscale("log")
    if 1 < len(lines) <= MOST_NAMED:
        axes.legend(frameon=False, fontsize=8)


def _line(axes: "Axes", gid: str, points: Series, per_epoch: int, label: str, colour: str, width: float, alpha: float = 1.0,
          ) -> None:
    """One metric over epochs, over steps where it is not known how many an epoch has. What is no number is a gap."""
    steps, values = thin(*points, POINTS)
    x, y = np.asarray(steps, np.float64) / (per_epoch or 1), np.asarray(values, np.float64)
    axes.plot(x, np.where(np.isfinite(y), y, np.nan), color=colour, linewidth=width, alpha=alpha, label=label, gid=gid,
              marker="o" if len(x) <= MARKED else None, markersize=3.5)


def _finish(axes: "Axes", title: str, per_epoch: int) -> None:
    axes.set_title(title)
    axes.set_xlabel("epoch" if per_epoch else "step")
    axes.set_xlim(left=0)


def _confusion(axes: "Axes", counts: np.ndarray, classes: Sequence[str]) -> None:
    """Rows are what is right, columns what the network said; darker is a larger share of the row."""
    from matplotlib.patches import Rectangle

    colours, texts = cell_colors(counts), cell_texts(counts, False)
    for row, column in np.ndindex(*counts.shape):
        background, ink = colours[row][column]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=background, edgecolor="white", linewidth=0.5))
        if len(classes) <= MOST_READABLE and texts[row][column]:
            axes.text(column, row, texts[row][column], color=ink, ha="center", va="center", fontsize=8)
    names = [words(name, 14) for name in classes]
    if (figure := axes.get_figure(root=True)) is not None:
        figure.set_layout_engine("constrained")  # they are of any width
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.set_title("Confusion matrix of the test data")
    axes.set_xlabel("said")
    axes.set_ylabel("true")
