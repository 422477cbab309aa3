"""A trained network as a function from an image to one score for each class, in a copy that methods may hook and take apart."""

import torch
from torch import Tensor, nn

from core.data import normalize
from core.training.inference import private_copy


class ExplanationError(ValueError):
    """Why a method can't say anything about this network or image; one line that says what would work."""


class ClassScores(nn.Module):
    """Images (N, C, H, W) float in [0, 1] → (N, K) scores: what the network says before softmax or sigmoid.

    A network with one output z, for a yes-no question, has the scores (−z, z), so that the larger one is its answer.

    The weights are the trained network's own memory; modules, hooks and buffers are copies, in evaluation mode and without
    gradients for weights. So whatever is done to them, and wherever it fails, the trained network is as it was, also for
    other sessions that use it at the same time.
    """

    def __init__(self, model: nn.Module, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.network, self.mean, self.std = private_copy(model), mean, std

    def forward(self, images: Tensor) -> Tensor:
        scores = self.network(normalize(images, self.mean, self.std))
        return torch.cat([-scores, scores], dim=1) if scores.shape[1] == 1 else scores

    def at(self, image: Tensor) -> Tensor:
        """Scores (K,) of one image (C, H, W). Raises ExplanationError where they are infinite or no numbers."""
        with torch.no_grad():
            scores = self(image.unsqueeze(0))[0]
        if not bool(torch.isfinite(scores).all()):
            raise ExplanationError("The network answers with numbers that are infinite or no numbers, so there is nothing to "
                                   "explain.")
        return scores
