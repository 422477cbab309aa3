"""Joined, cut down, unbalanced and spoiled data: against ConcatDataset and Subset, NumPy and hand values; seeds; refusals."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from core.config import DataConfig, RunConfig, read_config
from core.data import DATASETS, DataError, DataMissing, Dataset, load, outline
from core.data.cached_arrays import forget_oldest
from core.data.combine import (
    _joined_images,
    before_choosing,
    imbalance_shares,
    is_plain,
    keep_some,
    mislabelled,
    share_of,
    training_estimate,
    training_total_estimate,
    unbalanced_counts,
    without_misfits,
)
from core.data.own.sets import save_set
from core.data.sources import Raw, spec_of
from core.evaluation.other_data import other_config, why_not
from core.inspection import diagnose
from core.presets import title_of

CLASSES = ("cat", "dog", "owl", "fox")
COUNTS = (40, 40, 40, 40)


def raw(counts=COUNTS, seed: int = 0, tests: int = 10) -> Raw:
    """Random gray 28×28 images, so many of each class, mixed; the first two pixels number them."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for amounts in (counts, [tests] * len(counts)):
        labels = torch.cat([torch.full((amount,), label) for label, amount in enumerate(amounts)])
        labels = labels[torch.randperm(len(labels), generator=generator)]
        images = torch.randint(0, 256, (len(labels), 1, 28, 28), generator=generator, dtype=torch.uint8)
        images[:, 0, 0, 0], images[:, 0, 0, 1] = torch.arange(len(labels)) % 256, seed
        parts += [images, labels]
    return Raw(*parts)


@pytest.fixture
def sets(monkeypatch):
    """Three registered sets: pets, more of them (classes in another order, fewer), and one that fits nothing."""
    def add(name: str, classes: tuple[str, ...], counts: tuple[int, ...], seed: int, shape=(1, 28, 28)) -> Raw:
        made = raw(counts, seed)
        spec = replace(DATASETS["digits"], title=name.capitalize(), classes=classes, counts=(sum(counts), 10 * len(counts)),
                       input_shape=shape, read=lambda root, cache: made)
        monkeypatch.setitem(DATASETS, name, spec)
        return made

    return {"pets": add("pets", CLASSES, COUNTS, 1), "more": add("more", ("owl", "cat"), (12, 8), 2),
            "large": add("large", CLASSES, COUNTS, 3, (1, 32, 32)), "cars": add("cars", ("car", "bus"), (9, 9), 4)}


@pytest.fixture
def get(sets, tmp_path):
    return lambda **values: load(DataConfig(dataset="pets", **{"validation": 20} | values), tmp_path, tmp_path / "cache")


