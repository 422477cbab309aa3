"""A Dataset put together from lines that a learner chooses, run for real, and what went wrong said as Python says it.

Nothing here runs text: each line that can be chosen stands beside a function that does the same. The tests run the assembled
program itself, with every line exchanged and for combinations at random, and compare what it prints, what it raises and where.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from core.errors import reason
from core.labs.data_folder import FOLDER, IMAGES, SIDE, TABLE, Item, script_head
from core.labs.dataset_faults import Picked, decoders_load, faults
from core.torchvision_guard import torchvision


@dataclass(frozen=True)
class Option:
    """One way to write a line: the code, and a function that does what it does."""

    code: str
    run: Callable[..., Any]


@dataclass(frozen=True)
class Line:
    """One line to choose. where: the method it is in; what: what it has to do; before: what stands to the left of it."""

    where: str
    what: str
    before: str
    options: dict[str, Option]


def _read(file: Path, **how: Any) -> Any:
    import pandas as pd  # 45 MB that a server needs for nothing else: only once somebody has chosen all lines

    return pd.read_csv(file, **how)


def _nothing(image: Any, label: Any) -> None:
    """A tuple that nobody returns."""


LINES: dict[str, Line] = {
    "read": Line("__init__", "Read the CSV, which has no header.", "self.img_labels = ", {
        "plain": Option("pd.read_csv(annotations_file)", lambda file: _read(file)),
        "header": Option("pd.read_csv(annotations_file, header=None)", lambda file: _read(file, header=None)),
        "names": Option('pd.read_csv(annotations_file, names=["file", "label"])',
                        lambda file: _read(file, names=["file", "label"])),
    }),
    "length": Line("__len__", "Say how many samples there are.", "return ", {
        "columns": Option("len(self.img_labels.columns)", lambda self: len(self.img_labels.columns)),
        "rows": Option("len(self.img_labels)", lambda self: len(self.img_labels)),
        "size": Option("self.img_labels.size", lambda self: self.img_labels.size),
        "shape": Option("self.img_labels.shape", lambda self: self.img_labels.shape),
    }),
    "path": Line("__getitem__", "Find the file of sample number idx.", "img_path = ", {
        "bare": Option("self.img_labels.iloc[idx, 0]", lambda self, idx: self.img_labels.iloc[idx, 0]),
        "next": Option("os.path.join(self.img_dir, self.img_labels.iloc[idx + 1, 0])",
                       lambda self, idx: os.path.join(self.img_dir, self.img_labels.iloc[idx + 1, 0])),
        "row": Option("os.path.join(self.img_dir, self.img_labels.iloc[idx])",
                      lambda self, idx: os.path.join(self.img_dir, self.img_labels.iloc[idx])),
        "joined": Option("os.path.join(self.img_dir, self.img_labels.iloc[idx, 0])",
                         lambda self, idx: os.path.join(self.img_dir, self.img_labels.iloc[idx, 0])),
    }),
    "image": Line("__getitem__", "Read that file.", "image = ", {
        "open": Option("Image.open(img_path)", lambda path: Image.open(path)),
        "decode": Option("decode_image(img_path)", lambda path: torchvision.io.decode_image(path)),
        "tensor": Option("pil_to_tensor(Image.open(img_path))",
                         lambda path: torchvision.transforms.PILToTensor()(Image.open(path))),
    }),
    "label": Line("__getitem__", "Get its label.", "label = ", {
        "first": Option("self.img_labels.iloc[idx, 0]", lambda self, idx: self.img_labels.iloc[idx, 0]),
        "second": Option("self.img_labels.iloc[idx, 1]", lambda self, idx: self.img_labels.iloc[idx, 1]),
        "named": Option('self.img_labels["label"][idx]', lambda self, idx: self.img_labels["label"][idx]),
        "next": Option("self.img_labels.iloc[idx + 1, 1]", lambda self, idx: self.img_labels.iloc[idx + 1, 1]),
    }),
    "give": Line("__getitem__", "Give the sample to whoever asked.", "", {
        "image": Option("return image", lambda image, label: image),
        "both": Option("return image, label", lambda image, label: (image, label)),
        "forgot": Option("image, label", _nothing),
    }),
    "transform": Line("where the Dataset is made", "Which transform each image goes through.", "transform=", {
        "none": Option("None", lambda: None),
        "to_tensor": Option("ToTensor()", lambda: torchvision.transforms.ToTensor()),
        "convert": Option("ConvertImageDtype(torch.float32)",
                          lambda: torchvision.transforms.ConvertImageDtype(torch.float32)),
    }),
}
# what the tutorials have, which reads a CSV whose first line is a header; with Pillow, so that it runs everywhere
TUTORIAL: dict[str, str] = {"read": "plain", "length": "rows", "path": "joined", "image": "open", "label": "second",
                            "give": "both", "transform": "to_tensor"}
RIGHT: dict[str, str] = TUTORIAL | {"read": "header"}

TORCHVISION = '''from torchvision.io import decode_image
from torchvision.transforms import ConvertImageDtype, ToTensor
from torchvision.transforms.functional import pil_to_tensor'''
CLASS = '''class CustomImageDataset(Dataset):
    def __init__(self, annotations_file, img_dir, transform=None, target_transform=None):
        {read}
        self.img_dir = img_dir
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self):
        {length}

    def __getitem__(self, idx):
        {path}
        {image}
        {label}
        if self.transform:
            image = self.transform(image)
        if self.target_transform:
            label = self.target_transform(label)
        {give}
'''
USE = '''dataset = CustomImageDataset("digits/labels.csv", "digits/images", {transform})
print(len(dataset), "samples")
image, label = dataset[0]
for idx in range(len(dataset)):
    image, label = dataset[idx]
images, labels = next(iter(DataLoader(dataset, batch_size=10)))
print(images.shape, images.dtype, labels)
logits = nn.Linear(8 * 8, 10)(images.flatten(1))
print(nn.functional.cross_entropy(logits, labels))
'''
# places where the program can stop → the line as it stands there, without its indentation
PLACES = {
    "len": 'print(len(dataset), "samples")', "ask": "image, label = dataset[0]", "all": "image, label = dataset[idx]",
    "batch": "images, labels = next(iter(DataLoader(dataset, batch_size=10)))",
    "logits": "logits = nn.Linear(8 * 8, 10)(images.flatten(1))", "loss": "print(nn.functional.cross_entropy(logits, labels))"}
NOT_CHOSEN = "...  # choose this line"


def line_code(name: str, picked: Picked) -> str:
    """A line as it stands in the program, without its indentation; a placeholder where nothing has been chosen."""
    line = LINES[name]
    if name not in picked:
        return "transform=..." if name == "transform" else NOT_CHOSEN
    return line.before + line.options[picked[name]].code


def class_code(picked: Picked) -> str:
    """The class, with the lines that have been chosen."""
    return CLASS.format(**{name: line_code(name, picked) for name in LINES})


def use_code(picked: Picked) -> str:
    """What is done with the class: made, asked for every sample, and a batch of it brought to a layer and a loss."""
    return USE.format(transform=line_code("transform", picked))


def program(picked: Picked) -> str:
    """The whole program: makes the folder where there is none, and runs alone."""
    head = script_head(TORCHVISION, "DataLoader, Dataset")
    return f"{head}\n\n{class_code(picked)}\n\n{use_code(picked)}"


@dataclass(frozen=True)
class Stop:
    """An error, as Python says it. frames: (line number in program(), name of the function, the line), outermost first, without
    those inside of libraries. place: the innermost one's name in LINES or PLACES; at: which sample was asked for, if any."""

    kind: str
    message: str
    frames: tuple[tuple[int, str, str], ...]
    place: str
    at: int | None

    def text(self) -> str:
        """A traceback with the frames of the program alone."""
        frames = [f'  File "own_dataset.py", line {number}, in {name}\n    {line}' for number, name, line in self.frames]
        return "\n".join(["Traceback (most recent call last):", *frames, f"{self.kind}: {self.message}"])


