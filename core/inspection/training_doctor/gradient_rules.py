"""Rules about what reaches the layers: gradient norms and dead units."""

import numpy as np

from core.inspection.doctor.training_rules import usual_rate
from core.inspection.training_doctor import remedies
from core.inspection.training_doctor.expected import right_enough
from core.inspection.training_doctor.loss_rules import NEVER_BETTER
from core.inspection.training_doctor.record import Record, Trouble
from core.wording import percent, plural

LOOKS = 20  # the last records of a gradient that are judged; they come a few times a second
LEAST_LOOKS = 3

# benchmarks/training_doctor.py: the largest gradient norm of any layer in 11 sound runs was 29 (batch size 1), of most under 3.
EXPLODED = 100.0


def exploding_gradients(record: Record) -> Trouble | None:
    """A layer's gradient is far longer than gradients are."""
    if record.config.training.gradient_clipping:
        return None  # norms are recorded after clipping
    if right_enough(record):
        return None
    layer, peak, steps = "", 0.0, np.zeros(0, dtype=np.int64)
    for name, (at, norms) in record.under("gradient.").items():
        if len(norms) and norms.max() > max(peak, EXPLODED):
            layer, peak, steps = name, float(norms.max()), at[norms > EXPLODED]
    if not layer:
        return None
    return Trouble(
        "exploding_gradients", "error", "Gradients explode",
        f"The gradient of {layer} had norm {peak:.3g} at its longest and was above {EXPLODED:g} "
        f"{plural(len(steps), 'time')}, first at {record.epoch_of(int(steps[0]))}. Of runs that learn it is seldom above 3.",
        "A gradient is the product of one factor for each layer. Where the factors are above 1 they multiply to something huge, "
        "and one step throws the weights far away. Clipping shortens such gradients and keeps their direction.",
        "Clip gradients to norm 1", record.changed(training__gradient_clipping=1.0),
        first_step=int(steps[0]), last_step=int(steps[-1]), charts=("gradient",))


# The first layer's gradient as a share of the last one's, medians: 0.06 and more in 11 sound runs (three sigmoid layers, which
# still learn), 0.006 with six sigmoid layers and 1e-8 with ten.
VANISHED = 0.01
STILL_HIGH = 0.5  # share of what guessing costs: a network that learns all the same has no trouble


def vanishing_gradients(record: Record) -> Trouble | None:
    """Hardly any gradient reaches the first layer. One of exactly 0 is another trouble: dead units, or zeros as weights."""
    layers = [(name, *found) for name, found in record.under("gradient.").items() if len(found[1]) >= LEAST_LOOKS]
    if len(layers) < 3 or record.skill > 1 - STILL_HIGH:
        return None
    (first, steps, at_first), (last, _, at_last) = layers[0], layers[-1]
    small, large = float(np.median(at_first[-LOOKS:])), float(np.median(at_last[-LOOKS:]))
    if not 0 < small < VANISHED * large:
        return None
    model = record.config.model
    squashing = getattr(model, "activation", "") in {"sigmoid", "tanh"}
    remedy = ("Use ReLU as the activation", record.changed(model__activation="relu")) if squashing else \
        ("Draw the first weights as Xavier does", record.changed(training__initialization="xavier_uniform"))
    weak = np.flatnonzero(at_first < VANISHED * large)
    return Trouble(
        "vanishing_gradients", "warning", "Gradients vanish on their way to the first layer",
        f"The gradient of {first} has norm {small:.2g}, that of {last} {large:.2g} (medians of the last "
        f"{min(LOOKS, len(at_first))} records): {large / small:,.0f} times weaker.",
        "Backward goes from the last layer to the first and multiplies by one factor for each. The slope of a sigmoid is at most "
        "0.25, so ten of them leave less than a millionth. The first layers then stay as they were drawn, and the others "
        "have only noise to work with.", *remedy,
        first_step=int(steps[weak[0]]), last_step=int(steps[-1]), charts=("gradient",))


