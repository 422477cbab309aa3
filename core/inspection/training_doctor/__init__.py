"""The training doctor: what is going wrong with a run while it trains, from its metrics alone, with the steps where it shows.

To add a rule: write a function that takes a Record and returns a Trouble or None, and name it in RULES below.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping

from core.config import RunConfig
from core.data.sources import kind_of
from core.inspection.training_doctor import causes, gradient_rules, loss_rules
from core.inspection.training_doctor.record import Record, Series, Trouble
from core.wording import worded_for


def examine(config: RunConfig, series: Mapping[str, Series], steps_per_epoch: int, not_finite: bool = False) -> list[Trouble]:
    """What is going wrong, the most pressing first; an empty list for a run that learns.

    Cheap enough to be asked once a second: it looks at samples of a long run. The rules are silent until there is enough to
    judge by.

    Args:
        series: by metric name, (steps, values): loss and accuracy of each batch, train_loss, train_accuracy, validation_loss and
            validation_accuracy of each epoch, learning_rate, gradient.LAYER norms and dead.LAYER shares now and then. What is
            missing is not judged.
        not_finite: training has ended because the loss or a weight became NaN or infinite.
    """
    record = Record(config, series, steps_per_epoch, not_finite)
    found = _found(record)
    if found and not record.is_over and not not_finite:  # what comes and goes is no trouble: it has to last
        before = _found(Record(config, _until(series), steps_per_epoch))
        found = {name: trouble for name, trouble in found.items() if name in before}
    kind = kind_of(config.data.dataset)
    return [worded_for(trouble, kind) for name, trouble in found.items() if not found.keys() & CAUSES.get(name, set())]


LASTS = 0.85  # of the steps so far: a trouble that was not there at that point may be gone as soon as it came


def _until(series: Mapping[str, Series]) -> dict[str, Series]:
    """The series as they were then."""
    step = LASTS * max((steps[-1] for steps, _ in series.values() if len(steps)), default=0)
    return {name: (steps[:(end := bisect_right(steps, step))], values[:end]) for name, (steps, values) in series.items()}


def _found(record: Record) -> dict[str, Trouble]:
    """By rule; the cause in place of its signs, where there is one."""
    found = {name: trouble for name, rule in RULES.items() if (trouble := rule(record)) is not None}
    cause = causes.cause_of(record, found)
    if cause is not None:
        found = {cause.rule: cause} | {name: trouble for name, trouble in found.items() if name not in causes.SIGNS}
    return found


# a flat loss is what these look like from outside: the cause is named instead, with its own remedy
CAUSES = {"plateau": {"dead_relus", "vanishing_gradients"}}


RULES: dict[str, Callable[[Record], Trouble | None]] = {
    "diverged": loss_rules.diverged,
    "exploding_gradients": gradient_rules.exploding_gradients,
    "dead_relus": gradient_rules.dead_relus,
    "vanishing_gradients": gradient_rules.vanishing_gradients,
    "plateau": loss_rules.plateau,
    "underfitting": loss_rules.underfitting,
    "overfitting": loss_rules.overfitting,
}

__all__ = ["RULES", "Record", "Trouble", "examine"]
