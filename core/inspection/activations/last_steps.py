"""The last steps written out: a linear layer's strongest weights, batch norm of one number, logits to probabilities."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from core.layers.kinds import BatchNorm
from core.training.objectives import OBJECTIVES


@dataclass(frozen=True)
class Strongest:
    """One weight of a linear layer: from input `feature` to output `unit`. value and product: with an input, else None."""

    unit: int
    feature: int
    weight: float
    value: float | None
    product: float | None


def strongest_weights(linear: nn.Linear, k: int, unit: int | None = None, input: Tensor | None = None) -> list[Strongest]:
    """The k weights that matter most, strongest first.

    Args:
        unit: of this output unit alone; of all if None.
        input: (features,) one example as the layer received it: then by |weight · value|, else by |weight|.

    Raises:
        ValueError: there is no such unit, or the input has another size.
    """
    weight = linear.weight.detach().float().cpu()  # (out, in)
    if unit is not None and not 0 <= unit < weight.shape[0]:
        raise ValueError(f"there is no unit {unit}; the layer has units 0 to {weight.shape[0] - 1}")
    if input is not None and tuple(input.shape) != weight.shape[1:]:
        raise ValueError(f"the input has shape {tuple(input.shape)}; the layer needs ({weight.shape[1]},)")
    units = weight if unit is None else weight[unit:unit + 1]
    values = None if input is None else input.detach().float().cpu()
    strength = (units if values is None else units * values).abs().flatten()
    found = []
    for place in strength.topk(min(max(0, k), len(strength))).indices.tolist():
        row, feature = divmod(place, weight.shape[1])
        factor, value = float(units[row, feature]), None if values is None else float(values[feature])
        found.append(Strongest(row if unit is None else unit, feature, factor, value,
                               None if value is None else factor * value))
    return found


@dataclass(frozen=True)
class LinearSum:
    """One output of a linear layer: total = Σ weight · value + bias."""

    products: float  # Σ weight · value
    bias: float
    total: float


def linear_sum(linear: nn.Linear, input: Tensor, unit: int) -> LinearSum:
    """What unit `unit` answers to input (features,). Raises ValueError as strongest_weights does."""
    strongest_weights(linear, 0, unit, input)  # its checks
    products = float((linear.weight[unit].detach().double() * input.detach().double()).sum())
    bias = 0.0 if linear.bias is None else float(linear.bias.detach()[unit])
    return LinearSum(products, bias, products + bias)


def place_of(feature: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where a number of a flattened tensor stood before: (channel, row, column) for shape (C, H, W)."""
    place = []
    for size in reversed(shape):
        feature, index = divmod(feature, size)
        place.append(index)
    return tuple(reversed(place))


@dataclass(frozen=True)
class BatchNormSteps:
    """(value − mean) / √(variance + eps) · weight + bias = result, with the running statistics of the channel."""

    value: float
    mean: float
    variance: float
    eps: float
    weight: float
    bias: float
    result: float


def batch_norm_steps(module: BatchNorm, channel: int, value: float) -> BatchNormSteps:
    """One number through batch norm as it works after training. Raises ValueError where it keeps no statistics."""
    if module.running_mean is None or module.running_var is None:
        raise ValueError("this layer keeps no running statistics: it always uses those of the batch")
    mean, variance = float(module.running_mean[channel]), float(module.running_var[channel])
    weight = 1.0 if module.weight is None else float(module.weight.detach()[channel])
    bias = 0.0 if module.bias is None else float(module.bias.detach()[channel])
    result = (value - mean) / sqrt(variance + module.eps) * weight + bias
    return BatchNormSteps(value, mean, variance, module.eps, weight, bias, result)


@dataclass(frozen=True)
class SoftmaxSteps:
    """Each row of the softmax, (K,) float64: probabilities = exp(logits − maximum) / total.

    Taking the maximum away changes no probability, since it divides top and bottom by the same number, and keeps exp from
    overflowing.
    """

    logits: Tensor
    maximum: float
    shifted: Tensor
    exponentials: Tensor
    total: float
    probabilities: Tensor


def softmax_steps(logits: Tensor) -> SoftmaxSteps:
    """From logits (K,) to probabilities. Raises ValueError for another shape, and for infinite or NaN logits."""
    values = _finite_row(logits)
    maximum = float(values.max())
    shifted = values - maximum
    exponentials = shifted.exp()
    total = float(exponentials.sum())
    return SoftmaxSteps(values, maximum, shifted, exponentials, total, exponentials / total)


@dataclass(frozen=True)
class SigmoidSteps:
    """Each row of the sigmoid, (K,) float64: 1 / (1 + exp(−logit)), for each logit on its own.

    normalized: the sigmoids divided by their sum, which is what a prediction over several yes-no outputs uses. One logit has
    (no, yes) instead.
    """

    logits: Tensor
    exponentials: Tensor  # exp(−logit)
    denominators: Tensor  # 1 + exp(−logit)
    sigmoids: Tensor
    normalized: Tensor


def sigmoid_steps(logits: Tensor) -> SigmoidSteps:
    """From one or several logits (K,) to probabilities. Raises ValueError as softmax_steps does."""
    values = _finite_row(logits)
    exponentials = (-values).exp()
    sigmoids = 1 / (1 + exponentials)
    if len(values) == 1:
        normalized = torch.cat([torch.sigmoid(-values), sigmoids])  # 1 − σ(z) = σ(−z), also where σ(z) rounds to 1
    else:
        normalized = torch.nn.functional.logsigmoid(values).softmax(0)
    return SigmoidSteps(values, exponentials, 1 + exponentials, sigmoids, normalized)


def probability_steps(loss: str, logits: Tensor) -> SoftmaxSteps | SigmoidSteps:
    """How a run with this loss (a key of OBJECTIVES) turns logits (K,) into probabilities. Raises ValueError as both do.

    Which of the two it is, is asked of the objective itself, with scores that the two answer differently.
    """
    scores = torch.arange(len(logits), dtype=torch.float64).unsqueeze(0)
    answer = OBJECTIVES[loss].probabilities(scores)
    is_softmax = answer.shape == scores.shape and torch.allclose(answer, scores.softmax(1))
    return softmax_steps(logits) if is_softmax and len(logits) > 1 else sigmoid_steps(logits)


def _finite_row(logits: Tensor) -> Tensor:
    values = logits.detach().double().cpu()
    if values.dim() != 1 or not len(values):
        raise ValueError(f"logits have shape {tuple(logits.shape)}; one row (K,) is needed")
    if not bool(values.isfinite().all()):
        raise ValueError("the logits hold infinite or NaN values; there are no probabilities for them")
    return values
