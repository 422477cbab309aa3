"""What a network was at one moment of its training, looked at from all sides, on the same examples at every moment."""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from core.data import Dataset
from core.data.batches import Batches
from core.data.explore.pca import leading_directions
from core.hooks import hooked
from core.inspection.activations.walk import Stage, walk
from core.layers.table import describe_layers, totals
from core.trained_model import TrainedModel
from core.training.inference import LARGEST_BATCH, evaluation_mode
from core.training.monitors import SAMPLES, one_of_each
from core.training.objectives import OBJECTIVES, objective_of
from core.training.watchers import first_filters, prepare_watched

# what can be looked at, in the order of a page
ANSWERS, FILTERS, MAPS, CONFUSION, MAP, WEIGHTS, ACTIVATIONS, GRADIENTS = PARTS = (
    "answers", "filters", "maps", "confusion", "map", "weights", "activations", "gradients")
HISTOGRAMS = (WEIGHTS, ACTIVATIONS, GRADIENTS)
MULT_ADDS = 5e8  # that the examples of a moment may take: some 30 ms of a core
MOST_EXAMPLES, FEWEST_EXAMPLES = 1000, 100
MOST_VALUES = 4_000_000  # of their inputs, 16 MB: fewer of large images
AT_ONCE = 128  # examples: nearer to the processor's cache than all at once
SOME_EXAMPLES = 64  # that gradients and what layers return are of
SAME_NUMBERS = {"Flatten", "Dropout", "Dropout2d", "Identity"}  # kinds of layers that change nothing to be seen here
BINS = 41  # of a histogram, the middle one around 0
MOST_LAYERS = 6  # that have a histogram: the first and the last ones of a network of many
MARGIN = 0.06  # of the map's width, around its last moment


@dataclass(frozen=True, eq=False)
class Examples:
    """What the network of every moment is asked about.

    split: "test" or "validation"; available: how many examples it has. inputs: (n, …) as the network takes them, evenly drawn
    from it; labels: (n,). shown: (E, …) uint8 or int64, a few of the split, of each class if there is room, and shown_inputs,
    shown_labels. watched: (W, C, H, W) float32 in [0, 1], what the run was watched with; W may be 0.
    """

    split: str
    available: int
    inputs: Tensor
    labels: Tensor
    shown: Tensor
    shown_inputs: Tensor
    shown_labels: Tensor
    watched: Tensor
    watched_inputs: Tensor


@dataclass(frozen=True, eq=False)
class Axes:
    """What stays the same from moment to moment, so that pictures of them can be compared; from the last moment there is.

    centre: (F,), directions: (F, 2) of the map; limits: its left, right, bottom and top. ranges: for each kind of histogram and
    layer, which |value| is at its ends: the largest of the first and the last moment.
    """

    centre: Tensor
    directions: Tensor
    limits: tuple[float, float, float, float]
    ranges: dict[tuple[str, str], float]


@dataclass(frozen=True, eq=False)
class MomentView:
    """One moment. What was not asked for is None or empty.

    right: share of the examples that are answered right, loss: their mean loss. said: (n,) classes.
    shown: (E, K), watched: (W, K) probabilities. filters: (U, h, w) uint8, see first_filters(). stage: what a layer makes of the
    chosen image. confusion: (K, K) counts, rows are true classes. points: (n, 2) on the map.
    histograms: for each layer (BINS,) counts, of that `kind`; ends: each one's range.
    """

    right: float | None = None
    loss: float | None = None
    said: np.ndarray | None = None
    shown: np.ndarray | None = None
    watched: np.ndarray | None = None
    filters: np.ndarray | None = None
    stage: Stage | None = None
    confusion: np.ndarray | None = None
    points: np.ndarray | None = None
    kind: str = ""
    histograms: dict[str, np.ndarray] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)


# --- what they are asked about

