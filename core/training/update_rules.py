"""What optimizer.step() does to a weight, written out: the formulas of torch.optim's documentation, line by line with numbers."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor

from core.config import AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, RMSpropConfig, SGDConfig

ADAM_EPS, RMSPROP_EPS, ADAGRAD_EPS = 1e-8, 1e-8, 1e-10  # torch.optim's defaults; build_optimizer leaves them as they are
State = dict[str, Tensor]
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Line:
    """One assignment: `name` becomes `value`, (…) float64.

    formula: in symbols, such as "β₁·m + (1 − β₁)·g". numbers: the same with {g} and the like for what `uses` names.
    why: what it is for, in a few words. kept: the name torch.optim keeps it under for the next step, "" if it does not.
    """

    name: str
    formula: str
    numbers: str
    value: Tensor
    why: str
    uses: dict[str, Tensor] = field(default_factory=dict)
    kept: str = ""

    def written(self) -> str:
        """The numbers put in, for one weight: "0.9 · 0.02 + 0.1 · (−0.004)"."""
        def put(found: re.Match[str]) -> str:
            text = precise(float(self.uses[found[1]]))
            return f"({text})" if found.start() and (text.startswith("−") or "·" in text) else text
        return re.sub(r"\{(.+?)\}", put, self.numbers)


@dataclass(frozen=True)
class Update:
    """All lines of one step in order; the last one is the new weight. state: what the optimizer keeps for the next step."""

    lines: tuple[Line, ...]
    weight: Tensor
    state: State


class _Sheet:
    """Lines as they are written, each a name that later lines can use."""

    def __init__(self, **values: Tensor) -> None:
        self.values = values
        self.lines: list[Line] = []

    def write(self, name: str, formula: str, numbers: str, value: Tensor, why: str, kept: str = "") -> Tensor:
        self.lines.append(Line(name, formula, numbers, value, why, dict(self.values), kept))
        self.values[name] = value
        return value

    def done(self) -> Update:
        kept = {line.kept: line.value for line in self.lines if line.kept}
        return Update(tuple(self.lines), self.values["w"], kept)


def update(config: OptimizerConfig, learning_rate: float, weight: Tensor, gradient: Tensor, state: State) -> Update:
    """One step of the config's optimizer in float64, for one weight or a whole tensor of them.

    Sources: the algorithms in the documentation of torch.optim.SGD, Adam, AdamW, RMSprop and Adagrad (PyTorch 2.13), which cite
    Kingma & Ba (arXiv:1412.6980), Loshchilov & Hutter (arXiv:1711.05101) and Duchi et al. (JMLR 12, 2011).

    Args:
        learning_rate: of this step, as the schedule has it.
        weight, gradient: (…) before the step.
        state: what torch.optim has kept, by its names: momentum_buffer, exp_avg, exp_avg_sq, square_avg, sum, step. Empty before
            the first step.
    """
    known = {name: value.detach().double() for name, value in state.items()}
    sheet = _Sheet(w=weight.detach().double(), g=gradient.detach().double())
    _RULES[type(config)](config, learning_rate, sheet, known)
    return sheet.done()


def precise(value: float) -> str:
    """Six digits, enough to follow by hand, with a real minus: 0.0123457, −3, 1.2·10⁻⁷."""
    if not isfinite(value):
        return "NaN" if value != value else "∞" if value > 0 else "−∞"
    digits, _, exponent = f"{value:.6g}".partition("e")
    return (digits + (f"·10{str(int(exponent)).translate(SUPERSCRIPT)}" if exponent else "")).replace("-", "−")


def _decay(config: SGDConfig | AdamConfig | RMSpropConfig | AdagradConfig, sheet: _Sheet) -> Tensor:
    """Weight decay as part of the gradient, as all but AdamW have it."""
    if not config.weight_decay:
        return sheet.values["g"]
    return sheet.write("g", "g + λ·w", f"{{g}} + {precise(config.weight_decay)} · {{w}}",
                       sheet.values["g"] + config.weight_decay * sheet.values["w"], "weight decay: a pull towards 0")


def _sgd(config: SGDConfig, rate: float, sheet: _Sheet, state: State) -> None:
    gradient = _decay(config, sheet)
    weight, step, name = sheet.values["w"], gradient, "g"
    if config.momentum:
        momentum, name = config.momentum, "b"
        if "momentum_buffer" in state:
            sheet.values["b"] = state["momentum_buffer"]
            step = sheet.write("b", "μ·b + g", f"{precise(momentum)} · {{b}} + {{g}}",
                               momentum * state["momentum_buffer"] + gradient,
                               "momentum: a share of the last step, and the new gradient", "momentum_buffer")
        else:
            step = sheet.write("b", "g", "{g}", gradient, "momentum has nothing to keep in the first step", "momentum_buffer")
        if config.nesterov:
            step, name = sheet.write("d", "g + μ·b", f"{{g}} + {precise(momentum)} · {{b}}", gradient + momentum * step,
                                     "Nesterov: one more momentum step ahead"), "d"
    sheet.write("w", f"w − η·{name}", f"{{w}} − {precise(rate)} · {{{name}}}", weight - rate * step, "against the slope")


def _adam(config: AdamConfig | AdamWConfig, rate: float, sheet: _Sheet, state: State) -> None:
    weight, beta1, beta2 = sheet.values["w"], config.beta1, config.beta2
    if isinstance(config, AdamWConfig):
        gradient = sheet.values["g"]
        if config.weight_decay:
            weight = sheet.write("w", "w − η·λ·w", f"{{w}} − {precise(rate)} · {precise(config.weight_decay)} · {{w}}",
                                 weight - rate * config.weight_decay * weight, "weight decay, apart from the gradient")
    else:
        gradient = _decay(config, sheet)
    zero = torch.zeros_like(gradient)
    sheet.values |= {"m": state.get("exp_avg", zero), "v": state.get("exp_avg_sq", zero),
                     "t": state.get("step", torch.zeros((), dtype=torch.float64))}
    count = sheet.write("t", "t + 1", "{t} + 1", sheet.values["t"] + 1, "steps taken, this one included", "step")
    first = sheet.write("m", "β₁·m + (1 − β₁)·g", f"{precise(beta1)} · {{m}} + {precise(1 - beta1)} · {{g}}",
                        beta1 * sheet.values["m"] + (1 - beta1) * gradient, "running mean of the gradient", "exp_avg")
    second = sheet.write("v", "β₂·v + (1 − β₂)·g²", f"{precise(beta2)} · {{v}} + {precise(1 - beta2)} · {{g}}²",
                         beta2 * sheet.values["v"] + (1 - beta2) * gradient ** 2, "running mean of its square", "exp_avg_sq")
    first = sheet.write("m̂", "m / (1 − β₁ᵗ)", f"{{m}} / (1 − {precise(beta1)}^{{t}})", first / (1 - beta1 ** count),
                        "corrected for its start at 0")
    second = sheet.write("v̂", "v / (1 − β₂ᵗ)", f"{{v}} / (1 − {precise(beta2)}^{{t}})", second / (1 - beta2 ** count), "likewise")
    sheet.write("w", "w − η·m̂ / (√v̂ + ε)", f"{{w}} − {precise(rate)} · {{m̂}} / (√{{v̂}} + {precise(ADAM_EPS)})",
                weight - rate * first / (second.sqrt() + ADAM_EPS), adam_step(config))


def adam_step(config: AdamConfig | AdamWConfig) -> str:
    """How far Adam's step goes, in words.

    Like gradients give m̂ ≈ g and v̂ ≈ g², a step of η. One gradient after many that are next to nothing gives (1 − β₁)·g and
    √(1 − β₂)·g (Kingma & Ba, section 2.1), which with the usual β₁ and β₂ is more.
    """
    ratio = (1 - config.beta1) / (1 - config.beta2) ** 0.5
    text = "about the learning rate while gradients stay alike, however large they are"
    return f"{text}; one large gradient after many tiny ones: about {ratio:.2g} times that" if ratio > 1 else text


def _rmsprop(config: RMSpropConfig, rate: float, sheet: _Sheet, state: State) -> None:
    gradient, weight, alpha = _decay(config, sheet), sheet.values["w"], config.alpha
    sheet.values["v"] = state.get("square_avg", torch.zeros_like(gradient))
    square = sheet.write("v", "α·v + (1 − α)·g²", f"{precise(alpha)} · {{v}} + {precise(1 - alpha)} · {{g}}²",
                         alpha * sheet.values["v"] + (1 - alpha) * gradient ** 2, "running mean of the squared gradient",
                         "square_avg")
    step = sheet.write("d", "g / (√v + ε)", f"{{g}} / (√{{v}} + {precise(RMSPROP_EPS)})",
                       gradient / (square.sqrt() + RMSPROP_EPS), "the gradient, brought to size 1 or so; "
                       f"in the first step to 1/√(1 − α) = {(1 - alpha) ** -0.5:.3g}")
    name = "d"
    if config.momentum:
        sheet.values["b"] = state.get("momentum_buffer", torch.zeros_like(gradient))
        name, step = "b", sheet.write("b", "μ·b + d", f"{precise(config.momentum)} · {{b}} + {{d}}",
                                      config.momentum * sheet.values["b"] + step, "momentum", "momentum_buffer")
    sheet.write("w", f"w − η·{name}", f"{{w}} − {precise(rate)} · {{{name}}}", weight - rate * step, "against the slope")


def _adagrad(config: AdagradConfig, rate: float, sheet: _Sheet, state: State) -> None:
    gradient, weight = _decay(config, sheet), sheet.values["w"]
    sheet.values["s"] = state.get("sum", torch.zeros_like(gradient))
    total = sheet.write("s", "s + g²", "{s} + {g}²", sheet.values["s"] + gradient ** 2, "sum of all squared gradients", "sum")
    sheet.write("w", "w − η·g / (√s + ε)", f"{{w}} − {precise(rate)} · {{g}} / (√{{s}} + {precise(ADAGRAD_EPS)})",
                weight - rate * gradient / (total.sqrt() + ADAGRAD_EPS), "less with every gradient that came before")


_RULES: dict[type, Callable[..., None]] = {
    SGDConfig: _sgd, AdamConfig: _adam, AdamWConfig: _adam, RMSpropConfig: _rmsprop, AdagradConfig: _adagrad}
