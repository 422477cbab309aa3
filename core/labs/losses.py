"""Losses: each as a surface over prediction and label, the curve and slope at one label, and why logits beat probabilities."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LOGITS = (-200.0, -100.0, -50.0, -20.0, -5.0, 0.0, 5.0, 20.0, 50.0, 100.0, 200.0)
EDGE = 1e-3  # how near to 0 and 1 a probability's axis goes


@dataclass(frozen=True)
class Loss:
    """One loss of a single example.

    value: (prediction, label, delta) → loss, elementwise on (N,) tensors, by torch's own function.
    across, up: what the two axes are called; x, y: their ranges. whole: whether labels are only the two ends of y.
    code: how PyTorch computes it for tensors called prediction and label, with {delta}. formula: LaTeX.
    """

    title: str
    about: str
    formula: str
    value: Callable[[Tensor, Tensor, float], Tensor]
    code: str
    across: str
    up: str
    x: tuple[float, float]
    y: tuple[float, float]
    y_start: float


def _classes(logits: list[Tensor], target: int) -> Tensor:
    """Cross-entropy of one example's logits, elementwise over many: each (N,) → (N,)."""
    stacked = torch.stack(logits, dim=-1)
    return F.cross_entropy(stacked, torch.full((len(stacked),), target), reduction="none")


def _nll(prediction: Tensor, label: Tensor, delta: float) -> Tensor:
    log_p = F.log_softmax(torch.stack([prediction, label], dim=-1), dim=-1)
    return F.nll_loss(log_p, torch.zeros(len(log_p), dtype=torch.long), reduction="none")


BCE_FORMULA = r"-\big(y \log p + (1 - y) \log(1 - p)\big)"

LOSSES: dict[str, Loss] = {
    "bce_with_logits": Loss(
        "BCE with logits", "Binary cross-entropy for a yes-or-no answer, from the raw number (logit) z. The sigmoid happens "
        "inside, so that nothing overflows. Wrong and sure costs about |z|: the further, the more.",
        BCE_FORMULA + r",\quad p = \sigma(z)",
        lambda z, y, delta: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
        "F.binary_cross_entropy_with_logits(prediction, label)", "logit z", "label y", (-6.0, 6.0), (0.0, 1.0), 1.0),
    "bce": Loss(
        "BCE from a probability", "The same from a probability p that has been through a sigmoid already. The surer it is of the "
        "wrong answer, the steeper the slope, without end.", BCE_FORMULA,
        lambda p, y, delta: F.binary_cross_entropy(p, y, reduction="none"),
        "F.binary_cross_entropy(prediction, label)", "probability p", "label y", (EDGE, 1 - EDGE), (0.0, 1.0), 1.0),
    "cross_entropy_2": Loss(
        "Cross-entropy, 2 classes", "From one logit for each class; class 0 is the right one. Only the difference counts: along "
        "the diagonal nothing changes.", r"-\log \frac{e^{z_0}}{e^{z_0} + e^{z_1}}",
        lambda a, b, delta: _classes([a, b], 0), "F.cross_entropy(torch.stack([prediction, label])[None], torch.tensor([0]))",
        "logit of class 0 (right)", "logit of class 1 (wrong)", (-6.0, 6.0), (-6.0, 6.0), 0.0),
    "cross_entropy_3": Loss(
        "Cross-entropy, 3 classes", "The same with a third class whose logit stays at 0. Raising the right one pays less the "
        "further it is ahead.", r"-\log \frac{e^{z_0}}{e^{z_0} + e^{z_1} + e^{0}}",
        lambda a, b, delta: _classes([a, b, torch.zeros_like(a)], 0),
        "F.cross_entropy(torch.stack([prediction, label, torch.zeros(())])[None], torch.tensor([0]))",
        "logit of class 0 (right)", "logit of class 1 (wrong)", (-6.0, 6.0), (-6.0, 6.0), 0.0),
    "nll": Loss(
        "Negative log-likelihood", "Cross-entropy's second half: it takes log-probabilities, so log_softmax must come first. "
        "Given anything else it returns a number without complaint, even a negative one.",
        r"-\log p_0,\quad \log p = \text{log\_softmax}(z)", _nll,
        "F.nll_loss(F.log_softmax(torch.stack([prediction, label])[None], dim=1), torch.tensor([0]))",
        "logit of class 0 (right)", "logit of class 1 (wrong)", (-6.0, 6.0), (-6.0, 6.0), 0.0),
    "mse": Loss(
        "Mean squared error", "For numbers. Twice as wrong costs four times as much, so one wild example can pull the most.",
        r"(\hat y - y)^2", lambda x, y, delta: F.mse_loss(x, y, reduction="none"), "F.mse_loss(prediction, label)",
        "prediction ŷ", "target y", (-4.0, 4.0), (-4.0, 4.0), 1.0),
    "l1": Loss(
        "L1 (absolute error)", "For numbers. The pull is the same however far off, so wild examples count no more than "
        "others; at the target there is a corner.", r"|\hat y - y|", lambda x, y, delta: F.l1_loss(x, y, reduction="none"),
        "F.l1_loss(prediction, label)", "prediction ŷ", "target y", (-4.0, 4.0), (-4.0, 4.0), 1.0),
    "huber": Loss(
        "Huber", "Squared near the target, straight further out than δ: no corner, and no wild pull.",
        r"\tfrac12 d^2 \text{ if } |d| < \delta \text{ else } \delta\,(|d| - \tfrac12\delta),\quad d = \hat y - y",
        lambda x, y, delta: F.huber_loss(x, y, reduction="none", delta=delta),
        "F.huber_loss(prediction, label, delta={delta})", "prediction ŷ", "target y", (-4.0, 4.0), (-4.0, 4.0), 1.0),
}


