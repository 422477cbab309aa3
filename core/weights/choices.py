"""What a file of weights does not say: networks that all have these weights and answer otherwise, for a person to choose from.

Activations leave no trace in a file, nor does the kind of pooling, where it stands as long as sizes come out, or whether batch
norm comes before the activation or after it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

import torch
from torch import Tensor

from core.models import CNNConfig, ModelConfig, ModelError, StackConfig, build
from core.models.base import Shape
from core.models.layers import (
    LAYERS,
    AvgPool2dConfig,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    GELUConfig,
    LayerConfig,
    LeakyReLUConfig,
    MaxPool2dConfig,
    ReLUConfig,
    SigmoidConfig,
    TanhConfig,
)
from core.weights.matching import Match, fitting_stacks, renamed_for

MOST_PLACES, MOST_CHOICES = 4, 40
ASKED = 8  # random images that tell whether two networks are the same
ACTIVATIONS = (ReLUConfig(), TanhConfig(), SigmoidConfig(), LeakyReLUConfig(), GELUConfig())
NORMS = (BatchNorm1dConfig, BatchNorm2dConfig)


@dataclass(frozen=True)
class Choice:
    """A network that these weights fit. title: what was taken for what the file does not say."""

    title: str
    config: ModelConfig


def choices_for(found: Match, input_shape: Shape) -> list[Choice]:
    """All that fit and answer differently, the match first; only that one where the file leaves nothing open."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(ASKED, *input_shape, generator=generator)
    kept: list[Choice] = []
    answers: list[Tensor] = []
    for choice in islice(_all(found, input_shape), MOST_CHOICES):
        try:
            weights = renamed_for(choice.config, input_shape, found.outputs, found.weights)
        except ModelError:
            continue
        if weights is None:
            continue
        said = _answers(choice.config, weights, found.outputs, images)
        if not any(torch.allclose(said, other, rtol=1e-4, atol=1e-5) for other in answers):
            answers.append(said)
            kept.append(choice)
    return kept


def _answers(config: ModelConfig, weights: Mapping[str, Tensor], outputs: int, images: Tensor) -> Tensor:
    network = build(config, tuple(images.shape[1:]), outputs).eval()
    network.load_state_dict(weights)
    with torch.inference_mode():
        return network(images)


def _all(found: Match, input_shape: Shape) -> Iterator[Choice]:
    stacks = fitting_stacks(found.weights, input_shape)
    own = found.config if isinstance(found.config, StackConfig) else next(iter(stacks), None)
    yield Choice(_title(own) if own is not None else "as it was matched", found.config)
    if isinstance(found.config, CNNConfig) and found.config.pooling == "max":
        yield Choice("ReLU, 2×2 mean pooling", found.config.model_copy(update={"pooling": "average"}))
    # the most likely first: what is changed last changes fastest
    for activation, mean, after, stack in product(ACTIVATIONS, (False, True), (False, True), stacks[:MOST_PLACES]):
        changed = _changed(stack.layers, activation, mean, after)
        if changed is not None:
            config = StackConfig(layers=changed)
            yield Choice(_title(config), config)


def _changed(layers: tuple[LayerConfig, ...], activation: LayerConfig, mean: bool, after: bool) -> tuple[LayerConfig, ...] | None:
    """The layers with another activation, mean pooling for the largest, and batch norm after the activation; None where there is
    nothing to change so."""
    pools, norms = (any(isinstance(layer, kind) for layer in layers) for kind in (MaxPool2dConfig, NORMS))
    if (mean and not pools) or (after and not norms):
        return None
    new: list[LayerConfig] = [activation if isinstance(layer, ReLUConfig) else AvgPool2dConfig()
                              if mean and isinstance(layer, MaxPool2dConfig) else layer for layer in layers]
    for place in range(len(new) - 1) if after else ():
        if isinstance(new[place], NORMS) and new[place + 1] == activation:
            new[place], new[place + 1] = new[place + 1], new[place]
    return tuple(new)


def _title(config: StackConfig) -> str:
    """ "ReLU, 2×2 max pooling after convolution 1 and 2, no padding, batch norm before the activation"."""
    layers = config.layers
    activation = next((LAYERS[layer.kind].title for layer in layers if isinstance(layer, tuple(map(type, ACTIVATIONS)))), "no "
                      "activation")
    parts, pooled, count = [activation], [], 0
    for layer in layers:
        count += isinstance(layer, Conv2dConfig)
        if isinstance(layer, MaxPool2dConfig | AvgPool2dConfig):
            pooled.append(str(count))
    if count:
        kind = "mean" if any(isinstance(layer, AvgPool2dConfig) for layer in layers) else "max"
        parts.append(f"2×2 {kind} pooling after convolution {' and '.join(pooled)}" if pooled else "no pooling")
        parts.append("padding" if any(isinstance(layer, Conv2dConfig) and layer.padding for layer in layers) else "no padding")
    norm = next((place for place, layer in enumerate(layers) if isinstance(layer, NORMS)), None)
    if norm is not None:
        before = norm + 1 < len(layers) and isinstance(layers[norm + 1], tuple(map(type, ACTIVATIONS)))
        parts.append(f"batch norm {'before' if before else 'after'} the activation")
    return ", ".join(parts)
