"""Trained networks kept for the next question: how many, how large, and what happens where there is no room."""

import pytest
import torch

from core.runs import CheckpointError, RunNotFound, RunStore, checkpoint_path
from core.runs.model_cache import ModelCache
from tests.helpers import run_here, tiny

BYTES = 4 * (784 * 8 + 8 + 8 * 10 + 10)  # of a tiny network's weights


@pytest.fixture(scope="module")
def many(places) -> tuple[RunStore, list[str]]:
    """Five runs with weights."""
    from core.settings import Settings

    settings = Settings(places / "data", places / "cached", places / "cache")
    store = RunStore(settings.runs_dir)
    return store, [run_here(store, settings, tiny(data__fraction=0.05, training__seed=seed)).id for seed in range(5)]


def test_a_network_is_read_once(many):
    store, ids = many
    cache = ModelCache()
    assert cache.get(store, ids[0]) is cache.get(store, ids[0])
    assert cache.held_bytes() == BYTES


def test_the_one_that_nobody_asked_for_the_longest_goes_first(many):
    store, ids = many
    cache = ModelCache(most_models=3)
    first, second, _ = (cache.get(store, run) for run in ids[:3])
    assert cache.get(store, ids[0]) is first
    cache.get(store, ids[3])
    assert cache.get(store, ids[0]) is first and cache.held_bytes() == 3 * BYTES
    assert cache.get(store, ids[1]) is not second


def test_weights_are_bounded_in_bytes_but_the_last_one_stays(many):
    store, ids = many
    cache = ModelCache(most_bytes=2 * BYTES + 4000)  # room for two files
    for run in ids:
        cache.get(store, run)
    assert cache.held_bytes() <= 2 * BYTES
    one = ModelCache(most_bytes=1)
    for run in ids:
        assert one.get(store, run) is one.get(store, run)
        assert one.held_bytes() == BYTES


def test_a_server_keeps_no_more_than_some_200_mb_of_weights():
    assert 100e6 < ModelCache().most_bytes < 250e6


def test_weights_of_an_earlier_epoch_are_forgotten(many):
    store, ids = many
    cache = ModelCache()
    before, path = cache.get(store, ids[4]), checkpoint_path(store, ids[4])
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)
    after = cache.get(store, ids[4])
    assert after is not before and cache.held_bytes() == BYTES
    assert all(torch.equal(a, b) for a, b in zip(before.model.parameters(), after.model.parameters(), strict=True))


def test_a_network_larger_than_the_free_memory_says_so_and_reads_nothing(many, monkeypatch):
    store, ids = many
    monkeypatch.setattr("core.runs.model_cache.free_memory_bytes", lambda: 50_000_000)
    monkeypatch.setattr("core.runs.model_cache.load_model", lambda *_: pytest.fail("it was read"))
    with pytest.raises(CheckpointError, match=r"These weights take \S+ kB, and 50\.0 MB of memory are free\. End other programs"):
        ModelCache().get(store, ids[0])


def test_a_network_whose_run_was_deleted_still_answers(places, tmp_path):
    from core.settings import Settings

    settings = Settings(places / "data", tmp_path, places / "cache")
    store = RunStore(settings.runs_dir)
    run = run_here(store, settings, tiny(data__fraction=0.05)).id
    model, images = ModelCache().get(store, run), torch.rand(3, 1, 28, 28)
    said = model.predict(images)
    store.delete(run)
    assert torch.equal(model.predict(images), said)
    with pytest.raises(RunNotFound):
        ModelCache().get(store, run)


def test_a_page_says_in_one_line_that_a_run_was_deleted_meanwhile(many):
    from pages.parts.shell.services import trained_model

    with pytest.raises(CheckpointError, match="may have been deleted") as told:
        trained_model(many[0], "0" * 32)
    assert "\n" not in str(told.value)
