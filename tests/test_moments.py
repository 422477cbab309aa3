"""Moments of a training: when they are kept, what is kept, what goes, and that a run does not notice."""

import json
from dataclasses import replace
from shutil import disk_usage

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch import nn

from core.files import write_atomically
from core.runs import CheckpointError, RunNotFound, StoreError
from core.runs.annotations import Change
from core.runs.checkpoints import load_model, save_checkpoint
from core.runs.execute import execute
from core.runs.moment_costs import FEWEST, RUN_BYTES, cost_of, thinned
from core.runs.moments import (
    MOST_AHEAD,
    ROOM,
    SHARE_OF_TIME,
    TIMES,
    MomentKeeper,
    half,
    moment_files,
    moment_path,
    moments,
    read_moment,
    thin,
)
from core.runs.recorder import Recorder
from core.runs.space import keep_within, space_of
from core.training import Started, build_for, fit
from tests.helpers import StopAfter, run_here, tiny

CPU = torch.device("cpu")


def copied(store, run_id, moment, step):
    """The same once more, as if it had been kept after another step."""
    content = moment.path.read_bytes()
    header = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["about"]) | {"step": step}
    path = moment_path(store, run_id, step)
    path.parent.mkdir(exist_ok=True)
    save_file(load_file(moment.path), path, metadata={"about": json.dumps(about)})


def steps_of(store, run):
    found = moments(store, run.id)
    assert not found.damaged
    return [moment.step for moment in found.kept]


# --- which of them stay

STEPS = some.lists(some.integers(0, 10**6), min_size=1, max_size=60, unique=True).map(sorted)


@given(STEPS, some.integers(0, 40))
def test_the_first_and_the_last_always_stay_and_so_does_every_one_of_a_starred_run(steps, most):
    left = thinned(steps, most)
    assert left == sorted(set(left)) and set(left) <= set(steps)
    assert (left[0], left[-1]) == (steps[0], steps[-1])
    assert len(left) == min(len(steps), max(most, 2, len(steps) if len(steps) < 3 else 0))
    assert thinned(steps, most, keep_all=True) == steps


def test_what_is_left_lies_further_and_further_apart():
    left = thinned(range(501), 20)
    gaps = [b - a for a, b in zip(left, left[1:], strict=False)]
    assert left[0] == 0 and left[-1] == 500 and gaps[:2] == [1, 1]
    assert sum(gaps[-5:]) > 300 > 20 > sum(gaps[:5])
    ratios = [(b + 1) / (a + 1) for a, b in zip(left, left[1:], strict=False)]
    assert max(ratios[8:]) < 2.5 * min(ratios[8:])
    assert thinned([0, 5, 6, 7, 100], 4) == [0, 5, 7, 100]  # 6 has the nearest neighbours: 8/6


