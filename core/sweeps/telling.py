"""What became of a search's trials: noted in the store, and told to the study."""

from collections.abc import Iterator
from math import isfinite

from core.fields import ConfigError
from core.runs.checkpoints import CheckpointError
from core.runs.database import StoreError
from core.runs.engine import DIED
from core.runs.limits import LimitReached
from core.runs.requests import Engine
from core.runs.store import RunStore
from core.runs.sweep_records import Trial
from core.sweeps.plan import SweepPlan
from core.sweeps.study import Study
from core.wording import plural

MOST_RETRIES = 2  # of a trial whose process dies: its third death is its own doing
METRICS = ("validation_accuracy", "validation_loss")
UP = "the time is over"


class Teller:
    """Looks at trials one by one. engine, store: as the Driver's. held: why a trial that was cut off can't go on just now."""

    def __init__(self, engine: Engine, store: RunStore, study: Study) -> None:
        self.engine, self.store, self.study = engine, store, study
        self.held = ""
        self._reported: dict[str, int] = {}  # epochs of each run that the study knows

    @property
    def plan(self) -> SweepPlan:
        return self.study.plan

    def look(self, trial: Trial, is_up: bool) -> bool:
        """Note what became of a trial, where that is not known yet; whether anything is known now. is_up: the search's time is
        over."""
        if trial.state:
            return False
        if trial.deleted:
            return self._failed(trial, "it was deleted")
        if trial.is_active and is_up:
            return self._pruned(trial, UP)
        if trial.is_active:
            return trial.status == "running" and self._watch(trial)
        if trial.status == "interrupted" or trial.status == "failed" and trial.message.startswith(DIED):
            return self._again(trial)
        if trial.status in ("failed", "stopped"):
            return self._failed(trial, trial.message)
        value = self._value(trial)
        if value is None or not isfinite(value):
            what = self.plan.metric.replace("_", " ")
            return self._failed(trial, f"its {what} is not a number" if value is not None else f"it has no {what}")
        if not trial.repeat:
            for epoch, reached in self._epochs(trial):
                self.study.report(trial.trial, epoch, reached)
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
        for epoch, value in self._epochs(trial):
            self.study.report(trial.trial, epoch, value)
            if self.study.lags(trial.trial):
                return self._pruned(trial, f"behind the others after {plural(epoch, 'epoch')}", value)
        return False

    def _epochs(self, trial: Trial) -> Iterator[tuple[int, float]]:
        """What a trial has come to after each epoch that the study does not know yet, where it wants to know."""
        known = self._reported.get(trial.run_id, 0)
        if trial.repeat or self.plan.pruner == "none" or trial.epoch <= known:
            return
        series = self.store.metrics(trial.run_id, names=[self.plan.metric]).series.get(self.plan.metric, ([], []))
        for epoch, value in list(enumerate(series[1], start=1))[known:]:
            self._reported[trial.run_id] = epoch
            if isfinite(value):
                yield epoch, value

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
            self.engine.resume(trial.run_id)
            if died:
                self.store.note_retry(trial.run_id, trial.retries + 1)
        except LimitReached as error:
            self.held = str(error)
        except (CheckpointError, ConfigError, StoreError) as error:
            return self._failed(trial, str(error))
        return False

