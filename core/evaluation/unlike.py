"""How unlike its training data a picture is: what tells a digit from a letter, a scribble or a dot, whatever the answer says.

A network answers every picture with one of its classes, often surely. So pictures are compared with training images instead, in
three ways, each the distance to a near neighbour among some thousands of them:

    features  what the last linear layer receives, brought to length 1, to the 5th nearest: deep nearest neighbours
              (Y. Sun et al.: Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022, arXiv:2204.06507)
    ink       the picture as 7×7 means, to the 3rd nearest: how much ink there is, and roughly where
    shape     the picture as 14×14 means, brought to length 1, to the 3rd nearest: the strokes, however strong

Each is divided by what nearly all held-out images stay below, and the largest counts. Features alone miss dots and boxes, which
excite a network's units as digits do; ink and shape alone miss letters. Mahalanobis distances (K. Lee et al., arXiv:1807.03888),
the energy and the largest probability separated letters and dots worse on every network tried; benchmarks/unlike.py measures it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data import Dataset, Split, normalize
from core.training.inference import batch_that_fits, private_copy

SHARE = 0.99  # of held-out images that count as familiar
TRAINING, HELD_OUT = 4000, 2000  # images of each that are looked at
MOST_FEATURES = 128  # more are projected at random, which keeps distances to about a tenth (Johnson and Lindenstrauss)
NEIGHBOUR = {"features": 5, "ink": 3, "shape": 3}
BATCH, FEW = 250, 16


@dataclass(frozen=True, eq=False)
class Familiar:
    """What a network's training images look like to it.

    images: for each kind of comparison (M, D) float32, a row for each image. limits: what SHARE of held-out images stay below
    in all kinds together, so that a score above 1 is unlike.
    """

    images: dict[str, Tensor]
    limits: dict[str, float]

    def scores(self, model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        """(N,) float32: 0 is one of the training images, above 1 is unlike them.

        Args:
            images: (N, C, H, W) float32 in [0, 1]. mean, std: what they are normalised with for the model.
        """
        seen = views(model, images, mean, std)
        return torch.stack([distances(seen[kind], self.images[kind], NEIGHBOUR[kind]) / self.limits[kind]
                            for kind in NEIGHBOUR]).amax(0)


def can_be_familiar(data: Dataset) -> bool:
    """Whether there is something to compare: pictures with classes, and enough of them."""
    return data.kind == "images" and data.target == "classes" and len(data.train) > 10 and len(data.validation) > 10


def learn_familiar(model: nn.Module, data: Dataset, variations: int = 0) -> Familiar:
    """Look at training images, and at validation images for how far apart such pictures usually are.

    Args:
        model: the trained network.
        data: what it learned from; can_be_familiar() must be true.
        variations: how many copies of each training image were made as other hands might have written it; so are copies of the
            validation images then, as copies are further apart.
    """
    seen = views(model, _some(data.train, TRAINING), data.mean, data.std)
    held_out = _some(data.validation, HELD_OUT)
    if variations:
        from core.data.digits import vary  # scipy and Pillow: only who needs it waits for them

        copies = vary(held_out.mul(255).byte()[:, 0].numpy(), variations)
        held_out = torch.cat([held_out, torch.from_numpy(copies)[:, None].float() / 255])
    others = views(model, held_out, data.mean, data.std)
    apart = {kind: distances(others[kind], seen[kind], nth) for kind, nth in NEIGHBOUR.items()}
    share = 1 - (1 - SHARE) / len(NEIGHBOUR)
    usual = {kind: max(float(found.quantile(share)), 1e-6) for kind, found in apart.items()}
    largest = torch.stack([apart[kind] / usual[kind] for kind in NEIGHBOUR]).amax(0)
    together = max(float(largest.quantile(SHARE)), 1e-6)  # the three are not independent, so one last step to SHARE
    return Familiar(seen, {kind: limit * together for kind, limit in usual.items()})


def views(model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """The three things that are compared, each (N, D) float32 on the CPU."""
    return {"features": F.normalize(features(model, images, mean, std), dim=1),
            "ink": F.adaptive_avg_pool2d(images, 7).flatten(1),
            "shape": F.normalize(F.adaptive_avg_pool2d(images, 14).flatten(1), dim=1)}


def features(model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(N, D) float32: what the last linear layer receives for images (N, C, H, W) float32 in [0, 1]; D at most MOST_FEATURES.

    A network without a linear layer is asked for its outputs.
    """
    network = private_copy(model)  # whoever else asks the same network at this moment must not end up in `kept`
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    at_once = BATCH if len(images) <= FEW else batch_that_fits(network, images[:1].to(device), BATCH)
    kept: list[Tensor] = []
    if linear:
        linear[-1].register_forward_pre_hook(lambda _, given: kept.append(given[0].flatten(1)))
    with torch.inference_mode():
        for batch in images.split(at_once):
            said = network(normalize(batch.to(device), mean, std))
            if not linear:
                kept.append(said.flatten(1))
    found = torch.cat(kept).float().cpu()
    if found.shape[1] <= MOST_FEATURES:
        return found
    random = torch.Generator().manual_seed(0)
    return found @ (torch.randn(found.shape[1], MOST_FEATURES, generator=random) / MOST_FEATURES**0.5)


def distances(rows: Tensor, among: Tensor, nth: int) -> Tensor:
    """(N,) Euclidean distance of each row (N, D) to its nth nearest among (M, D); to the furthest where there are fewer."""
    nth = min(nth, len(among))
    # for few rows without matrix products, which lose half of the digits where rows are alike
    mode = "donot_use_mm_for_euclid_dist" if len(rows) < 8 else "use_mm_for_euclid_dist_if_necessary"
    return torch.cat([torch.cdist(part, among, compute_mode=mode).kthvalue(nth, dim=1).values for part in rows.split(BATCH)])


def _some(split: Split, count: int) -> Tensor:
    """At most `count` images of a split, evenly spread, float32 in [0, 1]."""
    positions = torch.linspace(0, len(split) - 1, min(count, len(split))).round().long()
    return split.take(positions)[0].float().div_(255)