def test_the_cost_before_a_run_by_hand():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))  # 18 + 2; 2 + 2 + 2 + 2, and a count of int64
    assert (cost_of(network, 40).bytes_each, cost_of(network, 40).total) == (2 * 28 + 8, 40 * 64)
    assert cost_of(network, 0).count == cost_of(network, FEWEST - 1).count == 0
    with torch.device("meta"):
        large = nn.Linear(RUN_BYTES // 2 // 5, 1, bias=False)
        too_large = nn.Linear(RUN_BYTES // 2 // (FEWEST - 1), 1, bias=False)
    assert (cost_of(large, 40).count, cost_of(too_large, 40).count) == (5, 0)


def test_half_holds_what_float16_can_and_refuses_what_is_lost():
    weights = {"a": torch.tensor([1.0, -0.3333]), "large": torch.tensor([7e4]), "count": torch.tensor(3)}
    found = half(weights)
    assert {name: value.dtype for name, value in found.items()} == {"a": "float16", "large": "float32", "count": "int64"}
    assert found["a"].astype("float32") == pytest.approx(weights["a"].numpy(), rel=2**-11) and found["count"].shape == ()
    weights["a"][0] = 9.0
    assert found["a"][0] == 1.0  # a copy
    for lost in ("nan", "inf", "-inf"):
        assert half({"a": torch.tensor([1.0, float(lost)])}) is None
    picture = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert half({"a": picture})["a"].tobytes() == picture.half().contiguous().numpy().tobytes()


# --- keeping them

class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def keeper_of(store, data, clock, run_id="a" * 32, **changes):
    config = tiny(**changes)
    return MomentKeeper(store, run_id, config, data, build_for(config, data), clock=clock)


def test_they_are_dense_at_first_then_at_ends_of_epochs_and_as_many_as_were_wanted(store, digits):
    clock = Clock()
    keeper = keeper_of(store, digits, clock, training__moments=20)
    keeper.see(Started(100, 2000, 1, "cpu", "float32"), Recorder(store, "a" * 32))
    model, seen = build_for(tiny(), digits), []
    keeper.look(model, 0, 1, 0.0, 0.0)
    for step in range(1, 2001):
        clock.now += 0.01
        if keeper.due(step, clock.now):
            seen.append(step)
            keeper.look(model, step, 1 + step // 100, clock.now, 0.0)
    assert seen[:8] == [1, 2, 3, 4, 5, 6, 7, 8] and all(step % 100 == 0 for step in seen if step > 100)
    assert [step for step in seen if step > 100] == [200, 300, 400, 500, 600, 700, 800, 900, 1100, 1300, 1500, 1700, 2000]
    keeper.write(everything=True)
    kept = moments(store, "a" * 32).kept
    assert len(kept) == 20 and kept[0].step == 0 and kept[-1].step == 2000
    assert sorted(path.name for path in store.folder("a" * 32).iterdir()) == [moment.path.name for moment in kept]


@pytest.mark.parametrize("each", [0.0005, 0.01])
def test_they_take_a_bounded_share_of_the_time(store, digits, monkeypatch, each):
    """Copying and writing take `each` seconds by the clock."""
    clock, taken = Clock(), []
    keeper = keeper_of(store, digits, clock)
    keeper.see(Started(4000, 4000, 1, "cpu", "float32"), Recorder(store, "a" * 32))

    def slow(name, real):
        def work(*given, **named):
            clock.now += each
            taken.append(each)
            return real(*given, **named)

        monkeypatch.setattr(f"core.runs.moments.{name}", work)

    slow("half", half)
    slow("write_atomically", write_atomically)
    model, recorder = build_for(tiny(), digits), Recorder(store, "a" * 32)
    recorder.flushed = 0.0
    keeper.look(model, 0, 1, 0.0, 0.0)
    taken.clear()
    for step in range(1, 4001):
        clock.now += 0.002
        if keeper.due(step, clock.now):
            keeper.look(model, step, 1, clock.now, 0.0)
        if step % 10 == 0:
            keeper.write()
        assert sum(taken) <= SHARE_OF_TIME * (clock.now + MOST_AHEAD) + each
    assert sum(taken) <= 0.03 * clock.now
    assert len(taken) >= 8 and len(moments(store, "a" * 32).kept) >= 4  # what it may take is used, to copy and to write


def test_a_run_with_moments_ends_with_the_weights_of_one_without(store, settings, digits):
    with_them, without = (run_here(store, settings, tiny(training__epochs=2, training__moments=count)) for count in (40, 0))
    assert len(steps_of(store, with_them)) >= 3 and steps_of(store, without) == []
    a, b = (load_model(store, run.id).model.state_dict() for run in (with_them, without))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert with_them.test_accuracy == without.test_accuracy
    losses = [store.metrics(run.id, names=["loss"]).series["loss"] for run in (with_them, without)]
    assert losses[0] == losses[1]
    last = moments(store, with_them.id).kept[-1]
    assert last.step == with_them.step and last.epoch == 2 and 0 < last.seconds <= with_them.seconds
    kept = read_moment(last).model.state_dict()
    assert all(torch.equal(kept[name], a[name].half().float()) for name in a)
    assert not read_moment(last).model.training


def test_the_first_moment_is_of_the_weights_before_the_first_step(store, settings, digits):
    run = run_here(store, settings, tiny())
    first = moments(store, run.id).kept[0]
    fresh = build_for(tiny(), digits).state_dict()
    assert (first.step, first.epoch) == (0, 1)
    assert all(torch.equal(value, fresh[name].half().float()) for name, value in read_moment(first).model.state_dict().items())


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(store, settings):
    """Stopped within the second epoch, its last checkpoint is the one of the stop; what lies beyond was never."""
    run = run_here(store, settings, tiny(training__epochs=2), StopAfter(30))
    assert run.status == "stopped" and steps_of(store, run)[-1] == 30
    stopped = steps_of(store, run)
    copied(store, run.id, moments(store, run.id).kept[-1], 35)
    assert steps_of(store, run) == [*stopped, 35]
    store.requeue(run.id, run.config)
    again = execute(store, store.claim("here"), settings)
    assert again.status == "finished" and again.step == 40
    steps = steps_of(store, again)
    assert steps[-1] == 40 and 35 not in steps and set(stopped) <= {*steps, 30}
    seconds = [moment.seconds for moment in moments(store, run.id).kept]
    assert seconds == sorted(seconds)


def test_a_full_disk_costs_the_moments_and_not_the_run(store, settings, monkeypatch):
    def full(*given, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.runs.moments.write_atomically", full)
    run = run_here(store, settings, tiny())
    assert run.status == "finished" and steps_of(store, run) == []


def test_moments_leave_room_for_the_weights(store, settings, monkeypatch):
    """The disk has room for two of them beside what stays free, and then for none."""
    size = moments(store, run_here(store, settings, tiny()).id).kept[0].size
    disk, left = disk_usage(store.path), [ROOM + (TIMES + number) * size for number in (2, 1, -1)]
    monkeypatch.setattr("core.runs.moments.disk_usage", lambda place: disk._replace(free=left.pop(0)))
    again = run_here(store, settings, tiny())
    assert again.status == "finished" and len(steps_of(store, again)) == 2 and left == []


@pytest.mark.parametrize("full", [True, False])
def test_moments_give_way_to_weights_that_have_no_room(store, settings, monkeypatch, full):
    tried = []

    def save(store, run_id, *more):
        tried.append(run_id)
        if len(tried) == 2:
            moment_path(store, run_id, 0).write_bytes(b"")  # one at least, however fast the disk is
            raise StoreError("The runs folder can't be written to.")
        save_checkpoint(store, run_id, *more)

    monkeypatch.setattr("core.runs.execute.save_checkpoint", save)
    for name in ("SECONDS_PER_CHECKPOINT", "MOST_SECONDS_PER_CHECKPOINT"):
        monkeypatch.setattr(f"core.runs.execute.{name}", 0.0)
    monkeypatch.setattr(type(store), "is_full", property(lambda store: full))
    run = run_here(store, settings, tiny(training__epochs=3))
    there = moment_files(store.folder(run.id))
    if full:
        assert (run.status, len(tried), there) == ("finished", 4, {})
    else:
        assert (run.status, run.message, len(tried)) == ("failed", "The runs folder can't be written to.", 2) and there


def test_a_deleted_run_takes_its_moments_along(store, settings):
    run = run_here(store, settings, tiny())
    assert steps_of(store, run)
    store.delete(run.id)
    assert not store.folder(run.id).exists()


def test_a_run_that_was_ended_from_outside_writes_nothing_more(store, digits):
    run = store.create_running(tiny(), "tester", "here")
    keeper = keeper_of(store, digits, Clock(), run.id)
    recorder = Recorder(store, run.id)
    keeper.look(build_for(tiny(), digits), 0, 1, 0.0, 0.0)
    store.finish(run.id, "failed", "Its worker was silent.")
    config = tiny()
    for event in fit(config, digits, build_for(config, digits), CPU):
        recorder.take(event)
        keeper.see(event, recorder)
    assert not store.folder(run.id).exists()


def test_points_and_runs_without_room_have_none(store, settings):
    run = run_here(store, settings, tiny(data__dataset="circle", training__loss="bce_with_logits"))
    assert run.status == "finished" and steps_of(store, run) == []


# --- reading them

@pytest.fixture
def kept(store, settings):
    """A run's id and its moments."""
    run = run_here(store, settings, tiny())
    return run.id, moments(store, run.id).kept


@pytest.mark.parametrize("damage", [
    lambda content: content[:-1], lambda content: content[:40], lambda content: b"", lambda content: b"\xff" * 100,
    lambda content: content.replace(b'\\"step\\": 0', b'\\"step\\": 7')])
def test_a_damaged_file_is_left_out_and_counted(store, kept, damage):
    run_id, all_of_them = kept
    all_of_them[0].path.write_bytes(damage(all_of_them[0].path.read_bytes()))
    found = moments(store, run_id)
    assert found.damaged == 1 and found.kept == all_of_them[1:]


def test_weights_that_are_no_numbers_or_another_networks_are_refused_in_one_line(store, kept):
    _, all_of_them = kept
    moment = all_of_them[1]
    weights = load_file(moment.path)
    header = moment.path.read_bytes()
    about = json.loads(header[8:8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    name = next(iter(weights))
    for broken in ({**weights, name: torch.full_like(weights[name], float("nan"))},
                   {**weights, name: weights[name][:1].clone()}, {"other": weights[name]}):
        save_file(broken, moment.path, metadata=about)
        with pytest.raises(CheckpointError) as refused:
            read_moment(moment)
        assert len(str(refused.value).splitlines()) == 1
    moment.path.unlink()
    with pytest.raises(CheckpointError, match="^Step [0-9,]+ is no longer kept"):
        read_moment(moment)


def test_what_is_no_id_is_no_run(store):
    for name in ("..", "a/b", "A" * 32):
        with pytest.raises(RunNotFound):
            moments(store, name)
    assert moments(store, "a" * 32).kept == ()


# --- the budget of all runs

def test_the_budget_thins_the_oldest_runs_first_and_no_starred_one(store, settings):
    starred, old, new = (run_here(store, replace(settings, disk_budget=0), tiny(training__seed=seed)) for seed in range(3))
    store.annotate([starred.id], Change(starred=True))
    going = store.create_running(tiny(), "tester", "here")
    for run in (old, new, starred, going):  # some thirty moments each, whatever the machine's speed
        for step in range(1, 30):
            copied(store, run.id, moments(store, new.id).kept[0], step)
    each = next(one for one in space_of(store).runs if one.run.id == old.id)
    assert each.count >= 30 and each.total == sum(path.stat().st_size for path in store.folder(old.id).iterdir())

    def counts():
        return {one.run.id: one.count for one in space_of(store).runs}

    before, total, data = counts(), space_of(store).total, settings.data_dir
    assert keep_within(store, 0, data) == keep_within(store, total, data) == 0 and counts() == before
    one = each.moments // each.count

    freed = keep_within(store, total - 2 * one, data)
    assert freed >= 2 * one and counts() == before | {old.id: 16}
    assert [moment.step for moment in moments(store, old.id).kept][0] == 0
    keep_within(store, space_of(store).total - one, data)
    assert counts() == before | {old.id: 16, new.id: 16}
    keep_within(store, 1, data)  # more than can be freed
    assert counts() == before | {old.id: 2, new.id: 2}
    assert [moment.step for moment in moments(store, old.id).kept] == [0, 29]
    assert load_model(store, old.id)


def test_deleted_runs_are_counted_and_go_first(store, settings, monkeypatch):
    old, *deleted = (run_here(store, replace(settings, disk_budget=0), tiny(training__seed=seed)).id for seed in range(4))
    for step in range(1, 20):
        copied(store, old, moments(store, old).kept[0], step)
    kept, data = len(moments(store, old).kept), settings.data_dir
    sizes = {run_id: sum(path.stat().st_size for path in store.folder(run_id).iterdir()) for run_id in deleted}
    for run_id in deleted:
        store.discard([run_id])
    space = space_of(store)
    assert (space.deleted, [one.run.id for one in space.runs]) == (sizes, [old])
    assert space.total == space.database + space.runs[0].total + sum(sizes.values())

    assert keep_within(store, space.total - 1, data) == 0, "just deleted: it can be brought back, and nothing goes instead"
    assert len(moments(store, old).kept) == kept and len(store.discarded()) == 3
    monkeypatch.setattr("core.runs.space.SURE_UNDO", 0.0)
    assert keep_within(store, space.total, data) == 0 and len(store.discarded()) == 3
    assert keep_within(store, space.total - 1, data) == sizes[deleted[0]], "no more than is needed, and the first deleted"
    assert list(store.discarded()) == [deleted[2], deleted[1]] and not store.folder(deleted[0]).exists()
    assert store.restore([deleted[1]]) == [deleted[1]] and store.get(deleted[1])
    keep_within(store, 1, data)
    assert store.discarded() == {} and store.get(deleted[1]) and len(moments(store, old).kept) == 2


def test_a_run_ends_with_the_budget_in_mind(store, settings):
    first = run_here(store, settings, tiny())
    for step in range(1, 20):
        copied(store, first.id, moments(store, first.id).kept[0], step)
    run_here(store, replace(settings, disk_budget=1), tiny(training__seed=1))
    assert len(moments(store, first.id).kept) == 2


def test_thinning_one_run(store, kept):
    run_id, all_of_them = kept
    assert thin(store, run_id, 2, keep_all=True) == 0
    freed = thin(store, run_id, 2)
    assert freed == sum(moment.size for moment in all_of_them[1:-1])
    assert moments(store, run_id).kept == (all_of_them[0], all_of_them[-1])
