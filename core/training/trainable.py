"""Which layers of a network learn and which are frozen, and how fast those below the last one learn.

A frozen layer keeps its weights: they get no gradient, so no step, no weight decay and no place in the optimizer. Its batch norm
keeps the running mean and variance, too: it stays in evaluation mode while the rest trains. Dropout has no weights and goes on.
"""

from collections.abc import Collection
from typing import Any, Literal

from torch import nn

from core.config import TrainingConfig
from core.fields import ConfigError
from core.wording import plural

Trainable = Literal["all", "linear_layers", "last_layer"]


def layers_with_weights(model: nn.Module) -> list[str]:
    """Names of the modules that have weights of their own, in the order in which the network defines them."""
    return [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]


def layers_with_norms(model: nn.Module) -> list[list[str]]:
    """What freezes and learns as one, from the input on: names of a layer with a table or windows of weights, and of what comes
    after it until the next such layer, as batch norm does. What comes before the first belongs to that."""
    found: list[list[str]] = []
    before: list[str] = []
    for name in layers_with_weights(model):
        if any(weight.dim() > 1 for weight in model.get_submodule(name).parameters(recurse=False)):
            found.append([*before, name])
            before = []
        else:
            (found[-1] if found else before).append(name)
    return found or [before] * bool(before)


def last_layer(model: nn.Module) -> list[str]:
    """Names of the layer that answers and of what comes after it: from the last one with a table or windows of weights on."""
    names = layers_with_weights(model)
    tables = [place for place, name in enumerate(names)
              if any(weight.dim() > 1 for weight in model.get_submodule(name).parameters(recurse=False))]
    return names[tables[-1]:] if tables else names


def frozen_layers(model: nn.Module, trainable: Trainable, anew: Collection[str] = (), first: int = 0) -> list[str]:
    """Names of the layers with weights that stay as they are.

    Args:
        anew: layers that start with fresh weights although the network does not: these learn in any case.
        first: how many of layers_with_norms() are frozen besides, from the input on.

    Raises:
        ConfigError: nothing would be left to learn, or nothing is there to be frozen.
    """
    counted = layers_with_norms(model) if first else []
    if first and first >= len(counted):
        most = "none can be frozen" if len(counted) < 2 else f"at most {len(counted) - 1:,} can be frozen"
        raise ConfigError(f"training.frozen_first is {first:,}, and this network has {plural(len(counted), 'layer')} with "
                          f"weights: {most}, so that something is left to learn.")
    by_number = {name for layer in counted[:first] for name in layer}
    by_kind = _before_what_learns(model, trainable)
    return [name for name in layers_with_weights(model) if (name in by_number or name in by_kind) and name not in anew]


def _before_what_learns(model: nn.Module, trainable: Trainable) -> list[str]:
    """Names of the layers that training.trainable freezes. Raises ConfigError as frozen_layers() does."""
    if trainable == "all":
        return []
    names = layers_with_weights(model)
    if trainable == "last_layer":
        first = len(names) - len(last_layer(model))
        if not first:
            raise ConfigError("training.trainable is last_layer, and nothing that could be frozen comes before this network's "
                              "last layer. Set it to all.")
    else:
        linear = [place for place, name in enumerate(names) if isinstance(model.get_submodule(name), nn.Linear)]
        if not linear:
            raise ConfigError("training.trainable is linear_layers, and this network has none: nothing would be left to learn. "
                              "Set it to all or last_layer.")
        first = linear[0]
        if not first:
            raise ConfigError("training.trainable is linear_layers, and nothing that could be frozen comes before this network's "
                              "first one. Set it to all or last_layer.")
    return names[:first]


def freeze(model: nn.Module, layers: Collection[str]) -> None:
    """Freeze these layers' own weights."""
    for name in layers:
        for weight in model.get_submodule(name).parameters(recurse=False):
            weight.requires_grad_(False)


def train_mode(model: nn.Module) -> None:
    """Training mode, but for layers whose weights are all frozen: batch norm would go on moving its mean and variance."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(weight.requires_grad for weight in own):
            module.eval()


def weights_to_train(model: nn.Module, training: TrainingConfig) -> list[dict[str, Any]]:
    """What an optimizer gets: groups with their "params", and as "factor" what the learning rate is multiplied by in each. One
    group, unless layers below the last one learn slower."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    if not learning:
        return []  # which PyTorch's optimizers refuse
    last = {id(weight) for name in last_layer(model) for weight in model.get_submodule(name).parameters(recurse=False)}
    below, above = ([weight for weight in learning if (id(weight) in last) is is_last] for is_last in (False, True))
    if training.rate_below_last == 1.0 or not below or not above:
        return [{"params": learning, "factor": 1.0}]
    return [{"params": below, "factor": training.rate_below_last}, {"params": above, "factor": 1.0}]
