"""Memory that a network takes, worked out from its layer table."""

from core.config import AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, RMSpropConfig, SGDConfig
from core.layers.table import FLOAT32_BYTES, LayerRow, totals


def forward_bytes(rows: list[LayerRow], batch_size: int) -> int:
    """For answers alone: the weights, and the largest layer's input and output for a batch. The others' are freed on the way."""
    sizes = [row.activation_bytes for row in rows]
    before = [0, *sizes[:-1]]
    largest = max((left + right for left, right in zip(before, sizes, strict=True)), default=0)
    return totals(rows).weight_bytes + largest * batch_size


def training_bytes(rows: list[LayerRow], optimizer: OptimizerConfig, batch_size: int) -> int:
    """For a training step: weights, gradients and the optimizer's state of those that learn, and what all layers return for a
    batch, which is kept until the backward pass has used it. Working memory of single operations comes on top."""
    total = totals(rows)
    learned = total.trainable * FLOAT32_BYTES * (1 + values_kept(optimizer))
    return total.parameters * FLOAT32_BYTES + learned + total.activation_bytes * batch_size


def values_kept(optimizer: OptimizerConfig) -> int:
    """Numbers that an optimizer remembers for each weight, as torch.optim documents them."""
    match optimizer:
        case SGDConfig():
            return int(optimizer.momentum > 0)  # the running step
        case AdamConfig() | AdamWConfig():
            return 2  # running means of the gradient and of its square
        case RMSpropConfig():
            return 1 + int(optimizer.momentum > 0)
        case AdagradConfig():
            return 1
