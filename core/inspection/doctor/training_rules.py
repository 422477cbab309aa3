"""Rules about loss, learning rate, batches and the device."""

from dataclasses import dataclass
from math import ceil

from core.config import RunConfig
from core.data import DataError, check
from core.data.sources import kind_of
from core.devices import DeviceError, select_device
from core.fields import ConfigError
from core.inspection.doctor.case import Case, Finding, Severity
from core.inspection.doctor.network_rules import NAMES
from core.layers.flow import MATRIX
from core.training import freeze_for
from core.training.objectives import objective_of
from core.wording import plural


@dataclass(frozen=True)
class Rates:
    """What is known of an optimizer's learning rates.

    name: of the optimizer, for people. usual: where to start. highest: above it training fails. least, little: rate × steps /
    (1 − momentum) below which a network has hardly begun, or is far from done. summed: how many times the sum of steps that
    fails without momentum still learns with it. moves: a step moves a weight by "about" or "at most" the learning rate, whatever
    its gradient; "" where by the learning rate times the gradient.
    """

    name: str
    usual: float
    highest: float
    least: float
    little: float
    summed: float = 1.0
    moves: str = "about"


# From benchmarks/doctor_tables.py: 1,237 digits, batch 64, 200 steps, mean of 2 seeds, test accuracy in %, of an MLP with 50
# hidden units and a CNN with 8 and 16 filters (measured on 2 Xeon cores, torch 2.13, float32):
#   rate             1e-5  3e-5  1e-4  3e-4  1e-3  3e-3  1e-2  3e-2  1e-1  3e-1     1
#   Adam, MLP          21    63    85    91    95    97    97    97    60    13     9
#   Adam, CNN          20    58    76    92    95    96    97     9     8    10     9
#   SGD, MLP           11    11    11    12    19    59    80    91    94    94    10
#   SGD, CNN           12    12    12    12    12    15    31    62    91    96     9
#   momentum 0.9, MLP  11    12    19    57    79    92    95    96    96    82     8
#   momentum 0.9, CNN  12    12    12    15    29    59    94    97    96     8     8
#   AdamW, MLP         21    63    84    91    95    97    97    97    53    12     9
#   AdamW, CNN         20    58    76    92    95    96    98     9     8    10     9
#   RMSprop, MLP       36    74    86    94    96    96    93    88    62    38    29
#   RMSprop, CNN       26    67    81    93    94    92    94    85    25    20    10
#   momentum 0.9, MLP  87    93    96    96    97    96    86    55    27    25    28
#   momentum 0.9, CNN  82    94    96    97    96    51     8    10    10    10     9
#   Adagrad, MLP       11    13    29    71    86    93    96    96    95    91    63
#   Adagrad, CNN       13    14    24    63    80    93    96    96    95    89    22
# They agree with the usual advice: 1e-3 for Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1), and for SGD 0.01 to start
# from, below 1 where inputs are about 1 in size (Bengio, arXiv:1206.5533, section 3.1.1).
# The second momentum is RMSprop's.
RATES = {"adam": Rates("Adam", usual=1e-3, highest=0.02, least=0.01, little=0.03),
         "adamw": Rates("AdamW", usual=1e-3, highest=0.02, least=0.01, little=0.03),
         "rmsprop": Rates("RMSprop", usual=1e-3, highest=0.02, least=0.005, little=0.03),
         "adagrad": Rates("Adagrad", usual=0.01, highest=0.5, least=0.1, little=0.5, moves="at most"),
         "sgd": Rates("SGD", usual=0.1, highest=0.5, least=2.0, little=10.0, summed=3.0, moves="")}
BENCHMARK = "benchmarks/doctor_tables.py"


def steps(case: Case) -> int:
    """Changes of the weights in the whole run."""
    training = case.config.training
    return training.epochs * ceil(case.per_epoch / training.batch_size)


def momentum(config: RunConfig) -> float:
    return getattr(config.training.optimizer, "momentum", 0.0)


MORE_FOR_POINTS, MORE_FOR_TEXTS = 5.0, 10.0  # few weights, and a table of words of which each is seldom seen: the presets' rates


def usual_rate(config: RunConfig) -> float:
    """A learning rate to start from: with momentum 0.9 a tenth of the one without, as each step counts ten times."""
    name, kind = config.training.optimizer.name, kind_of(config.data.dataset)
    more = 1.0 if name == "sgd" or kind == "images" else MORE_FOR_POINTS if kind == "points" else MORE_FOR_TEXTS
    return float(f"{RATES[name].usual * more * (1 - momentum(config)):.1g}")


