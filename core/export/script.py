"""A run as a plain PyTorch script, as the classic notes write it: no project imports, one file, a DataLoader and two loops."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from core.config import DataConfig, RunConfig
from core.data import FEATURES, DatasetSpec, Outline, fixed_normalization, load, spec_of
from core.data.combine import joined_specs
from core.data.sources.generated import RULES, TEST_POINTS, split_seeds
from core.devices import is_convolutional, is_small
from core.export.combine_code import choosing, is_chosen, refuse_combined, renumbering
from core.export.forward import ExportError
from core.export.head_code import with_head
from core.export.images_code import BATCHES, ORDER, images_data, loaders
from core.export.model_class import layer_code, model_class
from core.export.points_code import drawing_code
from core.export.start_code import START
from core.export.training_code import training_code
from core.models import ARCHITECTURES, build
from core.models.pretrained import IMAGENET
from core.presets import title_of
from core.settings import default_data_dir
from core.training import Intervention, check, freeze_for, outputs_for
from core.transforms import has_chance

# Settings that a script says, or that change nothing of what it would say
WRITTEN = {"dataset", "task", "target", "normalization", "validation", "variations", "split_seed", "loss", "optimizer",
           "batch_size", "epochs", "seed", "shuffle", "precision", "device", "threads", "name", "learning_rate", "momentum",
           "nesterov", "weight_decay", "beta1", "beta2", "alpha", "label_smoothing", "schedule", "gradient_clipping",
           "initialization", "early_stopping", "keep", "points", "noise", "features", "added", "l1", "transforms", "join",
           "moments", "moment_epochs", "join_times", "only_classes", "fraction", "imbalance", "label_noise", "channel_mean",
           "channel_std", "start_from", "trainable", "frozen_first", "rate_below_last", "vocabulary",
           "text_length", "text_file"}  # for texts alone, which have no script


def script(config: RunConfig, root: Path | None = None, fast: bool = False, interventions: Sequence[Intervention] = ()) -> str:
    """A complete training script for exactly this run: the same images, split, normalisation, network, loss and optimizer, the
    same first weights and the same order of images.

    Arithmetic is float32, so on a processor its losses are those of a run with that precision, but for random transforms, which
    torchvision draws in its own way, and for what rounding grows to.

    Args:
        root: the data directory; the environment's if None. Only labels are read there, where the split depends on them.
        fast: the whole set in memory and batches by selection, in place of a DataLoader that asks for each image.
        interventions: what was changed by hand while the run trained; the script changes the same after the same steps.

    Raises:
        DataError, ConfigError, ModelError: a run of it would be refused, with this line. ExportError: it has no plain PyTorch
        counterpart, or the network can't be written.
    """
    shape, spec = check_as_run(config, root), spec_of(config.data.dataset, root)
    _refuse_unknown(config)
    outputs = outputs_for(config, len(shape.source_classes))
    network = model_class(config.model, shape.input_shape, outputs, imports=False)
    name = network.rpartition("\nclass ")[2].removeprefix("class ").split("(")[0]
    draws = "ropout" in network or has_chance(config.data.transforms)
    with torch.device("meta"):
        model = build(config.model, shape.input_shape, outputs)
    one_thread = fast and is_small(sum(weight.numel() for weight in model.parameters()), is_convolutional(model))
    freeze_for(config, model)
    training = training_code(config, shape, model, name, outputs, draws, interventions, lambda path: layer_code(model, path))
    parts = [_constants(config, one_thread), *_data(config, spec, root, fast, draws), network.rstrip(), training,
             _testing(shape), _saving(config)]
    title = title_of(config, root)
    about = f"{title}{'' if title.endswith('?') else '.'} Trains, tests and saves the network in plain PyTorch."
    if any("PLACES = " in part for part in parts):
        about += (" Images are read where the app has them: below --data DIR, or else PLAYGROUND_DATA or “data” here.")
    if config.training.start_from not in ("", IMAGENET):
        about += f" The weights that it starts with are in {START}, which must lie beside it."
    elif config.training.start_from:
        about += f" With {START} beside it it starts with exactly the run's weights, new layers included."
    return with_head(about, "\n\n\n".join(part.strip("\n") for part in parts))


def check_as_run(config: RunConfig, root: Path | None = None) -> Outline:
    """What a run of it would be refused for is refused with the same line. Returns the data's outline.

    Raises DataError, ConfigError and ModelError.
    """
    root = root or default_data_dir()
    shape, spec = check(config, root), spec_of(config.data.dataset, root)
    if config.data.only_classes and spec.kind == "images" and spec.is_available(root):
        # how many images of these classes there are only the labels say
        load(config.data.model_copy(update={"variations": 0, "transforms": ()}), root)
    return shape


def _refuse_unknown(config: RunConfig) -> None:
    """A setting that this module does not know must not be left out in silence. Raises ExportError."""
    parts = {"data": config.data, "training": config.training, "training.optimizer": config.training.optimizer}
    for path, part in parts.items():
        for name, entry in type(part).model_fields.items():
            if name not in WRITTEN and getattr(part, name) != entry.get_default(call_default_factory=True):
                raise ExportError(f"{path}.{name} can't be written as a script yet; set it to its default.")


def _constants(config: RunConfig, one_thread: bool) -> str:
    training, data = config.training, config.data
    held = "points of their own to check each epoch with" if data.dataset in RULES else "images held back"
    lines = [f"BATCH_SIZE = {training.batch_size}", f"EPOCHS = {training.epochs}", f"SEED = {training.seed}",
             f"LEARNING_RATE = {training.optimizer.learning_rate!r}", f"VALIDATION = {data.validation}  # {held}",
             *([f"TARGET = {data.target}  # the class that “yes” is about"] if data.task == "is_target" else []),
             *([f"COPIES = {data.variations}  # varied copies of each training image"] if data.variations else []),
             "", "torch.manual_seed(SEED)", *_device(config.training.device)]
    if training.threads != "auto":
        lines.append(f"torch.set_num_threads({training.threads})")
    elif one_thread:
        lines += ["torch.set_num_threads(1)  # in steps as short as this network's, more threads mostly wait for each other"]
    return "\n".join(lines)


def _device(wanted: str) -> list[str]:
    """Lines that make `device`; what "auto" finds is what core.devices.select_device() does."""
    if wanted == "auto":
        return ['device = torch.device("cuda" if torch.cuda.is_available() else',
                '                      "mps" if torch.backends.mps.is_available() else "cpu")']
    there = {"cuda": "torch.cuda.is_available()", "mps": "torch.backends.mps.is_available()"}.get(wanted)
    missing = [f"if not {there}:", f'    sys.exit("This machine has no {wanted} device: write cpu in the next line instead.")']
    return [*(missing if there else []), f'device = torch.device("{wanted}")']


def _data(config: RunConfig, spec: DatasetSpec, root: Path | None, fast: bool, draws: bool) -> list[str]:
    """Parts that make train_loader, validation_loader and test_loader."""
    data = config.data
    if data.dataset in RULES:
        refuse_combined(data, spec)
        return [_points(data, spec), _points_in_memory(config) if fast else loaders(draws, config.training.shuffle)]
    if spec.kind == "text":
        raise ExportError(f"{spec.title} has no plain script yet; the page “Text” has one that learns from a dozen reviews.")
    parts = images_data(data, spec, joined_specs(data, spec, root), fast, config.training.shuffle)
    return parts if fast else [*parts, loaders(draws, config.training.shuffle)]


def _points(data: DataConfig, spec: DatasetSpec) -> str:
    """Points that are computed by the same function as the run's."""
    name = RULES[data.dataset].draw.__name__
    lines = [drawing_code(data.dataset), "", "", "# each split has a seed of its own"]
    sizes = (data.points, "VALIDATION", TEST_POINTS)
    for split, size, seed in zip(("train", "validation", "test"), sizes, split_seeds(data.split_seed), strict=True):
        lines.append(f"{split}_points, {split}_labels = {name}({size}, {data.noise!r}, torch.Generator().manual_seed({seed}))")
    lines += _choose_points(data, spec)
    if data.added:
        rows = ", ".join(f"({x!r}, {y!r}, {label})" for x, y, label in data.added)
        lines += [f"added = torch.tensor([{rows}])  # points of one's own: x₁, x₂, class",
                  "train_points = torch.cat([train_points, added[:, :2]])",
                  "train_labels = torch.cat([train_labels, added[:, 2].long()])"]
    if RULES[data.dataset].in_plane and data.features != ("x1", "x2"):
        columns = ", ".join(FEATURES[name].code for name in data.features)
        lines += ["", "", "def inputs_of(points):", '    """What the network gets to see of each point."""',
                  f"    return torch.stack([{columns}], dim=1)", "", "",
                  *(f"{split}_points = inputs_of({split}_points)" for split in ("train", "validation", "test"))]
    width = len(data.features) if spec.in_plane else spec.input_shape[0]
    change = f"(points - {fixed_code(data, width, 0)}) / {fixed_code(data, width, 1)}" if data.normalization != "standard" else \
        "(points - train_points.mean(0)) / train_points.std(0, correction=0)"
    if data.normalization != "none":
        lines += ["", "", "def normalized(points):", f"    return {change}", "", ""]
    for split in ("train", "validation", "test"):
        points = f"{split}_points" if data.normalization == "none" else f"normalized({split}_points)"
        lines.append(f"{split}_set = TensorDataset({points}, {split}_labels)")
    return "\n".join(lines)