def examples_of(data: Dataset, split: str, trained: TrainedModel, watched: Tensor | None = None) -> Examples:
    """The examples for all moments of a run; as many as networks like `trained` answer in a moment.

    watched: (W, C, H, W) float32 in [0, 1], which suit the data. Raises ValueError for a split without examples.
    """
    rows = data.split(split)
    if not len(rows):
        raise ValueError("There are no images to look at: the split is empty.")
    count = min(len(rows), how_many(trained))
    positions = torch.linspace(0, len(rows) - 1, count).round().long()
    labels = rows.labels[rows.rows]
    few = torch.tensor(one_of_each(labels, len(data.classes), SAMPLES), dtype=torch.int64)
    images = torch.zeros(0, *data.input_shape) if watched is None else watched
    return Examples(split, len(rows), _inputs(data, split, positions), labels[positions], rows.take(few)[0],
                    _inputs(data, split, few), labels[few], images,
                    prepare_watched(images, data) if watched is not None else images)


def how_many(trained: TrainedModel) -> int:
    """How many examples a moment is asked about: fewer of a network that takes longer."""
    each = totals(describe_layers(trained.model, trained.input_shape)).mult_adds
    fit = MOST_VALUES // prod(trained.input_shape)
    return max(1, int(min(MOST_EXAMPLES, fit, max(FEWEST_EXAMPLES, MULT_ADDS / max(1, each)))))


def _inputs(data: Dataset, split: str, positions: Tensor) -> Tensor:
    """The examples at some positions as the network gets those of a split: brought to their size, normalised."""
    batches = Batches(data, data.split(split), torch.device("cpu"))
    return torch.cat([batch.images for batch in batches.iterate(AT_ONCE, positions)])


# --- what is the same at all moments

def axes_of(last: TrainedModel, first: TrainedModel, examples: Examples, kinds: Collection[str] = ()) -> Axes:
    """kinds: of HISTOGRAMS, those whose ranges will be asked for. Raises ValueError for answers that are not finite."""
    _, features = _answers(last, examples.inputs)
    centre = features.mean(0)
    rows = features - centre
    directions = leading_directions(rows, min(2, rows.shape[1]))
    directions = nn.functional.pad(directions, (0, 2 - directions.shape[1]))
    turned = directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    directions = directions * torch.where(turned == 0, 1.0, turned)
    points = rows @ directions
    low, high = points.amin(0), points.amax(0)
    room = MARGIN * (high - low).clamp_min(1e-6)
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    ranges: dict[tuple[str, str], float] = {}
    for kind in kinds:
        for trained in (first, last):
            for name, values in _values(trained, examples, kind).items():
                ranges[kind, name] = max(ranges.get((kind, name), 1e-12), float(values.abs().amax()))
    return Axes(centre, directions, (left, right, bottom, top), ranges)


# --- one moment

def look_at(trained: TrainedModel, examples: Examples, axes: Axes, wanted: Collection[str], image: int = 0,
            layer: int = 0) -> MomentView:
    """What is seen of a network at a moment, of `wanted` of PARTS; of HISTOGRAMS at most one. Nothing else is worked out.

    image: of the watched images and then the shown ones, whose maps are asked for; layer: which of layers_of() makes them.

    Raises:
        ValueError: answers that are not finite. InspectionError: the network can't be walked through.
    """
    model, found = trained.model, {}
    if {ANSWERS, CONFUSION, MAP} & set(wanted):
        logits, features = _answers(trained, examples.inputs)
        objective = OBJECTIVES[trained.config.training.loss]
        said = objective.predict(logits)
        classes = len(trained.classes)
        found |= {"right": float((said == examples.labels).double().mean()), "said": said.numpy(),
                  "loss": float(objective.loss(logits, examples.labels))}
        if CONFUSION in wanted:
            pairs = examples.labels * classes + said
            found["confusion"] = torch.bincount(pairs, minlength=classes * classes).view(classes, classes).numpy()
        if MAP in wanted:
            found["points"] = ((features - axes.centre) @ axes.directions).numpy()
    if ANSWERS in wanted:
        for name, inputs in {"shown": examples.shown_inputs, "watched": examples.watched_inputs}.items():
            if len(inputs):
                found[name] = objective_of(trained.config.training, "classes").probabilities(_answers(trained, inputs)[0]).numpy()
    if FILTERS in wanted:
        found["filters"] = first_filters(model, trained.input_shape)
    if MAPS in wanted:
        found["stage"] = layers_of(trained, examples, image)[layer]
    kind = next((kind for kind in HISTOGRAMS if kind in wanted), None)
    if kind is not None:
        values = _values(trained, examples, kind)
        ends = {name: axes.ranges.get((kind, name), 1.0) for name in values}
        found |= {"kind": kind, "histograms": {name: counts(each, ends[name]) for name, each in values.items()}, "ends": ends}
    return MomentView(**found)


