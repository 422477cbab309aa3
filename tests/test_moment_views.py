"""What is seen of a network at a moment of its training, against plain PyTorch and scikit-learn, and its pictures."""

import io
from base64 import b64decode

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix, log_loss
from torch import nn

from core.data import load
from core.figures import moments as figures
from core.figures.moments import DARK, LIGHT, SCALE, Panel, Sheet, Shot, animation, drawn_names, panels
from core.inspection import moment as inspected
from core.inspection.moment import BINS, PARTS, axes_of, counts, examples_of, layers_of, look_at
from core.presets import PRESETS
from core.runs.moments import moments, read_moment
from core.training.watchers import first_filters
from tests.helpers import run_here

WEIGHTS = "weights"


@pytest.fixture(scope="module")
def looked(trained, digits):
    """The first and the last moment of a run, examples with one watched image, and axes of all kinds."""
    kept = moments(trained[0], trained[1].id).kept
    first, last = read_moment(kept[0]), read_moment(kept[-1])
    watched = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    examples = examples_of(digits, "test", last, watched)
    return first, last, examples, axes_of(last, first, examples, inspected.HISTOGRAMS)


def test_all_of_it_against_other_libraries(looked, digits):
    first, last, examples, axes = looked
    for trained in (first, last):
        view = look_at(trained, examples, axes, PARTS[:-2], image=1, layer=0)
        images, labels = digits.test.take(torch.arange(len(digits.test)))
        assert len(examples.labels) == len(labels) == 360 and torch.equal(examples.labels, labels)
        with torch.no_grad():
            inputs = (images.float() / 255 - digits.mean[0]) / digits.std[0]
            probabilities = trained.model(inputs).softmax(1).numpy()
        said = probabilities.argmax(1)
        assert view.said.tolist() == said.tolist() and view.right == pytest.approx((said == labels.numpy()).mean())
        assert view.loss == pytest.approx(log_loss(labels.numpy(), probabilities, labels=range(10)), rel=1e-4)
        assert view.confusion.tolist() == confusion_matrix(labels.numpy(), said, labels=range(10)).tolist()
        assert examples.shown_labels.tolist() == list(range(10))
        with torch.no_grad():
            shown = trained.model((examples.shown.float() / 255 - digits.mean[0]) / digits.std[0]).softmax(1)
            watched = trained.model((examples.watched - digits.mean[0]) / digits.std[0]).softmax(1)
        assert view.shown == pytest.approx(shown.numpy(), abs=1e-5) and view.watched == pytest.approx(watched.numpy(), abs=1e-5)
        assert np.array_equal(view.filters, first_filters(trained.model, (1, 28, 28)))
        assert view.stage.name == layers_of(trained, examples)[0].name
        for name, found in view.histograms.items():
            end, weight = axes.ranges[WEIGHTS, name], trained.model.get_submodule(name).weight.detach()
            assert found.sum() == weight.numel() and end >= float(weight.abs().max())
            assert found.tolist() == torch.histc(weight, BINS, -end, end).int().tolist()
        assert set(view.histograms) == {"fc1", "fc2"}


def test_the_map_is_the_last_moments_and_does_not_turn(looked):
    first, last, examples, axes = looked
    with torch.no_grad():
        before, after = (trained.model.fc1(examples.inputs.flatten(1)).relu() for trained in (first, last))
    expected = PCA(2, svd_solver="full").fit(after.numpy())
    found = look_at(last, examples, axes, ["map"]).points
    for column in range(2):
        assert abs(np.corrcoef(found[:, column], expected.transform(after.numpy())[:, column])[0, 1]) > 0.9999
    earlier = look_at(first, examples, axes, ["map"]).points
    assert earlier == pytest.approx(((before - axes.centre) @ axes.directions).numpy(), abs=1e-4)
    left, right, bottom, top = axes.limits
    assert left < found[:, 0].min() and right > found[:, 0].max() and bottom < found[:, 1].min() and top > found[:, 1].max()


def test_gradients_and_what_layers_return_are_those_of_plain_pytorch(looked):
    _, last, examples, axes = looked
    model = last.model
    inputs, labels = examples.inputs[:64], examples.labels[:64]
    outputs = model.fc2(nn.functional.relu(model.fc1(inputs.flatten(1))))
    expected = torch.autograd.grad(nn.functional.cross_entropy(outputs, labels), [model.fc1.weight, model.fc2.weight])
    found = look_at(last, examples, axes, ["gradients"])
    for name, gradient in zip(("fc1", "fc2"), expected, strict=True):
        assert found.histograms[name].tolist() == counts(gradient, axes.ranges["gradients", name]).tolist()
        assert found.histograms[name].sum() == gradient.numel()
    returned = look_at(last, examples, axes, ["activations"])
    assert returned.histograms["fc2"].tolist() == counts(outputs, axes.ranges["activations", "fc2"]).tolist()
    assert all(weight.grad is None for weight in model.parameters())
    assert not model.training and not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("part", PARTS)
