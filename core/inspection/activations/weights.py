"""A network's weights: filters, histograms, a table of parameters, spectral norms, and units that never fire."""

from collections import Counter
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from core.data import normalize
from core.hooks import watched
from core.layers.trace import Shape, untouched

FIRST_VALUES = 5
DEAD_BATCH = 256  # images at once: a few hundred MB for the networks of this project
EXACT_SIDE = 1024  # up to this many rows or columns all singular values are computed
LANCZOS_STEPS = 80
RELUS = (nn.ReLU, nn.ReLU6)


@dataclass(frozen=True)
class ParameterRow:
    """One entry of model.named_parameters(). Statistics are over all its values; std is the population's."""

    name: str
    shape: Shape
    count: int
    trainable: bool
    first_values: tuple[float, ...]
    mean: float
    std: float
    norm: float  # Euclidean: √Σw²
    largest: float  # max |w|


@dataclass(frozen=True)
class Histogram:
    """edges: (bins + 1,) ascending; counts: (bins,). not_finite: values that are infinite or NaN and in no bin."""

    edges: np.ndarray
    counts: np.ndarray
    not_finite: int


@dataclass(frozen=True)
class SpectralNorm:
    """The largest factor by which a layer's weight, as a matrix, stretches a vector. exact: False for an estimate."""

    name: str
    matrix: tuple[int, int]
    norm: float
    exact: bool


@dataclass(frozen=True)
class DeadUnits:
    """The units of one ReLU that were 0 for every image. A unit is a feature, or a whole map after a convolution."""

    name: str  # dotted path; "relu (call 2)" where one module is used several times
    units: int
    dead: tuple[int, ...]
    images: int


def parameter_table(model: nn.Module) -> list[ParameterRow]:
    """A row for each named parameter, in the order of model.named_parameters()."""
    rows = []
    for name, parameter in model.named_parameters():
        values = parameter.detach().float().cpu()
        std, mean = torch.std_mean(values, correction=0)
        rows.append(ParameterRow(
            name, tuple(parameter.shape), parameter.numel(), parameter.requires_grad,
            tuple(values.flatten()[:FIRST_VALUES].tolist()), float(mean), float(std), float(values.norm()),
            float(values.abs().max()) if values.numel() else 0.0))
    return rows


def histogram(values: Tensor, bins: int = 40) -> Histogram:
    """How often which value occurs. A constant has one bin."""
    numbers = values.detach().float().flatten().cpu()
    finite = numbers[numbers.isfinite()].numpy()
    constant = not len(finite) or finite.min() == finite.max()
    counts, edges = np.histogram(finite, bins=1 if constant else bins)
    return Histogram(edges, counts, len(numbers) - len(finite))


def filters(module: nn.Conv2d) -> Tensor:
    """A convolution's filters, (out, in / groups, kh, kw) float32 on the CPU."""
    return module.weight.detach().float().cpu()


def templates(module: nn.Linear, shape: Shape) -> Tensor | None:
    """A linear layer's weights as pictures (out, C, H, W): what each unit looks for, where its input is a flattened picture.

    shape: (C, H, W) of what was flattened. None where it does not fit the layer.
    """
    if len(shape) != 3 or prod(shape) != module.in_features:
        return None
    return module.weight.detach().float().cpu().reshape(-1, *shape)


def spectral_norms(model: nn.Module) -> list[SpectralNorm]:
    """For every parameter of two or more dimensions.

    A convolution's weight (out, in, kh, kw) is taken as the matrix (out, in·kh·kw), as torch.nn.utils.spectral_norm does.
    That is not the factor by which the whole convolution stretches a picture, which is at most √(kh·kw) times as much for
    stride 1 (Tsuzuku et al., arXiv:1802.04034).
    """
    return [spectral_norm(name, parameter) for name, parameter in model.named_parameters() if parameter.dim() >= 2]


