"""Rules about the network: read off its operations in the order in which they run, whoever wrote it."""

from math import ceil, exp, log

from core.config import RunConfig
from core.inspection.doctor.case import Case, Finding, Severity
from core.layers.flow import DROPOUT, INPUT, LINEAR, MATRIX, SHAPING, Operation, shown
from core.layers.kinds import BatchNorm
from core.wording import percent, plural

ACTIVATION_NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "gelu": "GELU", "tanh": "tanh", "sigmoid": "sigmoid",
                    "softmax": "softmax", "relu6": "ReLU6", "silu": "SiLU", "elu": "ELU", "hardswish": "hardswish",
                    "softplus": "softplus", "selu": "SELU", "mish": "Mish", "hardtanh": "hardtanh", "softsign": "softsign"}
TO_THE_LOSS = SHAPING | DROPOUT  # what may stand between an activation and the loss and change nothing of what is said here
SQUASHED = {"sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "hardtanh": (-1.0, 1.0),
            "softsign": (-1.0, 1.0), "relu6": (0.0, 6.0)}  # lowest and highest number that comes out
RECTIFIED = {"relu", "relu6", "threshold", "hardswish", "silu", "gelu", "elu", "leaky_relu", "softplus", "celu", "selu", "mish"}
NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "gelu": "GELU", "tanh": "tanh", "log_softmax": "log-softmax",
         "logsigmoid": "log-sigmoid", "bce_with_logits": "binary cross-entropy with logits", "cross_entropy": "cross-entropy",
         "mse": "mean squared error", "nll": "negative log-likelihood", "bce": "binary cross-entropy"}


def last_activation(case: Case) -> Operation | None:
    """What makes the network's answer, where that is no linear layer: the activation on the output."""
    last = case.flow.end_of(case.flow.result, TO_THE_LOSS)
    return last if last is not None and last.name not in MATRIX | LINEAR else None


def floor_of_loss(loss: str, low: float, high: float, classes: int) -> float:
    """The smallest loss of one example whose outputs lie between `low` and `high`, for the answer that is hardest to give.

    Cross-entropy of the best case, right class `high` and all others `low`: log(1 + (K − 1)·e^(low − high)). Binary
    cross-entropy of a "no" at its best, σ(low): log(1 + e^low).
    """
    return log(1 + (classes - 1) * exp(low - high)) if loss == "cross_entropy" else log(1 + exp(low))


def squashed_before_loss(case: Case) -> Finding | None:
    """A sigmoid, softmax or tanh on the output of a network whose loss takes logits: the classic notes' own mistake."""
    last = last_activation(case)
    if last is None or last.name not in SQUASHED or case.loss not in {"cross_entropy", "bce_with_logits"}:
        return None
    low, high = SQUASHED[last.name]
    best = floor_of_loss(case.loss, low, high, max(2, case.classes))
    own = "softmax" if case.loss == "cross_entropy" else "sigmoid"
    name, loss = NAMES.get(last.name, last.name), NAMES[case.loss]
    for_what = "“no” answer" if case.loss == "bce_with_logits" else "image"
    return Finding(
        "squashed_before_loss", "warning", f"The network returns a {name}, and the loss applies a {own} itself",
        f"The last step is {shown(last)}: outputs lie between {low:g} and {high:g}. With these, {loss} of one {for_what} "
        f"never falls below {best:.3f}, however sure the network is; with plain outputs it can fall to 0.",
        f"{loss.capitalize()} expects logits: plain numbers of any size, as the last linear layer returns them. It turns them "
        f"into probabilities with its own {own}. Applied twice, even the surest answer counts as unsure, gradients become small, "
        "and training is slow and stops early.",
        f"Return the last layer's output without {name}. Apply it afterwards, where a probability is shown",
        case.without_end(set(SQUASHED)))  # all of them: a tanh under the softmax squashes, too


def probabilities_expected(case: Case) -> Finding | None:
    """The reverse: a loss that takes probabilities or their logarithms, fed with plain numbers."""
    wanted = {"bce": ({"sigmoid", "softmax", "hardsigmoid"}, "a sigmoid", "BCEWithLogitsLoss"),
              "nll": ({"log_softmax", "logsigmoid"}, "a log-softmax", "CrossEntropyLoss")}.get(case.loss)
    if wanted is None or case.flow.result is None:
        return None
    names, what, better = wanted
    last = last_activation(case)
    if last is not None and last.name in names:
        return None
    end = shown(last) if last else "a linear layer"
    return Finding(
        "probabilities_expected", "error", f"The loss expects {what} that the network does not apply",
        f"The last step is {end}; the loss is {NAMES[case.loss]}.",
        "This loss takes the logarithm of probabilities, or expects it taken. Plain outputs can be negative or above 1, where "
        "it stops with an error or has no smallest value.", f"Use nn.{better}, which takes plain outputs and is more exact")


