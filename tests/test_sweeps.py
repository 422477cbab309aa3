"""Searches: what they choose, how they go on after anything, and what they say of what can't be."""

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.__main__ import main
from core.actors import Actor
from core.fields import ConfigError
from core.limits import Limits
from core.runs import RunStore, StoreError
from core.runs.engine import DIED
from core.runs.execute import execute
from core.runs.limits import LimitReached
from core.runs.store_sweeps import ONE_AT_A_TIME
from core.runs.sweep_records import STUDIES, SweepNotFound, TrialOf
from core.sweeps import (
    SweepError,
    SweepPlan,
    SweepService,
    add_trials,
    narrow,
    pause,
    plan_of,
    read_plan,
    read_result,
    resume,
    run_sweep,
    start,
    stop,
)
from core.sweeps.driver import Driver
from core.sweeps.luck import luck_found
from core.sweeps.run import take
from core.sweeps.study import SAME, Study, study_path
from core.sweeps.telling import MOST_RETRIES
from tests.helpers import tiny, wait_until
from tests.sweeps import RATE, TESTED, VARY, WITHOUT, PretendEngine, a_plan, begun, drive, driver_of, hill

optuna = pytest.importorskip("optuna", reason=WITHOUT)
from optuna.storages import JournalStorage  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.trial import TrialState  # noqa: E402


def opened(store, sweep_id):
    """The study as optuna-dashboard, or anybody with Optuna, opens it."""
    return optuna.load_study(study_name=sweep_id,
                             storage=JournalStorage(JournalFileBackend(str(study_path(store.path, sweep_id)))))


def one_line(error):
    text = str(error.value)
    assert text.strip() and "\n" not in text
    return text


# --- what it chooses

def test_it_chooses_by_validation_images_and_tests_the_chosen_one_alone(store):
    engine = PretendEngine(store)
    plan = a_plan(trials=12, seeds=3)
    sweep_id = begun(store, plan)
    drive(engine, sweep_id)
    sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
    result = read_result(sweep.result)
    assert sweep.status == "finished" and sweep.seconds >= 0
    tested = [trial for trial in trials if trial.test_accuracy is not None]
    assert [trial.run_id for trial in tested] == [result.run_id] and tested[0].test_accuracy == TESTED
    assert (tested[0].trial, tested[0].repeat) == (result.chosen, 0)
    # over fresh seeds: the first run, by which it was chosen, has no part in its mean
    means = {number: [trial.value for trial in trials if trial.trial == number and trial.repeat] for number in result.means}
    assert result.means == pytest.approx({number: sum(values) / 3 for number, values in means.items()})
    assert result.chosen == max(result.means, key=result.means.get) and result.chosen in result.alike
    best = store.get(result.run_id).config.training.optimizer.learning_rate
    assert 0.003 < best < 0.03, "the hill's top is at 0.01"
    assert luck_found(trials, plan.step).deviation == pytest.approx(result.luck)


def test_the_first_settings_are_the_base_s_and_measure_luck(store):
    engine = PretendEngine(store)
    sweep_id = begun(store, a_plan(seeds=3))
    drive(engine, sweep_id, looks=1)
    assert [one for one in engine.submitted if one[0] == 0] == [(0, 0), (0, 1), (0, 2), (0, 3)][:len(engine.submitted)]
    drive(engine, sweep_id)
    first = [store.get(trial.run_id).config for trial in store.trials(sweep_id) if trial.trial == 0]
    assert [config.training.seed for config in first] == [0, 1, 2, 3]
    assert {config.training.optimizer.learning_rate for config in first} == {tiny().training.optimizer.learning_rate}


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "qmc"])
def test_every_way_to_choose(store, sampler):
    engine = PretendEngine(store)
    plan = a_plan([*VARY, "model.hidden=[8]|[16,8]", "training.batch_size=16..64"], sampler=sampler, trials=9)
    sweep_id = begun(store, plan)
    drive(engine, sweep_id)
    trials = [trial for trial in store.trials(sweep_id) if not trial.repeat]
    assert store.sweep(sweep_id).status == "finished" and len(trials) == 9
    for trial in trials:
        config = store.get(trial.run_id).config
        assert config == plan.config_of(trial.params)
        assert 1e-4 <= config.training.optimizer.learning_rate <= 1 and 16 <= config.training.batch_size <= 64
    assert len({json.dumps(trial.params) for trial in trials}) == 9


def test_a_grid_tries_every_combination_once_and_ends(store):
    sweep_id = begun(store, a_plan(["training.batch_size=16|32|64", "model.hidden=[8]|[16]"], sampler="grid", trials=50))
    drive(PretendEngine(store), sweep_id)
    tried = {json.dumps(trial.params) for trial in store.trials(sweep_id) if not trial.repeat}
    assert len(tried) == 6 == sum(not trial.repeat for trial in store.trials(sweep_id))
    assert "all 6 combinations of the grid were tried" in store.sweep(sweep_id).message


