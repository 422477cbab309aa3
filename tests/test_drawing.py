"""Drawings in MNIST's form: known boxes and centres, symmetry, invariances, awkward pictures."""


import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from core.config import DataConfig
from core.data import load
from core.data.drawing import Box, DrawingError, Shift, _border, fit, place_like_mnist, prepare
from tests.other_hands import drawn, hands
from tests.strokes import STROKES, VARIANTS, draw

BLACK, WHITE, CLEAR = (0, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0)


def sheet(height=280, width=280, colour=WHITE):
    return np.full((height, width, 4), colour, np.uint8)


def centre_of_mass(image):
    """(row, column) in pixels from 0."""
    image = np.asarray(image, np.float64).reshape(28, 28)
    return tuple((image.sum(axis=1 - axis) @ np.arange(28)) / image.sum() for axis in (0, 1))


def test_square_lands_on_the_known_pixels():
    canvas = sheet()
    canvas[30:70, 100:140] = BLACK  # 40×40: halved to 20×20
    drawing = prepare(canvas)
    assert drawing.box == Box(top=30, left=100, height=40, width=40)
    assert drawing.raw.shape == (280, 280) and drawing.crop.shape == (40, 40) and drawing.fitted.shape == (20, 20)
    # The square's own centre is 9.5. Whole-pixel moves bring it to 13.5 (from pixel 4), the only one in [13.5, 14.5).
    expected = torch.zeros(1, 28, 28)
    expected[:, 4:24, 4:24] = 1
    assert torch.equal(drawing.image, expected)
    assert drawing.shift == Shift(0, 0) and drawing.polarity == "dark on light" and not drawing.empty


def test_centre_of_mass_decides_the_place():
    canvas = sheet(100, 100)
    canvas[10:50, 10:20] = BLACK  # an L: a 40×10 upright and a 40×10 foot, the corner 10×10 shared
    canvas[40:50, 10:50] = BLACK
    drawing = prepare(canvas)
    # At half size, 20×5 upright (100 pixels, mean row 9.5) and the rest of the foot, 5×15 (75 pixels, mean row 17):
    # the mean row is (100·9.5 + 75·17)/175 = 12.71. First row: ceil(13.5 − 12.71) = 1, where the box's middle would be 4.
    assert drawing.shift.down == -3
    # Columns mirror the rows: mean (100·2 + 75·12)/175 = 6.29; ceil(13.5 − 6.29) = 8.
    assert drawing.shift.right == 4
    row, column = centre_of_mass(drawing.image)
    assert row == pytest.approx(12.714 + 1, abs=1e-3) and column == pytest.approx(6.286 + 8, abs=1e-3)


def test_shrinking_averages_area():
    ink = np.zeros((40, 40), np.float32)
    ink[::2, ::2] = 1  # each new pixel covers 2×2, of which one is ink …
    ink[:2, :2] = 1  # … and all four in this corner
    expected = np.full((20, 20), 0.25)
    expected[0, 0] = 1
    np.testing.assert_allclose(fit(ink), expected, rtol=1e-6)


def test_faint_result_is_brought_to_full_white():
    ink = np.zeros((200, 200), np.float32)
    np.fill_diagonal(ink, 1)  # a hairline covers a tenth of each new pixel
    assert fit(ink).max() == 1
    assert prepare(draw(3, brush=1)).image.max() == 1


@pytest.mark.parametrize(("height", "width", "expected"), [(100, 50, (20, 10)), (50, 100, (10, 20)), (200, 1, (20, 1)),
                                                           (1, 200, (1, 20)), (7, 7, (20, 20)), (30, 10, (20, 7))])
def test_ratio_is_kept(height, width, expected):
    assert fit(np.ones((height, width), np.float32)).shape == expected


@pytest.mark.parametrize(("digit", "variant"), VARIANTS)
@pytest.mark.parametrize("brush", [1, 8, 24, 48])
def test_every_digit_is_centred_inside_the_frame(digit, variant, brush):
    drawing = prepare(draw(digit, variant, brush))
    assert max(drawing.fitted.shape) == 20
    assert all(13.5 - 1e-4 <= place < 14.5 + 1e-4 for place in centre_of_mass(drawing.image))
    assert drawing.image.sum().item() == pytest.approx(float(drawing.fitted.sum()), rel=1e-5)  # no ink lost at the edge
    assert drawing.image.max() == 1 and drawing.image.dtype == torch.float32


@pytest.mark.parametrize("digit", STROKES)
def test_dark_on_light_equals_light_on_dark(digit):
    dark = draw(digit, brush=10, ink=(20, 60, 130, 255), paper=(250, 240, 200, 255))
    light = dark.copy()
    light[..., :3] = 255 - light[..., :3]
    one, other = prepare(dark), prepare(light)
    assert torch.equal(one.image, other.image)
    assert (one.polarity, other.polarity) == ("dark on light", "light on dark")


