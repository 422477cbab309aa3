"""How a layer's numbers come about, with the numbers put in: its arguments, its parameters and the size of its output."""

from collections.abc import Iterable
from math import prod

from torch import nn

from core.layers.kinds import AdaptivePool, BatchNorm, Convolution, InstanceNorm, TransposedConvolution
from core.layers.misfits import POOLS, is_pool, many, size

Shape = tuple[int, ...]
# what PyTorch's own descriptions say of layers that are as usual
USUAL = {"inplace=False", "start_dim=1", "end_dim=-1", "eps=1e-05", "elementwise_affine=True", "affine=True", "bias=True"}


def arguments(module: nn.Module) -> str:
    """Short text such as "1→32, kernel 3×3, padding 1"; what is at its usual value is left out."""
    if isinstance(module, Convolution):
        return _convolution_arguments(module)
    if is_pool(module):
        spatial = POOLS[type(module)]
        kernel, stride = many(module.kernel_size, spatial), many(module.stride, spatial)
        padding, dilation = many(module.padding, spatial), many(getattr(module, "dilation", 1), spatial)
        return _joined([f"kernel {size(kernel)}", f"stride {_axes(stride)}" if stride != kernel else "",
                        f"padding {_axes(padding)}" if any(padding) else "",
                        f"dilation {_axes(dilation)}" if set(dilation) != {1} else "", "ceil mode" if module.ceil_mode else ""])
    if isinstance(module, AdaptivePool):
        wanted = module.output_size
        return f"output {'×'.join('same' if n is None else str(n) for n in wanted)}" if isinstance(wanted, tuple) \
            else f"output {wanted}"
    if isinstance(module, nn.Linear):
        return _joined([f"{module.in_features}→{module.out_features}", "no bias" if module.bias is None else ""])
    if isinstance(module, nn.Embedding):
        return f"{module.num_embeddings} rows of {module.embedding_dim}"
    if isinstance(module, nn.RNNBase):
        return _joined([f"{module.input_size}→{module.hidden_size}",
                        f"{module.num_layers} layers" if module.num_layers > 1 else "",
                        "both directions" if module.bidirectional else "", "" if module.batch_first else "sequence first"])
    if isinstance(module, nn.MultiheadAttention):
        return f"{module.embed_dim} features, {module.num_heads} heads"
    if isinstance(module, BatchNorm | InstanceNorm):
        return f"{module.num_features} channels"
    if isinstance(module, nn.ParameterList | nn.ParameterDict):
        return ""
    try:
        parts = module.extra_repr().split(", ")
    except Exception:  # extra_repr may be anyone's code, and a table must not fail over a label
        return ""
    return _joined(part for part in parts if part not in USUAL).split("\n")[0]


