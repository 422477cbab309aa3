"""A pipeline as torchvision code: it runs, says the same numbers, and does what ours does; the script that trains with it."""

import contextlib
import io
import re
import runpy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.config import DataConfig
from core.data import load
from core.data.batches import Batches
from core.export import script
from core.export.transforms_code import pipeline_script
from core.torchvision_guard import torchvision
from core.transforms import (
    TRANSFORMS,
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomResizedCropConfig,
    ResizeConfig,
    ToTensorConfig,
    shape_after,
    walk,
)
from tests.helpers import tiny
from tests.small_sets import write_small
from tests.test_transforms import STEP, pictures

V2 = torchvision.transforms.v2


def run(code: str) -> dict:
    """Our own text, run as a person does who copies it."""
    space: dict = {}
    exec(compile(code, "transforms.py", "exec"), space)
    return space


def pil(pixels: torch.Tensor) -> Image.Image:
    """(1, H, W) uint8 as data sets of torchvision hand it to a transform."""
    return Image.fromarray(pixels[0].numpy())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_step_is_torchvisions_with_our_numbers(name):
    step = TRANSFORMS[name].config()
    made = run(pipeline_script((step,)))["train_transform"]
    assert isinstance(made, V2.Compose) and isinstance(made.transforms[0], V2.ToImage)
    wanted = "ToDtype" if name == "to_tensor" else TRANSFORMS[name].title
    theirs = next(t for t in made.transforms if type(t).__name__ == wanted)
    numbers = {"normalize": {"mean": [0.5], "std": [0.5]}, "resize": {"size": [32, 32]},
               "random_rotation": {"degrees": [-10.0, 10.0]}, "random_horizontal_flip": {"p": 0.5},
               "random_resized_crop": {"size": (28, 28), "scale": (0.6, 1), "ratio": (0.75, 1.33)},
               "random_affine": {"degrees": [-10.0, 10.0], "translate": (0.1, 0.1), "scale": (0.9, 1.1), "shear": None},
               "random_erasing": {"p": 0.5, "scale": (0.02, 0.2), "ratio": (0.3, 3.3)},
               "gaussian_noise": {"sigma": 0.1, "clip": True}, "to_tensor": {"scale": True}}[name]
    for field, value in numbers.items():
        found = getattr(theirs, field)
        assert (list(found) if isinstance(value, list) else found) == value, field
    if hasattr(theirs, "interpolation"):
        assert theirs.interpolation in (V2.InterpolationMode.BILINEAR, "bilinear")


def test_other_numbers_are_written_too():
    steps = (RandomAffineConfig(degrees=0, translate=0, scale_min=1, scale_max=1, shear=7), GaussianNoiseConfig(clip=False),
             NormalizeConfig(mean=0.1307, std=0.3081))
    made = run(pipeline_script(steps, "standard", (0.25,), (0.5,)))["train_transform"].transforms
    affine, to_tensor, noise, *rest = made[1:]
    assert (list(affine.shear), affine.translate, affine.scale, noise.clip) == ([-7.0, 7.0], None, None, False)
    assert [type(t).__name__ for t in rest] == ["Normalize", "Normalize"] and isinstance(to_tensor, V2.ToDtype)
    assert rest[0].mean == [0.1307] and rest[1].mean == [0.25] and rest[1].std == [0.5]


def test_each_channel_has_its_own_numbers():
    colour = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for normalization in ("imagenet", "channels", "standard"):
        last = run(pipeline_script((), normalization, *colour))["test_transform"].transforms[-1]
        assert last.mean == pytest.approx(list(colour[0]), abs=1e-4) and last.std == pytest.approx(list(colour[1]), abs=1e-4)


@settings(max_examples=30)
@given(st.lists(STEP, max_size=5).map(tuple), st.sampled_from(["none", "half", "standard", "imagenet", "channels"]))
def test_any_pipeline_runs_in_torchvision(steps, normalization):
    space = run(pipeline_script(steps, normalization, (0.1,), (0.3,)))
    picture = pil(pictures((1, 24, 24), 1, torch.uint8)[0])
    for name in ("train_transform", "test_transform"):
        result = space[name](picture)
        assert result.dtype == torch.float32 and tuple(result.shape) == shape_after((1, 24, 24), steps), name


def test_what_is_not_random_gives_our_pixels():
    steps = (ResizeConfig(size=20), ToTensorConfig(), NormalizeConfig(mean=0.2, std=0.4))
    images = pictures((1, 28, 28), 4, torch.uint8)
    theirs = torch.stack([run(pipeline_script(steps))["test_transform"](pil(image)) for image in images])
    assert torch.allclose(walk(steps, images, None)[-1].images, theirs, atol=1.01 / 255 / 0.4)  # a grey level of Resize


PIPELINE = [{"kind": "random_affine", "degrees": 5}, {"kind": "random_resized_crop", "size": 20}, {"kind": "normalize"}]


def test_a_script_of_digits_trains_with_its_transforms(tmp_path, cache_dir):
    """The notes' DataLoader with torchvision's transforms; its test images are the run's."""
    config = tiny(model__hidden=[32], training__epochs=2, data__normalization="standard", data__transforms=PIPELINE,
                  training__optimizer__learning_rate=0.005, training__seed=1)
    path = tmp_path / "train.py"
    path.write_text(script(config), encoding="utf-8")
    said = io.StringIO()
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(said):
        left = runpy.run_path(str(path))
    assert float(re.search(r"test accuracy ([\d.]+)%", said.getvalue())[1]) > 50
    data = load(config.data, tmp_path, cache_dir)
    for name in ("validation", "test"):
        ours = next(Batches(data, data.split(name), torch.device("cpu")).iterate(50)).images
        theirs = torch.stack([left[f"{name}_set"][i][0] for i in range(50)])
        assert theirs.shape == ours.shape == (50, 1, 20, 20)
        assert torch.allclose(ours, theirs, atol=1.01 / 255 / data.std[0])  # a grey level of Resize
    one, two = left["train_set"][0][0], left["train_set"][0][0]
    assert one.shape == (1, 20, 20) and not torch.equal(one, two), "another draw each time"


@pytest.mark.parametrize("normalization", ["none", "half", "standard", "imagenet", "channels"])
def test_an_mnist_script_gives_chance_to_training_images_alone(normalization, tmp_path, monkeypatch):
    arrays = write_small("mnist", tmp_path, monkeypatch, (40, 20))
    text = script(tiny(data=DataConfig(dataset="mnist", validation=10, transforms=(RandomErasingConfig(p=1),
                                                                                   RandomResizedCropConfig(size=12)),
                                       normalization=normalization).model_dump()))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path))
    space = run(text.split("\n\nclass MLP")[0])  # without the training
    assert [len(space[f"{split}_set"]) for split in ("train", "validation", "test")] == [30, 10, 20]
    for name, varies in (("train_set", True), ("validation_set", False), ("test_set", False)):
        one, two = space[name][3][0], space[name][3][0]
        assert one.shape == (1, 12, 12) and torch.equal(one, two) != varies, name
    if normalization == "standard":
        assert space["mean"] == pytest.approx([arrays[0][space["train_rows"]].mean() / 255], abs=1e-5)