@pytest.mark.parametrize("ink", [BLACK, WHITE, (255, 0, 0, 255), (255, 255, 0, 255), (0, 0, 255, 255)])
@pytest.mark.parametrize("paper", [WHITE, BLACK, CLEAR, (255, 255, 255, 0), (120, 160, 120, 255)])
def test_any_colours_give_the_same_digit(ink, paper):
    if ink == paper:
        assert prepare(draw(5, ink=ink, paper=paper)).empty
        return
    expected = prepare(draw(5)).image
    image = prepare(draw(5, ink=ink, paper=paper)).image
    assert (image - expected).abs().mean() < 0.003  # smooth edges are rounded to other uint8 values


def test_rounded_corners_are_not_ink():
    canvas = draw(7, 1)
    canvas[:20, :20, 3] = canvas[-20:, -20:, 3] = 0
    assert torch.equal(prepare(canvas).image, prepare(draw(7, 1)).image)


@pytest.mark.parametrize("alpha", [40, 100, 127, 128, 200])
def test_ink_that_is_clear_in_part_is_seen(alpha):
    """All of it equally, so nothing is less clear than the clearest: black ink lies on white paper."""
    clear = sheet(colour=CLEAR)
    clear[60:220, 130:150] = (0, 0, 0, alpha)
    opaque = sheet()
    opaque[60:220, 130:150] = BLACK
    assert torch.allclose(prepare(clear).image, prepare(opaque).image, atol=0.01)


def test_the_border_is_all_four_sides():
    picture = np.arange(30).reshape(5, 6)
    sides = [*range(6), *range(24, 30), 0, 6, 12, 18, 24, 5, 11, 17, 23, 29]
    assert _border(picture).tolist() == sides
    assert _border(np.stack([picture, -picture], axis=2)).tolist() == [[value, -value] for value in sides]


def test_what_lies_under_clear_pixels_does_not_matter():
    """Black ink; below alpha 0 the pixels are black but for a third, which is white."""
    canvas = draw(7, 1, paper=CLEAR)
    hidden = canvas[..., 3] == 0
    canvas[hidden & (np.arange(280) % 3 == 0)[None], :3] = 255
    assert torch.equal(prepare(canvas).image, prepare(draw(7, 1, paper=CLEAR)).image)


def test_light_ink_is_light_on_dark_whatever_the_paper_is_like_around_it():
    """A small white mark on grey paper with a slightly darker stain, which is large enough to darken the whole."""
    canvas = sheet(100, 100, (128, 128, 128, 255))
    canvas[20:80, 20:80, :3] = 120
    canvas[45:55, 45:55, :3] = 255
    drawing = prepare(canvas)
    assert drawing.box == Box(45, 45, 10, 10) and drawing.polarity == "light on dark"


def test_a_blank_sheet_is_light_from_the_middle_grey_on():
    assert prepare(sheet(colour=(127, 127, 127, 255))).polarity == "light on dark"
    assert prepare(sheet(colour=(128, 128, 128, 255))).polarity == "dark on light"


def test_place_on_the_canvas_does_not_matter():
    canvas = draw(4, 1, brush=12, canvas=200)
    expected = prepare(canvas).image
    for top, left in [(0, 0), (100, 30), (399, 399)]:
        large = sheet(600, 600)
        large[top:top + 200, left:left + 200] = canvas
        assert torch.equal(prepare(large).image, expected)