def log_softmax_twice(case: Case) -> Finding | None:
    """A log-softmax before cross-entropy: harmless, but done twice."""
    last = last_activation(case)
    if last is None or last.name != "log_softmax" or case.loss != "cross_entropy":
        return None
    return Finding("log_softmax_twice", "note", "The network returns a log-softmax, and the loss applies another",
                   f"The last step is {shown(last)}.",
                   "Cross-entropy takes a log-softmax itself. Of numbers that are one already it gives the same numbers, so "
                   "nothing is wrong but the work that is done twice.", "Return the last layer's output, or use nn.NLLLoss")


def relu_on_output(case: Case) -> Finding | None:
    """A ReLU or one of its relatives on the output."""
    last = last_activation(case)
    if last is None or last.name not in RECTIFIED or case.loss not in {"cross_entropy", "bce_with_logits"}:
        return None
    binary = case.loss == "bce_with_logits"
    name = NAMES.get(last.name, last.name)
    probability = "0.5 is the smallest probability it can give a “yes”" if binary else \
        "no class can be marked down: the least an output can say is 0"
    return Finding(
        "relu_on_output", "warning", f"A {name} on the output throws away what the network knows",
        f"The last step is {shown(last)}: outputs are "
        f"{'0 or more' if last.name in ('relu', 'relu6') else 'hardly ever clearly negative'}, so {probability}.",
        f"The loss expects numbers of any sign. {name} cuts off or squeezes the negative ones, and where ReLU returns 0 no "
        "gradient comes back: an output that is 0 for every image can never learn again.",
        f"Return the last linear layer's output without {name}", case.without_end({last.name}))


def _twins(case: Case) -> list[tuple[Operation, Operation]]:
    """Linear layers that feed another linear layer with nothing but linear steps between, where one layer would do as well.

    A narrow middle (784→10→784) is no twin: one layer would need more weights. Nor is a depthwise convolution, nor the end of
    one block of a published design and the start of the next (linear bottlenecks: Sandler et al., MobileNetV2, 2018).
    """
    found = []
    for later in case.flow.named(MATRIX):
        if not later.weight or not later.sources or later.sources[0] == INPUT:
            continue
        first = case.flow.end_of(later.sources[0], LINEAR)
        if first is None or first.name not in MATRIX or len(first.weight) < 2 or len(later.weight) < 2:
            continue
        middle, into, out = first.weight[0], first.weight[1], later.weight[0]
        grouped = len(first.input) > 1 and first.name != "linear" and first.input[1] != into
        blocks = [operation.layer.split(".")[:-1] for operation in (first, later)]
        designed = blocks[0] != blocks[1] and min(map(len, blocks)) >= 3
        if middle >= min(into, out) and not grouped and not designed:
            found.append((first, later))
    return found


def no_activation_between(case: Case) -> Finding | None:
    """Two linear layers in a row are one linear layer."""
    twins = _twins(case)
    if not twins:
        return None
    pairs = ", ".join(f"{shown(first)} → {shown(later)}" for first, later in twins)
    first, later = twins[0]
    return Finding(
        "no_activation_between", "warning", "Linear layers follow each other with no activation between them",
        f"{pairs}: {first.weight[0]} numbers go from one straight to the next.",
        "A sum of weighted sums is a weighted sum: two linear layers (or convolutions) in a row can do nothing that a single one "
        "can't, with more weights and more time. Averages, dropout and batch norm between them don't change that. Only an "
        "activation such as ReLU makes the second layer worth having.", *_with_activation(case, first, later))


