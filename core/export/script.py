"""A run as a plain PyTorch script, as the classic notes write it: no project imports, one file, a DataLoader and two loops."""

from pathlib import Path
from typing import Literal

from core.config import DataConfig, RunConfig
from core.data import FEATURES, DatasetSpec, Outline, fixed_normalization, load, spec_of
from core.data.sources.generated import RULES, TEST_POINTS, split_seeds
from core.export.combine_code import choosing, is_chosen, refuse_combined, renumbering
from core.export.digits_code import preparing_code, varying_code
from core.export.forward import ExportError
from core.export.model_class import imports_of, model_class
from core.export.points_code import drawing_code
from core.export.training_code import training_code
from core.export.transforms_code import normalize_line, tensor_data, torchvision_data
from core.models import ARCHITECTURES
from core.presets import title_of
from core.settings import default_data_dir
from core.training import check, outputs_for

# Settings that a script says, or that change nothing of what it would say
WRITTEN = {"dataset", "task", "target", "normalization", "validation", "variations", "split_seed", "loss", "optimizer",
           "batch_size", "epochs", "seed", "precision", "device", "threads", "name", "learning_rate", "momentum", "nesterov",
           "weight_decay", "beta1", "beta2", "alpha", "label_smoothing", "schedule", "gradient_clipping", "initialization",
           "early_stopping", "keep", "points", "noise", "features", "added", "l1", "transforms", "join", "join_times",
           "only_classes", "fraction", "imbalance", "label_noise", "channel_mean", "channel_std",
           "vocabulary", "text_length", "text_file"}  # for texts alone, which have no script


def script(config: RunConfig, root: Path | None = None) -> str:
    """A complete training script for exactly this run: the same images, split, normalisation, network, loss and optimizer.

    The order of images and the first weights are drawn from the same seed, but in PyTorch's usual way, and arithmetic is
    float32, so results agree as two runs with different seeds do.

    Args:
        root: the data directory; the environment's if None. Only labels are read there, where the split depends on them.

    Raises:
        DataError, ConfigError, ModelError: a run of it would be refused, with this line. ExportError: it has no plain PyTorch
        counterpart, or the network can't be written.
    """
    shape, spec = check_as_run(config, root), spec_of(config.data.dataset, root)
    _refuse_unknown(config)
    outputs = outputs_for(config, len(shape.source_classes))
    network = model_class(config.model, shape.input_shape, outputs, imports=False)
    name = network.rpartition("\nclass ")[2].removeprefix("class ").split("(")[0]
    parts = [_constants(config), _data(config, spec), _loaders(), network.rstrip(),
             training_code(config, shape, name, outputs), _testing(shape), _saving(config)]
    text = "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
    return "\n\n".join([_head(config), imports_of(text), text])


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


def _head(config: RunConfig) -> str:
    """What the script does, as its docstring."""
    title = title_of(config)
    return f'"""{title}{"" if title.endswith("?") else "."} Trains, tests and saves the network in plain PyTorch."""'


def _constants(config: RunConfig) -> str:
    training, data = config.training, config.data
    held = "points of their own to check each epoch with" if data.dataset in RULES else "images held back"
    lines = [f"BATCH_SIZE = {training.batch_size}", f"EPOCHS = {training.epochs}",
             f"LEARNING_RATE = {training.optimizer.learning_rate!r}", f"VALIDATION = {data.validation}  # {held}",
             *([f"TARGET = {data.target}  # the class that “yes” is about"] if data.task == "is_target" else []),
             *([f"COPIES = {data.variations}  # varied copies of each training image"] if data.variations else []),
             "", *([] if training.threads == "auto" else [f"torch.set_num_threads({training.threads})"]),
             f"torch.manual_seed({training.seed})", f"device = torch.device({_device(config)})"]
    return "\n".join(lines)


def _device(config: RunConfig) -> str:
    wanted = config.training.device
    return '"cuda" if torch.cuda.is_available() else "cpu"' if wanted == "auto" else f'"{wanted}"'