def test_settings_that_luck_leaves_equal_are_not_told_apart(store):
    noise = {seed: 0.01 * math.sin(seed * 7.0) for seed in range(9)}
    engine = PretendEngine(store, lambda config: 0.9 + noise[config.training.seed] + 1e-4 * config.training.batch_size / 64)
    sweep_id = begun(store, a_plan(["training.batch_size=16|32|64"], sampler="grid", seeds=3))
    drive(engine, sweep_id)
    assert len(read_result(store.sweep(sweep_id).result).alike) == 3
    assert "can't be told apart" in store.sweep(sweep_id).message


def test_it_ends_where_what_is_left_lies_within_luck(store):
    engine = PretendEngine(store, lambda config: 0.9 + 0.001 * config.training.seed)
    sweep_id = begun(store, a_plan(trials=200, patience=5))
    drive(engine, sweep_id)
    assert "by no more than luck of the seed" in store.sweep(sweep_id).message
    assert sum(not trial.repeat for trial in store.trials(sweep_id)) < 15


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_settings_are_trained_once_each(store, sampler):
    """Of three settings that there are forty trials make three, and the best three are not one setting three times."""
    plan = a_plan(["model.hidden=[8]|[16]|[8,8]"], sampler=sampler, trials=40)
    assert plan.most_trials == 3
    sweep_id = begun(store, plan)
    drive(PretendEngine(store), sweep_id)
    firsts = {trial.trial: trial for trial in store.trials(sweep_id) if not trial.repeat}
    assert sorted(str(trial.params["model.hidden"]) for trial in firsts.values()) == ["[16]", "[8, 8]", "[8]"]
    assert "no further settings were left to try after 3 trials" in store.sweep(sweep_id).message
    told = opened(store, sweep_id).trials
    assert {one.number for one in told if SAME not in one.user_attrs} == set(firsts)
    twins = [(one.value, told[one.user_attrs[SAME]].value) for one in told if one.state == TrialState.COMPLETE and one.user_attrs]
    assert all(value == first for value, first in twins)


def test_settings_that_make_the_same_run_are_trained_once(store):
    """Adam has no momentum, whatever is chosen for it."""
    plan = a_plan(["training.optimizer.name=adam|sgd", "training.optimizer.momentum=0|0.5|0.9"], sampler="random", trials=40)
    sweep_id = begun(store, plan)
    for _ in range(10):  # by another process each time, which knows it as well
        drive(PretendEngine(store), sweep_id, looks=1)
    drive(PretendEngine(store), sweep_id)
    configs = [store.get(trial.run_id).config.training.optimizer for trial in store.trials(sweep_id) if not trial.repeat]
    assert len(configs) == 4 == len({config.model_dump_json() for config in configs})


def test_a_range_that_was_narrowed_leaves_nothing_to_try(store):
    engine, sweep_id = PretendEngine(store), begun(store, a_plan(["training.batch_size=16..64"], trials=30, sampler="random"))
    driver = driver_of(engine, sweep_id)
    for _ in range(3):
        driver.look()
        engine.work()
    made = {trial.params["training.batch_size"] for trial in store.trials(sweep_id)}
    narrow(store, sweep_id, "training.batch_size", 20, 22)
    while driver.look():
        engine.work()
    tried = {trial.params["training.batch_size"] for trial in store.trials(sweep_id)}
    assert tried == made | {20, 21, 22} and store.sweep(sweep_id).status == "finished"


def test_settings_that_can_not_be_together_do_not_hold_up_the_others(store, monkeypatch):
    """More of them than would end a search that has nothing else."""
    config_of = SweepPlan.config_of

    def picky(plan, params, repeat=0):
        if 20 <= params["training.batch_size"] < 40:
            raise ConfigError("These do not go together.")
        return config_of(plan, params, repeat)

    monkeypatch.setattr(SweepPlan, "config_of", picky)
    sweep_id = begun(store, a_plan(["training.batch_size=16..64"], trials=45, sampler="random"))
    drive(PretendEngine(store), sweep_id)
    assert store.sweep(sweep_id).status == "finished"
    assert sum(one.state == TrialState.FAIL for one in opened(store, sweep_id).trials) > 5
    assert not [trial for trial in store.trials(sweep_id) if 20 <= trial.params["training.batch_size"] < 40]


