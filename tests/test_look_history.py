"""A run's history of looks: kept, bounded, forgotten; and the images it is watched with, from submit to the last look."""

import shutil
import sqlite3

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.presets import PRESETS
from core.runs import Look, RunNotFound, WatchError, load_model
from core.runs.execute import execute
from core.runs.looks import FIRST_LOOKS, MOST_LOOKS, WATCHED, thinned
from tests.helpers import StopAfter, tiny, wait_for

IMAGES = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def look(step, kind="watch", value=0.0):
    arrays = {"watched": np.full((1, 10), value, np.float32), "filters": np.zeros((0, 0, 0), np.uint8)}
    return Look(kind, step, 1, step / 10, arrays)


def test_looks_are_given_back_in_order_and_replaced_at_the_same_step(store):
    run = store.create_running(tiny(), "ann", "here")
    assert store.record(run.id, [], looks=[look(0), look(4), look(2), look(1, "plane")])
    assert store.record(run.id, [], looks=[look(4, value=0.5)])
    found = store.looks(run.id, "watch")
    assert [(one.kind, one.step, one.epoch, one.seconds) for one in found] == [("watch", 0, 1, 0.0), ("watch", 2, 1, 0.2),
                                                                               ("watch", 4, 1, 0.4)]
    assert found[2].arrays["watched"].tolist() == [[0.5] * 10] and found[2].arrays["filters"].shape == (0, 0, 0)
    assert [one.step for one in store.looks(run.id, "watch", after=2)] == [4]
    assert [one.step for one in store.looks(run.id, "watch", after=1, most=1)] == [2]
    assert store.look_times(run.id, "watch") == {0: 0.0, 2: 0.2, 4: 0.4} and list(store.look_times(run.id, "watch")) == [0, 2, 4]
    assert [one.step for one in store.looks(run.id, "plane")] == [1] and store.seconds_watched(run.id) == 0.4
    store.forget_after(run.id, 2, 0)
    assert [one.step for one in store.looks(run.id, "watch")] == [0, 2]
    assert store.looks("0" * 32, "watch") == [] and store.seconds_watched("0" * 32) == 0.0
    store.finish(run.id, "stopped")
    assert not store.record(run.id, [], looks=[look(5)])
    assert [one.step for one in store.looks(run.id, "watch")] == [0, 2]
    store.delete(run.id)
    assert store.looks(run.id, "watch") == []


@given(st.integers(1, 5 * MOST_LOOKS), st.integers(0, 2**32 - 1), st.sampled_from([1, 30, 10**6]))
def test_what_is_kept_of_many_looks(count, seed, largest_gap):
    steps = np.random.default_rng(seed).integers(1, largest_gap + 1, count).cumsum().tolist()
    kept = thinned(steps)
    assert kept[0] == steps[0] and kept[-1] == steps[-1] and kept == sorted(set(kept)) and set(kept) <= set(steps)
    assert len(kept) == len(steps) if len(steps) <= MOST_LOOKS else MOST_LOOKS / 3 < len(kept) <= MOST_LOOKS
    assert kept[:FIRST_LOOKS] == steps[:FIRST_LOOKS]


def test_a_long_runs_looks_are_bounded(store):
    run = store.create_running(tiny(), "ann", "here")
    for start in range(0, 2000, 100):
        store.record(run.id, [], looks=[look(step) for step in range(start, start + 100)] + [look(start, "plane")])
    steps = [one.step for one in store.looks(run.id, "watch")]
    assert len(steps) <= MOST_LOOKS and steps[:FIRST_LOOKS] == list(range(FIRST_LOOKS)) and steps[-1] == 1999
    assert len(store.looks(run.id, "plane")) == 20


def test_a_damaged_look_is_left_out(store):
    run = store.create_running(tiny(), "ann", "here")
    store.record(run.id, [], looks=[look(0), look(1)])
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        db.execute("UPDATE looks SET arrays = ? WHERE step = 0", (b"no safetensors",))
    db.close()
    assert [one.step for one in store.looks(run.id, "watch")] == [1]


@pytest.mark.parametrize(("images", "said"), [
    (torch.full((1, 1, 28, 28), float("nan")), "finite values from 0 to 1"),
    (torch.full((1, 1, 28, 28), 1.5), "finite values from 0 to 1"),
    (torch.full((1, 1, 28, 28), -0.1), "finite values from 0 to 1"),
    (torch.zeros(0, 1, 28, 28), "1 to 8 images; here are 0"),
    (torch.zeros(9, 1, 28, 28), "1 to 8 images; here are 9"),
    (torch.zeros(1, 28, 28), "(images, channels, height, width)"),
    (torch.zeros(1, 1, 28, 28, dtype=torch.uint8), "must be floats"),
    (torch.zeros(1, 1, 0, 28), "1 to 8 images"),
    ([[["a drawing"]]], "must be numbers"),
])
def test_what_cannot_be_watched_is_refused_in_one_line(store, images, said):
    with pytest.raises(WatchError) as caught:
        store.create(tiny(), "ann", watch=images)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert store.runs() == [] and [path for path in store.path.iterdir() if path.is_dir()] == []


