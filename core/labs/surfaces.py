"""Landscapes for the optimizer race: four formulas, and a slice through a real network's loss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.data.sources.digits import bitmap_counts
from core.labs.spline import Bicubic, lowest

Points = np.ndarray  # (N, 2) float64


@dataclass(frozen=True)
class Surface:
    """A loss of two numbers x and y.

    value: (N, 2) → (N,); gradient: (N, 2) → (N, 2), both float64.
    x, y: the part that is drawn, (low, high). rates: learning rates that suit it, for SGD's family and the adaptive.
    minima: the best points, each (x, y); lowest: the value there.
    bounded: whether the surface is known only inside x and y, so that a path ends at the edge.
    code: its formula in PyTorch, as the body of loss(x, y); "" where it takes more than a formula.
    """

    title: str
    about: str
    formula: str
    x: tuple[float, float]
    y: tuple[float, float]
    start: tuple[float, float]
    rates: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    lowest: float
    value: Callable[[Points], np.ndarray]
    gradient: Callable[[Points], Points]
    code: str = ""
    bounded: bool = False

    def grid(self, points: int = 81) -> "Grid":
        """Values on an even grid of the drawn part, for a picture."""
        x, y = np.linspace(*self.x, points), np.linspace(*self.y, points)
        across, up = np.meshgrid(x, y)
        return Grid(x, y, self.value(np.stack([across.ravel(), up.ravel()], axis=1)).reshape(points, points))


@dataclass(frozen=True)
class Grid:
    """loss[j, i] is the value at (x[i], y[j])."""

    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray


def _columns(points: Points) -> tuple[np.ndarray, np.ndarray]:
    return points[:, 0], points[:, 1]


def _bowl(points: Points) -> np.ndarray:
    x, y = _columns(points)
    return 0.5 * (x**2 + y**2)


def _ravine(points: Points) -> np.ndarray:
    x, y = _columns(points)
    return 0.5 * (x**2 + 25 * y**2)


def _ravine_gradient(points: Points) -> Points:
    return points * np.array([1.0, 25.0])


def _saddle(points: Points) -> np.ndarray:
    x, y = _columns(points)
    return 0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4


def _saddle_gradient(points: Points) -> Points:
    x, y = _columns(points)
    return np.stack([x, y**3 - y], axis=1)


def _rosenbrock(points: Points) -> np.ndarray:
    x, y = _columns(points)
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _rosenbrock_gradient(points: Points) -> Points:
    x, y = _columns(points)
    return np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], axis=1)


# --- a real network's loss

IMAGES = 500  # of scikit-learn's digits; the slice is through their mean loss
HIDDEN = 16
REACH = 2.0  # how far the slice goes each way, in lengths of the trained weights
GRID = 41  # measured points each way


class DigitsNetwork(nn.Sequential):
    """64-16-10 with tanh for scikit-learn's 8×8 digits, float64, from a fixed seed."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(64, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10))
        generator = torch.Generator().manual_seed(0)
        self.double()
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) / 8)


def trained_digits(steps: int = 150) -> "Slice":
    """Train the network on IMAGES digits and choose two directions through its weights.

    The directions are random, each neuron's part scaled to the length of that neuron's weights, biases left alone:
    the filter normalisation of Li et al., Visualizing the loss landscape of neural nets, arXiv:1712.09913, section 4.
    """
    counts, targets = bitmap_counts()
    images = torch.from_numpy(counts[:IMAGES].reshape(-1, 64) / 16.0)  # (N, 64) float64 in [0, 1]
    labels = torch.from_numpy(targets[:IMAGES])  # (N,)
    model = DigitsNetwork()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    center = [weight.detach().clone() for weight in model.parameters()]
    generator = torch.Generator().manual_seed(1)
    directions = tuple([_direction(weight, generator) for weight in center] for _ in range(2))
    return Slice(images, labels, center, directions[0], directions[1])


