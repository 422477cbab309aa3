"""Settings that keep a network from learning when they are far from what is usual: one rule for each cause.

The config doctor asks them before a run (`sure`): they speak where no network of ours learned. The training doctor asks them
about a run that has gone badly: then less will do, because something is wrong, and the cause is looked for. What a network can
draw at all is asked in capacity.py.
"""

from collections.abc import Callable
from math import log

from core.inspection.doctor.capacity import few_channels, has_hidden, network_too_small, too_deep
from core.inspection.doctor.case import Case, Finding
from core.inspection.doctor.data_rules import wrong_labels
from core.inspection.doctor.network_rules import (
    ACTIVATION_NAMES,
    SQUASHED,
    batch_norm_small_batch,
    last_activation,
    relu_on_output,
    squashed_before_loss,
)
from core.inspection.doctor.points import readable
from core.inspection.doctor.training_rules import (
    RATES,
    distance_loss_for_classes,
    momentum,
    name_of,
    steps,
    tolerance,
    usual_rate,
    yes_no_loss_for_classes,
)
from core.inspection.doctor.transform_rules import digits_cut_off, most_is_erased
from core.layers.flow import MATRIX
from core.training.schedules import factor_at
from core.wording import percent, plural

Suspect = Callable[..., Finding | None]  # of a Case, and whether to be sure

# Weight decay from which on runs failed, and from which on it may be what holds a bad run back. Of AdamW it can't hold weights
# below 1 / decay, as each step moves a weight by the learning rate at most and decay takes learning rate × decay × weight.
SURE_DECAY, DOUBTFUL_DECAY = 0.2, 0.003
SURE_ADAMW, DOUBTFUL_ADAMW = 4.0, 0.1
LINES = 10  # times as much before a model without hidden units, which needs no long weights, is told so
SURE_L1, DOUBTFUL_L1 = 0.05, 0.0003


def weight_decay_too_strong(case: Case, sure: bool = True) -> Finding | None:
    """Decay that pulls weights to 0 faster than gradients push them away."""
    optimizer = case.config.training.optimizer
    decay, apart = optimizer.weight_decay, optimizer.name == "adamw"
    least = (SURE_ADAMW if sure else DOUBTFUL_ADAMW) if apart else (SURE_DECAY if sure else DOUBTFUL_DECAY)
    if decay < least * (LINES if sure and not has_hidden(case) else 1):
        return None
    usual = 0.01 if apart else 0.0
    how = (f"AdamW takes learning rate × {decay:g} of each weight away at each step and moves it by about the learning rate: no "
           f"weight can stay above {1 / decay:.2g}." if apart else
           f"To each weight's gradient {decay:g} times the weight is added: one of 0.1 needs a gradient of {decay / 10:.2g} to "
           "stay where it is, and gradients of single weights are seldom above 0.01.")
    return Finding(
        "weight_decay_too_strong", "warning", f"A weight decay of {decay:g} pulls the weights to 0",
        f"{how} Usual are 0.0001 to 0.001{', for AdamW 0.01 to 0.1' if apart else ''}.",
        "Weight decay keeps weights small, so that none grows without need. So much of it leaves nothing of them: the outputs "
        "hardly depend on the input, and the network answers the same to everything.",
        f"Set weight decay to {usual:g}", case.changed(training__optimizer__weight_decay=usual))


def l1_too_strong(case: Case, sure: bool = True) -> Finding | None:
    """L1 that pulls weights to 0 faster than gradients push them away."""
    l1 = case.config.training.l1
    if l1 < (SURE_L1 if sure else DOUBTFUL_L1) or (sure and not has_hidden(case)):
        return None
    return Finding(
        "l1_too_strong", "warning", f"L1 regularisation of {l1:g} pulls the weights to 0",
        f"L1 pulls every weight towards 0 with a gradient of {l1:g}, whatever its size; what the loss says about a single weight "
        "is seldom above 0.01. Usual are 0.00001 to 0.0001.",
        "A weight stays away from 0 only while the loss pushes it harder than L1 pulls. Here almost none does, so all weights "
        "end "
        "at 0 and the network answers the same to everything. Clipping is no cure: it shortens both alike.",
        "Switch L1 off", case.changed(training__l1=0.0))


SURE_REACH, DOUBTFUL_REACH = 0.5, 20.0  # how far all steps of SGD together can move the weights, as a norm
SURE_NORM, DOUBTFUL_NORM = 1e-6, 5e-3  # for optimizers that divide by the gradient's size, and so undo most of the clipping


