"""One output pixel written out equals what the layer returns, for every stride, padding, dilation and group."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d
from torch import nn

from core.inspection import WindowError, boxes_along, convolution_at, output_at, pooling_at
from core.inspection.activations.windows import added, number


def some_pixels(output: torch.Tensor) -> list[tuple[int, int, int]]:
    """The corners, where padding is, and a few in the middle, of every channel."""
    channels, height, width = output.shape
    rows, columns = {0, height - 1, height // 2}, {0, width - 1, width // 3}
    return list(product(range(channels), sorted(rows), sorted(columns)))


# --- by hand


def test_a_convolution_by_hand():
    """3×3 picture 1 … 9, kernel [[1, 0], [0, −1]], bias 0.5: 1·1 + 5·(−1) + 0.5 = −3.5 everywhere."""
    conv = nn.Conv2d(1, 1, 2)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]]))
        conv.bias.fill_(0.5)
    at = convolution_at(conv, torch.arange(1.0, 10).view(1, 3, 3), 0, 1, 0)
    assert at.window.tolist() == [[[4, 5], [7, 8]]]
    assert at.kernel.tolist() == [[[1, 0], [0, -1]]]
    assert at.products.tolist() == [[[4, 0], [0, -8]]]
    assert (at.bias, at.total, at.rows, at.columns, at.first_channel) == (0.5, -3.5, (1, 2), (0, 1), 0)
    assert at.inside.all()
    assert at.written_out(0) == "4·1 + 5·0 + 7·0 + 8·(−1) = −4"
    assert boxes_along(conv, torch.zeros(1, 3, 3), 0, 1, 2) == [(-0.5, 0.5, 1.5, 2.5), (0.5, 0.5, 2.5, 2.5)]


def test_padding_is_zero_and_marked():
    conv = nn.Conv2d(1, 1, 3, padding=1)
    at = convolution_at(conv, torch.ones(1, 4, 4), 0, 0, 0)
    assert at.window[0].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert at.inside.tolist() == [[False] * 3, [False, True, True], [False, True, True]]
    assert at.rows == (-1, 0, 1)


def test_poolings_by_hand():
    picture = torch.tensor([[[1.0, 7.0, 2.0, 0.0], [3.0, 5.0, 1.0, 1.0]]])
    largest = pooling_at(nn.MaxPool2d(2), picture, 0, 0, 0)
    assert (largest.window.tolist(), largest.total, largest.winner, largest.rule) == ([[1, 7], [3, 5]], 7, (0, 1), "max")
    mean = pooling_at(nn.AvgPool2d(2), picture, 0, 0, 1)
    assert (mean.window.tolist(), mean.total, mean.divisor, mean.winner) == ([[2, 0], [1, 1]], 1, 4, None)
    whole = pooling_at(nn.AdaptiveAvgPool2d(1), picture, 0, 0, 0)
    assert (whole.total, whole.divisor, whole.columns) == (2.5, 8, (0, 1, 2, 3))


def test_the_strongest_input_map_is_named():
    conv = nn.Conv2d(3, 1, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, -5.0, 2.0]).view(1, 3, 1, 1))
    at = convolution_at(conv, torch.ones(3, 2, 2), 0, 1, 1)
    assert at.channel_sums == [1, -5, 2] and at.strongest_channel == 1 and at.total == -2


# --- against the layer, and against SciPy


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch says that an even kernel may cost a copy
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [
    (1, 0, 1, 1), (2, 1, 1, 1), ((2, 3), (1, 2), 1, 2), (1, 2, 2, 1), (3, (0, 3), (1, 2), 4), (1, "same", 1, 1),
    (1, "same", (3, 2), 2), (2, "valid", 1, 1)])
def test_the_sum_is_the_layers_output(stride, padding, dilation, groups, mode):
    torch.manual_seed(7)
    conv = nn.Conv2d(4, 8, (3, 2), stride=stride, padding=padding, dilation=dilation, groups=groups, padding_mode=mode,
                     bias=groups != 2)
    picture = torch.randn(4, 11, 9)
    output = conv(picture.unsqueeze(0))[0].detach()
    for channel, row, column in some_pixels(output):
        at = convolution_at(conv, picture, channel, row, column)
        assert at.total == pytest.approx(float(output[channel, row, column]), abs=1e-5)
        assert sum(at.channel_sums) + at.bias == pytest.approx(at.total)
        assert at.window.shape == (4 // groups, 3, 2)
        for i, r in enumerate(at.rows):  # the window is what the picture says, wherever it is on the picture
            for j, c in enumerate(at.columns):
                if at.inside[i, j]:
                    assert torch.equal(at.window[:, i, j], picture[at.first_channel:at.first_channel + 4 // groups, r, c])


@settings(max_examples=80)
@given(seed=st.integers(0, 10**6), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), stride=st.integers(1, 3),
       padding=st.integers(0, 3), dilation=st.integers(1, 3), groups=st.sampled_from([1, 2, 3]), size=st.integers(10, 14))
def test_the_sum_is_any_layers_output(seed, kernel, stride, padding, dilation, groups, size):
    torch.manual_seed(seed)
    conv = nn.Conv2d(6, 6, kernel, stride, padding, dilation, groups)
    picture = torch.randn(6, size, size + 1)
    output = conv(picture.unsqueeze(0))[0].detach()
    channel, row, column = (int(torch.randint(n, ())) for n in output.shape)
    total = convolution_at(conv, picture, channel, row, column).total
    assert total == pytest.approx(float(output[channel, row, column]), abs=1e-5)


def test_the_sums_are_scipys_correlation():
    torch.manual_seed(1)
    conv = nn.Conv2d(1, 1, 5, bias=False)
    picture = torch.randn(1, 9, 8)
    reference = correlate2d(picture[0].numpy(), conv.weight[0, 0].detach().numpy(), mode="valid")
    ours = [[convolution_at(conv, picture, 0, row, column).total for column in range(4)] for row in range(5)]
    assert np.allclose(ours, reference, atol=1e-5)


@pytest.mark.parametrize("layer", [
    nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((3, 2), (1, 2), (1, 0), dilation=2), nn.MaxPool2d(3, 2, ceil_mode=True),
    nn.MaxPool2d(2, return_indices=True),
    nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), nn.AvgPool2d(2, divisor_override=3),
    nn.AvgPool2d((2, 4), 3, ceil_mode=True), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d((3, 5)),
    nn.AdaptiveAvgPool2d((None, 4)), nn.AdaptiveMaxPool2d(4)], ids=repr)
@pytest.mark.parametrize("size", [(10, 11), (12, 8)])
def test_a_pooling_is_the_layers_output(layer, size):
    torch.manual_seed(3)
    picture = torch.randn(2, *size)
    output = layer(picture.unsqueeze(0))
    output = (output[0] if isinstance(output, tuple) else output)[0]
    for channel, row, column in product(*map(range, output.shape)):
        at = output_at(layer, picture, channel, row, column)
        assert at.total == pytest.approx(float(output[channel, row, column]), abs=1e-6)
        if at.winner:
            assert float(at.window[at.winner]) == at.total
            assert float(picture[channel, at.rows[at.winner[0]], at.columns[at.winner[1]]]) == at.total


# --- what does not fit


@pytest.mark.parametrize(("layer", "shape", "pixel", "line"), [
    (nn.Conv2d(1, 2, 3), (1, 5, 5), (2, 0, 0), "there is no channel 2; the output has channels 0 to 1"),
    (nn.Conv2d(1, 2, 3), (1, 5, 5), (0, 3, 0), "there is no row 3; the output has rows 0 to 2"),
    (nn.Conv2d(1, 2, 3), (1, 5, 5), (0, 0, -1), "there is no column -1; the output has columns 0 to 2"),
    (nn.Conv2d(1, 2, 3), (2, 5, 5), (0, 0, 0), r"the input has shape \(2, 5, 5\); the layer needs \(1, height, width\)"),
    (nn.MaxPool2d(2), (1, 4, 4), (0, 2, 0), "there is no row 2; the output has rows 0 to 1"),
    (nn.AvgPool2d(2), (4, 4), (0, 0, 0), r"the input has shape \(4, 4\); the layer needs \(channels, height, width\)"),
    (nn.Linear(4, 4), (1, 4, 4), (0, 0, 0), "Linear is no two-dimensional max or average pooling"),
])
def test_what_is_not_there_gets_one_line(layer, shape, pixel, line):
    with pytest.raises(WindowError, match=f"^{line}$"):
        output_at(layer, torch.zeros(shape), *pixel)


def test_only_conv2d_is_written_out():
    with pytest.raises(WindowError, match="Conv1d is no Conv2d"):
        convolution_at(nn.Conv1d(1, 1, 1), torch.zeros(1, 1, 1), 0, 0, 0)


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (3.0, "3"), (-1.5, "−1.50"), (0.126, "0.13"), (123.4, "123"), (0.0063, "0.0063"), (8.2e-05, "8·10⁻⁵"),
    (-2e7, "−2·10⁷"), (float("-inf"), "−∞"), (float("nan"), "NaN")])
def test_numbers_are_short(value, text):
    assert number(value) == text
    assert number(value).isprintable()


def test_terms_of_a_sum_have_their_sign():
    assert [added(v) for v in (0.5, -0.5, 0.0)] == ["+ 0.50", "− 0.50", "+ 0"]
