"""How unlike its training data a picture is: what tells a digit from a letter, a scribble or a dot, whatever the answer says.

A network answers every picture with one of its classes, often surely. So two other things are asked, and the larger score counts:

    distance  to a near neighbour among some thousands of training images: in ink, the picture as 7×7 means, and in directions,
              how much edge its strokes have in each direction (N. Dalal and B. Triggs: Histograms of Oriented Gradients for
              Human Detection, CVPR 2005)
    judge     a small network beside the model's own, which has learned to tell training images from letters, signs and strokes
              made up for it, by what the model's last linear layer receives and by directions (core.evaluation.ood.classifier)

Distances find what is far from all digits, such as noise, dots and a full canvas; the judge finds 9 of 10 capitals and printed
letters and 7 of 10 joined-up ones (some of which are drawn as a digit is), where distances in pixels and features find 3 to 8.
Directions part letters from digits better than pixels or any network's features.
Where strokes say nothing about the data there is no judge, and a third distance is in features (Y. Sun et al.:
Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022, arXiv:2204.06507). Each score is divided by what nearly all
held-out images stay below. Mahalanobis distances (K. Lee et al., arXiv:1807.03888), the energy and the largest probability
separated letters and dots worse on every network tried, and halves of two digits were no help to the judge;
benchmarks/unlike.py measures it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data import Dataset, Split, normalize
from core.evaluation.ood.classifier import Judge, learn_judge
from core.training.inference import batch_that_fits, private_copy

SHARE = 0.99  # of held-out images that count as familiar
TRAINING, HELD_OUT = 3000, 2000  # images of each that are looked at
MOST_FEATURES = 128  # more are projected at random, which keeps distances to about a tenth (Johnson and Lindenstrauss)
NEIGHBOUR = {"features": 5, "ink": 3, "directions": 3}
FEWEST = 100  # training images, and as many held out, below which nothing is learned from them
SIDES = range(16, 41)  # pixels: in this size strokes are drawn to learn from
BEYOND = 0.998  # of held-out images that stay below the limit of each distance, where there is a judge beside them
# How many times the judge's limit, so that digits of other writers and pens stay below it too. Few images show little of how
# others write. mnist-cnn-fast found 6.7 % of scikit-learn's digits unlike its own without, 2.8 % with it, and 1 to 4 % less of
# the letters; digits-quick found 9 % of clean drawings unlike its own without, 4 % with it, and some 8 % less of the letters
PATIENCE, MORE_PATIENCE, MANY = 1.1, 1.25, 5000
ODD = {"glyphs": 2200, "strokes": 450, "scribbles": 250, "shapes": 100}  # pictures made up
BINS, CELLS = 8, 7  # directions that edges are sorted into, in each of 7×7 parts of the picture
FAINT = 1e-4  # a slope that is rounding, on an even gray
BATCH, FEW = 250, 16
SMALL_BATCH = 64  # for what is computed pixel by pixel: it fits the processor's cache


@dataclass(frozen=True, eq=False)
class OODReference:
    """What a network's training images look like to it.

    images: for each kind of comparison (M, D) float32, a row for each image. limits: what nearly all held-out images stay below,
    SHARE of them in all kinds together and with the judge, so that a score above 1 is unlike. judge: None where strokes say
    nothing about the data: colour, large images, too few of them.
    """

    images: dict[str, Tensor]
    limits: dict[str, float]
    judge: Judge | None = None

    def scores(self, model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        """(N,) float32: 0 is one of the training images, above 1 is unlike them.

        Args:
            images: (N, C, H, W) float32 in [0, 1]. mean, std: what they are normalised with for the model.
        """
        received = features(model, images, mean, std)
        seen = {kind: _view(kind, images, received) for kind in self.limits}
        found = [distances(seen[kind], self.images[kind], NEIGHBOUR.get(kind, 3)) / limit for kind, limit in self.limits.items()]
        if self.judge is not None:
            found.append(self.judge.scores(torch.cat([received, seen["directions"]], 1)))
        return torch.stack(found).amax(0)


def can_have_reference(data: Dataset) -> bool:
    """Whether there is something to compare: pictures with classes, and enough of them."""
    return data.kind == "images" and data.target == "classes" and len(data.train) > 10 and len(data.validation) > 10


def can_be_judged(data: Dataset) -> bool:
    """Whether the data might be strokes, as drawings are: gray, square, of about MNIST's size, and enough of them."""
    channels, height, width = data.input_shape
    return channels == 1 and height == width and height in SIDES and min(len(data.train), len(data.validation)) >= FEWEST


