"""How little of an image has to change before the network says something else.

Steps as in DeepFool (Moosavi-Dezfooli et al., arXiv:1511.04599), each to where the scores, seen as planes, become equal, with
all pixels held in [0, 1]. From the edge that is found, the nearest point of the plane that touches it there is tried again,
as long as that brings the edge closer to the image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.inspection.explain.scores import ClassScores, ExplanationError

STEPS, REFINEMENTS = 50, 12
RIVALS = 10  # how many other answers are tried at once, the likeliest; DeepFool's number
OVERSHOOT = 0.02  # DeepFool's: on the edge itself nothing has flipped
HALVINGS = 14  # the edge on a line, to 1/16,000 of its length


@dataclass(frozen=True)
class SmallestChange:
    """image: (C, H, W) in [0, 1] that was tried last, with another answer if `found`.

    difference: (C, H, W), image minus the original. l2: root of its summed squares; largest: its largest |value|; both in
    units of the pixel range 1. before, after: indices of the answers. steps: how many gradients were taken.
    """

    found: bool
    image: Tensor
    difference: Tensor
    before: int
    after: int
    steps: int

    @property
    def l2(self) -> float:
        return float(self.difference.double().norm())

    @property
    def largest(self) -> float:
        return float(self.difference.abs().max())


def smallest_change(scores: ClassScores, image: Tensor, target: int | None = None, steps: int = STEPS) -> SmallestChange:
    """A small change to `image` (C, H, W) float32 in [0, 1] that gives another answer: any, or the class `target`.

    The smallest that these steps find; there may be a smaller one. Where none is found within `steps`, the last try.

    Raises ExplanationError for a target that is no class or is the answer already.
    """
    start = image.detach().float()
    first = scores.at(start)
    search = _Search(scores, start, first, target)
    position = start
    for _ in range(steps):
        if search.flips(position[None])[0]:
            break
        position = search.greedy_step(position)
        if position is None:
            return search.result(start, False)
    else:
        if not search.flips(position[None])[0]:
            return search.result(position, False)
    edge = search.edge(position)
    for _ in range(REFINEMENTS):
        closer = search.closer(edge)
        if closer is None:
            break
        edge = closer
    return search.result(edge, True)


class _Search:
    """One image, its answer, and the answers that would be another."""

    def __init__(self, scores: ClassScores, start: Tensor, first: Tensor, target: int | None) -> None:
        self.scores, self.start, self.answer, self.target = scores, start, int(first.argmax()), target
        if target is not None and not 0 <= target < len(first):
            raise ExplanationError(f"There is no class {target}; this network has {len(first)}, from 0 on.")
        if target == self.answer:
            raise ExplanationError("That is what it says already; choose another answer.")
        if bool((start < 0).any()) or bool((start > 1).any()):
            raise ExplanationError("Pixels from 0 to 1 are needed.")
        others = [index for index in first.argsort(descending=True).tolist() if index != self.answer]
        self.rivals = [target] if target is not None else others[:RIVALS]
        self.taken = 0

    def flips(self, images: Tensor) -> Tensor:
        """(N,) bool: whether each of (N, C, H, W) has another answer, the wanted one if there is a target."""
        with torch.no_grad():
            said = self.scores(images).argmax(1)
        return said != self.answer if self.target is None else said == self.target

    def gaps(self, position: Tensor, rivals: list[int]) -> tuple[Tensor, Tensor]:
        """Score of the answer minus that of each rival (m,), and their gradients (m, C, H, W)."""
        self.taken += 1
        images = position.expand(len(rivals), *position.shape).clone().requires_grad_()
        scores = self.scores(images)
        gaps = scores[:, self.answer] - scores[range(len(rivals)), rivals]
        return gaps.detach(), torch.autograd.grad(gaps.sum(), images)[0]

    def greedy_step(self, position: Tensor) -> Tensor | None:
        """To the nearest edge as the gradients see it from here; None where they are all zero."""
        gaps, slopes = self.gaps(position, self.rivals)
        lengths = slopes.flatten(1).norm(dim=1)
        usable = (lengths > 0) & torch.isfinite(lengths)
        if not bool(usable.any()):
            return None
        nearest = int(torch.where(usable, gaps.abs() / lengths.clamp_min(1e-30), torch.inf).argmin())
        fall = float(gaps[nearest]) * (1 + OVERSHOOT) + 1e-6 * float(lengths[nearest])
        return (position + step_in_box(position, -slopes[nearest], fall)).clamp(0, 1)

    def edge(self, far: Tensor) -> Tensor:
        """The answer's edge on the line from the image to `far`, which flips: just beyond it."""
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            flipped = bool(self.flips((self.start + middle * (far - self.start))[None])[0])
            low, high = (low, middle) if flipped else (middle, high)
        return self.start + high * (far - self.start)

    def closer(self, edge: Tensor) -> Tensor | None:
        """An edge nearer to the image: the nearest point of the plane that touches this one; None where that is no nearer.

        Source of the step: Hasofer & Lind (1974), Rackwitz & Fiessler (1978), for a box solved by `step_in_box`.
        """
        with torch.no_grad():
            other = int(self.scores(edge[None])[0].argmax())
        gaps, slopes = self.gaps(edge, [other])
        fall = float(gaps[0]) - float((slopes[0] * (edge - self.start)).sum())
        planned = step_in_box(self.start, -slopes[0], fall)
        best = float((edge - self.start).norm())
        for share in (1.0, 0.5, 0.25):  # a curved edge is met earlier on a shorter way
            change = share * planned + (1 - share) * (edge - self.start)
            length = float(change.norm())
            if not 0 < length < best:
                continue
            far = (self.start + change * (best / length)).clamp(0, 1)
            if bool(self.flips(far[None])[0]):
                found = self.edge(far)
                if float((found - self.start).norm()) < best * (1 - 1e-4):
                    return found
        return None

    def result(self, image: Tensor, found: bool) -> SmallestChange:
        after = int(self.scores.at(image).argmax())
        return SmallestChange(found, image, image - self.start, self.answer, after, self.taken)


def step_in_box(position: Tensor, slope: Tensor, rise: float) -> Tensor:
    """The shortest step d with slope·d = rise and 0 ≤ position + d ≤ 1; all that the box allows where that is not enough.

    d = clamp(λ · slope) for the one λ ≥ 0 that fits, found by halving (Lagrange multiplier of a convex problem).
    """
    if rise <= 0 or not bool(slope.any()):
        return torch.zeros_like(position)
    low_end, high_end = -position, 1 - position

    def step(factor: float) -> Tensor:
        return torch.minimum(torch.maximum(factor * slope, low_end), high_end)

    high = rise / float(slope.double().square().sum())
    for _ in range(60):
        if float((slope * step(high)).sum()) >= rise:
            break
        high *= 2
    low = 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if float((slope * step(middle)).sum()) >= rise else (middle, high)
    return step(high)