def all_of(data: Dataset, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    split = data.split(name)
    return split.take(torch.arange(len(split)))


def same(one: Dataset, two: Dataset, *names: str) -> bool:
    return all(torch.equal(a, b) for name in names for a, b in zip(all_of(one, name), all_of(two, name), strict=True))


# Defaults

def test_configs_of_before_load_and_give_the_same_data(sets, tmp_path):
    old = '{"dataset": "pets", "validation": 20, "variations": 0, "split_seed": 3, "points": 100, "noise": 0.0}'
    config = DataConfig.model_validate_json(old)
    assert is_plain(config) and config == DataConfig(dataset="pets", validation=20, split_seed=3)
    data = load(config, tmp_path, tmp_path / "cache")
    order = torch.randperm(160, generator=torch.Generator().manual_seed(3))  # as it has always been drawn
    assert torch.equal(data.train.rows, order[20:].sort().values) and torch.equal(data.validation.rows, order[:20].sort().values)
    assert data.train.images.data_ptr() == sets["pets"].train_images.data_ptr()
    assert data.train.labels is sets["pets"].train_labels and not (tmp_path / "cache").exists()


def test_a_run_says_it_all_as_json():
    config = RunConfig(data=DataConfig(dataset="mnist", join=("digits",), join_times=2, only_classes=("1", "7"), fraction=0.5,
                                       imbalance=0.1, label_noise=0.2))
    assert read_config(config.model_dump_json()) == config
    changed = RunConfig().with_values({"data.join": ["digits"], "data.fraction": 0.25})
    assert changed.data.join == ("digits",) and changed.data.fraction == 0.25


# Join

def test_joined_as_concat_dataset_does(get, sets):
    data = get(join=("more",))
    renamed = torch.tensor([2, 0])[sets["more"].train_labels]  # owl and cat, as the first set numbers them
    theirs = ConcatDataset([TensorDataset(sets["pets"].train_images, sets["pets"].train_labels),
                            TensorDataset(sets["more"].train_images, renamed)])
    rows = torch.cat([data.train.rows, data.validation.rows]).sort().values
    assert rows.tolist() == list(range(len(theirs))) == list(range(180))
    for i in range(len(theirs)):
        image, label = theirs[i]
        assert torch.equal(data.train.images[i], image) and data.train.labels[i] == label
    assert same(data, get(), "test") and data.title == "Pets + More"


def test_joined_images_are_kept_once_and_mapped(get, tmp_path):
    images = all_of(get(join=("more",)), "train")[0]
    kept, = (tmp_path / "cache/joined").iterdir()
    written = kept.stat().st_mtime_ns
    assert torch.equal(images, all_of(get(join=("more",)), "train")[0]) and kept.stat().st_mtime_ns == written
    get(join=("more",), fraction=0.5, only_classes=("cat", "owl"), label_noise=0.2, join_times=3)
    assert list((tmp_path / "cache/joined").iterdir()) == [kept]  # subsets copy no pixels
    kept.write_bytes(kept.read_bytes()[:-9])
    assert torch.equal(images, all_of(get(join=("more",)), "train")[0])


def test_joined_images_that_nobody_asks_for_leave_the_cache(get, tmp_path, sets, monkeypatch):
    folder = tmp_path / "cache/joined"
    monkeypatch.setattr("core.data.cached_arrays.RECENT", 0)
    size = get(join=("more",)).train.images.nbytes
    first, = folder.iterdir()
    monkeypatch.setattr("core.data.combine.MOST_KEPT", size + 1000)
    others = [get(join=("more",), join_times=times) for times in (2, 3)]
    assert list(folder.iterdir()) == [first]  # the same images
    old = others[0].train.images.clone()
    own = save_set(tmp_path, "Drawn", CLASSES, raw(seed=5).train_images.numpy(), raw(seed=5).train_labels.numpy(),
                   np.zeros(160, bool), "drawn here", hidden=True)
    get(join=(own.name,))
    assert len(list(folder.iterdir())) == 1 and not first.exists()
    assert torch.equal(others[0].train.images, old), "who still looks at the deleted one can go on"
    again = get(join=("more",))
    assert torch.equal(again.train.images, old) and first.exists()


def test_what_was_asked_for_within_a_minute_stays(tmp_path):
    for name, minutes in (("old", 5), ("recent", 0), ("now", 0)):
        np.save(tmp_path / f"{name}.npy", np.zeros(100, np.uint8))
        os.utime(tmp_path / f"{name}.npy", (time.time() - 60 * minutes,) * 2)
    forget_oldest(tmp_path, 0, tmp_path / "now.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now.npy", "recent.npy"]


@pytest.mark.parametrize("times", [2, 3])
def test_joined_images_several_times(get, times):
    once, several = get(join=("more",)), get(join=("more",), join_times=times)
    expected = [row for row in once.train.rows.tolist() for _ in range(1 if row < 160 else times)]
    assert several.train.rows.tolist() == expected
    assert same(once, several, "validation", "test")
    assert not set(several.train.rows.tolist()) & set(several.validation.rows.tolist())  # no copy on both sides
    assert same(get(), get(join_times=3), "train")  # nothing is joined


def test_own_sets_are_joined_and_joined_to(get, tmp_path, sets):
    more = sets["more"]
    images, labels = torch.cat([more.train_images, more.test_images]).numpy(), torch.cat([more.train_labels, more.test_labels])
    own = save_set(tmp_path, "Mine", ("owl", "cat"), images, labels.numpy(), np.arange(len(labels)) >= 20)
    one, other = get(join=(own.name,)), get(join=("more",))
    assert same(one, other, "train", "validation", "test") and one.title == "Pets + Mine"
    config = DataConfig(dataset=own.name, validation=4, only_classes=("cat", "owl"), fraction=0.5, label_noise=0.5)
    data = load(config, tmp_path, tmp_path / "cache")
    assert data.classes == ("owl", "cat") and len(data.train) == 8


@pytest.mark.parametrize(("join", "says"), [
    (("large",), "Large can't be joined to Pets: its images are 1×32×32 and those of Pets 1×28×28."),
    (("cars",), "Cars can't be joined to Pets: Pets has no class 'car'."),
    (("pets",), "Pets can't be joined to Pets: it is the data set itself."),
    (("circle",), "Circle can't be joined to Pets: Circle is not made of images."),
    (("more", "more"), "data.join names a data set twice; set data.join_times to use joined images several times."),
])
def test_sets_that_do_not_match(get, sets, join, says):
    with pytest.raises(DataError) as refused:
        get(join=join)
    assert str(refused.value) == says
    with pytest.raises(DataError) as refused:
        outline(DataConfig(dataset="pets", join=join))
    assert str(refused.value) == says


def test_a_set_that_is_not_there(get):
    with pytest.raises(DataMissing, match="no data set 'pest'"):
        get(join=("pest",))


def test_too_much_to_join(get, monkeypatch, tmp_path):
    monkeypatch.setattr("core.data.combine.MOST_JOINED", 180 * 784 - 1)
    with pytest.raises(DataError, match="Join fewer sets"):
        get(join=("more",))
    assert not (tmp_path / "cache/joined").exists()


# Classes

def test_some_classes_as_subset_does(get, sets):
    data = get(only_classes=("fox", "dog"))  # the order is the data set's own
    assert data.classes == data.source_classes == ("dog", "fox")
    labels = sets["pets"].test_labels
    theirs = Subset(TensorDataset(sets["pets"].test_images, labels), [i for i in range(40) if labels[i] in (1, 3)])
    images, found = all_of(data, "test")
    assert torch.equal(images, torch.stack([image for image, _ in theirs]))
    assert found.tolist() == [{1: 0, 3: 1}[int(label)] for _, label in theirs]
    assert len(data.train) == 60 and len(data.validation) == 20 and len(data.test) == 20
    assert data.train.images.data_ptr() == sets["pets"].train_images.data_ptr()  # rows only


def test_a_question_about_one_of_some_classes(get):
    data = get(only_classes=("dog", "fox"), task="is_target", target=1)
    assert data.classes == ("not fox", "fox") and data.source_classes == ("dog", "fox")
    assert torch.equal(all_of(data, "test")[1], all_of(get(only_classes=("dog", "fox")), "test")[1])
    with pytest.raises(DataError, match="classes 0 to 1"):
        get(only_classes=("dog", "fox"), task="is_target", target=2)


@pytest.mark.parametrize(("chosen", "says"), [
    (("cow", "cat"), "data.only_classes names 'cow', which Pets does not have; its classes are cat, dog, owl, fox."),
    (("cat",), "data.only_classes leaves only 'cat'. Choose at least two classes, or none for all."),
    (("cat", "cat"), "data.only_classes leaves only 'cat'. Choose at least two classes, or none for all."),
])
def test_classes_that_cannot_be_chosen(get, chosen, says):
    with pytest.raises(DataError) as refused:
        get(only_classes=chosen)
    assert str(refused.value) == says


def test_more_held_back_than_is_left(get):
    with pytest.raises(DataError, match="data.validation is 80; Pets has 80 training images"):
        get(only_classes=("cat", "dog"), validation=80)


def test_outline_is_what_load_gives(get, sets):
    for values in ({}, {"join": ("more",)}, {"only_classes": ("cat", "owl")},
                   {"join": ("more",), "only_classes": ("cat", "fox")}):
        data, shape = get(**values), outline(DataConfig(dataset="pets", **values))
        assert (shape.title, shape.input_shape, shape.source_classes) == (data.title, data.input_shape, data.source_classes)


# Fraction

@pytest.mark.parametrize("fraction", [0.5, 0.25, 0.1, 0.001])
def test_a_share_of_each_class(get, fraction):
    whole, part = get(), get(fraction=fraction)
    assert part.train.counts(4) == [max(1, int(count * fraction + 0.5)) for count in whole.train.counts(4)]
    assert set(part.train.rows.tolist()) <= set(whole.train.rows.tolist())
    assert part.train.rows.tolist() == sorted(part.train.rows.tolist())
    assert same(whole, part, "validation", "test")


def test_a_smaller_share_is_within_a_larger_one(get):
    rows = [set(get(fraction=fraction).train.rows.tolist()) for fraction in (0.1, 0.3, 0.9, 1.0)]
    assert rows[0] < rows[1] < rows[2] < rows[3]


@settings(max_examples=60)
@given(counts=st.lists(st.integers(0, 60), min_size=1, max_size=6), fraction=st.floats(0.001, 1.0),
       seed=st.integers(0, 2**32 - 1))
def test_any_share(counts, fraction, seed):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    rows = torch.arange(len(labels))
    wanted = [share_of(count, fraction) for count in counts]
    kept = keep_some(rows, labels, wanted, seed)
    found = torch.bincount(labels[kept], minlength=len(counts)).tolist()
    assert found == wanted and kept.unique().tolist() == kept.tolist()
    for count, left in zip(counts, found, strict=True):
        assert left <= count and (left > 0) == (count > 0)
        assert abs(left - count * fraction) <= 0.5 + 1e-9 or left == 1


# Imbalance

def test_long_tailed_as_cui_and_others_have_it():
    # 5,000 images of each of 10 classes, imbalance factor 100: the well-known counts of long-tailed CIFAR-10
    theirs = [int(5000 * 0.01 ** (i / 9)) for i in range(10)]
    assert theirs == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    ours = unbalanced_counts([5000] * 10, 0.01)
    assert all(abs(one - other) <= 1 for one, other in zip(ours, theirs, strict=True))  # they cut off, we round
    assert imbalance_shares(10, 0.01) == pytest.approx(np.geomspace(1, 0.01, 10))


def test_imbalance_by_hand(get):
    data = get(imbalance=0.125, validation=1, split_seed=5)
    whole = get(validation=1, split_seed=5)
    assert data.train.counts(4) == [round(count * share) for count, share in zip(whole.train.counts(4), (1, 0.5, 0.25, 0.125),
                                                                               strict=True)]
    assert same(whole, data, "validation", "test")


@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=12), imbalance=st.floats(0.001, 1.0))
def test_any_imbalance(counts, imbalance):
    kept = unbalanced_counts(counts, imbalance)
    assert kept[0] == counts[0]  # the first class keeps all
    assert all((left > 0) == (count > 0) and left <= count for left, count in zip(kept, counts, strict=True))
    same_counts = unbalanced_counts([1000] * len(counts), imbalance)
    assert same_counts == sorted(same_counts, reverse=True)
    assert len(counts) == 1 or same_counts[-1] == max(1, int(1000 * imbalance + 0.5))