def test_what_was_repeated_stays_among_the_best(store):
    """All three are repeated, as luck seems large; that it turns out to be smaller takes none of them away."""
    values = {16: (0.90, 0.94, 0.86), 32: (0.95, 0.95, 0.95), 48: (0.85, 0.85, 0.85)}
    engine = PretendEngine(store, lambda config: values[config.training.batch_size][config.training.seed])
    plan = plan_of(tiny(training__batch_size=16), ["training.batch_size=16|32|48"], sampler="random", trials=3, minutes=0,
                   pruner="none", seeds=2, patience=0)
    sweep_id = begun(store, plan)
    drive(engine, sweep_id)
    batch_sizes = {trial.trial: trial.params["training.batch_size"] for trial in store.trials(sweep_id)}
    result = read_result(store.sweep(sweep_id).result)
    assert {batch_sizes[trial]: mean for trial, mean in result.means.items()} == pytest.approx({32: 0.95, 16: 0.90, 48: 0.85})
    assert batch_sizes[result.chosen] == 32 and result.near == 0


def test_more_that_came_as_near_are_counted(store):
    noise = {seed: 0.01 * math.sin(seed * 7.0) for seed in range(9)}
    engine = PretendEngine(store, lambda config: 0.9 + noise[config.training.seed] + 1e-6 * config.training.batch_size)
    sweep_id = begun(store, a_plan(["training.batch_size=16|32|48|64|80"], sampler="grid"))
    drive(engine, sweep_id)
    assert read_result(store.sweep(sweep_id).result).near == 2
    assert "2 more trials came as near by one run, without being repeated" in store.sweep(sweep_id).message


def test_it_ends_with_its_time(store):
    clock = iter(range(0, 10_000, 2))
    engine = PretendEngine(store)
    sweep_id = begun(store, a_plan(trials=500, minutes=1))
    assert take(store, sweep_id, "me")
    driver = Driver(engine, store, store.sweep(sweep_id), "me", clock=lambda: float(next(clock)))
    while driver.look():
        engine.work(2)
    sweep = store.sweep(sweep_id)
    assert sweep.status == "finished" and "the time is over" in sweep.message
    assert sum(not trial.repeat for trial in store.trials(sweep_id)) < 100


def test_trials_that_lag_behind_are_ended_early_and_shown_to_the_study(store):
    def curve(config):
        best = hill(config)
        return [best * share for share in (0.5, 0.8, 1.0)]

    engine = PretendEngine(store)
    sweep_id = begun(store, a_plan(pruner="median", trials=20, epochs=3))
    driver = driver_of(engine, sweep_id)
    while driver.look():  # each run's epochs come one by one
        while (run := store.claim("worker")) is not None:
            engine.begin(run)
            for epoch, value in enumerate(curve(run.config), start=1):
                engine.epochs(run, [value], first=epoch)
                driver.look()
                if store.get(run.id).status != "running":
                    break
            else:
                store.finish(run.id, "finished", seconds=0.1, test_accuracy=None if store.holds_test(run.id) else TESTED)
    trials = store.trials(sweep_id)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned and all(trial.status == "stopped" and "behind the others after" in trial.reason for trial in pruned)
    assert {trial.trial for trial in pruned} == {one.number for one in opened(store, sweep_id).trials
                                                if one.state == TrialState.PRUNED}
    assert store.sweep(sweep_id).status == "finished"


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_study_knows_every_epoch(store, pruner):
    """Also of runs that were over before anybody looked."""
    sweep_id = begun(store, a_plan(pruner=pruner, trials=3, epochs=3))
    drive(PretendEngine(store, lambda config: [hill(config) * share for share in (0.5, 0.8, 1.0)]), sweep_id)
    for trial in opened(store, sweep_id).trials:
        assert trial.intermediate_values == pytest.approx({1: trial.value / 2, 2: trial.value * 0.8, 3: trial.value})


def test_nothing_is_ended_in_the_first_third_of_its_epochs(store):
    sweep_id, plan = begun(store, a_plan()), a_plan(pruner="median", epochs=6)
    study = Study(study_path(store.path, sweep_id), sweep_id, plan)
    for _ in range(5):
        number, _ = study.ask()
        for epoch in range(1, 7):
            study.report(number, epoch, 0.9)
        study.tell(number, 0.9)
    number, _ = study.ask()
    lags = []
    for epoch in range(1, 5):
        study.report(number, epoch, 0.1)
        lags.append(study.lags(number))
    assert lags == [False, False, True, True]


def test_an_epoch_that_is_told_again_is_no_warning(store, recwarn):
    sweep_id, plan = begun(store, a_plan()), a_plan()
    study = Study(study_path(store.path, sweep_id), sweep_id, plan)
    number, _ = study.ask()
    for value in (0.5, 0.7):
        study.report(number, 1, value)
    assert opened(store, sweep_id).trials[number].intermediate_values == {1: 0.5}
    assert not [one for one in recwarn if "reported" in str(one.message)]


