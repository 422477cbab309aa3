"""A trained network with all that is needed to use it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import normalize
from core.training.inference import evaluation_mode
from core.training.objectives import objective_of
from core.transforms import fixed_sizes, resize


@dataclass(frozen=True)
class TrainedModel:
    """A run's network with its trained weights.

    classes: names, by label, none where a number is predicted; mean and std: for each channel or feature, as in training;
    input_shape: (C, H, W) of images, (F,) of points, (L,) of texts.
    epoch: how many full or begun epochs are in the weights.
    """

    config: RunConfig
    classes: tuple[str, ...]
    model: nn.Module
    input_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    epoch: int

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether predict takes examples of this shape: the network's own, or any size where the run's transforms resize."""
        if fixed_sizes(self.config.data.transforms):
            return len(shape) == 3 and shape[0] == self.input_shape[0]
        return tuple(shape) == self.input_shape

    def brought_to_size(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) float32 as the network gets them: in another size where the run's transforms resize."""
        for size in fixed_sizes(self.config.data.transforms):
            images = resize(images, size)
        return images

    def predict(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) float32 on the CPU for images (N, C, H, W) float32 in [0, 1]; normalises as in training.

        Where the run's transforms bring images to another size, images of any size are taken and brought to it here.

        Points are (N, F) float32, texts (N, L) int64. Where a number is predicted, it is what is returned, as (N, 1).

        Raises:
            ValueError: images of another shape or number format.
        """
        if images.is_floating_point() and images.dim() == 4:
            images = self.brought_to_size(images)
        if tuple(images.shape[1:]) != self.input_shape:
            needs = ", ".join(map(str, self.input_shape))
            raise ValueError(f"images have shape {tuple(images.shape)}; this network needs (N, {needs})")
        if not images.is_floating_point() and self.mean:
            raise ValueError(f"images are {images.dtype}; this network needs float32 in [0, 1]")
        with evaluation_mode(self.model), torch.inference_mode():
            logits = self.model(normalize(images.float() if self.mean else images, self.mean, self.std))
            return objective_of(self.config.training, "classes" if self.classes else "number").probabilities(logits.float())

    @property
    def normalizes(self) -> bool:
        """Whether its inputs are changed by mean and std at all."""
        return any(self.mean) or any(s != 1 for s in self.std)

    def without_normalization(self) -> "TrainedModel":
        """The same network, given values from 0 to 1 as they are."""
        return replace(self, mean=(0.0,) * len(self.mean), std=(1.0,) * len(self.std))