def _with_activation(case: Case, first: Operation, later: Operation) -> tuple[str, RunConfig | None]:
    model = case.config.model
    if case.given is None and getattr(model, "activation", "") == "identity":
        return "Use ReLU in the hidden layers", case.changed(model__activation="relu")
    remedy = f"Put a ReLU between {shown(first)} and {shown(later)}"
    if case.given is not None or not hasattr(model, "layers"):
        return remedy, None
    layers: list[dict[str, object]] = []
    for layer in getattr(model, "layers", ()):  # a ReLU before each layer of weights that follows another with none between
        since = [kept["kind"] for kept in layers]
        last = max((place for place, kind in enumerate(since) if kind in {"linear", "conv2d"}), default=None)
        bent = last is None or bool(set(since[last + 1:]) & (set(ACTIVATION_NAMES) | {"max_pool2d", "residual"}))
        if layer.kind in {"linear", "conv2d"} and not bent:
            layers.append({"kind": "relu"})
        layers.append(layer.model_dump())
    config = case.changed(model__layers=layers)
    mended = config is not None and not _twins(case.with_own_network(config))
    return ("Put a ReLU between them", config) if mended else (remedy, None)


def outputs_not_classes(case: Case) -> Finding | None:
    """As many outputs as the question has answers."""
    if case.flow.result is None:
        return None
    shape = tuple(case.input_shape) if case.flow.result == INPUT else case.flow.operations[case.flow.result].output[1:]
    if shape == (case.outputs,):
        return None
    got = "×".join(map(str, shape)) or "no"
    many = "" if shape == (1,) else "s"
    title = f"The network has {got} output{many}, and the question needs {case.outputs}"
    too_many = len(shape) == 1 and shape[0] > case.outputs and case.loss in {"cross_entropy", "nll"}
    severity: Severity = "warning" if too_many else "error"
    if shape == (1,) and case.loss == "cross_entropy":
        why = ("With a single output cross-entropy knows a single class, number 0: PyTorch stops with an error at the first "
               "image of another class (“Target 1 is out of bounds”).")
    elif too_many:
        why = "The spare outputs stand for classes that never appear. They cost weights and time, and may be given as an answer."
    else:
        why = "The loss compares each class with its own output. With fewer outputs or another shape it stops with an error."
    return Finding("outputs_not_classes", severity, title,
                   f"forward returns {got} number{many} for each image; {case.classes} classes with "
                   f"{NAMES.get(case.loss, case.loss)} need {case.outputs}.", why,
                   f"Make the last layer return {plural(case.outputs, 'number')}")


def does_not_fit(case: Case) -> Finding | None:
    """A network that can't be built or can't run on this data."""
    if not case.misfit:
        return None
    fix, remedy = None, "Change the layer that is named, or the one before it"
    channels = getattr(case.config.model, "channels", ())
    for count in range(len(channels) - 1, 0, -1):
        config = case.changed(model__channels=list(channels[:count]))
        if config is not None and not case.with_own_network(config).misfit:
            fix, remedy = config, f"Keep the first {count} convolutions"
            break
    return Finding("does_not_fit", "error", "The network can't run on this data", case.misfit,
                   "Each layer needs its input in a certain shape: a linear layer a fixed number of values, a convolution a "
                   "fixed number of channels, a pooling a picture that is at least as large as its window.", remedy, fix)


def dropout_on_output(case: Case) -> Finding | None:
    """Dropout on the answer itself, or so much before the last layer that little is left."""
    for operation in case.flow.back_from(case.flow.result, TO_THE_LOSS | set(SQUASHED)):
        if operation.name in DROPOUT and (share := _dropout_share(operation)):
            return Finding(
                "dropout_on_output", "warning", "Dropout comes after the last layer, on the answer itself",
                f"{shown(operation)} sets {percent(share, 0)} of the outputs to 0 in each training step.",
                "Dropout makes hidden units stand in for each other. An output has no stand-in: where it is set to 0 the network "
                "is blamed for an answer it did not give, and the loss can't become small.",
                "Leave out the dropout at the end", case.without_end({"dropout"}))
        if operation.name in MATRIX:
            return _much_dropout(case, operation)
    return None


def _much_dropout(case: Case, last: Operation) -> Finding | None:
    for operation in case.flow.back_from(last.sources[0] if last.sources else None, SHAPING | DROPOUT):
        share = _dropout_share(operation) if operation.name in DROPOUT else 0.0
        if share > 0.7:
            left = operation.output[-1] * (1 - share)
            return Finding(
                "dropout_on_output", "note", f"The last layer sees only {percent(1 - share, 0)} of what leads to it",
                f"{shown(operation)} switches off {percent(share, 0)} of {operation.output[-1]} units in each step: about "
                f"{left:.0f} are left to answer with.",
                "Some dropout before the output makes a network memorise (overfit) less, and 0.5 is the usual most (Srivastava "
                "et al., 2014). With much more, each step teaches a different small network and learning takes far longer.",
                "Set dropout to 0.5", case.changed(model__dropout=0.5) if case.given is None else None)
    return None


