"""The lab on first networks: three short scripts walked line by line, each line's values computed, and run to the end.

What is computed here is what the script computes: the same seeds, the same calls in the same order. The tests run the script
and compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data.sources.generated import NOTES_ANSWERS
from core.fields import Config, setting

SEED_OF_NEW = 1000  # the seed of samples that nobody has trained on is the data's plus this
NEW = 500
LOOKS = 30  # at how many epochs, at most, the new samples are asked
FEATURES = {"toy-2-2-1": 2, "toy-sigmoid": 10, "circle-2d": 2}


class FirstNetworkConfig(Config):
    """One of the three scripts and what can be changed in it."""

    system: Literal["toy-2-2-1", "toy-sigmoid", "circle-2d"] = setting("toy-sigmoid", "Which script.")
    hidden: int = setting(5, "Units of the hidden layer.", unit="units", ge=1, le=64, step=1)
    learning_rate: float = setting(0.01, "How far each step moves the weights.", gt=0.0, le=10.0)
    epochs: int = setting(50, "Steps: every epoch is one, as all samples are one batch.", unit="epochs", ge=1, le=400, step=10)
    seed: int = setting(0, "Start of the random numbers of samples and weights.", ge=0, le=999)


NOTES: dict[str, FirstNetworkConfig] = {
    "toy-2-2-1": FirstNetworkConfig(system="toy-2-2-1", hidden=2, epochs=100),
    "toy-sigmoid": FirstNetworkConfig(),
    "circle-2d": FirstNetworkConfig(system="circle-2d", hidden=4, learning_rate=0.1, epochs=100),
}


@dataclass(frozen=True)
class Line:
    """One line of the script after it has run.

    code: as in the script. about: what it does, for a beginner. shown: what it made or changed, by name; empty where nothing
    can be shown.
    """

    code: str
    about: str
    shown: dict[str, Tensor]


@dataclass(frozen=True)
class Walk:
    """A script that has run.

    lines: its lines, the training loop at its first epoch. losses: (E,) each epoch's training loss before its step.
    looks: epochs after which the new samples were asked, 0 for the start; new_losses: their loss then.
    right, new_right: share of right answers at the end, 0 to 1, on the training samples and on new ones; None where numbers are
    predicted, which are never exactly right.
    """

    lines: tuple[Line, ...]
    losses: tuple[float, ...]
    looks: tuple[int, ...]
    new_losses: tuple[float, ...]
    right: float | None
    new_right: float | None


def draw(config: FirstNetworkConfig, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Training samples (N, F) and answers (N, 1) as the script draws them after its seed, or `count` new ones."""
    generator = torch.Generator().manual_seed(config.seed + (SEED_OF_NEW if count else 0))
    if config.system == "circle-2d":
        x = torch.randn(count or 100, 2, generator=generator)
        return x, (x[:, 0] ** 2 + x[:, 1] ** 2 < 1).float().unsqueeze(1)
    if config.system == "toy-2-2-1":
        return torch.randn(count or 10, 2, generator=generator), torch.randn(count or 10, 1, generator=generator)
    x = torch.randn(count or 10, 10, generator=generator)
    if count:
        return x, torch.randint(2, (count, 1), generator=generator).float()
    return x, torch.tensor(NOTES_ANSWERS).float().unsqueeze(1)


def network(config: FirstNetworkConfig) -> nn.Sequential:
    """Linear, ReLU, Linear, and for yes-no answers Sigmoid, with weights of the config's seed; PyTorch's global random state is
    left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        layers = [nn.Linear(FEATURES[config.system], config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1)]
        return nn.Sequential(*layers, *([] if predicts_numbers(config) else [nn.Sigmoid()]))


def predicts_numbers(config: FirstNetworkConfig) -> bool:
    """Whether the script's answers are numbers, and not yes or no."""
    return config.system == "toy-2-2-1"


def loss_of(config: FirstNetworkConfig) -> nn.Module:
    """The notes' loss: squared differences in the first two scripts, binary cross-entropy in the third."""
    return nn.BCELoss() if config.system == "circle-2d" else nn.MSELoss()