def _data(config: RunConfig, spec: DatasetSpec) -> str:
    """Lines that make train_set, validation_set and test_set."""
    refuse_combined(config.data, spec)
    if config.data.dataset == "digits":
        return _digits(config.data, spec)
    if config.data.dataset in RULES:
        return _points(config.data, spec)
    if spec.kind == "text":
        raise ExportError(f"{spec.title} has no plain script yet; the page “Text” has one that learns from a dozen reviews.")
    if not spec.torchvision:
        raise ExportError(f"{spec.title} can't be loaded in a plain script: torchvision does not have it in this form.")
    if config.data.variations:
        raise ExportError("Varied copies are written for scikit-learn's digits only; set data.variations to 0.")
    return _torchvision(config.data, spec)


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


def _split(data: DataConfig) -> str:
    return (f"# the same images held back each time\norder = torch.randperm({{count}}, generator=torch.Generator().manual_seed("
            f"{data.split_seed}))\nvalidation_rows, train_rows = order[:VALIDATION], order[VALIDATION:]")


def _torchvision(data: DataConfig, spec: DatasetSpec) -> str:
    name = spec.torchvision
    load = f'datasets.{name}("data", train={{train}}, download=True, transform=transform)'
    split = _chosen_split(data, spec)
    if data.transforms:
        fixed = fixed_normalization(data, spec.input_shape[0])
        last = normalize_line(*fixed) if fixed and data.normalization in {"imagenet", "channels"} else None
        return torchvision_data(name, data.transforms, data.normalization, split, last)
    if data.normalization == "standard":
        first = f'training = datasets.{name}("data", train=True, download=True)'
        gray = ("pixels = training.data[train_rows] / 255  # (N, 28, 28), from 0 to 1\n"
                "mean, std = (pixels.mean().item(),), (pixels.std(correction=0).item(),)\n")
        colour = ("pixels = torch.from_numpy(training.data)[train_rows] / 255  # (N, H, W, 3), from 0 to 1\n"
                  "mean, std = pixels.mean((0, 1, 2)).tolist(), pixels.std((0, 1, 2), correction=0).tolist()\n")
        statistics = ((colour if spec.input_shape[0] == 3 else gray)
                      + "transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])\n"
                        "training.transform = transform")
        lines = [first, split, statistics]
    else:
        mean, std = fixed_normalization(data, spec.input_shape[0]) or ((), ())
        if data.normalization == "half":
            mean, std = (0.5,), (0.5,)
        transform = "transforms.ToTensor()  # pixels from 0 to 1" if data.normalization == "none" else \
            f"transforms.Compose([transforms.ToTensor(), transforms.Normalize({mean}, {std})])"
        transform += "  # pixels from −1 to 1" if data.normalization == "half" else ""
        lines = [f"transform = {transform}", f"training = {load.format(train=True)}", split]
    test = [f"test_set = {load.format(train=False)}"]
    if data.only_classes:
        test += ["test_labels = new_label[torch.as_tensor(test_set.targets)]", "test_set.targets = test_labels.tolist()",
                 "test_set = Subset(test_set, (test_labels >= 0).nonzero()[:, 0])"]
    return "\n".join([*lines, "train_set = Subset(training, train_rows)", "validation_set = Subset(training, validation_rows)",
                      *test])


def _chosen_split(data: DataConfig, spec: DatasetSpec) -> str:
    """train_rows and validation_rows of `training`, a data set of torchvision, with what is left out or spoiled."""
    if not data.only_classes and not is_chosen(data):
        return _split(data).format(count="len(training)")
    labels = "torch.as_tensor(training.targets)"
    if not data.only_classes:
        lines = [f"labels = {labels}.clone()", _split(data).format(count="len(training)")]
    else:
        lines = [renumbering(data, spec), f"labels = new_label[{labels}]", "learn_rows = (labels >= 0).nonzero()[:, 0]",
                 _split(data).format(count="len(learn_rows)"),
                 "train_rows, validation_rows = learn_rows[train_rows], learn_rows[validation_rows]"]
    return "\n".join([*lines, choosing(data, spec), "training.targets = labels.tolist()"])