def test_hyperband_goes_to_its_end(store):
    sweep_id = begun(store, a_plan(pruner="hyperband", trials=12, epochs=9))
    drive(PretendEngine(store, lambda config: [hill(config)] * 9), sweep_id)
    assert store.sweep(sweep_id).status == "finished"


def test_anybody_with_optuna_opens_the_study(store):
    sweep_id = begun(store, a_plan())
    drive(PretendEngine(store), sweep_id)
    study = opened(store, sweep_id)
    firsts = {trial.trial: trial for trial in store.trials(sweep_id) if not trial.repeat}
    assert {trial.number: trial.value for trial in study.trials} == {number: one.value for number, one in firsts.items()}
    for trial in study.trials:
        assert trial.params[RATE] == pytest.approx(firsts[trial.number].params[RATE], rel=1e-3)


# --- going on

@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_whoever_drives_on_loses_and_doubles_no_trial(store, every):
    """The driver is lost after every so many looks, each time with a lock and half a line left behind."""
    plan, engine = a_plan(trials=10), PretendEngine(store)
    sweep_id, path = begun(store, plan), study_path(store.path, "")
    for turn in range(500):
        driver = driver_of(engine, sweep_id)
        going = all(driver.look() for _ in range(every))
        engine.work(1 + turn % 2)
        store.leave_sweep(sweep_id, driver.name)
        path = study_path(store.path, sweep_id)
        with path.open("ab") as file:
            file.write(b'{"op_code": 5, "wor')
        if not path.with_name(path.name + ".lock").exists():
            os.symlink(path, path.with_name(path.name + ".lock"))
        if not going:
            break
    assert store.sweep(sweep_id).status == "finished"
    trials = [trial for trial in store.trials(sweep_id) if not trial.repeat]
    assert sorted(trial.trial for trial in trials) == list(range(10))
    assert all(trial.state == "complete" for trial in trials)
    Study(path, sweep_id, plan)  # which puts right what was left behind
    assert {one.number: one.value for one in opened(store, sweep_id).trials} == {trial.trial: trial.value for trial in trials}


def test_what_was_asked_for_and_has_no_run_gets_one(store):
    """As where a server dies between the study's answer and the queue."""
    engine = PretendEngine(store)
    sweep_id = begun(store, a_plan())
    number, params = driver_of(engine, sweep_id).study.ask()
    drive(replace_driver(store, engine, sweep_id), sweep_id)
    assert next(trial.params for trial in store.trials(sweep_id) if (trial.trial, trial.repeat) == (number, 0)) == params


def replace_driver(store, engine, sweep_id):
    """The engine, once whoever drove is known to be gone."""
    sweep = store.sweep(sweep_id)
    store.leave_sweep(sweep_id, sweep.driver)
    return engine


def test_a_trial_that_was_cut_off_in_the_middle_of_its_choice_has_failed(store):
    plan = a_plan([*VARY, "training.batch_size=16..64"])
    sweep_id = begun(store, plan)
    study = Study(study_path(store.path, sweep_id), sweep_id, plan)
    study._study.ask()  # of nothing yet
    assert Study(study.path, sweep_id, plan).unfinished() == {} and study.count() == 0
    assert [trial.state for trial in opened(store, sweep_id).trials] == [TrialState.FAIL]


def test_a_trial_whose_server_or_process_died_goes_on_as_the_same_run(store):
    engine = PretendEngine(store)
    sweep_id = begun(store, a_plan(trials=4))
    driver = driver_of(engine, sweep_id)
    driver.look()
    interrupted, died = store.claim("gone"), store.claim("dead")
    store.end_runs_of("gone", "interrupted", "The app ended.")
    store.end_runs_of("dead", "failed", f"{DIED} (ended by the system).")
    while driver.look():
        engine.work()
    by_run = {trial.run_id: trial for trial in store.trials(sweep_id)}
    assert by_run[interrupted.id].state == by_run[died.id].state == "complete"
    assert (by_run[interrupted.id].retries, by_run[died.id].retries) == (0, 1)
    assert sum(not trial.repeat for trial in by_run.values()) == 4


def test_a_trial_whose_process_dies_again_and_again_has_failed(store):
    engine = PretendEngine(store)
    sweep_id = begun(store, a_plan(trials=3))
    driver = driver_of(engine, sweep_id)
    driver.look()
    for _ in range(MOST_RETRIES + 1):
        wanted = next(trial for trial in store.trials(sweep_id) if (trial.trial, trial.repeat) == (0, 0))
        while store.claim("dead").id != wanted.run_id:
            store.end_runs_of("dead", "interrupted", "")
        store.end_runs_of("dead", "failed", f"{DIED} (ended by the system).")
        driver.look()
    first = next(trial for trial in store.trials(sweep_id) if (trial.trial, trial.repeat) == (0, 0))
    assert (first.state, first.retries) == ("failed", MOST_RETRIES) and first.reason.startswith(DIED)
    while driver.look():
        engine.work()
    assert store.sweep(sweep_id).status == "finished"