@pytest.mark.parametrize(("canvas", "tolerance"), [(70, 0.045), (140, 0.015), (560, 0.01), (1120, 0.01)])
def test_size_on_the_canvas_hardly_matters(canvas, tolerance):
    for digit in STROKES:
        expected = prepare(draw(digit, brush=20)).image
        image = prepare(draw(digit, brush=20 * canvas / 280, canvas=canvas)).image
        # A centre of mass close to the edge of a pixel may be rounded to its neighbour.
        moved = [image.roll((down, right), (1, 2)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        assert min((one - expected).abs().mean() for one in moved) < tolerance, digit


def test_tiny_drawing_in_a_corner_of_a_photograph():
    small = draw(2, brush=6, canvas=80)
    photo = sheet(3000, 4000)
    photo[-80:, -80:] = small
    drawing = prepare(photo)
    assert torch.equal(drawing.image, prepare(small).image)
    assert drawing.box.top > 2900 and drawing.box.left > 3900


def test_one_dot_and_straight_lines():
    dot = sheet()
    dot[5, 5] = BLACK
    assert prepare(dot).fitted.shape == (20, 20) and not prepare(dot).empty
    upright = sheet()
    upright[40:240, 140] = BLACK
    image = prepare(upright).image[0]
    assert image[:, 14].tolist() == [0] * 4 + [1] * 20 + [0] * 4 and image.sum() == 20
    assert torch.equal(prepare(upright.transpose(1, 0, 2)).image[0], image.T)


@pytest.mark.parametrize("radius", [3, 5, 10, 40, 139])  # the thinnest brush has 6 pixels
def test_dots_and_filled_shapes_are_solid(radius):
    rows, columns = np.mgrid[:280, :280]
    at_edge = ((140, 279), (0, 120), (279, 279)) if radius < 70 else ()  # half or a quarter is seen; more would be the paper
    for place in ((140, 140), (141, 139.5), *at_edge):
        canvas = sheet()
        canvas[(rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2] = BLACK
        assert prepare(canvas).solid
    box = sheet()
    box[140 - radius:140 + radius, 141 - radius:139 + radius] = BLACK
    assert prepare(box).solid


@pytest.mark.parametrize(("height", "width", "place"), [(200, 400, (199, 200)), (400, 200, (200, 199))])
def test_half_a_dot_at_the_edge_of_an_oblong_picture_is_solid(height, width, place):
    rows, columns = np.mgrid[:height, :width]
    canvas = sheet(height, width)
    canvas[(rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= 40**2] = BLACK
    assert prepare(canvas).solid and not prepare(np.roll(canvas, -50, axis=0 if height < width else 1)).solid


def test_digits_at_the_edge_are_not_solid():
    for hand in hands(2, heights=(80, 270)):
        ink = drawn(hand)
        rows, columns = np.nonzero(ink[..., 0] < 200)
        assert not prepare(ink[:, columns.min() + 2:]).solid and not prepare(ink[rows.min() + 2:]).solid, hand


def test_digits_are_not_solid_and_blank_is_nothing():
    assert not [(which, brush) for which in VARIANTS for brush in (6, 16, 28, 40) if prepare(draw(*which, brush)).solid]
    assert not [which for which in VARIANTS if prepare(draw(*which, 4, 56)).solid]  # a fifth of the canvas
    bold_one = sheet()
    bold_one[60:220, 120:170] = BLACK
    assert not prepare(bold_one).solid and not prepare(sheet()).solid


def test_ink_on_the_edge_is_kept():
    canvas = sheet()
    canvas[:, :30] = BLACK  # all of the left edge
    drawing = prepare(canvas)
    assert drawing.box == Box(0, 0, 280, 30) and drawing.polarity == "dark on light"


def test_lopsided_ink_stops_at_the_frame():
    ink = np.zeros((20, 20), np.float32)
    ink[0, :] = ink[:, 0] = 0.01
    ink[0, 0] = 1
    ink[10:, 10:] = 0.0001
    image = place_like_mnist(ink)
    assert image.sum() == pytest.approx(ink.sum(), rel=1e-4)  # nothing fell off
    assert image[8, 8] == 1  # as far as a 20×20 box can go


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_shadow_do_not_enlarge_the_crop(seed):
    clean = draw(3, brush=16)
    expected = prepare(clean)
    noise = np.random.default_rng(seed).normal(0, 6, (280, 280, 1)) - np.linspace(0, 40, 280)[None, :, None]
    noisy = clean.copy()
    noisy[..., :3] = (clean[..., :3] * 0.8 + 40 + noise).clip(0, 255)
    noisy[250:253, 20:23, :3] = 0  # a speck of dust, as black as the ink
    drawing = prepare(noisy)
    for side in ("top", "left", "height", "width"):
        assert abs(getattr(drawing.box, side) - getattr(expected.box, side)) <= 3
    assert (drawing.image - expected.image).abs().mean() < 0.02


@pytest.mark.parametrize(("dust", "kept"), [(31, False), (32, True), (33, True)])
def test_a_mark_with_less_than_a_fiftieth_of_the_largest_ones_ink_is_dust(dust, kept):
    canvas = sheet()
    canvas[100:140, 100:140] = BLACK  # 1,600 pixels: a fiftieth is 32
    canvas[200, 20:20 + dust] = BLACK
    assert prepare(canvas).box == (Box(100, 20, 101, 120) if kept else Box(100, 100, 40, 40))


@pytest.mark.parametrize(("grain", "faint", "kept"), [
    (0, 19, False), (0, 21, True),  # without grain, what is less than a tenth as dark as the ink is paper
    (10, 44, False), (10, 46, True),  # 4.5 · 10 = 45 of the ink's 200
    (20, 89, False), (20, 91, True),
    (30, 99, False), (30, 101, True),  # but never more than half
])
def test_what_is_fainter_than_the_papers_grain_is_paper(grain, faint, kept):
    """Paper of 200 whose border is ±grain, ink of 0, and a mark that is darker than the paper by `faint`."""
    canvas = sheet(colour=(200, 200, 200, 255))
    for edge in (canvas[0], canvas[-1], canvas[:, 0], canvas[:, -1]):
        edge[1:-1:2, :3], edge[2:-1:2, :3] = 200 + grain, 200 - grain
    canvas[100:140, 80:160, :3] = 0
    canvas[150:190, 100:140, :3] = 200 - faint
    assert prepare(canvas).box == Box(100, 80, 90 if kept else 40, 80)


def test_jpeg_dust_does_not_enlarge_the_crop(tmp_path):
    Image.fromarray(draw(8, brush=14)[..., :3]).save(tmp_path / "eight.jpg", quality=20)
    picture = np.asarray(Image.open(tmp_path / "eight.jpg").convert("RGBA"))
    box, expected = prepare(picture).box, prepare(draw(8, brush=14)).box
    assert abs(box.height - expected.height) <= 2 and abs(box.width - expected.width) <= 2


@pytest.mark.parametrize("canvas", [sheet(), sheet(colour=BLACK), sheet(colour=CLEAR), sheet(1, 1), sheet(3, 500)])
def test_blank_canvas_is_empty(canvas):
    drawing = prepare(canvas)
    assert drawing.empty and drawing.box is None and drawing.shift == Shift(0, 0)
    assert torch.equal(drawing.image, torch.zeros(1, 28, 28))
    assert drawing.raw.shape == canvas.shape[:2] and not drawing.raw.any() and not drawing.fitted.any()


def test_faint_noise_alone_is_empty():
    canvas = sheet()
    canvas[..., :3] -= np.random.default_rng(0).integers(0, 12, (280, 280, 1), np.uint8)
    assert prepare(canvas).empty


@pytest.mark.parametrize(("rgba", "words"), [
    (None, "not NoneType"), ([[0]], "not list"), (np.zeros((5, 5, 4)), "float64"), (np.zeros((5, 5), np.uint8), r"\(5, 5\)"),
    (np.zeros((5, 5, 3), np.uint8), r"\(5, 5, 3\)"), (np.zeros((0, 5, 4), np.uint8), r"\(0, 5, 4\)")])
def test_what_is_no_drawing_is_refused_in_one_line(rgba, words):
    with pytest.raises(DrawingError, match=words) as error:
        prepare(rgba)
    assert "\n" not in str(error.value)


def test_other_sizes():
    image = prepare(draw(6), size=32).image
    assert image.shape == (1, 32, 32) and (image[0].sum(0) > 0).sum() <= 23  # 20/28 of 32
    with pytest.raises(DrawingError, match="size is 4"):
        prepare(draw(6), size=4)


SIDES = st.integers(1, 300)


@settings(max_examples=60)
@given(st.tuples(SIDES, SIDES).flatmap(lambda shape: hnp.arrays(np.uint8, (*shape, 4), fill=st.integers(0, 255))))
@example(np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], np.uint8))
@example(np.array([[[0, 0, 0, 1]]], np.uint8))
def test_any_picture_gives_an_image(rgba):
    before = rgba.copy()
    drawing = prepare(rgba)
    assert drawing.image.shape == (1, 28, 28) and drawing.image.dtype == torch.float32
    assert torch.isfinite(drawing.image).all() and drawing.image.min() >= 0 and drawing.image.max() <= 1
    assert drawing.empty == (drawing.image.sum() == 0)
    assert max(drawing.fitted.shape) == 20
    assert np.array_equal(rgba, before)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), SIDES, SIDES, st.integers(1, 256))
