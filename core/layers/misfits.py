"""What a layer says when its input does not fit: what it received and what it needs, for the layers of torch.nn."""

from math import prod
from typing import TypeGuard

from torch import nn

from core.layers.kinds import BatchNorm, Convolution, TransposedConvolution

Shape = tuple[int, ...]
Pool = nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d | nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
POOLS: dict[type[nn.Module], int] = {  # how many spatial axes each has
    nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3, nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3}


def is_pool(module: nn.Module) -> TypeGuard[Pool]:
    """Whether it is one of POOLS itself; a subclass may compute something else."""
    return type(module) in POOLS


def misfit(module: nn.Module, shape: Shape) -> str | None:
    """"received 1568 features and needs 3136", or None where nothing is known to be wrong.

    Args:
        shape: of the layer's first input, with the batch as its first dimension.
    """
    if "forward" in vars(module) or not type(module).forward.__module__.startswith("torch.nn.modules."):
        return None  # a subclass with a forward of its own, such as a LayerNorm that turns pictures first
    if isinstance(module, nn.Linear) and shape[-1:] != (module.in_features,):
        return _linear(module, shape)
    if isinstance(module, Convolution):
        return _convolution(module, shape)
    if isinstance(module, BatchNorm):
        return _channels(module.num_features, shape) if len(shape) > 1 else None
    if isinstance(module, nn.GroupNorm):
        return _channels(module.num_channels, shape) if len(shape) > 1 else None
    if isinstance(module, nn.LayerNorm) and shape[-len(module.normalized_shape):] != tuple(module.normalized_shape):
        return f"received {size(shape[1:])} and needs {size(tuple(module.normalized_shape))} at the end"
    received = shape[-1] if shape else 0
    if isinstance(module, nn.RNNBase) and (len(shape) > 3 or received != module.input_size):
        what = f"{received} features" if len(shape) <= 3 else f"shape {shape[1:]}"
        return f"received {what} and needs a sequence of {module.input_size} features at each step"
    if isinstance(module, nn.MultiheadAttention) and received != module.embed_dim:
        return f"received {received} features and needs {module.embed_dim}"
    if is_pool(module):
        return _pool(module, shape, POOLS[type(module)])
    return None


def _linear(module: nn.Linear, shape: Shape) -> str:
    received = shape[-1] if shape else 0
    line = f"received {received} features and needs {module.in_features}"
    if len(shape) > 2:
        line += f"; its input has shape {shape[1:]}"
        if prod(shape[1:]) == module.in_features:
            line += f", which a Flatten layer before it makes {module.in_features}"
    return line


def _channels(needed: int, shape: Shape) -> str | None:
    return None if shape[1] == needed else f"received {shape[1]} channels and needs {needed}"


def _convolution(module: Convolution, shape: Shape) -> str | None:
    spatial = len(module.kernel_size)
    if len(shape) not in (spatial + 1, spatial + 2):
        needed = ("channels and length", "channels, height and width", "channels, depth, height and width")[spatial - 1]
        return f"received shape {shape[1:]} and needs {needed}"
    if shape[-spatial - 1] != module.in_channels:
        return f"received {shape[-spatial - 1]} channels and needs {module.in_channels}"
    if isinstance(module, TransposedConvolution) or isinstance(module.padding, str):
        return None
    windows = tuple(d * (k - 1) + 1 for k, d in zip(module.kernel_size, module.dilation, strict=True))
    grown = tuple(n + 2 * p for n, p in zip(shape[-spatial:], module.padding, strict=True))
    if any(window > n for window, n in zip(windows, grown, strict=True)):
        return f"received {size(shape[-spatial:])} pixels, {size(grown)} with padding, and needs at least {size(windows)}"
    return None


def _pool(module: Pool, shape: Shape, spatial: int) -> str | None:
    if len(shape) not in (spatial + 1, spatial + 2):
        return f"received shape {shape[1:]} and needs {spatial + 1} dimensions: channels, then {spatial} of the picture"
    kernel, padding, dilation = (many(getattr(module, name, 1), spatial) for name in ("kernel_size", "padding", "dilation"))
    windows = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    grown = tuple(n + 2 * p for n, p in zip(shape[-spatial:], padding, strict=True))
    if not module.ceil_mode and any(window > n for window, n in zip(windows, grown, strict=True)):
        return f"received {size(shape[-spatial:])} pixels and needs at least {size(windows)}"
    return None


def many(value: int | tuple[int, ...], spatial: int) -> tuple[int, ...]:
    """One number for each axis, from PyTorch's "one number for all, or a tuple"."""
    return (value,) * spatial if isinstance(value, int) else tuple(value) * (spatial if len(value) == 1 else 1)


def size(shape: tuple[int, ...]) -> str:
    """(28, 28) → "28×28"."""
    return "×".join(map(str, shape))