def _digits(data: DataConfig, spec: DatasetSpec) -> str:
    fixed = fixed_normalization(data, 1)
    mean, std = (repr(numbers[0]) for numbers in fixed) if fixed else ("pixels.mean().item()", "pixels.std(correction=0).item()")
    last = normalize_line(*fixed) if fixed and data.normalization in {"imagenet", "channels"} else None
    copies = ("images = np.concatenate([images, vary(images[:, 0], COPIES)[:, None]])\n"
              "labels = labels.repeat(COPIES + 1)\n") if data.variations else ""
    classes = (f"{renumbering(data, spec)}\nlabels = new_label[labels]\n"
               "test_rows, learn_rows = (rows[(labels[rows] >= 0).numpy()] for rows in (test_rows, learn_rows))\n"
               ) if data.only_classes else ""
    rows = "train_rows, validation_rows = learn_rows[train_rows.sort().values], learn_rows[validation_rows.sort().values]"
    if is_chosen(data):
        rows = ("learn_rows = torch.from_numpy(learn_rows)\n"
                "train_rows, validation_rows = learn_rows[train_rows], learn_rows[validation_rows.sort().values]\n"
                + choosing(data, spec) + "\ntrain_rows, validation_rows = train_rows.numpy(), validation_rows.numpy()")
    blank = '\n\n\n'
    return f'''# scikit-learn's digits have 8×8 pixels. These functions make MNIST's form of them: 20×20 pixels of ink in a 28×28
# frame, placed by their centre of mass.
{preparing_code()}{blank + varying_code() if data.variations else ""}

digits = load_digits()
pixels = np.stack([enlarge(ink) for ink in (digits.images / 16).astype(np.float32)])
pixels = np.rint(pixels * 255).astype(np.uint8)[:, None]  # (1797, 1, 28, 28)
labels = torch.from_numpy(digits.target.astype(np.int64))

# a fifth is for testing, always the same; scikit-learn has no test set of its own
order = np.random.default_rng(0).permutation(len(pixels))
test_rows, learn_rows = np.sort(order[:TEST_IMAGES]), np.sort(order[TEST_IMAGES:])
{classes}{_split(data).format(count="len(learn_rows)")}
{rows}
test_images, test_labels = pixels[test_rows], labels[test_rows]
validation_images, validation_labels = pixels[validation_rows], labels[validation_rows]
images, labels = pixels[train_rows], labels[train_rows]
{copies}
pixels = torch.from_numpy(images) / 255  # from 0 to 1
mean, std = {mean}, {std}
{tensor_data(data.transforms, data.normalization, last) if data.transforms else NORMALIZED}'''


NORMALIZED = '''

def normalized(images, labels):
    return TensorDataset((torch.from_numpy(images) / 255 - mean) / std, labels)


train_set = normalized(images, labels)
validation_set = normalized(validation_images, validation_labels)
test_set = normalized(test_images, test_labels)'''


def _loaders() -> str:
    return '''train_loader = DataLoader(train_set, batch_size=BATCH_SIZE, shuffle=True)
validation_loader = DataLoader(validation_set, batch_size=1000)
test_loader = DataLoader(test_set, batch_size=1000)'''


def _testing(data: Outline) -> str:
    if data.target == "number":
        return 'print(f"test loss {evaluate(test_loader):.4f}")  # once, at the end'
    return '''test_loss, test_accuracy = evaluate(test_loader)  # once, at the end
print(f"test loss {test_loss:.4f}, test accuracy {test_accuracy:.2%}")'''


def _saving(config: RunConfig) -> str:
    name = ARCHITECTURES[config.model.architecture].short_title.lower().replace(" ", "-")
    return (f'torch.save(model.state_dict(), "{name}.pth")\n'
            f'# to use it again: model.load_state_dict(torch.load("{name}.pth", weights_only=True))')