def clipping_too_short(case: Case, sure: bool = True) -> Finding | None:
    """Gradients cut so short that the steps lead nowhere."""
    training = case.config.training
    norm, total = training.gradient_clipping, steps(case)
    if not norm or not total:
        return None
    if training.optimizer.name == "sgd":
        reach = training.optimizer.learning_rate * norm * total / (1 - momentum(case.config))
        if reach >= (SURE_REACH if sure else DOUBTFUL_REACH) or norm > 0.2:
            return None
        evidence = (f"A step is learning rate × {norm:g} long at most. All {total:,} of them in a straight line move the weights "
                    f"by {reach:.2g} (norm over all weights); fresh weights of a small network have a norm of 5 to 20.")
    else:
        if norm > (SURE_NORM if sure else DOUBTFUL_NORM):
            return None
        name = RATES[training.optimizer.name].name
        evidence = (f"The gradient over all weights has a norm of {norm:g} at most. {name} divides by "
                    "the gradient's size, but adds a small number first, and beside that so short a gradient is "
                    "nothing.")
    return Finding(
        "clipping_too_short", "warning", f"Gradients are clipped to {norm:g}, and the steps lead nowhere", evidence,
        "Clipping is for the few gradients that are far too long: 1 to 5 is usual, about the length of ordinary ones. Below that "
        "it shortens every step, as a smaller learning rate would.",
        "Clip gradients to norm 1", case.changed(training__gradient_clipping=1.0))


ADAPTIVE = {"adam", "adamw", "rmsprop"}
DEEP_SURE, DEEP_DOUBTFUL = 5, 3  # linear layers in a row that start from N(0, 0.01)


def starts_at_nothing(case: Case, sure: bool = True) -> Finding | None:
    """First weights that are 0, or so small that nothing comes through all layers."""
    how, depth = case.config.training.initialization, len(case.flow.named(MATRIX))
    if how not in {"zeros", "normal"} or depth < 2 or case.given is not None or case.config.training.start_from:
        return None
    if how == "zeros":
        return Finding(
            "starts_at_nothing", "warning", "All weights start at 0, and stay equal",
            f"{plural(depth, 'layer')} of weights, all 0: each hidden unit gives the same number, and gets the same gradient.",
            "Where all units of a layer are equal they stay equal, and where they give 0 the layer behind gets no gradient for "
            "its "
            "weights at all. Only the last layer's biases learn: how frequent each class is. Random weights break the tie.",
            "Let the weights start at random", case.changed(training__initialization="default"))
    grows = sure and not case.has_images and case.config.training.optimizer.name in ADAPTIVE  # out of it on easy points
    if grows or _has_norm(case) or depth < (DEEP_SURE if sure else DEEP_DOUBTFUL):
        return None
    return Finding(
        "starts_at_nothing", "warning", f"Weights from N(0, 0.01) are too small for {depth} layers",
        f"A unit with 100 inputs of size 1 gives some 0.1 then: a tenth for each layer, after {depth} of them 1e-{depth}.",
        "The signal shrinks in each layer on its way forward and the gradient on its way back, so the first layers learn "
        "nothing. "
        "He's initialisation draws weights larger the fewer inputs a unit has, so that signals keep their size (He et al., "
        "arXiv:1502.01852).", "Draw the first weights as He does",
        case.changed(training__initialization="kaiming_normal"))


def squashed_number(case: Case, sure: bool = True) -> Finding | None:
    """An activation on the output where a number is predicted, that can't give the numbers that are asked for."""
    last, found = last_activation(case), readable(case.config.data)
    bounds = {**SQUASHED, "relu": (0.0, float("inf"))}
    if last is None or last.name not in bounds or found is None or not case.predicts_number:
        return None
    low, high = bounds[last.name]
    if found.low >= low - 0.1 and found.high <= high + 0.1:
        return None
    name = ACTIVATION_NAMES.get(last.name, last.name)
    top = f"to {high:g}" if high < float("inf") else "upwards"
    return Finding(
        "squashed_number", "warning", f"A {name} on the output can't give the numbers that are asked for",
        f"Outputs go from {low:g} {top}; the numbers to predict go from {found.low:.3g} to {found.high:.3g}.",
        "Where any number may be the answer, the last layer has to be a linear one. An activation after it cuts off or squeezes "
        "what it says, and beyond its bounds no gradient comes back.", f"Leave out the {name} at the end",
        case.without_end({last.name}))