def test_noise_of_any_kind_gives_an_image(seed, height, width, values):
    rgba = np.random.default_rng(seed).integers(0, values, (height, width, 4)).astype(np.uint8)
    image = prepare(rgba).image
    assert torch.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


@pytest.mark.mnist
def test_real_mnist_drawn_large_comes_back(mnist_root, cache_dir):
    images = load(DataConfig(dataset="mnist"), mnist_root, cache_dir).test.images[:, 0].numpy()
    centres = np.array([centre_of_mass(image) for image in images])
    assert centres.min() >= 13.5 - 1e-9 and centres.max() < 14.5  # the convention that the module states
    differences = {filter: [] for filter in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)}
    for image in images[:300]:
        for filter, seen in differences.items():
            gray = 255 - np.asarray(Image.fromarray(image).resize((280, 280), filter))
            again = prepare(np.stack([gray, gray, gray, np.full_like(gray, 255)], axis=2)).image[0].numpy()
            seen.append(np.abs(again - image / 255).mean())
    assert np.median(differences[Image.Resampling.NEAREST]) < 0.005  # faint edges alone differ
    assert np.mean(differences[Image.Resampling.NEAREST]) < 0.01
    assert np.mean(differences[Image.Resampling.BICUBIC]) < 0.04  # smooth enlarging moves the edges of strokes