# Label noise

@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_exactly_so_many_labels_are_wrong(get, noise):
    honest, noisy = get(), get(label_noise=noise)
    wrong = mislabelled(noisy.train, honest.train.labels)
    assert int(wrong.sum()) == int(140 * noise + 0.5) and len(wrong) == 140
    assert torch.equal(noisy.train.rows, honest.train.rows)
    assert same(honest, noisy, "validation", "test")
    assert set(noisy.train.labels.tolist()) == {0, 1, 2, 3}


def test_noise_spares_nobody_and_leaves_the_raw_data_alone(get, sets):
    before = sets["pets"].train_labels.clone()
    honest, noisy = get(validation=1), get(validation=1, label_noise=1.0)
    assert torch.equal(sets["pets"].train_labels, before)
    steps = (noisy.train.labels - honest.train.labels)[honest.train.rows] % 4
    assert torch.bincount(steps, minlength=4).tolist()[0] == 0
    assert all(30 < count < 80 for count in torch.bincount(steps, minlength=4).tolist()[1:])  # 53 expected of each


def test_more_noise_spoils_the_same_and_more(get):
    honest = get()
    few, many = (mislabelled(get(label_noise=noise).train, honest.train.labels) for noise in (0.1, 0.4))
    assert bool((few <= many).all()) and few.sum() < many.sum()