def test_one_drives_at_a_time(store, monkeypatch):
    monkeypatch.setattr("core.sweeps.run.SECONDS_OF_SILENCE", 0.2)
    sweep_id = begun(store, a_plan())
    assert store.take_sweep(sweep_id, "one", 0.0)
    assert not store.take_sweep(sweep_id, "two", -1.0), "who drives has just said so"
    assert not store.drive_sweep(sweep_id, "two", 1.0, "") and store.drive_sweep(sweep_id, "one", 1.0, "")
    assert take(store, sweep_id, "two"), "it was silent for long"
    driver = Driver(PretendEngine(store), store, store.sweep(sweep_id), "one")
    with pytest.raises(SweepError, match="Another process"):
        driver.look()


@pytest.mark.slow
def test_a_search_survives_a_kill_of_everything(store, settings, tmp_path):
    """The command line, its engine and its training process end by SIGKILL in the middle; another goes on to the same end."""
    command = ["sweep", "digits-quick", "--runs", str(settings.runs_dir), "--data", str(settings.data_dir), "--json", "--trials",
               "6", "--seeds", "2", "--budget", "0", "--pruner", "none", "--vary", "training.batch_size=64..256",
               "--set", 'model={"architecture": "mlp", "hidden": [8]}', "--set", "data.variations=0", "--set",
               "training.epochs=1", "--set", "training.threads=1", "--set", "training.precision=float32", "--workers", "1"]
    child = subprocess.Popen([sys.executable, "-m", "core", *command], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE,
                             text=True, env={**os.environ, "PLAYGROUND_CACHE": str(settings.cache_dir)})
    begins, line = (json.loads(child.stdout.readline()) for _ in range(2))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert begins == {"event": "begun", "sweep": line["sweep"], "trials": 6, "minutes": 0.0}
    assert line["event"] == "trial" and line["state"] == "complete"
    before = store.trials(line["sweep"])
    assert main([*command[:1], "--resume", line["sweep"], *command[2:6], "--workers", "1"]) == 0
    sweep, trials = store.sweep(line["sweep"]), store.trials(line["sweep"])
    assert sweep.status == "finished" and [one.run_id for one in before] == [one.run_id for one in trials][:len(before)]
    assert sorted(one.trial for one in trials if not one.repeat) == list(range(6))
    assert len({(one.trial, one.repeat) for one in trials}) == len(trials)
    assert sum(one.test_accuracy is not None for one in trials) == 1
    assert len([one for one in opened(store, sweep.id).trials if one.state == TrialState.COMPLETE]) == 6


# --- a real trial

def test_a_trial_leaves_its_test_images_alone_until_it_may_look(store, settings):
    sweep_id = begun(store, a_plan())
    run_id = store.create_trial(tiny(), "ann", TrialOf(sweep_id, 0, 0, {}))
    assert store.create_trial(tiny(), "ann", TrialOf(sweep_id, 0, 0, {})) == run_id, "a trial is there once"
    ended = execute(store, store.claim("w"), settings)
    assert (ended.status, ended.test_accuracy, ended.test_loss) == ("finished", None, None)
    store.let_test(run_id)
    store.requeue(run_id, ended.config)
    tested = execute(store, store.claim("w"), settings)
    assert tested.test_accuracy > 0.2 and tested.status == "finished"
    assert (tested.validation_accuracy, tested.step) == (ended.validation_accuracy, ended.step), "nothing was trained again"


# --- what people do with it

def test_pause_go_on_and_stop(store):
    engine, sweep_id = PretendEngine(store), begun(store, a_plan(trials=30))
    driver = driver_of(engine, sweep_id)
    driver.look()
    pause(store, sweep_id)
    while driver.look():
        engine.work(1)
    paused = store.trials(sweep_id)
    assert not driver.look() and len(store.trials(sweep_id)) == len(paused) and all(trial.state for trial in paused)
    resume(store, sweep_id)
    assert driver.look() and len(store.trials(sweep_id)) > len(paused)
    stop(store, engine, sweep_id)
    assert not driver.look() and store.sweep(sweep_id).status == "stopped"
    assert not [trial for trial in store.trials(sweep_id) if trial.is_active]
    with pytest.raises(StoreError, match="not going any more"):
        store.create_trial(tiny(), "ann", TrialOf(sweep_id, 99, 0, {}))


