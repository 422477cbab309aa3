"""Drives one search: looks at its trials a few times a second, tells the study of those that have ended, and starts the next.

What it does follows from the store and the study alone, so whoever drives on after a crash does what would have been done: a
trial that was asked for and has no run gets one, a run that has ended and was not told of is told of, a run that died goes on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

from core.fields import ConfigError
from core.runs.checkpoints import CheckpointError
from core.runs.limits import LimitReached
from core.runs.records import RunNotFound
from core.runs.requests import Engine
from core.runs.rights import NotYours
from core.runs.store import RunStore
from core.runs.sweep_records import Sweep, Trial, TrialOf
from core.sweeps.luck import MOST_LEADERS, Luck, fresh_values, has_stalled, luck_found, near_best, verdict
from core.sweeps.plan import SweepError, read_plan
from core.sweeps.result import Result, sentence
from core.sweeps.study import Study, study_path
from core.sweeps.telling import MOST_RETRIES, UP, Teller
from core.sweeps.tried import Tried
from core.wording import plural

SECONDS_PER_LOOK = 0.1
SECONDS_PER_BEAT = 1.0
SECONDS_OF_SILENCE = 5.0  # of who drives a search; then another may
REPEATING = "Repeating the best with fresh seeds"
FAILED_FIRST = 5  # trials; a search whose first ones all fail has something wrong in all of them


class Driver:
    """One search in progress, for whoever drives it under that name: see take(). engine: as whoever began the search may use it;
    store: of this server.

    Raises SweepError where the study can't be used.
    """

    def __init__(self, engine: Engine, store: RunStore, sweep: Sweep, name: str,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.engine, self.store, self.sweep, self.clock = engine, store, sweep, clock
        self._read = sweep.plan
        self.plan = read_plan(sweep.plan)
        self.study = Study(study_path(store.path, sweep.id), sweep.id, self.plan)
        self.teller, self.tried = Teller(engine, store, self.study), Tried(self.study)
        self.name = name
        self.waiting = self.study.unfinished()  # asked for and without a run, once those that have one are taken out
        self.asked = self.study.count()
        self._seconds, self._looked, self._beaten = sweep.seconds, clock(), -1.0  # driven, now and before
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
        if self.sweep.plan != self._read:  # trials were added, or a range narrowed
            self._read = self.sweep.plan
            self.study.plan = self.plan = read_plan(self._read)
            self._over = ""
        self.teller.held = ""
        told = [self.teller.look(trial, self._seconds > self.plan.seconds) for trial in trials]
        self._held = self.teller.held
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
        self._know(have)
        luck = luck_found(trials, self.plan.step)
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
            before = len(self._impossible)  # after some more the next look says whether all have failed
            while room > 0 and self.asked < self.plan.trials and not self._held and len(self._impossible) < before + FAILED_FIRST:
                if (new := self.tried.ask()) is None:
                    self._over = self._all_tried()
                    break
                number, params = new
                self.asked += 1
                self.waiting[number] = params
                room -= self._submit(number, 0, params)
                if not number:  # how much is luck is measured first
                    room -= self._repeat(number, params, have, room)
            return True
        if any(trial.state == "" for trial in trials) or self.waiting:
            return True
        return self._repeat_leaders(trials, have, luck, room)

    def _know(self, have: Mapping[tuple[int, int], Trial]) -> None:
        """Remember settings that were tried before this process drove; of what was asked for then and has no run, those that are
        none of their own are told of."""
        for (number, repeat), trial in have.items():
            if not repeat:
                self.tried.first(number, trial.params)
        for number, params in list(self.waiting.items()):
            if (first := self.tried.first(number, params)) != number:
                self.study.tell_same(number, first)
                del self.waiting[number]
                self.asked -= 1

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
        if self.asked >= self.plan.trials and not self.waiting:
            return self._all_tried() if self.asked >= self.plan.combinations else f"all {plural(self.asked, 'trial')} were done"
        if self._seconds + self._for_leaders(trials) > self.plan.seconds:
            return UP
        if self.plan.sampler != "grid" and self._has_stalled(trials, luck):
            whole = " that went to their end" if self.plan.pruner != "none" else ""
            return f"the last {plural(self.plan.patience, 'trial')}{whole} beat the best by no more than luck of the seed"
        return ""

    def _all_tried(self) -> str:
        if self.plan.sampler == "grid":
            return f"all {plural(self.asked, 'combination')} of the grid were tried"
        return f"no further settings were left to try after {plural(self.asked, 'trial')}"

    def _has_stalled(self, trials: Sequence[Trial], luck: Luck | None) -> bool:
        """Whether the last trials, of those since some were added, have gained no more than luck."""
        ended = {trial.trial: trial.value for trial in trials
                 if not trial.repeat and trial.state == "complete" and trial.value is not None}
        return (sum(number >= self.plan.since for number in ended) >= self.plan.patience and
                has_stalled(list(ended.values()), luck, self.plan.patience, self.plan.higher))

    def _for_leaders(self, trials: Sequence[Trial]) -> float:
        """Seconds that repeating the best will take, about."""
        took = [trial.seconds for trial in trials if trial.seconds is not None]
        return median(took) * (MOST_LEADERS * self.plan.seeds + 1) / max(1, self.engine.capacity) if took else 0.0

    def _repeat_leaders(self, trials: list[Trial], have: dict[tuple[int, int], Trial], luck: Luck | None, room: int) -> bool:
        """Once all settings have been tried: the best ones with fresh seeds; then the best of these is tested."""
        firsts = {trial.trial: trial.value for trial in trials
                  if not trial.repeat and trial.state == "complete" and trial.value is not None and not trial.deleted}
        near = near_best(firsts, luck, self.plan.higher)
        # one that was repeated stays among them, even if luck turns out to be smaller than it seemed by then
        repeated = {number for number, repeat in have if repeat} - {first.trial if (first := _first(trials)) else None}
        best = [number for place, number in enumerate(near_best(firsts, None, self.plan.higher))
                if place < MOST_LEADERS and number in near or number in repeated]
        if not best:
            self._close("failed", "No trial came to a result" + (f": {trials[-1].reason}" if trials else "") + ".")
            return False
        missing = [number for number in best if any((number, repeat) not in have for repeat in range(1, self.plan.seeds + 1))]
        if missing and self._seconds < self.plan.seconds:
            for number in missing:
                room -= self._repeat(number, have[number, 0].params, have, room)
            return True
        return self._test(trials, have, best, near if luck else best)

    def _test(self, trials: list[Trial], have: dict[tuple[int, int], Trial], best: list[int],
              near: list[int]) -> bool:
        """Look at the test images with the chosen trial's run, once; the search ends with that. near: may be the best as well."""
        luck = luck_found(trials, self.plan.step)
        found = verdict({number: fresh_values(trials, number) for number in best}, luck, self.plan.higher)
        chosen = next(iter(found.means)) if found else best[0]
        run = have[chosen, 0]
        if run.is_active:
            return True
        untested = run.test_accuracy is None and run.test_loss is None
        if untested and run.retries <= MOST_RETRIES:
            self.store.let_test(run.run_id)
            try:
                self.engine.resume(run.run_id)
            except LimitReached as error:
                self._held = str(error)
                return True
            except (CheckpointError, ConfigError):  # its weights are gone: then it stays untested
                pass
            self.store.note_retry(run.run_id, run.retries + 1)
            return True
        ended = sum(not trial.repeat and trial.state == "complete" for trial in trials)
        result = Result(chosen, run.run_id, (chosen,), {}, None, luck.deviation if luck else None, self._over, ended=ended)
        if found:
            result = replace(result, alike=found.alike, means=found.means, margin=found.margin,
                             near=len(set(near) - set(found.means)))
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
        if self._over and any(not trial.repeat and trial.state == "" for trial in trials):
            return "Waiting for the last trials"
        if self._over:
            return f"{REPEATING}: {self._over}"
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