def smoothed_too_much(case: Case, sure: bool = True) -> Finding | None:
    """Label smoothing that leaves little of the answer."""
    share, classes = case.config.training.label_smoothing, max(2, case.classes)
    hard = sure and case.spec is not None and case.spec.kind == "text"  # of texts nobody is sure anyway
    if share < (0.6 if sure else 0.4) or case.config.training.loss != "cross_entropy" or hard:
        return None
    right, wrong = 1 - share + share / classes, share / classes
    floor = -right * log(right) - (classes - 1) * wrong * log(wrong)
    return Finding(
        "smoothed_too_much", "warning", f"Label smoothing of {share:g} leaves little of the answer",
        f"The network is asked for {percent(right, 0)} for the right class and {percent(wrong, 0)} for each of the others: the "
        f"loss can't fall below {floor:.2f}, and guessing costs {log(classes):.2f}.",
        "Some smoothing (0.1) keeps a network from being too sure. With so much it is taught never to be: its probabilities say "
        "next to nothing, and the gradient that tells the classes apart is as small.",
        "Set label smoothing to 0.1", case.changed(training__label_smoothing=0.1))


FEW_FULL_STEPS, FEW_FOR_CLOUDS = 60, 5  # of points, two clouds were learned in 15 steps at the full rate


def rate_falls_too_soon(case: Case, sure: bool = True) -> Finding | None:
    """A schedule that ends the learning long before the run ends."""
    training = case.config.training
    if training.schedule.name != "step" or not case.per_epoch:
        return None
    epochs = training.epochs
    mean = sum(factor_at(training.schedule, epoch, epochs, 1) for epoch in range(epochs)) / epochs
    left = factor_at(training.schedule, 1, epochs, 1) if training.schedule.every == 1 else 1.0
    enough = FEW_FULL_STEPS * min(1.0, case.classes / 10) if case.has_images else FEW_FULL_STEPS / 2
    full = mean * steps(case)  # as many as steps at the full rate
    few = enough if case.has_images else FEW_FOR_CLOUDS
    low = left < 0.2 and epochs > 2 and full < few if sure else full < 4 * enough and mean < 0.35
    if not low:
        return None
    gone = next((epoch for epoch in range(epochs) if factor_at(training.schedule, epoch, epochs, 1) < 0.01), epochs)
    return Finding(
        "rate_falls_too_soon", "warning", f"The learning rate falls to nothing after {plural(gone, 'epoch')}",
        f"It is multiplied by {training.schedule.factor:g} every {plural(training.schedule.every, 'epoch')}: from epoch "
        f"{gone + 1} "
        f"of {epochs} on it is under 1 % of what it was. All steps together are as long as {mean * epochs:.1f} epochs at the "
        f"full "
        "rate.",
        "A falling learning rate lets a network settle at the end. Where it falls before much has been learned, the rest of the "
        "run changes nothing any more.", "Let the learning rate fall along a cosine",
        case.changed(training__schedule__name="cosine"))


def averages_too_long(case: Case, sure: bool = True) -> Finding | None:
    """Momentum, or Adam's β₁, so near to 1 that a step goes where gradients pointed long ago."""
    optimizer = case.config.training.optimizer
    adaptive = optimizer.name in {"adam", "adamw"}
    kept = getattr(optimizer, "beta1", 0.0) if adaptive else momentum(case.config)
    reach = optimizer.learning_rate / (1 - kept)
    bad = not adaptive and kept >= 0.98 and optimizer.name == "sgd" and reach > 20 * RATES["sgd"].usual if sure else kept > 0.97
    if not bad:
        return None
    name = "β₁" if adaptive else "momentum"
    usual = 0.9
    changes = {"training__optimizer__beta1": usual} if adaptive else {"training__optimizer__momentum": usual}
    added = "" if adaptive else f"; the steps add up to a learning rate of {reach:.2g}"
    return Finding(
        "averages_too_long", "warning", f"With {name} {kept:g} a step goes on for {1 / (1 - kept):.0f} more",
        f"1 / (1 − {kept:g}) = {1 / (1 - kept):.0f} steps are averaged{added}. The run has {steps(case):,} steps.",
        "Momentum keeps some of the last steps in the next one, which carries over bumps. With so much of it the network can't "
        "stop where it should: it swings past the place and back again.", f"Set {name} to {usual:g}", case.changed(**changes))


def drops_too_much(case: Case, sure: bool = True) -> Finding | None:
    """Dropout that leaves too few units to learn with."""
    share = getattr(case.config.model, "dropout", 0.0)
    if share < 0.6 or sure or case.given is not None:
        return None
    return Finding(
        "drops_too_much", "warning", f"Dropout of {share:g} leaves {percent(1 - share, 0)} of the units",
        f"In each step {percent(share, 0)} of the units are switched off; 0.5 is the usual most (Srivastava et al., 2014).",
        "Some dropout keeps units from relying on each other. With so much, each step teaches another tiny network: learning "
        "takes "
        "far longer and ends lower.", "Set dropout to 0.2", case.changed(model__dropout=0.2))


