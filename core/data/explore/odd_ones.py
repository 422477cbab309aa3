"""Images that do not look like their class: far from its centre, or among others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.data.dataset import Split
from core.data.explore.pca import pca, some_positions

COMPONENTS = 30  # of PCA: most of what images differ in, without the noise of single pixels
NEIGHBOURS = 10
CHUNK = 100  # images whose distances to all others are in memory at once: 2 MB


@dataclass(frozen=True)
class OddOne:
    """position: in the split. label: what it says it is. score: the larger the odder; `why` says what it counts.

    other: the class most of its neighbours have, or whose centre is nearest.
    """

    position: int
    label: int
    other: int
    score: float
    why: str


def far_from_class(split: Split, classes: tuple[str, ...], count: int = 24, most: int = 5_000) -> list[OddOne]:
    """Images furthest from the mean of their class on the first 30 principal components, in units of the class's own typical
    (root mean square) distance, so that a class which varies much is not all odd. Classes of fewer than two images have none.
    """
    positions, labels, points = _placed(split, most)
    centres, typical = _centres(points, labels, len(classes))
    own = (points - centres[labels]).norm(dim=1)
    score = torch.where(typical[labels] > 0, own / typical[labels], 0.0)
    closest = torch.cdist(points, centres).nan_to_num(nan=float("inf")).argmin(1)
    found = []
    for index in score.argsort(descending=True, stable=True)[:count].tolist():
        if score[index] <= 0:
            break
        label, other = int(labels[index]), int(closest[index])
        near = "" if other == label else f"; nearer to the mean of {classes[other]}"
        found.append(OddOne(int(positions[index]), label, other, float(score[index]),
                            f"{score[index]:.1f} times the usual distance from the mean of {classes[label]}{near}"))
    return found


def among_others(split: Split, classes: tuple[str, ...], count: int = 24, most: int = 5_000,
                 neighbours: int = NEIGHBOURS) -> list[OddOne]:
    """Images most of whose nearest neighbours (on the first 30 principal components) have another label; of equal shares, the one
    with the closest neighbours first, as it is the surest sign.

    An image has as many neighbours as there are others of its class, `neighbours` at most: of three images of a class among
    others, no more than two could ever have its label. Classes of fewer than two images have no odd ones.
    """
    positions, labels, points = _placed(split, most)
    k = min(neighbours, len(points) - 1)
    if k < 1:
        return []
    distances, indices = _nearest(points, k)
    theirs = labels[indices]  # (N, k)
    asked = (torch.bincount(labels)[labels] - 1).clamp(max=k)  # (N,), how many of these count
    counts = torch.arange(k) < asked[:, None]
    strange = (theirs != labels[:, None]) & counts
    amounts, away = strange.sum(1), (torch.where(counts, distances, 0.0).sum(1) / asked.clamp(min=1)).tolist()
    shares = (amounts / asked.clamp(min=1)).tolist()
    order = sorted(range(len(points)), key=lambda i: (-shares[i], away[i]))
    found = []
    for index in order[:count]:
        if shares[index] <= 0.5:
            break
        label, amount, of = int(labels[index]), int(amounts[index]), int(asked[index])
        other = int(torch.bincount(theirs[index][strange[index]]).argmax())
        why = f"{amount} of its {of} nearest neighbours are not {classes[label]}; most are {classes[other]}" if of > 1 else \
            f"its nearest neighbour is not {classes[label]}; it is {classes[other]}"
        found.append(OddOne(int(positions[index]), label, other, shares[index], why))
    return found


def _placed(split: Split, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Positions (N,), labels (N,) and PCA coordinates (N, 30) of the images that are looked at."""
    positions = some_positions(split, most)
    images, labels = split.take(positions)
    return positions, labels, pca(images, COMPONENTS).points


def _centres(points: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Each class's mean (K, 30), NaN without images, and root mean square distance from it (K,)."""
    member = torch.nn.functional.one_hot(labels, classes).float()
    counts = member.sum(0)
    centres = member.T @ points / counts[:, None]
    squares = member.T @ (points - centres[labels]).square().sum(1)
    return centres, (squares / counts).sqrt().nan_to_num()


def _nearest(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances and indices (N, k) of each point's nearest others."""
    found = []
    for start in range(0, len(points), CHUNK):
        distances = torch.cdist(points[start:start + CHUNK], points)
        rows = torch.arange(len(distances))
        distances[rows, start + rows] = float("inf")
        found.append(distances.topk(k, largest=False))
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])
