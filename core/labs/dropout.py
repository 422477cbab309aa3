"""Dropout: what one draw leaves of a row of numbers, and what many draws give on average."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROW = tuple(map(float, range(1, 9)))  # what comes into the layer: eight numbers whose mean, 4.5, is easy to follow
DRAWS = 10_000


@dataclass(frozen=True)
class Draw:
    """One pass of ROW through nn.Dropout in training mode.

    before, after: (8,) float32. kept: (8,) bool. factor: 1 / (1 − p), what the kept numbers are multiplied by.
    evaluated: (8,) what comes out in evaluation mode.
    """

    before: Tensor
    kept: Tensor
    after: Tensor
    evaluated: Tensor
    factor: float


@dataclass(frozen=True)
class Averages:
    """Means over DRAWS draws and all numbers of the row.

    before: of the row itself. scaled: as nn.Dropout does it. plain: with the dropped numbers at 0 and the others as they are.
    """

    before: float
    scaled: float
    plain: float


def draw(p: float, seed: int = 0) -> Draw:
    """One draw; PyTorch's global random state is left as it was. p: share of the numbers that is dropped, 0 to below 1."""
    row = torch.tensor(ROW)
    layer = nn.Dropout(p)
    after = _seeded(layer.train(), row, seed)
    return Draw(row, after != 0, after, layer.eval()(row), 1 / (1 - p))


def averages(p: float, seed: int = 0) -> Averages:
    """What many draws give on average."""
    rows = torch.tensor(ROW).expand(DRAWS, -1)
    after = _seeded(nn.Dropout(p).train(), rows, seed)
    return Averages(float(rows.mean()), float(after.mean()), float((rows * (after != 0)).mean()))


def _seeded(layer: nn.Module, values: Tensor, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return layer(values)


CODE = '''import torch
from torch import nn

torch.manual_seed({seed})
row = torch.tensor({row})
dropout = nn.Dropout({p})

dropout.train()
after = dropout(row)
print("training:  ", after)
print("factor:    ", 1 / (1 - {p}))  # what is kept is multiplied by it
by_hand = row * (after != 0) / (1 - {p})
print("by hand:   ", by_hand)

dropout.eval()
evaluated = dropout(row)
print("evaluation:", evaluated)  # as it came in: nothing has to be scaled here

dropout.train()
many = dropout(row.expand({draws}, -1))
print(f"mean of the row {{row.mean():.3f}}, over {draws:,} draws {{many.mean():.3f}}")
'''


def dropout_code(p: float, seed: int = 0) -> str:
    """A script that shows the same in plain PyTorch."""
    return CODE.format(seed=seed, row=list(ROW), p=float(p), draws=DRAWS)