@dataclass(frozen=True)
class Seen:
    """One sample as the Dataset gave it. image: what it is, in words; pixels: (1, 8, 8) uint8 where there are any; label: its
    value and type."""

    image: str
    pixels: Tensor | None
    label: str


@dataclass(frozen=True)
class Outcome:
    """What came of running a choice of lines.

    printed: what the program printed. length: len(dataset), None where that failed. samples: the first three that could be
    taken. stop: the error, if any. found: what is wrong although nothing was raised, as compared with the files, one fact each.
    right: no error, and every sample is what the folder holds. why: what is behind the error or behind what was found.
    """

    printed: tuple[str, ...]
    length: int | None
    samples: tuple[Seen, ...]
    stop: Stop | None
    found: tuple[str, ...]
    right: bool
    why: tuple[str, ...]


@dataclass
class _Trail:
    """Where the program is, and what it has got so far."""

    place: str = ""
    inside: str = ""  # the line of the class
    at: int | None = None
    length: int | None = None
    printed: list[str] = field(default_factory=list)
    got: list[tuple[Any, Any]] = field(default_factory=list)


class _Chosen(Dataset):
    """The class of CLASS with the chosen options in it; it notes where it is."""

    def __init__(self, picked: Picked, trail: _Trail, root: Path) -> None:
        self.chosen = {name: line.options[picked[name]].run for name, line in LINES.items()}
        self.trail = trail
        self.img_labels = self.chosen["read"](root / FOLDER / TABLE)
        self.img_dir = str(root / FOLDER / IMAGES)
        self.transform = self.chosen["transform"]()

    def __len__(self) -> int:
        return self.chosen["length"](self)

    def __getitem__(self, idx: int) -> Any:
        self.trail.inside = "path"
        path = self.chosen["path"](self, idx)
        self.trail.inside = "image"
        image = self.chosen["image"](path)
        self.trail.inside = "label"
        label = self.chosen["label"](self, idx)
        self.trail.inside = "transform"
        if self.transform:
            image = self.transform(image)
        self.trail.inside = ""
        return self.chosen["give"](image, label)


