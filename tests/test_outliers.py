"""Pictures made up to be unlike a data set: MNIST's form, hands and pens that differ, and none that shows one of the classes."""

import numpy as np
import pytest
import torch

from core.data.drawing import pen, place_like_mnist
from core.evaluation.ood import synthetic
from core.evaluation.ood.glyphs import ALIKE, GLYPHS
from core.pieces import finish


def test_each_glyph_is_strokes_on_the_grid():
    for form in [form for forms in GLYPHS.values() for form in forms]:
        for stroke in form.split("|"):
            points = stroke.lstrip("~").split()
            assert len(points) >= 2 and all(len(point) == 2 and point.isdigit() for point in points), form


def test_what_may_be_one_of_the_classes_is_not_among_the_names():
    digits = synthetic.glyph_names([str(digit) for digit in range(10)])
    assert not set("OoQDIilZzSsBbGgq") & set(digits) and set("AEFHKMNPRTUVWXY") <= set(digits)
    assert not set("Aa") & set(synthetic.glyph_names(["a"])) and "A" in synthetic.glyph_names(["T-shirt", "Bag"])
    everything = [sign for group in ALIKE for sign in group] + list(GLYPHS)
    assert synthetic.glyph_names(everything) == []
    assert finish(synthetic.glyphs([], 5, np.random.default_rng(0)))[0].shape == (0, 1, 28, 28)


def made(kind: str, count: int, seed: int, size: int = 28) -> torch.Tensor:
    random = np.random.default_rng(seed)
    if kind == "glyphs":
        return finish(synthetic.glyphs(["A", "n", "@"], count, random, size))[0]
    if kind == "shapes":
        return synthetic.shapes(count, random, size)
    return finish(getattr(synthetic, kind)(count, random, size))


@pytest.mark.parametrize("kind", ["glyphs", "strokes", "scribbles", "shapes"])
@pytest.mark.parametrize("size", [20, 28])
def test_they_have_the_form_of_mnist(kind, size):
    images = made(kind, 40, 0, size)
    assert images.shape == (40, 1, size, size) and images.dtype == torch.float32
    assert images.min() >= 0 and images.amax((1, 2, 3)) == pytest.approx(1)
    assert torch.equal(images, made(kind, 40, 0, size)) and not torch.equal(images, made(kind, 40, 1, size))
    ink = images[:, 0] > 0.02
    longer = torch.stack([ink.any(1).sum(1), ink.any(2).sum(1)]).amax(0).float()
    box = size * 20 / 28
    assert longer.max() <= box + 2 and (kind == "shapes" or longer.min() >= box - 2)


def test_a_line_is_as_long_and_wide_as_its_pen_says():
    upright = np.array([[0.0, 0.0], [0.0, 1.0]])
    image = finish(synthetic.draw([[upright]], np.array([0.2])))[0, 0]
    assert image.sum(0).max() == pytest.approx(20, abs=0.6)  # 20 pixels long with its round ends
    assert image[14].sum() == pytest.approx(4, abs=0.05)  # and a fifth of that wide
    assert image.sum() == pytest.approx(16 * 4 + np.pi * 4, rel=0.03)


def test_they_are_placed_as_drawings_are():
    images = made("glyphs", 30, 4)
    for image in images:
        again = place_like_mnist(np.where(image[0].numpy() < 0.02, 0, image[0].numpy()))
        rows, columns = np.nonzero(again > 0.5)
        own_rows, own_columns = np.nonzero(image[0].numpy() > 0.5)
        assert abs(rows.mean() - own_rows.mean()) < 1.1 and abs(columns.mean() - own_columns.mean()) < 1.1


def test_a_smooth_curve_goes_through_its_points():
    points = np.array([[0.0, 0.0], [1.0, 0.5], [0.3, 1.0]])
    curve = pen.smooth(points)
    for point in points:
        assert np.abs(curve - point).sum(1).min() < 1e-12
    assert len(curve) == 2 * pen.STEPS + 1


def test_strokes_of_another_width_and_sharpness_stay_in_their_place():
    """A square off the middle, whose centre is 5.5 pixels from the top left corner."""
    images = torch.zeros(300, 1, 28, 28)
    images[..., 3:9, 3:9] = 1
    found = synthetic.restyled(images, np.random.default_rng(0))[:, 0]
    for axis in (1, 2):
        profile = found.sum(axis)
        centres = profile @ torch.arange(28.0) / profile.sum(1)
        assert centres.mean() == pytest.approx(5.5, abs=0.1)


def test_joined_up_glyphs_are_led_in_from_the_left_and_out_to_the_right(monkeypatch):
    """An upright line: what leads to its upper end comes from the left, what leaves its lower end goes to the right."""
    monkeypatch.setitem(synthetic.GLYPHS, "line", ("40 44 48",))

    def lean(share: float) -> float:
        """How much further right the ink is at the bottom than at the top, in pixels, on average over 200 hands."""
        monkeypatch.setattr(synthetic, "LED", share)
        images = finish(synthetic.glyphs(["line"], 200, np.random.default_rng(0)))[0][:, 0].numpy()
        found = [np.argwhere(image > 0.5) for image in images]
        return float(np.mean([ink[ink[:, 0] >= ink[:, 0].max() - 4, 1].mean() - ink[ink[:, 0] <= ink[:, 0].min() + 4, 1].mean()
                              for ink in found]))

    assert lean(1.0) > lean(0.0) + 1.5


def test_strokes_of_another_width_show_the_same():
    images = made("glyphs", 60, 2)
    found = synthetic.restyled(images, np.random.default_rng(0))
    assert found.shape == images.shape and found.min() >= 0 and found.max() <= 1
    assert found[images.amax((2, 3), keepdim=True).expand_as(images) == 0].sum() == 0
    together = torch.corrcoef(torch.cat([images.flatten(1), found.flatten(1)]))[:60, 60:]
    assert (together.argmax(1) == torch.arange(60)).float().mean() > 0.85  # each is most like what it was made of
    assert (found.mean((1, 2, 3)) / images.mean((1, 2, 3))).std() > 0.1  # bolder or finer
