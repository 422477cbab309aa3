"""Whole sheets of digits: rulings, marks, numbers, which way up, and what is no sheet."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from benchmarks.sheet_quality import score, truth
from core.data.drawing import Box, DrawingError, place_like_mnist, prepare
from core.data.drawing.marks import find_marks
from core.data.drawing.photograph import flatten, read_upload
from core.data.drawing.rulings import find_slope, find_tilt, without_rulings
from core.data.drawing.sheet import MOST_MARKS, find_sheet, in_box, marks_in, numbers_of, rows_of
from core.evaluation.sheet_reading import FEWEST, seems_turned
from tests.made_sheets import Look, make_sheet, stroke_pens
from tests.strokes import draw

SMALL = {"cell": (100, 110), "margin": 60, "height": 60}


def rgba(gray: np.ndarray) -> np.ndarray:
    """(H, W) uint8 → (H, W, 4) uint8"""
    return np.dstack([gray, gray, gray, np.full_like(gray, 255)])


# Rulings

def test_ink_over_a_line_keeps_its_own_share_of_the_light():
    """A line takes 0.3 and ink 0.6 of the light; where they cross 0.7 · 0.4 comes through, and the ink's share is still 0.6."""
    light = np.ones((200, 400), np.float32)
    light[40::40] *= 0.7
    light[60:140, 200:206] *= 0.4
    found = without_rulings(1 - light)
    assert found.lines[80, 20:380] == pytest.approx(0.3, abs=1e-6) and not found.lines[85].any()
    assert found.ink[60:140, 200:206] == pytest.approx(0.6, abs=1e-5)
    assert found.ink[80, 20:190] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("height", "width", "kept"), [(4, 60, True), (20, 400, True), (3, 400, False)])
def test_what_is_short_or_wide_is_no_ruling(height, width, kept):
    dark = np.zeros((200, 400), np.float32)
    for top in (40, 90, 140):
        dark[top:top + height, 100 if width < 400 else 0:][:, :width] = 0.8
    assert bool((without_rulings(dark).ink > 0.5).any()) is kept


def test_one_line_alone_must_go_through_most_of_the_picture():
    dark = np.zeros((200, 400), np.float32)
    dark[100:103, 100:300] = 0.8  # the bar of a large 7
    assert not without_rulings(dark).lines.any()
    dark[100:103, 20:380] = 0.8
    assert without_rulings(dark).lines[101, 200] > 0.7


def test_a_line_as_dark_as_ink_leaves_no_gap_in_a_stroke_that_crosses_it():
    light = np.ones((200, 400), np.float32)
    light[60:140, 200:208] = 0.1
    light[38::40] = light[39::40] = light[40::40] = 0.1
    found = without_rulings(1 - light)
    assert found.ink[60:140, 202:206].min() > 0.8 and found.ink[78:81, 20:180].max() < 0.05


@pytest.mark.parametrize("tilt", [-10, -3.4, 0, 6.3, 10])
@pytest.mark.parametrize("squared", [False, True])
def test_the_tilt_of_lines_is_found(tilt, squared):
    """Lines y = y₀ − x · tan(tilt), y down: counterclockwise; and those at right angles to them."""
    rows, columns = np.mgrid[:500, :600]
    across = rows * np.cos(np.radians(tilt)) + columns * np.sin(np.radians(tilt))
    along = columns * np.cos(np.radians(tilt)) - rows * np.sin(np.radians(tilt))
    dark = np.where((across % 40 < 2) | (squared & (along % 40 < 2)), 0.2, 0).astype(np.float32)
    assert find_tilt(dark) == pytest.approx(tilt, abs=0.15)


def test_no_lines_no_tilt():
    assert find_tilt(np.zeros((300, 400), np.float32)) == 0 and find_slope(np.zeros((300, 400), np.float32)) == 0
    assert find_tilt(np.random.default_rng(0).random((300, 400), np.float32)) == 0


# Sheets

