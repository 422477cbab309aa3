"""What a network can draw at all: too few units, too few filters, no activation between, too many layers in a row.

Asked as the other suspects are: before a run where it is sure, and of a run that has gone badly.
"""

from core.inspection.doctor.case import Case, Finding
from core.inspection.doctor.data_rules import EXPLAINED, TOLD
from core.inspection.doctor.network_rules import ACTIVATION_NAMES
from core.inspection.doctor.points import readable
from core.inspection.doctor.training_rules import BENCHMARK
from core.layers.flow import MATRIX
from core.models import CNNConfig, TextEmbeddingConfig
from core.wording import percent, plural

# From benchmarks/doctor_tables.py: median of 8 networks 2-h-1 (Adam 0.03, 1,200 steps, 300 points; the better of ReLU and tanh),
# test accuracy in %, of hills the variance explained. Those with fewer units than NEEDED got at most nine tenths of what 16 got.
#   circle 2: 74, 3: 91, 16: 98   xor 2: 71, 3: 88, 16: 99   moons 2: 87, 3: 89, 4: 100   spirals 6: 80, 7: 82, 8: 88, 16: 93
#   hills 2: 48, 3: 75, 6: 86, 16: 92
NEEDED = {"circle": 3, "xor": 3, "moons": 3, "spirals": 7, "hills": 3}
ENOUGH = 16  # units that did well on each of them
CURVED = 0.08  # share of test points by which neighbours beat a plane where the border is no line


def network_too_small(case: Case, sure: bool = True) -> Finding | None:
    """A network that can't draw what is asked of it: a line where there is a curve, or too few units."""
    if case.given is not None or not case.rows:
        return None
    hidden: tuple[int, ...] = tuple(getattr(case.config.model, "hidden", ()))
    if not has_hidden(case) or not _is_curved(case):
        return _linear_for_curves(case)
    if sure:
        least = NEEDED.get(case.config.data.dataset, 0)
        if not hidden or max(hidden) >= least or set(case.config.data.features) != {"x1", "x2"}:
            return None
        fix = case.changed(model__hidden=[max(ENOUGH, units) for units in hidden])
        return Finding(
            "network_too_small", "warning", f"{plural(max(hidden), 'hidden unit')} can't draw this border",
            f"In the plane each hidden unit adds one bend to the border. Networks with fewer than {least} got at most nine "
            f"tenths of what {ENOUGH} units got on this set (measured with {BENCHMARK}).",
            "A network can only learn what its units can draw together. One straight line needs one unit, a closed curve three "
            "at "
            "least, a spiral one for each turn and more.", f"Use {ENOUGH} hidden units", fix)
    return _few_units(case)


def _linear_for_curves(case: Case) -> Finding | None:
    found = readable(case.config.data)
    least = EXPLAINED if case.predicts_number else TOLD - 0.05
    if found is None or found.neighbours < max(least, found.plane + CURVED) or has_hidden(case) and _is_curved(case):
        return None
    numbers = case.predicts_number
    what = "of the variance" if numbers else "of fresh points"
    changes = {"model__architecture": "mlp", "model__hidden": [ENOUGH * (2 if case.config.data.dataset == "spirals" else 1)] * 2}
    fix = case.changed(**changes) if not getattr(case.config.model, "hidden", ()) else \
        case.changed(model__activation="relu")
    return Finding(
        "network_too_small", "warning", "A network without activations draws a straight line, and this set needs a curve",
        f"The best plane through 1,000 such points explains {percent(found.plane, 0)} {what}; their nearest neighbours "
        f"{percent(found.neighbours, 0)}." if numbers else
        f"The best straight line through 1,000 such points is right for {percent(found.plane, 0)} {what}; their nearest "
        f"neighbours for {percent(found.neighbours, 0)}.",
        "Without an activation between them, linear layers can only weigh the inputs against each other. Hidden units with ReLU "
        "bend the border; inputs such as x₁² bend it, too.",
        "Use ReLU in the hidden layers" if getattr(case.config.model, "hidden", ()) else "Add hidden layers with ReLU", fix)


FEW_UNITS, FEW_CHANNELS = 4, 2