def test_more_trials_and_a_narrower_range(store):
    engine, sweep_id = PretendEngine(store), begun(store, a_plan(trials=6, sampler="random"))
    driver = driver_of(engine, sweep_id)
    for _ in range(2):
        driver.look()
        engine.work()
    add_trials(store, sweep_id, 20)
    made = len({trial.trial for trial in store.trials(sweep_id)})
    assert narrow(store, sweep_id, RATE, 0.005, 7.0).high == 1.0, "a range can only become narrower"
    narrow(store, sweep_id, RATE, 0.005, 0.02)
    while driver.look():
        engine.work()
    trials = {trial.trial: trial.params[RATE] for trial in store.trials(sweep_id)}
    assert len(trials) == 26 and read_plan(store.sweep(sweep_id).plan).trials == 26
    assert all(0.005 <= rate <= 0.02 for number, rate in trials.items() if number >= made)
    assert any(not 0.005 <= rate <= 0.02 for rate in trials.values())
    for wrong in (lambda: add_trials(store, sweep_id, 10_000), lambda: add_trials(store, sweep_id, -30),
                  lambda: narrow(store, sweep_id, RATE, 0.01, 0.01),
                  lambda: narrow(store, sweep_id, "training.epochs", 1, 2)):
        with pytest.raises(SweepError) as refused:
            wrong()
        one_line(refused)


def test_trials_that_are_added_are_tried_although_the_search_had_stalled(store):
    engine = PretendEngine(store, lambda config: 0.9 + 0.001 * config.training.seed)
    sweep_id = begun(store, a_plan(trials=200, patience=5))
    driver = driver_of(engine, sweep_id)
    while "by no more than luck" not in driver._over:
        assert driver.look()
        engine.work()
    made = sum(not trial.repeat for trial in store.trials(sweep_id))
    add_trials(store, sweep_id, 10)
    while driver.look():
        engine.work()
    assert sum(not trial.repeat for trial in store.trials(sweep_id)) >= made + 5
    assert store.sweep(sweep_id).status == "finished"


def test_a_plan_of_an_earlier_version_is_read_once(store):
    plan = json.loads(a_plan(["training.batch_size=16|32"], trials=9).model_dump_json())
    del plan["since"]
    sweep_id = store.create_sweep(json.dumps(plan), "ann", "Search")
    engine, over = PretendEngine(store), []
    driver = driver_of(engine, sweep_id)
    while driver.look():
        over.append(driver._over)
        engine.work()
    assert store.sweep(sweep_id).status == "finished" and sorted(over, key=bool) == over, "once it is over, it stays so"


def test_trials_that_would_not_be_tried_are_not_added(store):
    sweep_id = begun(store, a_plan(["training.batch_size=16|32"], sampler="grid", trials=2, minutes=1))
    with pytest.raises(SweepError, match="There are 2 combinations of these settings"):
        add_trials(store, sweep_id, 10)
    stop(store, PretendEngine(store), sweep_id)
    sweep_id = begun(store, a_plan(trials=2, minutes=1))
    assert store.take_sweep(sweep_id, "me", 0.0) and store.drive_sweep(sweep_id, "me", 61.0, "")
    with pytest.raises(SweepError, match="The time of 60 s is over"):
        add_trials(store, sweep_id, 10)
    add_trials(store, sweep_id, 10, 2.0)
    assert (read_plan(store.sweep(sweep_id).plan).trials, read_plan(store.sweep(sweep_id).plan).minutes) == (12, 3.0)


def test_two_searches_at_once_are_refused(store):
    first = begun(store, a_plan())
    with pytest.raises(StoreError, match=ONE_AT_A_TIME):
        begun(store, a_plan())
    stop(store, PretendEngine(store), first)
    begun(store, a_plan())


def test_each_visitor_has_one_and_keeps_to_their_limits(store):
    ann, ben = (Actor(letter * 32, "visitor", Limits(waiting=2, runs=9)) for letter in "ab")
    sweeps = [begun(store.as_actor(actor), a_plan(trials=8), actor.key) for actor in (ann, ben)]
    with pytest.raises(StoreError, match=ONE_AT_A_TIME):
        begun(store.as_actor(ann), a_plan(), ann.key)
    with pytest.raises(SweepError, match="one person may keep 9 runs"):
        start(store.as_actor(ann), PretendEngine(store), a_plan(trials=10), ann.key)
    engine = PretendEngine(store).as_actor(ann)
    assert take(store, sweeps[0], "me")
    driver = Driver(engine, store, store.sweep(sweeps[0]), "me")
    for _ in range(3):
        assert driver.look()
        assert sum(trial.status == "queued" for trial in store.trials(sweeps[0])) == 1, "a place is left for another run"
        engine.work(1)
    assert {run.owner for run in store.runs(-1)} == {ann.key}
    assert [sweep.id for sweep in store.as_actor(ben).sweeps()] == sweeps[1:]