@pytest.mark.parametrize("look", [
    Look(tilt=8, shadow=0.5), Look("ruled", tilt=-9, blur=1.6, spacing=44), Look("ruled", line=0.5, ink=0.45, spacing=44, tilt=2),
    Look("squared", tilt=5, spacing=40, shadow=0.4), Look("squared", line=0.45, ink=0.5, spacing=40, grain=3, tilt=-3),
    Look("form", tilt=4, line=0.6, spacing=40)], ids=str)
def test_all_digits_are_found_and_nothing_else(look):
    made = make_sheet(stroke_pens(5, 3), look, seed=4, columns=5, **SMALL)
    sheet = find_sheet(made.rgba)
    found = score(made, sheet)
    assert len(found.pairs) == 25 and found.false == 0
    assert [mark for _, mark in found.pairs] == list(range(25))  # in reading order
    assert sheet.tilt == pytest.approx(look.tilt, abs=0.4)
    assert (sheet.ruled > 0) is (look.paper != "plain")


def test_a_mark_is_prepared_as_mnist_was_made():
    """The ink's centre of mass in the middle, its longer side 20 of 28, white on black; nearly as the clean drawing gives it."""
    made = make_sheet(stroke_pens(2, 3), Look("ruled", spacing=44, tilt=3), seed=4, columns=5, **SMALL)
    clean = make_sheet(stroke_pens(2, 3), Look(grain=0, blur=0, ink=1), seed=4, columns=5, **SMALL)
    sheet = find_sheet(made.rgba)
    for mark, corners in zip(sheet.marks, clean.corners, strict=True):
        (left, top), (right, bottom) = corners[0].round().astype(int), corners[2].round().astype(int)
        wanted = place_like_mnist(1 - clean.rgba[top:bottom, left:right, 0] / np.float32(245))
        moved = [mark.image[0].roll((down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
        assert min(float((one - torch.from_numpy(wanted)).abs().mean()) for one in moved) < 0.06
        assert mark.image.max() == 1 and mark.image.shape == (1, 28, 28)


def test_chalk_on_a_board_and_clear_paper_are_read():
    made = make_sheet(stroke_pens(2, 3), Look(grain=1), seed=4, columns=5, **SMALL)
    board = made.rgba.copy()
    board[..., :3] = 255 - board[..., :3]
    clear = made.rgba.copy()
    clear[..., 3] = np.where(clear[..., 0] < 150, 255, 0)
    for picture in (board, clear):
        assert len(find_sheet(picture).marks) == 10


def test_broken_strokes_are_joined_specks_dropped_and_frames_left_out():
    made = make_sheet(stroke_pens(2, 3), Look(grain=0), seed=4, columns=5, **SMALL)
    picture = made.rgba.copy()
    height = picture.shape[0]
    (left, top), (right, bottom) = made.corners[0][0].astype(int), made.corners[0][2].astype(int)
    middle = (top + bottom) // 2
    picture[middle:middle + 4, left - 2:right + 2, :3] = picture[2, 2, :3]  # a gap through the first digit
    for x in range(30, 400, 90):
        picture[height // 2:height // 2 + 4, x:x + 4, :3] = 20
    picture[:, -20:, :3] = 30  # a table
    found = score(made, find_sheet(picture))
    assert len(found.pairs) == 10 and found.false == 0


def test_digits_that_touch_are_parted_and_a_wide_one_is_not():
    ink = np.zeros((100, 200), np.float32)
    ink[20:80, 40:44] = ink[20:80, 72:76] = ink[20:24, 40:76] = ink[76:80, 40:76] = 1  # a square 0, 60 high and 36 wide
    two = ink.copy()
    two[:, 36:] += ink[:, :-36]
    two = two.clip(0, 1)
    two[20:80, 76:80] = 0
    two[48:52, 74:82] = 1  # one stroke joins them
    boxes = sorted(mark.box.left for mark in find_marks(two, MOST_MARKS))
    assert len(boxes) == 2 and boxes[1] - boxes[0] > 30
    assert len(find_marks(ink, MOST_MARKS)) == 1
    seven = np.zeros((100, 200), np.float32)
    seven[20:26, 40:110] = seven[20:80, 80:86] = 1  # 70 wide, 60 high: its left half is a bar alone
    assert len(find_marks(seven, MOST_MARKS)) == 1


def test_zeros_that_run_into_each_other_are_parted():
    picture = Image.new("L", (400, 200))
    pen = ImageDraw.Draw(picture)
    for left in (60, 104, 148):  # rings of 60 by 50, each 6 pixels over the next
        pen.ellipse((left, 60, left + 50, 120), outline=255, width=5)
    pen.line((300, 60, 300, 120), fill=255, width=5)
    marks = find_marks(np.asarray(picture, np.float32) / 255, MOST_MARKS)
    lefts = sorted(mark.box.left for mark in marks)
    assert np.abs(np.array(lefts) - (60, 104, 148, 298)).max() < 8


def test_digits_that_stand_together_are_one_number():
    """Heights of 20; gaps of 4 within 472, 30 before 5; a second row lower, one digit each."""
    boxes = [Box(10, 10, 20, 12), Box(12, 26, 20, 12), Box(11, 42, 20, 12), Box(10, 84, 20, 12), Box(60, 10, 20, 12)]
    assert numbers_of(boxes) == [[0, 1, 2], [3], [4]]
    assert rows_of(list(reversed(boxes))) == [[4, 3, 2, 1], [0]]
    tilted = [Box(10 + 9 * i, 10 + 60 * i, 20, 12) for i in range(8)]  # falls by more than a row on the way
    assert rows_of(tilted) == [list(range(8))]


# Which way up

def asks(images: torch.Tensor) -> torch.Tensor:
    """Sure of an image whose ink is at the top, less of all others; a little by chance, always the same."""
    top = images[:, 0, :14].sum(dim=(1, 2)) > images[:, 0, 14:].sum(dim=(1, 2)) + 1
    sure = torch.where(top, 0.98, 0.8) + 0.01 * torch.sin(torch.arange(len(images)))
    return torch.stack([sure, 1 - sure], dim=1)


def test_a_sheet_upside_down_or_on_its_side_is_told():
    images = torch.zeros(FEWEST, 1, 28, 28)
    images[:, 0, 4:8, 4:24] = 1
    assert seems_turned(images, asks) is None
    for quarters in (1, 2, 3):  # how it lies: turned back by so many quarters counterclockwise
        turn = seems_turned(torch.rot90(images, quarters, (2, 3)), asks)
        assert turn is not None and turn.quarters == quarters
        assert turn.sure == pytest.approx((0.8, 0.98), abs=0.02)
    assert seems_turned(images[1:].flip(2), asks) is None  # too few to tell


# What is no sheet

def text_page(rows: int) -> np.ndarray:
    page = Image.new("L", (1200, 60 + 34 * rows), 255)
    for row in range(rows):
        ImageDraw.Draw(page).text((40, 40 + 34 * row), "the quick brown fox jumps over a lazy dog, five wizards watch it", 0,
                                  font_size=26)
    return rgba(np.asarray(page))


def rings(count: int) -> np.ndarray:
    page = Image.new("L", (1800, 1800), 255)
    for place in range(count):
        x, y = place % 71 * 25 + 5, place // 71 * 25 + 5
        ImageDraw.Draw(page).ellipse((x, y, x + 12, y + 16), outline=0, width=2)
    return rgba(np.asarray(page))


@pytest.mark.parametrize(("picture", "words"), [
    (rgba(np.full((400, 500), 255, np.uint8)), "No marks"), (rgba(np.zeros((30, 40), np.uint8)), "No marks"),
    (rgba((220 + np.random.default_rng(0).normal(0, 8, (400, 500))).astype(np.uint8)), "No marks"),
    (rgba(np.tile(np.linspace(30, 240, 500), (400, 1)).astype(np.uint8)), "No marks"),
    (text_page(22), "at most 600 are read"), (rings(5000), "some 5,000 marks"),
], ids=["white", "black", "grain", "slope", "text", "5,000 marks"])
def test_what_is_no_sheet_gets_one_line(picture, words):
    with pytest.raises(DrawingError, match=words) as told:
        find_sheet(picture)
    assert "\n" not in str(told.value)


@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 2**31), st.sampled_from([2, 256]), st.integers(0, 3))
@settings(max_examples=20)
def test_any_picture_gives_a_sheet_or_a_line(height, width, seed, shades, quarters):
    chance = np.random.default_rng(seed)
    pixels = (chance.integers(0, shades, (height, width, 4)) * (255 // (shades - 1))).astype(np.uint8)
    pixels[..., 3] |= chance.integers(0, 2, dtype=np.uint8) * np.uint8(255)
    try:
        sheet = find_sheet(pixels, quarters)
    except DrawingError as error:
        assert "\n" not in str(error)
        return
    for mark in sheet.marks:
        assert mark.image.shape == (1, 28, 28) and torch.isfinite(mark.image).all() and in_box(sheet, mark.box) is not None


@pytest.mark.parametrize("progressive", [False, True])
def test_a_phones_48_megapixels_are_read_at_a_part_of_their_size(progressive):
    large = Image.new("L", (8064, 6048), 235)
    ImageDraw.Draw(large).rectangle((4000, 3000, 4400, 4200), fill=20)
    file = io.BytesIO()
    large.save(file, "JPEG", progressive=progressive)
    pixels = read_upload(file.getvalue(), 1800)
    assert pixels.shape == (1350, 1800, 4) and pixels[800, 940, 0] < 40 and pixels[300, 300, 0] > 225
    half = file.getvalue()[:len(file.getvalue()) // 2]
    with pytest.raises(DrawingError, match="cut off"):
        read_upload(half, 1800)


# One digit

@pytest.mark.parametrize("digit", [3, 8, 5])
@pytest.mark.parametrize("paper", ["ruled", "squared"])
def test_a_pencilled_digit_on_ruled_paper_is_no_blank_sheet(digit, paper):
    """Lines as dark as the pencil: no threshold parts the two, and they touch each other and the picture's edge."""
    made = make_sheet([lambda _, luck: 1 - draw(digit, 0, 14)[..., 0] / np.float32(255)], Look(
        paper, tilt=3, shadow=0.3, ink=0.5, line=0.45, spacing=36), text=["0"], height=380, cell=(480, 480), margin=30)
    clean, found = prepare(draw(digit, 0, 14)), prepare(flatten(made.rgba).rgba)
    assert not found.empty
    moved = [found.image.roll((down, right), (1, 2)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    assert min(float((one - clean.image).abs().mean()) for one in moved) < 0.06


def test_two_digits_in_one_drawing_are_two_marks():
    left, right = (np.asarray(Image.fromarray(draw(digit, 0, 24)).resize((140, 140))) for digit in (1, 2))
    both = np.full((280, 280, 4), 255, np.uint8)
    both[70:210, :140], both[70:210, 140:] = left, right
    assert marks_in(prepare(both)) == 2
    for digit in (4, 5, 7):  # of two strokes each
        assert marks_in(prepare(draw(digit, 0))) == 1
    assert len(find_sheet(both).marks) == 2


def test_strokes_of_a_small_drawing_are_no_rulings():
    both = np.full((280, 280, 4), 255, np.uint8)
    for left, digit, variant in ((0, 4, 0), (140, 0, 1)):
        both[70:210, left:left + 140] = np.asarray(Image.fromarray(draw(digit, variant, 24)).resize((140, 140)))
    sheet = find_sheet(both)
    assert sheet.ruled == 0 and sheet.tilt == 0 and len(sheet.marks) == 2


def test_the_truth_of_a_made_sheet_is_where_its_ink_is():
    made = make_sheet(stroke_pens(2, 3), Look(grain=0, tilt=6), seed=4, columns=5, **SMALL)
    sheet = find_sheet(made.rgba)
    for box in truth(made, sheet):
        assert sheet.ink[box.top:box.top + box.height, box.left:box.left + box.width].max() > 150