def _convolution_arguments(module: Convolution) -> str:
    padding = module.padding
    return _joined([
        f"{module.in_channels}→{module.out_channels}", f"kernel {size(module.kernel_size)}",
        f"stride {_axes(module.stride)}" if set(module.stride) != {1} else "",
        f"padding {padding if isinstance(padding, str) else _axes(padding)}" if isinstance(padding, str) or any(padding) else "",
        f"dilation {_axes(module.dilation)}" if set(module.dilation) != {1} else "",
        f"groups {module.groups}" if module.groups != 1 else "",
        "no bias" if module.bias is None else ""])


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _axes(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else size(values)


def parameter_formula(module: nn.Module | None, shapes: dict[str, Shape]) -> str:
    """Where the parameters come from: "(3·3·1)·32 + 32 = 896"; "" for none.

    Args:
        module: the layer; None for parameters that stand alone.
        shapes: of the parameters that are counted here, by name.
    """
    if not shapes:
        return ""
    total = sum(prod(shape) for shape in shapes.values())
    generic = " + ".join("·".join(map(str, shape)) or "1" for shape in shapes.values())
    return f"{_known_formula(module, shapes) or generic} = {total:,}"


def _known_formula(module: nn.Module | None, shapes: dict[str, Shape]) -> str:
    """The usual way to write a known layer's parameters; "" unless exactly its weight, or weight and bias, are counted."""
    weight, bias = shapes.get("weight"), shapes.get("bias")
    if weight is None or set(shapes) - {"weight", "bias"}:
        return ""
    end = f" + {prod(bias)}" if bias is not None else ""
    if isinstance(module, Convolution):
        # the weight is (out, in / groups, *kernel), of a transposed convolution (in, out / groups, *kernel)
        return f"({'·'.join(map(str, weight[2:]))}·{weight[1]})·{weight[0]}{end}"
    if isinstance(module, nn.Linear):
        return f"{weight[1]}·{weight[0]}{end}"
    if isinstance(module, BatchNorm | InstanceNorm | nn.LayerNorm | nn.GroupNorm) and bias == weight:
        features = "·".join(map(str, weight))
        return f"2·({features})" if len(weight) > 1 else f"2·{features}"
    return ""


def shape_formula(module: nn.Module, received: Shape, returned: Shape) -> str:
    """The output's size with the numbers put in: "⌊(28 + 2·1 − 3)/1⌋ + 1 = 28"; "" where there is no such formula.

    Args:
        received, returned: shapes without batch.
    """
    if isinstance(module, nn.Flatten):
        return f"{'·'.join(map(str, received))} = {returned[0]}" if len(returned) == 1 and len(received) > 1 else ""
    lines = _axis_formulas(module, received)
    spatial = len(lines)
    if not lines or len(returned) != spatial + 1 or any(
            value != actual for (_, value), actual in zip(lines, returned[-spatial:], strict=True)):
        return ""
    texts = [f"{text} = {value}" for text, value in lines]
    if len(set(texts)) == 1:
        return texts[0]
    names = ("depth", "height", "width")[-spatial:]
    return "; ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))


def _axis_formulas(module: nn.Module, received: Shape) -> list[tuple[str, int]]:
    """For each spatial axis of a convolution or pooling the formula's text and its value."""
    if not (isinstance(module, Convolution) or is_pool(module)):
        return []
    spatial = len(module.kernel_size) if isinstance(module, Convolution) else POOLS[type(module)]
    if len(received) != spatial + 1:
        return []
    kernel, stride, dilation = (many(getattr(module, name, 1), spatial) for name in ("kernel_size", "stride", "dilation"))
    asked = module.padding
    sizes = received[-spatial:]
    if asked == "same":
        return [(f"padding same: {n}", n) for n in sizes]
    padding = (0,) * spatial if isinstance(asked, str) else many(asked, spatial)  # "valid" is none
    if isinstance(module, TransposedConvolution):
        return [_transposed(n, k, s, p, d, extra) for n, k, s, p, d, extra in
                zip(sizes, kernel, stride, padding, dilation, module.output_padding, strict=True)]
    up = bool(getattr(module, "ceil_mode", False))
    return [_forwards(n, k, s, p, d, up) for n, k, s, p, d in
            zip(sizes, kernel, stride, padding, dilation, strict=True)]


def _forwards(n: int, kernel: int, stride: int, padding: int, dilation: int, up: bool) -> tuple[str, int]:
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    taken = f"{kernel}" if dilation == 1 else f"{dilation}·({kernel} − 1) − 1"
    left, right = "⌈⌉" if up else "⌊⌋"
    steps = -(-room // stride) if up else room // stride
    return f"{left}({n} + 2·{padding} − {taken})/{stride}{right} + 1", steps + 1


def _transposed(n: int, kernel: int, stride: int, padding: int, dilation: int, extra: int) -> tuple[str, int]:
    value = (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
    return f"({n} − 1)·{stride} − 2·{padding} + {dilation}·({kernel} − 1) + {extra} + 1", value
