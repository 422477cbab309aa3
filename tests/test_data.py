"""load(): shapes, splits, tasks, normalisation, variations, and refusals in one line; Batches: each image once, as it was."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import core.torchvision_guard  # noqa: F401  (before torchvision)
from core.config import DataConfig
from core.data import (
    DATASETS,
    DataDamaged,
    DataError,
    DataMissing,
    Dataset,
    Split,
    channel_statistics,
    default_config,
    load,
    normalize,
    spec_of,
)
from core.data.batches import Batches
from tests.idx_files import NAMES, write_idx
from tests.small_sets import write_small

CPU = torch.device("cpu")
SMALL = (300, 50)  # images for training and for the test in the small files that stand for a download
# every registered data set: those with files on small ones, those without and MNIST as they are
SOURCES = [pytest.param(name, "small" if spec.folder else "real", id=name) for name, spec in DATASETS.items()
           if spec.kind == "images"]
SOURCES.append(pytest.param("mnist", "real", marks=pytest.mark.mnist, id="mnist, the real one"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A cache for the module: unpacking MNIST and enlarging the digits is done once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Makes a registered data set one of small files in tmp_path; their arrays."""

    def make(name: str, rows: tuple[int, int] = SMALL, size: int = 28) -> list[np.ndarray]:
        return write_small(name, tmp_path, monkeypatch, rows, size)

    return make


@pytest.fixture
def source(request, small, tmp_path, cache):
    """(name, load it with these config values) for one entry of SOURCES."""
    name, kind = request.param
    if kind == "small":
        small(name)
        root = tmp_path
    else:
        root = request.getfixturevalue("mnist_root") if DATASETS[name].folder else Path("no files needed")

    def get(**values) -> Dataset:
        return load(DataConfig(dataset=name, **{"validation": 40} | values), root, cache)

    return name, get


each_source = pytest.mark.parametrize("source", [pytest.param(p.values, marks=p.marks, id=p.id) for p in SOURCES], indirect=True)


def digits(cache: Path, **values) -> Dataset:
    return load(DataConfig(dataset="digits", **{"validation": 200} | values), Path("no files needed"), cache)


def refusal(kind: type[DataError], *arguments) -> str:
    with pytest.raises(DataError) as refused:
        load(*arguments)
    assert type(refused.value) is kind
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


# Every data set

@each_source
def test_shapes_types_and_counts(source):
    name, get = source
    spec, data = DATASETS[name], get()
    assert (data.name, data.title, data.classes, data.source_classes) == (name, spec.title, spec.classes, spec.classes)
    assert data.input_shape == spec.input_shape
    train, test = spec.counts
    assert (len(data.train), len(data.validation), len(data.test)) == (train - 40, 40, test)
    for part in ("train", "validation", "test"):
        split = data.split(part)
        assert split.images.shape[1:] == spec.input_shape and split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64 and split.labels.shape == (len(split.images),)
        assert split.rows.dtype == torch.int64
        assert split.labels.min() >= 0 and split.labels.max() < len(spec.classes)
        counts = split.counts(len(spec.classes))
        assert len(counts) == len(spec.classes) and sum(counts) == len(split)
        assert min(counts) > 0 or part == "validation"  # forty may miss a class
    assert len(data.mean) == len(data.std) == spec.input_shape[0]


@each_source
def test_splits_are_disjoint_and_complete(source):
    name, get = source
    data = get()
    train, validation = data.train.rows, data.validation.rows
    assert data.train.images.data_ptr() == data.validation.images.data_ptr()  # the same stack, so rows can be compared
    assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(DATASETS[name].counts[0]))
    assert torch.equal(train, train.sort().values) and torch.equal(validation, validation.sort().values)
    # the test images are another stack, all of it
    assert data.test.images.data_ptr() != data.train.images.data_ptr()
    assert torch.equal(data.test.rows, torch.arange(DATASETS[name].counts[1]))