def learn_reference(model: nn.Module, data: Dataset, variations: int = 0, leave_out: Collection[str] = ()) -> OODReference:
    """Look at training images, and at validation images for how far apart such pictures usually are.

    Args:
        model: the trained network.
        data: what it learned from; can_have_reference() must be true.
        variations: how many copies of each training image were made as other hands might have written it; so are copies of the
            validation images then, as copies are further apart.
        leave_out: glyphs that the judge is not to learn from, to measure how it fares with letters it has never seen.
    """
    train, held_out = _some(data.train, TRAINING), _some(data.validation, HELD_OUT)
    if variations:
        from core.data.sources.digits import vary  # here: only varied digits need it

        copies = vary(held_out.mul(255).byte()[:, 0].numpy(), variations)
        held_out = torch.cat([held_out, torch.from_numpy(copies)[:, None].float() / 255])
    received, others = (features(model, images, data.mean, data.std) for images in (train, held_out))
    judged = can_be_judged(data)
    kinds = [kind for kind in NEIGHBOUR if kind != "features" or not judged]  # else the judge sees to them, and better
    seen = {kind: _view(kind, train, received) for kind in kinds}
    usual = {kind: _view(kind, held_out, others) for kind in kinds}
    apart = {kind: distances(usual[kind], seen[kind], NEIGHBOUR[kind]) for kind in kinds}
    share = BEYOND if judged else 1 - (1 - SHARE) / len(kinds)
    limits = {kind: max(float(found.quantile(share)), 1e-6) for kind, found in apart.items()}
    scores = [apart[kind] / limits[kind] for kind in kinds]
    judge = None
    if judged:
        odd = _made_up([*data.source_classes, *data.classes], leave_out, seen["directions"],
                       float(apart["directions"].quantile(0.9)), train.shape[-1])
        evidence = torch.cat([others, usual["directions"]], 1)
        judge = _learn_judge(model, data, torch.cat([received, seen["directions"]], 1), train, odd, evidence)
        scores.append(judge.scores(evidence))
    together = max(float(torch.stack(scores).amax(0).quantile(SHARE)), 1e-6)  # they are not independent: one last step to SHARE
    patience = MORE_PATIENCE if variations or len(data.train) < MANY else PATIENCE
    return OODReference(seen, {kind: limit * together for kind, limit in limits.items()},
                    judge and judge.with_limit(together * patience))


def _made_up(classes: Collection[str], leave_out: Collection[str], seen: Tensor, near: float, size: int) -> Tensor:
    """(N, 1, size, size) pictures to learn from that are none of the classes.

    A glyph is left out if its name looks like a class's. So is one of which half of the drawings are as near to training images
    as held-out images are, nearer than `near` to the directions `seen`: whatever the classes are called, it may be one of them.
    """
    from core.evaluation.ood import synthetic as outliers  # here: only who learns needs them

    random = np.random.default_rng(0)
    names = [name for name in outliers.glyph_names(classes) if name not in leave_out]
    drawn, which = outliers.glyphs(names, ODD["glyphs"], random, size)
    close = (distances(directions(drawn), seen, NEIGHBOUR["directions"]) <= near).float()
    alike = torch.bincount(which, weights=close) / torch.bincount(which).clamp_min(1) >= 0.5
    odd = torch.cat([drawn[~alike[which]], outliers.strokes(ODD["strokes"], random, size),
                     outliers.scribbles(ODD["scribbles"], random, size), outliers.shapes(ODD["shapes"], random, size)])
    return odd[torch.from_numpy(random.permutation(len(odd)))]


def _learn_judge(model: nn.Module, data: Dataset, familiar: Tensor, train: Tensor, odd: Tensor, held_out: Tensor) -> Judge:
    """Between training images and pictures made up, some of each with strokes of other widths and sharpness.

    Args:
        familiar: (M, D) evidence on training images; train: those (M, 1, H, W). odd: (N, 1, H, W). held_out: (V, D) evidence,
            which is features, and directions of strokes.
    """
    from core.evaluation.ood.synthetic import restyled

    def evidence(images: Tensor) -> Tensor:
        return torch.cat([features(model, images, data.mean, data.std), directions(images)], 1)

    if mostly_black(train):
        random = np.random.default_rng(1)
        familiar = torch.cat([familiar, evidence(restyled(train[::2], random))])
        odd = torch.cat([restyled(odd[::3], random), odd[1::3], odd[2::3]])
    return learn_judge(familiar, evidence(odd), held_out, SHARE)


def mostly_black(images: Tensor) -> bool:
    """Whether images (N, C, H, W) float32 are strokes on black, as far as a share of black pixels tells."""
    return float((images < 0.1).float().mean()) > 0.6


def _view(kind: str, images: Tensor, received: Tensor) -> Tensor:
    match kind:
        case "features":
            return F.normalize(received, dim=1)
        case "ink":
            return F.adaptive_avg_pool2d(images, 7).flatten(1)
        case "shape":  # what files of earlier versions compare
            return F.normalize(F.adaptive_avg_pool2d(images, 14).flatten(1), dim=1)
    return directions(images)


def directions(images: Tensor) -> Tensor:
    """(N, BINS · CELLS²) float32 of length 1: how much edge there is in each direction, in each part of images (N, C, H, W).

    A direction counts by how much its slope exceeds three quarters of the steepest one's at that pixel, so one or two do.
    """
    kernel, found = _slopes(BINS), []
    for part in images.mean(1, keepdim=True).split(SMALL_BATCH):
        slopes = F.conv2d(part, kernel, padding=2).relu_()  # (n, BINS, H, W)
        edges = (slopes - 0.75 * slopes.amax(1, keepdim=True) - FAINT).relu_()
        found.append(F.adaptive_avg_pool2d(edges, CELLS).flatten(1))
    return F.normalize(torch.cat(found), dim=1)


def _slopes(bins: int) -> Tensor:
    """(bins, 1, 5, 5) kernels: the slope of a picture smoothed by 3×3 means, in `bins` directions all around."""
    across = torch.zeros(3, 3)
    across[1, 0], across[1, 2] = -1, 1
    angles = (torch.arange(bins) * (2 * pi / bins))[:, None, None]
    slopes = angles.cos() * across + angles.sin() * across.T
    return F.conv2d(F.pad(slopes, (2, 2, 2, 2))[:, None], torch.full((1, 1, 3, 3), 1 / 9))


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
