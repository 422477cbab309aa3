"""EMNIST's letters and CIFAR-10: read as they are written; every crooked archive is refused in one line, nothing gets outside."""

import gzip
import io
import pickle
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import DataConfig
from core.data import DATASETS, DataDamaged, DataMissing, load
from tests.idx_files import idx_bytes
from tests.small_sets import ROWS, cifar_arrays, cifar_batches, cifar_tar, emnist_files, emnist_zip, make_arrays, write_small

SETS = ("emnist_letters", "cifar10")


def get(name: str, root: Path, cache: Path | None = None):
    return load(DataConfig(dataset=name, validation=40), root, cache or root / "cache")


def refusal(kind: type[Exception], name: str, root: Path) -> str:
    with pytest.raises(kind) as refused:
        get(name, root)
    assert len(str(refused.value).splitlines()) == 1
    assert not list((root / "cache").rglob("*.np*")), "nothing half made is kept"
    return str(refused.value)


@pytest.mark.parametrize("name", SETS)
def test_images_and_labels_in_order(name, tmp_path, monkeypatch):
    images, labels, tests, test_labels = write_small(name, tmp_path, monkeypatch)
    data = get(name, tmp_path)
    assert np.array_equal(data.train.images.numpy().reshape(images.shape), images)  # EMNIST's are upright again
    assert data.train.labels.tolist() == labels.tolist()
    assert np.array_equal(data.test.images.numpy().reshape(tests.shape), tests)
    assert data.test.labels.tolist() == test_labels.tolist()


def test_emnist_as_torchvision_reads_it(tmp_path, monkeypatch):
    """torchvision leaves images on their side and labels from 1; ours are the same, set right."""
    from core.torchvision_guard import torchvision

    arrays = write_small("emnist_letters", tmp_path, monkeypatch)
    for name, content in emnist_files(arrays).items():
        (tmp_path / "EMNIST/raw" / name).write_bytes(content)
    theirs = torchvision.datasets.EMNIST(str(tmp_path), split="letters", train=True)
    ours = get("emnist_letters", tmp_path)
    assert torch.equal(ours.train.images[:, 0], theirs.data.transpose(1, 2))
    assert torch.equal(ours.train.labels, theirs.targets - 1)
    assert theirs.classes[1:] == list(ours.classes)


def test_cifar10_as_torchvision_reads_the_python_version(tmp_path, monkeypatch):
    """Our own pickles of the same images, through torchvision."""
    from core.torchvision_guard import torchvision

    images, labels, *_ = write_small("cifar10", tmp_path, monkeypatch)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for i in range(5):
        rows = slice(i * 60, (i + 1) * 60)
        batch = {"data": images[rows].reshape(60, -1), "labels": labels[rows].tolist()}
        (folder / f"data_batch_{i + 1}").write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(DATASETS["cifar10"].classes)}))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    theirs, ours = torchvision.datasets.CIFAR10(str(tmp_path), train=True), get("cifar10", tmp_path)
    assert np.array_equal(ours.train.images.permute(0, 2, 3, 1).numpy(), theirs.data)
    assert ours.train.labels.tolist() == theirs.targets


@pytest.mark.parametrize("packed", [".gz", ""])
def test_emnists_files_as_torchvision_leaves_them(packed, tmp_path, monkeypatch):
    images, labels, *_ = arrays = write_small("emnist_letters", tmp_path, monkeypatch)
    folder = tmp_path / "EMNIST/raw"
    (folder / "gzip.zip").unlink()
    assert not DATASETS["emnist_letters"].is_available(tmp_path)
    for name, content in emnist_files(arrays).items():
        (folder / f"{name}{packed}").write_bytes(gzip.compress(content) if packed else content)
    assert DATASETS["emnist_letters"].is_available(tmp_path)
    data = get("emnist_letters", tmp_path)
    assert np.array_equal(data.train.images[:, 0].numpy(), images) and data.train.labels.tolist() == labels.tolist()


