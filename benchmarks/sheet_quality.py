"""How well whole sheets are read: python -m benchmarks.sheet_quality [--seed 100] [--presets mnist-handwriting …].

Sheets of 100 digits, each row in another hand, on plain, ruled and squared paper and on a form, tilted, shadowed, blurred and
grained (tests/made_sheets.py). Two families of hands: ten that copy MNIST's test images, and ten that write with pen strokes
(tests/strokes.py and tests/other_hands.py). A digit is found where a mark's box and its own share half of what they cover
together; a mark that is no digit is false; read right counts over all digits, also those that were not found. Thresholds were
chosen on seeds below 100. Seconds go from the JPEG file, which a process of its own reads, to all presets' answers. Needs MNIST
and the development requirements; trains each preset anew.
"""

import argparse
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.conditions import conditions, spread
from core.data.drawing import Box, DrawingError
from core.data.drawing.photograph import read_upload
from core.data.drawing.sheet import SHEET_LONGEST, Sheet, find_sheet
from core.data.sources import DATASETS
from core.devices import select_device
from core.presets import PRESETS
from core.settings import Settings
from core.training import fit, prepare
from core.training.inference import evaluation_mode
from tests.made_sheets import Look, MadeSheet, Pen, image_pens, make_sheet, stroke_pens


@dataclass(frozen=True)
class Case:
    """A look, how tall the digits are and how large the place for each is, in pixels."""

    look: Look
    height: int = 64
    cell: tuple[int, int] = (140, 170)


CASES = {
    "plain": Case(Look()),
    "plain, 7°, shadow": Case(Look(tilt=7, shadow=0.5)),
    "plain, −10°, pencil, blur": Case(Look(tilt=-10, ink=0.4, blur=1.6, shadow=0.4)),
    "ruled": Case(Look("ruled")),
    "ruled, −10°, blur": Case(Look("ruled", tilt=-10, blur=1.8, shadow=0.3)),
    "ruled, dark, pencil": Case(Look("ruled", tilt=3, line=0.5, ink=0.45, shadow=0.4)),
    "squared": Case(Look("squared")),
    "squared, 10°, shadow": Case(Look("squared", tilt=10, shadow=0.5, blur=1.0)),
    "squared, dark, pencil": Case(Look("squared", tilt=-4, line=0.45, ink=0.45, grain=4)),
    "squared, small squares": Case(Look("squared", tilt=6, line=0.3, spacing=36, blur=1.3)),
    "squared, small digits": Case(Look("squared", tilt=-8, spacing=40, shadow=0.3), 40, (90, 100)),
    "a digit in each square": Case(Look("squared", tilt=5, spacing=64, shadow=0.3), 46, (64, 128)),
    "close together, ruled": Case(Look("ruled", tilt=-6, spacing=90), 64, (66, 150)),
    "form": Case(Look("form", tilt=2, line=0.6)),
    "form, 9°, black lines": Case(Look("form", tilt=9, line=0.75, shadow=0.3), 70, (100, 120)),
}


@dataclass(frozen=True)
class Score:
    """pairs: (index of a digit, index of the mark that is it). false: marks that are no digit."""

    pairs: list[tuple[int, int]]
    false: int


@dataclass(frozen=True)
class Result:
    """Of one sheet: how many digits it has, how many were found, false marks, digits read right by model, and seconds."""

    digits: int
    found: int
    false: int
    right: dict[str, int]
    seconds: float


def hands(family: str, seed: int, settings: Settings) -> list[Pen]:
    if family == "pen strokes":
        return stroke_pens(10, seed)
    raw = DATASETS["mnist"].read_images(settings.data_dir, settings.cache_dir)
    return image_pens(raw.test_images[:, 0].numpy(), raw.test_labels.numpy(), 10, seed)


