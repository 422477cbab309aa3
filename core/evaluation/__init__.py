"""What a trained network gets right and wrong."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, Split
from core.data.batches import Batches
from core.devices import autocast_type
from core.training.inference import infer
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
    split = data.test if split is None else split
    if not len(split):
        raise ValueError("There are no images to evaluate on: the split is empty.")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    batches = Batches(data, split, device, channels_last=convolutional)
    objective = objective_of(config.training, data.target)
    answers = infer(model, batches, autocast_type(config.training.precision, device, convolutional))
    if data.target == "number":
        return Evaluation(len(batches), answers.loss(objective), None, torch.zeros(0, 0, dtype=torch.long))
    said, classes = objective.predict(answers.logits), len(data.classes)
    confusion = torch.bincount(answers.labels * classes + said, minlength=classes * classes).view(classes, classes)
    return Evaluation(len(batches), answers.loss(objective), answers.accuracy(objective), confusion.cpu())
