"""How well presets read drawings: python -m benchmarks.drawing_quality [--seeds 3] [--presets NAME …].

Four measures for each preset, trained anew with each seed: its own test images; scikit-learn's 1,797 digits enlarged to
280×280 and passed through core.data.drawing.prepare; digits drawn as pen strokes (tests/strokes.py) on a 280-pixel canvas, 12
to 28 pixels wide, from a fifth of the canvas to all of it, anywhere on it, upright and slanted by 15° to either side; and the
same with other skeletons in the hands of other people (tests/other_hands.py), for which the share of each style that is
misread is printed too, and of wrong and right answers the share that is doubted. Needs MNIST (digits-quick does not) and the
development requirements.
"""

import argparse
import math
from itertools import product
from statistics import mean

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.conditions import conditions
from core.config import RunConfig
from core.data.drawing import prepare
from core.devices import select_device
from core.evaluation import evaluate
from core.evaluation.ood.score import learn_reference
from core.presets import PRESETS
from core.settings import Settings
from core.training import fit
from core.training import prepare as prepare_run
from core.training.inference import evaluation_mode
from tests.other_hands import Hand, drawn, hands
from tests.strokes import VARIANTS, draw

CANVAS = 280
NAMES = {"mnist-cnn-fast": "no augmentation", "mnist-cnn-record": "no augmentation, label smoothing",
         "mnist-handwriting": "the default augmentation",
         "digits-quick": "varied copies, some of them written anew; no MNIST"}
AIMS = {"its own test images": 99.0, "scikit-learn's digits": 93.0, "drawn strokes": 98.0, "other hands": 98.0}


def drawn_strokes(every: int = 1) -> tuple[Tensor, Tensor]:
    """Prepared drawings (N, 1, 28, 28) and their digits; only each `every`-th way to draw them.

    A pen wider than a fifth of its digit would leave a blot, and is left out.
    """
    chance, images, labels = np.random.default_rng(0), [], []
    ways = product(VARIANTS, (12, 16, 20, 24, 28), (56, 90, 140, 200, CANVAS), (-15, 0, 15))
    for (digit, variant), pen, side, slant in [way for way in ways if way[1] <= 0.22 * way[2]][::every]:
        ink = Image.fromarray(draw(digit, variant, pen * CANVAS / side, CANVAS, paper=(255, 255, 255, 0)))
        lean = math.tan(math.radians(slant))
        ink = ink.transform(ink.size, Image.Transform.AFFINE, (1, lean, -CANVAS / 2 * lean, 0, 1, 0), Image.Resampling.BICUBIC)
        canvas = np.zeros((CANVAS, CANVAS, 4), np.uint8)
        left, top = chance.integers(0, CANVAS - side + 1, 2)
        canvas[top:top + side, left:left + side] = np.asarray(ink.resize((side, side), Image.Resampling.LANCZOS))
        images.append(prepare(canvas).image)
        labels.append(digit)
    return torch.stack(images), torch.tensor(labels)


def enlarged_digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits as if they had been drawn."""
    digits, images = load_digits(), []
    for ink in digits.images:
        large = Image.fromarray((ink / 16 * 255).astype(np.uint8)).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
        shade = 255 - np.asarray(large)
        images.append(prepare(np.stack([shade, shade, shade, np.full_like(shade, 255)], axis=2)).image)
    return torch.stack(images), torch.from_numpy(digits.target)


def misread(people: list[Hand], right: Tensor) -> str:
    """The styles that are not always read, with the share of each that is."""
    styles: dict[tuple[int, str], list[bool]] = {}
    for hand, found in zip(people, right.tolist(), strict=True):
        styles.setdefault((hand.digit, hand.style), []).append(found)
    return ", ".join(f"{digit} {style} {mean(found):.0%}".replace("%", " %") for (digit, style), found in styles.items()
                     if not all(found)) or "none"


def measure(config: RunConfig, settings: Settings, sets: dict[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Percent right of each set, after one training."""
    data, model = prepare_run(config, settings.data_dir, settings.cache_dir)
    for _ in fit(config, data, model, select_device()):
        pass
    familiar = learn_reference(model, data, config.data.variations)
    right = {"its own test images": 100 * (evaluate(model, data, config).accuracy or 0)}
    for name, (images, labels) in sets.items():
        with evaluation_mode(model), torch.inference_mode():
            found = model((images - data.mean[0]) / data.std[0]).argmax(1) == labels
        right[name] = 100 * found.float().mean().item()
        if not bool(found.all()):
            unlike = familiar.scores(model, images, data.mean, data.std) > 1
            doubted = [f"{unlike[which].float().mean():.1%}".replace("%", " %") for which in (~found, found)]
            print(f"  seed {config.training.seed}, {name}: of {int((~found).sum())} wrong answers {doubted[0]} are doubted, of "
                  f"right ones {doubted[1]}")
        if name == "other hands":
            print(f"  seed {config.training.seed}, not always read: {misread(hands(), found)}")
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--presets", nargs="*", default=list(NAMES), choices=list(NAMES))
    args = parser.parse_args()
    settings = Settings.from_environment()
    print(conditions())
    people = hands()
    sets = {"scikit-learn's digits": enlarged_digits(), "drawn strokes": drawn_strokes(),
            "other hands": (torch.stack([prepare(drawn(hand)).image for hand in people]),
                            torch.tensor([hand.digit for hand in people]))}
    print(", ".join(f"{len(images):,} {name}" for name, (images, _) in sets.items()))
    for name in args.presets:
        print(f"{name} ({NAMES[name]})")
        found = [measure(PRESETS[name].config.with_values({"training.seed": seed}), settings, sets) for seed in range(args.seeds)]
        for what, aim in AIMS.items():
            values = [one[what] for one in found]
            print(f"  {what:<24} mean {mean(values):.2f} % (aim {aim:g} %; {', '.join(f'{value:.2f}' for value in values)})")


if __name__ == "__main__":
    main()
