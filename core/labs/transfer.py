"""The lab on transfer learning: what a network has learned on some classes helps with others of which there are few images.

Three networks take the same number of steps on the same few images: one that starts from nothing, one whose features are those
of a trained network and stay as they are (frozen) below a new last layer, and one that starts so and changes everything
(fine-tuning). The steps are those of training, core.training.step. A run does the same by its settings training.start_from and
training.trainable; here all three are small enough to be done at once.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import TypeAdapter
from torch import nn

from core.config import AdamConfig, DataConfig, RunConfig, TrainingConfig
from core.data import Dataset, Split
from core.data.batches import Batch, Batches
from core.fields import Config, setting
from core.models import CNNConfig, ModelConfig
from core.training import build_for
from core.training.inference import infer
from core.training.step import TrainingStep, batches_of_epoch
from core.training.trainable import train_mode

WAYS = {"scratch": "From scratch", "frozen": "Frozen features, new head", "tuned": "Fine-tuned: all layers"}
BATCH = 32
LOOKS = 10  # at how many steps, at most, the test images are asked
MOST_TEST = 500  # images
Head = Literal["linear", "last"]
DIGITS = {"digits", "mnist"}
SOURCE, TARGET = ("0", "1", "2", "3", "4"), ("5", "6", "7", "8", "9")


class TransferConfig(Config):
    """What the three networks have in common."""

    head: Head = setting("linear", "What is replaced. linear: all linear layers, so that the convolutions are the features. "
                         "last: the last layer alone.", label="New head")
    per_class: int = setting(10, "Training images of each new class.", unit="images", ge=1, le=50, step=1,
                             label="Images per class")
    steps: int = setting(30, "Steps that each network takes.", unit="steps", ge=1, le=300, step=10)
    learning_rate: float = setting(0.001, "Adam's, for all three.", gt=0.0, le=1.0)
    seed: int = setting(0, "Start of the random numbers: which images are drawn, the new weights, the order.", ge=0, le=999)


class TransferQuestion(Config):
    """All that the three ways depend on. run: the id of the one whose network is used, with what tells its weights from others;
    both empty for the network that learns 0 to 4. data: of the new classes."""

    run: str = ""
    weights: str = ""
    data: DataConfig
    config: TransferConfig


@dataclass(frozen=True)
class Count:
    """Numbers that a network learns (trainable) and that stay as they are (frozen)."""

    trainable: int
    frozen: int


@dataclass(frozen=True)
class Way:
    """One of the three. steps: after how many steps the test images were asked, 0 for the start; accuracies: on them, 0 to 1;
    losses: of each step's batch, before the step."""

    name: str
    count: Count
    steps: tuple[int, ...]
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]


WRITTEN = TypeAdapter(list[Way])


def source_config(seed: int = 0) -> RunConfig:
    """The run that learns the first five digits, with three varied copies of each image: varied ones make better features."""
    return RunConfig(data=DataConfig(dataset="digits", validation=100, only_classes=SOURCE, variations=3),
                     model=CNNConfig(channels=(16, 32, 64), kernel=3, fc_width=64),
                     training=TrainingConfig(optimizer=AdamConfig(learning_rate=2e-3), batch_size=64, epochs=4, seed=seed,
                                             precision="float32"))


def target_config(start_from: str, seed: int = 0) -> RunConfig:
    """A run that goes on from the weights of one of source_config(), the last layer included, on the other five digits."""
    source = source_config(seed)
    data = source.data.model_copy(update={"only_classes": TARGET})
    return source.model_copy(update={"data": data, "training": source.training.model_copy(update={"start_from": start_from})})


def few_data(name: str = "digits") -> DataConfig:
    """The data of which a few images are drawn: 5 to 9 of digits, else all classes; no varied copies."""
    return DataConfig(dataset=name, validation=100, only_classes=TARGET if name in DIGITS else ())


def linear_layers(model: nn.Module) -> list[str]:
    """Names of its linear layers, first to last. Raises ValueError where there is none."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ValueError("This network has no linear layer that could be replaced.")
    return names


def with_new_head(model: nn.Module, classes: int, seed: int, head: Head = "linear", freeze: bool = False) -> nn.Module:
    """A copy whose head has fresh weights and as many answers as there are classes. freeze: all before it stays as it is.

    PyTorch's global random state is left as it was. Raises ValueError where nothing comes before the head.
    """
    model = copy.deepcopy(model)
    names = linear_layers(model)
    if head == "last":
        names = names[-1:]
    if not set(dict(model.named_parameters())) - {f"{name}.{leaf}" for name in names for leaf in ("weight", "bias")}:
        raise ValueError("Nothing comes before the head of this network. Replace its last layer only, or choose another one.")
    model.requires_grad_(not freeze)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in names:
            owner, _, leaf = name.rpartition(".")
            old: nn.Linear = model.get_submodule(name)  # pyright: ignore[reportAssignmentType]  # linear_layers() found it
            outputs = classes if name == names[-1] else old.out_features
            setattr(model.get_submodule(owner) if owner else model, leaf, nn.Linear(old.in_features, outputs))
    return model


def count(model: nn.Module) -> Count:
    """Its numbers, each once."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    return Count(sum(size for size, learns in sizes if learns), sum(size for size, learns in sizes if not learns))


