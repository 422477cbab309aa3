"""One output pixel of a convolution or a pooling, with everything that goes into it."""

from dataclasses import dataclass
from math import isfinite, isnan
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.layers.misfits import many

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the input; pixel 0 is from −0.5 to 0.5
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class WindowError(ValueError):
    """There is no such output pixel, or it can't be written out; the message is one line."""


@dataclass(frozen=True)
class ConvolutionSum:
    """total = Σ window · kernel + bias, for one pixel of one output channel.

    window, kernel, products: (C, kh, kw) float32 on the CPU; C is the input channels of the layer's group.
    inside: (kh, kw) bool, False where the window lies on padding.
    first_channel: which input channel window[0] is. rows, columns: where the window lies in the input; may be outside.
    """

    window: Tensor
    kernel: Tensor
    products: Tensor
    inside: Tensor
    bias: float
    total: float
    first_channel: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def channel_sums(self) -> list[float]:
        """The sum of the products of each input channel."""
        return self.products.double().sum((1, 2)).tolist()

    @property
    def strongest_channel(self) -> int:
        """Which input channel adds or takes away most, counted within the window."""
        return max(range(len(self.channel_sums)), key=lambda channel: abs(self.channel_sums[channel]))

    def written_out(self, channel: int) -> str:
        """One input channel's products as a sum: "0.5·1.2 + 0.25·(−0.3) = 0.53"."""
        terms = [f"{_factor(value)}·{_factor(weight)}" for value, weight in zip(
            self.window[channel].flatten().tolist(), self.kernel[channel].flatten().tolist(), strict=True)]
        return f"{' + '.join(terms)} = {number(self.channel_sums[channel])}"


@dataclass(frozen=True)
class PoolingResult:
    """One output pixel of a pooling.

    window: (h, w) float32 on the CPU, -inf where a max-pooling window lies on padding, 0 where an average one does.
    rule: "max": total is the largest value, at `winner` (row, column within the window).
          "mean": total is the sum of the window divided by `divisor`.
    """

    window: Tensor
    inside: Tensor
    rule: Literal["max", "mean"]
    total: float
    winner: tuple[int, int] | None
    divisor: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]


def number(value: float) -> str:
    """Short, with a real minus: 0.12, −1.50, 3, 240, 0.0063, 8·10⁻⁵; −∞ for padding of a max-pooling."""
    if not isfinite(value):
        return "NaN" if isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if size < 1e5 and size == int(size):
        text = str(int(size))
    elif 0.01 <= size < 1e5:
        text = f"{size:.2f}" if size < 100 else f"{size:.0f}"
    else:
        digits, exponent = f"{size:.0e}".split("e")
        text = f"{size:.2g}" if 1e-4 <= size < 0.01 else f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPT)}"
    return f"−{text}" if value < 0 else text


def added(value: float) -> str:
    """A number as the next term of a sum: "+ 0.12" or "− 0.07"."""
    return f"− {number(-value)}" if value < 0 else f"+ {number(value)}"


def _factor(value: float) -> str:
    return f"({number(value)})" if value < 0 else number(value)


def output_at(module: nn.Module, input: Tensor, channel: int, row: int, column: int) -> ConvolutionSum | PoolingResult:
    """convolution_at or pooling_at, whichever the layer is. Raises WindowError."""
    if isinstance(module, nn.Conv2d):
        return convolution_at(module, input, channel, row, column)
    return pooling_at(module, input, channel, row, column)


def boxes_along(module: nn.Module, input: Tensor, channel: int, row: int, columns: int) -> list[Box]:
    """Where the window lies for each of the first `columns` pixels of an output row. Raises WindowError."""
    boxes = []
    for column in range(columns):
        at = output_at(module, input, channel, row, column)
        boxes.append((at.columns[0] - 0.5, at.rows[0] - 0.5, at.columns[-1] + 0.5, at.rows[-1] + 0.5))
    return boxes


def convolution_at(module: nn.Conv2d, input: Tensor, channel: int, row: int, column: int) -> ConvolutionSum:
    """The sum behind output[channel, row, column]. Any stride, padding, padding mode, dilation and groups.

    Args:
        input: (C, H, W), one example as the layer received it.

    Raises:
        WindowError: no Conv2d, an input of another shape, or no such output pixel.
    """
    if not isinstance(module, nn.Conv2d):
        raise WindowError(f"{type(module).__name__} is no Conv2d; only that one's sum is written out here")
    if input.dim() != 3 or input.shape[0] != module.in_channels:
        raise WindowError(f"the input has shape {tuple(input.shape)}; the layer needs ({module.in_channels}, height, width)")
    left, right, top, bottom = _padding(module)
    size = tuple((n + extra - d * (k - 1) - 1) // s + 1 for n, extra, k, s, d in zip(
        input.shape[1:], (top + bottom, left + right), module.kernel_size, module.stride, module.dilation, strict=True))
    _check((channel, row, column), (module.out_channels, *size))
    with torch.no_grad():
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        padded = F.pad(input.detach().float().cpu().unsqueeze(0), (left, right, top, bottom), mode=mode)[0]
        rows = [row * module.stride[0] + i * module.dilation[0] for i in range(module.kernel_size[0])]
        columns = [column * module.stride[1] + i * module.dilation[1] for i in range(module.kernel_size[1])]
        width = module.in_channels // module.groups
        first = channel // (module.out_channels // module.groups) * width
        window = padded[first:first + width][:, rows][:, :, columns].clone()
        kernel = module.weight[channel].detach().float().cpu().clone()
        products = window * kernel
        bias = 0.0 if module.bias is None else float(module.bias[channel])
    rows, columns = [r - top for r in rows], [c - left for c in columns]
    return ConvolutionSum(window, kernel, products, _inside(rows, columns, input), bias,
                          float(products.double().sum()) + bias, first, tuple(rows), tuple(columns))


