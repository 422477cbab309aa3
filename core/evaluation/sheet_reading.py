"""Which way up a sheet is: a network is surer of digits that stand upright."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 8  # marks below which nothing is said: a 6 upside down is a 9
# How many standard errors surer the answers must be, on average, when the marks are turned. Of sheets that stand upright none of
# 30 marks reaches 1 for half a turn, and of those upside down 97 to 100 %; a quarter of a turn changes more than the digits.
CLEARLY = (0.0, 3.0, 1.0, 3.0)


@dataclass(frozen=True)
class Turn:
    """A sheet that seems to be turned.

    quarters: by how many times 90° clockwise it is to be turned. sure: the answers' mean probability as it lies, and turned so.
    """

    quarters: int
    sure: tuple[float, float]


def seems_turned(images: Tensor, ask: Callable[[Tensor], Tensor]) -> Turn | None:
    """Whether a sheet's marks (N, 1, 28, 28) float32 in [0, 1] stand on their heads or lie on a side; None where they don't.

    Every mark is asked about four times; the logarithms of the answers' probabilities are compared mark by mark, as a paired
    t-test does.
    """
    if len(images) < FEWEST:
        return None
    turned = torch.cat([torch.rot90(images, -quarters, (2, 3)) for quarters in range(4)])
    sure = ask(turned).max(dim=1).values.reshape(4, len(images)).double()
    logs = sure.clamp_min(1e-12).log()
    best = int(logs.mean(dim=1).argmax())
    if best == 0:
        return None
    more = logs[best] - logs[0]
    if float(more.mean()) < CLEARLY[best] * float(more.std()) / math.sqrt(len(images)):
        return None
    return Turn(best, (float(sure[0].mean()), float(sure[best].mean())))