def test_only_what_is_asked_for_is_worked_out(looked, part, monkeypatch):
    _, last, examples, axes = looked
    others = {"answers": {"first_filters", "layers_of", "_values"}, "filters": {"_answers", "layers_of", "_values"},
              "maps": {"_answers", "first_filters", "_values"}, "confusion": {"first_filters", "layers_of", "_values"},
              "map": {"first_filters", "layers_of", "_values"}}.get(part, {"_answers", "first_filters", "layers_of"})
    for name in others:
        monkeypatch.setattr(inspected, name, lambda *given, name=name: pytest.fail(name))
    [found] = [panel for panel in panels(look_at(last, examples, axes, [part]), examples, axes, last.classes, LIGHT)
               if "drawing" not in panel.title]
    assert found.alt and found.src.startswith("data:image/png;base64,")


def test_answers_that_are_no_numbers_are_refused_in_one_line(looked):
    _, last, examples, axes = looked
    broken = last.model.fc2.bias.detach().clone()
    with torch.no_grad():
        last.model.fc2.bias.fill_(float("inf"))
        try:
            with pytest.raises(ValueError, match="infinite or no numbers"):
                look_at(last, examples, axes, ["map"])
        finally:
            last.model.fc2.bias.copy_(broken)


def test_counts_by_hand():
    assert counts(torch.tensor([-9.0, 0.0, 0.01, 9.0]), 1.0)[[0, BINS // 2, BINS - 1]].tolist() == [1, 2, 1]


def test_pictures_say_what_they_show(looked, digits):
    _, last, examples, axes = looked
    for theme in (LIGHT, DARK):
        view = look_at(last, examples, axes, PARTS[:-2])
        found = panels(view, examples, axes, digits.classes, theme)
        assert [panel.title for panel in found] == [
            "The watched drawing", "Answers", "First layer's weights", "fc1, Linear, 8", "Confusion matrix",
            "Map of the examples", "Weights"]
        for panel in found:
            picture = Image.open(io.BytesIO(b64decode(panel.src.partition(",")[2])))
            assert picture.size == (panel.width, panel.height) and len(panel.src) < 200_000
        assert f"{int(view.confusion.trace())} of 360 right" in found[4].alt
        corner = found[5].picture.getpixel((20, 20))
        assert corner == theme.paper


def test_a_confusion_matrix_in_words():
    matrix = np.array([[5, 2, 0], [0, 9, 1], [0, 0, 3]])
    assert figures.worst_pair(matrix, ["a", "b", "c"]) == "Most often a is taken for b: 2 times."
    assert figures.worst_pair(np.diag([1, 2]), ["a", "b"]) == ""
    panel = figures.confusion_panel(matrix, ["a", "b", "c"], LIGHT)
    assert panel.alt.startswith("17 of 20 right.")


def test_names_that_the_font_cannot_write_are_numbers():
    assert drawn_names(["cat", "Äpfel", "お", "a…"]) == ["cat", "Äpfel", "2", "a…"]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_an_animation_has_a_frame_for_each_moment_and_is_bounded(kind, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (60, 320, 3), dtype=np.uint8)
    shots = [Shot(f"step {step}", [Panel.of("Noise", np.roll(noise, step, 0), "noise")]) for step in range(5)]
    whole = animation(shots, "A run", kind)
    with Image.open(io.BytesIO(whole)) as played:
        assert played.format == kind.upper() and played.n_frames == 5
        size = played.size
    monkeypatch.setattr(figures, "MOST_BYTES", len(whole) // 3)
    monkeypatch.setattr(figures, "MOST_FRAMES", 4)
    smaller = animation(shots, "A run", kind)
    assert len(smaller) <= len(whole) // 3
    with Image.open(io.BytesIO(smaller)) as played:
        assert played.n_frames == 4 and played.size < size
    with pytest.raises(ValueError, match="no moment"):
        animation([], "A run", kind)


def test_a_run_on_texts_has_answers_a_matrix_a_map_and_histograms(store, settings):
    config = PRESETS["reviews-embedding"].config.with_values({"training.epochs": 1, "training.device": "cpu"})
    run = run_here(store, settings, config)
    data = load(config.data, settings.data_dir, settings.cache_dir)
    kept = moments(store, run.id).kept
    first, last = read_moment(kept[0]), read_moment(kept[-1])
    examples = examples_of(data, "test", last)
    wanted = ("answers", "confusion", "map", WEIGHTS)
    axes = axes_of(last, first, examples, [WEIGHTS])
    view = look_at(last, examples, axes, wanted)
    assert view.confusion.sum() == len(examples.labels) and view.right == pytest.approx(
        (view.said == examples.labels.numpy()).mean())
    assert [panel.title for panel in panels(view, examples, axes, data.classes, LIGHT)] == [
        "Answers", "Confusion matrix", "Map of the examples", "Weights"]


def test_a_text_keeps_to_its_room():
    """Names of classes of somebody's own are long."""
    def drawn(text: str, **room: float) -> np.ndarray:
        sheet = Sheet(300, 24, LIGHT)
        sheet.text(10, 2, text, 13, **room)
        return sheet.pixels

    columns = (drawn("Ferruginous duck female", within=60) != LIGHT.paper[0]).any(axis=(0, 2)).nonzero()[0]
    assert columns.min() >= 10 * SCALE and 50 * SCALE < columns.max() <= 70 * SCALE
    np.testing.assert_array_equal(drawn("duck", within=60), drawn("duck"))
    assert (drawn("Ferruginous", within=1) != LIGHT.paper[0]).any(), "one letter at least"