def _direction(weight: Tensor, generator: torch.Generator) -> Tensor:
    if weight.dim() < 2:
        return torch.zeros_like(weight)
    random = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return random * weight.norm(dim=1, keepdim=True) / random.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class Slice:
    """The plane center + x · across + y · up through a network's weights; each a list as model.parameters() gives them."""

    images: Tensor
    labels: Tensor
    center: list[Tensor]
    across: list[Tensor]
    up: list[Tensor]

    def loss(self, points: Points) -> np.ndarray:
        """(N, 2) → (N,): the real mean cross-entropy of the network with the weights at each point."""
        x, y = (torch.from_numpy(column.copy())[:, None, None] for column in _columns(points))
        w1, b1, w2, b2 = (c + x * a + y * u if c.dim() == 2 else c for c, a, u in
                          zip(self.center, self.across, self.up, strict=True))
        with torch.no_grad():
            hidden = torch.tanh(self.images @ w1.transpose(1, 2) + b1)  # (N, images, 16)
            logits = hidden @ w2.transpose(1, 2) + b2  # (N, images, 10)
            right = logits.gather(2, self.labels[None, :, None].expand(len(logits), -1, 1))[..., 0]
            return (logits.logsumexp(2) - right).mean(1).numpy()


def network_slice() -> Surface:
    """The loss of a trained digits network along two directions, measured on a grid, between its points a bicubic spline.

    Takes about a second: keep the result.
    """
    plane = trained_digits()
    ticks = np.linspace(-REACH, REACH, GRID)
    rows = [plane.loss(np.stack([ticks, np.full(GRID, y)], axis=1)) for y in ticks]
    spline = Bicubic(ticks, np.array(rows).T)  # first axis x
    best = lowest(spline, (0.0, 0.0))
    return Surface(
        "A real network's loss", "A 64-16-10 network was trained on 500 of scikit-learn's digits. The centre is where it "
        "ended; the axes are two random directions through its 1,210 weights and biases, so this is a flat cut through a space "
        "nobody can draw. The loss was measured at 41 × 41 points, with a smooth (bicubic) surface between them.",
        r"L(\theta + x\,d_1 + y\,d_2)", (-REACH, REACH), (-REACH, REACH), (-1.6, 1.5), (0.05, 0.05),
        (best,), float(spline(np.array([best]))[0]), spline, spline.gradient, bounded=True)


SURFACES: dict[str, Callable[[], Surface]] = {
    "bowl": lambda: Surface(
        "Bowl", "Equally steep in all directions: every optimizer finds the bottom if its steps are small enough.",
        r"\tfrac12 x^2 + \tfrac12 y^2", (-2.5, 2.5), (-2.5, 2.5), (-2.0, 1.5), (0.03, 0.1), ((0.0, 0.0),), 0.0, _bowl,
        lambda points: points, "0.5 * x**2 + 0.5 * y**2"),
    "ravine": lambda: Surface(
        "Ravine", "25 times steeper across than along. What is safe across is slow along.",
        r"\tfrac12 x^2 + \tfrac{25}{2} y^2", (-2.5, 2.5), (-2.5, 2.5), (-2.0, 1.5), (0.03, 0.1), ((0.0, 0.0),), 0.0, _ravine,
        _ravine_gradient, "0.5 * x**2 + 12.5 * y**2"),
    "saddle": lambda: Surface(
        "Saddle", "Flat at (0, 0), downhill from there only along y, to minima at (0, 1) and (0, −1). "
        "The start lies almost on the ridge.",
        r"\tfrac12 x^2 - \tfrac12 y^2 + \tfrac14 y^4", (-2.5, 2.5), (-2.0, 2.0), (-2.0, 0.01), (0.03, 0.1),
        ((0.0, 1.0), (0.0, -1.0)), -0.25, _saddle, _saddle_gradient, "0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4"),
    "rosenbrock": lambda: Surface(
        "Rosenbrock's valley", "A curved valley with steep walls and an almost flat floor that leads to (1, 1). "
        "Getting in is easy, getting along is not.",
        r"(1 - x)^2 + 100\,(y - x^2)^2", (-2.0, 2.0), (-1.0, 3.0), (-1.5, 2.0), (0.0005, 0.1), ((1.0, 1.0),), 0.0, _rosenbrock,
        _rosenbrock_gradient, "(1 - x)**2 + 100 * (y - x**2)**2"),
    "network": network_slice,
}