def learning_rate_too_high(case: Case) -> Finding | None:
    """A learning rate at which training fails."""
    optimizer = case.config.training.optimizer
    rate, known = optimizer.learning_rate, RATES[optimizer.name]
    factor = tolerance(case)
    # momentum 0.9 adds up to ten steps; measured, three times the sum that fails for SGD without it still learns
    share = min(MEASURED_MOMENTUM, momentum(case.config))  # of more, suspects.averages_too_long knows
    highest = factor * min(known.highest, known.summed * known.highest * (1 - share))
    measured = case.range_test.too_high if case.range_test else None
    if measured is not None and rate >= measured:
        evidence = f"The learning rate is {rate:g}; in the range test on this data the loss blew up at {measured:.2g}."
        better = float(f"{case.range_test.suggested:.1g}") if case.range_test else usual_rate(case.config)
    elif factor and rate > highest:
        evidence = (f"The learning rate is {rate:g}; above {highest:.2g}, {name_of(case.config)} did not train every "
                    f"small network on handwritten digits (measured with {BENCHMARK}).")
        better = usual_rate(case.config)
    else:
        return None
    return Finding(
        "learning_rate_too_high", "warning", f"A learning rate of {rate:g} is too high for {name_of(case.config)}", evidence,
        "Each step goes so far that it jumps over the place it was heading for. The loss grows instead of falling, or all ReLUs "
        "go dead and the network gives the same answer for everything.",
        f"Set the learning rate to {better:g}", case.changed(training__optimizer__learning_rate=better))


# What the tables' rates are multiplied by. They were measured on pictures of digits with networks of one hidden layer and more:
# of points and texts nothing is said here, as circles were learned with SGD 1.0 and clouds with RMSprop 0.7. A linear model has
# no hidden unit to kill: all optimizers but SGD at 1 still read over 80 % of digits. Batch norm makes up for scale.
# Two classes are easier to tell apart than ten.
MEASURED_MOMENTUM, TWO_CLASSES = 0.9, 3.0
LINEAR_MODEL, BATCH_NORM, NO_CONVOLUTION = 100.0, 5.0, {"adam": 2.0, "adamw": 2.0}


def tolerance(case: Case) -> float:
    """How much higher than the tables' rates this network may go; 0 where they say nothing."""
    if not case.has_images:
        return 0.0
    layers = case.flow.named(MATRIX)
    if layers and len(layers) < 2:
        return LINEAR_MODEL
    normal = (BATCH_NORM if case.flow.named({"batch_norm"}) else 1.0) * (TWO_CLASSES if case.classes < 3 else 1.0)
    convolves = any(layer.name != "linear" for layer in layers)
    return normal * (1.0 if convolves else NO_CONVOLUTION.get(case.config.training.optimizer.name, 1.0))


def learning_rate_too_low(case: Case) -> Finding | None:
    """A learning rate with which the run ends before it has learned much."""
    optimizer = case.config.training.optimizer
    rate, known, total = optimizer.learning_rate, RATES[optimizer.name], steps(case)
    better = usual_rate(case.config)
    if not total or rate >= better or not case.has_images:
        return None
    travel = rate * total / (1 - momentum(case.config))
    if travel >= known.little:
        return None
    severity: Severity = "warning" if travel < known.least else "note"
    far = (f"With {known.name} a weight moves by {known.moves} the learning rate at each step: in {total:,} steps by "
           f"{travel:.2g} in all" if known.moves else
           f"{total:,} steps of {rate:g} times the gradient add up to {travel:.2g} times a gradient")
    return Finding(
        "learning_rate_too_low", severity,
        f"With a learning rate of {rate:g} the run {'hardly begins' if severity == 'warning' else 'ends before it is done'}",
        f"{far}. Small networks needed about {known.little:g} for 90 % on handwritten digits, and at {known.least:g} most were "
        f"far below (measured with {BENCHMARK}).",
        "The smaller the steps, the more of them it takes. Nothing is wrong with the network: it has only not got there yet.",
        f"Set the learning rate to {better:g}", case.changed(training__optimizer__learning_rate=better))


def name_of(config: RunConfig) -> str:
    """The optimizer for people: "Adam", "SGD", "SGD with momentum 0.9"."""
    name = RATES[config.training.optimizer.name].name
    return f"{name} with momentum {momentum(config):g}" if momentum(config) else name


