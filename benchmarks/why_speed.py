"""What asking why costs: python -m benchmarks.why_speed [--repeats 7]. Needs no data and no trained weights.

Milliseconds for each method on one image of 28×28, for the networks of the presets mnist-is-8-cnn with ten outputs and
mnist-mlp-50, with fresh weights (how they were trained changes no time but that of the smallest change, whose steps are
printed), and for a CNN on 64×64 in colour. Aim for the MNIST CNN: at most 1 s each. Then features of 10,000 images of 28×28,
and what Captum's import takes, in time and memory.
"""

import argparse
import importlib
import time
from collections.abc import Callable

import torch

from benchmarks.conditions import conditions, spread
from core.data.dataset import Split
from core.inspection.explain.attribution import grad_cam, integrated_gradients, occlusion, saliency
from core.inspection.explain.nearest import LastLinear, nearest_in_features
from core.inspection.explain.scores import ClassScores, ExplanationError
from core.inspection.explain.smallest_change import smallest_change
from core.models import build
from core.presets import PRESETS

MB = 1024  # kB


def resident() -> float:
    """Memory of this process in MB; NaN where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / MB
    except OSError:
        return float("nan")


def milliseconds(work: Callable[[], object], repeats: int) -> list[float]:
    """How long each of `repeats` calls takes, after one that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def measure(title: str, preset: str, shape: tuple[int, ...], repeats: int) -> None:
    """Print a network's figures."""
    model = build(PRESETS[preset].config.model, shape, 10, seed=0).eval()
    normal = ((0.5,) * shape[0],) * 2
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    scores, side = ClassScores(model, *normal), shape[-1]
    print(f"\n{title}: {sum(p.numel() for p in model.parameters()):,} parameters, image {'×'.join(map(str, shape))}")
    for name, work in {
        "private copy": lambda: ClassScores(model, *normal), "saliency": lambda: saliency(scores, image, 3),
        "integrated gradients, 32 steps": lambda: integrated_gradients(scores, image, 3),
        "Grad-CAM": lambda: grad_cam(scores, image, 3),
        "occlusion": lambda: occlusion(scores, image, 3, side // 7, side // 14),
        "smallest change": lambda: smallest_change(scores, image)}.items():
        try:
            print(f"  {name}: {spread(milliseconds(work, repeats), 'ms', 1)}")
        except ExplanationError as error:
            print(f"  {name}: {error}")
    print(f"  occlusion asked {occlusion(scores, image, 3, side // 7, side // 14).asked} times; smallest change took "
          f"{smallest_change(scores, image).steps} gradients")
    if side == 28:
        pixels = torch.randint(0, 256, (10_000, *shape), dtype=torch.uint8)
        split = Split(pixels, torch.zeros(10_000).long(), torch.arange(10_000))
        network = LastLinear(model, *normal, shape)
        print(f"  features of 10,000 images: {spread(milliseconds(lambda: network.of_split(split), 1), 'ms', 0)}")
        features = network.of_split(split)
        wanted = network.features(image[None])[0]
        print(f"  nearest of them: {spread(milliseconds(lambda: nearest_in_features(features, wanted, 12), repeats), 'ms', 1)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    print(conditions())
    before, start = resident(), time.perf_counter()
    importlib.import_module("captum.attr")
    print(f"{torch.get_num_threads()} thread(s); captum's import {time.perf_counter() - start:.2f} s, "
          f"+{resident() - before:.0f} MB")
    measure("mnist-is-8-cnn with ten outputs", "mnist-is-8-cnn", (1, 28, 28), args.repeats)
    measure("mnist-mlp-50", "mnist-mlp-50", (1, 28, 28), args.repeats)
    measure("the same CNN in colour", "mnist-is-8-cnn", (3, 64, 64), args.repeats)
    print(f"\nmemory at the end {resident():.0f} MB")


if __name__ == "__main__":
    main()