def test_a_limit_that_is_reached_is_said_and_waited_for(store):
    ann = Actor("a" * 32, "visitor", Limits(waiting=9, runs=4))
    sweep_id = begun(store.as_actor(ann), a_plan(), ann.key)
    engine = PretendEngine(store).as_actor(ann)
    assert take(store, sweep_id, "me")
    driver = Driver(engine, store, store.sweep(sweep_id), "me")
    for _ in range(5):
        assert driver.look()
        engine.work()
    assert store.sweep(sweep_id).note.startswith("One person may keep 4 runs on this server.")


def test_the_test_waits_for_a_place(store):
    """Whose other runs take all places at the end, still sees what the chosen one says of the test images."""
    engine, sweep_id = PretendEngine(store), begun(store, a_plan(trials=2))
    driver, refused = driver_of(engine, sweep_id), []

    def resume(run_id, more_epochs=0):
        if len(refused) < 9:
            refused.append(store.sweep(sweep_id).note)
            raise LimitReached("You have 2 runs waiting.")
        PretendEngine.resume(engine, run_id)

    engine.resume = resume
    while driver.look():
        engine.work()
    assert refused[-1] == "You have 2 runs waiting."
    assert [trial.test_accuracy for trial in store.trials(sweep_id) if trial.test_accuracy is not None] == [TESTED]


# --- what can't be

def test_a_search_whose_every_trial_fails_ends_after_five(store):
    engine = PretendEngine(store, lambda config: None, "The loss is not a number.")
    sweep_id = begun(store, a_plan(trials=100))
    drive(engine, sweep_id)
    sweep = store.sweep(sweep_id)
    known = [trial for trial in store.trials(sweep_id) if trial.state == "failed" and not trial.repeat]
    assert sweep.status == "failed" and 5 <= len(known) <= 5 + 2 * engine.capacity
    assert sweep.message.startswith("All of the first ") and sweep.message.endswith("The loss is not a number.")
    assert not [trial for trial in store.trials(sweep_id) if trial.is_active]


def test_a_result_that_is_not_a_number_fails_its_trial_alone(store):
    bad = lambda config: math.nan if config.training.optimizer.learning_rate > 0.1 else hill(config)  # noqa: E731
    sweep_id = begun(store, a_plan(trials=15, sampler="random"))
    drive(PretendEngine(store, bad), sweep_id)
    trials = [trial for trial in store.trials(sweep_id) if not trial.repeat]
    failed = [trial for trial in trials if trial.params[RATE] > 0.1]
    assert failed and all((trial.state, trial.value) == ("failed", None) for trial in failed)
    assert {trial.reason for trial in failed} <= {"its validation accuracy is not a number", "it has no validation accuracy"}
    assert store.sweep(sweep_id).status == "finished"
    assert {one.number for one in opened(store, sweep_id).trials if one.state == TrialState.FAIL} == {one.trial for one in failed}


@pytest.mark.parametrize(("content", "said"), [
    (b"not a study\n", "is no study of a search"), (b"\x00\xff\n" * 9, "is no study of a search"),
    (b'{"op_code": 0, "study_name": "another", "directions": [2]}\n', "is the study of another search"),
    (b"[1]\n", "is no study of a search"), (b"half a line", "is no study of a search"),
])
def test_a_study_file_of_something_else(store, content, said):
    plan = a_plan()
    sweep_id = begun(store, plan)
    path = study_path(store.path, sweep_id)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SweepError, match=said) as refused:
        Study(path, sweep_id, plan)
    assert str(store.path) not in one_line(refused)
    assert path.read_bytes() == content, "whatever it is, it is somebody's"