# Of ten classes, networks on digits that learned 95 % with cross-entropy and SGD got 19 to 85 % with the mean squared error where
# all steps together went less than six times as far as is usually needed (Rates.little), and over 90 % beyond ten times: its
# gradients are a tenth as long. Optimizers that divide by the gradient's size lost nothing, nor did anybody with two classes.
SHORT_GRADIENTS = 6.0


def _loss_does_harm(case: Case, sure: bool) -> Severity:
    far = case.config.training.optimizer.learning_rate * steps(case) / (1 - momentum(case.config))
    harmless = case.criterion is None and (case.config.training.optimizer.name != "sgd" or case.classes < 3
                                           or far >= SHORT_GRADIENTS * RATES["sgd"].little)
    return "note" if sure and harmless else "warning"


def yes_no_loss_for_classes(case: Case, sure: bool = True) -> Finding | None:
    """Binary cross-entropy where exactly one of several classes is right."""
    if case.loss not in {"bce_with_logits", "bce"} or case.classes < 3:
        return None
    fix = case.changed(training__loss="cross_entropy") if case.criterion is None else None
    return Finding(
        "yes_no_loss_for_classes", _loss_does_harm(case, sure), f"A yes-no loss for {case.classes} classes",
        f"The loss is {NAMES[case.loss]}; each image belongs to exactly one of {case.classes} classes. It asks "
        f"{case.classes} separate questions, of which {case.classes - 1} have the answer “no”.",
        "Binary cross-entropy fits where several answers may be right at once. Here exactly one is, and cross-entropy knows "
        "that: a higher score for one class is a lower probability for the others, and probabilities add up to 1.",
        "Use cross-entropy" if fix else "Use nn.CrossEntropyLoss", fix)


def distance_loss_for_classes(case: Case, sure: bool = True) -> Finding | None:
    """Mean squared error and its relatives where the answer is a class."""
    if case.loss not in {"mse", "l1", "smooth_l1", "huber"} or case.classes < 2:
        return None
    better = "cross_entropy" if case.classes > 2 else "bce_with_logits"
    fix = case.changed(training__loss=better) if case.criterion is None else None
    return Finding(
        "distance_loss_for_classes", _loss_does_harm(case, sure), "A loss for quantities, and the answer is a class",
        f"The loss is {NAMES.get(case.loss, case.loss)}; the question has {case.classes} classes.",
        "It measures how far probabilities are from 0 and 1. Where the network is confidently wrong, the gradient through a "
        "sigmoid or softmax is close to 0, so it learns hardly anything from its worst mistakes; with "
        f"{NAMES[better]} these have the largest gradient.", f"Use {NAMES[better]}", fix)


def batch_larger_than_data(case: Case) -> Finding | None:
    """One batch holds the whole training set."""
    batch = case.config.training.batch_size
    if not case.per_epoch or batch <= case.per_epoch:
        return None
    few = steps(case) < (FEW_FOR_TWO if case.classes < 3 or not case.has_images else FEW_STEPS)
    severity: Severity = "warning" if few else "note"
    epochs = max(case.config.training.epochs, _epochs_for(case, ceil(case.per_epoch / 64)) if few else 0)
    more = epochs > case.config.training.epochs  # one epoch of few points is too short in batches of 64, too
    return Finding(
        "batch_larger_than_data", severity, "One batch holds all training images",
        f"Batch size {batch:,}; {case.per_epoch:,} training images: one step in each epoch.",
        "The weights change once for each batch. With all images in one batch an epoch is a single step, and the run has only as "
        "many steps as epochs.", "Set the batch size to 64" + (f" and train for {epochs} epochs" if more else ""),
        case.changed(training__batch_size=64, training__epochs=epochs))


def _epochs_for(case: Case, per_epoch: int) -> int:
    """Epochs of so many steps after which small networks had learned."""
    return min(1000, ceil((2 * FEW_STEPS if case.has_images else MANY_FOR_POINTS) / per_epoch))


FEW_STEPS = 100  # of ten classes; digits need 200 for 95 %: see RATES
MANY_FOR_POINTS = 1000  # take a second
FEW_FOR_POINTS = 5  # of points, two clouds were learned in 10 steps
FEW_FOR_TWO = 5  # 1 and 7 were told apart after 8 steps
# 50 steps of Adam at 0.0014 and 60 of SGD at 0.026 with momentum read 96 % of digits: half of FEW_STEPS do where they go as far
# in all as is usually needed, Rates.little
FEW_LONG, FEW_FOR_LINES = 50, 15  # a linear model read 94 % after 18 such steps of SGD at 0.024 with momentum


