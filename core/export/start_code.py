"""Where a script's weights start, which of them are frozen, and what its optimizer is given, as one would write it by hand."""

from collections.abc import Callable

from torch import nn

from core.config import RunConfig
from core.models.pretrained import IMAGENET, fitting, pretrained_weights, published_shapes
from core.training.trainable import last_layer, weights_to_train

START = "start.pth"  # the file of the weights that a run started with
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
ALL = "model.parameters()"


def start_code(config: RunConfig, model: nn.Module) -> list[str]:
    """Lines that take over weights from elsewhere; none where they stay as they are drawn. model: the run's, meta tensors will
    do.

    A class that is written does not draw as torchvision's networks do, so the file says what new layers began with.
    """
    start_from = config.training.start_from
    if not start_from:
        return []
    if start_from != IMAGENET:
        return ["try:", f'    model.load_state_dict(torch.load("{START}", map_location=device, weights_only=True))',
                "except OSError as error:",
                f'    sys.exit(f"{START}, the weights that this run started with, can\'t be read: {{error.strerror}}. Take it "',
                '             "away as well, and put it into this folder.")']
    weights = pretrained_weights(config.model)
    assert weights is not None  # a run of it would be refused
    found = fitting(model.state_dict(), published_shapes(weights.network))
    lines = ["weights = torch.hub.load_state_dict_from_url(",
             f'    "{weights.address}", map_location=device, check_hash=True, weights_only=True)']
    if found.adapted:
        channels = model.state_dict()[f"{found.adapted}.weight"].shape[1]
        share = f".expand(-1, {channels}, -1, -1) / {channels}" if channels > 1 else ""
        lines.append(f'weights["{found.adapted}.weight"] = weights["{found.adapted}.weight"].sum(1, keepdim=True){share}'
                     "  # of three channels")
    names = set(published_shapes(weights.network))
    for layer, (theirs, _) in found.anew.items():
        gone = [f'weights["{layer}.{leaf}"]' for leaf, _ in model.get_submodule(layer).named_parameters(recurse=False)
                if f"{layer}.{leaf}" in names]
        lines.append(f"del {', '.join(gone)}  # of shape {'×'.join(map(str, theirs))}: this layer starts anew")
    lines.append("model.load_state_dict(weights, strict=False)")
    return [f'if Path("{START}").exists():  # exactly what the run started with, its new layers too',
            f'    model.load_state_dict(torch.load("{START}", map_location=device, weights_only=True))',
            "else:  # learned from ImageNet: in torch hub's cache, or downloaded once; new layers are drawn at random",
            *(f"    {line}" for line in lines)]


def frozen_code(model: nn.Module, layer: Callable[[str], str]) -> list[str]:
    """Lines that freeze what is frozen in `model`. layer: from the name of a layer to the expression for it."""
    parts = _frozen_parts(model, "")
    if not parts:
        return []
    lines = [f"frozen = [{', '.join(map(layer, parts))}]  # these layers keep their weights", "for layer in frozen:",
             "    layer.requires_grad_(False)"]
    if has_frozen_norms(model):
        kinds = sorted({f"nn.{type(module).__name__}" for module in model.modules() if isinstance(module, NORMS)})
        kind = kinds[0] if len(kinds) == 1 else f"({', '.join(kinds)})"
        lines.append(f"frozen_norms = [layer for part in frozen for layer in part.modules() if isinstance(layer, {kind})]")
    return lines


def has_frozen_norms(model: nn.Module) -> bool:
    """Whether the loop must keep batch norm from moving its mean and variance."""
    return any(isinstance(module, NORMS) and not any(weight.requires_grad for weight in module.parameters())
               for module in model.modules())


def given_to_optimizer(config: RunConfig, model: nn.Module, layer: Callable[[str], str]) -> tuple[list[str], str]:
    """Lines before the optimizer, and what it is given: all weights, those that learn, or two groups of them."""
    if is_grouped(config, model):
        own = [f"*{layer(name)}.parameters()" for name in last_layer(model)]
        return [f"last = [{', '.join(own)}]",
                "below = [weight for weight in model.parameters()",
                "         if weight.requires_grad and all(weight is not one for one in last)]"], \
            f'[{{"params": below, "lr": LEARNING_RATE * {config.training.rate_below_last!r}}}, {{"params": last}}]'
    learns_all = all(weight.requires_grad for weight in model.parameters())
    return [], ALL if learns_all else "[weight for weight in model.parameters() if weight.requires_grad]"


def is_grouped(config: RunConfig, model: nn.Module) -> bool:
    """Whether layers below the last one learn with another rate."""
    return len(weights_to_train(model, config.training)) > 1


def _frozen_parts(model: nn.Module, path: str) -> list[str]:
    """Names of the largest parts of a network that are frozen as a whole."""
    found: list[str] = []
    for name, child in model.named_children():
        whole = f"{path}.{name}" if path else name
        learns = [weight.requires_grad for weight in child.parameters()]
        if learns and not any(learns):
            found.append(whole)
        elif not all(learns):
            found += _frozen_parts(child, whole)
    return found


__all__ = ["START", "frozen_code", "given_to_optimizer", "has_frozen_norms", "is_grouped", "start_code"]
