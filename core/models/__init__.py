"""Architectures: each a config and a builder in one module, listed in ARCHITECTURES.

To add one: write `core/models/<name>.py` with a `<Name>Config` (field `architecture` = its key) and a `build` function,
then name it in ARCHITECTURES and ModelConfig below. Forms, presets, the command line and the tests find it there.
"""

from typing import Annotated, Any

import torch
from pydantic import Discriminator
from torch import nn

from core.models.base import ACTIVATIONS, Architecture, ModelError, Shape
from core.models.cnn import CNN, CNNConfig
from core.models.lenet5 import LENET5, LeNet5Config
from core.models.mlp import MLP, MLPConfig
from core.models.mobilenet_v3_small import MOBILENET_V3_SMALL, MobileNetV3SmallConfig
from core.models.resnet18 import RESNET18, ResNet18Config
from core.models.small_resnet import SMALL_RESNET, SmallResNetConfig
from core.models.softmax_regression import SOFTMAX_REGRESSION, SoftmaxRegressionConfig
from core.models.stack import STACK, StackConfig
from core.models.text_embedding import TEXT_EMBEDDING, TextEmbeddingConfig
from core.models.vgg16 import VGG16, VGG16Config

ModelConfig = Annotated[
    SoftmaxRegressionConfig | MLPConfig | CNNConfig | LeNet5Config | SmallResNetConfig | VGG16Config | ResNet18Config
    | MobileNetV3SmallConfig | StackConfig | TextEmbeddingConfig, Discriminator("architecture")]


def check_kind(config: ModelConfig, kind: str, vocabulary: int = 0) -> None:
    """Whether the network can read data of this kind ("images", "points" or "text"), which a shape alone does not say.

    Args:
        vocabulary: of texts, how many words have a number.

    Raises:
        ModelError: it can't; the line says what to choose.
    """
    spec = ARCHITECTURES[config.architecture]
    if kind not in spec.takes:
        what = {"images": "pictures", "points": "points", "text": "texts"}
        instead = "text_embedding" if kind == "text" else "mlp"
        raise ModelError(f"{spec.title} can't read {what[kind]}, only {' and '.join(what[one] for one in spec.takes)}; set "
                         f"model.architecture to {instead}.")
    if isinstance(config, TextEmbeddingConfig) and config.words < vocabulary:
        raise ModelError(f"model.words is {config.words:,} and data.vocabulary {vocabulary:,}: the table needs a row for every "
                         f"word. Set model.words to {vocabulary:,}.")


def build(config: ModelConfig, input_shape: Shape, outputs: int, seed: int | None = None) -> nn.Module:
    """The network that `config` describes, with fresh weights.

    Args:
        input_shape: of one example, (C, H, W).
        outputs: width of the last layer: one logit for each class, or 1 for a yes-no question.
        seed: draw the weights from this seed and leave PyTorch's global random state alone; None uses that state.

    Raises:
        ModelError: the network can't take this input.
    """
    spec = ARCHITECTURES[config.architecture]
    if seed is None:
        return spec.build(config, input_shape, outputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return spec.build(config, input_shape, outputs)


ARCHITECTURES: dict[str, Architecture[Any]] = {  # Any: each entry takes the configs of its own kind
    "softmax_regression": SOFTMAX_REGRESSION, "mlp": MLP, "cnn": CNN, "lenet5": LENET5, "small_resnet": SMALL_RESNET,
    "vgg16": VGG16, "resnet18": RESNET18, "mobilenet_v3_small": MOBILENET_V3_SMALL, "stack": STACK,
    "text_embedding": TEXT_EMBEDDING}

__all__ = ["ACTIVATIONS", "ARCHITECTURES", "Architecture", "CNNConfig", "LeNet5Config", "MLPConfig", "MobileNetV3SmallConfig",
           "ModelConfig", "ModelError", "ResNet18Config", "SmallResNetConfig", "SoftmaxRegressionConfig", "StackConfig",
           "TextEmbeddingConfig", "VGG16Config", "build", "check_kind"]