def few_steps(case: Case) -> Finding | None:
    """A run with hardly any changes of the weights."""
    total = steps(case)
    least = FEW_STEPS * min(1.0, case.classes / 10) if case.has_images else FEW_FOR_POINTS
    if not total or total >= least or batch_larger_than_data(case) is not None:
        return None
    training = case.config.training
    per_epoch = total // training.epochs
    epochs = _epochs_for(case, per_epoch)
    known = RATES[training.optimizer.name]
    far = training.optimizer.learning_rate * total / (1 - momentum(case.config))
    deep = len(case.flow.named(MATRIX)) > 1
    enough = total >= FEW_LONG and far >= known.little if deep else total >= FEW_FOR_LINES and far >= known.least
    severity: Severity = "note" if case.has_images and enough else "warning"
    return Finding(
        "few_steps", severity, f"The weights change only {total} times in the whole run",
        f"{plural(training.epochs, 'epoch')} of {plural(per_epoch, 'step')}, at "
        f"{training.batch_size:,} images a step.",
        "A network learns in small steps. Small ones needed some 200 to read 95 % of handwritten digits "
        f"({BENCHMARK}); smaller batches or more epochs make more of them.",
        f"Train for {epochs} epochs", case.changed(training__epochs=epochs))


def batch_of_one(case: Case) -> Finding | None:
    """A step for each image."""
    if case.config.training.batch_size > 1 or not case.per_epoch:
        return None
    return Finding(
        "batch_of_one", "note", "Each step looks at a single image",
        f"Batch size 1: {case.per_epoch:,} steps in each epoch.",
        "A step costs almost as much time for one image as for several, and one image says little about which way is better for "
        "all. Batches of 16 to 128 are usual.", "Set the batch size to 64", case.changed(training__batch_size=64))


def refused(case: Case) -> Finding | None:
    """Data, a loss, or a choice of what learns, that the app refuses as soon as a run begins."""
    if case.data is not None or case.spec is None:
        return None
    try:
        about = check(case.config.data)
        if case.criterion is None:
            objective_of(case.config.training, about.target)
        if case.given is None and case.model is not None:
            freeze_for(case.config, case.model)
    except (ConfigError, DataError) as error:
        name, fix = _accepted(case, str(error))
        return Finding("refused", "error", "Such a run is refused", str(error),
                       "It would end at once with this line, and no script can be written of it.",
                       f"Put {name} back to what it is by default" if fix else "", fix)
    return None


def frozen_at_random(case: Case) -> Finding | None:
    """Layers that never learn anything."""
    training = case.config.training
    freezes = training.trainable != "all" or training.frozen_first
    if case.given is not None or not freezes or training.start_from or not case.rows:
        return None
    frozen = case.totals.parameters - case.totals.trainable
    if not frozen:
        return None
    return Finding(
        "frozen_at_random", "warning", "Frozen layers keep random weights",
        f"{frozen:,} of {case.totals.parameters:,} parameters are frozen, and they start at random.",
        "Freezing keeps what a layer has learned before. Here nothing has been learned: what is trained has to do with whatever "
        "random layers make of the input.",
        "Train all layers", case.changed(training__trainable="all", training__frozen_first=0))


def _accepted(case: Case, why: str) -> tuple[str, RunConfig | None]:
    """A setting that the line names, and the config with its default, where that config is not refused; else "" and None."""
    for part in ("data", "training"):
        fields = type(getattr(case.config, part)).model_fields
        for name in (name for name, field in fields.items() if f"{part}.{name}" in why and not field.is_required()):
            fix = case.changed(**{f"{part}__{name}": fields[name].get_default(call_default_factory=True)})
            if fix is not None and fix != case.config and refused(case.with_own_network(fix)) is None:
                return f"{part}.{name}", fix
    return "", None


def device_not_there(case: Case) -> Finding | None:
    """A device that this machine does not have."""
    try:
        select_device(case.config.training.device)
    except DeviceError as error:
        return Finding("device_not_there", "error", f"There is no {case.config.training.device.upper()} device here", str(error),
                       "The run would end at once. A config from another machine may name a device that this one lacks.",
                       "Let the device be chosen automatically", case.changed(training__device="auto"))
    return None
