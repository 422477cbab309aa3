"""Which pixels a score depends on, asked in four ways. The arithmetic is Captum's; its import takes a second, so it is inside.

All take one image (C, H, W) float32 in [0, 1] and a class's index, and speak of the class's score before softmax or sigmoid.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.hooks import watched
from core.inspection.explain.scores import ClassScores, ExplanationError

STEPS = 32  # of integrated gradients
MOST_PATCHES = 1024  # how often occlusion may ask the network; a finer stride than that is not taken
AT_ONCE = 32  # images in one call: 32 of 28×28 at 32 channels are 3 MB
SHORTCUTS = {"skip", "downsample"}  # what small_resnet and torchvision call the way around a block; the block itself says more
ENOUGH = 4  # maps of fewer pixels to a side say little about where


@dataclass(frozen=True)
class Attribution:
    """values: (C, H, W) float32, what each pixel has to do with the score; `map` is the same without channels."""

    values: Tensor

    @property
    def map(self) -> Tensor:
        """(H, W), summed over the channels."""
        return self.values.sum(0)


@dataclass(frozen=True)
class Saliency(Attribution):
    """|∂ score / ∂ pixel|"""

    @property
    def map(self) -> Tensor:
        """(H, W), the largest of the channels, as Simonyan et al. draw it."""
        return self.values.amax(0)


@dataclass(frozen=True)
class IntegratedGradients(Attribution):
    """score, baseline_score: of the image and of the plain one that it is compared with.
    error: the sum of all values minus the difference of the two scores; 0 with endlessly many steps."""

    score: float
    baseline_score: float
    error: float
    steps: int


@dataclass(frozen=True)
class GradCam(Attribution):
    """values: (1, H, W), 0 or more, enlarged from `maps` (h, w) at the layer."""

    layer: str
    maps: Tensor


@dataclass(frozen=True)
class Occlusion(Attribution):
    """How far the score falls where a patch covers the pixel, as a mean over the patches. asked: how many patches."""

    patch: int
    stride: int
    asked: int


@dataclass(frozen=True)
class ConvLayer:
    """A convolution that Grad-CAM can look at. name: dotted path; shape: (maps, h, w)."""

    name: str
    shape: tuple[int, ...]


def saliency(scores: ClassScores, image: Tensor, label: int) -> Saliency:
    """The size of the gradient (Simonyan et al., arXiv:1312.6034)."""
    from captum.attr import Saliency as Method
    _check(scores, image, label)
    return Saliency(Method(scores).attribute(_leaf(image), target=label)[0].detach())


def integrated_gradients(scores: ClassScores, image: Tensor, label: int, steps: int = STEPS,
                         baseline: float = 0.0) -> IntegratedGradients:
    """Gradients added up on the way from a plain image to this one, times the way (Sundararajan et al., arXiv:1703.01365).

    baseline: the plain image's pixels, 0 (black) to 1 (white).
    """
    from captum.attr import IntegratedGradients as Method
    _check(scores, image, label)
    plain = torch.full_like(image, baseline)
    values = Method(scores).attribute(_leaf(image), _batch(plain), target=label, n_steps=steps, internal_batch_size=AT_ONCE)
    values = values[0].detach().float()
    score, before = float(scores.at(image)[label]), float(scores.at(plain)[label])
    return IntegratedGradients(values, score, before, float(values.double().sum()) - (score - before), steps)


def conv_layers(scores: ClassScores, input_shape: tuple[int, ...]) -> list[ConvLayer]:
    """The convolutions in order of execution whose maps have more than one pixel."""
    found: list[ConvLayer] = []

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        if name:
            found.append(ConvLayer(name, tuple(output.shape[1:])))

    with watched(scores.network, nn.Conv2d, note):
        scores.at(torch.zeros(input_shape))  # describe_layers would tell too, for 60 MB of modules that come with meta tensors
    return [layer for layer in found if max(layer.shape[1:]) > 1]


def usual_layer(layers: list[ConvLayer]) -> ConvLayer:
    """The last convolution that is not on a shortcut; where its maps are too small to say where, the last of 4×4 or more.

    Raises ExplanationError where there is none.
    """
    if not layers:
        raise ExplanationError("This network has no convolution with maps, so Grad-CAM has nothing to look at. The other methods "
                               "work; or train a CNN.")
    usable = [layer for layer in layers if not SHORTCUTS & set(layer.name.split("."))] or layers
    return next((layer for layer in reversed(usable) if min(layer.shape[1:]) >= ENOUGH), usable[-1])


def grad_cam(scores: ClassScores, image: Tensor, label: int, layer: str | None = None) -> GradCam:
    """Maps of a convolution, weighted with the mean gradient of the score (Selvaraju et al., arXiv:1610.02391).

    layer: dotted path of the convolution; `usual_layer` if None. Raises ExplanationError without a convolution.
    """
    from captum.attr import LayerAttribution, LayerGradCam
    _check(scores, image, label)
    layers = conv_layers(scores, tuple(image.shape))
    name = usual_layer(layers).name if layer is None else layer
    known = [found.name for found in layers]
    if name not in known:
        raise ExplanationError(f"There is no convolution {name} with maps; there are {', '.join(known) or 'none'}.")
    maps = LayerGradCam(scores, scores.network.get_submodule(name)).attribute(_leaf(image), target=label, relu_attributions=True)
    assert isinstance(maps, Tensor)  # a convolution returns one, and not several
    large = LayerAttribution.interpolate(maps, tuple(image.shape[1:]), interpolate_mode="bilinear")
    return GradCam(large[0].detach(), name, maps[0, 0].detach())


def occlusion(scores: ClassScores, image: Tensor, label: int, patch: int = 4, stride: int = 2,
              baseline: float = 0.0) -> Occlusion:
    """Cover one patch after the other and watch the score (Zeiler & Fergus, arXiv:1311.2901).

    patch, stride: in pixels; the stride is made larger where there would be more than 1,024 patches. baseline: 0 to 1, the
    patch's grey.

    Raises ExplanationError for a patch that does not fit, and a stride that would leave gaps.
    """
    from captum.attr import Occlusion as Method
    _check(scores, image, label)
    channels, height, width = image.shape
    if not 1 <= patch <= min(height, width):
        raise ExplanationError(f"A patch of {patch} pixels does not fit; choose 1 to {min(height, width)}.")
    if not 1 <= stride <= patch:
        raise ExplanationError(f"With a stride of {stride} pixels some pixels are never covered; choose 1 to {patch}, the patch.")
    stride = next(wide for wide in range(stride, max(height, width) + 1)
                  if _patches(image, max(patch, wide), wide) <= MOST_PATCHES)
    patch = max(patch, stride)
    with torch.no_grad():
        values = Method(scores).attribute(_batch(image), (channels, patch, patch), (channels, stride, stride), baseline,
                                          target=label, perturbations_per_eval=AT_ONCE)
    return Occlusion(values[0].float() / channels, patch, stride, _patches(image, patch, stride))


def _patches(image: Tensor, patch: int, stride: int) -> int:
    """How many patches cover the image."""
    down, across = (1 + -(-max(0, side - patch) // stride) for side in image.shape[1:])
    return down * across


def _check(scores: ClassScores, image: Tensor, label: int) -> None:
    """Raises ExplanationError for what is no image of numbers, no class, or no answer."""
    if image.dim() != 3 or not image.is_floating_point() or not bool(torch.isfinite(image).all()):
        raise ExplanationError(f"An image (C, H, W) of decimal numbers is needed; this is {tuple(image.shape)} {image.dtype}.")
    count = len(scores.at(image))
    if not 0 <= label < count:
        raise ExplanationError(f"There is no class {label}; this network has {count}, from 0 on.")


def _batch(image: Tensor) -> Tensor:
    return image.detach().float().unsqueeze(0)


def _leaf(image: Tensor) -> Tensor:
    """A batch of one that gradients are for; a copy, so that the caller's image has none."""
    return _batch(image).clone().requires_grad_()