def test_noise_of_a_yes_no_question_is_of_its_answers(get):
    honest = get(task="is_target", target=2)
    noisy = get(task="is_target", target=2, label_noise=0.5)
    assert int(mislabelled(noisy.train, honest.train.labels).sum()) == 70


def test_a_repeated_image_keeps_one_label(get):
    data = get(join=("more",), join_times=4, label_noise=0.5)
    honest = get(join=("more",))
    wrong = mislabelled(data.train, honest.train.labels)
    distinct = len(data.train.rows.unique())
    first = torch.cat([torch.tensor([True]), data.train.rows[1:] != data.train.rows[:-1]])
    assert int(first.sum()) == distinct and int(wrong[first].sum()) == int(distinct / 2 + 0.5)


# All of it

EVERYTHING = {"join": ("more",), "join_times": 2, "only_classes": ("cat", "owl", "fox"), "fraction": 0.5, "imbalance": 0.2,
              "label_noise": 0.25}


def test_the_seed_decides_all(get):
    first, again, other = get(**EVERYTHING), get(**EVERYTHING), get(**EVERYTHING, split_seed=1)
    assert same(first, again, "train", "validation", "test")
    assert not torch.equal(first.train.rows, other.train.rows) and same(first, other, "test")


def test_the_random_state_is_left_alone(get):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    get(**EVERYTHING)
    assert torch.equal(torch.rand(4), wanted)


