"""A search's study in Optuna's own journal, a file in the runs folder that optuna-dashboard opens; asked and told one by one.

Whoever opens it drives the search alone (see RunStore.take_sweep), so what a killed process has left behind can be put right: its
lock, and half a line at the file's end.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import os_reason, reason
from core.runs.sweep_records import STUDIES
from core.sweeps.optional import load_optuna
from core.sweeps.plan import Range, SweepError, SweepPlan

PRIME = 1_000_003
SAME = "same settings as trial"  # a trial's attribute in the study: it was not trained, see core.sweeps.tried


def study_path(runs_dir: Path, sweep_id: str) -> Path:
    """Where a search's study is, or would be."""
    return runs_dir / STUDIES / f"{sweep_id}.log"


class Study:
    """Raises SweepError where Optuna is not installed, and where the file is damaged or something else."""

    def __init__(self, path: Path, sweep_id: str, plan: SweepPlan) -> None:
        self._optuna = load_optuna()
        self.path, self.plan = path, plan
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not (new := not path.exists() or not path.stat().st_size):
                _put_right(path)
                _check_whose(path, sweep_id)
        except OSError as error:
            raise SweepError(f"The study file {path.name} can't be used: {os_reason(error)}.") from None
        try:
            backend = self._optuna.storages.journal.JournalFileBackend(str(path))
            storage = self._optuna.storages.JournalStorage(backend)
            self._study = self._optuna.create_study(
                storage=storage, study_name=sweep_id, direction="maximize" if plan.higher else "minimize", load_if_exists=True)
            done = len(self._study.get_trials(deepcopy=False))
        except OSError as error:
            raise SweepError(f"The study file {path.name} can't be used: {os_reason(error)}.") from None
        except Exception as error:  # whatever a journal of any content makes Optuna raise
            raise SweepError(f"The study file {path.name} is damaged ({reason(error)}). The runs of this search are on Compare "
                             "runs; start a new one.") from None
        # a sampler that began anew with the same seed would draw the same once more; the evenly spread one counts in the study
        seed = plan.base.training.seed + PRIME * (done if plan.sampler != "qmc" else 0)
        self._study.sampler = self._sampler(seed % 2**32)
        self._study.pruner = self._pruner()
        if new and plan.sampler != "grid" and (first := plan.first_params()):
            self._study.enqueue_trial({path: _encoded(self._range(path), value) for path, value in first.items()})

    def ask(self, wanted: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The number of the next trial, and its settings by path: the sampler's choice, or the wanted ones."""
        if wanted is not None:
            self._study.enqueue_trial({path: _encoded(self._range(path), value) for path, value in wanted.items()})
        trial = self._study.ask({one.path: self._distribution(one) for one in self.plan.vary})
        return trial.number, self._decoded(trial.params)

    def unfinished(self) -> dict[int, dict[str, Any]]:
        """Trials that were asked for and not told of, with their settings. One that was cut off in the middle of its choice is
        told to have failed: nothing has been trained for it."""
        found = {}
        for trial in self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.RUNNING,)):
            if len(trial.params) < len(self.plan.vary):
                self.tell_failed(trial.number)
            else:
                found[trial.number] = self._decoded(trial.params)
        return found

    def count(self) -> int:
        """How many different settings have been asked for, without those that were cut off."""
        return sum(bool(trial.params) and len(trial.params) == len(self.plan.vary) and SAME not in trial.user_attrs
                   for trial in self._study.get_trials(deepcopy=False)
                   if trial.state != self._optuna.trial.TrialState.WAITING)

    def report(self, number: int, epoch: int, value: float) -> None:
        """What a trial has come to after an epoch; said again, as by who drives on, it changes nothing."""
        if epoch not in self._study.get_trials(deepcopy=False)[number].intermediate_values:
            self._trial(number).report(value, epoch)

    def lags(self, number: int) -> bool:
        """Whether a trial should be ended, as it lags behind after the last epoch that was reported."""
        return self._trial(number).should_prune()

    def _trial(self, number: int) -> Any:
        return self._optuna.trial.Trial(self._study, number)  # its id, too: there is one study in the file

    def tell(self, number: int, value: float) -> None:
        self._study.tell(number, value, skip_if_finished=True)

    def tell_same(self, number: int, first: int) -> None:
        """A trial has the settings of an earlier one, and so its result, as far as that is known by now."""
        states, twin = self._optuna.trial.TrialState, self._study.get_trials(deepcopy=False)[first]
        self._trial(number).set_user_attr(SAME, first)
        if twin.state == states.COMPLETE:
            self.tell(number, twin.value)
        elif twin.state == states.PRUNED:
            self.tell_pruned(number)
        else:
            self.tell_failed(number)

    def tell_pruned(self, number: int) -> None:
        self._study.tell(number, state=self._optuna.trial.TrialState.PRUNED, skip_if_finished=True)

    def tell_failed(self, number: int) -> None:
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _range(self, path: str) -> Range:
        return next(one for one in self.plan.vary if one.path == path)

    def _decoded(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {one.path: _value(one, params[one.path]) for one in self.plan.vary if one.path in params}

    def _distribution(self, one: Range) -> Any:
        kinds = self._optuna.distributions
        if one.low is None or one.high is None:
            return kinds.CategoricalDistribution([_encoded(one, choice) for choice in one.choices])
        if one.whole:
            return kinds.IntDistribution(int(one.low), int(one.high), log=one.log)
        return kinds.FloatDistribution(one.low, one.high, log=one.log)

    def _sampler(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        match self.plan.sampler:
            case "grid":
                points = {one.path: [_encoded(one, point) for point in one.points()] for one in self.plan.vary}
                grid = samplers.GridSampler(points, seed=self.plan.base.training.seed)
                # at its last point it would stop a study's own loop, of which there is none here
                grid.after_trial = lambda *about: None
                return grid
            case "random":
                return samplers.RandomSampler(seed=seed)
            case "qmc":
                return samplers.QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False)
            case _:
                return samplers.TPESampler(seed=seed)

    def _pruner(self) -> Any:
        pruners = self._optuna.pruners
        epochs = next((one.points() for one in self.plan.vary if one.path == "training.epochs"),
                      (self.plan.base.training.epochs,))
        match self.plan.pruner:
            case "median":
                # not in the first third: what learns slowly then may be the best in the end
                return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=min(epochs) // 3 + 1)
            case "hyperband":
                return pruners.HyperbandPruner(min_resource=1, max_resource=max(epochs))
            case _:
                return pruners.NopPruner()


def _encoded(one: Range, value: Any) -> Any:
    """As Optuna keeps it: a choice as JSON where any of them is a list."""
    return value if one.is_number or not any(isinstance(choice, list | dict) for choice in one.choices) else json.dumps(value)


def _value(one: Range, kept: Any) -> Any:
    if one.is_number:
        return one.rounded(kept)
    return next(choice for choice in one.choices if _encoded(one, choice) == kept)


def _put_right(path: Path) -> None:
    """Take away what a process that was killed while it wrote has left: its lock, and what it has written of a last line."""
    with suppress(OSError):
        path.with_name(f"{path.name}.lock").unlink()
    content = path.read_bytes()
    if content and not content.endswith(b"\n") and (whole := content.rfind(b"\n") + 1):
        with path.open("r+b") as file:
            file.truncate(whole)


def _check_whose(path: Path, sweep_id: str) -> None:
    """Raises SweepError for a file that is no study, or that of another search."""
    with path.open("rb") as file:
        first = file.readline(100_000)
    try:
        begins = json.loads(first)
        name = begins["study_name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SweepError(f"The file {path.name} is no study of a search. Put the right one in its place, or start a new "
                         "search.") from None
    if name != sweep_id:
        raise SweepError(f"The file {path.name} is the study of another search. Put the right one in its place, or start a new "
                         "search.")