def spectral_norm(name: str, weight: Tensor) -> SpectralNorm:
    """The largest singular value of `weight` as the matrix (first dimension, all others); NaN if it has such values.

    Exact where one side has at most 1,024 entries. Otherwise up to 80 steps of Lanczos' method on WᵀW (Golub & Van Loan, Matrix
    Computations, section 10.1) from a fixed start: an estimate from below, within 0.2 % on random and low-rank matrices.
    """
    matrix = weight.detach().float().cpu().flatten(1)
    rows, columns = matrix.shape
    if not matrix.numel() or not bool(matrix.isfinite().all()):
        return SpectralNorm(name, (rows, columns), float("nan") if matrix.numel() else 0.0, True)
    if min(rows, columns) <= EXACT_SIDE:
        small = matrix if rows <= columns else matrix.T
        gram = (small.double() @ small.double().T)  # its largest eigenvalue is the largest singular value squared
        return SpectralNorm(name, (rows, columns), float(torch.linalg.eigvalsh(gram)[-1].clamp(min=0).sqrt()), True)
    return SpectralNorm(name, (rows, columns), _lanczos(matrix), False)


def _lanczos(matrix: Tensor) -> float:
    """√ of the largest eigenvalue of MᵀM in a Krylov space; every new direction is made orthogonal to all before."""
    direction = torch.randn(matrix.shape[1], generator=torch.Generator().manual_seed(0))
    basis: list[Tensor] = [direction / direction.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    found = 0.0
    for step in range(1, min(LANCZOS_STEPS, min(matrix.shape)) + 1):
        image = matrix.T @ (matrix @ basis[-1])
        diagonal.append(float(image @ basis[-1]))
        known = torch.stack(basis)
        image = image - known.T @ (known @ image)
        image = image - known.T @ (known @ image)  # twice is enough in float32
        size = float(image.norm())
        if step % 10 == 0 or size <= 1e-6 * max(diagonal):
            off = np.array(beside)
            before, found = found, float(np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))[-1])
            if found - before <= 1e-4 * found or size <= 1e-6 * max(diagonal):
                break  # settled, or the space is complete
        beside.append(size)
        basis.append(image / size)
    return max(0.0, found) ** 0.5


def dead_units(model: nn.Module, images: Tensor, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()) -> list[DeadUnits]:
    """For each ReLU in order of execution, which units were never above 0 on these images.

    After a convolution a unit is a whole map: dead where all its pixels are 0 on all images. Only ReLU layers (nn.ReLU,
    nn.ReLU6) are seen, not torch.relu called inside forward. The model is left as it was, as after walk().

    Args:
        images: (N, C, H, W), uint8 or float in [0, 1]; mean and std as for walk().

    Raises:
        ValueError: there are no images.
    """
    if not len(images):
        raise ValueError("there are no images to try the units on")
    watch = _Watch()
    like = next((t for t in model.parameters() if t.is_floating_point()), torch.zeros(0))
    with untouched(model), torch.no_grad(), watched(model, RELUS, watch.note):
        for piece in images.split(DEAD_BATCH):
            scaled = piece.float() / 255 if piece.dtype == torch.uint8 else piece
            inputs = normalize(piece, mean, std) if mean else scaled
            watch.calls = Counter()
            model(inputs.to(like.device, like.dtype))
    return [DeadUnits(name, len(active), tuple((~active).nonzero()[:, 0].tolist()), len(images))
            for name, active in watch.active.items()]


class _Watch:
    """Which units of which ReLU call were ever above 0."""

    def __init__(self) -> None:
        self.active: dict[str, Tensor] = {}  # (units,) bool
        self.calls: Counter[str] = Counter()  # by path, in the forward pass that is going on

    def note(self, path: str, module: nn.Module, output: Tensor) -> None:
        self.calls[path] += 1
        name = path or type(module).__name__
        if self.calls[path] > 1:
            name = f"{name} (call {self.calls[path]})"
        # (N, units, h, w) after a convolution, (N, …, units) otherwise
        units = output.transpose(0, 1).flatten(1) if output.dim() == 4 else output.flatten(0, -2).T
        active = (units > 0).any(1).cpu()
        self.active[name] = active | self.active.get(name, torch.zeros_like(active))
