"""What guessing costs: the loss of the best answer that ignores its input, from what is known of a run's data.

A loss of 0.3 is a good one where guessing costs 2.3 and a bad one where it costs 0.32, as for a yes-no question that is mostly
no.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import log

import torch

from core.config import DataConfig, RunConfig
from core.data import DataError, outline, spec_of


@dataclass(frozen=True)
class Guess:
    """loss: of the best constant answer. floor: the smallest loss that there can be, above 0 with label smoothing. right: "
    "share of
    answers that the most frequent class gets right; 0 of numbers."""

    loss: float
    floor: float
    right: float


def guess_of(config: RunConfig) -> Guess | None:
    """None where the data are not known, or have a single class."""
    shares, variance = _answers(config.data.model_dump_json())
    if variance:
        return Guess(variance, 0.0, 0.0)
    if len(shares) < 2:
        return None
    loss, floor = _loss(config, shares)
    return Guess(loss, floor, max(shares)) if loss > floor else None


def _loss(config: RunConfig, shares: tuple[float, ...]) -> tuple[float, float]:
    """What guessing costs, and the floor."""
    training = config.training
    binary = training.loss in {"bce", "bce_with_logits"}
    if binary:
        asked = shares[1:] if len(shares) == 2 else shares
        return sum(_entropy((share, 1 - share)) for share in asked) / len(asked), 0.0
    if training.loss == "mse":
        asked = shares[1:] if len(shares) == 2 else shares
        return sum(share * (1 - share) for share in asked) / len(asked), 0.0
    smoothing = training.label_smoothing if training.loss == "cross_entropy" else 0.0
    flat = smoothing / len(shares)
    floor = _entropy((1 - smoothing + flat, *[flat] * (len(shares) - 1)))
    return _entropy(tuple((1 - smoothing) * share + flat for share in shares)), floor


def _entropy(shares: tuple[float, ...]) -> float:
    return -sum(share * log(share) for share in shares if share > 0)


@lru_cache(maxsize=128)
def _answers(config_json: str) -> tuple[tuple[float, ...], float]:
    """Shares of the training answers by class; or, of numbers, their variance. Of sets that are read, all classes are taken to be
    as frequent before the config changes that."""
    config = DataConfig.model_validate_json(config_json)
    try:
        spec = spec_of(config.dataset)
        if spec.generate is not None:
            answers = spec.generate(config).train[1]
            if spec.target == "number":
                return (), float(answers.var())
            return tuple((torch.bincount(answers, minlength=2) / len(answers)).tolist()), 0.0
        classes = len(outline(config).source_classes)
    except DataError:
        return (), 0.0
    if classes < 2:
        return (), 0.0
    kept = [config.imbalance ** (number / (classes - 1)) for number in range(classes)]
    shares = tuple(count / sum(kept) for count in kept)
    if config.task == "is_target":
        yes = shares[config.target] if config.target < classes else 0.5
        return (1 - yes, yes), 0.0
    return shares, 0.0
