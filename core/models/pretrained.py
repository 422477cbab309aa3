"""Weights that a network can start from instead of fresh ones: torchvision's, and what of any weights fits a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.models import ARCHITECTURES, ModelConfig

IMAGENET = "imagenet"  # training.start_from for torchvision's weights


@dataclass(frozen=True)
class PretrainedWeights:
    """A file of torchvision's.

    network: what torchvision calls it. file: its name, which ends with the first digits of its SHA-256. address: where it may be
    had.
    """

    network: str
    file: str
    address: str

    @property
    def size(self) -> int:
        """Bytes, about: those of its numbers."""
        return sum(value.numel() * value.element_size() for value in published_shapes(self.network).values())

    @property
    def checksum(self) -> str:
        """What the file's SHA-256 begins with, as hexadecimal digits: "f37072fd" of resnet18-f37072fd.pth."""
        return self.file.rpartition(".")[0].rpartition("-")[2]


def torchvision_name(config: ModelConfig) -> str:
    """The network of torchvision's whose weights fit; "" where there is none."""
    name = ARCHITECTURES[config.architecture].torchvision
    return name(config) if name is not None else ""


def pretrained_weights(config: ModelConfig) -> PretrainedWeights | None:
    """torchvision's weights for such a network, learned from ImageNet; None where it has none."""
    name = torchvision_name(config)
    if not name:
        return None
    from core.torchvision_guard import torchvision  # half a second that only those who want it pay

    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    return PretrainedWeights(name, weights.url.rpartition("/")[2], weights.url)


def published_shapes(network: str) -> dict[str, Tensor]:
    """The state_dict of a network of torchvision's without numbers (meta device): what a file of its weights holds."""
    from core.torchvision_guard import torchvision

    with torch.device("meta"):
        return torchvision.models.get_model(network, weights=None).state_dict()


@dataclass(frozen=True, eq=False)
class Fitting:
    """What of some weights fits a network.

    weights: under the network's names, in its number formats, those that fit. anew: names of layers whose weights don't, with
    what is there and what the network has. adapted: the layer that was brought to another number of channels; "" if none.
    missing, extra: names that only the network, or only the weights have.
    """

    weights: dict[str, Tensor]
    anew: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    adapted: str
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def fitting(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Fitting:
    """Compare a network's state_dict with weights from elsewhere, by names and shapes; meta tensors will do.

    A layer of which one tensor does not fit starts anew as a whole. Only the first convolution is brought to another number of
    channels: its weights are summed over theirs and shared out evenly among the network's, so that a grey picture gives what it
    gave as three equal channels.
    """
    missing, extra = (tuple(sorted(one - other)) for one, other in ((own.keys(), weights.keys()), (weights.keys(), own.keys())))
    first = next((name for name, value in own.items() if value.dim() == 4), "")
    anew: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    found: dict[str, Tensor] = {}
    adapted = ""
    for name, want in own.items():
        if name not in weights:
            continue
        have = weights[name]
        if name == first and have.dim() == 4 and have.shape != want.shape and (
                have.shape[0], *have.shape[2:]) == (want.shape[0], *want.shape[2:]):
            adapted, channels = name.rpartition(".")[0], want.shape[1]
            have = have.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
        if have.shape != want.shape:
            anew.setdefault(name.rpartition(".")[0], (tuple(have.shape), tuple(want.shape)))
        else:
            found[name] = have.to(want.dtype)
    return Fitting({name: value for name, value in found.items() if name.rpartition(".")[0] not in anew}, anew, adapted, missing,
                   extra)


def layers_anew(config: ModelConfig, model: nn.Module) -> tuple[str, ...]:
    """Layers of a network for which torchvision's weights have none that fit, such as an answer for other classes; () where
    torchvision has no such network."""
    name = torchvision_name(config)
    return tuple(fitting(model.state_dict(), published_shapes(name)).anew) if name else ()


def take(model: nn.Module, found: Fitting) -> None:
    """Put weights that fit into a network; the others stay as they are. PyTorch's random state is not touched."""
    state: dict[str, Any] = dict(model.state_dict())
    model.load_state_dict(state | found.weights)
