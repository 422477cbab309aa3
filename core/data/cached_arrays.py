"""Arrays that take a moment to make: made once, kept in the cache and shared between processes from there."""

import io
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.files import write_atomically

RECENT = 60  # seconds
Put = Callable[[int, np.ndarray], None]  # (first row, rows (n, …) uint8)


def kept_array(path: Path, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in `path`, (shape) uint8, memory-mapped; made by `make` where it is not there or not whole.

    The cache is ours, so nobody needs to hear that a file in it was damaged. Raises OSError where it can't be written.
    """
    if not _is_whole(path, shape):
        array = make()
        assert array.shape == shape and array.dtype == np.uint8, (array.shape, array.dtype)
        write_atomically(path, lambda file: np.save(file, array))
    # mode "c": private pages that nobody writes to stay shared, and PyTorch gets the writable array it wants
    return np.load(path, mmap_mode="c", allow_pickle=False)


def kept_filled(path: Path, shape: tuple[int, ...], fill: Callable[[Put], None]) -> np.ndarray:
    """The same for arrays too large to hold in memory while they are made: `fill` is given put(first, rows) and writes them piece
    by piece, in any order."""
    if not _is_whole(path, shape):
        def write(file: BinaryIO) -> None:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            start, row = file.tell(), int(np.prod(shape[1:]))
            # written, not mapped: a full disk is then an OSError and not a signal that ends the process
            file.truncate(start + int(np.prod(shape)))

            def put(first: int, rows: np.ndarray) -> None:
                assert rows.dtype == np.uint8 and rows.shape[1:] == shape[1:] and 0 <= first <= shape[0] - len(rows)
                file.seek(start + first * row)
                file.write(np.ascontiguousarray(rows).data)

            fill(put)

        write_atomically(path, write)
    return np.load(path, mmap_mode="c", allow_pickle=False)


def forget_oldest(folder: Path, most: int, keep: Path) -> None:
    """Delete arrays in a folder of the cache, those first that nobody has asked for the longest, until all take `most` bytes.

    `keep` has just been asked for and stays, as do those of the last minute: another process may be about to open one. What is
    mapped already stays readable where files can be deleted while they are open, and is not deleted where they can't.
    """
    with suppress(OSError):  # in a folder that only others may write to nothing is deleted either
        os.utime(keep, ns=(time.time_ns(), keep.stat().st_mtime_ns))  # many systems don't note who reads
    found = []
    for path in folder.glob("*.npy"):
        with suppress(OSError):  # another process may be deleting it as well
            about = path.stat()
            found.append((about.st_atime, about.st_size, path))
    total, now = sum(size for _, size, _ in found), time.time()
    for asked, size, path in sorted(found):
        if total <= most:
            return
        if path != keep and now - asked > RECENT:
            with suppress(OSError):
                path.unlink()
                total -= size


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether the file is what np.save writes for such an array, as far as header and length tell."""
    if not path.exists():
        return False
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    wanted = header.getvalue()
    with path.open("rb") as file:
        start = file.read(len(wanted))
    return start == wanted and path.stat().st_size == len(wanted) + int(np.prod(shape))
