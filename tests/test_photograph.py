"""Photographs of ink on paper: Otsu's threshold, shadows, tables, blank sheets, and files made to break programs."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data.drawing import DrawingError, prepare
from core.data.drawing.photograph import LONGEST, MOST_MB, flatten, looks_photographed, otsu, read_upload
from core.importing.decode import BadImage
from core.importing.picture import read_picture
from tests.archives import claimed_png, png, saved
from tests.strokes import draw


def photograph(digit: int = 5, brush: float = 18, seed: int = 0, ink: float = 0.2, paper: float = 1.0) -> np.ndarray:
    """(400, 400, 4) uint8: a digit on warm paper with a shadow across it and grain."""
    random = np.random.default_rng(seed)
    share = 1 - draw(digit, 0, brush, 400)[..., :1] / 255  # (400, 400, 1)
    rows, columns = np.mgrid[:400, :400] / 400
    light = (0.85 - 0.25 * rows - 0.3 / (1 + np.exp(-25 * (columns - 0.6))))[..., None]
    pixels = light * (paper * (1 - share) + ink * share) * np.array([1.0, 0.97, 0.9]) * 255
    rgb = (pixels + random.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)
    return np.dstack([rgb, np.full((400, 400), 255, np.uint8)])


def test_otsus_threshold_makes_the_variance_within_smallest():
    random = np.random.default_rng(1)
    values = np.concatenate([random.normal(0.3, 0.05, 500), random.normal(0.8, 0.1, 2000)]).clip(0, 1)

    def within(threshold):
        parts = [values[values < threshold], values[values >= threshold]]
        return sum(len(part) * part.var() for part in parts if len(part))

    best = min((i / 256 for i in range(1, 256)), key=within)
    assert within(otsu(values)) <= within(best) * 1.002
    assert otsu(np.array([0.0] * 90 + [1.0] * 10)) == pytest.approx(0.5, abs=0.01)  # a gap: its middle
    assert otsu(np.full(10, 0.4)) == 1


@pytest.mark.parametrize("digit", range(10))
def test_shadow_and_grain_are_taken_away(digit):
    clean, photo = prepare(draw(digit, 0, 18, 400)), photograph(digit, seed=digit)
    assert looks_photographed(photo) and not looks_photographed(draw(digit, 0, 18, 400))
    found = prepare(flatten(photo).rgba)
    for side in ("top", "left", "height", "width"):
        assert abs(getattr(found.box, side) - getattr(clean.box, side)) <= 4
    moved = [found.image.roll((down, right), (1, 2)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    assert min((one - clean.image).abs().mean() for one in moved) < 0.03


def test_every_stage_is_what_it_says():
    photo = flatten(photograph())
    assert photo.gray.shape == photo.light.shape == photo.flat.shape == photo.ink.shape == (400, 400)
    paper = photo.ink == 0
    assert photo.flat[paper].mean() > 0.93 and photo.flat[photo.ink > 0.9].mean() < 0.5
    assert photo.light.std() > 0.05 and 0.3 < photo.threshold < 0.95 and not photo.light_on_dark
    assert (photo.rgba[photo.ink == 0] == 255).all() and (photo.rgba[photo.ink == 1] == [0, 0, 0, 255]).all()
    assert photo.rgba.shape == (400, 400, 4) and set(np.unique(photo.rgba[..., 3])) == {255}


def test_a_table_beside_the_paper_is_no_ink():
    photo = photograph(3)
    photo[:, 360:, :3] = 60
    found = prepare(flatten(photo).rgba)
    assert found.box.left + found.box.width < 350


def test_chalk_on_a_board():
    photo = photograph(7, ink=0.95, paper=0.2)
    found = flatten(photo)
    assert found.light_on_dark
    assert (prepare(found.rgba).image - prepare(draw(7, 0, 18, 400)).image).abs().mean() < 0.08


def spots(*places: tuple[int, int, int, int]) -> np.ndarray:
    """(400, 400, 4) uint8: black rectangles (top, left, height, width) on evenly lit paper."""
    photo = np.full((400, 400, 4), 255, np.uint8)
    photo[..., :3] = 230
    for top, left, height, width in places:
        photo[top:top + height, left:left + width, :3] = 20
    return photo


@pytest.mark.parametrize(("side", "kept"), [(5, False), (10, True)])  # with smooth edges about 1 % and 3.5 % of the ink
def test_dust_beside_a_photographed_digit_is_wiped_out(side, kept):
    ink = flatten(spots((150, 150, 60, 60), (300, 300, side, side))).ink
    assert ink[180, 180] == 1 and bool(ink[290:320, 290:320].any()) is kept


@pytest.mark.parametrize("side", [31, 40])
def test_a_dot_of_less_than_a_hundredth_of_the_sheet_is_found(side):
    found = prepare(flatten(spots((150, 150, side, side))).rgba)
    assert not found.empty and all(abs(length - side) <= 4 for length in (found.box.height, found.box.width))


@pytest.mark.parametrize("turned", [False, True])
def test_a_bold_mark_on_an_oblong_photograph_is_no_shadow(turned):
    """60 pixels wide, where the paper's light is sought in windows of a sixth of 600 pixels."""
    photo = np.full((200, 600, 4), 255, np.uint8)
    photo[..., :3] = 230
    photo[70:130, 150:450, :3] = 20
    ink = flatten(photo.transpose(1, 0, 2) if turned else photo).ink
    assert (ink.T if turned else ink)[75:125, 155:445].min() == 1


