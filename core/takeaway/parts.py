"""What all kinds are made from: a run with its store, and one line for what is missing."""

from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from core.data.sources import kind_of
from core.models.pretrained import IMAGENET
from core.runs import Run, RunStore, has_checkpoint
from core.runs.checkpoints import checkpoint_path, load_model
from core.runs.starting import start_weights
from core.settings import Settings
from core.trained_model import TrainedModel
from core.training.objectives import objective_of
from core.wording import EXAMPLES

INSTALL = "pip install -r requirements-export.txt"
CHECKED = 100  # examples that a network written in another format is asked about before it is handed out


class TakeawayError(ValueError):
    """Something that can't be taken away; the message is one line that says why, and what to do."""


@dataclass(frozen=True)
class Options:
    """fast: a script with the whole set in memory. alone: the network without normalisation before and probabilities after it."""

    fast: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Subject:
    """A recorded run, and where its data are."""

    store: RunStore
    run: Run
    settings: Settings
    options: Options = field(default_factory=Options)

    @property
    def has_weights(self) -> bool:
        return has_checkpoint(self.store, self.run.id)

    @cached_property
    def trained(self) -> TrainedModel:
        """A network of its own, which nobody else asks meanwhile. Raises CheckpointError."""
        return load_model(self.store, self.run.id)

    @property
    def needs_start(self) -> bool:
        """Whether its script can't do without a file of the weights that it started with."""
        return self.run.config.training.start_from not in ("", IMAGENET)

    def start_weights(self) -> dict[str, Tensor]:
        """What it started with. Raises CheckpointError, and what an unfit network or missing data do."""
        return start_weights(self.store, self.run.id, self.settings)

    def checkpoint(self) -> bytes:
        """The file of weights as the run kept it. Raises TakeawayError."""
        try:
            return checkpoint_path(self.store, self.run.id).read_bytes()
        except OSError as error:
            raise TakeawayError(f"The weights can't be read: {error.strerror}.") from None

    @property
    def examples(self) -> str:
        """What the run's data set holds: images, points or texts."""
        return EXAMPLES[kind_of(self.run.config.data.dataset)]


def missing(packages: tuple[str, ...]) -> str:
    """One line where packages are not installed; "" where all are."""
    absent = [name for name in packages if not _is_there(name)]
    return f"This needs {' and '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed: {INSTALL}." \
        if absent else ""


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # hidden, or half removed
        return False


class AsUsed(nn.Module):
    """A network as people use it: pixels from 0 to 1 in, probabilities out (of a predicted number, the number)."""

    mean: Tensor
    std: Tensor

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        self.network = trained.model
        # (C, 1, 1) for images, (F,) for points; texts have none
        shape = (-1,) + (1,) * (len(trained.input_shape) - 1)
        self.normalizes = trained.normalizes
        self.register_buffer("mean", torch.tensor(trained.mean).reshape(shape) if trained.mean else torch.zeros(1))
        self.register_buffer("std", torch.tensor(trained.std).reshape(shape) if trained.std else torch.ones(1))
        self.probabilities = objective_of(trained.config.training, "classes" if trained.classes else "number").probabilities

    def forward(self, examples: Tensor) -> Tensor:
        inputs = (examples - self.mean) / self.std if self.normalizes else examples
        return self.probabilities(self.network(inputs))


def written_network(subject: Subject) -> nn.Module:
    """What is written in another format: the network as it is used, or alone if the options say so. In evaluation mode, for
    this alone. Raises CheckpointError."""
    trained = subject.trained
    return (trained.model if subject.options.alone else AsUsed(trained)).eval().requires_grad_(False)


def example_inputs(subject: Subject, count: int = CHECKED, seed: int = 0) -> Tensor:
    """Inputs (count, …) of the network's shape: images from 0 to 1, points around 0, texts of words that it knows."""
    trained, generator = subject.trained, torch.Generator().manual_seed(seed)
    shape = (count, *trained.input_shape)
    words = [layer.num_embeddings for layer in trained.model.modules() if isinstance(layer, nn.Embedding | nn.EmbeddingBag)]
    if words:
        return torch.randint(0, min(words), shape, generator=generator)
    if len(trained.input_shape) == 3:
        return torch.rand(shape, generator=generator)
    return torch.randn(shape, generator=generator)


def output_name(subject: Subject) -> str:
    """What the written network's answers are."""
    if not subject.trained.classes:
        return "number"
    return "logits" if subject.options.alone else "probabilities"


def about_network(subject: Subject) -> dict[str, object]:
    """How to use a written network, kept inside the file: plain JSON values."""
    trained = subject.trained
    takes = {"images": "pixels from 0 to 1", "points": "points", "texts": "numbers of words"}[subject.examples]
    if subject.options.alone and trained.normalizes:
        takes += ", then (x − mean) / std"
    return {"made_by": "Torch Playground", "run": subject.run.id, "classes": list(trained.classes),
            "input": [None, *trained.input_shape], "takes": takes, "gives": output_name(subject),
            "mean": list(trained.mean), "std": list(trained.std)}
