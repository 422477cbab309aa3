"""A small network that has learned to tell a model's training images from pictures made up to be unlike them.

Outlier exposure (D. Hendrycks et al., ICLR 2019, arXiv:1812.04606) without touching the model: the judge gets what the model's
last linear layer receives and the directions of the strokes, and learns from training images on one side, and letters, signs
and strokes without a plan (core.evaluation.ood.synthetic) on the other. What it says is only a score; its limit comes from
held-out images, so whatever it has learned, nearly all pictures like the training images stay below.
"""

from dataclasses import dataclass, fields, replace
from math import cos, pi

import torch
from torch import Tensor
from torch.nn import functional as F

from core.pieces import Pieces

HIDDEN = 96
EPOCHS = 10
BATCH = 128
RATE, DECAY, DROPOUT = 3e-3, 0.05, 0.3
STEPS_PER_PIECE = 16  # after so many the learning can be given up (core.pieces)
FURTHEST = 6.0  # standard deviations: no single input says more than that


@dataclass(frozen=True, eq=False)
class Judge:
    """One hidden layer of ReLU. All float32: centre, spread (D,); hidden (HIDDEN, D), hidden_bias, output (HIDDEN,).

    scale: (2,) what it says of the usual held-out image, and the limit that nearly all of them stay below.
    """

    centre: Tensor
    spread: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    output: Tensor
    scale: Tensor

    def says(self, rows: Tensor) -> Tensor:
        """(N,) log-odds (up to a constant) that rows (N, D) are of a picture made up, not of one like the training images."""
        return F.relu(_standard(rows, self.centre, self.spread) @ self.hidden.T + self.hidden_bias) @ self.output

    def scores(self, rows: Tensor) -> Tensor:
        """(N,) 0 as usual or less, 1 at the limit."""
        usual, limit = self.scale.tolist()
        return ((self.says(rows) - usual) / (limit - usual)).clamp_min(0)

    def with_limit(self, times: float) -> "Judge":
        """The same with a limit so many times as far from the usual."""
        usual, limit = self.scale.tolist()
        return replace(self, scale=torch.tensor([usual, usual + times * (limit - usual)]))

    def tensors(self) -> dict[str, Tensor]:
        """By field's name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> "Judge | None":
        """From tensors(); None where there are none. Raises ValueError for values that can't be a judge."""
        if not tensors:
            return None
        judge = Judge(**{field.name: tensors[field.name].float() for field in fields(Judge)})
        width = judge.hidden.shape[-1]
        shapes = [judge.centre.shape == (width,), judge.spread.shape == (width,), judge.hidden.shape == (HIDDEN, width),
                  judge.hidden_bias.shape == (HIDDEN,), judge.output.shape == (HIDDEN,), judge.scale.shape == (2,)]
        if not all(shapes) or not all(bool(torch.isfinite(values).all()) for values in judge.tensors().values()):
            raise ValueError("the judge's weights are damaged")
        if not (judge.scale[0] < judge.scale[1] and bool((judge.spread > 0).all())):
            raise ValueError("the judge's scale is damaged")
        return judge


def learn_judge(familiar: Tensor, odd: Tensor, usual: Tensor, limit: float, seed: int = 0) -> Pieces[Judge]:
    """Learn to tell rows (N, D) of training images from rows (M, D) of odd pictures; both sides count the same.

    Args:
        usual: (V, D) rows of held-out images. limit: what share of them is to stay below the limit.

    Draws from a generator of its own, so that nothing else that is random changes.
    """
    random = torch.Generator().manual_seed(seed)
    rows = torch.cat([familiar, odd])
    answers = torch.cat([torch.zeros(len(familiar)), torch.ones(len(odd))])
    counts = torch.where(answers > 0, len(familiar) / len(odd), 1.0)
    centre, spread = rows.mean(0), rows.std(0) + 0.05 * float(rows.std(0).mean()) + 1e-6
    rows.sub_(centre).div_(spread).clamp_(-FURTHEST, FURTHEST)  # as _standard(), without two more copies of it
    hidden = torch.randn(HIDDEN, rows.shape[1], generator=random) * (1 / rows.shape[1])**0.5
    bias, output = torch.zeros(HIDDEN), torch.randn(HIDDEN, generator=random) * (1 / HIDDEN)**0.5
    weights = [weight.requires_grad_() for weight in (hidden, bias, output)]
    yield from _descend(weights, rows, answers, counts, random)
    hidden, bias, output = (weight.detach() for weight in weights)
    judge = Judge(centre, spread, hidden, bias, output, torch.tensor([0.0, 1.0]))
    said = judge.says(usual)
    middle = float(said.median())
    scale = torch.tensor([middle, max(float(said.quantile(limit)), middle + 1e-3)])
    return Judge(centre, spread, hidden, bias, output, scale)


def _descend(weights: list[Tensor], rows: Tensor, answers: Tensor, counts: Tensor, random: torch.Generator) -> Pieces[None]:
    """Adam with decoupled weight decay and a rate that falls as a half cosine.

    Written out, as torch.optim imports its compiler on first use: 5 s and 70 MB in a server that trains nothing else.
    """
    hidden, bias, output = weights
    means, squares = [torch.zeros_like(w) for w in weights], [torch.zeros_like(w) for w in weights]
    steps, step = EPOCHS * -(-len(rows) // BATCH), 0
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(rows), generator=random).split(BATCH):
            if step % STEPS_PER_PIECE == 0:
                yield
            with torch.enable_grad():  # not around the pieces, or it would hold for whoever iterates
                excited = F.relu(rows[batch] @ hidden.T + bias)
                kept = (torch.rand(excited.shape, generator=random) >= DROPOUT) / (1 - DROPOUT)
                loss = F.binary_cross_entropy_with_logits((excited * kept) @ output, answers[batch], weight=counts[batch])
                slopes = torch.autograd.grad(loss, weights)
            rate = RATE * min(1, 10 * (step + 1) / steps) * 0.5 * (1 + cos(pi * step / steps))
            step += 1
            with torch.no_grad():
                for weight, slope, mean, square in zip(weights, slopes, means, squares, strict=True):
                    mean.lerp_(slope, 0.1)
                    square.mul_(0.999).addcmul_(slope, slope, value=0.001)
                    size = (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
                    weight.mul_(1 - rate * DECAY).addcdiv_(mean, size, value=-rate / (1 - 0.9**step))


def _standard(rows: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    return ((rows - centre) / spread).clamp(-FURTHEST, FURTHEST)