@each_source
def test_the_seed_decides_the_split_and_nothing_else(source):
    _, get = source
    first, again, other = get(split_seed=1), get(split_seed=1), get(split_seed=2)
    assert torch.equal(first.validation.rows, again.validation.rows)
    assert torch.equal(first.train.rows, again.train.rows)
    assert not torch.equal(first.validation.rows, other.validation.rows)
    for part in ("rows", "images", "labels"):
        assert torch.equal(getattr(first.test, part), getattr(other.test, part))


@each_source
def test_loading_leaves_the_random_state_alone(source):
    _, get = source
    torch.manual_seed(3)
    np.random.seed(3)
    wanted = torch.rand(4), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    get(split_seed=5)
    assert torch.equal(torch.rand(4), wanted[0]) and np.random.rand() == wanted[1]


@each_source
def test_more_validation_images_contain_the_fewer(source):
    _, get = source
    few, many = get(validation=10), get(validation=60)
    assert set(few.validation.rows.tolist()) < set(many.validation.rows.tolist())


@each_source
def test_is_it_this_one(source):
    name, get = source
    plain = get()
    for target, title in enumerate(DATASETS[name].classes):
        data = get(task="is_target", target=target)
        assert data.classes == (f"not {title}", title)
        assert data.source_classes == DATASETS[name].classes
        for part in ("train", "validation", "test"):
            ours, theirs = data.split(part), plain.split(part)
            assert torch.equal(ours.rows, theirs.rows)
            assert torch.equal(ours.labels[ours.rows], (theirs.labels[theirs.rows] == target).long())


@each_source
def test_statistics_against_numpy(source):
    _, get = source
    data = get(normalization="standard")
    pixels = data.train.images[data.train.rows].numpy().astype(np.float64) / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)), abs=1e-9)
    assert data.std == pytest.approx(pixels.std((0, 2, 3)), abs=1e-9)


@each_source
@pytest.mark.parametrize(("normalization", "mean", "std"), [("none", (0.0,), (1.0,)), ("half", (0.5,), (0.5,))])
def test_fixed_normalisations(source, normalization, mean, std):
    _, get = source
    data = get(normalization=normalization)
    channels = data.input_shape[0]
    assert (data.mean, data.std) == (mean * channels, std * channels)


@each_source
def test_imagenets_numbers_and_ones_own(source):
    """ImageNet's three for colour, their mean for gray; one's own for each channel, or one for all."""
    _, get = source
    data = get(normalization="imagenet")
    channels = data.input_shape[0]
    colour = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (data.mean, data.std) == (colour if channels == 3 else ((0.449,) * channels, (0.226,) * channels))
    assert (sum(colour[0]) / 3, sum(colour[1]) / 3) == pytest.approx((0.449, 0.226))
    numbers = tuple(round(0.1 + 0.2 * channel, 1) for channel in range(channels))
    data = get(normalization="channels", channel_mean=numbers, channel_std=(0.25,))
    assert (data.mean, data.std) == (numbers, (0.25,) * channels)
    images, _ = data.train.take(torch.arange(3))
    expected = (images / 255 - torch.tensor(numbers)[:, None, None]) / 0.25
    assert_close(normalize(images, data.mean, data.std), expected)
    with pytest.raises(DataError, match=f"data.channel_std has 4 numbers, and there .* {channels} channel"):
        get(normalization="channels", channel_std=(1.0,) * 4)


def test_points_have_their_own_numbers_and_not_imagenets():
    circle = {"dataset": "circle", "points": 20, "validation": 10}
    data = load(DataConfig(**circle, normalization="channels", channel_mean=(1.0, -1.0), channel_std=(2.0,)), Path("nowhere"))
    assert (data.mean, data.std) == ((1.0, -1.0), (2.0, 2.0))
    assert "ImageNet has images" in refusal(DataError, DataConfig(**circle, normalization="imagenet"), Path("nowhere"))
    assert "there are 2 channels" in refusal(
        DataError, DataConfig(**circle, normalization="channels", channel_mean=(1.0, 2.0, 3.0)), Path("nowhere"))


