"""Fair shares of a server that many use: limits for each visitor, turns between them, and an end to pauses that block others."""

import re
import time
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.actors import Actor
from core.data import DataError, load
from core.data.own.sets import delete_set, kept_bytes, own_sets, save_set
from core.data.sources.text_files import import_csv, own_texts
from core.fields import ConfigError
from core.limits import NO_LIMITS, Limits
from core.presets import PRESETS
from core.runs import LocalEngine, RunStore
from core.runs.limits import LimitReached, examples_of
from core.runs.since import Total
from core.runs.turns import Waiting, in_order, next_of
from core.settings import Settings
from core.training import Started
from pages.parts.runs.words import waiting
from tests.helpers import tiny

CONFIG = tiny()


def visitor(letter, **limits):
    return Actor(letter * 32, "visitor", replace(NO_LIMITS, **limits))


ANN, BEN, TEACHER = visitor("a"), visitor("b"), Actor("c" * 32, "teacher")


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path / "runs", in_turns=True)
    yield store
    store.close()


@pytest.fixture
def engine(store, tmp_path):
    with LocalEngine(store, Settings(tmp_path / "data", store.path, tmp_path / "cache", workers=0)) as engine:
        yield engine


# --- which limits

def test_limits_as_they_are_named():
    assert Limits.read("") == Limits() and Limits().waiting == 3 and Limits().all_waiting == 60
    assert Limits.read("waiting=5, run_minutes=0") == replace(Limits(), waiting=5, run_minutes=0)
    assert Limits.read(" ".join(f"{one.name}=0" for one in fields(Limits))) == NO_LIMITS
    assert Settings.from_environment({"PLAYGROUND_LIMITS": "waiting=5"}).limits == NO_LIMITS, "one person has none"
    hosted = {"PLAYGROUND_MODE": "hosted", "PLAYGROUND_LIMITS": "waiting=5"}
    assert Settings.from_environment(hosted).limits == replace(Limits(), waiting=5)


@pytest.mark.parametrize("text", ["waiting", "waiting=", "waiting=-1", "waiting=1.5", "waiting=٣", "queue=3", "=3", "waiting=3=3",
                                  "waiting=10000000000", "waiting=" + "9" * 9999, "x" * 9999])
def test_limits_that_are_none(text):
    with pytest.raises(ConfigError, match="PLAYGROUND_LIMITS names") as refused:
        Limits.read(text)
    assert len(str(refused.value)) < 400


def test_every_preset_is_within_the_usual_limits(engine):
    usual = Actor(ANN.key, "visitor", replace(Limits(), waiting=0, runs=0))
    for preset in PRESETS.values():
        engine.as_actor(usual).submit(preset.config, usual.key)
    assert engine.store.queue_position(engine.store.runs(-1)[0].id) == len(PRESETS) - 1


# --- what they refuse: one line that names the limit, and nothing is kept

def refused(ask, line, store):
    before = len(store.runs(-1))
    with pytest.raises(LimitReached, match=re.escape(line)) as found:
        ask()
    assert "\n" not in str(found.value) and len(store.runs(-1)) == before


def test_runs_that_wait(store):
    ann = store.as_actor(visitor("a", waiting=3, all_waiting=5))
    ids = [ann.create(CONFIG, ANN.key, key=f"{n}") for n in range(3)]
    assert ann.create(CONFIG, ANN.key, key="0") == ids[0], "a double click is no second run"
    refused(lambda: ann.create(CONFIG, ANN.key), "You have 3 runs waiting, and one person may have 3 on this server.", store)
    refused(lambda: ann.create_group([(CONFIG, "")] * 4, ANN.key), "That would be 4 runs; one person may have 3 waiting", store)
    ben = store.as_actor(visitor("b", waiting=3, all_waiting=5))
    ben.create_group([(CONFIG, "")] * 2, BEN.key)
    refused(lambda: ben.create(CONFIG, BEN.key), "The queue is full: 5 runs may wait on this server.", store)
    store.as_actor(TEACHER).create(CONFIG, TEACHER.key)
    ann.request_stop(ids[0])
    ann.request_stop(ids[1])
    ann.create(CONFIG, ANN.key)
    refused(lambda: ann.requeue(ids[0], CONFIG), "The queue is full", store)
    assert store.get(ids[0]).status == "stopped"


