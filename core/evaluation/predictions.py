"""A network's answers on one split, kept whole: every figure of the page Evaluate is reduced from them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, Split, normalize
from core.data.batches import Batches
from core.devices import CHANNELS_LAST_ON, autocast_type, is_convolutional
from core.training import OBJECTIVES
from core.training.inference import EVALUATION_BATCH, Outputs, autocasting, batch_that_fits, evaluation_mode, infer

# Images at once for convolutional networks on the CPU, where their feature maps stay nearer to the processor's cache: 10,000
# images take the CNN of mnist-is-8-cnn 0.37 s of one core's time with 64 to 250 at once, 0.6 s with 16 and 1.0 s with 1,000.
CONVOLUTIONAL_BATCH = 128
YES_NO_PER_CLASS = {"bce", "bce_with_logits"}  # losses for which several outputs are one question for each class


@dataclass(frozen=True, eq=False)  # tensors have no single truth value, so == would raise
class Predictions:
    """What a network said about each image of a split, in the split's order.

    logits: (N, outputs) float32 on the CPU; labels: (N,) int64; classes: K names, by label.
    loss: the name in OBJECTIVES, which says what the logits mean.
    split: "test", "validation", …; images: fingerprint() of the images and labels.
    """

    logits: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    loss: str
    split: str
    images: str

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """A name for exactly these answers on these images, for caches."""
        content = self.logits.contiguous().numpy().tobytes() + f"{self.images} {self.loss}".encode()
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    @cached_property
    def targets(self) -> np.ndarray:
        """(N,) int64: the labels."""
        return self.labels.numpy()

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N,) int64: the class the network decided for."""
        return OBJECTIVES[self.loss].predict(self.logits).numpy()

    @cached_property
    def correct(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.targets

    @cached_property
    def scores(self) -> np.ndarray:
        """(N, K) float64 whose softmax is the probabilities, for every loss; what a temperature divides.

        One logit z becomes (0, z), as softmax(0, z) = (1 − σ(z), σ(z)). Several yes-no answers become log σ(z).
        """
        logits = self.logits.double()
        if logits.shape[1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        elif self.loss in YES_NO_PER_CLASS:
            logits = nn.functional.logsigmoid(logits)
        return logits.numpy()

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, K) float64, rows sum to 1."""
        return softmax(self.scores)

    @cached_property
    def confidence(self) -> np.ndarray:
        """(N,) float64: the probability of the class that was said."""
        return self.probabilities[np.arange(len(self)), self.predicted]

    @property
    def mean_loss(self) -> float:
        """Mean loss over examples, without label smoothing."""
        return float(OBJECTIVES[self.loss].loss(self.logits, self.labels))

    @property
    def is_finite(self) -> bool:
        """Whether every logit is a number; huge weights can overflow."""
        return bool(torch.isfinite(self.logits).all())

    def select(self, positions: np.ndarray) -> "Predictions":
        """The answers at some positions; a fingerprint of all of the split's images stays."""
        rows = torch.from_numpy(np.asarray(positions, dtype=np.int64))
        return Predictions(self.logits[rows], self.labels[rows], self.classes, self.loss, self.split, self.images)


def predict(model: nn.Module, data: Dataset, config: RunConfig, split: str = "test",
            batch_size: int | None = None, report: Callable[[int], object] | None = None) -> Predictions:
    """The answers of `model` on a split of `data` by name, computed on the model's own device.

    batch_size: images at once; as many as are fast and fit if None. report: told after each batch how many are answered.

    Raises:
        ValueError: the split has no images.
    """
    rows = data.split(split)
    answers = answer(model, data, config, rows, batch_size, report)
    return Predictions(answers.logits.cpu(), answers.labels.cpu(), data.classes, config.training.loss, split, fingerprint(rows))


def answer(model: nn.Module, data: Dataset, config: RunConfig, split: Split, batch_size: int | None = None,
           report: Callable[[int], object] | None = None) -> Outputs:
    """Logits and labels of a split, on the model's own device, in the run's number format. Raises ValueError for none."""
    if not len(split):
        raise ValueError("There are no images to evaluate on: the split is empty.")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    convolutional = is_convolutional(model)
    batches = Batches(data, split, device, channels_last=convolutional and device.type in CHANNELS_LAST_ON)
    if batch_size is None:
        batch_size = CONVOLUTIONAL_BATCH if convolutional and device.type == "cpu" else EVALUATION_BATCH
        batch_size = batch_that_fits(model, batches.chunk(torch.arange(1), None)[0], batch_size)
    return infer(model, batches, autocast_type(config.training.precision), batch_size, report)


def asker(model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], config: RunConfig) -> Callable[[Tensor], Tensor]:
    """A function from images (n, C, H, W) in [0, 1] to the class of each, (n,) int64 on the CPU, computed as predict() does."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    convolutional = is_convolutional(model)
    autocast = autocast_type(config.training.precision)

    most = 0  # images at once, known from the first ones

    def ask(images: Tensor) -> Tensor:
        nonlocal most
        inputs = normalize(images.to(device), mean, std)
        if convolutional and device.type in CHANNELS_LAST_ON:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        most = most or batch_that_fits(model, inputs[:1], EVALUATION_BATCH)
        with evaluation_mode(model), torch.inference_mode(), autocasting(device, autocast):
            logits = torch.cat([model(batch) for batch in inputs.split(most)])
        return OBJECTIVES[config.training.loss].predict(logits.float()).cpu()

    return ask


def fingerprint(split: Split) -> str:
    """A name for exactly these images with these labels in this order: 32 hexadecimal digits of BLAKE2b."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(tuple(split.images.shape[1:])).encode())
    for rows in split.rows.split(2048):  # in pieces: the whole split at once would be copied
        digest.update(split.images[rows].numpy().data)
        digest.update(split.labels[rows].numpy().data)
    return digest.hexdigest()


def softmax(scores: np.ndarray) -> np.ndarray:
    """(N, K) → (N, K), rows sum to 1; the largest score is subtracted first, so that nothing overflows."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
