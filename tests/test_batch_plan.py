"""Batches of an epoch, their order, and the code shown beside them: against torch.utils.data.DataLoader and torchvision."""

import contextlib
import io
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

import core.torchvision_guard  # noqa: F401  (before torchvision)
from core.data import DATASETS, DataConfig, load
from core.data.batch_plan import plan, shares, visiting_order
from core.data.sources import read_idx
from core.export.snippets import image_code, loader_code, one_liner
from tests.idx_files import make_arrays, write_set
from tests.sets import make_set


@given(st.integers(1, 200), st.integers(1, 250), st.booleans())
def test_the_plan_is_what_a_dataloader_does(images, batch_size, drop_last):
    sizes = [len(batch[0]) for batch in DataLoader(TensorDataset(torch.arange(images)), batch_size, drop_last=drop_last)]
    found = plan(images, batch_size, drop_last)
    assert found.batches == len(sizes) and found.dropped == images - sum(sizes)
    assert [found.size(index) for index in range(found.batches)] == sizes


def test_a_plan_by_hand():
    assert (plan(55_000, 64).batches, plan(55_000, 64).last) == (860, 24)
    assert (plan(55_000, 64, True).batches, plan(55_000, 64, True).dropped) == (859, 24)
    with pytest.raises(ValueError, match="at least one image"):
        plan(10, 0)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_shuffled_order_is_a_dataloaders(seed):
    loader = DataLoader(TensorDataset(torch.arange(50)), 8, shuffle=True, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(visiting_order(torch.zeros(50), "shuffled", seed), torch.cat([batch[0] for batch in loader]))


def test_other_orders_by_hand():
    labels = torch.tensor([2, 0, 1, 0])
    assert visiting_order(labels, "as stored").tolist() == [0, 1, 2, 3]
    assert visiting_order(labels, "sorted by label").tolist() == [1, 3, 2, 0]


def test_shares_by_hand():
    assert shares(torch.tensor([0, 0, 1, 1, 1, 0]), 3, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]]
    assert shares(torch.tensor([1]), 2, 60).tolist() == [[0, 1]]


@pytest.mark.parametrize(("size", "drop_last"), [(64, False), (64, True), (7, False)])
def test_the_code_beside_it_runs_and_counts_the_same(size, drop_last):
    code = loader_code(1000, (3, 5, 6), size, True, drop_last)
    assert run(code) == [f"{plan(1000, size, drop_last).batches} batches", f"torch.Size([{size}, 3, 5, 6]) torch.Size([{size}])"]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_lines_for_an_image_give_that_image(split, tmp_path, monkeypatch):
    from torchvision import datasets

    arrays = make_arrays((60, 20), 28, 10)
    write_set(tmp_path / "data" / "MNIST" / "raw", arrays, packed=False)
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], counts=(60, 20), read=read_idx("MNIST/raw", (60, 20), 10)))
    data = load(DataConfig(dataset="mnist", validation=15), tmp_path / "data", tmp_path / "cache")
    images, labels = data.split(split).take(torch.tensor([8]))
    line = one_liner(data, split, 8)
    assert line.startswith(f"datasets.MNIST(root, train={split != 'test'})[")
    picture, label = datasets.MNIST(tmp_path / "data", train=split != "test")[int(line.rpartition("[")[2].rstrip("]"))]
    assert label == int(labels[0]) and list(picture.get_flattened_data()) == images[0].flatten().tolist()
    assert line.rpartition("[")[2] in image_code(data, split, 8)
    assert f"data.{split}.take(torch.tensor([8]))" in image_code(data, split, 8)


def run(code: str) -> list[str]:
    """What code of ours prints, as a reader who copies it would run it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {})
    return said.getvalue().splitlines()


def test_an_image_of_a_set_that_torchvision_does_not_have():
    data = make_set()
    assert one_liner(data, "test", 3) == "data.test.take(torch.tensor([3]))"
    assert "torchvision" not in image_code(data, "test", 3)


def test_our_own_lines_run(places, monkeypatch, digits):
    monkeypatch.chdir(places)
    line = image_code(digits, "test", 3) + "\nprint(int(labels[0]), int(images.sum()))"
    images, labels = digits.test.take(torch.tensor([3]))
    assert run(line) == [f"{int(labels[0])} {int(images.sum())}"]
