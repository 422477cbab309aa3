"""A run as something to take away."""

import io

import torch

from core.runs import TrainedModel


def weights_file(trained: TrainedModel) -> bytes:
    """The network's state_dict as `torch.save` writes it: a .pth file that `torch.load(path, weights_only=True)` reads."""
    file = io.BytesIO()
    torch.save(trained.model.state_dict(), file)
    return file.getvalue()


def config_file(trained: TrainedModel) -> bytes:
    """The run's config as JSON."""
    return trained.config.model_dump_json(indent=2).encode()
