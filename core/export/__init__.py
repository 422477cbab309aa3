"""A run as something to take away."""

import io

import torch

from core.config import config_bytes
from core.export.forward import ExportError
from core.export.model_class import model_class
from core.export.script import script
from core.trained_model import TrainedModel


def weights_file(trained: TrainedModel) -> bytes:
    """The network's state_dict as `torch.save` writes it: a .pth file that `torch.load(path, weights_only=True)` reads."""
    file = io.BytesIO()
    torch.save(trained.model.state_dict(), file)
    return file.getvalue()


def config_file(trained: TrainedModel) -> bytes:
    """The run's config as JSON, which read_config() takes."""
    return config_bytes(trained.config)


__all__ = ["ExportError", "config_file", "model_class", "script", "weights_file"]
