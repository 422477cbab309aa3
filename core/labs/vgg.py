"""The lab on transfer learning: torchvision's VGG-16 with ImageNet's weights, where they are on this machine.

Its sizes are counted on the meta device, without memory for its numbers. The weights are 553 MB: they are never downloaded from
here, only found, and read as a memory-mapped file of tensors and of nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.data import Dataset, Split
from core.labs.transfer import Count, count
from core.transforms import resize
from core.wording import size_of_bytes

FILE = "vgg16-397923af.pth"  # torchvision's name for VGG16_Weights.DEFAULT, with the beginning of its SHA-256
BYTES = 553_433_881
FOLDER = "weights"  # in the data directory, for files that a person brings
SIDE = 64  # pixels; ImageNet's 224 take twelve times as long, and the features are pooled to 7×7 in any case
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights were trained with
AT_ONCE = 25  # images
MOST_TEST = 100

LINES = '''import torch
from torch import nn
from torchvision.models import VGG16_Weights, vgg16

weights = VGG16_Weights.DEFAULT  # 553 MB, downloaded once and kept in torch.hub.get_dir()
model = vgg16(weights=weights)
preprocess = weights.transforms()  # resize to 224×224 and normalise as the weights were trained

for parameter in model.parameters():
    parameter.requires_grad = False  # frozen: no gradient, no step
model.classifier[6] = nn.Linear(4096, {classes})  # the new head; a fresh layer learns

trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
print(f"{{trainable:,}} trainable, {{frozen:,}} frozen")  # {trainable:,} trainable, {frozen:,} frozen

optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-3)
'''


class WeightsUnusable(ValueError):
    """A file of weights that is not VGG-16's; the message is one line."""


@dataclass(frozen=True)
class Sizes:
    """VGG-16's numbers as it comes; with all frozen but a new last layer; and with only its convolutions frozen."""

    whole: int
    head_only: Count
    convolutions_frozen: Count


def on_meta() -> nn.Module:
    """torchvision's VGG-16 without numbers."""
    from core.torchvision_guard import torchvision  # half a second that only those who want it pay

    with torch.device("meta"):
        return torchvision.models.vgg16()


def sizes(classes: int, make: Callable[[], nn.Module] = on_meta) -> Sizes:
    """Counts with a new last layer for so many classes."""
    model = make()
    whole = count(model).trainable
    _new_last(model, classes)
    model.get_submodule("features").requires_grad_(False)
    convolutions = count(model)
    model.requires_grad_(False)
    model.get_submodule("classifier.6").requires_grad_(True)
    return Sizes(whole, count(model), convolutions)


def lines(classes: int) -> str:
    """The code, with what it prints."""
    counted = sizes(classes).head_only
    return LINES.format(classes=classes, trainable=counted.trainable, frozen=counted.frozen)


def _new_last(model: nn.Module, classes: int) -> None:
    classifier = model.get_submodule("classifier")
    with torch.device("meta"):
        setattr(classifier, "6", nn.Linear(classifier.get_submodule("6").in_features, classes))  # pyright: ignore[reportArgumentType]  # a number


def find_weights(data_dir: Path, hub_dir: Path | None = None) -> Path | None:
    """A file of VGG-16's weights: torchvision's own in torch's cache, else vgg16….pth or .safetensors in the data directory's
    folder weights; None where there is none."""
    cache = (Path(torch.hub.get_dir()) if hub_dir is None else hub_dir) / "checkpoints" / FILE
    brought = sorted(path for path in (data_dir / FOLDER).glob("vgg16*") if path.suffix in {".pth", ".safetensors"})
    return next((path for path in [cache, *brought] if path.is_file()), None)


def where_to_put(data_dir: Path) -> str:
    """One line for a machine without the weights."""
    return (f"ImageNet's weights are not on this machine ({size_of_bytes(BYTES)}). Where it is online, "
            "python -c \"from torchvision.models import *; vgg16(weights=VGG16_Weights.DEFAULT)\" fetches them; or put "
            f"{FILE} into {data_dir / FOLDER}. Then they are used here.")


def read_weights(path: Path, make: Callable[[], nn.Module] = on_meta) -> nn.Module:
    """VGG-16 with the weights of a file, in evaluation mode. The file is mapped: its numbers are read as they are needed.

    Raises WeightsUnusable for what is no file of exactly these tensors.
    """
    model = make()
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # also pickle.UnpicklingError, whose module nothing in here imports
        raise WeightsUnusable(f"{path.name} can't be read as a file of tensors ({type(error).__name__}). Fetch it "
                              "again.") from None
    expected = model.state_dict()
    if not isinstance(tensors, dict) or {name: getattr(value, "shape", None) for name, value in tensors.items()} != {
            name: value.shape for name, value in expected.items()}:
        raise WeightsUnusable(f"{path.name} does not hold VGG-16's tensors: names or shapes differ.")
    if any(value.dtype != torch.float32 or value.layout != torch.strided for value in tensors.values()):
        raise WeightsUnusable(f"{path.name} holds numbers of another format than float32, one after the other.")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def features(model: nn.Module, split: Split, report: Callable[[float], object] = lambda share: None, side: int = SIDE) -> Tensor:
    """What reaches the last layer for each image, (N, 4096) float32. Frozen, they need computing once.

    Args:
        report: told the share that is done, 0 to 1.
    """
    body = nn.Sequential(model.get_submodule("features"), model.get_submodule("avgpool"), nn.Flatten(),
                         *list(model.get_submodule("classifier").children())[:-1])
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    found: list[Tensor] = []
    with torch.inference_mode():
        for positions in torch.arange(len(split)).split(AT_ONCE):
            images, _ = split.take(positions)
            pixels = resize(images, side).float() / 255
            found.append(body(((pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels) - mean) / std))
            report(sum(map(len, found)) / len(split))
    return torch.cat(found)


def last_layer(inputs: int, classes: int, seed: int) -> nn.Module:
    """The new head alone; PyTorch's global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(inputs, classes))


def as_points(data: Dataset, train: Split, test: Split, train_features: Tensor, test_features: Tensor) -> tuple[Dataset, Split]:
    """The same examples as rows of features, which a last layer alone learns from: the data set and its training split."""
    def rows(split: Split, values: Tensor) -> Split:
        return Split(values.clone(), split.labels[split.rows].clone(), torch.arange(len(values)))

    learned = rows(train, train_features)
    width = train_features.shape[1]
    return replace(data, kind="points", mean=(0.0,) * width, std=(1.0,) * width, transforms=(), train=learned,
                   test=rows(test, test_features)), learned
