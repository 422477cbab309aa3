"""torchvision's VGG-16 (Simonyan and Zisserman, 2014), for pictures of any size and number of channels."""

from typing import Literal

import torch
from torch import nn

from core.fields import Config, setting
from core.models.base import Architecture, ModelError, Shape, which


class VGG16Config(Config):
    architecture: Literal["vgg16"] = which("vgg16")
    batch_norm: bool = setting(
        False, "Bring each channel to mean 0 and standard deviation 1 within the batch. Without it 16 layers are slow to start.")
    fc_width: int = setting(4096, "Units of the two linear layers before the output. The paper's 4096 hold nine tenths of the "
                            "weights; 512 is usual for small pictures.", label="Linear layers", unit="units",
                            ge=1, le=16384, step=16)
    dropout: float = setting(0.5, "Share of units of the linear layers switched off at random in each training step.",
                             ge=0.0, le=0.95, step=0.05)


def build(config: VGG16Config, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, C, H, W) → (N, outputs) logits, untrained weights; 134 million parameters with the paper's linear layers.

    Pooling rounds up (`ceil_mode`), so that five times halving leaves at least one pixel of any picture, also of 28×28;
    where sizes are even, as in 32×32 or 224×224, nothing differs. torchvision's AdaptiveAvgPool2d makes 7×7 of what is left.

    Raises:
        ModelError: the input has no height and width.
    """
    if len(input_shape) != 3:
        raise ModelError(f"VGG-16 needs pictures (channels, height, width), not shape {input_shape}; choose an MLP.")
    from core.torchvision_guard import torchvision  # half a second that only those who want it pay

    vgg = torchvision.models.vgg
    with torch.device("meta"):  # its linear layers are replaced: drawing 100 million weights for nothing takes a second
        model = vgg.VGG(nn.Identity(), init_weights=False)
    model.features = vgg.make_layers(vgg.cfgs["D"], config.batch_norm)
    model.features[0] = nn.Conv2d(input_shape[0], 64, 3, padding=1)
    model.classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, config.fc_width), nn.ReLU(True), nn.Dropout(config.dropout),
        nn.Linear(config.fc_width, config.fc_width), nn.ReLU(True), nn.Dropout(config.dropout),
        nn.Linear(config.fc_width, outputs))
    for module in model.modules():
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = True
    _draw(model)
    return model


def _draw(model: nn.Module) -> None:
    """Weights and biases as torchvision draws them."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)



VGG16 = Architecture(
    title="VGG-16 (torchvision)",
    short_title="VGG-16",
    summary="13 convolutions of 3×3 and three large linear layers: simple, and very many weights. Very slow without "
            "a GPU.",
    config=VGG16Config,
    build=build,
    torchvision=lambda config: "vgg16_bn" if config.batch_norm else "vgg16",
)
