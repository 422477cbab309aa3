"""torchvision's MobileNetV3-Small (Howard et al., 2019), for pictures of any number of channels."""

from typing import Literal

from torch import nn

from core.fields import Config, setting
from core.models.base import Architecture, ModelError, Shape, which


class MobileNetV3SmallConfig(Config):
    architecture: Literal["mobilenet_v3_small"] = which("mobilenet_v3_small")
    stem: Literal["small", "imagenet"] = setting(
        "small", "How it begins. small: the first convolution keeps the size, for pictures of about 32×32. imagenet: "
        "torchvision's own, with stride 2, for pictures of about 224×224; four times less work.", label="First layers")
    dropout: float = setting(0.2, "Share of units switched off at random before the output in each training step.",
                             ge=0.0, le=0.95, step=0.05)


def build(config: MobileNetV3SmallConfig, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, C, H, W) → (N, outputs) logits, untrained weights; 1.5 million parameters.

    The small stem has stride 1, so that 16 instead of 32 times halved 28×28 pixels leave 2×2, not 1×1, at the end.

    Raises:
        ModelError: the input has no height and width.
    """
    if len(input_shape) != 3:
        raise ModelError(f"MobileNetV3 needs pictures (channels, height, width), not shape {input_shape}; choose an MLP.")
    from core.torchvision_guard import torchvision  # half a second that only those who want it pay

    model = torchvision.models.mobilenet_v3_small(weights=None, num_classes=outputs, dropout=config.dropout)
    stride = 1 if config.stem == "small" else 2
    first = nn.Conv2d(input_shape[0], 16, 3, stride, 1, bias=False)
    nn.init.kaiming_normal_(first.weight, mode="fan_out")  # as torchvision does
    stem = model.features[0]
    assert isinstance(stem, nn.Sequential)
    stem[0] = first
    return model


MOBILENET_V3_SMALL = Architecture(
    title="MobileNetV3-Small (torchvision)",
    short_title="MobileNetV3-Small",
    summary="Made for phones: separate small convolutions for each channel, few weights and little work.",
    config=MobileNetV3SmallConfig,
    build=build,
    torchvision=lambda config: "mobilenet_v3_small",
)
