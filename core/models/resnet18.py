"""torchvision's ResNet-18 (He et al., 2015), for pictures of any number of channels."""

from typing import Literal

from torch import nn

from core.fields import Config, setting
from core.models.base import Architecture, ModelError, Shape, which


class ResNet18Config(Config):
    architecture: Literal["resnet18"] = which("resnet18")
    stem: Literal["small", "imagenet"] = setting(
        "small", "How it begins. small: a 3×3 convolution that keeps the size, for pictures of about 32×32. imagenet: "
        "torchvision's own 7×7 convolution with stride 2 and max-pooling, for pictures of about 224×224; many times less work.",
        label="First layers")


def build(config: ResNet18Config, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, C, H, W) → (N, outputs) logits, untrained weights; 11.2 million parameters.

    The small stem, 3×3 with stride 1 and no max-pooling, is the usual adaptation to 32×32 pictures: with torchvision's own
    stem a 28×28 picture is one pixel from the third stage's end on.

    Raises:
        ModelError: the input has no height and width.
    """
    if len(input_shape) != 3:
        raise ModelError(f"ResNet-18 needs pictures (channels, height, width), not shape {input_shape}; choose an MLP.")
    from core.torchvision_guard import torchvision  # half a second that only those who want it pay

    model = torchvision.models.resnet18(weights=None, num_classes=outputs)
    small = config.stem == "small"
    model.conv1 = nn.Conv2d(input_shape[0], 64, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does
    if small:
        model.add_module("maxpool", nn.Identity())  # instead of the one there
    return model


RESNET18 = Architecture(
    title="ResNet-18 (torchvision)",
    short_title="ResNet-18",
    summary="18 layers in residual blocks; the usual first choice for photos. Slow without a GPU.",
    config=ResNet18Config,
    build=build,
    torchvision=lambda config: "resnet18",
)