def test_a_damaged_study_file(store):
    engine, sweep_id = PretendEngine(store), begun(store, a_plan())
    drive(engine, sweep_id, looks=2)
    path = study_path(store.path, sweep_id)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in ([*lines[:3], b"\x00\x00\x00\n", *lines[4:]], [*lines[:2], b'{"op_code": 99}\n', *lines[2:]],
                    [*lines[:2], b'{"op_code": 6}\n', *lines[2:]], [*lines[:2], b"[]\n", *lines[2:]]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(SweepError) as refused:
            Driver(engine, store, store.sweep(sweep_id), "me")
        assert path.name in one_line(refused)


def test_a_server_s_search_with_a_damaged_study_ends_with_one_line(store, settings):
    sweep_id = begun(store, a_plan())
    path = study_path(store.path, sweep_id)
    path.parent.mkdir()
    path.write_bytes(b"something else\n")
    service = SweepService(PretendEngine(store), store, settings)
    sweep = wait_until(lambda: next((one for one in store.sweeps() if one.status == "failed"), None), store.sweeps)
    service.close()
    assert sweep.message.startswith("The file") and "is no study of a search" in sweep.message


def test_a_study_s_folder_that_is_none_ends_one_search_and_not_the_service(store, settings):
    (store.path / STUDIES).write_bytes(b"a file")
    service = SweepService(PretendEngine(store), store, settings)
    for count in (1, 2):
        begun(store, a_plan())
        service.wake()
        failed = wait_until(lambda: [one for one in store.sweeps() if one.status == "failed"][count - 1:], store.sweeps)  # noqa: B023
        assert failed[0].message.startswith("The study file") and str(store.path) not in failed[0].message
    service.close()


def test_a_study_that_is_taken_away_meanwhile_is_said_in_one_line(store, monkeypatch):
    def nowhere(*anything):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Study, "ask", nowhere)
    with pytest.raises(SweepError, match="can't go on just now: the disk is full") as refused:
        run_sweep(PretendEngine(store), store, a_plan(), "ann")
    one_line(refused)
    assert store.sweeps()[0].status == "running" and not store.sweeps()[0].driver


def test_a_server_drives_what_was_begun_and_what_another_left(store, settings):
    engine, sweep_id = PretendEngine(store), begun(store, a_plan(trials=3))
    drive(engine, sweep_id, looks=1)
    for _ in range(2):  # closed in the middle, and another server begins
        service = SweepService(engine, store, settings)
        wait_until(lambda: store.sweep(sweep_id).driver, lambda: store.sweep(sweep_id))
        service.close()
        assert store.sweep(sweep_id).driver == "" and store.sweep(sweep_id).status == "running"
    service = SweepService(engine, store, settings)

    def ended():
        engine.work()
        return store.sweep(sweep_id).status == "finished"

    wait_until(ended, lambda: store.sweep(sweep_id))
    service.close()


def test_no_training_process_no_search(store):
    engine = PretendEngine(store)
    engine.capacity = 0
    with pytest.raises(SweepError, match="PLAYGROUND_WORKERS is 0"):
        start(store, engine, a_plan(), "ann")


def test_an_unknown_search(store):
    with pytest.raises(SweepNotFound):
        store.sweep("x" * 900)
    with pytest.raises(SweepNotFound):
        run_sweep(PretendEngine(store), store, None, "ann", sweep_id="0" * 32)


@pytest.mark.parametrize(("more", "said"), [
    (["--vary", f"{RATE}=1..200"], "it must be above 0 up to 100"), ([], "There is nothing to search"),
    (["--vary", "lr=1..2"], "no such field"), (["--vary", "training.batch_size=5..5"], "one value"),
    (["--vary", f"{RATE}=0.1..1", "--trials", "10000"], "from 2 to 1000 trials"),
    (["--vary", f"{RATE}=0.1..1", "--budget", "soon"], "--budget soon: write it as"),
    (["--vary", f"{RATE}=0.1..1", "--workers", "0"], "0 trials at once"), (["--resume", "x"], "Name a preset"),
])
def test_the_command_line_says_in_one_line_what_can_not_be(capsys, tmp_path, more, said):
    assert main(["sweep", "digits-quick", "--runs", str(tmp_path), *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.splitlines()) == 1
    assert main(["sweep", "--runs", str(tmp_path), "--resume", "0" * 32]) == 2
    assert "no search" in capsys.readouterr().err


def test_the_command_line_names_the_search_that_is_going(store, capsys):
    sweep_id = begun(store, a_plan())
    assert main(["sweep", "digits-quick", "--runs", str(store.path), "--vary", f"{RATE}=0.1..1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"--resume {sweep_id}" in err and len(err.splitlines()) == 1


def test_a_store_of_a_search_that_ended_keeps_it(tmp_path):
    store = RunStore(tmp_path)
    sweep_id = begun(store, a_plan(trials=3))
    drive(PretendEngine(store), sweep_id)
    ended = store.sweep(sweep_id)
    store.close()
    again = RunStore(tmp_path)
    assert again.sweep(sweep_id) == ended and time.time() >= ended.finished
    again.close()


def test_the_code_in_the_readme_runs(store, monkeypatch, tmp_path, capsys):
    """As it stands, with an engine that does at once what it is given."""

    class Eager(PretendEngine):
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def submit_trial(self, *trial):
            run_id = super().submit_trial(*trial)
            self.work()
            return run_id

        def resume(self, run_id, more_epochs=0):
            super().resume(run_id, more_epochs)
            self.work()

    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [block] = [one for one in re.findall(r"```python\n(.*?)```", text, re.S) if "core.sweeps" in one]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("core.runs.LocalEngine", Eager)
    exec(compile(block, "README.md", "exec"), {})
    assert "The search ended as" in capsys.readouterr().out
