"""The lab on linear regression: every step of full-batch gradient descent, the surface it walks on, and the answer by algebra.

With the mean squared error over all samples the loss is a bowl, L(θ) = ½ θᵀHθ − cᵀθ + mean(y²), where a row of A is (x₁, x₂, 1),
H = 2/N·AᵀA, c = 2/N·Aᵀy and θ = (w₁, w₂, b). Gradient descent is θ ← θ − η·(Hθ − c): in the direction of an eigenvector of H the
distance from the lowest point is multiplied by 1 − η·λ at each step, so it shrinks as long as η < 2/λmax.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from torch import nn

from core.config import RunConfig, SGDConfig
from core.data import Dataset
from core.data.sources.generated import TRUE_BIAS, TRUE_WEIGHTS
from core.fields import ConfigError
from core.training import build_for

TRUE = (*TRUE_WEIGHTS, TRUE_BIAS)
NAMES = ("w₁", "w₂", "b")
FAR = 1e6  # beyond this distance from the best answer a path is called diverged and ends


@dataclass(frozen=True)
class Bowl:
    """The loss of a data set as a function of (w₁, w₂, b).

    hessian (3, 3), linear (3,): H and c above. constant: mean(y²). best: (3,) where the gradient is zero, by least squares.
    eigenvalues: of H, ascending: how steep the bowl is along its axes.
    """

    hessian: np.ndarray
    linear: np.ndarray
    constant: float
    best: np.ndarray
    eigenvalues: np.ndarray

    @property
    def limit(self) -> float:
        """2/λmax: with a learning rate above it, gradient descent moves away from the lowest point."""
        return float(2 / self.eigenvalues[-1])

    @property
    def fastest(self) -> float:
        """2/(λmin + λmax): the learning rate whose slowest direction is fastest."""
        return float(2 / (self.eigenvalues[0] + self.eigenvalues[-1]))

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """Mean squared error at (…, 3) → (…)."""
        return 0.5 * np.einsum("...i,ij,...j->...", theta, self.hessian, theta) - theta @ self.linear + self.constant

    def shrink(self, rate: float) -> float:
        """The factor of the slowest direction at each step: max |1 − η·λ|. From 1 on nothing is learned."""
        return float(np.abs(1 - rate * self.eigenvalues).max())


@dataclass(frozen=True)
class Path:
    """Where gradient descent went. points: (T + 1, 3), from the start on; losses: (T + 1,), before each step and at the end.
    diverged: it ended early, farther than FAR from the best answer."""

    points: np.ndarray
    losses: np.ndarray
    diverged: bool


def samples(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The training samples: x (N, 2) and y (N,), float64."""
    train = data.train
    return train.images[train.rows].double().numpy(), train.labels[train.rows].double().numpy()


def bowl(x: np.ndarray, y: np.ndarray) -> Bowl:
    """The loss over samples x (N, 2), y (N,); the best answer by NumPy's least squares (lstsq)."""
    rows = np.column_stack([x, np.ones(len(x))])
    hessian = 2 / len(x) * rows.T @ rows
    return Bowl(hessian, 2 / len(x) * rows.T @ y, float((y * y).mean()), np.linalg.lstsq(rows, y, rcond=None)[0],
                np.linalg.eigvalsh(hessian))


def start_of(config: RunConfig, data: Dataset) -> np.ndarray:
    """(w₁, w₂, b) as the run's network starts, from its seed."""
    model = build_for(config, data)
    assert isinstance(model, nn.Sequential)
    linear = model[-1]
    assert isinstance(linear, nn.Linear)
    return np.array([*linear.weight[0].tolist(), linear.bias.item()])


def descend(surface: Bowl, start: np.ndarray, rate: float, steps: int) -> Path:
    """Full-batch gradient descent; a run with plain SGD and one batch for all samples takes the same steps in float32."""
    points = np.empty((steps + 1, 3))
    points[0] = theta = start
    for step in range(1, steps + 1):
        theta = theta - rate * (surface.hessian @ theta - surface.linear)
        points[step] = theta
        if abs(theta - surface.best).max() > FAR:
            points = points[:step + 1]
            break
    return Path(points, surface.loss(points), len(points) <= steps)