def labels_are_wrong(case: Case, sure: bool = True) -> Finding | None:
    """Label noise, of a run that has gone badly; before it, data_rules.wrong_labels speaks."""
    return None if sure else wrong_labels(case)


def _has_norm(case: Case) -> bool:
    return bool(case.flow.named({"batch_norm"}))


HIGH = 4  # times the usual rate; of points and texts 4 times as much again: SGD 1.0 closes the circle


def rate_far_off(case: Case, sure: bool = True, times: float = 1.0) -> Finding | None:
    """A learning rate far from the usual one, in a run that has gone badly."""
    if sure:
        return None
    rate, usual = case.config.training.optimizer.learning_rate, usual_rate(case.config)
    low = rate * 4 * times < usual
    if not low and rate < times * HIGH * usual * (max(1.0, tolerance(case)) if case.has_images else HIGH):
        return None
    return Finding(
        "learning_rate_too_low" if low else "learning_rate_too_high", "warning",
        f"A learning rate of {rate:g} is too {'low' if low else 'high'} for {name_of(case.config)} here",
        f"One usually starts with {usual:g}.",
        "The smaller the steps, the more of them it takes: this run has ended before it got far." if low else
        "Each step goes so far that it jumps over the place it was heading for, or all ReLUs go dead and the network gives the "
        "same answer for everything.",
        f"Set the learning rate to {usual:g}", case.changed(training__optimizer__learning_rate=usual))


def rate_very_far_off(case: Case, sure: bool = True) -> Finding | None:
    """A learning rate so far off that nothing else needs to be looked for."""
    return rate_far_off(case, sure, VERY)


VERY = 8.0
NEVER_KEPT, NEVER_DROPPED, NEVER_STACKED, NEVER_DECAYED = 0.99, 0.8, 10, 0.1


def far_from_usual(case: Case, sure: bool = True) -> Finding | None:
    """Momentum, dropout, depth or decay that are far beyond what anybody uses."""
    model, optimizer = case.config.model, case.config.training.optimizer
    kept = getattr(optimizer, "beta1", momentum(case.config))
    if kept >= NEVER_KEPT:
        return averages_too_long(case, False)
    if getattr(model, "dropout", 0.0) >= NEVER_DROPPED:
        return drops_too_much(case, False)
    if len(getattr(model, "hidden", ())) >= NEVER_STACKED:
        return too_deep(case, False)
    return weight_decay_too_strong(case, False) if optimizer.weight_decay >= NEVER_DECAYED else None


def small_batches(case: Case, sure: bool = True) -> Finding | None:
    """Batch norm over a few examples."""
    return batch_norm_small_batch(case)


SURE: dict[str, Suspect] = {suspect.__name__: suspect for suspect in (
    weight_decay_too_strong, l1_too_strong, clipping_too_short, starts_at_nothing, squashed_number, network_too_small,
    few_channels, smoothed_too_much, rate_falls_too_soon, averages_too_long)}

# in the order in which they are asked about a run that has gone badly
SUSPECTS: tuple[Suspect, ...] = (
    weight_decay_too_strong, l1_too_strong, clipping_too_short, starts_at_nothing,
    averages_too_long, rate_very_far_off, lambda case, sure: squashed_before_loss(case), squashed_number,
    lambda case, sure: relu_on_output(case),
    small_batches, smoothed_too_much, drops_too_much, labels_are_wrong, digits_cut_off, most_is_erased, too_deep,
    rate_falls_too_soon, network_too_small, rate_far_off, distance_loss_for_classes, yes_no_loss_for_classes)
# the same of data about which nothing is known, where a run has come half of the way: only what nobody would choose
FAR_FROM_USUAL: tuple[Suspect, ...] = (
    small_batches, far_from_usual, rate_very_far_off, rate_falls_too_soon, l1_too_strong, clipping_too_short, starts_at_nothing)
# what can throw the weights away, besides a learning rate that is too high
BLOW_UP: tuple[Suspect, ...] = (weight_decay_too_strong, l1_too_strong, averages_too_long, drops_too_much, small_batches)
# what can make a network memorise what it should learn from, besides too few examples
MEMORISED: tuple[Suspect, ...] = (labels_are_wrong, averages_too_long, rate_very_far_off)
