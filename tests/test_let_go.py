"""Pages of mapped data are given back, and nobody can tell but by the memory."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.cached_arrays import kept_array
from core.devices import resident_bytes
from core.memory import MappedData, drop_mapped_pages
from tests.helpers import wait_until

SHAPE = (5000, 1, 64, 64)  # 20 MB


@pytest.fixture
def images(tmp_path):
    made = kept_array(tmp_path / "images.npy", SHAPE, lambda: np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8))
    return torch.from_numpy(made)


only_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what memory is")


@only_linux
def test_pages_that_were_read_are_given_back(images):
    total = int(images.sum())
    before = resident_bytes()
    assert drop_mapped_pages(images[100:])  # a part of it says which file it is
    assert before - resident_bytes() > 18e6
    assert int(images.sum()) == total


def test_what_was_written_stays(images):
    """A private page with other values than the file's must not be thrown away, nor memory that is no file's."""
    images[7] = 3
    assert not drop_mapped_pages(images) and (images[7] == 3).all()
    plain = torch.ones(1 << 20)
    assert not drop_mapped_pages(plain) and bool(plain.all())
    assert not drop_mapped_pages(torch.empty(0))


def held_of(name: str) -> int:
    """How many bytes of a file this process holds in memory."""
    lines, held, ours = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines(), 0, False
    for line in lines:
        if not line[0].isupper():
            ours = line.endswith(f"/{name}")
        elif ours and line.startswith("Rss:"):
            held += int(line.split()[1]) << 10
    return held


@pytest.fixture
def mapped():
    made = MappedData()
    yield made
    made.close()


@only_linux
def test_what_pages_read_is_given_back_by_itself(images, mapped, tmp_path):
    """Also of a small file, of one that came later, and again and again; not what somebody has written to."""
    written, small = (torch.from_numpy(kept_array(tmp_path / name, shape, lambda shape=shape: np.ones(shape, np.uint8)))
                      for name, shape in (("written.npy", (4 << 20,)), ("small.npy", (2 << 20,))))
    written[7] = 3
    mapped.add(images, written)
    mapped.add(small)
    for _ in range(2):
        assert int(images[::9].sum()) + int(small.sum()) + int(written.sum()) > 0
        wait_until(lambda: held_of("images.npy") + held_of("small.npy") < 2e5, lambda: held_of("images.npy"))
    assert held_of("written.npy") > 4e6 and written[7] == 3 and bool((small == 1).all())


def test_examples_that_nobody_holds_are_forgotten(images, mapped):
    """Their address may be another memory's by then."""
    gone = torch.ones(1 << 20)
    mapped.add(images, gone)
    del gone
    gc.collect()
    assert [one.data_ptr() for one in mapped._held()] == [images.data_ptr()]
