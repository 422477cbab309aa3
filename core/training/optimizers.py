"""Optimizers: from their config to PyTorch's."""

from collections.abc import Iterable

import torch
from torch import nn

from core.config import AdamConfig, OptimizerConfig, SGDConfig


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """PyTorch's optimizer, fused: one call for all weights, on the CPU too (Adam: 0.5 instead of 0.7 s an epoch)."""
    match config:
        case SGDConfig():
            return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=config.momentum, fused=True)
        case AdamConfig():
            return torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
