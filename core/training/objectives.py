"""Losses: what the network's outputs mean for each, how wrong they are, and which answer they give."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from core.config import TrainingConfig
from core.fields import ConfigError


@dataclass(frozen=True)
class Objective:
    """One entry of OBJECTIVES. `logits` are (N, outputs) float, `labels` (N,) int64.

    outputs: width of the last layer for a number of classes.
    loss: mean over examples, a scalar.
    predict: the class of each example, (N,) int64.
    probabilities: (N, classes), rows sum to 1.
    """

    title: str
    outputs: Callable[[int], int]
    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]
    probabilities: Callable[[Tensor], Tensor]


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy on logits: one output is one yes-no question, several are one question for each class.

    log(1 + e^z) − y·z, as torch.nn.BCEWithLogitsLoss computes it without overflow.
    """
    targets = labels.unsqueeze(1) if logits.shape[1] == 1 else F.one_hot(labels, logits.shape[1])
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))


def binary_predict(logits: Tensor) -> Tensor:
    """Yes where the logit is above 0, which is probability 0.5; with several outputs, the largest."""
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(1)


def binary_probabilities(logits: Tensor) -> Tensor:
    """(no, yes) for one output. Several yes-no answers need not sum to 1, so they are divided by their sum."""
    if logits.shape[1] == 1:
        yes = torch.sigmoid(logits)
        return torch.cat([1 - yes, yes], dim=1)
    # softmax(log σ(z)) = σ(z) / Σ σ(z), also where every σ(z) is too small for a float
    return F.logsigmoid(logits).softmax(1)


def squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean squared difference between probabilities and a one-hot answer; for one output, between yes and 0 or 1."""
    if logits.shape[1] == 1:
        return F.mse_loss(torch.sigmoid(logits[:, 0]), labels.to(logits.dtype))
    return F.mse_loss(logits.softmax(1), F.one_hot(labels, logits.shape[1]).to(logits.dtype))


def binary_cross_entropy_on_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """The sigmoid first and torch.nn.BCELoss on what comes out: the same value as on logits until the sigmoid is 0 or 1."""
    targets = labels.unsqueeze(1) if logits.shape[1] == 1 else F.one_hot(labels, logits.shape[1])
    return F.binary_cross_entropy(torch.sigmoid(logits), targets.to(logits.dtype))


# From so many rows on their log-softmax is faster beside each other than one after the other: for 10 classes and 64, 256, 5,000
# examples 3, 4 and 52 µs instead of 7, 26 and 500 (2 cores with AVX-512, one thread)
ROWS_ABREAST = 64


def log_probabilities(logits: Tensor) -> Tensor:
    """log softmax of each row, (N, K)."""
    return logits.t().log_softmax(0).t() if len(logits) >= ROWS_ABREAST else logits.log_softmax(1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log p of the right class, mean over examples, as torch.nn.CrossEntropyLoss has it."""
    if logits.requires_grad:  # autograd's way back is one operation there
        return F.cross_entropy(logits, labels)
    return F.nll_loss(log_probabilities(logits), labels)


# What a number to predict is measured with; the output is the number itself, and no sigmoid goes before
NUMBER = Objective(
    title="Mean squared error",
    outputs=lambda classes: 1,
    loss=lambda outputs, numbers: F.mse_loss(outputs[:, 0], numbers),
    predict=lambda outputs: outputs[:, 0],
    probabilities=lambda outputs: outputs,
)


def objective_of(training: TrainingConfig, target: str = "classes") -> Objective:
    """The config's loss, with its label smoothing; for a target of "number" the squared difference.

    Raises:
        ConfigError: a number is to be predicted with a loss for classes.
    """
    if target == "number":
        if training.loss != "mse":
            raise ConfigError(f"training.loss is {training.loss}; numbers are predicted with mse")
        return NUMBER
    objective = OBJECTIVES[training.loss]
    if training.loss != "cross_entropy" or not training.label_smoothing:
        return objective
    return replace(objective, loss=partial(F.cross_entropy, label_smoothing=training.label_smoothing))


OBJECTIVES: dict[str, Objective] = {
    "cross_entropy": Objective(
        title="Cross-entropy",
        outputs=lambda classes: classes,
        loss=cross_entropy,
        predict=lambda logits: logits.argmax(1),
        probabilities=lambda logits: logits.softmax(1),
    ),
    "bce_with_logits": Objective(
        title="Binary cross-entropy with logits",
        outputs=lambda classes: 1 if classes == 2 else classes,
        loss=binary_cross_entropy,
        predict=binary_predict,
        probabilities=binary_probabilities,
    ),
    "nll": Objective(
        title="Negative log-likelihood, after a log-softmax",
        outputs=lambda classes: classes,
        loss=lambda logits, labels: F.nll_loss(logits.log_softmax(1), labels),
        predict=lambda logits: logits.argmax(1),
        probabilities=lambda logits: logits.softmax(1),
    ),
    "bce": Objective(
        title="Binary cross-entropy, after a sigmoid",
        outputs=lambda classes: 1 if classes == 2 else classes,
        loss=binary_cross_entropy_on_probabilities,
        predict=binary_predict,
        probabilities=binary_probabilities,
    ),
    "mse": Objective(
        title="Mean squared error of the probabilities",
        outputs=lambda classes: 1 if classes == 2 else classes,
        loss=squared_error,
        predict=binary_predict,
        probabilities=lambda logits: binary_probabilities(logits) if logits.shape[1] == 1 else logits.softmax(1),
    ),
}