@pytest.mark.parametrize("name", DATASETS)
def test_facts(name):
    spec = spec_of(name)
    assert spec is DATASETS[name]
    assert spec.title and spec.summary and spec.source and spec.licence
    assert bool(spec.folder or name == "imdb") == bool(spec.download_mb)  # IMDB's archive lies in the data directory itself
    config = default_config(name)
    assert config.dataset == name and (spec.generate or config.validation < spec.counts[0] or name == "own_texts")


@pytest.mark.parametrize("name", DATASETS)
def test_is_there(name, small, tmp_path):
    assert DATASETS[name].is_available(tmp_path) == (not DATASETS[name].folder and DATASETS[name].found is None)
    if DATASETS[name].folder:
        small(name)
        assert DATASETS[name].is_available(tmp_path)


# One by one

def test_small_files_come_back_in_their_order(small, tmp_path, cache):
    images, labels, test_images, test_labels = small("fashion_mnist")
    data = load(DataConfig(dataset="fashion_mnist", validation=40), tmp_path, cache)
    for split, wanted, names in ((data.train, images, labels), (data.validation, images, labels),
                                 (data.test, test_images, test_labels)):
        got, got_labels = split.take(torch.arange(len(split)))
        assert np.array_equal(got[:, 0].numpy(), wanted[split.rows.numpy()])
        assert np.array_equal(got_labels.numpy(), names[split.rows.numpy()])


def test_digits_are_scikit_learns(cache):
    from sklearn.datasets import load_digits

    data = digits(cache)
    labels = torch.cat([data.train.labels, data.test.labels])
    assert torch.bincount(labels).tolist() == np.bincount(load_digits().target).tolist()
    assert (len(data.train), len(data.validation), len(data.test)) == (1237, 200, 360)
    # no test image is a copy of a training image
    rows = torch.cat([data.train.images, data.test.images]).flatten(1).numpy()
    assert len(np.unique(rows, axis=0)) == 1797


@pytest.mark.mnist
def test_mnists_well_known_mean_and_deviation(mnist_root, cache):
    data = load(DataConfig(dataset="mnist", normalization="standard", validation=5000), mnist_root, cache)
    assert data.mean == pytest.approx((0.1307,), abs=5e-4) and data.std == pytest.approx((0.3081,), abs=5e-4)
    mean, std = channel_statistics(Split(data.train.images, data.train.labels, torch.arange(60_000)))
    assert mean == pytest.approx((0.1307,), abs=5e-5) and std == pytest.approx((0.3081,), abs=5e-5)
    assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # every tutorial's first test images
    assert torch.bincount(data.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_statistics_of_colour_and_of_a_flat_channel():
    images = torch.randint(0, 256, (20, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 2] = 51
    split = Split(images, torch.zeros(20, dtype=torch.int64), torch.arange(3, 17))
    mean, std = channel_statistics(split)
    pixels = images[3:17].numpy() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3))) and std[:2] == pytest.approx(pixels.std((0, 2, 3))[:2])
    assert mean[2] == pytest.approx(0.2) and 0 < std[2] < 1e-5  # never 0: one divides by it
    assert normalize(images, mean, std).isfinite().all()


def test_a_split_by_hand():
    stack = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    split = Split(stack, torch.tensor([0, 1, 2, 0, 1, 0]), torch.tensor([0, 2, 3, 5]))
    assert len(split) == 4
    images, labels = split.take(torch.tensor([3, 1]))
    assert images.flatten().tolist() == [5, 2] and labels.tolist() == [0, 2]
    assert split.counts(4) == [3, 0, 1, 0]
    assert split.positions(None, 1, 2).tolist() == [1, 2]
    assert split.positions(0, 0, 10).tolist() == [0, 2, 3]
    assert split.positions(0, 1, 1).tolist() == [2]
    assert split.positions(1, 0, 10).tolist() == split.positions(0, 3, 10).tolist() == []


# Normalisation