def run(picked: Picked, root: Path, truth: list[Item]) -> Outcome:
    """Run the program with these lines on the folder below `root`, which write_folder() made. Raises KeyError where a line has
    not been chosen or does not exist, and OSError where the folder is not there. PyTorch's random state is left as it was."""
    trail = _Trail()
    dataset = _Chosen(picked, trail, root)
    try:
        with torch.random.fork_rng(devices=[]):
            _use(dataset, trail)
    except Exception as error:  # whatever a chosen line raises is what the page shows
        stop = _stop(error, picked, trail, root)
    else:
        stop = None
    found = () if stop else tuple(_compare(trail, truth))
    return Outcome(tuple(trail.printed), trail.length, tuple(_seen(*pair) for pair in trail.got[:3]), stop, found,
                   not stop and not found, tuple(_why(picked, stop)))


def _use(dataset: _Chosen, trail: _Trail) -> None:
    """What USE does."""
    trail.place = "len"
    trail.length = len(dataset)
    trail.printed.append(f"{trail.length} samples")
    trail.place, trail.at = "ask", 0
    image, label = dataset[0]
    trail.place = "all"
    for idx in range(trail.length):
        trail.at = idx
        image, label = dataset[idx]
        trail.got.append((image, label))
    trail.place, trail.at = "batch", None
    images, labels = next(iter(DataLoader(dataset, batch_size=10)))
    trail.inside = ""
    trail.printed.append(f"{images.shape} {images.dtype} {labels}")
    trail.place = "logits"
    logits = nn.Linear(SIDE * SIDE, 10)(images.flatten(1))
    trail.place = "loss"
    trail.printed.append(str(nn.functional.cross_entropy(logits, labels)))


def _stop(error: Exception, picked: Picked, trail: _Trail, root: Path) -> Stop:
    lines = program(picked).splitlines()
    stripped = [line.strip() for line in lines]
    code = PLACES[trail.place]
    frames = [(stripped.index(code) + 1, "<module>", code)]
    if trail.inside:
        code = "image = self.transform(image)" if trail.inside == "transform" else line_code(trail.inside, picked)
        frames.append((stripped.index(code) + 1, "__getitem__", code))
    message = str(error).replace(f"{root}{os.sep}", "")  # the folder lies elsewhere here
    return Stop(type(error).__name__, message or reason(error), tuple(frames), trail.inside or trail.place, trail.at)


def _seen(image: Any, label: Any) -> Seen:
    pixels = _pixels(image)
    if isinstance(image, Tensor):
        about = (f"tensor {tuple(image.shape)}, {str(image.dtype).removeprefix('torch.')}, "
                 f"{image.min().item():.3g} to {image.max().item():.3g}")
    else:
        about = f"Pillow image, {image.width}×{image.height}, mode {image.mode}" if pixels is not None else type(image).__name__
    return Seen(about, pixels, f"{label} ({type(label).__name__})")


def _pixels(image: Any) -> Tensor | None:
    """(1, 8, 8) uint8 of what the Dataset gave as an image; None where it is none."""
    if isinstance(image, Tensor):
        return image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
    return torchvision.transforms.PILToTensor()(image) if isinstance(image, Image.Image) else None


def _compare(trail: _Trail, truth: list[Item]) -> list[str]:
    """What the samples are not, by the files themselves."""
    found, count = [], len(trail.got)
    if count != len(truth):
        found.append(f"len(dataset) is {count}, but the CSV has {len(truth)} lines.")
    places = [next((i for i, item in enumerate(truth) if torch.equal(item.pixels, pixels)), None)
              for pixels in (_pixels(image) for image, _ in trail.got) if pixels is not None]
    missing = sorted(set(range(len(truth))) - set(places))
    if missing and count >= len(truth) - 1:
        found.append(f"{truth[missing[0]].name} is never asked for.")
    for index, (place, (_, label)) in enumerate(zip(places, trail.got, strict=True)):
        if place is not None and truth[place].label != label:
            found.append(f"dataset[{index}] pairs {truth[place].name} with the label {label}; "
                         f"the CSV says {truth[place].label}.")
            break
        if place is not None and place != index and missing[:1] != [0]:
            found.append(f"dataset[{index}] is {truth[place].name}; line {index} of the CSV names {truth[index].name}.")
            break
    return found


def _why(picked: Picked, stop: Stop | None) -> list[str]:
    """What is behind an error; all that is wrong where there was none."""
    there = faults(picked, decoders_load())
    return [fault.text for fault in there if stop is None
            or any(place == stop.place and stop.kind in kinds for place, kinds in fault.stops)]
