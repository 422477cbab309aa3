"""Figures of a data set and images as data URIs: values by hand, Pillow as the reader."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.statistics import moments, pixel_counts, pixel_histogram
from core.figures.explore import balance_chart, class_colors, map_chart, map_rows, order_chart, pixel_chart, selected_rows
from core.figures.pictures import data_uri, thumbnails, to_bytes
from tests.sets import split_of


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 1, 1), (3, 7, 64)])
def test_a_data_uri_is_the_image(shape):
    image = split_of(1, shape).images[0]
    shown = picture(data_uri(image))
    assert np.array_equal(shown if shape[0] == 3 else shown[:, :, None], image.permute(1, 2, 0).numpy())


def test_thumbnails_are_small_and_alike():
    gray = split_of(3, (1, 28, 28)).images
    assert np.array_equal(np.stack([picture(uri) for uri in thumbnails(gray)]), gray[:, 0].numpy())
    large = torch.full((2, 3, 64, 48), 200, dtype=torch.uint8)
    large[:, 0] = 30
    shown = picture(thumbnails(large)[1])
    assert shown.shape == (32, 24, 3) and np.abs(shown.astype(int) - [30, 200, 200]).max() <= 4  # JPEG
    assert thumbnails(gray[:0]) == []


def test_to_bytes():
    assert to_bytes(torch.tensor([0.0, 0.5, 1.0, 2.0, -1.0, float("nan")])).tolist() == [0, 128, 255, 255, 0, 0]


def test_balance_by_hand():
    figure = balance_chart(["a", "b"], {"Training": [3, 1], "Test": [0, 0]})
    training, test = figure.data
    assert training.name == "Training (4)" and list(training.y) == [0.75, 0.25] and list(training.customdata) == [3, 1]
    assert list(test.y) == [0, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_chart_counts_all_pixels(channels):
    counts = pixel_counts(split_of(20, (channels, 8, 8)))
    for histogram in (pixel_histogram(counts), pixel_histogram(counts, *moments(counts))):
        figure = pixel_chart(histogram, "value")
        assert len(figure.data) == channels and sum(sum(bars.y) for bars in figure.data) == 20 * channels * 64
        assert figure.layout.shapes[0].x0 == pytest.approx(histogram.mean)
    assert pixel_chart(pixel_histogram(counts), "value").data[0].x[0] == 1.5  # the middle of 0 to 3


def test_order_chart():
    figure = order_chart(torch.tensor([[1.0, 0], [0.25, 0.75]]), ["a", "b"], 10)
    assert [list(bars.y) for bars in figure.data] == [[1.0, 0.25], [0.0, 0.75]]
    assert list(figure.data[0].x) == [2.5, 7.5] and list(figure.layout.xaxis.range) == [0, 10]


@pytest.mark.parametrize("count", [1, 10, 26, 100])
def test_classes_have_colours_of_their_own(count):
    assert len(set(class_colors(count))) == count


def test_map_chart_and_what_is_selected_on_it():
    labels = torch.tensor([2, 0, 2, 0, 2])
    points = torch.arange(10.0).view(5, 2)
    option = map_chart(points, labels, ["a", "<b>", "c"], list("vwxyz"), [f"image {i}" for i in range(5)], ("across", "up"))
    json.dumps(option, allow_nan=False)
    first, second = (dict(zip(part["dimensions"], zip(*part["source"], strict=True), strict=True)) for part in option["dataset"])
    assert [series["name"] for series in option["series"]] == ["a", "c"]
    assert second["x"] == (0, 4, 8) and second["picture"] == ("v", "x", "z")
    assert first["title"] == ("image 1", "image 3")
    assert map_rows(labels) == {0: [1, 3], 2: [0, 2, 4]}
    groups = [{"series_index": 1, "data_indices": [0, 2]}, {"series_index": 0, "data_indices": [1]}]
    assert selected_rows(labels, groups) == [0, 3, 4]
    stale = [{"series_index": 9, "data_indices": [0]}, {"series_index": 0, "data_indices": [7, -1]}, {}]  # of other data
    assert selected_rows(labels, stale) == []
