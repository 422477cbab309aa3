"""Digits written by a program, and which varied copies they take the place of."""

import numpy as np
import torch

from core.config import DataConfig
from core.data import load
from core.data.drawing.connected_components import label
from core.data.drawing.pen import smooth, strokes_of
from core.data.sources.digits import vary
from core.data.sources.written import FORMS, WRITTEN, some_written, write


def test_a_sign_is_read_as_it_is_written():
    (curved, points), (straight, foot) = strokes_of("~08 40 88|05 85")
    assert curved and not straight
    assert points.tolist() == [[0, 1], [0.5, 0], [1, 1]] and foot.tolist() == [[0, 5 / 8], [1, 5 / 8]]
    path = smooth(points)
    assert len(path) == 2 * 5 + 1 and path[5].tolist() == [0.5, 0]  # through its points


def test_written_digits_have_mnists_form_and_are_the_same_each_time():
    digits = np.repeat(np.arange(10), 30)
    images = write(digits, seed=3)
    assert images.shape == (300, 28, 28) and images.dtype == np.uint8 and (images.max((1, 2)) == 255).all()
    assert np.array_equal(images, write(digits, seed=3)) and not np.array_equal(images, write(digits, seed=4))
    rows = (images > 0).any(2).sum(1)
    columns = (images > 0).any(1).sum(1)
    assert np.maximum(rows, columns).max() == 20  # in MNIST's box
    assert write(np.zeros(0, np.int64)).shape == (0, 28, 28)


def test_every_digit_has_several_forms_in_few_strokes():
    assert sorted(FORMS) == list(range(10))
    for digit, forms in FORMS.items():
        assert len(set(forms)) == len(forms) >= 4
        pieces = [label(image > 100)[1] for image in write(np.full(20, digit))]
        assert np.mean(np.array(pieces) == 1) >= 0.7, digit  # a 5's or a 4's strokes may not meet


def test_a_share_of_the_copies_is_written_anew_and_shows_the_same_digit():
    copies = np.zeros((2000, 28, 28), np.uint8)
    digits = np.arange(2000) % 10
    found = some_written(copies, digits)
    anew = found.any((1, 2))
    assert abs(anew.mean() - WRITTEN) < 0.04 and not copies.any()
    assert np.array_equal(found[anew], write(digits[anew]))


def test_only_data_sets_of_digits_get_them_and_the_labels_are_those_of_the_pictures(places, cache_dir):
    values = {"dataset": "digits", "validation": 1200, "variations": 1}
    plain = load(DataConfig(**values), places / "data", cache_dir)
    half = len(plain.train) // 2
    originals = plain.train.images[:half]
    expected = some_written(vary(originals[:, 0].numpy(), 1), plain.train.labels[:half].numpy())
    assert np.array_equal(plain.train.images[half:, 0].numpy(), expected)
    # whatever is asked of them, and of whichever are left: label 0 is a 3 here, and label noise spoils no picture
    values |= {"only_classes": ("3", "8"), "validation": 200}
    few = load(DataConfig(**values, label_noise=0.5), places / "data", cache_dir)
    clean = load(DataConfig(**values), places / "data", cache_dir)
    half = len(few.train) // 2
    shown = torch.tensor([3, 8])[clean.train.labels[:half]].numpy()
    expected = some_written(vary(few.train.images[:half, 0].numpy(), 1), shown)
    assert np.array_equal(few.train.images[half:, 0].numpy(), expected)
    assert not torch.equal(few.train.labels, clean.train.labels) and torch.equal(few.train.images, clean.train.images)