def _dropout_share(operation: Operation) -> float:
    return float(operation.settings.get("p", operation.settings.get("1", 0.5)))


def dropout_always_on(case: Case) -> Finding | None:
    """F.dropout(x) without training=self.training drops units in evaluation too."""
    found = [op for op in case.flow.named(DROPOUT) if op.settings.get("training", op.settings.get("2", True)) is True
             and _dropout_share(op) > 0]
    if not found:
        return None
    return Finding(
        "dropout_always_on", "warning", "Dropout stays on when the network is used",
        f"{plural(len(found), 'call')} of dropout in forward ran in evaluation mode (first: {shown(found[0])}).",
        "Dropout is for training. A function such as F.dropout(x) does not know of model.eval(), so answers change from one "
        "call to the next and accuracy is worse than it need be.",
        "Write F.dropout(x, training=self.training), or use an nn.Dropout layer")


def bias_before_batch_norm(case: Case) -> Finding | None:
    """A bias that the next layer subtracts again."""
    found = []
    for operation in case.flow.named({"batch_norm"}):
        source = operation.sources[0] if operation.sources else None
        before = case.flow.end_of(source, SHAPING)
        if before is not None and before.name in MATRIX and before.bias:
            found.append(before)
    if not found:
        return None
    count = sum(operation.output[1] for operation in found)
    return Finding(
        "bias_before_batch_norm", "note", "Biases before batch norm do nothing",
        f"{', '.join(map(shown, found))}: {count:,} biases.",
        "Batch norm subtracts each channel's mean, and with it whatever the bias has added; then it adds a shift of its own. The "
        "bias costs a little memory and time and does no harm.", "Write bias=False in these layers")


def batch_norm_small_batch(case: Case) -> Finding | None:
    """Batch norm with one image in a batch, or one in the last batch of an epoch."""
    layers = {name: module for name, module in case.modules.items() if isinstance(module, BatchNorm)}
    if not layers:
        return None
    batch = case.config.training.batch_size
    names = ", ".join(dict.fromkeys(row.name for row in case.rows if row.name in layers) or layers)
    lone = [row for row in case.rows if row.name in layers and not [n for n in row.output_shape[1:] if n > 1]]
    last = case.per_epoch % batch if case.per_epoch > batch else 0
    remedy, fix = _larger_batches(case)
    if batch > 4 and not (lone and last == 1):
        return None
    if lone and (batch == 1 or last == 1):
        when = "each batch" if batch == 1 else f"the last batch of an epoch ({case.per_epoch:,} images in batches of {batch})"
        if batch > 1:
            fix, remedy = case.changed(training__batch_size=batch + 1), f"Set the batch size to {batch + 1}"
        return Finding("batch_norm_small_batch", "error", "Batch norm gets a batch of a single image",
                       f"{lone[0].name} has one number for each channel and image, and {when} holds one image.",
                       "Batch norm compares each number with the same number of the other images in the batch. With none to "
                       "compare with, PyTorch stops.", remedy, fix)
    severity: Severity = "warning" if batch == 1 else "note"
    return Finding("batch_norm_small_batch", severity, f"Batch norm sees only {plural(batch, 'image')} at a time",
                   f"{names}; batch size {batch}.",
                   "Batch norm takes mean and deviation from the batch. Of so few images they jump from step to step, and in "
                   "evaluation the network gets other ones than it learned with. Below 8 images results get clearly worse (Wu "
                   "and He: Group Normalization, 2018).", remedy, fix)


LARGER, STEPS_WANTED = 64, 200  # a batch; steps after which small networks had read 95 % of digits: training_rules.RATES


