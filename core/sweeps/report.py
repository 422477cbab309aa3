"""What the command line says of a search while it goes, and at its end."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from core.runs.sweep_records import Sweep, Trial
from core.sweeps.plan import SweepError, SweepPlan
from core.sweeps.result import read_result, valued
from core.wording import number, percent, rough_duration

TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(s|m|h|)")
MINUTES = {"s": 1 / 60, "m": 1.0, "": 1.0, "h": 60.0}


def minutes_of(text: str) -> float:
    """Of "90s", "10m" or "2h". Raises SweepError."""
    found = TIME.fullmatch(text.strip())
    if found is None:
        raise SweepError(f"--budget {text[:40]}: write it as 90s, 10m or 2h")
    return float(found[1]) * MINUTES[found[2]]


class TrialReport:
    """Which trials of a search have been told of."""

    def __init__(self) -> None:
        self.sweep_id = ""
        self._told: set[str] = set()

    def news(self, sweep: Sweep, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that have come to something since the last call."""
        self.sweep_id = sweep.id
        found = [trial for trial in trials if trial.state and trial.run_id not in self._told]
        self._told |= {trial.run_id for trial in found}
        return found


def beginning_of(plan: SweepPlan, sweep: Sweep, as_json: bool) -> str:
    """The first line: whoever is killed after it knows what to go on with."""
    if as_json:
        return json.dumps({"event": "begun", "sweep": sweep.id, "trials": plan.most_trials, "minutes": plan.minutes})
    time = f", at most {rough_duration(plan.seconds)}" if plan.minutes else ""
    return f"search {sweep.id}: {plan.most_trials} trials{time}; go on with it after anything: --resume {sweep.id}"


def as_lines(plan: SweepPlan, sweep: Sweep, trials: Sequence[Trial], as_json: bool) -> Iterator[str]:
    for trial in trials:
        if as_json:
            yield json.dumps({"event": "trial", "sweep": sweep.id, "trial": trial.trial, "seed": plan.base.training.seed +
                              trial.repeat, "state": trial.state, plan.metric: trial.value, "reason": trial.reason,
                              "seconds": trial.seconds, "run": trial.run_id, "params": trial.params})
        else:
            what = valued(plan, trial.value) if trial.state == "complete" else f"{trial.state}: {trial.reason}"
            settings = "  ".join(f"{path.rpartition('.')[2]}={_short(value)}" for path, value in trial.params.items())
            yield f"trial {trial.trial:>3} seed {plan.base.training.seed + trial.repeat}  {what:<10}  {settings}"


def end_of(plan: SweepPlan, sweep: Sweep, trials: Sequence[Trial], as_json: bool) -> str:
    """The last line."""
    found = read_result(sweep.result)
    run = next((trial for trial in trials if found and trial.run_id == found.run_id), None)
    if as_json:
        chosen: dict[str, Any] = {} if found is None or run is None else {
            "chosen": found.chosen, "run": found.run_id, "alike": found.alike, "means": found.means, "luck": found.luck,
            "params": run.params, "test_accuracy": run.test_accuracy, "test_loss": run.test_loss}
        return json.dumps({"event": sweep.status, "sweep": sweep.id, "message": sweep.message, "seconds": sweep.seconds} | chosen)
    if run is None:
        return f"search {sweep.id}: {sweep.status} after {rough_duration(sweep.seconds)}"
    accuracy = run.test_accuracy
    tested = f"test accuracy {percent(accuracy)}" if accuracy is not None else f"test loss {number(run.test_loss)}"
    settings = "  ".join(f"{path}={json.dumps(value)}" for path, value in run.params.items())
    return f"{sweep.message}\n{settings}\n{tested}, looked at once; run {run.run_id}, search {sweep.id}"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, list) else str(value)