def test_images_that_do_not_suit_the_data_are_refused_at_submit(engine):
    for images, config, said in [
            (torch.zeros(1, 3, 32, 32), tiny(), "This image is 32×32 in colour, and a run on"),
            (torch.zeros(1, 1, 8, 8), tiny(), "takes 28×28 in grey"),
            (IMAGES, PRESETS["circle-2d"].config, "only a run that tells images apart")]:
        with pytest.raises(WatchError) as caught:
            engine.submit(config, "ann", watch=images)
        assert said in str(caught.value)
        with pytest.raises(WatchError):
            engine.submit_seeds(config, "ann", 2, watch=images)
    assert not [run for run in engine.store.runs() if run.is_active]
    # any size where the run's transforms bring images to one
    resized = tiny(data__transforms=[{"kind": "resize", "size": 28}])
    run = wait_for(engine.store, engine.submit(resized, "ann", watch=torch.rand(1, 1, 50, 40)))
    assert run.status == "finished" and len(engine.store.looks(run.id, "watch")) >= 3


def test_a_worker_keeps_looks_from_before_the_first_step_to_the_end(engine):
    run_id = engine.submit(tiny(training__epochs=2), "ann", key="a key", watch=IMAGES.numpy())
    run = wait_for(engine.store, run_id)
    assert run.status == "finished"
    looks = engine.store.looks(run_id, "watch")
    assert (looks[0].step, looks[0].epoch, looks[-1].step, looks[-1].epoch) == (0, 1, 40, 2)
    assert [one.step for one in looks] == sorted({one.step for one in looks})  # how many: test_watchers, by a clock of its own
    assert torch.equal(engine.store.watched(run_id), IMAGES)
    assert looks[-1].arrays["watched"] == pytest.approx(load_model(engine.store, run_id).predict(IMAGES).numpy(), abs=1e-5)
    assert [one.seconds for one in looks] == sorted(one.seconds for one in looks) and looks[-1].seconds <= run.seconds
    engine.resume(run_id, 1)
    assert wait_for(engine.store, run_id).status == "finished"
    longer = engine.store.looks(run_id, "watch")
    assert [one.step for one in longer][:len(looks)] == [one.step for one in looks] and longer[-1].step == 60
    assert [one.seconds for one in longer] == sorted(one.seconds for one in longer)
    engine.store.delete(run_id)
    assert not engine.store.folder(run_id).exists() and engine.store.looks(run_id, "watch") == []


def test_each_seed_is_watched(engine):
    ids = engine.submit_seeds(tiny(), "ann", 2, "A run", watch=IMAGES)
    for run_id in ids:
        assert wait_for(engine.store, run_id).status == "finished"
        assert torch.equal(engine.store.watched(run_id), IMAGES) and engine.store.looks(run_id, "watch")[-1].step == 20


def test_the_same_key_keeps_the_first_images(store):
    first = store.create(tiny(), "ann", key="k", watch=IMAGES)
    assert store.create(tiny(), "ann", key="k", watch=1 - IMAGES) == first and store.create(tiny(), "ann", key="k") == first
    assert torch.equal(store.watched(first), IMAGES)
    assert [path.name for path in store.path.iterdir() if path.is_dir()] == [first]


@pytest.mark.parametrize("damage", ["garbage", "cut", "gone", "other size"])
def test_a_damaged_file_costs_the_looks_and_not_the_run(store, settings, damage):
    run = store.create_running(tiny(), "ann", "here", watch=IMAGES)
    path = store.folder(run.id) / WATCHED
    if damage == "other size":
        other = store.create_running(tiny(), "ann", "here", watch=torch.zeros(1, 3, 4, 4))
        shutil.copy(store.folder(other.id) / WATCHED, path)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"no safetensors" if damage == "garbage" else path.read_bytes()[:200])
    assert execute(store, run, settings).status == "finished"
    assert store.looks(run.id, "watch") == [] and (damage == "other size" or store.watched(run.id) is None)


def test_a_run_that_was_stopped_in_between_goes_on_with_its_history(store, settings):
    run = store.create_running(tiny(training__epochs=2), "ann", "here", watch=IMAGES)
    assert execute(store, run, settings, StopAfter(25)).status == "stopped"
    before = store.looks(run.id, "watch")
    assert before[-1].step == 25
    store.requeue(run.id, run.config)
    execute(store, store.claim("here"), settings)
    after = store.looks(run.id, "watch")
    assert after[-1].step == 40 and [one.step for one in after][:len(before)] == [one.step for one in before]
    assert [one.seconds for one in after] == sorted(one.seconds for one in after)
    straight = store.create_running(tiny(training__epochs=2), "ann", "here", watch=IMAGES)
    execute(store, straight, settings)
    assert after[-1].arrays["watched"] == pytest.approx(store.looks(straight.id, "watch")[-1].arrays["watched"], abs=1e-6)


def test_only_ids_have_watched_images(store):
    assert store.watched("0" * 32) is None
    with pytest.raises(RunNotFound):
        store.watched("../etc")
