"""The folder that the lab on data loading reads: 50 small images and a CSV without a header, the same on every computer.

The lab's scripts make the same folder themselves with MAKER; the tests compare the two file by file.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.data.sources.digits import bitmap_counts
from core.files import write_atomically

FOLDER, TABLE, IMAGES = "digits", "labels.csv", "images"
CLASSES, PER_CLASS, SIDE = 10, 5, 8
COUNT = CLASSES * PER_CLASS

# How every script of the lab begins. torchvision's wheel beside a torch for the CPU alone: see core.torchvision_guard
HEAD = '''{os}import sys
from pathlib import Path
from types import ModuleType

{pandas}import torch
from PIL import Image
from sklearn.datasets import load_digits
{data}
if torch.version.cuda is None:  # torchvision's wheel expects torch for CUDA: leave out the part that would stop its import
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))
{torchvision}


'''
MAKER = '''def make_folder(folder):
    """50 digits of 8×8 pixels that ship with scikit-learn, five of each class, and a CSV: file name and label on each line."""
    digits = load_digits()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for label in range(10):
        for row in (digits.target == label).nonzero()[0][:5]:
            name = f"img_{len(lines):02}.png"
            pixels = (digits.images[row] * 255 / 16).round().astype("uint8")  # ink from 0 to 16
            Image.fromarray(pixels).save(folder / "images" / name)
            lines.append(f"{name},{label}")
    (folder / "labels.csv").write_text("\\n".join(lines) + "\\n", encoding="utf-8")


if not Path("digits/labels.csv").exists():
    make_folder(Path("digits"))
'''


@dataclass(frozen=True)
class Item:
    """One line of the CSV and the image that it names: pixels (1, 8, 8) uint8."""

    name: str
    label: int
    pixels: Tensor


def all_digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits: (1797, 1, 8, 8) uint8, ink from 0 to 255, and labels (1797,) int64."""
    counts, labels = bitmap_counts()
    return torch.from_numpy((counts * 255 / 16).round().astype(np.uint8))[:, None], torch.from_numpy(labels)


def chosen_rows(labels: Tensor) -> Tensor:
    """(50,) int64: rows of all_digits() that are in the folder, the first five of each class, sorted by class."""
    return torch.cat([(labels == label).nonzero()[:PER_CLASS, 0] for label in range(CLASSES)])


def items() -> list[Item]:
    """What is in the folder, in the CSV's order."""
    images, labels = all_digits()
    return [Item(f"img_{number:02}.png", int(labels[row]), images[row]) for number, row in enumerate(chosen_rows(labels))]


def write_folder(root: Path) -> list[Item]:
    """Make the folder "digits" below `root`, but for what is there already; what is in it. Raises OSError as the system does."""
    found = items()
    for item in found:
        file = io.BytesIO()
        picture_of(item).save(file, format="PNG")
        _write(root / FOLDER / IMAGES / item.name, file.getvalue())
    _write(root / FOLDER / TABLE, "".join(f"{item.name},{item.label}\n" for item in found).encode())
    return found


def script_head(torchvision: str, data: str = "") -> str:
    """What every script of the lab begins with: imports, and the folder made where there is none. torchvision: lines that import
    from it; data: what comes from torch.utils.data, of a script that has a Dataset."""
    return HEAD.format(os="import os\n" if data else "", pandas="import pandas as pd\n" if data else "", torchvision=torchvision,
                       data=f"from torch import nn\nfrom torch.utils.data import {data}\n" if data else "") + MAKER


def _write(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, lambda file: file.write(content), durable=False)


def picture_of(item: Item) -> Image.Image:
    """The image as Pillow opens it: mode L, 8×8."""
    return Image.fromarray(item.pixels[0].numpy())


def tree(found: list[Item], first: int = 3) -> str:
    """The folder as a tree, of the images the first few and the last."""
    names = [item.name for item in found]
    shown = [*names[:first], "…", names[-1]]
    lines = [f"{FOLDER}/", f"├── {TABLE}", f"└── {IMAGES}/"]
    return "\n".join(lines + [f"    {'└' if name == names[-1] else '├'}── {name}" for name in shown])


def first_lines(found: list[Item], first: int = 4) -> str:
    """The CSV's first lines as they are in the file, and its last."""
    lines = [f"{item.name},{item.label}" for item in found]
    return "\n".join([*lines[:first], "…", lines[-1]])