def fixed_code(data: DataConfig, channels: int, which: Literal[0, 1]) -> str:
    """The mean (0) or the standard deviation (1) that the config names: a number, or a tensor with one for each channel."""
    fixed = fixed_normalization(data, channels)
    assert fixed is not None, data.normalization
    numbers = fixed[which]
    return repr(numbers[0]) if len(set(numbers)) == 1 else f"torch.tensor({list(numbers)})"


def _choose_points(data: DataConfig, spec: DatasetSpec) -> list[str]:
    """What is left out or spoiled of them."""
    lines = []
    if data.only_classes:
        lines.append(renumbering(data, spec))
        for split in ("train", "validation", "test"):
            lines += [f"kept = new_label[{split}_labels] >= 0",
                      f"{split}_points, {split}_labels = {split}_points[kept], new_label[{split}_labels[kept]]"]
    if is_chosen(data):
        labels = "train_labels" if spec.classes else "torch.zeros(len(train_labels), dtype=torch.long)  # as one class"
        lines += [f"labels = {labels}", "train_rows = torch.arange(len(labels))", choosing(data, spec),
                  f"train_points, train_labels = train_points[train_rows], {'' if spec.classes else 'train_'}labels[train_rows]"]
    return lines


def _testing(data: Outline) -> str:
    if data.target == "number":
        return 'print(f"test loss {evaluate(test_loader):.4f}")  # once, at the end'
    return '''test_loss, test_accuracy = evaluate(test_loader)  # once, at the end
print(f"test loss {test_loss:.4f}, test accuracy {test_accuracy:.2%}")'''


def _saving(config: RunConfig) -> str:
    name = ARCHITECTURES[config.model.architecture].short_title.lower().replace(" ", "-")
    return f'''try:
    with open("{name}.pth", "wb") as file:
        torch.save(model.state_dict(), file)
except OSError as error:
    sys.exit(f"{name}.pth can't be saved in this folder: {{error.strerror}}.")
# to use it again: model.load_state_dict(torch.load("{name}.pth", weights_only=True))'''


def _points_in_memory(config: RunConfig) -> str:
    return f'''{BATCHES}


def as_they_are(points):
    """Points need nothing done to them on their way to the network."""
    return points


{ORDER}
train_loader = Batches(*train_set.tensors, as_they_are, BATCH_SIZE, shuffle={config.training.shuffle})
validation_loader = Batches(*validation_set.tensors, as_they_are, 1000)
test_loader = Batches(*test_set.tensors, as_they_are, 1000)'''
