"""Every registered data set with files, small, in the format of its download; built byte by byte, by hand."""

import gzip
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data import DATASETS
from core.data.sources import read_archive, read_idx
from core.data.sources.archives import read_cifar10, read_emnist
from tests.idx_files import idx_bytes, make_arrays, write_set

ROWS = (300, 50)  # for training and for the test


def write_small(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, rows: tuple[int, int] = ROWS,
                size: int = 28) -> list[np.ndarray]:
    """Put small files of a registered data set below `root` and let the registry expect them; their images and labels from 0."""
    spec = DATASETS[name]
    folder = root / spec.folder
    folder.mkdir(parents=True, exist_ok=True)
    if name == "emnist_letters":
        arrays = make_arrays(rows, 28, 26)
        (folder / "gzip.zip").write_bytes(emnist_zip(arrays))
        read = read_archive(read_emnist, spec.folder, rows)
    elif name == "cifar10":
        arrays = cifar_arrays(rows)
        (folder / "cifar-10-binary.tar.gz").write_bytes(cifar_tar(arrays))
        read = read_archive(read_cifar10, spec.folder, rows)
    else:
        arrays = make_arrays(rows, size, len(spec.classes))
        write_set(folder, arrays)
        read = read_idx(spec.folder, rows, len(spec.classes))
    monkeypatch.setitem(DATASETS, name, replace(spec, counts=rows, read=read))
    return arrays


def emnist_files(arrays: list[np.ndarray]) -> dict[str, bytes]:
    """EMNIST's four files of letters as idx: rows and columns exchanged, labels from 1."""
    names = [f"emnist-letters-{part}-{kind}-ubyte" for part in ("train", "test") for kind in ("images-idx3", "labels-idx1")]
    return {name: idx_bytes(array.transpose(0, 2, 1) if array.ndim == 3 else array + 1)
            for name, array in zip(names, arrays, strict=True)}


def emnist_zip(arrays: list[np.ndarray], **changes: bytes) -> bytes:
    """The zip file, with a file of another split in it. changes: gzipped content of some of its files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("gzip/emnist-digits-train-labels-idx1-ubyte.gz", gzip.compress(b"not looked at"))
        for name, content in emnist_files(arrays).items():
            archive.writestr(f"gzip/{name}.gz", changes.get(name, gzip.compress(content)))
    return file.getvalue()


def cifar_arrays(rows: tuple[int, int] = ROWS, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [array for count in rows for array in (random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
                                                  random.permutation(np.arange(count, dtype=np.uint8) % 10))]


def cifar_batches(arrays: list[np.ndarray]) -> dict[str, bytes]:
    """Member → records of one label and 3,072 values. In the real archive's order, which is not that of the numbers."""
    images, labels, tests, test_labels = arrays
    each = len(images) // 5

    def records(some: np.ndarray, of: np.ndarray) -> bytes:
        return b"".join(bytes([label]) + image.tobytes() for image, label in zip(some, of, strict=True))

    found = {f"data_batch_{i + 1}.bin": records(images[i * each:(i + 1) * each], labels[i * each:(i + 1) * each])
             for i in range(5)}
    found["test_batch.bin"] = records(tests, test_labels)
    order = [1, 3, 4, None, 5, 2]
    names = ["test_batch.bin" if i is None else f"data_batch_{i}.bin" for i in order]
    return {f"cifar-10-batches-bin/{name}": found[name] for name in names}


def cifar_tar(arrays: list[np.ndarray], first: list[tarfile.TarInfo] = (), skip: str = "") -> bytes:
    """The tar file. first: members without content that come before. skip: a member to leave out."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for info in first:
            archive.addfile(info)
        for name, content in {"cifar-10-batches-bin/readme.html": b"hello", **cifar_batches(arrays)}.items():
            if name != skip:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()
