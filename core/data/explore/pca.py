"""Images as points in a plane: principal components, and which images are taken."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.data.dataset import Split

MOST_POINTS = 5_000  # on a map
MOST_FEATURES = 3_072  # 3×32×32; larger images are shrunk by averaging blocks of pixels first
EXACT = 1_024  # images or features: up to here eigenvectors are computed directly
EXTRA, STEPS, SETTLED = 14, 60, 1e-7  # of subspace iteration: directions beside those wanted, steps at most, change of variance


@dataclass(frozen=True)
class Pca:
    """Principal components of images.

    points: (N, k) float32, each image's coordinates. directions: (F, k). centre: (F,), the mean image.
    explained: (k,) float64, each component's share of the total variance; zeros where all images are equal.
    shrunk: by how much each side was divided before.
    """

    points: Tensor
    directions: Tensor
    centre: Tensor
    explained: Tensor
    shrunk: int

    def place(self, images: Tensor) -> Tensor:
        """(n, C, H, W) uint8 → (n, k): where other images are on this map."""
        return (features(images, self.shrunk) - self.centre) @ self.directions


def some_positions(split: Split, most: int = MOST_POINTS, seed: int = 0) -> Tensor:
    """Positions of at most `most` images of the split, drawn evenly, ascending."""
    if len(split) <= most:
        return torch.arange(len(split))
    drawn = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:most]
    return drawn.sort().values


def features(images: Tensor, shrunk: int = 1) -> Tensor:
    """(N, C, H, W) uint8 → (N, C·(H/s)·(W/s)) float32 in [0, 1]; s = shrunk."""
    pixels = images.float().div_(255)
    return (F.avg_pool2d(pixels, shrunk) if shrunk > 1 else pixels).flatten(1)


def shrink_for(shape: tuple[int, ...]) -> int:
    """The smallest divisor of the sides with which an image (C, H, W) has at most MOST_FEATURES numbers."""
    channels, height, width = shape
    return next(s for s in range(1, max(height, width) + 1) if channels * (height // s) * (width // s) <= MOST_FEATURES)


def pca(images: Tensor, components: int = 2) -> Pca:
    """Principal component analysis: the directions in pixel space along which the images differ most.

    Exact (eigenvectors of the covariance, or of the images' inner products where there are fewer images than pixels) up to EXACT
    of either; beyond, subspace iteration until the variance along each direction has settled (Halko, Martinsson and Tropp,
    arXiv:0909.4061, algorithm 4.4). Signs are such that the largest weight of each direction is positive.

    images: (N, C, H, W) uint8. Components beyond min(N, F) are zero.
    """
    shrunk = shrink_for(tuple(images.shape[1:]))
    rows = features(images, shrunk)  # (N, F)
    centre = rows.mean(0)
    rows -= centre
    kept = min(components, *rows.shape)
    directions = _directions(rows, kept)
    largest = directions.abs().argmax(0)
    directions = directions * directions[largest, torch.arange(kept)].sign()
    directions = F.pad(directions, (0, components - kept))
    points = rows @ directions
    total = rows.square().sum(dtype=torch.float64)
    explained = points.double().square().sum(0) / total if total > 0 else torch.zeros(components, dtype=torch.float64)
    return Pca(points, directions, centre, explained, shrunk)


def _directions(rows: Tensor, count: int) -> Tensor:
    """(F, count): unit vectors of largest variance, largest first. rows: (N, F), centred."""
    images, numbers = rows.shape
    if numbers <= EXACT:
        return torch.linalg.eigh((rows.T @ rows).double()).eigenvectors[:, -count:].flip(1).float()
    if images <= EXACT:
        found = torch.linalg.eigh((rows @ rows.T).double())
        sizes = found.eigenvalues[-count:].flip(0).clamp_min(1e-12).sqrt()
        return (rows.T.double() @ found.eigenvectors[:, -count:].flip(1) / sizes).float()
    return leading_directions(rows, count)


def leading_directions(rows: Tensor, count: int) -> Tensor:
    """(F, count): about the unit vectors of largest variance of rows (N, F), centred, by subspace iteration."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(rows.shape[1], count + EXTRA, generator=generator)).Q
    before = torch.zeros(count)
    for _ in range(STEPS):
        basis, upper = torch.linalg.qr(rows.T @ (rows @ basis))
        sizes = upper.diagonal().abs()[:count]
        if bool(((sizes - before).abs() <= SETTLED * sizes.max()).all()):
            break
        before = sizes
    small = rows @ basis  # (N, count + EXTRA): the problem within the subspace is solved exactly
    turned = torch.linalg.eigh((small.T @ small).double()).eigenvectors[:, -count:].flip(1).float()
    return basis @ turned