def test_variations_come_last(get):
    values = EVERYTHING | {"join": (), "join_times": 1}
    plain, varied = get(**values), get(**values, variations=2)
    images, labels = all_of(varied, "train")
    assert len(varied.train) == 3 * len(plain.train) and torch.equal(labels, all_of(plain, "train")[1].repeat(3))
    assert torch.equal(images[:len(plain.train)], all_of(plain, "train")[0])


def test_statistics_are_of_what_is_left(get):
    data = get(**EVERYTHING, normalization="standard")
    pixels = all_of(data, "train")[0].numpy() / 255
    assert data.mean == pytest.approx((pixels.mean(),)) and data.std == pytest.approx((pixels.std(),))


def test_what_is_known_before_loading(get, sets):
    config = DataConfig(dataset="pets", validation=20, **EVERYTHING)
    spec = spec_of("pets")
    assert training_total_estimate(config, spec) == 135  # (160 + 20) · 3 / 4
    data = get(**EVERYTHING)
    assert abs(training_estimate(config, spec) - len(data.train)) < 12
    assert training_estimate(DataConfig(dataset="pets", validation=20), spec) == 140


def test_before_choosing(get):
    config = DataConfig(dataset="pets", validation=20, **EVERYTHING)
    assert before_choosing(config) == DataConfig(dataset="pets", validation=20, join=("more",),
                                                 only_classes=("cat", "owl", "fox"))


# Points

