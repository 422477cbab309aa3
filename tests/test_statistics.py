"""Statistics of images: against hand values, NumPy, and what is known of MNIST."""

import numpy as np
import pytest
import torch

from core.data import DataConfig, Split, channel_statistics, default_config, load
from core.data.explore.browse import find_classes, find_images, fingerprint
from core.data.statistics import class_balance, class_moments, memory_bytes, moments, pixel_counts, pixel_histogram
from tests.sets import make_set, split_of


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 5, 7), (1, 1, 1), (3, 64, 64)])
def test_counts_and_moments_against_numpy(shape):
    split = split_of(300, shape, odd_rows=True)
    pixels = split.images[split.rows].numpy()
    counts = pixel_counts(split)
    for channel in range(shape[0]):
        assert np.array_equal(counts[channel], np.bincount(pixels[:, channel].ravel(), minlength=256))
    mean, std = moments(counts)
    assert mean == pytest.approx((pixels / 255).mean((0, 2, 3))) and std == pytest.approx((pixels / 255).std((0, 2, 3)))
    assert channel_statistics(split) == (mean, std)


def test_histogram_by_hand():
    counts = np.zeros((1, 256), dtype=np.int64)
    counts[0, 0], counts[0, 255] = 3, 1
    plain = pixel_histogram(counts)
    assert plain.mean == pytest.approx(255 / 4) and plain.std == pytest.approx(255 * (3 / 16) ** 0.5)
    half = pixel_histogram(counts, (0.5,), (0.5,))
    assert half.values[0, 0] == -1 and half.values[0, 255] == 1
    assert half.mean == pytest.approx(-0.5) and half.std == pytest.approx(2 * (3 / 16) ** 0.5)


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 4, 4)])
def test_standard_normalisation_gives_mean_0_and_deviation_1(shape):
    counts = pixel_counts(split_of(100, shape))
    after = pixel_histogram(counts, *moments(counts))
    assert after.mean == pytest.approx(0, abs=1e-9) and after.std == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 9)])
def test_class_moments_against_numpy(shape):
    split = split_of(700, shape, classes=4)
    found = class_moments(split, 5)  # the fifth class has no images
    pixels, labels = split.images.numpy() / 255, split.labels.numpy()
    for label in range(4):
        np.testing.assert_allclose(found.mean[label], pixels[labels == label].mean(0), atol=1e-6)
        np.testing.assert_allclose(found.variance[label], pixels[labels == label].var(0), atol=1e-6)
    assert found.mean[4].isnan().all() and found.counts.tolist() == [*np.bincount(labels, minlength=4), 0]


def test_the_variance_of_equal_images_is_exactly_0():
    images = torch.full((1000, 1, 2, 2), 255, dtype=torch.uint8)
    found = class_moments(Split(images, torch.zeros(1000, dtype=torch.int64), torch.arange(1000)), 1)
    assert (found.mean == 1).all() and (found.variance == 0).all()


def test_balance_and_memory():
    data = make_set(counts=(40, 1, 9), shape=(3, 4, 4))
    assert class_balance(data)["train"] == data.train.counts(3)
    # 20 of each in the test split
    assert [sum(counts) for counts in zip(*class_balance(data).values(), strict=True)] == [40 + 20, 1 + 20, 9 + 20]
    # 50 training and validation images share a stack, 60 test images have their own; labels are int64
    assert memory_bytes(data) == (50 + 60) * (48 + 8)


@pytest.mark.mnist
def test_mnist_has_the_mean_and_deviation_everybody_uses(mnist_root, cache_dir):
    data = load(default_config("mnist"), mnist_root, cache_dir)
    mean, std = moments(pixel_counts(data.train) + pixel_counts(data.validation))
    assert (round(mean[0], 4), round(std[0], 4)) == (0.1307, 0.3081)


# Finding

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Shirt", "Ankle boot")


@pytest.mark.parametrize(("text", "labels"), [
    ("", [0, 1, 2, 3, 4]), ("shirt", [3]), ("SHIR", [0, 3]), ("  boot ", [4]), ("o", [0, 1, 2, 4]), ("zebra", []), ("[(*", [])])
def test_find_classes(text, labels):
    assert find_classes(CLOTHES, text) == labels


def test_a_digit_finds_itself_and_not_13():
    assert find_classes([str(i) for i in range(20)], "3") == [3]


def test_find_images():
    split = Split(torch.zeros(6, 1, 1, 1, dtype=torch.uint8), torch.tensor([2, 0, 1, 2, 0, 2]), torch.tensor([0, 2, 3, 4, 5]))
    assert find_images(split).tolist() == [0, 1, 2, 3, 4]
    assert find_images(split, [2]).tolist() == [0, 2, 4] and find_images(split, [0, 1]).tolist() == [1, 3]
    assert find_images(split, [7]).tolist() == [] and find_images(split, []).tolist() == []
    shuffled = [find_images(split, None, seed).tolist() for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2] and sorted(shuffled[0]) == [0, 1, 2, 3, 4]


def test_shuffling_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    find_images(split_of(10), None, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fingerprint_tells_data_apart(digits, places, cache_dir):
    again = load(DataConfig(dataset="digits", validation=200), places / "data", cache_dir)
    other = load(DataConfig(dataset="digits", validation=201), places / "data", cache_dir)
    assert fingerprint(again) == fingerprint(digits) != fingerprint(other)
    small, changed = make_set(), make_set()
    changed.train.images[0, 0, 0, 0] ^= 1
    assert fingerprint(small) == fingerprint(make_set()) != fingerprint(changed)
