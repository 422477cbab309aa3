"""A picture on Draw a digit goes the way that the images of the network's own set went, pixel for pixel."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import DataConfig
from core.data import delete_imported, import_images
from core.data.drawing import DrawingError, place_like_mnist
from core.data.drawing.as_kept import (
    Preparation,
    from_file,
    from_ink,
    from_sheet,
    has_dark_ground,
    lies_like_mnist,
    preparation_of,
)
from core.data.own.sets import FOLDER, read_arrays, save_set
from tests.strokes import draw as strokes


def picture(seed: int, size: tuple[int, int], kind: str) -> bytes:
    """A photograph-like file with an orientation in its EXIF data, or a PNG with clear parts."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 4), np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image.convert("RGB").save(file, "JPEG", exif=exif) if kind == "jpg" else image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("size", "channels", "fit"), [(24, 3, "crop"), (40, 1, "pad")])
def test_a_picture_of_the_set_comes_out_as_it_lies_in_the_set(tmp_path, size, channels, fit):
    made = [((96, 64), "jpg"), ((64, 160), "png"), ((24, 24), "png"), ((1600, 900), "jpg")]
    files = [picture(seed, *one) for seed, one in enumerate(made)]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number, (content, (_, kind)) in enumerate(zip(files, made, strict=True)):
            archive.writestr(f"{'ab'[number % 2]}/{number}.{kind}", content)
    report = import_images(tmp_path / "set.zip", tmp_path, size, channels, fit=fit)
    how = preparation_of(DataConfig(dataset=report.name), (channels, size, size), tmp_path)
    assert how == Preparation(size, channels, fit, False, True, "set", 1.0), "photographs fill their frame"
    kept = {image.tobytes() for image in read_arrays(tmp_path, report.name).images}
    for content in files[:2] if fit == "crop" else files[1:]:
        found = from_file(content, how)
        assert (found.image * 255).round().byte().numpy().tobytes() in kept and found.image.shape == (channels, size, size)
        assert found.framed.shape == (size, size, 3) and max(found.given.shape[:2]) <= 560 and not found.flat
        assert (max if fit == "pad" else min)(found.fitted.shape[:2]) == size


def test_how_a_picture_is_prepared(tmp_path):
    assert preparation_of(DataConfig(dataset="mnist"), (1, 28, 28), tmp_path) is None
    assert preparation_of(DataConfig(dataset="cifar10"), (3, 32, 32), tmp_path) == Preparation(32, 3, "crop", False, False, "")
    digits = np.zeros((20, 1, 28, 28), np.uint8)
    digits[:, 0, 6:23, 10:19] = 255
    labels, test = np.arange(20) % 2, np.arange(20) > 15

    def of(images: np.ndarray, **state) -> Preparation | None:
        own = save_set(tmp_path, "Mine", ["a", "b"], images, labels, test, **state)
        found = preparation_of(DataConfig(dataset=own.name), own.input_shape, tmp_path)
        return found and replace(found, title="")

    assert of(digits) is None and of(digits, hidden=True) is None, "as MNIST's digits lie"
    assert of(np.roll(digits, 7, axis=3)) == Preparation(28, 1, "pad", True, False, "", 17 / 28), "in a corner of the frame"
    assert of(255 - digits) == Preparation(28, 1, "pad", False, False, "", 17 / 28), "dark ink on white"
    assert of(np.full((20, 3, 16, 16), 9, np.uint8)) == Preparation(16, 3, "pad", True, False, "")
    gone = save_set(tmp_path, "Gone", ["a", "b"], np.zeros((20, 3, 16, 16), np.uint8), labels, test)
    delete_imported(tmp_path, gone.name)
    assert preparation_of(DataConfig(dataset=gone.name), (3, 16, 16), tmp_path) == Preparation(16, 3, "pad", False, False, "")
    assert preparation_of(DataConfig(dataset=gone.name), (1, 28, 28), tmp_path) is None


@pytest.mark.parametrize("fit", ["odd", 7, None, "crop"])
def test_a_set_of_before_says_nothing_of_its_fit(tmp_path, fit):
    own = save_set(tmp_path, "Mine", ["a", "b"], np.zeros((4, 3, 16, 16), np.uint8), np.arange(4) % 2, np.arange(4) > 2)
    path = tmp_path / FOLDER / own.id / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"fit": fit}), encoding="utf-8")
    how = preparation_of(DataConfig(dataset=own.name), (3, 16, 16), tmp_path)
    assert how is not None and (how.fit, how.said) == (("crop", True) if fit == "crop" else ("pad", False))


def test_a_drawing_is_dark_or_light_as_the_set_is():
    light = from_sheet(strokes(7), Preparation(32, 1, "pad", False, True, ""))
    dark = from_sheet(strokes(7), Preparation(32, 1, "pad", True, True, ""))
    assert light.image.shape == (1, 32, 32) and float(light.image[0, 0].mean()) == 1.0 and float(light.image.min()) < 0.3
    assert ((light.image + dark.image - 1).abs() < 0.01).all() and dark.inverted and not light.inverted
    colour = from_sheet(strokes(7), Preparation(32, 3, "crop", False, False, ""))
    assert colour.image.shape == (3, 32, 32) and not colour.flat
    assert from_sheet(np.full((280, 280, 4), 255, np.uint8), Preparation(8, 1, "pad", False, False, "")).flat


def test_a_mark_of_a_sheet_lies_in_its_frame_as_the_sets_pictures_do():
    """A bar of ink, 12 by 6: as long as the set's digits are, in the middle, with the set's ground and colours."""
    ink = np.ones((12, 6), np.float32)
    for filled, long, wide in ((1.0, 32, 16), (0.5, 16, 8)):
        bar = from_ink(ink, Preparation(32, 3, "pad", False, True, "", filled))
        dark = bar[0] < 0.5
        assert bar.shape == (3, 32, 32) and torch.equal(bar[0], bar[2])
        assert (int(dark.any(1).sum()), int(dark.any(0).sum())) == pytest.approx((long, wide), abs=2)
        assert float((dark * torch.arange(32.0)).sum() / dark.sum()) == pytest.approx(15.5, abs=1)
        swapped = from_ink(ink, Preparation(32, 1, "pad", True, True, "", filled))
        assert (swapped[0] + bar[0] - 1).abs().max() < 0.01
    assert torch.equal(from_ink(ink, None), torch.from_numpy(place_like_mnist(ink))[None])


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_file_that_is_no_picture_gets_one_line(content):
    with pytest.raises(DrawingError, match="can't be used") as caught:
        from_file(content, Preparation(16, 3, "pad", False, True, ""))
    assert "\n" not in str(caught.value)


def test_nothing_lies_in_no_images():
    none = np.zeros((0, 1, 28, 28), np.uint8)
    assert not lies_like_mnist(none) and not has_dark_ground(none)