def points(**values) -> Dataset:
    return load(DataConfig(points=300, validation=60, noise=0.1, **values), Path("nowhere"))


def test_points_too():
    name = next(name for name, spec in DATASETS.items() if spec.kind == "points" and len(spec.classes) > 1)
    whole = points(dataset=name)
    half = points(dataset=name, fraction=0.5, imbalance=0.5, label_noise=0.1)
    assert len(half.train) < 160 and torch.equal(half.test.labels, whole.test.labels) and len(half.validation) == 60
    assert int(mislabelled(half.train, whole.train.labels).sum()) == int(len(half.train) * 0.1 + 0.5)
    chosen = points(dataset=name, only_classes=whole.classes[:2])
    assert chosen.classes == whole.classes[:2]


def test_numbers_to_predict():
    name = next(name for name, spec in DATASETS.items() if spec.target == "number")
    assert len(points(dataset=name, fraction=0.25).train) == 75
    for values, says in (({"imbalance": 0.5}, "Set it to 1"), ({"label_noise": 0.5}, "Set it to 0"),
                         ({"only_classes": ("a", "b")}, "no classes"), ({"join": ("digits",)}, "not made of images")):
        with pytest.raises(DataError, match=says) as refused:
            points(dataset=name, **values)
        assert len(str(refused.value).splitlines()) == 1


# What else asks

def test_a_change_of_the_data_set_drops_what_does_not_fit(sets):
    config = DataConfig(dataset="cars", join=("more",), only_classes=("cat", "owl"), fraction=0.5)
    assert without_misfits(config) == DataConfig(dataset="cars", fraction=0.5)
    fits = DataConfig(dataset="pets", join=("more",), only_classes=("cat", "owl"))
    assert without_misfits(fits) == fits
    assert without_misfits(fits.model_copy(update={"join": ("gone",)})).only_classes == ("cat", "owl")


def test_joined_images_that_are_kept_are_of_these_pixels(tmp_path):
    """Sets of equal sizes, such as an own set that was brought again with other pictures, share no file of the cache."""
    for seed in (1, 2, 1):
        parts = [raw((6, 4, 3, 2), 0), raw((6, 4, 3, 2), seed)]
        assert torch.equal(_joined_images(parts, tmp_path), torch.cat([part.train_images for part in parts]))


def test_titles(sets):
    config = RunConfig(data=DataConfig(dataset="pets", join=("more",), only_classes=("cat", "fox"), task="is_target", target=1))
    assert title_of(config).endswith("on Pets + More, is it fox?")
    assert title_of(config.with_values({"data.only_classes": ["cow", "cat"]})).endswith("on Pets")


def test_models_of_some_classes_on_other_data(sets, monkeypatch):
    monkeypatch.setitem(DATASETS, "wild", replace(DATASETS["pets"], title="Wild"))
    config = DataConfig(dataset="pets", only_classes=("cat", "owl"))
    assert why_not(config, ("cat", "owl"), (1, 28, 28), "wild") is None
    assert other_config(config, ("cat", "owl"), "wild").only_classes == ("cat", "owl")
    assert why_not(config, ("cat", "owl"), (1, 28, 28), "more") == "its classes have other names"  # another order
    assert "learned from" in why_not(DataConfig(dataset="pets", join=("wild",)), CLASSES, (1, 28, 28), "wild")


def test_the_doctor_knows_the_number_of_classes_left(sets):
    config = RunConfig(data=DataConfig(dataset="pets", validation=30, only_classes=("cat", "dog")))
    assert not [finding for finding in diagnose(config) if finding.severity == "error"]


@pytest.mark.parametrize("values", [
    {"fraction": 0}, {"fraction": 1.1}, {"label_noise": -0.1}, {"imbalance": 0}, {"join_times": 0}, {"join": "digits"},
    {"join": ["x"] * 9}, {"only_classes": ["x" * 201]}, {"label_noise": "nan"}])
def test_values_out_of_bounds(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        DataConfig(**values)
