"""Pictures of numbers: every number is a square of whole pixels in the right colour, and figures say what they should."""

import numpy as np
import pytest
import torch

from core.figures.maps import NEGATIVE, NOT_A_NUMBER, POSITIVE, ZERO, colour_picture, colours, map_sheet, row_picture
from core.figures.windows import histogram_chart, numbers_heatmap, sliding_kernel
from core.inspection import histogram


def test_colours_of_signed_numbers():
    picture = colours(np.array([-2.0, 0.0, 1.0, 2.0]))
    assert picture.tolist()[0] == NEGATIVE.tolist() and picture.tolist()[1] == ZERO.tolist()
    assert picture.tolist()[3] == POSITIVE.tolist()
    assert np.allclose(picture[2], (ZERO + POSITIVE) / 2, atol=1), "half way"
    assert picture.dtype == np.uint8


def test_colours_without_negative_numbers_are_grey():
    assert colours(np.array([0.0, 1.0, 4.0])).tolist() == [[0] * 3, [64] * 3, [255] * 3]
    assert colours(np.zeros((2, 2))).tolist() == [[[0] * 3] * 2] * 2
    assert colours(np.array([1.0]), bound=2.0).tolist() == [[128] * 3]


def test_what_is_no_number_stands_out():
    picture = colours(np.array([np.nan, np.inf, 1.0]))
    assert picture.tolist() == [list(NOT_A_NUMBER)] * 2 + [[255] * 3]


def blocks(sheet: np.ndarray, colour: list[int]) -> int:
    return int((sheet == colour).all(-1).sum())


def test_a_sheet_holds_every_map_sharply():
    """Three maps 2×2, each with one white pixel, on black: the white squares have whole sides and nothing is in between."""
    maps = torch.zeros(3, 2, 2)
    maps[:, 0, 1] = torch.tensor([1.0, 1.0, 1.0])
    sheet = map_sheet(maps, numbered=False)
    white = blocks(sheet, [255] * 3)
    side = round((white / 3) ** 0.5)
    assert white == 3 * side * side and side >= 20
    assert blocks(sheet, [0] * 3) == 9 * side * side
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) == 3, "white, black and the grey between, nothing blurred"


def test_maps_share_a_scale_unless_each_has_its_own():
    maps = torch.tensor([[[1.0]], [[0.5]]]).expand(2, 2, 2)
    assert blocks(map_sheet(maps, numbered=False), [255] * 3) == blocks(map_sheet(maps, numbered=False), [128] * 3) - _gaps(maps)
    assert blocks(map_sheet(maps, own_scale=True, numbered=False), [255] * 3) == 2 * 168 * 168


def _gaps(maps: torch.Tensor) -> int:
    """Background pixels, which happen to be the grey of 0.5: the sheet less its two maps."""
    sheet = map_sheet(maps, numbered=False)
    return sheet.shape[0] * sheet.shape[1] - 2 * 168 * 168


@pytest.mark.parametrize("shape", [(1, 28, 28), (32, 28, 28), (64, 14, 14), (512, 2, 2), (3, 1, 40), (2, 500, 300), (200, 1, 2)])
def test_sheets_of_any_shape_fit_the_page(shape):
    sheet = map_sheet(torch.randn(shape))
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert sheet.shape[1] <= 1100


@pytest.mark.parametrize("count", [1, 10, 128, 784, 3136, 25088])
def test_a_row_is_read_like_text(count):
    values = torch.linspace(0, 1, count)
    picture = row_picture(values)
    assert picture.shape[1] <= 720
    drawn = min(count, 4096)
    first, last = colours(values[:drawn].numpy())[[0, -1]]
    assert picture[0, 0].tolist() == first.tolist()
    bottom = picture[-1]
    ink = bottom[(bottom != 128).any(-1)] if count > 1 else bottom
    assert ink[-1].tolist() == last.tolist()


def test_an_image_is_stretched_from_black_to_white():
    picture = colour_picture(torch.tensor([[[-1.0, 1.0], [0.0, 1.0]]]), side=4)
    assert picture.tolist() == [[0, 0, 255, 255], [0, 0, 255, 255], [128, 128, 255, 255], [128, 128, 255, 255]]
    assert colour_picture(torch.zeros(3, 2, 2), side=2).shape == (2, 2, 3)


def test_a_window_shows_its_numbers():
    values = torch.tensor([[0.5, -1.0], [float("-inf"), 0.0]])
    figure = numbers_heatmap(values, "Window", outside=torch.tensor([[False, False], [True, False]]), mark=(0, 0))
    assert [list(row) for row in figure.data[0].text] == [["0.50", "−1"], ["(−∞)", "0"]]
    assert np.isfinite(np.array(figure.data[0].z, dtype=float)).all(), "JSON has no infinity"
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].y1) == (-0.5, 0.5)
    assert not any(any(row) for row in numbers_heatmap(torch.zeros(9, 9), "large").data[0].text), "no room for numbers"


def test_the_kernel_slides_over_every_pixel_of_a_row():
    boxes = [(float(c) - 1.5, -1.5, c + 1.5, 1.5) for c in range(4)]
    figure = sliding_kernel(torch.randn(4, 4), torch.rand(4, 4), boxes, 0, 2)
    assert [frame.layout.shapes[0].x0 for frame in figure.frames] == [-1.5, -0.5, 0.5, 1.5]
    assert [frame.layout.shapes[1].x0 for frame in figure.frames] == [-0.5, 0.5, 1.5, 2.5]
    assert figure.layout.shapes[0].x0 == 0.5
    assert figure.layout.xaxis.range[0] < -1.5, "a window on padding is in sight"
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "rows from top to bottom"


def test_a_histogram_has_a_bar_for_each_bin():
    counted = histogram(torch.tensor([0.0, 0.1, 1.0]), 2)
    figure = histogram_chart(counted, "value of w")
    assert list(figure.data[0].y) == [2, 1] and list(figure.data[0].x) == [0.25, 0.75]
    assert figure.layout.xaxis.title.text == "value of w"