def few(data: Dataset, per_class: int, seed: int) -> Split:
    """So many training images of each class, drawn by the seed; all of a class that has fewer."""
    generator = torch.Generator().manual_seed(seed)
    labels, kept = data.train.labels[data.train.rows], []
    for label in range(len(data.classes)):
        rows = data.train.rows[labels == label]
        kept.append(rows[torch.randperm(len(rows), generator=generator)[:per_class]])
    return replace(data.train, rows=torch.cat(kept).sort().values)


def compare(source: nn.Module, data: Dataset, config: TransferConfig, model: ModelConfig) -> list[Way]:
    """The three ways on a few images of `data`, whose classes are the new ones. The source stays as it is.

    model: the source's architecture, for the one that starts from nothing. Raises ValueError as with_new_head().
    """
    fresh = build_for(RunConfig(model=model, training=TrainingConfig(seed=config.seed)), data)
    frozen, tuned = (with_new_head(source, len(data.classes), config.seed, config.head, freeze) for freeze in (True, False))
    images = few(data, config.per_class, config.seed)
    return [train(WAYS[name], network, data, images, config)
            for name, network in (("scratch", fresh), ("frozen", frozen), ("tuned", tuned))]


def ways_from(text: bytes, config: TransferConfig) -> list[Way]:
    """What compare() gave, from JSON that may be damaged. Raises ValueError where it is not three ways of these steps."""
    ways = WRITTEN.validate_json(text)
    if [way.name for way in ways] != list(WAYS.values()):
        raise ValueError("These are not the three ways.")
    for way in ways:
        whole = (len(way.losses) == config.steps and len(way.steps) == len(way.accuracies) and way.steps[:1] == (0,)
                 and way.steps[-1] == config.steps and way.steps == ways[0].steps and list(way.steps) == sorted(way.steps))
        if not whole or not all(0 <= share <= 1 for share in way.accuracies) or min(way.count.trainable, way.count.frozen) < 0:
            raise ValueError(f"{way.name} is not whole.")
    return ways


def train(name: str, model: nn.Module, data: Dataset, images: Split, config: TransferConfig) -> Way:
    """Steps on `images`, in place, with the test images asked now and then."""
    training = TrainingConfig(optimizer=AdamConfig(learning_rate=config.learning_rate), batch_size=BATCH, seed=config.seed,
                              precision="float32", device="cpu")
    cpu = torch.device("cpu")
    counted = count(model)
    step = TrainingStep(training, data.target, model, cpu)
    test = Batches(data, replace(data.test, rows=data.test.rows[:MOST_TEST]), cpu, channels_last=step.channels_last)

    def accuracy() -> float:
        return infer(step.model, test).accuracy(step.objective)

    every = max(1, -(-config.steps // LOOKS))
    steps, accuracies, losses = [0], [accuracy()], []
    batches = _endless(Batches(data, images, cpu, channels_last=step.channels_last), training)
    for number in range(1, config.steps + 1):
        train_mode(step.model)
        loss, _ = step.take(next(batches), config.learning_rate)
        losses.append(float(loss))
        if number % every == 0 or number == config.steps:
            steps.append(number)
            accuracies.append(accuracy())
    return Way(name, counted, tuple(steps), tuple(accuracies), tuple(losses))


def _endless(batches: Batches, training: TrainingConfig) -> Iterator[Batch]:
    epoch = 0
    while True:
        epoch += 1
        yield from batches_of_epoch(batches, training, epoch)


def transfer_code(config: TransferConfig) -> str:
    """Plain PyTorch that learns 0 to 4 and then 5 to 9 in the three ways, on scikit-learn's digits of 8×8; runs alone."""
    return CODE.format(per_class=config.per_class, steps=config.steps, rate=config.learning_rate, seed=config.seed,
                       first=4 if config.head == "linear" else 6)


CODE = '''import copy

import torch
from sklearn.datasets import load_digits
from torch import nn

digits = load_digits()
x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16  # (1797, 1, 8, 8)
y = torch.tensor(digits.target)
old, new = (y < 5).nonzero()[:, 0], (y >= 5).nonzero()[:, 0]
torch.manual_seed({seed})
new = new[torch.randperm(len(new))]
train = torch.cat([new[y[new] == digit][:{per_class}] for digit in range(5, 10)])  # few images of each new digit
test = new[-300:]  # others of the same digits


def network():
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(16 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 5))


def learn(model, rows, labels, steps, rate):
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=rate)
    for step in range(steps):
        batch = rows[torch.randint(len(rows), (32,))]
        loss = nn.functional.cross_entropy(model(x[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# 1. features: learned on 0 to 4
source = network()
learn(source, old, y, 300, 0.002)

# 2. three ways to 5 to 9, whose labels are 0 to 4 again
def with_new_head(freeze):
    model = copy.deepcopy(source)
    model.requires_grad_(not freeze)  # frozen: requires_grad is False, so no gradient and no step
    for place in range({first}, 7):
        if isinstance(model[place], nn.Linear):  # fresh layers learn
            model[place] = nn.Linear(model[place].in_features, model[place].out_features)
    return model


for name, model in (("scratch", network()), ("frozen", with_new_head(True)), ("fine-tuned", with_new_head(False))):
    learn(model, train, y - 5, {steps}, {rate})
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    with torch.no_grad():
        right = (model(x[test]).argmax(1) == y[test] - 5).float().mean().item()
    print(f"{{name:10}} {{trainable:6,}} trainable, {{frozen:6,}} frozen: {{right:.1%}} of the test images")
'''
