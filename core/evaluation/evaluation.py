"""The figures of one split: loss, accuracy, confusion counts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, Split
from core.evaluation.predictions import answer
from core.training.objectives import objective_of


@dataclass(frozen=True)
class Evaluation:
    """Figures of one split.

    loss, accuracy: means over examples; accuracy from 0 to 1, None where a number is predicted.
    confusion: (K, K) int64, rows are true classes, columns what the network said; (0, 0) where a number is predicted.
    """

    examples: int
    loss: float
    accuracy: float | None
    confusion: Tensor


def evaluate(model: nn.Module, data: Dataset, config: RunConfig, split: Split | None = None) -> Evaluation:
    """Loss, accuracy and confusion counts of `model` on `split` (the test split if None), on the model's own device.

    Raises:
        ValueError: the split has no images.
    """
    answers = answer(model, data, config, data.test if split is None else split)
    objective = objective_of(config.training, data.target)
    if data.target == "number":
        return Evaluation(len(answers.labels), answers.loss(objective), None, torch.zeros(0, 0, dtype=torch.long))
    said, classes = objective.predict(answers.logits), len(data.classes)
    confusion = torch.bincount(answers.labels * classes + said, minlength=classes * classes).view(classes, classes)
    return Evaluation(len(answers.labels), answers.loss(objective), answers.accuracy(objective), confusion.cpu())
