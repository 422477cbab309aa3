"""Rules about the course of loss and accuracy."""

import numpy as np

from core.inspection.doctor.case import Severity
from core.inspection.doctor.training_rules import momentum
from core.inspection.training_doctor import remedies
from core.inspection.training_doctor.expected import right_enough
from core.inspection.training_doctor.record import RECENT, Record, Trouble
from core.wording import percent

# Measured with benchmarks/training_doctor.py on 18 runs of small networks on digits, sound and troubled: the highest single batch
# of a sound run was at most 2.9 times the first loss (batch size 1), of one that had blown up 5 to 750 times.
BLOWN_UP = 4.0  # times the first loss, as in the range test
ABOVE_START = 1.5  # times the first loss, as the median of the last batches: no sound run is worse than guessing
LEARNED, LOST = 0.35, 0.7  # share of the first loss that a run had fallen to, and that it is back at
NEVER_BETTER = 0.9  # share of the first loss that a run has to get below to count as learning
# The same of losses that are finite: until then momentum may throw a run up and let it come back. With 0.97 (33 steps go on) a
# line was thrown up to nine times its first loss in 90 steps, and had it in the end.
SETTLED, MEMORIES = 100, 10  # steps; of those that momentum carries on
LEAST_STEPS = 20  # to speak of divergence: before, a rise may be momentum settling