def _larger_batches(case: Case) -> tuple[str, RunConfig | None]:
    """Batches of 64, for so many epochs that there are as many steps as small networks need, but no more than there were."""
    training, per_epoch = case.config.training, -(-case.per_epoch // LARGER)
    before = training.epochs * -(-case.per_epoch // training.batch_size)
    epochs = max(training.epochs, -(-min(STEPS_WANTED, before) // per_epoch)) if per_epoch else training.epochs
    more = f" and train for {epochs} epochs" if epochs > training.epochs else ""
    return f"Set the batch size to {LARGER}{more}", case.changed(training__batch_size=LARGER, training__epochs=epochs)


# MobileNetV3-Small, whose 34 layers keep 99 % of their averages at each step, told nothing apart in evaluation before 480 steps
# and three quarters of 150 pictures after 600 (375 pictures of clothes, Adam 0.001); under 1 % of the first ones is left then.
DEEP_NORM, CAUGHT_UP, SETTLED = 10, 6.0, 12.0  # layers of batch norm; steps times the share that is new in each


def averages_lag(case: Case) -> Finding | None:
    """Many layers of batch norm whose running averages have not seen enough steps to be used in evaluation."""
    shares = [module.momentum for module in case.modules.values() if isinstance(module, BatchNorm) and module.track_running_stats]
    known, training = [share for share in shares if share], case.config.training
    total = training.epochs * -(-case.per_epoch // training.batch_size)
    if len(known) < DEEP_NORM or not total or training.start_from or total * min(known) >= CAUGHT_UP:
        return None
    share = min(known)
    epochs = ceil(SETTLED / share / (total / training.epochs))
    return Finding(
        "averages_lag", "warning", "The run ends before batch norm's running averages are of any use",
        f"{len(known)} layers of batch norm take {percent(share, 0)} of each new batch into their averages: after {total:,} "
        f"steps {percent((1 - share) ** total, 1)} is still what they began with, and each layer's come from what the layers "
        "before it gave at that time.",
        "In training batch norm uses the batch's own mean and deviation, in evaluation running averages of them. Until these "
        "have caught up, in layer after layer, a network that is right about its training images guesses about all others.",
        f"Train for {epochs} epochs", case.changed(training__epochs=epochs))


def saturating_activations(case: Case) -> Finding | None:
    """Sigmoid or tanh in several hidden layers: gradients fade on their way back."""
    last = last_activation(case)
    found = [op for op in case.flow.named({"sigmoid", "tanh"}) if op is not last]
    sigmoids = [op for op in found if op.name == "sigmoid"]
    if len(sigmoids) < 3:
        return None
    # points and numbers were learned through eight of them with Adam: there a run that goes badly is asked, capacity.too_deep
    config, remedy = case.changed(model__activation="relu") if case.given is None else None, "Use ReLU in the hidden layers"
    if config is not None and len(hidden := getattr(case.config.model, "hidden", ())) > 8:  # too many for ReLU, too
        config = case.changed(model__activation="relu", model__hidden=list(hidden[:3]))
        remedy = "Keep three hidden layers, with ReLU"
    return Finding(
        "saturating_activations", "warning" if len(sigmoids) > 3 and case.has_images else "note",
        f"{len(sigmoids)} sigmoids in a row let gradients fade",
        f"A sigmoid's slope is at most 0.25, so after {len(sigmoids)} of them a gradient is at most "
        f"0.25^{len(sigmoids)} = {0.25 ** len(sigmoids):.2g} of what it was, but for the weights.",
        "What the loss says about the first layer has to pass all later ones backwards, and each sigmoid makes it smaller. The "
        "first layers hardly learn (Glorot and Bengio: Understanding the difficulty of training deep feedforward neural "
        "networks, 2010).", remedy, config)


def bottleneck(case: Case) -> Finding | None:
    """A hidden layer much narrower than the answer."""
    matrices = case.flow.named({"linear"})
    if len(matrices) < 2 or case.outputs < 3:
        return None
    narrow = min(matrices[:-1], key=lambda op: op.weight[0] if op.weight else 10 ** 9)
    if not narrow.weight or narrow.weight[0] * 2 >= case.outputs:
        return None
    return Finding(
        "bottleneck", "warning", f"Only {plural(narrow.weight[0], 'number')} pass {shown(narrow)}",
        f"{shown(narrow)} returns {narrow.weight[0]}; {case.outputs} classes must be told apart by it.",
        "Later layers know of the image only what passes the narrowest one. Many classes can hardly be kept apart in so few "
        "numbers.", f"Give {shown(narrow)} at least {case.outputs} units", _wider(case))


def _wider(case: Case) -> RunConfig | None:
    hidden = getattr(case.config.model, "hidden", None)
    if case.given is not None:
        return None
    if hidden:
        return case.changed(model__hidden=[max(units, case.outputs * 2) for units in hidden])
    return case.changed(model__fc_width=128)