def pooling_at(module: nn.Module, input: Tensor, channel: int, row: int, column: int) -> PoolingResult:
    """What output[channel, row, column] of a max or average pooling is made of; also of the adaptive ones.

    Args:
        input: (C, H, W), one example as the layer received it.

    Raises:
        WindowError: no such layer, an input of another shape, or no such output pixel.
    """
    if not isinstance(module, POOLING):
        raise WindowError(f"{type(module).__name__} is no two-dimensional max or average pooling")
    if input.dim() != 3:
        raise WindowError(f"the input has shape {tuple(input.shape)}; the layer needs (channels, height, width)")
    values = input.detach().float().cpu()
    with torch.no_grad():
        output = module(values.unsqueeze(0))  # no weights: cheaper than its size's formula in every mode
    output = (output[0] if isinstance(output, tuple) else output)[0]
    _check((channel, row, column), tuple(output.shape))
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        # from ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉, as PyTorch's AdaptiveAveragePooling does
        rows, columns = ([*range(i * n // out, -(-(i + 1) * n // out))] for i, n, out in zip(
            (row, column), values.shape[1:], output.shape[1:], strict=True))
        divisor = len(rows) * len(columns)
    else:
        rows, columns, divisor = _pool_window(module, values, row, column)
    inside = _inside(rows, columns, values)
    is_max = isinstance(module, nn.MaxPool2d | nn.AdaptiveMaxPool2d)
    window = torch.full((len(rows), len(columns)), float("-inf") if is_max else 0.0)
    window[inside] = values[channel][[r for r in rows if 0 <= r < values.shape[1]]][
        :, [c for c in columns if 0 <= c < values.shape[2]]].flatten()
    total = float(window.max()) if is_max else float(window.double().sum()) / divisor
    winner = divmod(int(window.argmax()), len(columns)) if is_max else None
    return PoolingResult(window, inside, "max" if is_max else "mean", total, winner, divisor, tuple(rows), tuple(columns))


def _pool_window(module: nn.MaxPool2d | nn.AvgPool2d, values: Tensor, row: int, column: int) -> tuple[list[int], list[int], int]:
    """Rows and columns of the input, and what a mean is divided by."""
    kernel, stride, padding = many(module.kernel_size, 2), many(module.stride, 2), many(module.padding, 2)
    dilation = many(getattr(module, "dilation", 1), 2)
    rows, columns = ([i * s - p + k * d for k in range(size)] for i, s, p, d, size in zip(
        (row, column), stride, padding, dilation, kernel, strict=True))
    if isinstance(module, nn.MaxPool2d):
        return rows, columns, 1
    # with ceil_mode a window may hang over the padding as well; that part counts for nothing
    rows, columns = ([i for i in along if i < n + p] for along, n, p in zip(
        (rows, columns), values.shape[1:], padding, strict=True))
    counted = int(_inside(rows, columns, values).sum()) if not module.count_include_pad else len(rows) * len(columns)
    return rows, columns, module.divisor_override or counted


def _padding(module: nn.Conv2d) -> list[int]:
    """left, right, top, bottom; "same" puts an odd pixel on the right and at the bottom, as PyTorch does."""
    if module.padding == "same":
        both = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        return [both[1] // 2, both[1] - both[1] // 2, both[0] // 2, both[0] - both[0] // 2]
    if isinstance(module.padding, str):  # "valid"
        return [0, 0, 0, 0]
    down, across = many(module.padding, 2)
    return [across, across, down, down]


def _inside(rows: list[int], columns: list[int], input: Tensor) -> Tensor:
    height, width = input.shape[-2:]
    return torch.tensor([[0 <= r < height and 0 <= c < width for c in columns] for r in rows])


def _check(pixel: tuple[int, int, int], size: tuple[int, ...]) -> None:
    for name, index, count in zip(("channel", "row", "column"), pixel, size, strict=True):
        if not 0 <= index < count:
            raise WindowError(f"there is no {name} {index}; the output has {name}s 0 to {count - 1}")