def diverged(record: Record) -> Trouble | None:
    """The loss has gone up for good, or training has ended with NaN."""
    steps, losses = record.losses
    if not record.start or (len(steps) < LEAST_STEPS and not record.not_finite):
        return None
    peak, now, start = float(losses.max()), record.now, max(record.start, record.guess.loss if record.guess else 0.0)
    if not record.not_finite and right_enough(record):
        return None
    if not record.not_finite and (now < NEVER_BETTER * LOST * start or len(steps) < _settled(record) and not record.is_over):
        return None
    falling = _is_falling(record)
    best = min(float(np.median(part)) for part in np.array_split(losses, min(20, max(1, len(losses) // 10))))
    began = int(steps[int((losses > ABOVE_START * start).argmax())]) if (losses > ABOVE_START * start).any() else 1
    if record.not_finite:
        end = record.last_step + 1
        evidence = f"The loss began at {start:.3g} and was no finite number any more at {record.epoch_of(end)}."
        began = began if began > 1 else max(1, end - RECENT)
    elif now > ABOVE_START * start and not falling:
        evidence = (f"The loss began at {start:.3g} and is {now:.3g} now (median of the last {min(RECENT, len(losses))} "
                    f"batches), {now / start:.1f} times as much; first above {ABOVE_START:g} times at {record.epoch_of(began)}.")
    elif peak > BLOWN_UP * start and now > NEVER_BETTER * start and not falling:
        at = int(steps[int(losses.argmax())])
        evidence = (f"The loss jumped from {start:.3g} to {peak:.3g} at {record.epoch_of(at)} and has not come below its start "
                    f"since: {now:.3g} now.")
    elif best < LEARNED * start and now > LOST * start and _is_lost(record, LOST * start):
        began = int(steps[np.flatnonzero(losses < LEARNED * start)[-1]])
        evidence = f"The loss had fallen from {start:.3g} to {best:.3g}; since {record.epoch_of(began)} it is back at {now:.3g}."
    else:
        return None
    return Trouble(
        "diverged", "error", "The loss goes up instead of down: training has diverged", evidence,
        f"Each step went too far: at a learning rate of {record.rate:g} the weights jumped over the place they were heading for, "
        "to one where the slope is steeper still, and the next step was longer. Smaller steps stay on the slope.",
        *remedies.smaller_steps(record), first_step=began, last_step=max(record.last_step, began))


def _settled(record: Record) -> float:
    """Steps until momentum has done with what it threw up."""
    return max(SETTLED, MEMORIES / (1 - momentum(record.config)))


def _is_falling(record: Record) -> bool:
    """Whether the loss comes down again: a run that was thrown up and is on its way back."""
    before, last = record.window(0.5, 0.75), record.window(0.75, 1.0)
    return before is not None and last is not None and not record.is_over and last.mean < NEVER_BETTER * before.mean


def _is_lost(record: Record, loss: float) -> bool:
    """Whether the loss has been above that for a quarter of all steps: small batches and steep places come and go."""
    steps, losses = record.losses
    recent = losses[steps > 0.8 * record.last_step]
    return len(recent) >= RECENT and float(np.median(recent)) > loss and float(np.quantile(recent, 0.25)) > 0.8 * loss


# Share by which the loss can at most have fallen from one quarter of the run to the next: FLAT where a fall can't be told from
# noise, CRAWLING where it can. Sound runs fell by 3 % and more, plain SGD with tiny steps by 1 to 2 % before it got going.
FLAT, CRAWLING = 0.02, 0.004
SURE = 2.0  # standard errors: the fall is below that with 97 % certainty
SWINGS = 0.5  # share by which a loss that is on its way up and down again can rise
LEAST_EPOCHS, LEAST_BATCHES = 2, 300  # before a run is called flat: plain SGD needs some hundred steps to get going
GOOD = 0.97  # accuracy on the training images above which there is little left to gain
RATE_GONE = 0.1  # share of the largest learning rate below which a flat curve is the schedule's doing


def flat(record: Record) -> str:
    """The evidence that the loss has stopped falling at a bad place; "" where it has not, or nothing can be said yet."""
    if record.last_step < max(LEAST_BATCHES, LEAST_EPOCHS * record.steps_per_epoch) or diverged(record) is not None:
        return ""
    before, last, right = record.window(0.5, 0.75), record.window(0.75, 1.0), record.window(0.75, 1.0, "accuracy")
    if before is None or last is None or before.mean <= 0 or (right.mean if right else record.skill) > GOOD:
        return ""
    fall, error = 1 - last.mean / before.mean, np.hypot(before.error, last.error) / before.mean
    if fall < -SWINGS and not record.is_over:
        return ""
    if fall + SURE * error > (FLAT if fall < SURE * error else CRAWLING):
        return ""
    moved = f"fell by {percent(fall, 1)}" if fall > 0 else f"rose by {percent(-fall, 1)}"
    share = f", with {percent(right.mean, 0)} of the training images right" if right else ""
    return (f"Mean loss {before.mean:.4g} over steps {before.first_step:,} to {before.last_step:,}, {last.mean:.4g} over the "
            f"next {last.last_step - last.first_step + 1:,}: it {moved} (± {percent(SURE * error, 1)}){share}.")


def _rate_is_gone(record: Record) -> bool:
    """Whether the schedule has brought the learning rate down."""
    rates = record.sample("learning_rate")[1]
    return len(rates) > 0 and float(rates[-1]) < RATE_GONE * record.rate


def plateau(record: Record) -> Trouble | None:
    """The loss no longer falls, though much is still wrong, at a learning rate that has not changed."""
    evidence = flat(record)
    if not evidence or _rate_is_gone(record):
        return None
    begun = record.now < NEVER_BETTER * record.start
    remedy = _beginning(record) if not begun else _settling(record)
    if remedy is None:
        return None
    title = "The loss has stopped falling" if begun else "The network has not begun to learn"
    why = ("Steps of the same length can jump over a lower place again and again. If shorter steps help, the loss falls further "
           "in the new run; if not, something else holds it up: too few units, too strong a weight decay, clipped gradients."
           if begun else "Its answers are still no better than guessing. Either the steps are too small to get anywhere, or no "
           "useful gradient reaches the weights.")
    severity: Severity = "note" if right_enough(record) else "warning"  # of answers that are right it can be no more than a hint
    return Trouble("plateau", severity, title, evidence, why, *remedy, first_step=record.last_step // 2,
                   last_step=record.last_step, charts=("loss", "accuracy"))


def _beginning(record: Record) -> remedies.Remedy:
    """For a run that never left its start."""
    training = record.config.training
    if training.initialization == "zeros":
        return "Let the weights start at random", record.changed(training__initialization="default")
    better = remedies.larger_steps(record)
    return better if better[1] else remedies.smaller_steps(record)


def _settling(record: Record) -> remedies.Remedy | None:
    """For a run that has learned something: a falling learning rate; None where it had one, and the network is to blame."""
    if record.config.training.schedule.name != "constant":
        return None
    return "Let the learning rate fall along a cosine", record.changed(training__schedule__name="cosine")


def underfitting(record: Record) -> Trouble | None:
    """The loss no longer falls although the learning rate has come down: the network can do no better."""
    evidence = flat(record)
    constant = record.config.training.schedule.name == "constant"
    if not evidence or (constant and not _rate_is_gone(record)) or record.now > NEVER_BETTER * record.start:
        return None
    return Trouble(
        "underfitting", "note", "The network is too small to do better", evidence,
        "The learning rate has come down and the loss with it, and now it stands still on the very images that it learns from. "
        "More units or channels could tell more of them apart.", *remedies.wider(record),
        first_step=record.last_step // 2, last_step=record.last_step, charts=("loss", "accuracy"))


# Times the smallest validation loss, as the median of the last three epochs; sound runs rose by up to 19 % (200 images).
RISE = 1.2
NOTHING = -0.1  # learned at the best epoch: still worse than guessing, a run is only beginning
# of the way from guessing to a perfect answer that the rise takes back: of 0.001 and 0.002 nobody sees the difference
COSTS = 0.06
SURE_ANSWERS = 0.9  # of that way: answers to what it has not seen that are right and sure are nothing to warn of
APART = 2.0  # times the training loss where numbers are predicted: both jump, as squares do, when a step is too long
SINCE = 3  # epochs since the smallest
STILL_LEARNING = 0.9  # share that the training loss has meanwhile fallen to: else it is not the images that are memorised


def overfitting(record: Record) -> Trouble | None:
    """The validation loss rises while the training loss keeps falling."""
    steps, losses = record.sample("validation_loss")
    _, train = record.sample("train_loss")
    if len(losses) != len(train) or len(losses) < SINCE + 1:
        return None
    best = int(losses.argmin())
    now, since = float(np.median(losses[-3:])), len(losses) - 1 - best
    jumps = 2 * float(np.median(np.abs(np.diff(losses))))  # from one epoch to the next; the smallest loss may be luck
    if since < SINCE or now < RISE * losses[best] + jumps or train[-1] > STILL_LEARNING * train[best] or now < RISE * train[-1]:
        return None
    if record.learned(losses[best]) - record.learned(now) < COSTS or record.learned(losses[best]) < NOTHING or \
            record.learned(now) > SURE_ANSWERS:
        return None
    if record.guess and not record.guess.right and now < APART * train[-1]:
        return None
    return Trouble(
        "overfitting", "warning", "The network memorises the training images (it overfits)",
        f"The validation loss was smallest after epoch {best + 1}, {losses[best]:.4g}, and is {now:.4g} now (median of the last "
        f"three epochs), {percent(now / losses[best] - 1, 0)} more. In the same {since} epochs the training loss fell from "
        f"{train[best]:.4g} to {train[-1]:.4g}.",
        "On images it has seen it gets ever better, on others worse: it memorises these very images instead of what those of a "
        "class have in common. Its mistakes become surer, so the loss rises even where accuracy stays.",
        *remedies.less_overfitting(record), first_step=int(steps[best]), last_step=int(steps[-1]), charts=("loss", "accuracy"))
