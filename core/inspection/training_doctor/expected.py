"""How good a run on these data can be expected to get: what tells a bad end from a good one on hard data."""

from math import log

from core.data.sources import kind_of
from core.inspection.doctor.points import Readable, readable
from core.inspection.training_doctor.record import Record

# Share of the way from guessing to a perfect answer below which a run that is over has gone badly: of digits and of points, where
# it is known what can be reached; of texts, where 70 % of the answers right is good; of sets about which nothing is known.
# A question that is mostly answered no costs so little to guess that each unsure yes takes a large share of it.
BAD, BAD_TEXT, BAD_UNKNOWN, BAD_UNBALANCED = 0.8, 0.06, 0.4, 0.5
UNBALANCED = 0.8  # share of the answers that are no
MEASURED = {"digits", "mnist"}
# share of the way from guessing to what can be reached, in answers that are right
RIGHT, RIGHT_DIGITS, DIGITS_REACH = 0.8, 0.9, 0.97


def good_share(record: Record) -> float:
    """The share of the way that a good run on these data goes at least."""
    data = record.config.data
    reached = readable(data)
    if reached is not None:
        return _of_points(record, reached)
    if kind_of(data.dataset) == "text":
        return BAD_TEXT
    if data.dataset in MEASURED:
        return BAD_UNBALANCED if record.guess is not None and record.guess.right > UNBALANCED else BAD
    return BAD_UNKNOWN


def is_unknown(record: Record) -> bool:
    """Whether nothing is known of what can be reached on these data."""
    data = record.config.data
    return readable(data) is None and kind_of(data.dataset) == "images" and data.dataset not in MEASURED


def _of_points(record: Record, reached: Readable) -> float:
    if not record.guess or not record.guess.right:  # numbers
        return reached.best - 0.08
    best = min(0.999, reached.best)
    left = -(best * log(best) + (1 - best) * log(1 - best)) / log(2)  # entropy of answers that are right so often
    return min(BAD, BAD * (1 - left))


def right_enough(record: Record) -> bool:
    """Whether most answers are right, however unsure they are; of numbers, whether their variance is explained as well."""
    validation, last = record.sample("validation_accuracy")[1], record.window(0.75, 1.0, "accuracy")
    wanted, losses = right_wanted(record), record.sample("validation_loss")[1]
    if record.guess is not None and not record.guess.right and readable(record.config.data) is not None:  # numbers
        return len(losses) > 0 and record.learned(float(losses[-1])) > good_share(record)
    return wanted is not None and len(validation) > 0 and max(float(validation[-1]), last.mean if last else 0.0) > wanted


def right_wanted(record: Record) -> float | None:
    """The share of right answers that a good run on these data gets at least; None where there are no classes."""
    if record.guess is None or not record.guess.right:
        return None
    data, right = record.config.data, record.guess.right
    reached = readable(data)
    share = RIGHT_DIGITS if data.dataset in MEASURED else RIGHT
    best = reached.best if reached is not None else DIGITS_REACH
    return right + share * (best - right)