@dataclass(frozen=True)
class LossSurface:
    """loss[j, i] at prediction x[i] and label y[j]."""

    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class LossCurve:
    """Loss and its derivative by the prediction, at each x for one label; all (N,) float64."""

    x: np.ndarray
    loss: np.ndarray
    slope: np.ndarray


def loss_surface(name: str, delta: float = 1.0, points: int = 41) -> LossSurface:
    """A loss over prediction and label. Raises KeyError for an unknown name."""
    entry = LOSSES[name]
    x = torch.linspace(*entry.x, points, dtype=torch.float64)
    y = torch.linspace(*entry.y, points, dtype=torch.float64)
    up, across = torch.meshgrid(y, x, indexing="ij")
    loss = entry.value(across.flatten(), up.flatten(), delta).reshape(points, points)
    return LossSurface(x.numpy(), y.numpy(), loss.numpy())


def loss_curve(name: str, label: float, delta: float = 1.0, points: int = 241) -> LossCurve:
    """A loss along the prediction at one label, and its slope by autograd. Raises KeyError for an unknown name."""
    return _curve(name, torch.linspace(*LOSSES[name].x, points, dtype=torch.float64), label, delta)


def loss_at(name: str, prediction: float, label: float, delta: float = 1.0) -> LossCurve:
    """The same at one prediction; arrays of length 1."""
    return _curve(name, torch.tensor([prediction], dtype=torch.float64), label, delta)


def _curve(name: str, x: Tensor, label: float, delta: float) -> LossCurve:
    x.requires_grad_(True)
    loss = LOSSES[name].value(x, torch.full_like(x, label), delta)
    (slope,) = torch.autograd.grad(loss.sum(), x)
    return LossCurve(x.detach().numpy(), loss.detach().numpy(), slope.numpy())


# --- the formula, right and wrong

@dataclass(frozen=True)
class Formula:
    """Binary cross-entropy of a "yes" (y = 1) over p: as it is, and with (1 + y) where (1 − y) belongs.

    best_right, best_wrong: the p that each calls best.
    """

    p: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    best_right: float
    best_wrong: float


def formula_check(points: int = 999) -> Formula:
    """Both formulas for y = 1. The wrong one is −log p − 2·log(1 − p), whose slope is zero at p = 1/3."""
    p = np.linspace(EDGE, 1 - EDGE, points)
    right, wrong = -np.log(p), -(np.log(p) + 2 * np.log(1 - p))
    return Formula(p, right, wrong, float(p[right.argmin()]), 1 / 3)


# --- why logits

@dataclass(frozen=True)
class LogitRow:
    """One logit in float32, three ways to the same loss, and the gradient each sends back.

    by_hand: log of a sigmoid, as the formula is written. from_probability: binary_cross_entropy after sigmoid.
    from_logit: binary_cross_entropy_with_logits. exact: the loss in float64. The gradients are by the logit.
    """

    logit: float
    probability: float
    by_hand: float
    from_probability: float
    from_logit: float
    exact: float
    gradient_by_hand: float
    gradient_from_probability: float
    gradient_from_logit: float


def logit_rows(label: int, logits: tuple[float, ...] = LOGITS) -> list[LogitRow]:
    """What float32 makes of the loss at each logit, for label 0 or 1."""
    z = torch.tensor(logits, requires_grad=True)
    y = torch.full_like(z, float(label))
    p = torch.sigmoid(z)
    ways = [-torch.log(p) if label else -torch.log(1 - p), F.binary_cross_entropy(p, y, reduction="none"),
            F.binary_cross_entropy_with_logits(z, y, reduction="none")]
    gradients = [torch.autograd.grad(way.sum(), z, retain_graph=True)[0].tolist() for way in ways]
    exact = F.binary_cross_entropy_with_logits(z.detach().double(), y.double(), reduction="none")
    columns = [z.tolist(), p.tolist(), *(way.tolist() for way in ways), exact.tolist(), *gradients]
    return [LogitRow(*row) for row in zip(*columns, strict=True)]


CODE = '''import torch
from torch.nn import functional as F

prediction = torch.tensor({prediction}, requires_grad=True)
label = torch.tensor({label})
loss = {loss}
loss.backward()
print(f"loss {{loss.item():.4f}}, slope {{prediction.grad.item():.4f}}")

# Why logits: sure, wrong, and in float32
logit, label = torch.tensor({logit}, requires_grad=True), torch.tensor(1.0)
by_hand = -torch.log(torch.sigmoid(logit))
from_probability = F.binary_cross_entropy(torch.sigmoid(logit), label)
from_logit = F.binary_cross_entropy_with_logits(logit, label)
for name, loss in (("by hand", by_hand), ("BCE", from_probability), ("BCE with logits", from_logit)):
    (gradient,) = torch.autograd.grad(loss, logit)
    print(f"{{name}}: loss {{loss.item():.4f}}, gradient {{gradient.item():.4f}}")
'''


def loss_code(name: str, prediction: float, label: float, delta: float = 1.0, logit: float = -200.0) -> str:
    """A script that computes the page's numbers with plain PyTorch."""
    return CODE.format(prediction=float(prediction), label=float(label), loss=LOSSES[name].code.format(delta=float(delta)),
                       logit=float(logit))
