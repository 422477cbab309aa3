"""The training images that are most alike to the network itself: nearest in what its last layer gets to see."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data import normalize
from core.data.dataset import Split
from core.hooks import watched
from core.inspection.explain.scores import ExplanationError
from core.training.inference import batch_that_fits, private_copy

MOST_IMAGES = 10_000
MOST_BYTES = 24 * 2**20  # of features; fewer images are compared where each has many
BATCH = 250

Measure = Literal["cosine", "distance"]


@dataclass(frozen=True)
class Features:
    """What the last linear layer receives for some images of a split.

    values: (n, F) float32; positions: (n,) int64 in the split; layer: dotted path; available: how many the split has.
    """

    values: Tensor
    positions: Tensor
    labels: Tensor
    layer: str
    available: int


@dataclass(frozen=True)
class Nearest:
    """The most alike first. positions in the split, closeness: (k,), cosine from −1 to 1 or distance from 0; labels: (k,)."""

    positions: Tensor
    closeness: Tensor
    labels: Tensor


class LastLinear:
    """A network that can be asked what its last linear layer receives. Works on a copy: the network is left alone."""

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], input_shape: tuple[int, ...]) -> None:
        self.network, self.mean, self.std = private_copy(model), mean, std
        self.received: Tensor | None = None
        self.layer = ""
        called: list[str] = []
        with watched(self.network, nn.Linear, lambda name, module, output: called.append(name)):
            self._run(torch.zeros(1, *input_shape))
        if not called:
            raise ExplanationError("This network has no linear layer, so there is no row of features before the answer to "
                                   "compare images by.")
        self.layer = called[-1]
        self.network.get_submodule(self.layer).register_forward_pre_hook(self._keep)

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W), uint8 or float in [0, 1] → (N, F) float32."""
        self._run(images)
        assert self.received is not None
        values, self.received = self.received.flatten(1).float(), None
        return values

    def of_split(self, split: Split, most: int = MOST_IMAGES) -> Features:
        """Features of at most `most` images of a split, evenly spread over it and as many as fit into 24 MB."""
        one = split.take(torch.zeros(1, dtype=torch.int64))[0]
        width = self.features(one).shape[1]
        at_once = batch_that_fits(self.network, normalize(one, self.mean, self.std), BATCH)
        count = max(1, min(most, len(split), MOST_BYTES // (4 * width)))
        positions = torch.linspace(0, len(split) - 1, count).round().long() if count > 1 else torch.zeros(1, dtype=torch.int64)
        values = torch.empty(count, width)
        labels = torch.empty(count, dtype=split.labels.dtype)
        for places in torch.arange(count).split(at_once):
            images, labels[places] = split.take(positions[places])
            values[places] = self.features(images)
        return Features(values, positions, labels, self.layer, len(split))

    def _run(self, images: Tensor) -> None:
        with torch.no_grad():
            self.network(normalize(images, self.mean, self.std))

    def _keep(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.received = inputs[0].detach().clone()  # what comes after may change it in place


def nearest_in_features(features: Features, wanted: Tensor, count: int, measure: Measure = "cosine") -> Nearest:
    """The `count` images whose features (F,) are closest to `wanted`; of equally close ones the first.

    cosine: of the angle between the two rows, so that only the pattern counts. distance: Euclidean. A row of zeros has the
    cosine 0 with everything.
    """
    if measure == "cosine":
        closeness = F.normalize(features.values, dim=1) @ F.normalize(wanted, dim=0)
    else:
        closeness = (features.values - wanted).square().sum(1).sqrt()
    order = torch.argsort(closeness, stable=True, descending=measure == "cosine")[:count]
    return Nearest(features.positions[order], closeness[order], features.labels[order])
