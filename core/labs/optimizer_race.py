"""The optimizer race: seven of torch.optim's update rules on one landscape, step by step.

The rules are written out in NumPy, because stepping torch.optim's objects 2,500 times costs more than a page can wait; the
tests hold every rule to torch.optim's own path in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.fields import Config, setting
from core.labs.surfaces import Surface

FAR = 1e6  # beyond this distance from (0, 0) a path is called diverged and ends
ADAGRAD_EPS, RMSPROP_EPS, ADAM_EPS = 1e-10, 1e-8, 1e-8  # torch.optim's defaults, like all numbers below
RMSPROP_ALPHA, ADAM_BETAS, ADAMW_DECAY = 0.99, (0.9, 0.999), 0.01


class RaceConfig(Config):
    """What the racers have in common."""

    learning_rate: float = setting(0.03, "Step size of SGD and its two relatives with momentum.", gt=0.0, le=10.0)
    adaptive_rate: float = setting(
        0.1, "Step size of Adagrad, RMSprop, Adam and AdamW. They divide by the size of past gradients, so that the same number "
        "means another distance.", gt=0.0, le=10.0)
    momentum: float = setting(0.9, "Share of the last step that SGD with momentum and Nesterov keep.", ge=0.0, lt=1.0)
    noise: float = setting(
        0.0, "Standard deviation of a random number added to each gradient, as mini-batches do. All racers get the same numbers.",
        ge=0.0, le=100.0)
    steps: int = setting(200, "How many steps each racer takes.", unit="steps", ge=1, le=2000)
    seed: int = setting(0, "Start of the random numbers for the noise.", ge=0, le=2**31 - 1)
    x: float = setting(-2.0, "Where the race starts, across.", ge=-100.0, le=100.0)
    y: float = setting(1.5, "Where the race starts, up.", ge=-100.0, le=100.0)


@dataclass
class _State:
    """What one optimizer remembers; each (2,) float64, made by the first step."""

    momentum: np.ndarray | None = None
    first: np.ndarray = field(default_factory=lambda: np.zeros(2))
    second: np.ndarray = field(default_factory=lambda: np.zeros(2))
    beta1: float = 1.0  # β₁ to the power of the steps taken
    beta2: float = 1.0


Rule = Callable[[np.ndarray, np.ndarray, _State, RaceConfig], np.ndarray]


def _sgd(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    return point - config.learning_rate * gradient


def _momentum(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    state.momentum = gradient if state.momentum is None else config.momentum * state.momentum + gradient
    return point - config.learning_rate * state.momentum


def _nesterov(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    state.momentum = gradient if state.momentum is None else config.momentum * state.momentum + gradient
    return point - config.learning_rate * (gradient + config.momentum * state.momentum)


def _adagrad(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    state.second = state.second + gradient * gradient
    return point - config.adaptive_rate * gradient / (np.sqrt(state.second) + ADAGRAD_EPS)


def _rmsprop(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    state.second = RMSPROP_ALPHA * state.second + (1 - RMSPROP_ALPHA) * gradient * gradient
    return point - config.adaptive_rate * gradient / (np.sqrt(state.second) + RMSPROP_EPS)


def _adam(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    beta1, beta2 = ADAM_BETAS
    state.beta1, state.beta2 = state.beta1 * beta1, state.beta2 * beta2
    state.first = beta1 * state.first + (1 - beta1) * gradient
    state.second = beta2 * state.second + (1 - beta2) * gradient * gradient
    size = np.sqrt(state.second / (1 - state.beta2)) + ADAM_EPS
    return point - config.adaptive_rate / (1 - state.beta1) * state.first / size


def _adamw(point: np.ndarray, gradient: np.ndarray, state: _State, config: RaceConfig) -> np.ndarray:
    return _adam(point * (1 - config.adaptive_rate * ADAMW_DECAY), gradient, state, config)


@dataclass(frozen=True)
class Racer:
    """One optimizer. rule: (point, gradient, state, config) → next point. code: how PyTorch makes it, with {rate}, {momentum}."""

    title: str
    about: str
    formula: str
    rule: Rule
    code: str
    adaptive: bool


RACERS: dict[str, Racer] = {
    "sgd": Racer("SGD", "Straight downhill, as far as it is steep.", r"\theta \leftarrow \theta - \eta\, g", _sgd,
                 "torch.optim.SGD([point], lr={rate})", False),
    "momentum": Racer("SGD with momentum", "Keeps rolling: past gradients add up where they agree and cancel where they don't.",
                      r"b \leftarrow \mu b + g,\quad \theta \leftarrow \theta - \eta\, b", _momentum,
                      "torch.optim.SGD([point], lr={rate}, momentum={momentum})", False),
    "nesterov": Racer("Nesterov", "Momentum that looks one step ahead, so it brakes earlier.",
                      r"b \leftarrow \mu b + g,\quad \theta \leftarrow \theta - \eta\,(g + \mu b)", _nesterov,
                      "torch.optim.SGD([point], lr={rate}, momentum={momentum}, nesterov=True)", False),
    "adagrad": Racer("Adagrad", "Divides by all past gradients: its steps only get smaller.",
                     r"s \leftarrow s + g^2,\quad \theta \leftarrow \theta - \eta\, g / (\sqrt{s} + \epsilon)", _adagrad,
                     "torch.optim.Adagrad([point], lr={rate})", True),
    "rmsprop": Racer("RMSprop", "Divides by recent gradients: about the same step whether it is steep or flat.",
                     r"v \leftarrow 0.99\,v + 0.01\,g^2,\quad \theta \leftarrow \theta - \eta\, g / (\sqrt{v} + \epsilon)",
                     _rmsprop,
                     "torch.optim.RMSprop([point], lr={rate})", True),
    "adam": Racer("Adam", "RMSprop with momentum, corrected for its cold start.",
                  r"m \leftarrow 0.9\,m + 0.1\,g,\quad v \leftarrow 0.999\,v + 0.001\,g^2,\quad "
                  r"\theta \leftarrow \theta - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)", _adam,
                  "torch.optim.Adam([point], lr={rate})", True),
    "adamw": Racer("AdamW", "Adam that also pulls everything a little towards 0 (weight decay 0.01).",
                   r"\theta \leftarrow (1 - 0.01\,\eta)\,\theta,\quad \text{then as Adam}", _adamw,
                   "torch.optim.AdamW([point], lr={rate})", True),
}


@dataclass(frozen=True)
class Path:
    """Where one racer went.

    points: (steps + 1, 2), the start first; shorter where it ended early. losses: (steps + 1,), the noise-free loss there.
    ended: "" or why the path stops before its last step; words: one sentence on how it went.
    """

    racer: str
    points: np.ndarray
    losses: np.ndarray
    ended: str
    words: str


def race(surface: Surface, racers: tuple[str, ...], config: RaceConfig) -> list[Path]:
    """Let the racers take config.steps steps each from config's start.

    Raises:
        KeyError: a racer that does not exist.
        ValueError: a start outside the measured part of a bounded surface.
    """
    if _is_lost(surface, np.array([config.x, config.y])):
        raise ValueError(f"The start ({config.x:g}, {config.y:g}) lies outside the measured area: "
                         f"x from {surface.x[0]:g} to {surface.x[1]:g}, y from {surface.y[0]:g} to {surface.y[1]:g}.")
    rules, states = [RACERS[name].rule for name in racers], [_State() for _ in racers]
    noise = np.random.default_rng(config.seed).normal(size=(config.steps, 2)) * config.noise
    points = np.empty((config.steps + 1, len(racers), 2))
    points[0] = config.x, config.y
    lengths = [config.steps + 1] * len(racers)
    going = list(range(len(racers)))
    for step in range(config.steps):
        gradients = surface.gradient(points[step]) + noise[step]
        points[step + 1] = points[step]  # who is lost waits where the gradient was still a number
        for i in list(going):
            point = rules[i](points[step, i], gradients[i], states[i], config)
            if _is_lost(surface, point):
                going.remove(i)
                lengths[i] = step + 1
            else:
                points[step + 1, i] = point
    return [_path(surface, name, points[:lengths[i], i], i not in going) for i, name in enumerate(racers)]


def _is_lost(surface: Surface, point: np.ndarray) -> bool:
    x, y = point.tolist()
    if surface.bounded:
        return not (surface.x[0] <= x <= surface.x[1] and surface.y[0] <= y <= surface.y[1])
    return not (-FAR < x < FAR and -FAR < y < FAR)


def _path(surface: Surface, name: str, points: np.ndarray, lost: bool) -> Path:
    losses = surface.value(points)
    step = len(points)  # the step that was not taken
    ended = ""
    if lost:
        ended = (f"left the measured area at step {step}" if surface.bounded else
                 f"diverged: more than a million away at step {step}")
    return Path(name, points, losses, ended, _words(surface, losses, ended))


def _words(surface: Surface, losses: np.ndarray, ended: str) -> str:
    """How it went: diverged, arrived (99.9 % of the way down), went up, or on its way."""
    drop = float(losses[0] - surface.lowest)
    if ended:
        return f"{ended[0].upper()}{ended[1:]}. Smaller steps may help: lower the learning rate."
    close = losses - surface.lowest <= 1e-3 * drop
    if close[-1]:
        still = np.flatnonzero(~close)
        return f"Arrived: 99.9 % of the way down for good from step {int(still[-1]) + 1 if len(still) else 0}."
    if close.any():
        return f"Was there at step {int(close.argmax())} and left again: the steps are too large to settle."
    done = 1 - (float(losses[-1]) - surface.lowest) / drop if drop > 0 else 0.0
    if done <= 0:
        return "Ended no lower than it started."
    return f"On its way: {np.floor(done * 1000) / 10:.1f} % of the way down."


CODE = '''import torch

{setup}

def race(make_optimizer, steps={steps}):
    """Where an optimizer ends, by real gradients."""
    torch.manual_seed({seed})  # the same noise for each
    point = torch.tensor([{x}, {y}], dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer(point)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(*point).backward()
        point.grad += {noise} * torch.randn(2, dtype=torch.float64)
        optimizer.step()
    return point.detach()


racers = {{
{racers}
}}
for name, make_optimizer in racers.items():
    end = race(make_optimizer)
    print(f"{{name}}: ({{end[0]:.6f}}, {{end[1]:.6f}}), loss {{loss(*end):.6g}}")
'''

FORMULA = '''
def loss(x, y):
    return {formula}
'''

NETWORK = '''from sklearn.datasets import load_digits
from torch import nn

data = load_digits()
images, labels = torch.from_numpy(data.data[:500] / 16.0), torch.from_numpy(data.target[:500]).long()
model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10)).double()
generator = torch.Generator().manual_seed(0)
with torch.no_grad():
    for weight in model.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) / 8)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(150):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()

# Two random directions, each neuron's part as long as that neuron's weights; biases stay
center = {name: weight.detach() for name, weight in model.named_parameters()}
generator = torch.Generator().manual_seed(1)


def direction():
    random = {name: torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
              for name, weight in center.items() if weight.dim() == 2}
    return {name: random[name] * weight.norm(dim=1, keepdim=True) / random[name].norm(dim=1, keepdim=True)
            if name in random else torch.zeros_like(weight) for name, weight in center.items()}


across, up = direction(), direction()


def loss(x, y):
    weights = {name: center[name] + x * across[name] + y * up[name] for name in center}
    return nn.functional.cross_entropy(torch.func.functional_call(model, weights, images), labels)
'''


def race_code(surface: Surface, racers: tuple[str, ...], config: RaceConfig) -> str:
    """A script that runs the same race with torch.optim itself; with noise its random numbers are others."""
    lines = [f'    "{RACERS[name].title}": lambda point: ' + RACERS[name].code.format(
        rate=config.adaptive_rate if RACERS[name].adaptive else config.learning_rate, momentum=config.momentum) + ","
        for name in racers]
    return CODE.format(setup=FORMULA.format(formula=surface.code) if surface.code else NETWORK, steps=config.steps,
                       seed=config.seed, x=config.x, y=config.y, noise=config.noise, racers="\n".join(lines))
