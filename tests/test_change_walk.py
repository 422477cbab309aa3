"""From one run to another, one change at a time: the plan, its runs, and effects beside scipy's paired test."""

import numpy as np
import pytest
from scipy import stats

from core.fields import ConfigError
from core.presets import PRESETS
from core.runs import LocalEngine
from core.runs.change_walk import (
    MOST_CHANGES,
    STUDENT,
    WalkError,
    changes_between,
    effects,
    find_runs,
    missing,
    plan,
    seconds_for,
    start_missing,
)
from core.runs.outcomes import RESULTS
from core.settings import Settings
from core.training import check
from tests.helpers import tiny
from tests.test_side_by_side import made


def anything(config):
    return True


SECOND = {"training__optimizer__name": "sgd", "training__optimizer__learning_rate": 0.1, "training__batch_size": 128,
          "training__seed": 7, "training__threads": 1}


def test_the_walk_ends_at_the_second_runs_settings_and_changes_one_thing_at_a_time():
    first, second = tiny(training__seed=4), tiny(**SECOND)
    walk = plan(first, second, anything)
    assert [change.label for change in walk.changes] == ["optimizer adam → sgd with its settings", "batch size 64 → 128"]
    assert walk.left == ("training.seed", "training.threads")
    assert walk.configs[0] == first
    assert walk.configs[1] == tiny(training__seed=4, training__optimizer__name="sgd", training__optimizer__learning_rate=0.1)
    assert walk.configs[-1].with_values({"training.seed": 7, "training.threads": 1}) == second
    planned = walk.planned(3)
    assert [[config.training.seed for config in place] for place in planned] == [[4, 5, 6]] * 3
    assert planned[1][2] == walk.configs[1].with_values({"training.seed": 6})
    with pytest.raises(ConfigError):
        plan(tiny(training__seed=2**31 - 1), second, anything).planned(3)


def test_every_pair_of_presets_of_one_question_is_walked_to_its_end(places):
    """Through configs that are never refused: what does not work alone goes with what it needs."""
    asked = {}
    for name, entry in PRESETS.items():
        data = entry.config.data
        asked.setdefault((data.dataset, data.task), []).append(name)
    pairs = [(a, b) for names in asked.values() for a in names for b in names if a != b]
    assert len(pairs) >= 6

    def trains(config):
        try:
            check(config, places / "data")
        except ValueError:
            return False
        return True

    for a, b in pairs:
        first, second = PRESETS[a].config, PRESETS[b].config
        walk = plan(first, second, trains)
        assert all(map(trains, walk.configs[1:])), (a, b)
        same = {"training.seed": 0, "training.device": "cpu", "training.threads": 1}
        assert walk.configs[-1].with_values(same) == second.with_values(same), (a, b)
        assert len(walk.changes) == len(walk.configs) - 1 > 0


def test_what_does_not_work_alone_waits_or_goes_together():
    first, second = tiny(), tiny(training__batch_size=128, training__epochs=3, training__shuffle=False)
    late = plan(first, second, lambda config: config.training.batch_size == 64 or config.training.epochs == 3)
    assert [change.label for change in late.changes] == ["epochs 1 → 3", "batch size 64 → 128", "shuffle on → off"]
    joined = plan(first, second, lambda config: (config.training.batch_size == 128) == (config.training.epochs == 3))
    assert [change.label for change in joined.changes] == ["shuffle on → off", "batch size 64 → 128 and epochs 1 → 3"]
    with pytest.raises(WalkError, match="can't be trained here"):
        plan(first, second, lambda config: False)


@pytest.mark.parametrize(("changes", "line"), [
    ({}, "nothing but luck"), ({"training__seed": 3, "training__threads": 1}, "nothing but luck"),
    ({"data__task": "is_target", "training__loss": "bce_with_logits"}, r"different questions \(task\)"),
    ({"data__dataset": "mnist"}, r"different questions \(data set\)")])
def test_what_can_not_be_walked_says_why(changes, line):
    with pytest.raises(WalkError, match=line):
        plan(tiny(), tiny(**changes), anything)