MEANS, DEVIATIONS = (0.1307, 0.5, 0.0), (0.3081, 0.5, 1.0)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalize_as_torchvision_does(channels):
    from torchvision.transforms import v2

    images = torch.randint(0, 256, (4, channels, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[0, :, 0, :2] = torch.tensor([0, 255], dtype=torch.uint8)
    mean, std = MEANS[:channels], DEVIATIONS[:channels]
    theirs = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    kept = images.clone()
    assert_close(normalize(images, mean, std), torch.stack([theirs(image) for image in images]), rtol=0, atol=1e-6)
    assert torch.equal(images, kept)


def test_normalize_as_the_notes_do():
    from torchvision import transforms

    image = np.arange(0, 252, dtype=np.uint8).reshape(14, 18)
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])(image)
    assert_close(normalize(torch.from_numpy(image)[None, None], (0.5,), (0.5,))[0], theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_normalize_takes_floats_and_gives_float32(dtype):
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    kept = images.clone()
    result = normalize(images, MEANS, DEVIATIONS)
    mean, std = torch.tensor(MEANS).view(3, 1, 1), torch.tensor(DEVIATIONS).view(3, 1, 1)
    assert result.dtype == torch.float32
    assert_close(result, (kept.float() - mean) / std, rtol=0, atol=1e-6)
    assert torch.equal(images, kept)


# Refusals

@pytest.mark.parametrize("validation", [300, 301, 1_000_000])
def test_too_many_validation_images(small, tmp_path, cache, validation):
    small("mnist")
    text = refusal(DataError, DataConfig(dataset="mnist", validation=validation), tmp_path, cache)
    assert text.startswith(f"data.validation is {validation:,}; MNIST has 300 training images")
    assert len(load(DataConfig(dataset="mnist", validation=299), tmp_path, cache).train) == 1


def test_unknown_data_set(tmp_path):
    text = refusal(DataMissing, DataConfig(dataset="mnits"), tmp_path, tmp_path)
    assert text == f"There is no data set 'mnits'; choose from {', '.join(DATASETS)}."
    with pytest.raises(DataMissing, match="mnits"):
        spec_of("mnits")


def test_target_out_of_range(cache):
    text = refusal(DataError, DataConfig(dataset="digits", validation=40, task="is_target", target=10), Path(), cache)
    assert text == "data.target is 10; Digits (scikit-learn) has classes 0 to 9."
    assert digits(cache, target=10).classes == DATASETS["digits"].classes  # no question is asked of it


def test_missing_files(tmp_path):
    text = refusal(DataMissing, DataConfig(dataset="mnist"), tmp_path, tmp_path)
    assert str(tmp_path / "MNIST/raw/train-images-idx3-ubyte") in text and "Download" in text


@pytest.mark.parametrize("place", ["{dotted}", "{name}/{name}", "{name}/{dotted}", "{dotted}.gz", "{name}/{name}.gz"])
def test_files_as_archives_unpack_them(small, tmp_path, cache, place):
    """Kaggle's copy spells the names with a dot, and has each file in a folder of its name too."""
    arrays = small("mnist")
    for name in NAMES:
        (tmp_path / "MNIST/raw" / f"{name}.gz").unlink()
        if "{name}" in place:  # a folder of that name is no file
            (tmp_path / "MNIST/raw" / name).mkdir()
    if "{name}" in place:
        assert not DATASETS["mnist"].is_available(tmp_path)
        refusal(DataMissing, DataConfig(dataset="mnist", validation=40), tmp_path, cache)
    for name, array in zip(NAMES, arrays, strict=True):
        write_idx(tmp_path / "MNIST/raw" / place.format(name=name, dotted=name.replace("-idx", ".idx")), array)
    assert DATASETS["mnist"].is_available(tmp_path)
    data = load(DataConfig(dataset="mnist", validation=40), tmp_path, cache)
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(arrays[2]))


def test_damaged_file(small, tmp_path, cache):
    small("mnist")
    path = tmp_path / "MNIST/raw" / f"{NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in refusal(DataDamaged, DataConfig(dataset="mnist", validation=40), tmp_path, cache)