# A share of dead units is usual: sound runs on digits had up to 0.68 of a linear layer's units at 0 for all of 64 images (units
# that answer to few images), those that dying had stopped or held back from 0.92 up.
DEAD, DEAD_WHILE = 0.85, 0.92  # at the end; before it, as units of a deep network came back
LEARNING, LEAST_STEPS = 0.8, 100  # share of the way from guessing to a perfect answer; steps before anything is said
BEGUN, STILL_FALLS = 0.3, 0.97  # share of that way, and the mean loss as a share of the mean before: such a run goes on learning


def dead_relus(record: Record) -> Trouble | None:
    """A ReLU layer of which almost no unit answers to any image."""
    if record.skill > LEARNING or (record.last_step < LEAST_STEPS or _is_learning(record)) and not record.is_over:
        return None  # a network that learns all the same has enough units left
    found = {name: found for name, found in record.under("dead.").items() if len(found[1])}
    worst = max(found, key=lambda name: float(np.median(found[name][1][-LEAST_LOOKS:])), default="")
    if not worst:
        return _no_gradient(record)
    steps, shares = found[worst]
    share = float(np.median(shares[-LEAST_LOOKS:]))
    if share < (DEAD if record.is_over else DEAD_WHILE):
        return None
    begun = int(steps[np.flatnonzero(shares >= DEAD)[0]])
    others = sum(float(np.median(values[-LEAST_LOOKS:])) >= DEAD for _, values in found.values()) - 1
    return _dead(record, f"{percent(share, 0)} of the units of {worst} were 0 for every image of the last look, since "
                         f"{record.epoch_of(begun)}"
                 + (f"; {plural(others, 'other layer')} likewise." if others else "."), begun, ("dead",))


def _is_learning(record: Record) -> bool:
    """Whether the loss is well below that of guessing and still falls."""
    before, last = record.window(0.5, 0.75), record.window(0.75, 1.0)
    return before is not None and last is not None and record.skill > BEGUN and last.mean < STILL_FALLS * before.mean


def _no_gradient(record: Record) -> Trouble | None:
    """Without counts of dead units: layers whose gradient is exactly 0, which is what dead units let through."""
    layers = {name: found for name, found in record.under("gradient.").items() if len(found[1]) >= LEAST_LOOKS}
    none = [name for name, (_, norms) in layers.items() if not norms[-LEAST_LOOKS:].any()]
    if not none or len(none) == len(layers) or record.now < NEVER_BETTER * record.start:
        return None  # a network that is always right and sure has no gradient either
    steps, norms = layers[none[0]]
    alive = np.flatnonzero(norms)
    begun = int(steps[alive[-1] + 1 if len(alive) else 0])
    return _dead(record, f"The gradient of {', '.join(none[:3])}{' and others' if len(none) > 3 else ''} is exactly 0 since "
                         f"{record.epoch_of(begun)}: nothing comes through the units behind.", begun, ("gradient",))


def _dead(record: Record, evidence: str, begun: int, charts: tuple[str, ...]) -> Trouble:
    training, model = record.config.training, record.config.model
    if training.initialization == "zeros":
        remedy = "Let the weights start at random", record.changed(training__initialization="default")
    elif record.rate > usual_rate(record.config) or getattr(model, "activation", "") != "relu":
        remedy = remedies.smaller_steps(record)
    else:
        remedy = "Use leaky ReLU as the activation", record.changed(model__activation="leaky_relu")
    return Trouble(
        "dead_relus", "error", "ReLU units are dead", evidence,
        "A ReLU gives 0 for everything below 0, and there its slope is 0 too. A unit that is below 0 for every image gets no "
        "gradient and never comes back. A step that was too long can push a whole layer there.",
        *remedy, first_step=begun, last_step=max(begun, record.last_step), charts=("loss", *charts))