def test_what_ends_a_pixel_before_the_edge_does_not_reach_in_from_there():
    for top, left in ((369, 150), (1, 150), (150, 369), (150, 1)):
        ink = flatten(spots((150, 250, 40, 40), (top, left, 30, 30))).ink
        assert ink[top + 15, left + 15] == 1


@pytest.mark.parametrize(("paper", "is_board"), [(0.3, True), (0.5, False)])
def test_what_is_half_as_bright_as_white_is_paper_and_a_third_is_a_board(paper, is_board):
    """A lamp lights the right side, so that the mean is above the median on both."""
    light = np.where(np.arange(400) > 240, np.minimum(1, paper + 0.003 * (np.arange(400) - 240)), paper)
    gray = np.broadcast_to(light, (400, 400)).copy()
    gray[150:210, 80:140] = 0.95 if is_board else 0.1
    photo = np.full((400, 400, 4), 255, np.uint8)
    photo[..., :3] = (gray * 255)[..., None]
    found = flatten(photo)
    assert found.light_on_dark is is_board and found.ink[180, 110] == 1


@pytest.mark.parametrize(("side", "edge_goes"), [(6, False), (20, True)])
def test_what_reaches_in_from_the_edge_goes_unless_it_is_all_there_is(side, edge_goes):
    """A strip of 20×150 at the left edge: a dot of a hundredth of its ink is dust, a seventh of it is the digit."""
    ink = flatten(spots((100, 0, 150, 20), (200, 300, side, side))).ink
    assert bool(ink[:, :30].any()) is not edge_goes and bool(ink[190:230, 290:330].any()) is edge_goes


@pytest.mark.parametrize("photo", [np.full((60, 80, 4), 255, np.uint8), np.zeros((9, 9, 4), np.uint8),
                                   np.full((1, 1, 4), 128, np.uint8)])
def test_an_empty_sheet_is_empty(photo):
    assert prepare(flatten(photo).rgba).empty


def test_grain_alone_is_no_digit():
    assert prepare(flatten(photograph(ink=1.0)).rgba).empty


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31))
@settings(max_examples=25)
def test_any_pixels_give_a_drawing(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    found = flatten(pixels)
    assert np.isfinite(found.flat).all() and found.rgba.shape == (height, width, 4)
    prepare(found.rgba)


def test_an_upload_is_read_by_a_process_and_shrunk():
    large = Image.fromarray(photograph()[..., :3]).resize((1600, 1200))
    pixels = read_upload(saved(large, "JPEG"))
    assert pixels.shape == (LONGEST * 3 // 4, LONGEST, 4) and pixels.dtype == np.uint8
    assert abs(pixels[..., :3].mean() - np.asarray(large).mean()) < 2


def test_what_the_process_refuses_is_one_line():
    for content in (b"", b"GIF89a" + b"\0" * 40, claimed_png(13000, 13000)):
        with pytest.raises(DrawingError, match="^This file can't be used: .*[.]$"):
            read_upload(content)
    with pytest.raises(DrawingError, match="MB"):
        read_upload(b"\0" * ((MOST_MB << 20) + 1))


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"hello", "not a picture"), (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"), (b"GIF89a" + b"\0" * 40, "damaged"),
    (png(side=60)[:200], "cut off"), (claimed_png(13000, 13000), "megapixels"), (claimed_png(10, 1_000_000), "strip"),
    (png(side=40, form="JPEG")[:150], "cut off"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
])
def test_bad_pictures_get_a_reason(content, words):
    with pytest.raises(BadImage, match=words):
        read_picture(content, 100)


def test_an_animation_is_refused():
    frames = [Image.new("L", (9, 9), shade) for shade in (0, 128)]
    with pytest.raises(BadImage, match="animation"):
        read_picture(saved(frames[0], save_all=True, append_images=frames[1:]), 100)


def test_clear_sixteen_bit_and_turned_pictures():
    deep = Image.fromarray((np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64))
    pixels = read_picture(saved(deep), 100)
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255 and len(np.unique(pixels[..., 0])) > 200  # scaled, not clipped
    clear = read_picture(saved(Image.new("RGBA", (20, 20), (0, 0, 0, 0))), 100)
    assert clear[..., 3].max() == 0 and prepare(clear).empty
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    file = io.BytesIO()
    Image.fromarray(draw(7)[..., :3]).transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif, quality=95)
    upright = read_picture(file.getvalue(), 280)
    assert np.abs(upright[..., 0].astype(int) - draw(7)[..., 0]).mean() < 3