def walk(config: FirstNetworkConfig) -> Walk:
    """Run the script: the first epoch line by line, then the rest."""
    x, y = draw(config)
    model, criterion = network(config), loss_of(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate)
    new_x, new_y = draw(config, NEW)
    every = max(1, -(-config.epochs // LOOKS))
    losses: list[float] = []
    looks, new_losses = [0], [_loss(model, criterion, new_x, new_y)]
    lines: tuple[Line, ...] = ()
    for epoch in range(1, config.epochs + 1):
        record = _LineRecorder() if epoch == 1 else None
        losses.append(_step(model, criterion, optimizer, x, y, record))
        if record:
            lines = (*_before(config, x, y), *record.lines)
        if epoch % every == 0 or epoch == config.epochs:
            looks.append(epoch)
            new_losses.append(_loss(model, criterion, new_x, new_y))
    end = Line("loss_new = criterion(model(x_new), y_new)", f"The question that matters: how wrong is the trained network on "
                                                            f"{NEW} "
               "new samples, which no step has seen? torch.no_grad() around it says that no gradients are wanted.",
               {"loss_new": torch.tensor(new_losses[-1])})
    right, new_right = (None, None) if predicts_numbers(config) else (_right(model, x, y), _right(model, new_x, new_y))
    return Walk((*lines, end), tuple(losses), tuple(looks), tuple(new_losses), right, new_right)


class _LineRecorder:
    """Collects the loop's lines as they run."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def note(self, code: str, about: str, **shown: Tensor) -> None:
        self.lines.append(Line(code, about, {name: value.detach().clone() for name, value in shown.items()}))


def _step(model: nn.Sequential, criterion: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor,
          record: _LineRecorder | None) -> float:
    """One epoch, which is one step; with a recorder each line is noted."""
    note: Callable[..., None] = record.note if record else _ignore
    second = model[2]
    assert isinstance(second, nn.Linear)
    prediction = model(x)
    if record:
        between = ", between 0 and 1" if isinstance(model[-1], nn.Sigmoid) else ""
        note("prediction = model(x)", "Forward: all samples at once go through the layers, each line of x on its own. Below is "
             f"what comes out of each layer on the way; the last is the prediction{between}.", **_between(model, x))
    loss = criterion(prediction, y)
    note("loss = criterion(prediction, y)", "One number that says how wrong all predictions are together. It remembers how it "
         "came about, which the next but one line needs.", loss=loss)
    optimizer.zero_grad()
    note("optimizer.zero_grad()", "Forgets the gradients of the last epoch; backward() would add to them. In the first epoch "
         "there are none yet.")
    loss.backward()
    if record:
        note("loss.backward()", "Backward: for every weight, how much the loss would grow if it grew a little. Each gradient "
             "has the shape of its weight.", **{f"model[{place}].{name}.grad": getattr(model[place], name).grad
                                       for place in (0, 2) for name in ("weight", "bias")})
        before = second.weight.detach().clone()
    optimizer.step()
    if record:
        note("optimizer.step()", "Every weight moves against its gradient: weight − learning rate · gradient. This line is the "
             "whole of learning; all others prepare it.",
             **{"model[2].weight before": before, "model[2].weight after": second.weight})
    return float(loss.detach())


def _ignore(*args: object, **values: object) -> None:
    return None


def _between(model: nn.Sequential, x: Tensor) -> dict[str, Tensor]:
    """What comes out of each layer."""
    shown = {}
    with torch.no_grad():
        for place, layer in enumerate(model):
            x = layer(x)
            shown[f"after model[{place}], {type(layer).__name__}"] = x
    return shown


def _loss(model: nn.Module, criterion: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(criterion(model(x), y))


def _right(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples on whose side of 0.5 the prediction lies."""
    with torch.no_grad():
        return float(((model(x) > 0.5) == (y > 0.5)).float().mean())


def _before(config: FirstNetworkConfig, x: Tensor, y: Tensor) -> list[Line]:
    """The lines before the loop."""
    model = network(config)
    numbers, features = predicts_numbers(config), FEATURES[config.system]
    answers = {"toy-2-2-1": "Ten random numbers to predict. Nothing connects them with the numbers in x.",
               "toy-sigmoid": "The ten answers, given by hand. Nothing connects them with the numbers in x.",
               "circle-2d": "The rule: 1 where x₁² + x₂² < 1, inside the circle, else 0. unsqueeze(1) makes a column of it, the "
                            "shape that the network returns."}[config.system]
    what = {"toy-2-2-1": "Ten points of two", "toy-sigmoid": "Ten samples of ten", "circle-2d": "A hundred points of two"}
    squeezed = "" if numbers else ", and that squeezed between 0 and 1"
    loss = {"toy-2-2-1": "The mean of the squared differences between prediction and target: the usual loss for numbers.",
            "toy-sigmoid": "The mean of the squared differences between prediction and answer. For yes-no answers binary "
                           "cross-entropy is the better choice: it punishes being confidently wrong far more.",
            "circle-2d": "Binary cross-entropy on probabilities: −log of the probability that was given to the right answer. "
                         "nn.BCEWithLogitsLoss without the sigmoid layer does the same and can't overflow."}[config.system]
    return [
        Line(f"torch.manual_seed({config.seed})", "Fixes the random numbers, so that every run draws the same ones. Without it "
             "each run draws others.", {}),
        Line(_x(config), f"{what[config.system]} normally distributed random numbers: one sample in each line, one "
             f"{'feature' if features > 2 else 'coordinate'} in each column.", {"x": x}),
        Line(_y(config).replace("\n", " "), answers, {"y": y}),
        Line(_model(config).replace("\n", " "), f"{'Three' if numbers else 'Four'} layers in a row: {features} numbers to "
             f"{config.hidden}, negative ones set to 0, {config.hidden} numbers to 1{squeezed}. The weights are random at first.",
             {f"model[{place}].{name}": getattr(model[place], name).detach() for place in (0, 2) for name in ("weight", "bias")}),
        Line(f"criterion = nn.{type(loss_of(config)).__name__}()", loss, {}),
        Line(f"optimizer = torch.optim.SGD(model.parameters(), lr={config.learning_rate:g})", "Knows all weights of the network "
                                                                                              "and "
             "how far to move them at each step. Plain gradient descent: all samples are one batch, so nothing is stochastic "
             "here.", {}),
    ]


def _x(config: FirstNetworkConfig) -> str:
    return f"x = torch.randn({100 if config.system == 'circle-2d' else 10}, {FEATURES[config.system]})"


def _y(config: FirstNetworkConfig) -> str:
    if config.system == "circle-2d":
        return "y = (x[:, 0] ** 2 + x[:, 1] ** 2 < 1).float().unsqueeze(1)"
    if config.system == "toy-2-2-1":
        return "y = torch.randn(10, 1)"
    return f"y = torch.tensor({[[float(answer)] for answer in NOTES_ANSWERS]})"


def _model(config: FirstNetworkConfig) -> str:
    return (f"model = nn.Sequential(nn.Linear({FEATURES[config.system]}, {config.hidden}), nn.ReLU(),\n"
            f"                      nn.Linear({config.hidden}, 1){'' if predicts_numbers(config) else ', nn.Sigmoid()'})")


def network_code(config: FirstNetworkConfig) -> str:
    """The whole script; runs alone."""
    new = {"toy-2-2-1": f"x_new = torch.randn({NEW}, 2)\ny_new = torch.randn({NEW}, 1)  # as random as the ten",
           "toy-sigmoid": f"x_new = torch.randn({NEW}, 10)\ny_new = torch.randint(2, ({NEW}, 1)).float()  # as random as the ten",
           "circle-2d": f"x_new = torch.randn({NEW}, 2)\n"
                        "y_new = (x_new[:, 0] ** 2 + x_new[:, 1] ** 2 < 1).float().unsqueeze(1)"}[config.system]
    numbers = predicts_numbers(config)
    return CODE.format(
        seed=config.seed, x=_x(config), y=_y(config), model=_model(config), epochs=config.epochs, new=new,
        loss=type(loss_of(config)).__name__, rate=f"{config.learning_rate:g}", every=max(1, config.epochs // 10),
        other=config.seed + SEED_OF_NEW, right="" if numbers else RIGHT, said=SAID_NUMBERS if numbers else SAID_RIGHT)


CODE = '''import torch
from torch import nn

torch.manual_seed({seed})
{x}
{y}

torch.manual_seed({seed})  # again: the weights don't depend on the number of samples
{model}
criterion = nn.{loss}()
optimizer = torch.optim.SGD(model.parameters(), lr={rate})

losses = []
for epoch in range(1, {epochs} + 1):
    prediction = model(x)
    loss = criterion(prediction, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if epoch % {every} == 0:
        print(f"epoch {{epoch}}: training loss {{loss.item():.4f}}")

torch.manual_seed({other})
{new}
with torch.no_grad():  # nothing is learned from here on
    loss_new = criterion(model(x_new), y_new)
{right}{said}'''

RIGHT = """    right = ((model(x) > 0.5) == (y > 0.5)).float().mean()
    right_new = ((model(x_new) > 0.5) == (y_new > 0.5)).float().mean()
"""
SAID_RIGHT = """print(f"training samples: {right:.0%} right")
print(f"new samples: {right_new:.0%} right, loss {loss_new:.4f}")
"""
SAID_NUMBERS = """print(f"new samples: loss {loss_new:.4f}; always saying 0 has {(y_new ** 2).mean():.4f}")
"""


def run_config(preset: RunConfig, config: FirstNetworkConfig) -> RunConfig:
    """The same training as a run: the preset of that name with the lab's settings."""
    return preset.with_values({
        "data.split_seed": config.seed, "model.hidden": [config.hidden], "training.epochs": config.epochs,
        "training.optimizer.learning_rate": config.learning_rate, "training.seed": config.seed})