@pytest.mark.parametrize("file", [1, 3])
def test_labels_beyond_the_classes(small, tmp_path, cache, file):
    arrays = small("mnist")
    arrays[file][-1] = 10
    write_idx(tmp_path / "MNIST/raw" / f"{NAMES[file]}.gz", arrays[file])
    text = refusal(DataDamaged, DataConfig(dataset="mnist", validation=40), tmp_path, tmp_path / "new cache")
    assert "labels beyond 9" in text and str(tmp_path / "MNIST/raw") in text


def test_an_empty_folder_of_a_files_name_stands_in_nobodys_way(small, tmp_path, cache):
    arrays = small("mnist")
    (tmp_path / "MNIST/raw" / NAMES[0]).mkdir()
    data = load(DataConfig(dataset="mnist", validation=40), tmp_path, cache)
    assert len(data.train) + len(data.validation) == len(arrays[0])


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_a_cache_that_cannot_be_written(small, tmp_path, name):
    if name == "mnist":
        small(name)
    (tmp_path / "blocked").write_text("a file where a folder should be", encoding="utf-8")
    config = DataConfig(dataset=name, validation=40)
    assert DATASETS[name].title in refusal(DataError, config, tmp_path, tmp_path / "blocked")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    text = refusal(DataError, DataConfig(dataset="digits", validation=40), tmp_path, tmp_path)
    assert text == "Digits (scikit-learn) can't be read: the disk is full."


# Digits from the cache, without scikit-learn

DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "text": lambda path: path.write_text("this is a text", encoding="utf-8"),
    "another shape": lambda path: np.save(path, np.zeros((10, 785), np.uint8)),
    "another type": lambda path: np.save(path, np.zeros((1797, 785), np.float32)),
    "pickled objects": lambda path: np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True),
    "half the header": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "header overwritten": lambda path: path.write_bytes(path.read_bytes()[:20] + b"(" * 30 + path.read_bytes()[50:]),
}


def test_digits_need_no_scikit_learn_the_second_time(cache, monkeypatch):
    first = digits(cache)
    monkeypatch.setitem(sys.modules, "core.data.sources.digits", None)  # importing it would fail
    assert torch.equal(digits(cache).train.images, first.train.images)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_digits_in_the_cache_are_made_anew(tmp_path, cache, damage):
    wanted = digits(cache)
    kept = next((cache / "digits").iterdir())
    (tmp_path / "digits").mkdir()
    copy = tmp_path / "digits" / kept.name
    copy.write_bytes(kept.read_bytes())
    DAMAGES[damage](copy)
    data = digits(tmp_path)
    assert torch.equal(data.train.images, wanted.train.images) and torch.equal(data.test.labels, wanted.test.labels)
    assert copy.read_bytes() == kept.read_bytes()


# Variations

FEW = {"validation": 1400}  # leaves 37 images to learn from


def test_variations_follow_the_originals(cache):
    plain, varied = digits(cache, **FEW), digits(cache, variations=3, **FEW)
    originals, labels = plain.train.take(torch.arange(37))
    images, all_labels = varied.train.take(torch.arange(len(varied.train)))
    assert len(varied.train) == 4 * 37
    assert torch.equal(images[:37], originals)  # first and unchanged
    assert torch.equal(all_labels, labels.repeat(4))
    for copy in range(1, 4):
        copies = images[copy * 37:(copy + 1) * 37]
        assert (copies != originals).flatten(1).any(1).all()  # each another handwriting …
        # … of the same digit: over the 37, nearer to its own original than to the next one
        far = (copies.float() - originals.float()).pow(2).flatten(1).sum(1)
        assert far.mean() < (copies.float() - originals.roll(1, 0).float()).pow(2).flatten(1).sum(1).mean()
    for part in ("validation", "test"):
        ours, theirs = varied.split(part), plain.split(part)
        assert torch.equal(ours.take(torch.arange(len(ours)))[0], theirs.take(torch.arange(len(theirs)))[0])
        assert torch.equal(ours.rows, theirs.rows) and torch.equal(ours.labels, theirs.labels)


