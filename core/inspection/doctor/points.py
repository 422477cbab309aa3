"""How well the answers of a computed set can be told from its inputs at all: measured on fresh points, without a network.

Nearest neighbours know nothing of shapes: where their majority is no better than guessing, what decides the answer is not among
the inputs. A plane, fitted without training, is what a network without activations can at best draw.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from core.config import DataConfig
from core.data import DataError, spec_of
from core.data.features import as_features
from core.data.sources.generated import Generated

MANY = 1000  # points to measure with, however many the run has
NEIGHBOURS = (1, 5, 15)  # the best of these is taken
NEWTON, DECAY = 12, 0.1


@dataclass(frozen=True)
class Readable:
    """Shares of 500 fresh test points that are told right; of numbers, the share of their variance that is explained.

    guess: by the answer that is most frequent (of numbers 0). neighbours: by neighbours among 1,000 points; own: by the best of
    neighbours and plane with as many points as the run has. plane: by the best plane (straight border) through 1,000 points.
    low, high: the smallest and largest answer.
    """

    guess: float
    neighbours: float
    own: float
    plane: float
    low: float
    high: float

    @property
    def best(self) -> float:
        return max(self.neighbours, self.plane)


def readable(config: DataConfig) -> Readable | None:
    """What a computed set's inputs say about its answers; None for a set that is read, or not known."""
    wanted = DataConfig(dataset=config.dataset, noise=config.noise, features=config.features, points=config.points,
                        imbalance=config.imbalance, split_seed=config.split_seed)
    return _measured(wanted.model_dump_json())


@lru_cache(maxsize=128)
def _measured(config_json: str) -> Readable | None:
    config = DataConfig.model_validate_json(config_json)
    try:
        spec = spec_of(config.dataset)
    except DataError:
        return None
    if spec.generate is None:
        return None
    fresh = spec.generate(config.model_copy(update={"points": MANY}))
    few = spec.generate(config)

    def inputs(points: Tensor) -> Tensor:
        return as_features(points, config.features) if spec.in_plane else points

    test, answers = inputs(fresh.test[0]), fresh.test[1]
    numbers = spec.target == "number"
    if config.imbalance < 1 and not numbers:  # the last class keeps its first points
        kept = few.train[1] == 0
        kept[(~kept).nonzero()[:max(1, round(config.imbalance * int((~kept).sum()))), 0]] = True
        few = Generated((few.train[0][kept], few.train[1][kept]), few.validation, few.test)
    many, own = (inputs(fresh.train[0]), fresh.train[1]), (inputs(few.train[0]), few.train[1])
    guess = 0.0 if numbers else float(torch.bincount(answers).max()) / len(answers)
    plane = _score(_plane(*many, test, numbers), answers, numbers)
    mine = max(_by_neighbours(*own, test, answers, numbers), _score(_plane(*own, test, numbers), answers, numbers))
    return Readable(guess, _by_neighbours(*many, test, answers, numbers), mine, plane, float(answers.min()), float(answers.max()))


def _by_neighbours(points: Tensor, labels: Tensor, test: Tensor, answers: Tensor, numbers: bool) -> float:
    """Of the best number of neighbours. points (N, F) and test (M, F) float, labels (N,) and answers (M,)."""
    nearest = torch.cdist(test, points).topk(min(max(NEIGHBOURS), len(points)), 1, largest=False).indices  # (M, 15)
    means = [labels[nearest[:, :count]].float().mean(1) for count in NEIGHBOURS if count <= len(points)]
    return max(_score(mean if numbers else (mean > 0.5).float(), answers, numbers) for mean in means)


def _plane(points: Tensor, labels: Tensor, test: Tensor, numbers: bool) -> Tensor:
    """(M,): what the best plane through (N, F) points says of (M, F) others: least squares, for classes a logistic regression."""
    ones = torch.ones(len(points), 1)
    inputs, wanted = torch.cat([points, ones], 1).double(), labels.double()[:, None]
    weights = torch.linalg.lstsq(inputs, wanted if numbers else wanted * 2 - 1, driver="gelsd").solution
    for _ in range(0 if numbers else NEWTON):  # logistic regression with a little decay, by iterated least squares
        p = torch.sigmoid(inputs @ weights)
        curvature = inputs.T @ (inputs * (p * (1 - p))) + DECAY * torch.eye(inputs.shape[1], dtype=torch.double)
        weights = weights + torch.linalg.solve(curvature, inputs.T @ (wanted - p) - DECAY * weights)
    said = (torch.cat([test, torch.ones(len(test), 1)], 1).double() @ weights)[:, 0]
    return said.float() if numbers else (said > 0).float()


def _score(said: Tensor, answers: Tensor, numbers: bool) -> float:
    """Share that is right; of numbers 1 − squared error / variance."""
    if not numbers:
        return float((said == answers).float().mean())
    return 1 - float((said - answers).square().mean() / answers.var().clamp(min=1e-12))
