"""What random transforms cost in training: python -m benchmarks.transform_speed [--rounds 9] [--images 55000] [--only mlp].

Two runs of fit() that differ in DataConfig.transforms alone go on in turn, an epoch of one and an epoch of the other, in one
process with the threads and number format the app gives a run; so whatever else the machine does meets both. Seconds are of
training alone, without validation. Then each transform by itself, for a piece of 512 images, beside torchvision's v2 for one
image after the other, as a DataLoader calls it. Needs MNIST in PLAYGROUND_DATA.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType

import torch

from benchmarks.conditions import conditions, spread
from core.config import RunConfig
from core.data import DataError, Dataset, load
from core.devices import select_device, threads_for
from core.export.transforms_code import step_code
from core.process import configure_training_process
from core.settings import Settings
from core.torchvision_guard import torchvision
from core.training import Epoch, build_for, fit
from core.transforms import (
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    ResizeConfig,
    Steps,
    TransformConfig,
    Workspace,
    augment,
    generator_for,
    is_random,
)

AIM = 1.5  # times a plain epoch, for shift, rotate and scale together
MOVES: Steps = (RandomAffineConfig(degrees=10, translate=0.1, scale_min=0.9, scale_max=1.1),)
SYSTEMS = {
    "mlp": ("mnist-mlp-50: 784-50-10", {"model": {"architecture": "mlp", "hidden": [50]}}),
    "cnn": ("10-class CNN: conv 32, conv 64, fc 128", {"model": {"architecture": "cnn", "channels": [32, 64], "fc_width": 128}}),
}
SINGLE: tuple[TransformConfig, ...] = (
    RandomRotationConfig(), MOVES[0], RandomHorizontalFlipConfig(), RandomResizedCropConfig(), RandomErasingConfig(),
    GaussianNoiseConfig(), ResizeConfig(), NormalizeConfig())
PIECE = 512


def epochs(config: RunConfig, data: Dataset) -> Iterator[float]:
    """Seconds of one epoch after the other."""
    for event in fit(config, data, build_for(config, data), select_device()):
        if isinstance(event, Epoch):
            yield event.seconds


def compare(name: str, rounds: int, images: int, settings: Settings) -> None:
    """Plain and transformed epochs in turn."""
    title, fields = SYSTEMS[name]
    ways: dict[str, Iterator[float]] = {}
    for way, steps in (("plain", ()), ("moved", MOVES)):
        config = RunConfig.model_validate({**fields, "data": {"transforms": [step.model_dump() for step in steps]},
                                           "training": {"epochs": rounds + 1}})
        data = load(config.data, settings.data_dir, settings.cache_dir)
        few = replace(data, train=replace(data.train, rows=data.train.rows[:images]),
                      validation=replace(data.validation, rows=data.validation.rows[:100]))
        model = build_for(config, few)
        torch.set_num_threads(threads_for(sum(p.numel() for p in model.parameters()), name == "cnn"))
        ways[way] = epochs(config, few)
    seconds: dict[str, list[float]] = {"plain": [], "moved": []}
    for turn in range(rounds + 1):
        for way in ("plain", "moved") if turn % 2 == 0 else ("moved", "plain"):
            spent = next(ways[way])
            if turn:  # the first is for warming up
                seconds[way].append(spent)
    print(f"\n{title}; {images:,} images an epoch, batch 64, {torch.get_num_threads()} threads")
    for way, what in (("plain", "as they are"), ("moved", "shifted, turned, scaled")):
        each = statistics.median(seconds[way]) / images * 1e6
        print(f"  {what:<24} {spread(seconds[way], 's/epoch', 3)}; {each:.2f} µs/image")
    ratio = statistics.median(seconds["moved"]) / statistics.median(seconds["plain"])
    pairs = [moved / plain for plain, moved in zip(seconds["plain"], seconds["moved"], strict=True)]
    print(f"  ratio of medians {ratio:.2f}× (aim {AIM:g}×), of neighbouring epochs {spread(pairs, '×')}, "
          f"of the fastest {min(seconds['moved']) / min(seconds['plain']):.2f}×")


def micros(work: Callable[[], object], images: int, times: int = 40) -> list[float]:
    """µs for each image, many times."""
    work()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) / images * 1e6)
    return found


def each_alone(data: Dataset) -> None:
    """Every transform on a piece of 512 images with one thread, and torchvision's on single images."""
    torch.set_num_threads(1)
    pixels = data.train.take(torch.arange(PIECE))[0]
    v2, space = torchvision.transforms.v2, Workspace()
    plain = micros(lambda: augment((), pixels, (0.0,), (1.0,), generator_for(0), space), PIECE)
    print(f"\nOne transform alone, {PIECE} images of 28×28, one thread (ToTensor's {min(plain):.2f} µs/image included)")
    for step in SINGLE:
        ours = micros(lambda step=step: augment((step,), pixels, (0.0,), (1.0,), generator_for(0), space), PIECE)
        theirs = _torchvision(step, v2)
        singles = micros(lambda theirs=theirs: [theirs(image) for image in pixels[:50]], 50, 5)
        print(f"  {type(step).__name__.removesuffix('Config'):<22} {spread(ours, 'µs/image')}; torchvision one by one "
              f"{statistics.median(singles):.0f} µs/image{'' if is_random(step) else ' (not random)'}")


def _torchvision(step: TransformConfig, v2: ModuleType) -> Callable[[torch.Tensor], torch.Tensor]:
    """torchvision's own: the class and arguments that the exported code names."""
    to = v2.ToDtype(torch.float32, scale=True)
    made = {"random_rotation": lambda: v2.RandomRotation(10, interpolation=v2.InterpolationMode.BILINEAR),
            "random_affine": lambda: v2.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1),
                                                     interpolation=v2.InterpolationMode.BILINEAR),
            "random_horizontal_flip": v2.RandomHorizontalFlip, "random_resized_crop": lambda: v2.RandomResizedCrop(28),
            "random_erasing": v2.RandomErasing, "gaussian_noise": v2.GaussianNoise, "resize": lambda: v2.Resize((32, 32)),
            "normalize": lambda: v2.Normalize([0.5], [0.5])}[step.kind]()
    assert type(made).__name__ in step_code(step), step
    return v2.Compose([to, made])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="epochs of each, after one to warm up")
    parser.add_argument("--images", type=int, default=55_000, help="training images; the CNN takes a fifth of them")
    parser.add_argument("--only", choices=list(SYSTEMS))
    args = parser.parse_args()
    settings = Settings.from_environment()
    print(conditions())
    configure_training_process()  # both sides, as the app's training processes are
    try:
        for name in SYSTEMS:
            if args.only in (None, name):
                compare(name, args.rounds, args.images // (5 if name == "cnn" else 1), settings)
        each_alone(load(RunConfig().data, settings.data_dir, settings.cache_dir))
    except DataError as error:
        raise SystemExit(f"MNIST is needed in PLAYGROUND_DATA: {error}") from None


if __name__ == "__main__":
    main()
