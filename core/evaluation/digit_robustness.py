"""One picture changed in two ways at once, by every pair of strengths: where a model's answer holds, and where it tips over."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.evaluation.corruptions import CORRUPTIONS, corrupt


@dataclass(frozen=True)
class Sweep:
    """One entry of SWEEPS: two kinds of CORRUPTIONS with their strengths. down is applied first."""

    title: str
    down: str
    down_strengths: tuple[float, ...]
    across: str
    across_strengths: tuple[float, ...]

    def axis(self, kind: str) -> str:
        """What an axis is called, with its unit."""
        entry = CORRUPTIONS[kind]
        return f"{entry.title} ({entry.unit})"


@dataclass(frozen=True, eq=False)
class Map:
    """What a model says of every changed picture. (R, C): rows by down_strengths, columns by across_strengths.

    said: int64 classes. probability: float32, of the class that the unchanged picture gets, which is `usual`.
    """

    sweep: Sweep
    said: Tensor
    probability: Tensor
    usual: int

    @property
    def holds(self) -> float:
        """Share of the changed pictures that still get the same answer, 0 to 1."""
        return float((self.said == self.usual).float().mean())


SWEEPS: dict[str, Sweep] = {
    "place": Sweep("Shift and rotation", "rotation", (60, 45, 30, 15, 0, -15, -30, -45, -60),
                   "shift_right", (-8, -6, -4, -2, 0, 2, 4, 6, 8)),
    "pen": Sweep("Scale and stroke thickness", "thickness", (2.0, 1.5, 1.0, 0.5, 0, -0.5, -1.0),
                 "scale", (0.4, 0.55, 0.7, 0.85, 1.0, 1.15, 1.3, 1.45)),
}


def changed(image: Tensor, sweep: Sweep) -> Tensor:
    """(C, H, W) float32 in [0, 1] → (R · C, C, H, W): every pair of strengths, row after row."""
    rows = [corrupt(image[None], sweep.down, float(strength)) for strength in sweep.down_strengths]
    columns = [corrupt(torch.cat(rows), sweep.across, float(strength)) for strength in sweep.across_strengths]
    return torch.stack(columns, dim=1).flatten(0, 1)


def robustness_map(ask: Callable[[Tensor], Tensor], image: Tensor, sweep: Sweep) -> Map:
    """A model's answers to all changed pictures, asked at once.

    Args:
        ask: (N, C, H, W) float32 in [0, 1] → (N, K) probabilities.
        image: (C, H, W) float32 in [0, 1].
    """
    probabilities = ask(torch.cat([image[None], changed(image, sweep)]))
    usual = int(probabilities[0].argmax())
    shape = len(sweep.down_strengths), len(sweep.across_strengths)
    return Map(sweep, probabilities[1:].argmax(1).view(shape), probabilities[1:, usual].reshape(shape), usual)
