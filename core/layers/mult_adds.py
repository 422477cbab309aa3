"""Multiplications with an addition that one call needs for one example.

The convention is torchinfo's, so that numbers can be compared: a convolution counts its parameters, the bias among them, once
for each output pixel, every other layer with a weight or bias once for each example, and an RNN once for each step of the
sequence. Layers without parameters count nothing. For a linear layer that is applied along a sequence this is the cost of one
position.

Two kinds of layers are counted otherwise, as torchinfo does not count what they do:
- Normalisation (batch, layer, group, instance), of which torchinfo counts the parameters once for each example: one for each
  value, (x − mean) / deviation being x times a number plus a number, and one more for each value where it is then multiplied by
  a weight and a bias added. fvcore and ptflops count batch norm in evaluation so, too. Means and deviations are not counted.
- nn.MultiheadAttention, which torchinfo leaves out: its projections once for each position, and queries times keys and attention
  times values.
"""

from math import prod

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from core.layers.kinds import BatchNorm, InstanceNorm
from core.layers.trace import Call, Shape

Normalisation = BatchNorm | InstanceNorm | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm


def mult_adds(call: Call, batch: int) -> int:
    """For one example; 0 for what neither has parameters nor normalises. `batch` is the batch size of the run."""
    module = call.module
    if isinstance(module, nn.MultiheadAttention):
        return _attention(module, call, batch)
    if not call.outputs:
        return 0
    out = _one_example(call.outputs[0], batch)
    if isinstance(module, Normalisation):
        return prod(out) * (2 if module.weight is not None else 1)
    if isinstance(module, nn.RNNBase):  # (1, steps, features), or (steps, features) of a packed sequence
        return prod(out[:-1]) * sum(_weights(module).values())
    count = 0
    for name, size in _weights(module).items():
        if name in ("weight", "bias"):
            count += size * (prod(out[:1] + out[2:]) if "Conv" in type(module).__name__ else out[0] if out else 1)
        elif "weight" in name or "bias" in name:
            count += size * prod(out[:2])
    return count


def _weights(module: nn.Module) -> dict[str, int]:
    """Sizes of the parameters by the names that the layer computes with."""
    if not is_parametrized(module):
        return {name.removesuffix("_orig"): parameter.numel() for name, parameter in module.named_parameters()}
    sizes = {name: parameter.numel() for name, parameter in module.named_parameters(recurse=False)}
    parametrizations = module.parametrizations
    assert isinstance(parametrizations, nn.ModuleDict)  # as is_parametrized has seen
    for name, steps in parametrizations.items():
        sizes[name] = max((parameter.numel() for parameter in steps.parameters(recurse=False)), default=0)
    return sizes


def _one_example(shape: Shape, batch: int) -> Shape:
    """The shape as a batch of one would have it."""
    place = shape.index(batch) if batch in shape else next(
        (place for place, size in enumerate(shape) if size and size % batch == 0), None)
    return shape if place is None else shape[:place] + (shape[place] // batch,) + shape[place + 1:]


def _attention(module: nn.MultiheadAttention, call: Call, batch: int) -> int:
    positions = [prod(_one_example(shape, batch)[:-1]) for shape in call.inputs[:3]]
    if len(positions) < 3:
        return 0
    queries, keys, values = positions
    width = module.embed_dim
    bias = 0 if module.in_proj_bias is None else width
    projections = (queries * (width * width + bias) + keys * (module.kdim * width + bias)
                   + values * (module.vdim * width + bias))
    out = queries * sum(parameter.numel() for parameter in module.out_proj.parameters())
    return projections + 2 * queries * keys * width + out
