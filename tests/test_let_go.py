"""Pages of mapped data are given back, and nobody can tell but by the memory."""

import sys

import numpy as np
import pytest
import torch

from core.data.cached_arrays import kept_array
from core.devices import resident_bytes
from core.memory import drop_mapped_pages

SHAPE = (5000, 1, 64, 64)  # 20 MB


@pytest.fixture
def images(tmp_path):
    made = kept_array(tmp_path / "images.npy", SHAPE, lambda: np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8))
    return torch.from_numpy(made)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what memory is")
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
