"""Figures of a network that predicts a number: how far off it is, by scikit-learn's definitions."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from core.config import RunConfig
from core.data import Dataset
from core.evaluation.predictions import answer


@dataclass(frozen=True, eq=False)
class NumberAnswers:
    """What was true and what a network said, both (N,) float64, of a split by name."""

    y_true: np.ndarray
    y_pred: np.ndarray
    split: str

    @property
    def is_finite(self) -> bool:
        """Whether every answer is a number."""
        return bool(np.isfinite(self.y_pred).all())


@dataclass(frozen=True)
class NumberFigures:
    """mse, mae: mean squared and mean absolute error. r2: 1 − Σ(y − ŷ)² / Σ(y − ȳ)², 1 for perfect, 0 for always saying the mean,
    below 0 for worse; None where all true values are the same, or there is only one."""

    examples: int
    mse: float
    mae: float
    r2: float | None


def answer_numbers(model: nn.Module, data: Dataset, config: RunConfig, split: str) -> NumberAnswers:
    """A network's answers on a split, on the network's own device. Raises ValueError where the split is empty."""
    answers = answer(model, data, config, data.split(split))
    return NumberAnswers(answers.labels.cpu().double().numpy(), answers.logits[:, 0].cpu().double().numpy(), split)


def number_figures(y_true: np.ndarray, y_pred: np.ndarray) -> NumberFigures:
    """All figures of (N,) true values and answers. Raises ValueError where there are none."""
    if not len(y_true) or len(y_true) != len(y_pred):
        raise ValueError("As many answers as true values are needed, at least one.")
    errors = y_true - y_pred
    spread = float(((y_true - y_true.mean()) ** 2).sum())
    r2 = 1 - float((errors ** 2).sum()) / spread if spread > 0 else None
    return NumberFigures(len(y_true), float((errors ** 2).mean()), float(np.abs(errors).mean()), r2)
