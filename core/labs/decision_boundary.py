"""What a network on points in the plane has learned, as maps: its answer at every point, and each hidden unit's own."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, as_features, spec_of
from core.data.sources.generated import RULES, Generated
from core.hooks import hooked
from core.models import MLPConfig
from core.trained_model import TrainedModel
from core.training import build_for
from core.training.inference import EVALUATION_BATCH
from core.training.objectives import objective_of

EXTENT = 3.0  # the maps go from −EXTENT to EXTENT both ways
SIDE = 100  # points of the grid along each side
FINE, COARSE, FINE_UP_TO = 34, 25, 24  # points along a unit's map, and up to how many units it is the finer: 100 kB a picture
MOST_LAYERS, MOST_UNITS = 6, 8  # what the lab lets one compose and can draw


@dataclass(frozen=True)
class Maps:
    """Values from −1 to 1 on a grid over the plane; row 0 is the top, where x₂ is largest.

    answer: (SIDE, SIDE); for two classes −1 is surely the first and 1 surely the second, for a number its share of `bound`.
    units: for the inputs and then each hidden layer (units, side, side), each unit as a share of its own largest value.
    largest: for the same, each unit's largest absolute value on the grid, (units,).
    weights: for each linear layer (outputs, inputs). Of an output layer with two classes, the second row less the first: what
        speaks for the second class. biases: for each linear layer (outputs,), in the same way.
    """

    answer: Tensor
    units: tuple[Tensor, ...]
    largest: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    bound: float


def can_show(config: RunConfig) -> bool:
    """Whether the lab can: a set in the plane, and a network of linear layers no larger than what it lets one compose."""
    spec = RULES.get(config.data.dataset)
    model = config.model
    return (spec is not None and spec.in_plane and isinstance(model, MLPConfig) and len(model.hidden) <= MOST_LAYERS
            and max(model.hidden, default=1) <= MOST_UNITS and config.data.task == "classes")


def plane_points(config: RunConfig) -> Generated:
    """The points of a run as they lie in the plane, (N, 2), before inputs are computed from them. Raises KeyError for a set that
    is not computed."""
    return RULES[config.data.dataset].generate(config.data)


def untrained(config: RunConfig, data: Dataset) -> TrainedModel:
    """The network that a run of `config` starts from, with its first weights. Raises ModelError and ConfigError."""
    objective_of(config.training, data.target)
    return TrainedModel(config, data.classes, build_for(config, data).eval(), data.input_shape, data.mean, data.std, 0)


def grid(side: int = SIDE) -> Tensor:
    """(side², 2) points, row by row from the top left."""
    across = torch.linspace(-EXTENT, EXTENT, side)
    x2, x1 = torch.meshgrid(across.flip(0), across, indexing="ij")
    return torch.stack([x1.flatten(), x2.flatten()], dim=1)


def maps_of(trained: TrainedModel, bound: float = 1.0, unit_side: int | None = None) -> Maps:
    """All maps in one pass over the grid.

    Args:
        bound: for a number to predict, which answer has the full colour.
        unit_side: points along each side of a unit's map, at most SIDE; None for as many as suit the number of units.
    """
    inputs: list[tuple[nn.Linear, Tensor]] = []
    linear = [module for module in trained.model.modules() if isinstance(module, nn.Linear)]
    with hooked(linear, before=lambda layer, args, kwargs: inputs.append((layer, args[0]))):
        said = trained.predict(as_features(grid(), trained.config.data.features))
    answer = said[:, 1] * 2 - 1 if trained.classes else said[:, 0] / bound
    if unit_side is None:
        unit_side = FINE if sum(values.shape[1] for _, values in inputs) <= FINE_UP_TO else COARSE
    every = torch.linspace(0, SIDE - 1, unit_side).round().long()
    units, largest = [], []
    for _, values in inputs:  # what goes into a layer is what the one before has made of the point
        shown = values.T.view(-1, SIDE, SIDE)[:, every][:, :, every]
        most = shown.abs().amax((1, 2))
        units.append(shown / most.clamp(min=1e-9)[:, None, None])
        largest.append(most)
    weights = [layer.weight.detach() for layer, _ in inputs]
    biases = [layer.bias.detach() for layer, _ in inputs]
    if len(weights[-1]) == 2:
        weights[-1], biases[-1] = weights[-1][1:] - weights[-1][:1], biases[-1][1:] - biases[-1][:1]
    return Maps(answer.view(SIDE, SIDE).clamp(-1, 1), tuple(units), tuple(largest), tuple(weights), tuple(biases), bound)


@dataclass(frozen=True)
class Standing:
    """How a network does on all points of a split: mean loss, and share of right answers (None for a number)."""

    loss: float
    accuracy: float | None


def standing(trained: TrainedModel, data: Dataset, split: str) -> Standing:
    """Of the network as it is, on "train", "validation" or "test"; as evaluate() measures it.

    Normalisation is the data set's, which is the network's own.
    """
    objective = objective_of(trained.config.training, data.target)
    examples, labels = data.split(split).take(torch.arange(len(data.split(split))))
    with torch.inference_mode():
        mean, std = torch.tensor(trained.mean), torch.tensor(trained.std)
        logits = torch.cat([trained.model((part - mean) / std) for part in examples.split(EVALUATION_BATCH)])
    right = (objective.predict(logits) == labels).float().mean().item() if data.target == "classes" else None
    return Standing(objective.loss(logits, labels).item(), right)


def largest_number(config: RunConfig) -> float:
    """For a set whose target is a number: the largest one's size among the training points; 1 for classes."""
    if spec_of(config.data.dataset).target == "classes":
        return 1.0
    return float(plane_points(config).train[1].abs().max())
