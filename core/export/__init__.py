"""A run as something to take away."""

import io
from collections.abc import Sequence

import torch
from torch import Tensor

from core.config import RunConfig, config_bytes
from core.export.forward import ExportError
from core.export.model_class import layer_code, model_class
from core.export.script import script
from core.trained_model import TrainedModel
from core.training import Intervention


def weights_file(trained: TrainedModel) -> bytes:
    """The network's state_dict as `torch.save` writes it: a .pth file that `torch.load(path, weights_only=True)` reads."""
    return state_dict_file(trained.model.state_dict())


def state_dict_file(weights: dict[str, Tensor]) -> bytes:
    """The same of any weights by name."""
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


def config_file(config: RunConfig, interventions: Sequence[Intervention] = ()) -> bytes:
    """A run's config as JSON, which read_config() takes, and what was changed by hand while it trained."""
    return config_bytes(config, [described(one) for one in interventions])


def described(one: Intervention) -> dict[str, str | int | float]:
    """A change by hand as JSON values: after which step, what, where, from which value to which."""
    where = {"layer": one.layer, "row": one.row, "column": one.column}
    return {"step": one.step, "what": one.what} | {name: at for name, at in where.items() if at not in (None, "")} | {
        "before": one.before, "after": one.after}


__all__ = ["ExportError", "config_file", "described", "layer_code", "model_class", "script", "state_dict_file", "weights_file"]
