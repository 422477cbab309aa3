"""Random valid compositions for tests: `random_stack(seed) -> (StackConfig, input_shape, outputs)`."""

import random

from core.fields import Config
from core.models.layers import (
    AdaptiveAvgPool2dConfig,
    AvgPool2dConfig,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    DropoutConfig,
    FlattenConfig,
    GELUConfig,
    LeakyReLUConfig,
    LinearConfig,
    MaxPool2dConfig,
    ReLUConfig,
    ResidualConfig,
    SigmoidConfig,
    SoftmaxConfig,
    TanhConfig,
)
from core.models.stack import StackConfig

Shape = tuple[int, ...]


def random_stack(seed: int) -> tuple[StackConfig, Shape, int]:
    """A composition that fits: the layers, the shape (C, H, W) of an example, and how many numbers come out.

    The same seed gives the same one. Small enough to run in milliseconds; over 200 seeds every kind of layer occurs, most of
    them many times, and each of their options. Sizes are worked out here by arithmetic of its own, not by what is tested.
    """
    choose = random.Random(seed)
    shape = first = (choose.randint(1, 3), choose.randint(8, 20), choose.randint(8, 20))
    outputs = choose.choice([1, 2, 10])
    layers: list[Config] = []
    for _ in range(choose.randint(0, 5)):
        layer, shape = _picture_layer(choose, shape)
        layers.append(layer)
    layers.append(FlattenConfig())
    features = shape[0] * shape[1] * shape[2]
    for _ in range(choose.randint(0, 4)):
        layer, features = _row_layer(choose, features)
        layers.append(layer)
    layers.append(LinearConfig(out_features=choose.choice([0, outputs]), bias=choose.random() < 0.8))
    return StackConfig(layers=tuple(layers)), first, outputs


def _anywhere(choose: random.Random) -> Config:
    return choose.choice([ReLUConfig(), LeakyReLUConfig(slope=choose.choice([0.01, 0.2])), GELUConfig(), SigmoidConfig(),
                          TanhConfig(), SoftmaxConfig(), DropoutConfig(share=choose.choice([0.0, 0.25, 0.5]))])


def _picture_layer(choose: random.Random, shape: Shape) -> tuple[Config, Shape]:
    channels, height, width = shape
    match choose.randint(0, 7):
        case 0 | 1 | 2:
            kernel, stride, padding = choose.randint(1, 4), choose.randint(1, 2), choose.randint(0, 2)
            if min(height, width) + 2 * padding >= kernel:
                filters = choose.randint(1, 6)
                return Conv2dConfig(out_channels=filters, kernel=kernel, stride=stride, padding=padding,
                                    bias=choose.random() < 0.7), (filters, *_windows(shape, kernel, stride, padding))
        case 3 | 4:
            kernel, stride = choose.randint(2, 3), choose.randint(1, 3)
            padding = choose.randint(0, kernel // 2)
            if min(height, width) + 2 * padding >= kernel:
                kind = choose.choice([MaxPool2dConfig, AvgPool2dConfig])
                return kind(kernel=kernel, stride=stride, padding=padding), (channels, *_windows(shape, kernel, stride, padding))
        case 5:
            size = choose.randint(1, 4)
            if choose.random() < 0.4:
                return AdaptiveAvgPool2dConfig(size=size), (channels, size, size)
            return BatchNorm2dConfig(), shape
        case 6:
            return _picture_block(choose, shape)
    return _anywhere(choose), shape


def _windows(shape: Shape, kernel: int, stride: int, padding: int) -> Shape:
    return tuple((length + 2 * padding - kernel) // stride + 1 for length in shape[1:])


def _picture_block(choose: random.Random, shape: Shape) -> tuple[Config, Shape]:
    kernel, stride, filters = choose.choice([1, 3]), choose.randint(1, 2), choose.randint(1, 6)
    projected = choose.random() < 0.5
    stride, filters = (stride, filters) if projected else (1, shape[0])
    inside = [Conv2dConfig(out_channels=choose.randint(1, 4), kernel=kernel, padding=kernel // 2, bias=False),
              BatchNorm2dConfig(), _anywhere(choose), Conv2dConfig(out_channels=filters, kernel=3, stride=stride)]
    returned = (filters, *((length - 1) // stride + 1 for length in shape[1:]))
    return ResidualConfig(layers=tuple(inside), skip="projection" if projected else "identity"), returned


def _row_layer(choose: random.Random, features: int) -> tuple[Config, int]:
    match choose.randint(0, 3):
        case 0:
            units = choose.randint(1, 12)
            return LinearConfig(out_features=units, bias=choose.random() < 0.7), units
        case 1:
            return BatchNorm1dConfig(), features
        case 2:
            projected = choose.random() < 0.5
            units = choose.randint(1, 12) if projected else features
            inside = (LinearConfig(out_features=4), _anywhere(choose), LinearConfig(out_features=units))
            return ResidualConfig(layers=inside, skip="projection" if projected else "identity"), units
    return _anywhere(choose), features
