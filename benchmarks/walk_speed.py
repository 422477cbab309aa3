"""One picture through large networks, every stage kept: python -m benchmarks.walk_speed [--repeats 20].

walk() against a plain forward pass of the same network, in turn, with the threads PyTorch chooses itself. Weights are random,
pictures (3, 32, 32), float32, batch 1, on the CPU. Aim: vgg16 in 1 s or less. Then what the page does besides: a picture of
the largest stage's maps, one convolution's pixel written out, and the spectral norms of all weights.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.conditions import conditions, spread
from core.figures.maps import map_sheet
from core.inspection import convolution_at, layer_of, spectral_norms, walk
from core.torchvision_guard import torchvision

NETWORKS = ("vgg16", "resnet18", "mobilenet_v3_small")
AIM = 1.0  # seconds, for vgg16


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """How long each of `repeats` calls takes."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def milliseconds(taken: list[float]) -> str:
    return spread([value * 1000 for value in taken], "ms", 1)


def measure(name: str, repeats: int) -> None:
    """Print a network's figures; the first walk apart, as a person meets it."""
    model = getattr(torchvision.models, name)(num_classes=10).eval()
    image = torch.rand(1, 3, 32, 32)
    first = seconds(lambda: walk(model, image), 1)[0]
    walks: list[float] = []
    plain: list[float] = []
    with torch.no_grad():
        for _ in range(repeats):
            walks += seconds(lambda: walk(model, image), 1)
            plain += seconds(lambda: model(image), 1)
    stages = walk(model, image)
    print(f"\n{name}: {len(stages)} stages, {sum(p.numel() for p in model.parameters()):,} parameters")
    print(f"  first walk {first * 1000:.1f} ms" + (f" (aim ≤ {AIM:g} s)" if name == "vgg16" else ""))
    print(f"  walk {milliseconds(walks)}\n  forward alone {milliseconds(plain)}")
    maps = max((stage.values for stage in stages if stage.values.dim() == 3), key=torch.numel)
    print(f"  picture of {maps.shape[0]} maps {milliseconds(seconds(lambda: map_sheet(maps), repeats))}")
    stage = max((stage for stage in stages if stage.kind == "Conv2d"), key=lambda stage: stage.shape[1])
    layer, source = layer_of(model, stage), stages[stage.source or 0].values
    assert isinstance(layer, nn.Conv2d)
    written = seconds(lambda: convolution_at(layer, source, 0, 0, 0), repeats)
    print(f"  one pixel of {stage.name} written out {milliseconds(written)}")
    print(f"  spectral norms of all weights {seconds(lambda: spectral_norms(model), 1)[0]:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    print(conditions())
    print(f"torchvision {torchvision.__version__}, {torch.get_num_threads()} thread(s), batch 1 of (3, 32, 32), float32")
    for name in NETWORKS:
        measure(name, args.repeats)


if __name__ == "__main__":
    main()