def test_cifar10_unpacked(tmp_path, monkeypatch):
    images, labels, *_ = arrays = write_small("cifar10", tmp_path, monkeypatch)
    folder = tmp_path / "cifar-10"
    (folder / "cifar-10-binary.tar.gz").unlink()
    for name, content in cifar_batches(arrays).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    assert np.array_equal(get("cifar10", tmp_path).train.images.numpy(), images)
    (folder / "cifar-10-batches-bin/data_batch_3.bin").write_bytes(b"short")
    assert "data_batch_3.bin has 5 bytes" in _other_cache(tmp_path)


def _other_cache(root: Path) -> str:
    with pytest.raises(DataDamaged) as refused:
        get("cifar10", root, root / "another cache")
    return str(refused.value)


@pytest.mark.parametrize("name", SETS)
def test_unpacked_once_mapped_and_made_anew_for_another_file(name, tmp_path, monkeypatch):
    write_small(name, tmp_path, monkeypatch)
    get(name, tmp_path)
    kept, = (tmp_path / "cache").rglob("*.npy")
    before = kept.stat().st_mtime_ns
    images = get(name, tmp_path).train.images
    assert kept.stat().st_mtime_ns == before
    content = kept.read_bytes()
    images.fill_(7)
    assert kept.read_bytes() == content
    packed = next(path for path in (tmp_path / DATASETS[name].folder).iterdir() if path.suffix in {".zip", ".gz"})
    arrays = make_arrays(ROWS, 28, 26, seed=1) if name.startswith("e") else cifar_arrays(seed=1)
    packed.write_bytes(emnist_zip(arrays) if name.startswith("e") else cifar_tar(arrays))
    assert np.array_equal(get(name, tmp_path).train.images.numpy().reshape(arrays[0].shape), arrays[0])
    kept.write_bytes(b"damaged")
    get(name, tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_missing(name, tmp_path):
    text = refusal(DataMissing, name, tmp_path)
    assert str(tmp_path) in text and ("pickles" in text) == (name == "cifar10")


DAMAGES = {"empty": lambda content: b"", "a text": lambda content: b"a text", "half": lambda content: content[:len(content) // 2],
           "overwritten": lambda content: content[:20_000] + b"\0" * 2000 + content[22_000:]}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_archives(name, damage, tmp_path, monkeypatch):
    write_small(name, tmp_path, monkeypatch)
    path, = [path for path in (tmp_path / DATASETS[name].folder).iterdir() if path.is_file()]
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert str(path) in refusal(DataDamaged, name, tmp_path)


BAD_IDX = {
    "another type": lambda images: b"\0\0\x09" + idx_bytes(images)[3:],
    "fewer": lambda images: idx_bytes(images[:-1]),
    "more claimed": lambda images: idx_bytes(np.concatenate([images, images]))[:16] + idx_bytes(images)[16:],
    "short": lambda images: idx_bytes(images)[:-1],
    "long": lambda images: idx_bytes(images) + b"x",
    "empty": lambda images: b"",
}


@pytest.mark.parametrize("bad", BAD_IDX)
def test_emnist_with_a_crooked_member(bad, tmp_path, monkeypatch):
    arrays = write_small("emnist_letters", tmp_path, monkeypatch)
    content = gzip.compress(BAD_IDX[bad](arrays[0]))
    (tmp_path / "EMNIST/raw/gzip.zip").write_bytes(emnist_zip(arrays, **{"emnist-letters-train-images-idx3-ubyte": content}))
    refusal(DataDamaged, "emnist_letters", tmp_path)


@pytest.mark.parametrize("label", [0, 27])
def test_emnist_labels_are_1_to_26(label, tmp_path, monkeypatch):
    arrays = write_small("emnist_letters", tmp_path, monkeypatch)
    labels = arrays[1] + 1
    labels[3] = label
    member = {"emnist-letters-train-labels-idx1-ubyte": gzip.compress(idx_bytes(labels))}
    (tmp_path / "EMNIST/raw/gzip.zip").write_bytes(emnist_zip(arrays, **member))
    assert "labels beyond 25" in refusal(DataDamaged, "emnist_letters", tmp_path)


def test_a_member_that_unpacks_to_a_thousand_times_its_size(tmp_path, monkeypatch):
    """Read no further than an image set of this size reaches."""
    arrays = write_small("emnist_letters", tmp_path, monkeypatch)
    bomb = gzip.compress(idx_bytes(arrays[0]) + bytes(200 << 20), compresslevel=1)
    (tmp_path / "EMNIST/raw/gzip.zip").write_bytes(emnist_zip(arrays, **{"emnist-letters-train-images-idx3-ubyte": bomb}))
    tracemalloc.start()
    try:
        refusal(DataDamaged, "emnist_letters", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


BATCH = "cifar-10-batches-bin/data_batch_1.bin"
REFUSED = {
    "a link": [info(BATCH, tarfile.SYMTYPE, "/etc/passwd")],
    "a hard link": [info(BATCH, tarfile.LNKTYPE, "../../outside")],
    "a folder": [info(BATCH, tarfile.DIRTYPE)],
    "a pipe": [info(BATCH, tarfile.FIFOTYPE)],
    "empty": [info(BATCH)],
    "hundreds of members": [info(f"x{i}") for i in range(300)],
}
PASSED_BY = {
    "a parent path": [info("../outside"), info("../../cifar-10-batches-bin/data_batch_1.bin")],
    "an absolute path": [info("/tmp/outside"), info(f"/{BATCH}")],
    "another folder": [info(f"x/{BATCH}")],
    "a link elsewhere": [info("cifar-10-batches-bin/other", tarfile.SYMTYPE, "/etc/passwd")],
}


@pytest.mark.parametrize("members", REFUSED)
def test_tar_members_that_are_refused(members, tmp_path, monkeypatch):
    arrays = write_small("cifar10", tmp_path, monkeypatch)
    (tmp_path / "cifar-10/cifar-10-binary.tar.gz").write_bytes(cifar_tar(arrays, first=REFUSED[members]))
    assert "damaged" in refusal(DataDamaged, "cifar10", tmp_path)


@pytest.mark.parametrize("members", PASSED_BY)
def test_tar_members_that_are_passed_by(members, tmp_path, monkeypatch):
    arrays = write_small("cifar10", tmp_path, monkeypatch)
    (tmp_path / "cifar-10/cifar-10-binary.tar.gz").write_bytes(cifar_tar(arrays, first=PASSED_BY[members]))
    before = {path for path in tmp_path.parent.rglob("*") if tmp_path / "cache" not in path.parents}
    assert np.array_equal(get("cifar10", tmp_path).train.images.numpy(), arrays[0])
    after = {path for path in tmp_path.parent.rglob("*") if tmp_path / "cache" not in path.parents}
    assert after - before <= {tmp_path / "cache"}


def test_a_tar_without_a_batch(tmp_path, monkeypatch):
    arrays = write_small("cifar10", tmp_path, monkeypatch)
    (tmp_path / "cifar-10/cifar-10-binary.tar.gz").write_bytes(cifar_tar(arrays, skip="cifar-10-batches-bin/data_batch_4.bin"))
    assert "has no cifar-10-batches-bin/data_batch_4.bin" in refusal(DataDamaged, "cifar10", tmp_path)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_bomb_is_given_up(kind, tmp_path, monkeypatch):
    write_small("cifar10", tmp_path, monkeypatch)
    head = info("bomb", kind, size=300 << 20).tobuf(tarfile.GNU_FORMAT)
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        packed.write(head)
        for _ in range(300):
            packed.write(bytes(1 << 20))
    (tmp_path / "cifar-10/cifar-10-binary.tar.gz").write_bytes(file.getvalue())
    tracemalloc.start()
    try:
        refusal(DataDamaged, "cifar10", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def test_labels_beyond_the_classes(tmp_path, monkeypatch):
    arrays = write_small("cifar10", tmp_path, monkeypatch)
    arrays[1][7] = 10
    (tmp_path / "cifar-10/cifar-10-binary.tar.gz").write_bytes(cifar_tar(arrays))
    assert "labels beyond 9" in refusal(DataDamaged, "cifar10", tmp_path)