def layers_of(trained: TrainedModel, examples: Examples, image: int = 0) -> list[Stage]:
    """What each layer makes of one image, of the watched ones and then the shown ones, in order of execution."""
    inputs = examples.watched_inputs if image < len(examples.watched_inputs) else examples.shown_inputs
    place = image if image < len(examples.watched_inputs) else image - len(examples.watched_inputs)
    return [stage for stage in walk(trained.model, inputs[place:place + 1])
            if stage.path is not None and stage.kind not in SAME_NUMBERS]


def counts(values: Tensor, end: float) -> np.ndarray:
    """(BINS,) int64: how many values lie where between −end and end; what is beyond counts to the ends."""
    numbers = values.detach().flatten().float().clamp(-end, end).numpy()
    return np.histogram(numbers, bins=BINS, range=(-end, end))[0]


def _answers(trained: TrainedModel, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, outputs) and what the last linear layer receives (n, F), the logits where there is none."""
    received: list[Tensor] = []
    linear = [module for module in trained.model.modules() if isinstance(module, nn.Linear)]
    logits, features = [], []
    at_once = max(1, min(AT_ONCE, LARGEST_BATCH // max(1, inputs[0].numel()))) if len(inputs) else 1
    with (hooked(linear, before=lambda module, args, kwargs: received.append(args[0])), evaluation_mode(trained.model),
          torch.no_grad()):
        for part in inputs.split(at_once):
            received.clear()
            logits.append(trained.model(part).float())
            features.append(received[-1].flatten(1).float() if received else logits[-1])
    answers = torch.cat(logits)
    if not bool(torch.isfinite(answers).all()):
        raise ValueError("Its answers at this moment are infinite or no numbers, so there is nothing to show.")
    return answers, torch.cat(features)


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers with weights of two or more dimensions by name: at most MOST_LAYERS, the first and the last ones."""
    found = [(name, module) for name, module in model.named_modules()
             if isinstance(weight := getattr(module, "weight", None), nn.Parameter) and weight.dim() >= 2]
    if len(found) > MOST_LAYERS:
        found = found[:MOST_LAYERS // 2] + found[-(MOST_LAYERS // 2):]
    return {name or type(module).__name__: module for name, module in found}


def weight_of(layer: nn.Module) -> Tensor:
    """A layer's weight, which _layers() has seen to be one."""
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def _values(trained: TrainedModel, examples: Examples, kind: str) -> dict[str, Tensor]:
    """Of each of some layers its weights, what it returns, or the gradients of its weights; the two on some examples."""
    layers = _layers(trained.model)
    if kind == WEIGHTS:
        return {name: weight_of(layer).detach() for name, layer in layers.items()}
    inputs, labels = examples.inputs[:SOME_EXAMPLES], examples.labels[:SOME_EXAMPLES]
    returned: dict[str, Tensor] = {}
    named = {id(layer): name for name, layer in layers.items()}

    def note(module: nn.Module, args: object, kwargs: object, output: Tensor) -> None:
        returned[named[id(module)]] = output.detach().clone()  # an activation may change it in place

    with evaluation_mode(trained.model):
        if kind == ACTIVATIONS:
            with hooked(layers.values(), after=note), torch.no_grad():
                trained.model(inputs)
            return {name: returned[name] for name in layers if name in returned}
        weights = [weight_of(layer) for layer in layers.values()]
        with torch.enable_grad():
            for weight in weights:
                weight.requires_grad_(True)
            loss = objective_of(trained.config.training, "classes").loss(trained.model(inputs).float(), labels)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return {name: gradient for name, gradient in zip(layers, gradients, strict=True) if gradient is not None}