def test_variations_of_a_yes_no_question(cache):
    plain = digits(cache, variations=1, **FEW)
    data = digits(cache, variations=1, task="is_target", target=3, **FEW)
    assert torch.equal(data.train.labels, (plain.train.labels == 3).long())
    assert torch.equal(data.train.images, plain.train.images)


def test_statistics_are_those_of_what_is_learned_from(cache):
    data = digits(cache, variations=2, normalization="standard", **FEW)
    pixels = data.train.images.numpy() / 255
    assert len(pixels) == 3 * 37
    assert data.mean == pytest.approx((pixels.mean(),), abs=1e-6) and data.std == pytest.approx((pixels.std(),), abs=1e-6)


def test_variations_are_made_once_for_each_question(tmp_path, monkeypatch):
    first = digits(tmp_path, variations=1, **FEW)
    digits(tmp_path, variations=2, **FEW)
    other = digits(tmp_path, variations=1, split_seed=1, **FEW)
    assert len(list((tmp_path / "variations").iterdir())) == 3
    monkeypatch.setitem(sys.modules, "core.data.sources.digits", None)
    assert torch.equal(digits(tmp_path, variations=1, **FEW).train.images, first.train.images)
    assert torch.equal(digits(tmp_path, variations=1, split_seed=1, **FEW).train.images, other.train.images)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_variations_are_made_anew(tmp_path, cache, damage):
    wanted = digits(tmp_path, variations=1, **FEW).train.images.clone()
    kept, = (tmp_path / "variations").iterdir()
    content = kept.read_bytes()
    DAMAGES[damage](kept)
    assert torch.equal(digits(tmp_path, variations=1, **FEW).train.images, wanted)
    assert kept.read_bytes() == content


def test_cached_arrays_are_mapped_and_never_written_to(tmp_path):
    images = digits(tmp_path, variations=1, **FEW).train.images
    kept, = (tmp_path / "variations").iterdir()
    content = kept.read_bytes()
    images.fill_(9)
    assert kept.read_bytes() == content
    assert isinstance(np.load(kept, mmap_mode="r"), np.memmap)


def test_variations_of_too_many_images(small, tmp_path, cache, monkeypatch):
    monkeypatch.setattr("core.data.variations.MOST_IMAGES", 519)
    small("mnist")
    config = DataConfig(dataset="mnist", validation=40, variations=2)  # 260 left
    text = refusal(DataError, config, tmp_path, tmp_path / "cache")
    assert text.startswith("data.variations is 2, which makes 520 copies; at most 519 are made. Set it to 0")
    monkeypatch.setattr("core.data.variations.MOST_IMAGES", 520)
    assert len(load(config, tmp_path, tmp_path / "cache").train) == 780


@pytest.mark.mnist
def test_variations_of_mnist(mnist_root, cache):
    assert "110,000 copies" in refusal(DataError, DataConfig(dataset="mnist", validation=5000, variations=2), mnist_root, cache)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 32, 32), (1, 28, 27)])
def test_variations_of_other_pictures(small, tmp_path, cache, monkeypatch, shape):
    small("mnist")
    stack = torch.zeros(300, *shape, dtype=torch.uint8)
    raw = replace(DATASETS["mnist"].read(tmp_path, cache), train_images=stack)
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], read=lambda root, cache: raw))
    text = refusal(DataError, DataConfig(dataset="mnist", validation=40, variations=1), tmp_path, cache)
    assert text.startswith("data.variations is 1; ") and "28×28" in text


def test_variations_that_cannot_be_kept(tmp_path, cache):
    digits(tmp_path)
    (tmp_path / "variations").write_text("a file where a folder should be", encoding="utf-8")
    config = DataConfig(dataset="digits", variations=1, **FEW)
    assert str(tmp_path / "variations") in refusal(DataError, config, Path(), tmp_path)