def test_runs_that_are_kept(store):
    ann = store.as_actor(visitor("a", runs=2))
    first = ann.create_running(CONFIG, ANN.key, "w").id
    ann.finish(first, "finished")
    ann.create(CONFIG, ANN.key)
    for ask in (lambda: ann.create(CONFIG, ANN.key), lambda: ann.create_running(CONFIG, ANN.key, "w")):
        refused(ask, "One person may keep 2 runs on this server.", store)
    store.as_actor(visitor("b", runs=2)).create(CONFIG, BEN.key)
    ann.discard([first])
    refused(lambda: ann.create(CONFIG, ANN.key), "for good", store)
    ann.remove_discarded()
    second = ann.create(CONFIG, ANN.key)
    ann.request_stop(second)
    ann.requeue(second, CONFIG)  # no run more


def test_minutes_within_an_hour(store, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    ann = store.as_actor(visitor("a", hour_minutes=10))
    run_id = ann.create(CONFIG, ANN.key)
    store.claim("w")
    now += 9 * 60
    other = ann.create(CONFIG, ANN.key)  # 9 minutes so far
    now += 60
    refused(lambda: ann.create(CONFIG, ANN.key), "Your runs have trained for 10 minutes within the last hour;", store)
    store.finish(run_id, "finished")
    refused(lambda: ann.requeue(run_id, CONFIG), "within the last hour", store)
    store.as_actor(visitor("b", hour_minutes=10)).create(CONFIG, BEN.key)
    now += 50 * 60 + 1  # the first second of it is more than an hour ago
    ann.create(CONFIG, ANN.key)
    assert store.get(other).status == "queued"


def test_the_hour_counts_what_was_deleted_and_what_went_on(store, engine, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    ann = store.as_actor(visitor("a", hour_minutes=10))

    def trains(run_id, minutes):
        nonlocal now
        assert store.claim("w").id == run_id
        now += 60 * minutes
        store.finish(run_id, "stopped")

    run_id = ann.create(CONFIG, ANN.key)
    trains(run_id, 3)
    ann.requeue(run_id, CONFIG)
    trains(run_id, 2)
    ann.discard([run_id])
    assert ann.remove_discarded() == [run_id]
    test = ann.create(CONFIG, ANN.key, kind="range_test")
    trains(test, 4)
    engine.as_actor(ann.actor).find_rate(CONFIG, ANN.key)  # which deletes the one before
    [second] = ann.runs(kinds=["range_test"])
    assert second.id != test
    trains(second.id, 1)
    refused(lambda: ann.create(CONFIG, ANN.key), "Your runs have trained for 10 minutes within the last hour;", store)
    store.as_actor(visitor("b", hour_minutes=10)).create(CONFIG, BEN.key)
    now += 50 * 60 + 1
    ann.create(CONFIG, ANN.key)
    now += 3600
    ann.delete(second.id)
    with store.connection() as db:
        assert db.execute("SELECT count(*) FROM trained").fetchone()[0] == 0, "what is older than an hour is forgotten"


def test_a_run_that_goes_on_and_is_stopped_before_its_turn_has_not_trained(store, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    ann = store.as_actor(visitor("a", hour_minutes=10, run_minutes=10))
    run_id = ann.create(CONFIG, ANN.key)
    store.claim("w")
    now += 60
    store.finish(run_id, "stopped")
    ann.requeue(run_id, CONFIG)
    now += 30 * 60
    ann.request_stop(run_id)
    ann.requeue(run_id, CONFIG)
    store.claim("w")
    assert [run.seconds for run in store.going()] == [60]


def test_networks_and_trainings_that_are_too_large(engine, store):
    parameters, examples = 784 * 8 + 8 + 8 * 10 + 10, examples_of(CONFIG.data, engine.settings.data_dir)
    assert examples == 1237, "scikit-learn's digits, four fifths of them but for 200 that are held back"
    fits = visitor("a", parameters=parameters, examples=3 * examples)
    three = CONFIG.with_values({"training.epochs": 3})
    done = engine.as_actor(fits).submit(three, ANN.key)
    store.request_stop(done)
    small = engine.as_actor(replace(fits, limits=replace(fits.limits, parameters=parameters - 1)))
    line = f"This network has {parameters:,} parameters; {parameters - 1:,} are the limit on this server."
    for ask in (lambda: small.submit(CONFIG, ANN.key), lambda: small.submit_seeds(CONFIG, ANN.key, 2),
                lambda: small.find_rate(CONFIG, ANN.key)):
        refused(ask, line, store)
    four = CONFIG.with_values({"training.epochs": 4})
    refused(lambda: engine.as_actor(fits).submit(four, ANN.key), "4 epochs of 1,237 examples are 4,948; 3,711 are the", store)
    refused(lambda: engine.as_actor(fits).resume(done, 1), "4 epochs of 1,237 examples are 4,948", store)
    assert store.get(done).config.training.epochs == 3


def test_examples_of_all_kinds(tmp_path):
    def count(**changes):
        return examples_of(tiny(**changes).data, tmp_path)

    assert count(data__dataset="mnist") == 59_800
    assert count(data__dataset="mnist", data__fraction=0.5, data__variations=1) == 59_800
    # 1,437 of 61,437 are joined ones, of which there are two each
    assert count(data__dataset="mnist", data__join=("digits",), data__join_times=2) == round(61_237 * (1 + 1437 / 61_437))
    assert count(data__dataset="circle", data__points=300, data__added=((0.1, 0.2, 1),)) == 301


@pytest.mark.parametrize("changes", [{}, {"data__fraction": 0.4}, {"data__variations": 1}, {"data__dataset": "reviews",
                         "data__validation": 50}, {"data__dataset": "circle", "data__points": 300, "data__fraction": 0.5}])
def test_as_many_examples_as_an_epoch_has(changes, tmp_path):
    data = tiny(**changes).data
    rounding = 5 if data.fraction < 1 else 0  # half an example of each of ten classes
    assert abs(examples_of(data, tmp_path) - len(load(data, tmp_path, tmp_path / "cache").train)) <= rounding


def test_a_run_that_has_trained_enough_does_not_go_on(store, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    ann = store.as_actor(visitor("a", run_minutes=1))
    run_id = ann.create(CONFIG, ANN.key)
    for trains in (25, 34):
        store.claim("w")
        now += trains
        store.set_pause(run_id, True)
        now += 1000  # which does not count
        store.set_pause(run_id, False)
        store.finish(run_id, "stopped")
        ann.requeue(run_id, CONFIG)
    store.claim("w")
    assert [run.seconds for run in store.going()] == [59]
    now += 1
    store.finish(run_id, "stopped")
    refused(lambda: ann.requeue(run_id, CONFIG), "This run has trained for 1 minute", store)
    assert store.get(run_id).status == "stopped"


def test_megabytes_of_images_and_texts(tmp_path):
    lines = (f"{'word ' * 2000}{n},{'positive' if n % 2 else 'negative'}\n" for n in range(60))
    texts = ("text,label\n" + "".join(lines)).encode()
    assert 600_000 < len(texts) < 700_000
    images = np.zeros((700, 1, 32, 32), np.uint8), np.zeros(700, np.int64), np.zeros(700, bool)  # 0.72 MB
    ann, ben = visitor("a", megabytes=1), visitor("b", megabytes=1)
    own = save_set(tmp_path, "Cats", ["cat", "dog"], *images, hidden=True, actor=ann)
    assert kept_bytes(tmp_path, ann.key) > 716_800 and kept_bytes(tmp_path, ben.key) == 0
    for keep in (lambda: save_set(tmp_path, "More", ["cat", "dog"], *images, actor=ann),
                 lambda: import_csv(texts, tmp_path, ann)):
        with pytest.raises(DataError, match="one person may keep 1 MB of images and texts on this server"):
            keep()
    assert [one.name for one in own_sets(tmp_path)] == [] == own_texts(tmp_path)
    assert not list((tmp_path / "imported").glob(".*")), "nothing is left behind"
    kept = import_csv(texts, tmp_path, ben)
    assert import_csv(texts, tmp_path, ben) == kept, "the same once more takes nothing"
    assert kept_bytes(tmp_path, ben.key) > 600_000
    delete_set(tmp_path, own.name, ann)
    import_csv(texts, tmp_path, ann)
    save_set(tmp_path, "For all", ["cat", "dog"], *images, actor=TEACHER)


# --- how long one waits

def test_how_long_one_waits(store, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    first = goes(store, ANN)
    mine, other = store.create(CONFIG, BEN.key), store.create(CONFIG, "d" * 32)
    assert store.seconds_to_wait(mine) is None, "nothing has been seen yet"
    now += 8
    store.record(first, [], step=2)
    assert store.seconds_to_wait(mine) == pytest.approx(8 / 2 * 8)
    assert store.seconds_to_wait(other) is None, "nobody knows how long the one before it takes"
    store.set_pause(first, True)
    assert store.seconds_to_wait(mine) is None and store.is_held(), "it may go on at any time"
    store.set_pause(first, False)
    now += 12
    store.record(first, [], step=10)
    store.finish(first, "finished")  # after 20 s
    assert store.seconds_to_wait(mine) == 0 and store.seconds_to_wait(other) == pytest.approx(20)
    store.claim("w")
    assert store.seconds_to_wait(other) == pytest.approx(20), "it has taken no step"
    limited = store.as_actor(visitor("e", run_minutes=1)).create(CONFIG, "e" * 32)
    store.create(CONFIG, "f" * 32)
    assert store.seconds_to_wait(limited) == pytest.approx(40)


def test_waiting_runs_are_judged_by_their_size(store, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)

    def ran(config, seconds, epochs):
        """A run that took so long for so many epochs, of four that it was made for."""
        nonlocal now
        run_id = store.create(config, ANN.key)
        assert store.claim("w").id == run_id
        store.begin(run_id, Started(10, 40, 5, "cpu", "float32"))
        now += seconds
        store.record(run_id, [], step=10 * epochs, epoch=epochs)
        store.finish(run_id, "stopped")
        return run_id

    def waits(*configs):
        """How long who comes waits for these."""
        ids = [store.create(config, BEN.key) for config in configs]
        last = store.create(CONFIG, BEN.key)
        found = store.seconds_to_wait(last)
        for run_id in (*ids, last):
            store.request_stop(run_id)
        return found

    four = tiny(training__epochs=4)
    stopped = ran(four, 6, 2)  # 3 s an epoch
    ran(four, 2, 1)
    ran(four, 16, 4)  # 2 and 4 s
    assert waits(tiny(training__epochs=250)) == pytest.approx(250 * 3)
    assert waits(tiny(training__epochs=10, data__fraction=0.5), four) == pytest.approx(10 * 1.5 + 4 * 3)
    assert waits(tiny(training__epochs=10, data__variations=3)) == pytest.approx(10 * 12)
    spiral = tiny(data__dataset="spiral", data__points=200, training__epochs=4)
    assert waits(spiral) == pytest.approx(4 * 3), "of another kind nothing better is known than an epoch of the last runs"
    ran(spiral, 1, 2)
    assert waits(tiny(data__dataset="spiral", data__points=800, training__epochs=100)) == pytest.approx(100 * 0.5 * 4)
    store.requeue(stopped, tiny(training__epochs=12))
    last = store.create(CONFIG, BEN.key)
    store.move_to_front(stopped)
    assert store.seconds_to_wait(last) == pytest.approx(10 * 3), "two of its twelve epochs are done"
    store.request_stop(stopped)
    test = store.create(four, ANN.key, kind="range_test")
    store.move_to_front(test)
    assert store.seconds_to_wait(last) == pytest.approx(2), "as an epoch, the middle of 0.5, 2 and 4 s"


def test_nobody_waits_longer_than_others_may_train(store, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    slow = visitor("a", run_minutes=1)
    first, mine = goes(store, slow), store.create(CONFIG, BEN.key)
    now += 10
    store.record(first, [], step=1)  # 90 s for the others
    assert store.seconds_to_wait(mine) == pytest.approx(50)
    said = waiting(store, store.get(mine))
    assert "1 run before this one, about 50 s." in said and said.endswith("about 50 s left.")
    with store._database.writing() as db:
        db.execute("UPDATE runs SET trained_before = 20 WHERE id = ?", (first,))  # it has gone on
    assert store.seconds_to_wait(mine) == store.get(first).seconds_left(now) == pytest.approx(30)


# --- while it trains

def goes(store, actor):
    run_id = store.as_actor(actor).create(CONFIG, actor.key)
    assert store.claim("w").id == run_id
    store.begin(run_id, Started(10, 10, 5, "cpu", "float32"))
    return run_id


def look_each_second(engine, seconds, each=lambda second: None):
    """As the engine's own thread looks several times a second."""
    now = 0.0
    engine._trained, engine._rested = Total(lambda: now), Total(lambda: now)
    for second in range(seconds + 1):
        now = float(second)
        each(second)
        engine._end_over_limits(engine.store.going())
        if any(run.stop_requested for run in engine.store.going()):
            return second
    return None


def test_a_run_stops_when_it_has_trained_enough(engine, store):
    run_id = goes(store, visitor("a", run_minutes=1))
    assert look_each_second(engine, 90, lambda second: store.set_pause(run_id, 10 <= second < 20)) == 70, "ten of them paused"
    store.finish(run_id, "stopped", "Stopped.")
    assert store.get(run_id).message == ("Stopped after 1 minute of training, the limit for one run on this server. What it has "
                                         "learned is kept.")


def test_single_steps_do_not_begin_a_pause_anew(engine, store):
    """One step each 40 s kept the only worker for ever."""
    run_id = goes(store, visitor("a", pause_minutes=2))
    store.set_pause(run_id, True)

    def step(second):
        if second % 40 == 39:
            store.request_step(run_id)

    assert look_each_second(engine, 500, step) is None, "nobody waits"
    store.create(CONFIG, BEN.key)
    assert look_each_second(engine, 500, step) == 120
    assert store.get(run_id).message.startswith("Stopped after 2 minutes of pause in all while others were waiting")


def test_nothing_is_limited_on_a_server_of_one_person(engine, store):
    run_id = store.create(CONFIG, "ann")
    store.claim("w")
    store.create(CONFIG, "ben")
    store.set_pause(run_id, True)
    assert look_each_second(engine, 10_000 // 100) is None and store.get(run_id).stop_requested is None
    assert all(run.most_seconds is None and run.most_pause is None for run in store.going())


def test_a_total_counts_what_was_so():
    now = 0.0
    total = Total(lambda: now)
    found = []
    for then, is_so in ((0.0, True), (2.0, True), (3.0, False), (10.0, True), (11.5, False)):
        now = then
        found.append(total.seconds("run", is_so))
    assert found == [0.0, 2.0, 3.0, 3.0, 4.5]
    total.keep(set())
    assert total.seconds("run", True) == 0.0


# --- turns

queues = some.lists(some.sampled_from("abcd"), max_size=12).map(
    lambda owners: [Waiting(number, owner) for number, owner in enumerate(owners, 1)])


@given(queues, some.dictionaries(some.sampled_from("abcd"), some.integers(1, 9)))
def test_nobody_has_two_turns_while_another_waits_for_one(queue, turns):
    order, by_number = in_order(queue, turns), {run.number: run for run in queue}
    assert sorted(order) == sorted(by_number), "everybody's turn comes"
    for place, number in enumerate(order):
        owner = by_number[number].owner
        until = next((later for later in range(place + 1, len(order)) if by_number[order[later]].owner == owner), None)
        if until is not None:
            between = {by_number[order[later]].owner for later in range(place + 1, until)}
            assert between == {by_number[one].owner for one in order[place + 1:]} - {owner}, "each of the others once"
            assert until - place - 1 == len(between)
    for owner in set("abcd"):
        mine = [number for number in order if by_number[number].owner == owner]
        assert mine == sorted(mine), "one's own runs start in their order"


@given(queues, some.dictionaries(some.sampled_from("abcd"), some.integers(1, 9)))
def test_who_comes_waits_for_one_turn_of_each_at_most(queue, turns):
    """However many runs the others have in the queue."""
    others = {run.owner for run in queue}
    place = in_order([*queue, Waiting(99, "new")], {**turns, "new": 5}).index(99)
    assert place <= len(others)


def test_by_hand():
    queue = [Waiting(1, "a"), Waiting(2, "a"), Waiting(3, "a"), Waiting(4, "b"), Waiting(5, "c"), Waiting(6, "b")]
    assert in_order(queue, {}) == [1, 4, 5, 2, 6, 3]
    assert in_order(queue, {"a": 3, "b": 1, "c": 2}) == [4, 5, 1, 6, 2, 3]
    assert in_order([*queue[:5], Waiting(6, "b", moved=1)], {})[:2] == [6, 1]
    assert next_of([], {}) is None and in_order([], {"a": 1}) == []


def test_the_store_takes_turns_and_says_its_order(store):
    owners = {}
    for number, owner in enumerate("aaabcb"):
        owners[store.create(CONFIG, owner * 32)] = f"{owner}{number}"
    places = {store.queue_position(run_id): name for run_id, name in owners.items()}
    claimed = []
    while (run := store.claim("w")) is not None:
        claimed.append(owners[run.id])
        store.finish(run.id, "finished")
        store.remove_discarded()
    assert claimed == [places[place] for place in range(6)] == ["a0", "b3", "c4", "a1", "b5", "a2"]


def test_deleting_one_s_runs_gives_no_turn_back(store):
    first = store.create(CONFIG, ANN.key)
    store.claim("w")
    store.finish(first, "finished")
    store.delete(first)
    store.create(CONFIG, ANN.key)
    ben = store.create(CONFIG, BEN.key)
    assert store.claim("w").id == ben


def test_what_the_teacher_moves_is_next(store):
    ids = [store.create(CONFIG, "a" * 32) for _ in range(3)] + [store.create(CONFIG, "b" * 32)]
    teacher = store.as_actor(TEACHER)
    teacher.move_to_front(ids[1])
    teacher.move_to_front(ids[2])
    assert [store.queue_position(run_id) for run_id in ids] == [3, 1, 0, 2]
    assert [store.claim("w").id for _ in ids] == [ids[2], ids[1], ids[3], ids[0]]


def test_on_a_server_of_one_person_the_oldest_is_next(tmp_path):
    store = RunStore(tmp_path)
    ids = [store.create(CONFIG, owner) for owner in "aab"]
    assert [store.queue_position(run_id) for run_id in ids] == [0, 1, 2]
    assert [store.claim("w").id for _ in ids] == ids
    store.close()


def test_a_run_is_moved_to_the_front_where_nobody_takes_turns(tmp_path):
    store = RunStore(tmp_path / "local")
    first, second, third = (store.create(CONFIG, "me") for _ in range(3))
    store.move_to_front(second)
    store.move_to_front(third)
    assert [store.queue_position(run_id) for run_id in (first, second, third)] == [2, 1, 0]
    assert [store.claim("w").id for _ in range(3)] == [third, second, first]
    store.close()
