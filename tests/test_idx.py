"""idx files: read as torchvision reads them, memory-mapped, and every damage told in one line that says what to do."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import core.torchvision_guard  # noqa: F401  (before torchvision)
from core.data.dataset import DataDamaged, DataError, DataMissing
from core.data.sources.idx import IdxFolder, as_images, map_idx, unpack
from tests.idx_files import NAMES, idx_bytes, make_arrays, write_set

FOLDER = "MNIST/raw"
ROWS = (60, 20)
IMAGES, LABELS = NAMES[0], NAMES[1]


class Place:
    """A data directory and a cache with one small data set."""

    def __init__(self, path: Path, packed: bool) -> None:
        self.root, self.cache = path / "data", path / "cache"
        self.arrays = make_arrays(ROWS)
        self.packed = packed
        write_set(self.root / FOLDER, self.arrays, packed)

    def file(self, name: str) -> Path:
        return self.root / FOLDER / f"{name}{'.gz' if self.packed else ''}"

    def load(self) -> tuple[np.ndarray, ...]:
        return IdxFolder(FOLDER, ROWS).load(self.root, self.cache)

    def cached(self) -> list[Path]:
        return [path for path in self.cache.rglob("*") if path.is_file()]


@pytest.fixture(params=["plain", "gz"])
def place(request, tmp_path) -> Place:
    return Place(tmp_path, packed=request.param == "gz")


@pytest.fixture
def plain(tmp_path) -> Place:
    return Place(tmp_path, packed=False)


@pytest.fixture
def packed(tmp_path) -> Place:
    return Place(tmp_path, packed=True)


def refusal(place: Place, kind: type[DataError] = DataDamaged) -> str:
    """The message of what load() refuses, which is one line."""
    with pytest.raises(kind) as refused:
        place.load()
    text = str(refused.value)
    assert type(refused.value) is kind and len(text.splitlines()) == 1
    return text


# What is read

def test_the_arrays_come_back(place):
    arrays = place.load()
    assert all(array.dtype == np.uint8 for array in arrays)
    assert all(np.array_equal(array, wanted) for array, wanted in zip(arrays, place.arrays, strict=True))
    assert [array.shape for array in arrays] == [(60, 28, 28), (60,), (20, 28, 28), (20,)]


@pytest.mark.parametrize("train", [True, False])
def test_same_as_torchvision(plain, train):
    from torchvision.datasets import MNIST

    theirs = MNIST(plain.root, train=train)
    images, labels = plain.load()[:2] if train else plain.load()[2:]
    assert torch.equal(torch.from_numpy(images), theirs.data)
    assert torch.equal(torch.from_numpy(labels).long(), theirs.targets)


@pytest.mark.mnist
def test_the_real_files(mnist_root, tmp_path):
    arrays = IdxFolder(FOLDER, (60_000, 10_000)).load(mnist_root, tmp_path)
    # MD5 of the original files, unpacked
    assert [hashlib.md5(idx_bytes(array), usedforsecurity=False).hexdigest() for array in arrays] == [
        "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"]


def test_memory_mapped_and_never_written_to(place):
    before = {path: path.read_bytes() for path in [*place.root.rglob("*ubyte*"), *place.cached()]}
    arrays = place.load()
    for array in arrays:
        assert isinstance(array, np.memmap)
        array[:] = 7
    assert before == {path: path.read_bytes() for path in before}
    assert all(np.array_equal(array, wanted) for array, wanted in zip(place.load(), place.arrays, strict=True))


def test_as_images_shares_memory(plain):
    array = plain.load()[0]
    images = as_images(array)
    assert images.shape == (60, 1, 28, 28) and images.dtype == torch.uint8
    assert images.data_ptr() == array.ctypes.data


def test_plain_files_need_no_cache(plain):
    plain.load()
    assert not plain.cache.exists()


def test_unpacked_beside_packed_is_preferred(packed):
    other = make_arrays(ROWS, seed=1)
    write_set(packed.root / FOLDER, other, packed=False)
    assert np.array_equal(packed.load()[0], other[0])
    assert not packed.cached()


# The cache

def test_unpacked_once(packed, monkeypatch):
    packed.load()
    assert len(packed.cached()) == 4
    monkeypatch.setattr(gzip, "open", lambda *args: pytest.fail("unpacked again"))
    assert np.array_equal(packed.load()[0], packed.arrays[0])


def test_the_data_directory_is_only_read(packed):
    files = {path: path.stat().st_mtime_ns for path in packed.root.rglob("*")}
    packed.load()
    assert {path: path.stat().st_mtime_ns for path in packed.root.rglob("*")} == files


def test_another_file_of_that_name_is_unpacked_anew(packed):
    packed.load()
    other = make_arrays(ROWS, seed=1)
    write_set(packed.root / FOLDER, other)
    os.utime(packed.file(IMAGES), ns=(1, 1))
    assert np.array_equal(packed.load()[0], other[0])


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_copy_in_the_cache_is_unpacked_anew(packed, damage):
    packed.load()
    for path in packed.cached():
        path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    assert np.array_equal(packed.load()[0], packed.arrays[0])


# What is refused

@pytest.mark.parametrize("name", NAMES)
def test_missing(place, name):
    place.file(name).unlink()
    folder = IdxFolder(FOLDER, ROWS)
    assert not folder.is_available(place.root)
    text = refusal(place, DataMissing)
    assert str(place.root / FOLDER / name) in text and "Download" in text and "PLAYGROUND_DATA" in text


def test_nothing_there_at_all(tmp_path):
    assert not IdxFolder(FOLDER, ROWS).is_available(tmp_path)
    with pytest.raises(DataMissing, match="Download"):
        IdxFolder(FOLDER, ROWS).load(tmp_path / "never made", tmp_path)


def test_is_there(place):
    assert IdxFolder(FOLDER, ROWS).is_available(place.root)


def test_is_there_answers_for_impossible_places(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for root in (tmp_path / "file", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        assert not IdxFolder(FOLDER, ROWS).is_available(root)


GOOD = {name: idx_bytes(array) for name, array in zip(NAMES, make_arrays(ROWS), strict=True)}
CONTENT = {  # what is wrong with an unpacked file: (file, content, what the message says)
    "truncated": (IMAGES, GOOD[IMAGES][:-1], "it has 47,055 bytes and should have 47,056"),
    "half the header": (IMAGES, GOOD[IMAGES][:10], "it has 10 bytes"),
    "extra bytes": (IMAGES, GOOD[IMAGES] + b"x", "it has 47,057 bytes and should have 47,056"),
    "empty": (IMAGES, b"", "it has 0 bytes"),
    "text": (IMAGES, b"<html>not found</html>", "it has 22 bytes"),
    "wrong magic": (IMAGES, b"\1" + GOOD[IMAGES][1:], "its header is wrong"),
    "signed bytes": (IMAGES, GOOD[IMAGES][:2] + b"\x09" + GOOD[IMAGES][3:], "its header is wrong"),
    "two dimensions": (IMAGES, GOOD[IMAGES][:3] + b"\2" + GOOD[IMAGES][4:], "its header is wrong"),
    "other shape of the same size": (IMAGES, idx_bytes(np.zeros((60, 14, 56), np.uint8)), "its header is wrong"),
    "fewer images": (IMAGES, idx_bytes(np.zeros((59, 28, 28), np.uint8)), "it has 46,272 bytes"),
    "labels of the other part": (LABELS, GOOD[NAMES[3]], "it has 28 bytes and should have 68"),
    "labels truncated": (LABELS, GOOD[LABELS][:30], "it has 30 bytes and should have 68"),
    "labels for images": (IMAGES, GOOD[LABELS], "it has 68 bytes"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_wrong_content(place, case):
    name, content, says = CONTENT[case]
    path = place.file(name)
    path.write_bytes(gzip.compress(content) if place.packed else content)
    text = refusal(place)
    assert f"{path} is damaged" in text and says in text and "Delete it and download it again" in text
    assert not any(name in kept.name for kept in place.cached())  # nothing of it stays


PACKED = gzip.compress(GOOD[IMAGES], mtime=0)


@pytest.mark.parametrize("content", [
    pytest.param(PACKED[:len(PACKED) // 2], id="truncated"),
    pytest.param(PACKED[:-4], id="without its length"),
    pytest.param(PACKED[:5], id="half the gzip header"),
    pytest.param(b"this is a text", id="text"),
    pytest.param(GOOD[IMAGES], id="not packed"),
    pytest.param(PACKED[:10] + b"\xff" * 100 + PACKED[110:], id="bytes overwritten"),
    pytest.param(PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], id="wrong checksum"),
    pytest.param(PACKED + b"trailing rubbish", id="rubbish behind"),
    pytest.param(b"", id="empty"),
])
def test_damaged_gzip(packed, content):
    path = packed.file(IMAGES)
    path.write_bytes(content)
    text = refusal(packed)
    assert str(path) in text and "Delete it and download it again" in text
    assert not packed.cached()  # it is the first of the four
    assert not list(packed.root.rglob("*.part"))


def test_a_full_disk_leaves_nothing(packed, monkeypatch):
    def full(source, target, size):
        target.write(b"x" * 1000)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        packed.load()
    assert not packed.cached()


def test_unpack(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"something"))
    unpack(tmp_path / "x.gz", tmp_path / "new folder/x")
    assert (tmp_path / "new folder/x").read_bytes() == b"something"


# Any bytes

NEAR_MISSES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda content, at, byte: content[:at] + bytes([byte]) + content[at + 1:],
              st.sampled_from([idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2)),
                               gzip.compress(idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2)), mtime=0)]),
              st.integers(0, 60), st.integers(0, 255)))


@given(content=NEAR_MISSES)
@example(idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2)))
@example(b"\0\0\x08\x03" + b"\xff" * 12)
def test_any_bytes_load_or_are_refused(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    try:
        array = map_idx(path, (3, 2, 2))
    except DataDamaged as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert array.tobytes() == content[16:]


@given(content=NEAR_MISSES)
@example(gzip.compress(idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2)), mtime=0))
def test_any_bytes_unpack_or_are_refused(tmp_path, content):
    packed, unpacked = tmp_path / "file.gz", tmp_path / "unpacked/file"
    packed.write_bytes(content)
    unpacked.unlink(missing_ok=True)
    try:
        unpack(packed, unpacked)
    except DataDamaged as error:
        assert len(str(error).splitlines()) == 1
        assert not unpacked.parent.exists() or not list(unpacked.parent.iterdir())
    else:
        assert unpacked.read_bytes() == gzip.decompress(content)
