"""Neighbours against brute force and scikit-learn; equal images by hand; odd ones that are planted."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from core.data import Split
from core.data.explore.neighbours import Place, duplicates, nearest, picture_at, squared_distances
from core.data.explore.odd_ones import among_others, far_from_class
from tests.sets import make_set, split_of


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 1, 1)])
def test_distances_against_brute_force(shape):
    split = split_of(300, shape, odd_rows=True)
    pixels = split.images[split.rows].numpy().astype(np.int64).reshape(300, -1)
    assert np.array_equal(squared_distances(split, split.images[split.rows[7]]).numpy(), ((pixels - pixels[7]) ** 2).sum(1))


def test_the_largest_distance_does_not_overflow():
    images = torch.zeros(2, 3, 100, 100, dtype=torch.uint8)
    images[1] = 255
    split = Split(images, torch.zeros(2, dtype=torch.int64), torch.arange(2))
    assert squared_distances(split, images[0]).tolist() == [0, 255 ** 2 * 30_000]


def test_larger_images_are_refused():
    images = torch.zeros(1, 3, 110, 110, dtype=torch.uint8)
    with pytest.raises(ValueError, match="36,300"):
        squared_distances(Split(images, torch.zeros(1, dtype=torch.int64), torch.arange(1)), images[0])


def test_neighbours_against_scikit_learn(digits):
    pixels = digits.train.images[digits.train.rows].flatten(1).numpy() / 255
    distances, indices = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(pixels).kneighbors(pixels[100:105])
    for row, position in enumerate(range(100, 105)):
        found = nearest(digits.train, picture_at(digits, Place("train", position, 0)), 8, leave_out=position)
        assert found.positions.tolist() == indices[row][1:].tolist()
        assert found.distances.tolist() == pytest.approx(distances[row][1:])
        assert torch.equal(found.labels, digits.train.labels[digits.train.rows[found.positions]])


def test_equally_far_ones_come_in_order_and_none_is_missing():
    split = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 2, 3]), torch.arange(4))
    assert nearest(split, split.images[2], 10, leave_out=2).positions.tolist() == [0, 1, 3]
    assert nearest(split, split.images[2], 2).positions.tolist() == [0, 1]


def test_a_single_image_has_no_neighbours():
    split = split_of(1)
    assert len(nearest(split, split.images[0], 5, leave_out=0).positions) == 0


# Equal images

def test_noise_has_no_duplicates():
    found = duplicates(make_set())
    assert (found.conflicting, found.copies, found.across) == ((), 0, 0)


def test_planted_duplicates():
    data = make_set(counts=(30, 30), validation=10)
    data.train.images[20] = data.train.images[40]  # the training split's 10 and 30
    data.train.labels[20], data.train.labels[40] = 0, 1
    data.test.images[3] = data.train.images[5]  # validation's 5
    data.test.labels[3] = data.train.labels[5]
    found = duplicates(data)
    assert found.conflicting == ((Place("train", 10, 0), Place("train", 30, 1)),)
    assert (found.copies, found.across) == (2, 1)
    assert torch.equal(picture_at(data, found.conflicting[0][0]), picture_at(data, found.conflicting[0][1]))


def test_the_digits_have_no_equal_images_with_two_labels(digits):
    assert duplicates(digits).conflicting == ()


# Odd ones

def swapped(shape: tuple[int, int, int]):
    """A set in which the training image at position 4 has another class's label."""
    data = make_set(counts=(60, 60, 60), shape=shape, validation=6)
    labels = data.train.labels.clone()
    row = int(data.train.rows[4])
    labels[row] = (labels[row] + 1) % 3
    return dataclasses.replace(data, train=dataclasses.replace(data.train, labels=labels)), int(labels[row])


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 32, 32)])
@pytest.mark.parametrize("find", [far_from_class, among_others])
def test_a_wrong_label_is_the_oddest(find, shape):
    data, label = swapped(shape)
    first = find(data.train, data.classes)[0]
    assert (first.position, first.label, first.other) == (4, label, (label - 1) % 3)
    assert data.classes[first.other] in first.why and data.classes[label] in first.why


def test_well_separated_classes_have_no_strangers():
    assert among_others(make_set(counts=(60, 60), validation=6).train, ("a", "b")) == []


def test_a_few_of_each_of_many_classes_are_not_all_strangers():
    """As a class's first drawings are: ten digits, three of each, of which a row of pixels is lit; and one with a wrong label."""
    images, labels = torch.zeros(30, 1, 10, 10, dtype=torch.uint8), torch.arange(10).repeat(3)
    for row, label in enumerate(labels.tolist()):
        images[row, 0, label] = 200 + (row // 10) ** 3
    names = tuple("abcdefghij")
    assert among_others(Split(images, labels, torch.arange(30)), names) == []
    labels[24] = 5  # the two that are left of its class are nearer to each other than to it
    first, = among_others(Split(images, labels, torch.arange(30)), names)
    assert (first.position, first.label, first.other) == (24, 5, 4) and "of its 3 nearest" in first.why
    pair = Split(images[[0, 1, 11]], torch.tensor([0, 0, 1]), torch.arange(3))
    assert [one.why for one in among_others(pair, names)] == ["its nearest neighbour is not a; it is b"]


def test_distance_is_in_units_of_the_class_by_hand():
    # four points of one class on a line at −1, −1, −1, 3 about their mean: root mean square √3, so the last is at 3 / √3
    values = torch.tensor([10, 10, 10, 14], dtype=torch.uint8).view(4, 1, 1, 1)
    first = far_from_class(Split(values, torch.zeros(4, dtype=torch.int64), torch.arange(4)), ("only",))[0]
    assert first.position == 3 and first.score == pytest.approx(3 ** 0.5, rel=1e-4)


@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (48, 1, 1)])
def test_tiny_and_lopsided_data_has_answers(counts):
    data = make_set(counts=counts, validation=1)
    for find in (far_from_class, among_others):
        for one in find(data.train, data.classes):
            assert 0 <= one.position < len(data.train) and one.score > 0