# Batches

def colour(count: int = 150) -> Dataset:
    """A data set of random colour pictures, whose splits are not in one piece."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 4, 5), dtype=torch.uint8, generator=random)
    labels = torch.arange(count)  # so that a label says which image it belongs to
    rows = torch.arange(count)
    return Dataset("x", "X", ("a",), ("a",), MEANS, DEVIATIONS, Split(images, labels, rows[rows % 3 != 0]),
                   Split(images, labels, rows[rows % 3 == 0]), Split(images, labels, rows))


def expected(data: Dataset, split: Split, order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = split.take(order)
    return normalize(images, data.mean, data.std), labels


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100, 4096])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_image_once_in_the_given_order(batch_size, shuffled, channels_last):
    data = colour()
    batches = Batches(data, data.train, CPU, channels_last)
    assert len(batches) == len(data.train) == 100
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1)) if shuffled else None
    found = list(batches.iterate(batch_size, order))
    sizes = [len(batch.labels) for batch in found]
    assert sizes == [batch_size] * (100 // batch_size) + [100 % batch_size] * bool(100 % batch_size)
    images, labels = expected(data, data.train, torch.arange(100) if order is None else order)
    assert torch.equal(torch.cat([batch.images for batch in found]), images)
    assert torch.equal(torch.cat([batch.labels for batch in found]), labels)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for batch in found:
        assert batch.images.dtype == torch.float32 and batch.images.shape == (len(batch.labels), 3, 4, 5)
        assert batch.images.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("batch_size", [64, 1000, 1500, 2048, 4096])
def test_more_images_than_are_gathered_at_once(batch_size):
    data = colour(5000)
    found = list(Batches(data, data.test, CPU).iterate(batch_size))
    assert [len(batch.labels) for batch in found] == [
        batch_size] * (5000 // batch_size) + [5000 % batch_size] * bool(5000 % batch_size)
    assert torch.equal(torch.cat([batch.labels for batch in found]), torch.arange(5000))
    assert torch.equal(torch.cat([batch.images for batch in found]), expected(data, data.test, torch.arange(5000))[0])


def test_part_of_a_split_and_none_of_it():
    data = colour()
    batches = Batches(data, data.validation, CPU)
    batch, = batches.iterate(64, torch.tensor([4, 2, 9]))
    assert batch.labels.tolist() == [12, 6, 27]
    assert list(batches.iterate(64, torch.tensor([], dtype=torch.int64))) == []


@given(count=st.integers(1, 200), batch_size=st.integers(1, 250), seed=st.integers(0, 100))
def test_any_sizes(count, batch_size, seed):
    data = colour(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    labels = [batch.labels for batch in Batches(data, data.test, CPU).iterate(batch_size, order)]
    assert torch.equal(torch.cat(labels), order)
    assert all(len(some) == batch_size for some in labels[:-1]) and 0 < len(labels[-1]) <= batch_size


def test_batches_do_not_change_the_data(small, tmp_path, cache):
    images = small("mnist")[0]
    data = load(DataConfig(dataset="mnist", validation=40, normalization="standard"), tmp_path, cache)
    for batch in Batches(data, data.train, CPU).iterate(64):
        batch.images.fill_(7)
    assert np.array_equal(data.train.images[:, 0].numpy(), images)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_batches_on_a_gpu():
    data, gpu = colour(), torch.device("cuda")
    batches = Batches(data, data.train, gpu, channels_last=True)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    found = list(batches.iterate(64, order))
    assert [batch.images.device.type for batch in found] == ["cuda", "cuda"]
    images, labels = expected(data, data.train, order)
    assert_close(torch.cat([batch.images for batch in found]).cpu(), images, rtol=0, atol=1e-6)
    assert torch.equal(torch.cat([batch.labels for batch in found]).cpu(), labels)
    assert torch.equal(torch.cat([batch.labels for batch in batches.iterate(7)]).cpu(), data.train.labels[data.train.rows])
