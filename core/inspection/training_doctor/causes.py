"""Why a run went badly: its settings are gone through for what is far from usual, and the first that can explain it is named.

That a run goes badly is read from its curves alone (loss_rules, gradient_rules, and here: how far it is from guessing when it is
over); which setting is to blame is asked of core.inspection.doctor.suspects.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache

from core.config import read_config
from core.data.sources import kind_of
from core.inspection.doctor import Case, Finding, Severity, suspects
from core.inspection.doctor.network_rules import averages_lag
from core.inspection.doctor.suspects import small_batches
from core.inspection.doctor.training_rules import MANY_FOR_POINTS
from core.inspection.training_doctor.expected import BAD, good_share, is_unknown, right_enough, right_wanted
from core.inspection.training_doctor.loss_rules import RISE, flat
from core.inspection.training_doctor.record import Record, Trouble
from core.training.schedules import Plateau
from core.wording import percent

# What a run in trouble shows, whatever the cause: not said beside the cause
SIGNS = {"overfitting", "plateau", "underfitting", "dead_relus", "vanishing_gradients", "diverged", "exploding_gradients"}
FEW_STEPS = 150
MOST_OF_THE_WAY = 0.7  # from guessing to a perfect answer: a short run that got so far is no mistake, it can only be longer
MISSED = 0.03  # of its loss that a run still gained in its last quarter, when it was cut off


def cause_of(record: Record, found: Mapping[str, Trouble]) -> Trouble | None:
    """The setting that explains what was found, or a bad end; None where there is nothing to explain, or nothing explains it."""
    if not record.start:
        return None
    evidence = _gone_badly(record, found)
    if not evidence:
        return _half_way(record) or _lags(record)
    case = _case(record.config.model_dump_json())
    blown_up = "diverged" in found or "exploding_gradients" in found
    memorised = "overfitting" in found and not blown_up
    for suspect in suspects.BLOW_UP if blown_up else suspects.MEMORISED if memorised else suspects.SUSPECTS:
        finding = suspect(case, False)
        if finding is not None:
            return _trouble(record, finding, evidence)
    if blown_up:
        return None
    return _lags(record) or _rate_gone(record, evidence) or (None if memorised else _cut_off(record, evidence))


@lru_cache(maxsize=16)  # a run is looked at once a second
def _case(config_json: str) -> Case:
    return Case(read_config(config_json))


def _gone_badly(record: Record, found: Mapping[str, Trouble]) -> str:
    """Evidence that it has; "" otherwise."""
    for sign in ("diverged", "exploding_gradients", "overfitting"):
        if sign in found:
            return found[sign].evidence
    bad = good_share(record)
    if record.skill < bad and (found.keys() & (SIGNS - {"underfitting", "overfitting"}) or flat(record)):
        return next((found[sign].evidence for sign in ("dead_relus", "vanishing_gradients", "plateau") if sign in found),
                    flat(record))
    if not record.is_over or not _unlucky(record, bad) and (record.skill >= bad or right_enough(record)):
        return ""
    return _so_far(record)


def _so_far(record: Record) -> str:
    guess = f"guessing costs {record.guess.loss:.3g}" if record.guess else f"it began at {record.start:.3g}"
    return (f"The run is over and its loss is {record.now:.3g}; {guess}, so it has come {percent(max(0.0, record.skill), 0)} "
            "of the way to a perfect answer.")


def _half_way(record: Record) -> Trouble | None:
    """A run on data that nobody has measured, which is over and may not have got far, and a setting far from what is usual."""
    if not record.is_over or not is_unknown(record) or record.skill >= BAD or right_enough(record):
        return None
    case = _case(record.config.model_dump_json())
    found = next((finding for suspect in suspects.FAR_FROM_USUAL if (finding := suspect(case, False)) is not None), None)
    return _trouble(record, found, _so_far(record)) if found else None


LEARNED, NOT_LEARNED = 0.5, 0.15  # share of the way from guessing to all right, in answers, on training and validation examples


def _lags(record: Record) -> Trouble | None:
    """A network with batch norm that is right about its training batches and guesses in evaluation."""
    train, validation = record.sample("train_accuracy")[1], record.sample("validation_accuracy")[1]
    if not record.is_over or record.guess is None or not record.guess.right or not len(train) or not len(validation):
        return None
    right = record.guess.right
    if train[-1] < right + LEARNED * (1 - right) or validation.max() > right + NOT_LEARNED * (1 - right):
        return None
    case = _case(record.config.model_dump_json())
    finding = small_batches(case) or averages_lag(case)
    return _trouble(record, finding, f"In training {percent(train[-1], 0)} of the answers were right, in validation at best "
                                     f"{percent(validation.max(), 0)}.") if finding else None


def _unlucky(record: Record, bad: float) -> bool:
    """Whether early stopping, or a falling rate, has left a run at an epoch that does badly on what it has not seen."""
    training, validation = record.config.training, record.sample("validation_loss")[1]
    stopped = bool(training.early_stopping) and record.last_step < record.steps_per_epoch * training.epochs
    if not len(validation) or not stopped and (_rate_left(record) > GONE or record.skill > LEARNED):
        return False
    right, wanted = record.sample("validation_accuracy")[1], right_wanted(record)
    jumped = stopped and validation[-1] > RISE * validation.min() and wanted is not None and len(right) > 0 and right[-1] < wanted
    return record.learned(float(validation[-1])) < bad / 2 or bool(jumped)


def _trouble(record: Record, finding: Finding, evidence: str) -> Trouble:
    """A finding about the settings, with what the run shows of it."""
    values = {field.name: getattr(finding, field.name) for field in fields(Finding)}
    values |= {"evidence": f"{finding.evidence} {evidence}", "severity": "warning"}
    return Trouble(**values, first_step=1, last_step=record.last_step, charts=("loss", "accuracy"))


def _cut_off(record: Record, evidence: str) -> Trouble | None:
    """A run that ended while it was still learning."""
    if not record.is_over:
        return None
    training, total = record.config.training, record.last_step
    if total < record.steps_per_epoch * training.epochs and training.early_stopping:
        return Trouble(
            "stopped_too_soon", "warning", "Early stopping has ended the run before it had learned much",
            f"{evidence} It stopped after {total:,} of {record.steps_per_epoch * training.epochs:,} steps, as the validation "
            f"loss "
            f"had not become smaller for {training.early_stopping} epochs.",
            "The validation loss goes up and down by chance from one epoch to the next. A patience of a few epochs lets one "
            "unlucky "
            "epoch pass.", "Wait for 10 epochs", record.changed(training__early_stopping=max(10, 2 * training.early_stopping)),
            first_step=1, last_step=total, charts=("loss", "accuracy"))
    before, last = record.window(0.5, 0.75), record.window(0.75, 1.0)
    falling = before is None or last is None or last.mean < (1 - MISSED) * before.mean
    if not falling and total >= FEW_STEPS:
        return None
    wanted = 2 * FEW_STEPS if kind_of(record.config.data.dataset) == "images" else MANY_FOR_POINTS
    epochs = min(1000, training.epochs * max(3, -(-wanted // total)))
    severity: Severity = "note" if record.skill > MOST_OF_THE_WAY else "warning"
    return Trouble(
        "few_steps", severity, "The run ended while the network was still learning",
        f"{evidence} It has made {total:,} steps, and the loss was still falling.",
        "Nothing is wrong with the network: it has only not got there yet. More epochs, or smaller batches, give it more steps.",
        f"Train for {epochs} epochs", record.changed(training__epochs=epochs), first_step=1, last_step=total,
        charts=("loss", "accuracy"))


GONE = 0.05  # share of the learning rate at which a run changes hardly anything any more


def _rate_left(record: Record) -> float:
    """The share of the learning rate that a schedule which looks at the validation loss has left."""
    schedule = record.config.training.schedule
    if schedule.name != "plateau":
        return 1.0
    replayed = Plateau(schedule)  # a fast run's learning rate is recorded only now and then
    for loss in record.sample("validation_loss")[1]:
        replayed.look(float(loss))
    return replayed.factor


def _rate_gone(record: Record, evidence: str) -> Trouble | None:
    """A schedule that looks at the validation loss and has brought the learning rate down too soon."""
    schedule = record.config.training.schedule
    if schedule.name != "plateau" or schedule.factor > 0.2:
        return None
    last = record.rate * _rate_left(record)
    if last > GONE * record.rate:
        return None
    return Trouble(
        "rate_falls_too_soon", "warning", "The learning rate has fallen to nothing too soon",
        f"{evidence} The learning rate is {last:.2g} and was {record.rate:g}: it is multiplied by {schedule.factor:g} after "
        f"{schedule.patience + 1} epochs without a smaller validation loss.",
        "The validation loss goes up and down by chance. Where one unlucky epoch takes the learning rate away, the rest of the "
        "run "
        "changes nothing any more.", "Let the learning rate fall along a cosine",
        record.changed(training__schedule__name="cosine"), first_step=1, last_step=record.last_step, charts=("loss", "accuracy"))
