"""Charts of a run as files: opened by Pillow and an XML parser, with the store's values in them."""

import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.figures.palette import TRAIN
from core.figures.thinning import smooth
from core.runs import Metric
from core.runs.evaluations import load_predictions
from core.settings import Settings
from core.takeaway import Subject, TakeawayError, take
from core.takeaway.charts import MOST_CHARTS, POINTS, SIZE, _confusion, _lines, charts_zip, pictures, words
from core.training import Started
from tests.helpers import tiny
from tests.hostile import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
HARMLESS = {"svg", "g", "path", "defs", "clipPath", "rect", "use", "text", "tspan", "metadata", "style", "title", "image"}


@pytest.fixture(scope="module")
def subject(trained, places) -> Subject:
    store, run = trained
    return Subject(store, run, Settings(places / "data", store.path, places / "cache"))


@pytest.fixture(scope="module")
def files(subject) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(take(subject, "charts"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tree_of(content: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(content.decode())


def texts(tree: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()).strip() for element in tree.iter(f"{SVG}text")]


def line(tree: ElementTree.Element, name: str) -> np.ndarray:
    """The points of a line of a picture, (N, 2) in the picture's own units."""
    group = next(element for element in tree.iter(f"{SVG}g") if element.get("id") == name)
    path = next(group.iter(f"{SVG}path")).get("d", "")
    return np.array(re.findall(r"[ML] (\S+) (\S+)", path), np.float64)


def straight(drawn: np.ndarray, values: np.ndarray) -> None:
    """That places in a picture are values times something plus something."""
    slope, offset = np.polyfit(values, drawn, 1)
    assert slope and np.abs(slope * values + offset - drawn).max() < 1e-3


def test_every_chart_is_there_as_png_and_as_svg(files, subject):
    names = {name.rsplit(".", 1)[0] for name in files}
    assert {f"{name}.{ending}" for name in names for ending in ("png", "svg")} == set(files)
    assert {"loss", "accuracy", "learning-rate", "gradients", "dead-units", "throughput", "confusion-matrix"} <= names
    for name, content in files.items():
        if name.endswith("png"):
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
                assert picture.format == "PNG" and picture.size == (1200, 675)
        else:
            tags = {element.tag.removeprefix(SVG) for element in tree_of(content).iter() if element.tag.startswith(SVG)}
            assert tags <= HARMLESS and b"<script" not in content and b"onload" not in content
    assert files == dict(_again(subject)), "the same run gives the same bytes"


def _again(subject):
    with zipfile.ZipFile(io.BytesIO(take(subject, "charts"))) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def test_the_values_in_a_picture_are_the_stores(files, subject):
    """Steps and values are found again in the places of a line's points."""
    series, tree = subject.store.metrics(subject.run.id).series, tree_of(files["loss.svg"])
    steps, values = map(np.array, series["loss"])
    for name, expected in {"loss": values, "loss-mean": np.array(smooth(values.tolist(), 0.9))}.items():
        drawn = line(tree, name)
        assert len(drawn) == len(steps) < POINTS
        straight(drawn[:, 0], steps)
        straight(drawn[:, 1], expected)
    steps, values = map(np.array, series["validation_loss"])
    straight(line(tree, "validation_loss")[:, 1], values)
    assert {"Loss", "epoch", "each batch", "training, running mean", "validation"} <= set(texts(tree))


def test_a_confusion_matrix_says_its_counts(files, subject):
    predictions = load_predictions(subject.store, subject.run.id)
    counts = np.zeros((10, 10), int)
    for truth, said in zip(predictions.labels.tolist(), predictions.logits.argmax(1).tolist(), strict=True):
        counts[truth, said] += 1
    shown = texts(tree_of(files["confusion-matrix.svg"]))
    assert [text for text in shown if text == str(counts.max())] and "true" in shown and "said" in shown
    in_cells = sorted(str(count) for count in counts.ravel() if count)
    for digit in map(str, range(10)):  # classes on both axes
        shown.remove(digit), shown.remove(digit)
    assert sorted(text for text in shown if text.isdigit()) == in_cells


def test_a_picture_has_the_lines_colour(files):
    with Image.open(io.BytesIO(files["loss.png"])) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert (pixels == tuple(bytes.fromhex(TRAIN[1:]))).all(1).sum() > 100


@pytest.mark.parametrize("name", [*HOSTILE, "</text><script>alert(1)</script>", "\x00\x0b\ud800 & \u202e", "]]>", "$\\frac{$",
                                  "--"])
def test_names_of_people_are_drawn_as_they_are(name):
    made = pictures(lambda axes: axes.plot([0, 1], label=words(name)), words(name, 80))
    tree = tree_of(made["svg"])
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    assert not shown or shown[:79] in [text.rstrip("…") for text in texts(tree)] or len(shown) > 79
    assert not list(tree.iter(f"{SVG}script")) and not list(tree.iter("script"))
    assert Image.open(io.BytesIO(made["png"])).size == (SIZE[0] * 150, SIZE[1] * 150)


def edges(png):
    """Whether each edge of a picture is as white as paper: left, top, right, bottom."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    return [bool((edge == 255).all()) for edge in (pixels[:, :3], pixels[:3], pixels[:, -3:], pixels[-3:])]


@pytest.mark.parametrize("values", [[0.0, 1.0], [1e6, 9.5e6], [-123456.5, 0.0], [1e-9, 2e-9], [1e300, 2e300], [22220.3, 40.1]])
def test_numbers_and_names_have_room_beside_the_axes(values):
    assert edges(pictures(lambda axes: _lines(axes, {"a metric": ([1, 2], values)}, 1, "A metric", "plain"))["png"]) == [True] * 4


@pytest.mark.parametrize("names", ["0123456789", ["W" * 14] * 60, ["T-shirt/top", "Ankle boot"]])
def test_classes_have_room_beside_a_confusion_matrix(names):
    counts = np.eye(len(names), dtype=int)
    assert edges(pictures(lambda axes: _confusion(axes, counts, list(names)))["png"]) == [True] * 4


def test_metrics_of_any_name_and_value_are_drawn(store, settings):
    """As a bundle may bring them: infinite, not a number, thousands of names, long lines."""
    run = store.create_running(tiny(), "tester", "here", "<odd> $x")
    store.begin(run.id, Started(0, 0, 1, "cpu", "float32"))
    odd = [float("nan"), float("inf"), 1e300, -1e300, 0.0]
    metrics = [Metric(name, step, value) for name in ("../up", "$loss$", "gradient.<b>", "loss", "UP")
               for step, value in enumerate(odd, 1)]
    metrics += [Metric("validation_loss", step, 1 / step) for step in range(1, 5001)]
    metrics += [Metric(f"m{number}", 1, 1.0) for number in range(MOST_CHARTS)]
    store.record(run.id, metrics, step=5000)
    store.finish(run.id, "stopped")
    content = charts_zip(Subject(store, store.get(run.id), settings))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert len(names) == 2 * MOST_CHARTS and all(name.replace("-", "").replace(".", "").isalnum() for name in names)
        assert {"up.png", "up-2.png", "loss-2.svg"} <= set(names)
        tree = tree_of(archive.read("loss.svg"))
    assert len(line(tree, "validation_loss")) <= POINTS and "step" in texts(tree)


def test_a_run_that_has_recorded_nothing_has_no_charts(store, settings):
    run = store.create_running(tiny(), "tester", "here")
    with pytest.raises(TakeawayError, match="has recorded nothing yet that could be drawn"):
        take(Subject(store, replace(run, status="failed"), settings), "charts")