def truth(made: MadeSheet, sheet: Sheet, scale: float = 1.0) -> list[Box]:
    """The digits' boxes in the sheet's picture. scale: of its pixels for each of what was made, where it was shrunk."""
    turn = math.radians(-sheet.tilt)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    before, after = (np.array(picture.shape[1::-1]) / 2 for picture in (made.rgba, sheet.picture))
    boxes = []
    for corners in (made.corners - before) @ matrix.T * scale + after:
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        boxes.append(Box(round(top), round(left), round(bottom - top), round(right - left)))
    return boxes


def score(made: MadeSheet, sheet: Sheet, scale: float = 1.0) -> Score:
    """Which marks are which digits: those whose boxes share at least half of the two together."""
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for digit, box in enumerate(truth(made, sheet, scale)):
        share, index = max(((overlap(box, mark.box), index) for index, mark in enumerate(sheet.marks) if index not in taken),
                           default=(0.0, -1))
        if share >= 0.5:
            pairs.append((digit, index))
            taken.add(index)
    return Score(pairs, len(sheet.marks) - len(taken))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; a box narrower than 0.4 of its height counts as that wide."""
    a, b = _widened(a), _widened(b)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    both = max(0, down) * max(0, across)
    return both / (a.height * a.width + b.height * b.width - both)


def _widened(box: Box) -> Box:
    more = max(0, round(0.4 * box.height) - box.width)
    return replace(box, left=box.left - more // 2, width=box.width + more)


def answers_of(name: str, settings: Settings) -> Callable[[Tensor], list[int]]:
    """What a preset, trained now, says of images (N, 1, 28, 28) in [0, 1]."""
    config = PRESETS[name].config
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    for _ in fit(config, data, model, select_device()):
        pass

    def answers(images: Tensor) -> list[int]:
        with evaluation_mode(model), torch.inference_mode():
            return model((images - data.mean[0]) / data.std[0]).argmax(1).tolist()

    return answers


def measure(case: Case, pens: list[Pen], seed: int, models: dict[str, Callable[[Tensor], list[int]]]) -> Result:
    made = make_sheet(pens, case.look, height=case.height, cell=case.cell, seed=seed)
    file = io.BytesIO()
    Image.fromarray(made.rgba[..., :3]).save(file, "JPEG", quality=90)
    started = time.perf_counter()
    try:
        pixels = read_upload(file.getvalue(), SHEET_LONGEST)
        sheet = find_sheet(pixels)
    except DrawingError as error:
        print(f"    {error}")
        return Result(len(made.digits), 0, 0, dict.fromkeys(models, 0), time.perf_counter() - started)
    images = torch.stack([mark.image for mark in sheet.marks])
    said = {name: model(images) for name, model in models.items()}
    seconds = time.perf_counter() - started
    found = score(made, sheet, max(pixels.shape) / max(made.rgba.shape))
    right = {name: sum(answers[mark] == made.digits[digit] for digit, mark in found.pairs) for name, answers in said.items()}
    return Result(len(made.digits), len(found.pairs), found.false, right, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--presets", nargs="*", default=["mnist-handwriting", "mnist-cnn-fast", "digits-quick"])
    args = parser.parse_args()
    settings = Settings.from_environment()
    print(conditions())
    models = {name: answers_of(name, settings) for name in args.presets}
    for family in ("MNIST test images", "pen strokes"):
        print(f"{family}: of the digits, found, false, and read right by {', '.join(models)}; the sheet's seconds")
        results = []
        for place, (name, case) in enumerate(CASES.items()):
            seed = args.seed + place
            result = measure(case, hands(family, seed, settings), seed, models)
            results.append(result)
            print(f"  {name:<26} {shares([result])}  {result.seconds:.2f} s")
        print(f"  {'all':<26} {shares(results)}")
        print(f"  a sheet takes {spread([result.seconds for result in results], 's')}")


def shares(results: list[Result]) -> str:
    digits = sum(result.digits for result in results)
    right = " ".join(f"{100 * sum(result.right[name] for result in results) / digits:6.2f} %" for name in results[0].right)
    found, false = (100 * sum(values) / digits for values in ([one.found for one in results], [one.false for one in results]))
    return f"{found:6.2f} %  {false:5.2f} %  {right}"


if __name__ == "__main__":
    main()