def test_too_many_changes_are_refused():
    many = tiny(training__batch_size=128, training__epochs=3, training__shuffle=False, training__gradient_clipping=1.0,
                training__l1=0.1, training__label_smoothing=0.1, training__early_stopping=2, training__keep="best",
                training__initialization="zeros", data__validation=100, data__fraction=0.5, data__label_noise=0.1,
                data__imbalance=0.5)
    assert len(changes_between(tiny(), many)) == MOST_CHANGES + 1
    with pytest.raises(WalkError, match="at most 12"):
        plan(tiny(), many, anything)


def test_effects_are_the_paired_test_over_seeds(store):
    walk = plan(tiny(), tiny(training__batch_size=128, training__epochs=3), anything)
    before, between, after = [0.50, 0.53, 0.51], [0.60, 0.62, 0.64], [0.59, 0.65, 0.63]
    found = []
    for place, values in zip(walk.planned(3), (before, between, after), strict=True):
        runs = [made(store, config, finished=False) for config in place]
        for run, value in zip(runs, values, strict=True):
            store.finish(run.id, "finished", test_accuracy=value)
        found.append([store.get(run.id) for run in runs])
    shown = effects(walk, found, RESULTS["test_accuracy"])
    assert [effect.label for effect in shown] == ["batch size 64 → 128", "epochs 1 → 3", "all together"]
    for effect, (a, b) in zip(shown, ((before, between), (between, after), (before, after)), strict=True):
        wanted = stats.ttest_rel(b, a).confidence_interval(0.95)
        assert effect.mean == pytest.approx(np.mean(b) - np.mean(a)) and effect.seeds == 3
        assert (effect.interval.low, effect.interval.high) == pytest.approx((wanted.low, wanted.high), rel=1e-3)
    assert [effect.is_clear for effect in shown] == [True, False, True]

    found[1][0] = None
    assert [effect.seeds for effect in effects(walk, found, RESULTS["test_accuracy"])] == [2, 2, 3]
    found[1] = [None] * 3
    waiting = effects(walk, found, RESULTS["test_accuracy"])[0]
    assert (waiting.seeds, waiting.mean, waiting.interval, waiting.is_clear) == (0, None, None, False)
    one = effects(walk, [found[0][:1], found[0][:1], found[2][:1]], RESULTS["test_accuracy"])
    assert one[0].mean == 0 and one[0].interval is None, "one seed has no interval"
    assert tuple(round(float(stats.t.ppf(0.975, freedom)), 3) for freedom in range(1, 8)) == STUDENT


def test_its_runs_are_found_by_their_settings_and_only_what_is_missing_is_started(store, settings):
    walk = plan(tiny(), tiny(training__batch_size=128), anything)
    planned = walk.planned(2)
    there = made(store, planned[0][0])
    failed = made(store, planned[1][1], finished=False)
    store.finish(failed.id, "failed", "It broke.")
    made(store, planned[0][1], by_hand=True)  # a change by hand makes it another run
    found = find_runs(store, planned)
    assert [[run and run.id for run in place] for place in found] == [[there.id, None], [None, failed.id]]
    wanted = missing(planned, found)
    assert [(place, config.training.seed) for place, config in wanted] == [(1, 0), (0, 1), (1, 1)], "seed by seed"
    assert seconds_for(wanted, 2, there, there) == pytest.approx(3 * there.seconds)
    assert seconds_for(wanted, 2, there, failed) is None
    with LocalEngine(store, Settings(settings.data_dir, settings.runs_dir, settings.cache_dir, workers=0)) as engine:
        ids = start_missing(engine, walk, wanted, "ann")
        assert start_missing(engine, walk, wanted, "ann") == ids, "a double click"
        with pytest.raises(WalkError, match="at most 60"):
            start_missing(engine, walk, wanted * 21, "ann")
    assert missing(planned, find_runs(store, planned)) == []
    assert [store.get(run_id).title for run_id in ids] == [
        "Which change? 1: batch size 64 → 128 · seed 0", "Which change? 0: before any change · seed 1",
        "Which change? 1: batch size 64 → 128 · seed 1"]
