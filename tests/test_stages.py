"""What a drawing is like with a stage left out, changed in two ways at once, and what a forged canvas gets."""

import base64

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.drawing import DrawingError, prepare
from core.data.drawing.canvas import DAMAGED, read_canvas
from core.data.drawing.without_a_stage import variants
from core.evaluation.corruptions import rotate, shift_right
from core.evaluation.digit_robustness import SWEEPS, changed, robustness_map
from core.evaluation.teaching import change, change_on_images, change_on_test
from tests.archives import claimed_png, png, saved
from tests.strokes import draw


def square(top=30, left=100, side=40):
    canvas = np.full((280, 280, 4), 255, np.uint8)
    canvas[top:top + side, left:left + side, :3] = 0
    return prepare(canvas)


def test_each_stage_left_out_on_known_pixels():
    found = variants(square())
    assert all(one.image.shape == (1, 28, 28) and one.image.min() >= 0 and one.image.max() <= 1 for one in found.values())
    assert torch.equal(found["all"].image, square().image)
    plain = torch.zeros(28, 28)
    plain[3:7, 10:14] = 1  # 280 → 28: every pixel the mean of 10×10
    torch.testing.assert_close(found["plain"].image[0], plain)
    assert found["margin"].image.min() == pytest.approx(1, abs=1e-5)  # a square as large as the frame
    corner = torch.zeros(28, 28)
    corner[:20, :20] = 1
    torch.testing.assert_close(found["centre"].image[0], corner)
    torch.testing.assert_close(found["inverted"].image, 1 - found["all"].image)
    assert 1 < found["crop"].image.sum() < 30  # the whole canvas in 20×20: 40/280 · 20 is about 3 pixels wide


def test_enlarging_leaves_no_value_below_black_or_above_white():
    """A digit of 14 pixels is enlarged by cubic curves, which run over at its edges."""
    for one in variants(prepare(draw(8, brush=3, canvas=20))).values():
        assert one.image.min() >= 0 and one.image.max() <= 1 + 1e-6, one.title


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [
    (40, 20, (0, 28), (7, 21)), (20, 40, (7, 21), (0, 28)), (200, 2, (0, 28), (13, 14)), (2, 200, (13, 14), (0, 28))])
def test_without_the_margin_the_longer_side_fills_the_frame(height, width, rows, columns):
    canvas = np.full((280, 280, 4), 255, np.uint8)
    canvas[30:30 + height, 40:40 + width, :3] = 0
    expected = torch.zeros(28, 28)
    expected[slice(*rows), slice(*columns)] = 1
    torch.testing.assert_close(variants(prepare(canvas))["margin"].image[0], expected, atol=1e-5, rtol=0)


def test_a_wide_drawing_keeps_its_shape_without_cutting_out():
    canvas = np.full((100, 400, 4), 255, np.uint8)
    canvas[40:60, 190:210, :3] = 0
    ink = variants(prepare(canvas))["crop"].image[0] > 0.3
    assert ink.any(0).sum() == ink.any(1).sum()


def test_a_sweep_is_every_pair_of_changes():
    image, sweep = square().image, SWEEPS["place"]
    pictures = changed(image, sweep)
    rows, columns = len(sweep.down_strengths), len(sweep.across_strengths)
    assert pictures.shape == (rows * columns, 1, 28, 28)
    row, column = 2, 6
    expected = shift_right(rotate(image[None], sweep.down_strengths[row]), sweep.across_strengths[column])[0]
    torch.testing.assert_close(pictures[row * columns + column], expected.clamp(0, 1))
    neutral = sweep.down_strengths.index(0) * columns + sweep.across_strengths.index(0)
    assert torch.equal(pictures[neutral], image)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_goes_in_even_steps_and_has_the_picture_itself(name):
    sweep = SWEEPS[name]
    for strengths in (sweep.down_strengths, sweep.across_strengths):
        np.testing.assert_allclose(np.diff(strengths), strengths[1] - strengths[0])
        assert (1.0 if strengths == sweep.across_strengths and name == "pen" else 0) in strengths


@pytest.mark.parametrize("name", SWEEPS)
def test_a_map_says_what_the_model_says(name):
    asked = []

    def ask(images):  # "right" where most ink is right of the middle
        asked.append(len(images))
        right = images[..., 14:].sum((1, 2, 3)) / images.sum((1, 2, 3)).clamp(min=1e-6)
        return torch.stack([1 - right, right], 1)

    found = robustness_map(ask, square().image, SWEEPS[name])
    assert len(asked) == 1  # one forward
    assert found.said.shape == found.probability.shape == (len(SWEEPS[name].down_strengths), len(SWEEPS[name].across_strengths))
    if name == "place":
        level = found.said[SWEEPS[name].down_strengths.index(0)].tolist()
        assert level[0] == 0 and level[-1] == 1
    assert found.holds == pytest.approx((found.said == found.usual).float().mean().item())


def test_what_was_gained_and_lost_by_hand():
    found = change(np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool))
    assert (found.images, found.before, found.after, found.lost, found.gained) == (5, 3, 2, 2, 1)
    images = torch.stack([torch.full((1, 2, 2), 255, dtype=torch.uint8), torch.zeros(1, 2, 2, dtype=torch.uint8)])

    def bright(pixels):
        assert pixels.max() <= 1
        return torch.stack([1 - pixels.mean((1, 2, 3)), pixels.mean((1, 2, 3))], 1)

    found = change_on_images(lambda pixels: bright(pixels).flip(1), bright, images, torch.tensor([1, 0]))
    assert (found.before, found.after) == (0, 2)
    assert change_on_test(None, None) is None


def url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def test_a_canvas_is_read_as_it_was_drawn():
    assert np.array_equal(read_canvas(url(saved(Image.fromarray(draw(3))))), draw(3))


@pytest.mark.parametrize("sent", [None, 7, "", "data:image/png;base64,", "data:image/png;base64,!!", url(b"no picture"),
                                  url(png(side=50)[:90]), url(png(form="JPEG")), url(claimed_png(20000, 20000)),
                                  url(claimed_png(1401, 1)), "x" * 9_000_000])
def test_a_forged_canvas_gets_one_line(sent):
    with pytest.raises(DrawingError, match=DAMAGED.split(".")[0]):
        read_canvas(sent)