def steps_until_close(path: Path, distance: float = 0.05, goal: tuple[float, ...] = TRUE) -> int | None:
    """The first step from which on every number stays within `distance` of `goal`; None where it never does."""
    far = np.abs(path.points - np.array(goal)).max(1) > distance
    if far[-1]:
        return None
    return int(far.nonzero()[0].max(initial=-1)) + 1


def halving(surface: Bowl, rate: float) -> float | None:
    """Steps in which the slowest direction halves its distance; None where it does not shrink."""
    factor = surface.shrink(rate)
    return None if factor >= 1 else log(0.5) / log(max(factor, 1e-12))


@dataclass(frozen=True)
class Ground:
    """The loss over w₁ and w₂ for one b. loss[i, j] is at w2[i], w1[j]."""

    w1: np.ndarray
    w2: np.ndarray
    loss: np.ndarray
    bias: float


def ground(surface: Bowl, path: Path, bias: float, size: int = 60) -> Ground:
    """A square that holds the best answer, the true one and the path as far as it stays within 8 of the best."""
    near = path.points[np.abs(path.points - surface.best).max(1) < 8][:, :2]
    inside = np.vstack([near, surface.best[None, :2], [TRUE[:2]]])
    low, high = inside.min(0), inside.max(0)
    middle, reach = (low + high) / 2, max(0.75, 0.65 * float((high - low).max()))
    w1, w2 = (np.linspace(at - reach, at + reach, size) for at in middle)
    theta = np.stack([*np.meshgrid(w1, w2), np.full((size, size), bias)], axis=-1)
    return Ground(w1, w2, surface.loss(theta), bias)


def configured(preset: RunConfig, rate: float, steps: int, points: int, noise: float, seed: int) -> RunConfig:
    """The preset with the lab's settings: all samples in one batch. Raises ConfigError."""
    if not isinstance(preset.training.optimizer, SGDConfig):
        raise ConfigError("training.optimizer.name: the path of the lab is plain SGD's")
    return preset.with_values({
        "data.points": points, "data.noise": noise, "training.batch_size": points, "training.epochs": steps,
        "training.optimizer.learning_rate": rate, "training.seed": seed})


def regression_code(config: RunConfig) -> str:
    """Plain PyTorch for the same data, first weights and steps; runs alone."""
    return CODE.format(points=config.data.points, noise=config.data.noise, data_seed=config.data.split_seed,
                       seed=config.training.seed, rate=config.training.optimizer.learning_rate, steps=config.training.epochs,
                       every=max(1, config.training.epochs // 10))


CODE = '''import torch
from torch import nn

torch.manual_seed({data_seed})
x = torch.randn({points}, 2)  # {points} samples of two numbers
# what is to be found: 2, 3 and 4
y = x @ torch.tensor([2.0, 3.0]) + 4 + {noise} * torch.randn({points})

torch.manual_seed({seed})
model = nn.Linear(2, 1)  # prediction = w1 * x1 + w2 * x2 + b
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr={rate})

for step in range(1, {steps} + 1):
    prediction = model(x).squeeze(1)  # from ({points}, 1) to ({points},), the shape of y
    loss = criterion(prediction, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % {every} == 0:
        w1, w2 = model.weight[0].tolist()
        print(f"{{step:5}}: loss {{loss.item():.5f}}, {{w1:.4f}}, {{w2:.4f}} and {{model.bias.item():.4f}}")

# the same without any training: least squares
rows = torch.cat([x, torch.ones({points}, 1)], dim=1)  # ({points}, 3), a column of ones for b
best = torch.linalg.lstsq(rows, y.unsqueeze(1)).solution[:, 0]
hessian = 2 / len(x) * rows.T @ rows
print("least squares:", best.tolist())
print("limit of the learning rate:", 2 / torch.linalg.eigvalsh(hessian).max().item())
'''
