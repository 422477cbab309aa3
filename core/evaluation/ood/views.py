"""What pictures are compared in, to tell how unlike training images one is: ink, directions of edges, a network's features."""

from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data import normalize
from core.training.inference import batch_that_fits, private_copy

MOST_FEATURES = 128  # more are projected at random, which keeps distances to about a tenth (Johnson and Lindenstrauss)
AGREE = 3  # the nth nearest training image of the class that was answered, and of other classes, are compared …
AGREE_IN = ("features", "directions")  # … in these
BINS, CELLS = 8, 7  # directions that edges are sorted into, in each of 7×7 parts of the picture
FAINT = 1e-4  # a slope that is rounding, on an even gray
BATCH, FEW = 250, 16
SMALL_BATCH = 64 * 28 * 28  # pixels, for what is computed pixel by pixel: they fit the processor's cache


def view(kind: str, images: Tensor, received: Tensor) -> Tensor:
    """Rows (N, D) of one kind, of images (N, C, H, W) float32 in [0, 1] and what the last linear layer received for them."""
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
    for part in images.mean(1, keepdim=True).split(max(1, SMALL_BATCH // (images.shape[2] * images.shape[3]))):
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
    return features_and_answers(model, images, mean, std)[0]


def features_and_answers(model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
                         ) -> tuple[Tensor, Tensor]:
    """features(), and the class (N,) that the model says: of one output, whether it is above 0."""
    network = private_copy(model)  # whoever else asks the same network at this moment must not end up in `kept`
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    at_once = BATCH if len(images) <= FEW else batch_that_fits(network, images[:1].to(device), BATCH)
    kept: list[Tensor] = []
    answers: list[Tensor] = []
    if linear:
        linear[-1].register_forward_pre_hook(lambda _, given: kept.append(given[0].flatten(1)))
    with torch.inference_mode():
        for batch in images.split(at_once):
            said = network(normalize(batch.to(device), mean, std))
            said = said.flatten(1)
            answers.append(said.argmax(1) if said.shape[1] > 1 else (said[:, 0] > 0).long())
            if not linear:
                kept.append(said)
    found, answered = torch.cat(kept).float().cpu(), torch.cat(answers).cpu()
    if found.shape[1] <= MOST_FEATURES:
        return found, answered
    random = torch.Generator().manual_seed(0)
    return found @ (torch.randn(found.shape[1], MOST_FEATURES, generator=random) / MOST_FEATURES**0.5), answered


def disagreement(seen: dict[str, Tensor], among: dict[str, Tensor], answers: Tensor, labels: Tensor) -> Tensor:
    """(N,) how many times as far as other classes' training images those of the class that was answered are.

    The geometric mean over features and directions of the ratio of both AGREEth nearest ones: below 1 they agree.

    Args:
        seen: rows (N, D) of each kind. among: rows (M, D) of the training images. answers: (N,). labels: (M,), of each class
            at least AGREE.
    """
    found = torch.ones(len(answers))
    for kind in AGREE_IN:
        ratios = []
        for rows, said in zip(seen[kind].split(BATCH), answers.split(BATCH), strict=True):
            apart, same = torch.cdist(rows, among[kind]), labels == said[:, None]
            own, other = (apart.masked_fill(out, torch.inf).kthvalue(AGREE, dim=1).values for out in (~same, same))
            ratios.append(own / other.clamp_min(1e-6))
        found = found * torch.cat(ratios)
    return found.sqrt()


def distances(rows: Tensor, among: Tensor, nth: int) -> Tensor:
    """(N,) Euclidean distance of each row (N, D) to its nth nearest among (M, D); to the furthest where there are fewer."""
    nth = min(nth, len(among))
    # for few rows without matrix products, which lose half of the digits where rows are alike
    mode = "donot_use_mm_for_euclid_dist" if len(rows) < 8 else "use_mm_for_euclid_dist_if_necessary"
    return torch.cat([torch.cdist(part, among, compute_mode=mode).kthvalue(nth, dim=1).values for part in rows.split(BATCH)])
