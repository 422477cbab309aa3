"""Drives one search: looks at its trials a few times a second, tells the study of those that have ended, and starts the next.

What it does follows from the store and the study alone, so whoever drives on after a crash does what would have been done: a
trial that was asked for and has no run gets one, a run that has ended and was not told of is told of, a run that died goes on.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import isfinite
from statistics import median
from typing import Any

from core.fields import ConfigError
from core.runs.checkpoints import CheckpointError
from core.runs.database import StoreError
from core.runs.engine import DIED
from core.runs.limits import LimitReached
from core.runs.records import RunNotFound
from core.runs.requests import Engine
from core.runs.rights import NotYours
from core.runs.store import RunStore
from core.runs.sweep_records import Sweep, Trial, TrialOf
from core.sweeps.luck import MOST_LEADERS, Luck, fresh_values, has_stalled, leaders, luck_found, verdict
from core.sweeps.plan import SweepError, read_plan
from core.sweeps.result import Result, sentence
from core.sweeps.study import Study, study_path
from core.wording import plural

SECONDS_PER_LOOK = 0.1
SECONDS_PER_BEAT = 1.0
SECONDS_OF_SILENCE = 5.0  # of who drives a search; then another may
MOST_RETRIES = 2  # of a trial whose process dies: its third death is its own doing
FAILED_FIRST = 5  # trials; a search whose first ones all fail has something wrong in all of them
METRICS = ("validation_accuracy", "validation_loss")
UP = "the time is over"


class Driver:
    """One search in progress, for whoever drives it under that name: see take(). engine: as whoever began the search may use it;
    store: of this server.

    Raises SweepError where the study can't be used.
    """

    def __init__(self, engine: Engine, store: RunStore, sweep: Sweep, name: str,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.engine, self.store, self.sweep, self.clock = engine, store, sweep, clock
        self.plan = read_plan(sweep.plan)
        self.study = Study(study_path(store.path, sweep.id), sweep.id, self.plan)
        self.name = name
        self.waiting = self.study.unfinished()  # asked for and without a run, once those that have one are taken out
        self.asked = self.study.count()
        self._seconds, self._looked, self._beaten = sweep.seconds, clock(), -1.0  # driven, now and before
        self._reported: dict[str, int] = {}  # epochs of each run that the study knows
        self._cancelled: set[str] = set()
        self._impossible: list[str] = []  # why there could be no runs of some settings
        self._held = ""  # why nothing is started just now
        self._over = ""  # why no further settings are tried

    def look(self) -> bool:
        """See what has happened and do what is next; False once the search has ended or waits for nobody.

        Raises StoreError where the store can't be used just now: look again.
        """
        self.sweep = self.store.sweep(self.sweep.id)
        trials = self.store.trials(self.sweep.id)
        now, paused = self.clock(), self.sweep.status == "paused"
        self._seconds, self._looked = self._seconds + (0.0 if paused else now - self._looked), now
        if not self.sweep.is_active:
            self._end_runs(trials, all_of_them=True)
            return False
        if self.sweep.plan != self.plan.model_dump_json():  # trials were added, or a range narrowed
            self.study.plan = self.plan = read_plan(self.sweep.plan)
            self._over = ""
        self._held = ""
        told = [self._tell(trial) for trial in trials]
        if any(told):
            trials = self.store.trials(self.sweep.id)
        self._end_runs(trials)
        if why := _all_failed(trials, self._impossible):
            self._close("failed", why)
            return False
        try:
            going = any(trial.is_active for trial in trials) if paused else self._next(trials)
        except NotYours as error:  # its data were given back, or taken away
            self._close("failed", str(error))
            return False
        self._beat("Paused" if paused else self._held or self._doing(trials))
        return going

    # --- what has happened

    def _tell(self, trial: Trial) -> bool:
        """Note what became of a trial, where that is not known yet; whether anything is known now."""
        if trial.state:
            return False
        if trial.deleted:
            return self._failed(trial, "it was deleted")
        if trial.is_active and self._seconds > self.plan.seconds:
            return self._pruned(trial, UP)
        if trial.is_active:
            return trial.status == "running" and self._watch(trial)
        if trial.status == "interrupted" or trial.status == "failed" and trial.message.startswith(DIED):
            return self._again(trial)
        if trial.status == "failed":
            return self._failed(trial, trial.message)
        if trial.status == "stopped":
            return self._failed(trial, trial.message)
        value = self._value(trial)
        if value is None or not isfinite(value):
            what = self.plan.metric.replace("_", " ")
            return self._failed(trial, f"its {what} is not a number" if value is not None else f"it has no {what}")
        if not trial.repeat:
            self.study.tell(trial.trial, value)
        self.store.note_trial(trial.run_id, "complete", value)
        return True

    def _value(self, trial: Trial) -> float | None:
        """Of the weights that the run has kept: of the last epoch, or of the one with the smallest validation loss."""
        if trial.params.get("training.keep", self.plan.base.training.keep) != "best":
            return getattr(trial, self.plan.metric)
        series = self.store.metrics(trial.run_id, names=METRICS).series
        losses = dict(zip(*series.get("validation_loss", ((), ())), strict=True))
        values = dict(zip(*series.get(self.plan.metric, ((), ())), strict=True))
        known = [step for step, loss in losses.items() if isfinite(loss) and step in values]
        return values[min(known, key=losses.__getitem__)] if known else getattr(trial, self.plan.metric)

    def _watch(self, trial: Trial) -> bool:
        """Report a trial's epochs to the study; whether it is ended, as it lags behind."""
        if trial.repeat or self.plan.pruner == "none" or trial.epoch <= self._reported.get(trial.run_id, 0):
            return False
        series = self.store.metrics(trial.run_id, names=[self.plan.metric]).series.get(self.plan.metric, ([], []))
        known = self._reported.get(trial.run_id, 0)
        for epoch, value in list(enumerate(series[1], start=1))[known:]:
            self._reported[trial.run_id] = epoch
            if isfinite(value) and self.study.report(trial.trial, epoch, value):
                return self._pruned(trial, f"behind the others after {plural(epoch, 'epoch')}", value)
        return False

    def _pruned(self, trial: Trial, why: str, value: float | None = None) -> bool:
        if not trial.repeat:
            self.study.tell_pruned(trial.trial)
        self.store.note_trial(trial.run_id, "pruned", value, why)
        return True

    def _failed(self, trial: Trial, why: str) -> bool:
        if not trial.repeat:
            self.study.tell_failed(trial.trial)
        self.store.note_trial(trial.run_id, "failed", None, why)
        return True

    def _again(self, trial: Trial) -> bool:
        """Let a trial go on whose server or process has died; whether that can't be."""
        died = trial.status == "failed"
        if died and trial.retries >= MOST_RETRIES:
            return self._failed(trial, trial.message)
        try:
            if died:
                self.store.note_retry(trial.run_id, trial.retries + 1)
            self.engine.resume(trial.run_id)
        except LimitReached as error:
            self._held = str(error)
        except (CheckpointError, ConfigError, StoreError) as error:
            return self._failed(trial, str(error))
        return False

    def _end_runs(self, trials: Sequence[Trial], all_of_them: bool = False) -> None:
        """Stop runs that are known to come to nothing; all_of_them: those of a search that was stopped."""
        for trial in trials:
            if trial.is_active and (trial.state or all_of_them) and trial.run_id not in self._cancelled and not trial.tested:
                self._cancelled.add(trial.run_id)
                with suppress(RunNotFound):
                    self.engine.cancel(trial.run_id)

    # --- what is next

    def _next(self, trials: list[Trial]) -> bool:
        """Start what has to be trained next; False where there is nothing more to do."""
        have = {(trial.trial, trial.repeat): trial for trial in trials}
        self.waiting = {number: params for number, params in self.waiting.items() if (number, 0) not in have}
        luck = luck_found(trials)
        room = self._room(trials)
        if self._seconds > self.plan.seconds:
            room = 0
            for number in self.waiting:
                self.study.tell_pruned(number)
            self.waiting.clear()
        for number, params in list(self.waiting.items())[:room]:
            room -= self._submit(number, 0, params)
        if (first := _first(trials)) is not None:
            room -= self._repeat(first.trial, first.params, have, room)
        self._over = self._over or self._why_over(trials, luck)
        if not self._over:
            while room > 0 and self.asked < self.plan.most_trials and not self._held and len(self._impossible) < FAILED_FIRST:
                number, params = self.study.ask()
                self.asked += 1
                self.waiting[number] = params
                room -= self._submit(number, 0, params)
                if not number:  # how much is luck is measured first
                    room -= self._repeat(number, params, have, room)
            return True
        if any(trial.state == "" for trial in trials) or self.waiting:
            return True
        return self._repeat_leaders(trials, have, luck, room)

    def _room(self, trials: Sequence[Trial]) -> int:
        """How many runs may be started now, so that no process waits for the next one and a visitor's other runs have a place."""
        limit = self.engine.store.actor.limits.waiting
        ahead = 2 * max(1, self.engine.capacity)
        queued = sum(trial.status == "queued" and not trial.deleted for trial in trials)
        room = ahead - sum(trial.is_active for trial in trials)
        return max(0, min(room, max(1, limit - 1) - queued) if limit else room)

    def _repeat(self, number: int, params: dict[str, Any], have: dict[tuple[int, int], Trial], room: int) -> int:
        """Start a trial's settings with fresh seeds, as far as there is room; how many were started."""
        started = 0
        for repeat in range(1, self.plan.seeds + 1):
            if started < room and (number, repeat) not in have:
                started += self._submit(number, repeat, params)
        return started

    def _submit(self, number: int, repeat: int, params: dict[str, Any]) -> int:
        """Queue one run; 1, or 0 where it can't be just now."""
        if self._held:
            return 0
        title = f"{self.sweep.title} · trial {number}" + (f", seed {repeat + 1}" if repeat else "")
        try:
            config = self.plan.config_of(params, repeat)
            self.engine.submit_trial(config, self.sweep.owner, TrialOf(self.sweep.id, number, repeat, dict(params)), title)
        except LimitReached as error:  # another will end, or an hour pass
            self._held = str(error)
            return 0
        except ConfigError as error:  # values that are allowed each, but not together
            self.study.tell_failed(number)
            self.waiting.pop(number, None)
            self._impossible.append(str(error))
            return 0
        self.waiting.pop(number, None)
        return 1

    def _why_over(self, trials: Sequence[Trial], luck: Luck | None) -> str:
        """Why no further settings are tried; "" while they are."""
        if self.asked >= self.plan.most_trials and not self.waiting:
            return (f"all {self.asked} combinations of the grid were tried" if self.plan.sampler == "grid" and
                    self.asked == self.plan.grid_size else f"all {plural(self.asked, 'trial')} were done")
        if self._seconds + self._for_leaders(trials) > self.plan.seconds:
            return UP
        values = [trial.value for trial in trials if not trial.repeat and trial.state == "complete" and trial.value is not None]
        if self.plan.sampler != "grid" and has_stalled(values, luck, self.plan.patience, self.plan.higher):
            return f"the last {plural(self.plan.patience, 'trial')} beat the best by no more than luck of the seed"
        return ""

    def _for_leaders(self, trials: Sequence[Trial]) -> float:
        """Seconds that repeating the best will take, about."""
        took = [trial.seconds for trial in trials if trial.seconds is not None]
        return median(took) * (MOST_LEADERS * self.plan.seeds + 1) / max(1, self.engine.capacity) if took else 0.0

    def _repeat_leaders(self, trials: list[Trial], have: dict[tuple[int, int], Trial], luck: Luck | None, room: int) -> bool:
        """Once all settings have been tried: the best ones with fresh seeds; then the best of these is tested."""
        firsts = {trial.trial: trial.value for trial in trials
                  if not trial.repeat and trial.state == "complete" and trial.value is not None and not trial.deleted}
        best = leaders(firsts, luck, self.plan.higher)
        if not best:
            self._close("failed", "No trial came to a result" + (f": {trials[-1].reason}" if trials else "") + ".")
            return False
        missing = [number for number in best if any((number, repeat) not in have for repeat in range(1, self.plan.seeds + 1))]
        if missing and self._seconds < self.plan.seconds:
            for number in missing:
                room -= self._repeat(number, have[number, 0].params, have, room)
            return True
        return self._test(trials, have, best)

    def _test(self, trials: list[Trial], have: dict[tuple[int, int], Trial], best: list[int]) -> bool:
        """Look at the test images with the chosen trial's run, once; the search ends with that."""
        found = verdict({number: fresh_values(trials, number) for number in best}, luck_found(trials), self.plan.higher)
        chosen = next(iter(found.means)) if found else best[0]
        run = have[chosen, 0]
        if run.is_active:
            return True
        untested = run.test_accuracy is None and run.test_loss is None
        if untested and run.retries <= MOST_RETRIES:
            self.store.let_test(run.run_id)
            self.store.note_retry(run.run_id, run.retries + 1)
            with suppress(CheckpointError, ConfigError):  # its weights are gone: then it stays untested
                self.engine.resume(run.run_id)
            return True
        luck = luck_found(trials)
        result = Result(chosen, run.run_id, found.alike if found else (chosen,), found.means if found else {},
                        found.margin if found else None, luck.deviation if luck else None, self._over)
        self._close("finished", f"{sentence(self.plan, result)} The search ended as {self._over}.", result.to_json())
        return False

    def _close(self, status: str, message: str, result: str = "") -> None:
        self.store.drive_sweep(self.sweep.id, self.name, self._seconds, "")
        self.store.end_sweep(self.sweep.id, "finished" if status == "finished" else "failed", message, result)
        self._end_runs(self.store.trials(self.sweep.id), all_of_them=True)

    # --- who drives, and what it says

    def _beat(self, note: str) -> None:
        if self.clock() - self._beaten < SECONDS_PER_BEAT and note == self.sweep.note:
            return
        self._beaten = self.clock()
        if not self.store.drive_sweep(self.sweep.id, self.name, self._seconds, note):
            raise SweepError("Another process drives this search by now.")

    def _doing(self, trials: Sequence[Trial]) -> str:
        if self._over:
            return f"Repeating the best with fresh seeds: {self._over}"
        first = [trial for trial in trials if trial.repeat and trial.state == ""]
        return "Measuring how much is luck of the seed" if first and self.asked <= self.plan.seeds else "Trying settings"


def _first(trials: Sequence[Trial]) -> Trial | None:
    """The trial whose settings measure luck: the first one, or where that came to nothing the first that came to its end."""
    return next((trial for trial in trials
                 if not trial.repeat and (trial.state == "complete" or not trial.state and trial.trial == 0)), None)


def _all_failed(trials: Sequence[Trial], impossible: Sequence[str]) -> str:
    """What to say of a search whose first trials have all failed; "" for any other. impossible: why there could be no runs."""
    known = [trial for trial in trials if trial.state and not trial.repeat]
    reasons = [*impossible, *(trial.reason for trial in known)]
    if len(reasons) < FAILED_FIRST or any(trial.state != "failed" for trial in known):
        return ""
    return f"All of the first {len(reasons)} trials failed; the last one: {reasons[-1]}"
