"""scikit-learn's digits in MNIST's form."""


import numpy as np
import pytest
from sklearn.datasets import load_digits

from core.data.sources.digits import digits, vary


@pytest.fixture(scope="module")
def loaded():
    return digits()


def centres_of_mass(images):
    """(N, 2) rows and columns in pixels from 0."""
    ink = images.astype(np.float64)
    return np.stack([ink.sum(2) @ np.arange(28), ink.sum(1) @ np.arange(28)], axis=1) / ink.sum((1, 2))[:, None]


def test_shape_type_and_labels(loaded):
    images, labels = loaded
    assert images.shape == (1797, 28, 28) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and np.array_equal(labels, load_digits().target)
    assert (images.max(axis=(1, 2)) == 255).all()  # as in MNIST, every image reaches full white …
    assert (images[:, 0, 0] == 0).all()  # … on black


def test_same_every_time(loaded):
    again = digits()
    assert np.array_equal(again[0], loaded[0])


def test_made_as_mnist_was(loaded):
    images, _ = loaded
    assert np.abs(centres_of_mass(images) - 14).max() < 0.51  # whole-pixel moves; uint8 rounds a little
    assert 0.1 < (images > 127).mean() < 0.2  # MNIST: 0.13
    edges = ((images > 25) & (images < 230)).sum() / (images > 0).sum()
    assert edges < 0.5  # MNIST: 0.44; enlarged and not sharpened, it would be most of the ink
    heights = (images.max(axis=2) > 0).sum(axis=1)
    assert heights.max() <= 20 and heights.min() >= 17


def test_copies_are_other_handwritings_of_the_same_digits(loaded):
    images, _ = loaded
    copies = vary(images[:100], copies=3, seed=1)
    assert copies.shape == (300, 28, 28) and copies.dtype == np.uint8
    assert np.array_equal(copies, vary(images[:100], copies=3, seed=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.data.sources.digits.AT_ONCE", 70)
        assert np.array_equal(copies, vary(images[:100], copies=3, seed=1)), "however many are made at a time"
    assert not np.array_equal(copies, vary(images[:100], copies=3, seed=2))
    assert not np.array_equal(copies[:100], copies[100:200])
    assert (copies.max(axis=(1, 2)) == 255).all()
    off = np.abs(centres_of_mass(copies) - 14).max(axis=1)
    assert (off < 0.51).mean() > 0.97  # a few lopsided ones stop at the edge of the frame instead
    assert copies.mean() < images[:100].mean()  # thinner strokes: on the average nearer to MNIST's 0.13


def test_no_images_no_copies():
    assert vary(np.zeros((0, 28, 28), np.uint8)).shape == (0, 28, 28)
    assert not vary(np.zeros((2, 28, 28), np.uint8), copies=1).any()  # blank stays blank
