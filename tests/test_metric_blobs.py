"""Metrics in the store beside a plain dictionary, and the takeover of what earlier versions kept."""

import sqlite3
from math import inf, isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.runs import Metric, RunStore
from core.runs.database import MIGRATIONS
from tests.helpers import tiny

POINTS = st.lists(st.builds(Metric, st.sampled_from(["loss", "accuracy"]), st.integers(0, 12),
                            st.floats(allow_nan=False)), max_size=12)


@settings(max_examples=200)
@given(st.lists(POINTS | st.integers(0, 12), max_size=8))
def test_any_order_of_keeping_and_forgetting_is_what_a_dictionary_would_hold(store, actions):
    """Metrics are handed over; a number is a step beyond which all is forgotten, as where a run goes on from a checkpoint."""
    run_id = store.create(tiny(), "ann")
    store.claim("worker")
    expected: dict[str, dict[int, float]] = {}
    for action in actions:
        if isinstance(action, int):
            store.forget_after(run_id, action, 0)
            expected = {name: {step: value for step, value in points.items() if step <= action}
                        for name, points in expected.items()}
        else:
            before = store.metrics(run_id).seq
            store.record(run_id, action)
            new: dict[str, dict[int, float]] = {}
            for metric in action:
                expected.setdefault(metric.name, {})[metric.step] = metric.value
                new.setdefault(metric.name, {})[metric.step] = metric.value
            assert store.metrics(run_id, after=before).series == as_series(new)
        assert store.metrics(run_id).series == as_series(expected)
    assert store.metrics(run_id, names=("loss",)).series == as_series({"loss": expected.get("loss", {})})
    store.finish(run_id, "finished")


def as_series(points):
    return {name: (sorted(steps), [steps[step] for step in sorted(steps)]) for name, steps in points.items() if steps}


def test_metrics_of_an_earlier_version_are_taken_over(tmp_path):
    path = tmp_path / "runs.sqlite3"
    store = RunStore(tmp_path)
    first, second = store.create(tiny(), "ann"), store.create(tiny(), "ann")
    with store._database.reading() as db:
        rows = [tuple(row)[:-1] for row in db.execute("SELECT * FROM runs")]  # version, the last column, came later
    store.close()
    path.unlink()
    with sqlite3.connect(path) as db:  # as the version before wrote it
        for script in MIGRATIONS[:4]:
            for statement in script.split(";"):
                db.execute(statement)
        db.execute("PRAGMA user_version = 4")
        db.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * len(rows[0]))})", rows)
        db.executemany("INSERT INTO metrics (run, name, step, value) VALUES (?, ?, ?, ?)", [
            (1, "loss", 1, 2.5), (2, "loss", 1, 9.0), (1, "accuracy", 1, 0.25), (1, "loss", 3, inf), (1, "loss", 2, None)])
    db.close()
    store = RunStore(tmp_path)
    series = store.metrics(first).series
    assert series["accuracy"] == ([1], [0.25]) and series["loss"][0] == [1, 2, 3]
    assert series["loss"][1][::2] == [2.5, inf] and isnan(series["loss"][1][1])  # SQLite kept NaN as NULL
    assert store.metrics(second).series == {"loss": ([1], [9.0])}
    assert store.claim("worker").id == first and store.record(first, [Metric("loss", 4, 1.0)])
    assert store.metrics(first).series["loss"][0] == [1, 2, 3, 4]
    store.finish(first, "finished")
    store.delete(first)
    with store._database.reading() as db:
        assert [row["run"] for row in db.execute("SELECT run FROM metrics")] == [2]
        assert not db.execute("SELECT name FROM sqlite_master WHERE name = 'single_metrics'").fetchall()
    again = RunStore(tmp_path)  # and once only
    assert again.metrics(second).series == {"loss": ([1], [9.0])}


def test_what_is_half_taken_over_is_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "runs.sqlite3"
    with sqlite3.connect(path) as db:
        for script in MIGRATIONS[:4]:
            for statement in script.split(";"):
                db.execute(statement)
        db.execute("PRAGMA user_version = 4")
    db.close()
    script, _ = MIGRATIONS[4]

    def fails(db):
        raise KeyboardInterrupt

    monkeypatch.setattr("core.runs.database.MIGRATIONS", [*MIGRATIONS[:4], (script, fails)])
    with pytest.raises(KeyboardInterrupt):
        RunStore(tmp_path)
    monkeypatch.undo()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
        assert "value" in [column[1] for column in db.execute("PRAGMA table_info(metrics)")]
    db.close()
    assert RunStore(tmp_path).runs() == []