def _few_units(case: Case) -> Finding | None:
    """A layer so narrow that a bad run may be its doing."""
    model = case.config.model
    widths = {"hidden": getattr(model, "hidden", ()), "channels": getattr(model, "channels", ()),
              "width": [model.width, model.fc_width] if isinstance(model, TextEmbeddingConfig) else ()}
    name, found = next(((name, list(found)) for name, found in widths.items() if found), ("", [0]))
    least = min(found)
    curved = NEEDED.get(case.config.data.dataset, 0) * 2
    few = FEW_CHANNELS if name == "channels" else FEW_UNITS
    if not name or (least > few and max(found) > (curved if name == "hidden" else 0)):
        return None
    wide = 32 if name == "hidden" else 16
    fix = case.changed(model__width=16, model__fc_width=16) if name == "width" else \
        case.changed(**{f"model__{name}": [max(wide, units) for units in found]})
    what = {"hidden": "unit", "channels": "filter", "width": "number"}[name]
    return Finding(
        "network_too_small", "warning", f"The network is too small: {plural(least, what)} in its narrowest layer",
        f"Its layers have {', '.join(map(str, found))} {what}s.",
        "Whatever tells the answers apart has to fit into the narrowest layer. With so few numbers there, much of it is lost, "
        "however long the network learns.", f"Use at least {wide if name != 'width' else 16} {what}s in each layer", fix)


RELUS = 8  # hidden layers in a row that still learn with ReLU: tests/test_training_doctor.py


def too_deep(case: Case, sure: bool = True) -> Finding | None:
    """Many layers in a row with neither normalisation nor skip connections."""
    hidden, model = tuple(getattr(case.config.model, "hidden", ())), case.config.model
    name = getattr(model, "activation", "relu")
    least = {"sigmoid": 3, "tanh": 5}.get(name, 6)
    if sure or len(hidden) < least:
        return None
    changes: dict[str, object] = {"model__hidden": list(hidden[:3])}
    if name in {"sigmoid", "tanh"}:
        changes["model__activation"] = "relu"
    if name in {"sigmoid", "tanh"} and len(hidden) <= RELUS:
        del changes["model__hidden"]
    remedy = "Use ReLU in the hidden layers" if "model__hidden" not in changes else \
        "Keep three hidden layers" + (", with ReLU" if "model__activation" in changes else "")
    return Finding(
        "too_deep", "warning", f"{len(hidden)} {ACTIVATION_NAMES.get(name, name)} layers in a row are hard to teach",
        f"{len(hidden)} hidden layers with neither batch norm nor skip connections between them; three are enough for these "
        f"data.",
        "Forward, each layer passes on a distorted copy of what it got; backward, the gradient is multiplied by a factor for "
        "each "
        "layer. After many of them little is left of either. Batch norm and skip connections were invented for depth (He et al., "
        "arXiv:1512.03385).", remedy, case.changed(**changes))


def few_channels(case: Case, sure: bool = True) -> Finding | None:
    """One filter whose mean is all that the answer rests on."""
    model = case.config.model
    if not isinstance(model, CNNConfig) or model.head != "global_average" or not sure:
        return None
    channels = model.channels[-1]
    if channels * 2 >= case.outputs or case.outputs < 3:
        return None
    return Finding(
        "few_channels", "warning", f"{case.outputs} classes must be told apart by {plural(channels, 'number')}",
        f"The last convolution has {plural(channels, 'filter')}, and of each only its mean over the picture goes on.",
        "One mean for each filter is all that the layers behind see of the picture. Many classes can't be kept apart in so few "
        "numbers.", "Keep every pixel (flatten) after the convolutions", case.changed(model__head="flatten"))


def has_hidden(case: Case) -> bool:
    """Whether there are two layers of weights: then the first one learns only through the second."""
    return len(case.flow.named(MATRIX)) > 1


def _is_curved(case: Case) -> bool:
    """Whether there is an activation between layers of weights."""
    layers = [place for place, operation in enumerate(case.flow.operations) if operation.name in MATRIX]
    return bool(layers) and any(operation.name in ACTIVATION_NAMES for operation in case.flow.operations[layers[0]:layers[-1]])
