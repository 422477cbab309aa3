"""Changed images against SciPy, torchvision and values by hand; accuracy over how much; other data."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from core.config import DataConfig
from core.data import DATASETS, DataMissing, load
from core.data.drawing import prepare
from core.data.own.sets import save_set
from core.evaluation.corruptions import (
    CORRUPTIONS,
    blur,
    change_contrast,
    corrupt,
    rotate,
    scale,
    shift_down,
    shift_right,
    thicken,
)
from core.evaluation.other_data import DRAWING_SHAPE, other_config, others, through_drawing, to_try, why_not
from core.evaluation.robustness import points_of, robustness, sample
from core.torchvision_guard import torchvision

COLOUR, GREY, OBLONG = (2, 3, 20, 20), (3, 1, 28, 28), (2, 1, 12, 24)


def images(shape=GREY, seed=0):
    """Smooth blobs in [0, 1], black at the edges."""
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, (0, 0, 2, 2))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    smooth[..., :3, :] = smooth[..., -3:, :] = smooth[..., :3] = smooth[..., -3:] = 0
    return torch.from_numpy(smooth.astype(np.float32))


def by_scipy(pixels, function):
    return torch.from_numpy(np.stack([[function(channel) for channel in image] for image in pixels.numpy()]))


@pytest.mark.parametrize("shape", [GREY, COLOUR, OBLONG])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_change_starts_from_the_image_itself(kind, shape):
    entry, before = CORRUPTIONS[kind], images(shape)
    kept = before.clone()
    assert torch.equal(corrupt(before, kind, entry.neutral), before), "exactly"
    assert entry.neutral in entry.strengths and list(entry.strengths) == sorted(entry.strengths)
    for strength in entry.strengths:
        after = corrupt(before, kind, strength)
        assert after.shape == before.shape and after.dtype == torch.float32
        assert float(after.min()) >= 0 and float(after.max()) <= 1
        assert strength == entry.neutral or not torch.equal(after, before)
    assert torch.equal(before, kept), "what was given is left alone"


@pytest.mark.parametrize("shape", [GREY, OBLONG])
def test_whole_pixels_are_moved_exactly(shape):
    before = images(shape)
    right, down = shift_right(before, 3), shift_down(before, -2)
    assert torch.allclose(right[..., 3:], before[..., :-3], atol=1e-5) and float(right[..., :3].abs().max()) == 0
    assert torch.allclose(down[..., :-2, :], before[..., 2:, :], atol=1e-5) and float(down[..., -2:, :].abs().max()) == 0
    half = shift_right(before, 0.5)
    assert torch.allclose(half[..., 1:], (before[..., 1:] + before[..., :-1]) / 2, atol=1e-5)


def test_a_quarter_turn_is_numpys():
    before = images()
    assert torch.allclose(rotate(before, 90), torch.rot90(before, 1, (2, 3)), atol=1e-4), "anticlockwise"


@pytest.mark.parametrize("shape", [GREY, COLOUR, OBLONG])
@pytest.mark.parametrize("degrees", [-30, 17, 60])
def test_turning_is_torchvisions(shape, degrees):
    before = images(shape)
    wanted = torchvision.transforms.functional.rotate(before, degrees, torchvision.transforms.InterpolationMode.BILINEAR)
    assert torch.allclose(rotate(before, degrees), wanted, atol=2e-3)


@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_scaling_is_scipys(factor):
    before = images()
    wanted = by_scipy(before, lambda channel: ndimage.affine_transform(
        channel, np.eye(2) / factor, offset=13.5 - 13.5 / factor, order=1, mode="grid-constant"))
    assert torch.allclose(scale(before, factor), wanted, atol=1e-4)


@pytest.mark.parametrize("deviation", [0.5, 1.3, 3.0])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_blurring_is_scipys(shape, deviation):
    before = images(shape)
    wanted = by_scipy(before, lambda channel: ndimage.gaussian_filter(channel, deviation, mode="constant"))
    assert torch.allclose(blur(before, deviation), wanted, atol=1e-5)


def test_thickness_is_scipys_dilation_and_erosion():
    before = images()
    for pixels, function, outside in ((1, ndimage.grey_dilation, 0.0), (-1, ndimage.grey_erosion, 1.0)):
        once = by_scipy(before, lambda channel, f=function, o=outside: f(channel, (3, 3), mode="constant", cval=o))
        assert torch.allclose(thicken(before, pixels), once)
        assert torch.allclose(thicken(before, pixels / 4), before + (once - before) / 4, atol=1e-6)
    line = torch.zeros(1, 1, 7, 7)
    line[..., 3] = 1
    assert thicken(line, 2)[0, 0, 3].tolist() == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("factor", [0.1, 0.7, 2.5])
def test_contrast_is_torchvisions(shape, factor):
    before = images(shape)
    wanted = torchvision.transforms.functional.adjust_contrast(before, factor)
    assert torch.allclose(corrupt(before, "contrast", factor), wanted, atol=1e-4)
    assert torch.allclose(change_contrast(before, 0).std((2, 3)), torch.zeros(shape[:2]), atol=1e-6)


def test_noise_is_the_same_for_every_model_and_as_strong_as_asked():
    grey = torch.full((20, 1, 28, 28), 0.5)
    noisy = corrupt(grey, "noise", 0.1)
    assert torch.equal(noisy, corrupt(grey, "noise", 0.1))
    assert float((noisy - grey).std()) == pytest.approx(0.1, rel=0.05)
    assert not torch.equal(noisy[0], noisy[1])


# --- accuracy over strength


def test_accuracy_is_counted_at_every_strength(digits):
    split = sample(digits.test, 100)
    assert len(split) == 100 and sorted(set(split.rows.tolist())) == split.rows.tolist()
    assert split.rows.tolist() == sample(digits.test, 100).rows.tolist() != list(range(100))
    seen = []

    def knows_the_originals(pictures):
        """Right for images that are as they were, and for no others."""
        seen.append(len(pictures))
        originals, labels = split.take(torch.arange(len(split)))
        same = bool(torch.equal(pictures, originals.float().div(255)))
        return labels if same else (labels + 1) % 10

    points = list(robustness(knows_the_originals, split, ["rotation", "blur"]))
    assert len(points) == points_of(["rotation", "blur"]) == 9 + 7
    for point in points:
        assert (point.right, point.examples) == (100 if point.strength == 0 else 0, 100)
        assert point.accuracy == point.right / 100
    assert sum(seen) == 100 * 15, "the unchanged images are asked about once"


def test_a_sample_of_more_than_there_are_is_all(digits):
    assert sample(digits.test, 10_000) is digits.test


# --- other data


def test_which_other_data_fits():
    mnist = DataConfig(dataset="mnist")
    digits = DATASETS["digits"].classes
    found = others(mnist, digits, (1, 28, 28))
    assert found["digits"] is None and "other names" in found["fashion_mnist"] and "mnist" not in found
    assert "32×32" not in (why_not(mnist, digits, (1, 28, 28), "digits") or "")
    assert "3×32×32" in why_not(mnist, digits, (3, 32, 32), "digits")
    is_8 = DataConfig(dataset="mnist", task="is_target", target=8)
    assert why_not(is_8, ("not 8", "8"), (1, 28, 28), "digits") is None
    assert "no class" in why_not(is_8, ("not 8", "8"), (1, 28, 28), "fashion_mnist")
    assert "learned from" in why_not(mnist, digits, (1, 28, 28), "mnist")
    assert not {"circle", "reviews", "linear"} & found.keys(), "points and texts are no images to try"
    with pytest.raises(DataMissing):
        why_not(mnist, digits, (1, 28, 28), "nothing")


def test_images_of_ones_own_are_other_data_too(tmp_path, cache_dir):
    digits = DATASETS["digits"].classes
    rng = np.random.default_rng(0)
    own = save_set(tmp_path, "My digits", digits, rng.integers(0, 255, (40, 1, 28, 28), dtype=np.uint8),
                   np.arange(40) % 10, np.zeros(40, bool))
    mnist = DataConfig(dataset="mnist")
    assert others(mnist, digits, (1, 28, 28), tmp_path)[own.name] is None
    data = to_try(load(other_config(mnist, digits, own.name, tmp_path), tmp_path, cache_dir), (0.5,), (0.25,))
    assert len(data.test) == 40 and data.classes == digits


def test_other_labels_mean_the_same(places, cache_dir):
    config = other_config(DataConfig(dataset="mnist", task="is_target", target=8), ("not 8", "8"), "digits")
    data = load(config, places / "data", cache_dir)
    tried = to_try(data, (0.5,), (0.25,))
    assert (data.classes, config.target, tried.mean, tried.std) == (("not 8", "8"), 8, (0.5,), (0.25,))
    assert len(tried.test) == 1797, "a small data set is used whole"
    pixels, labels = tried.test.take(torch.arange(1797))
    assert int(labels.sum()) == 174, "eights among scikit-learn's digits"
    assert pixels.dtype == torch.uint8


def test_the_way_of_a_drawing_is_prepares(digits):
    drawn = list(through_drawing(sample(digits.test, 3)))
    assert all(image.shape == (1, 28, 28) == DRAWING_SHAPE and image.dtype == torch.uint8 for image in drawn)
    again = prepare(np.dstack([np.repeat((255 - drawn[0][0].numpy())[..., None], 3, 2), np.full((28, 28), 255, np.uint8)]))
    assert float((again.image - drawn[0].float() / 255).abs().mean()) < 0.02, "what has been prepared stays nearly as it is"
    original = sample(digits.test, 3).take(torch.tensor([0]))[0][0].float() / 255
    assert float((drawn[0].float() / 255 - original).abs().mean()) < 0.1
