"""Activations: what each does to a number, to its gradient, and to a thousand numbers on their way through ten layers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

LAYERS, WIDTH, EXAMPLES, BINS = 10, 128, 256, 41
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
FLAT = 0.01  # a slope below this lets almost nothing back
FADED, BLOWN = 1e-3, 1e3  # sizes that change by more than this over ten layers vanish or explode


@dataclass(frozen=True)
class Activation:
    """One activation. module: makes PyTorch's layer; code: how one writes that; formula, slope: LaTeX, of f(x) and f′(x).
    beside: the numbers that stand in a row with x, where what becomes of x depends on them."""

    title: str
    module: Callable[[], nn.Module]
    code: str
    formula: str
    slope: str
    about: str
    beside: tuple[float, ...] = ()


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("ReLU", nn.ReLU, "nn.ReLU()", r"\max(0, x)", r"1 \text{ if } x > 0 \text{ else } 0",
                       "Negative becomes 0. Cheap, and the slope is 1 wherever a unit is on; a unit that is off for every "
                       "example gets no gradient."),
    "leaky_relu": Activation("Leaky ReLU", nn.LeakyReLU, "nn.LeakyReLU()", r"x \text{ if } x > 0 \text{ else } 0.01\,x",
                             r"1 \text{ if } x > 0 \text{ else } 0.01", "Lets 1 % of the negative side through, so no unit is "
                             "ever quite off."),
    "gelu": Activation("GELU", nn.GELU, "nn.GELU()", r"x\,\Phi(x)", r"\Phi(x) + x\,\varphi(x)",
                       "A smooth ReLU that dips below 0 first; Φ is the share of a normal distribution below x. Common in "
                       "transformers."),
    "sigmoid": Activation("Sigmoid", nn.Sigmoid, "nn.Sigmoid()", r"\frac{1}{1 + e^{-x}}", r"f(x)\,(1 - f(x))",
                          "Squeezes every number between 0 and 1. Its slope is never more than ¼."),
    "tanh": Activation("Tanh", nn.Tanh, "nn.Tanh()", r"\tanh x", r"1 - f(x)^2",
                       "Squeezes every number between −1 and 1, around 0. Its slope is 1 in the middle and 0 far out."),
    "silu": Activation("SiLU", nn.SiLU, "nn.SiLU()", r"x\,\sigma(x)", r"\sigma(x)\,(1 + x\,(1 - \sigma(x)))",
                       "The number times its own sigmoid, also called swish. Smooth, and close to ReLU far out."),
    "elu": Activation("ELU", nn.ELU, "nn.ELU()", r"x \text{ if } x > 0 \text{ else } e^x - 1",
                      r"1 \text{ if } x > 0 \text{ else } e^x", "ReLU with a smooth negative side that ends at −1, which brings "
                      "the mean nearer to 0."),
    "softplus": Activation("Softplus", nn.Softplus, "nn.Softplus()", r"\log(1 + e^x)", r"\sigma(x)",
                           "A ReLU with a rounded corner. Always above 0, and its slope is the sigmoid."),
    "softmax": Activation("Softmax", lambda: nn.Softmax(dim=-1), "nn.Softmax(dim=-1)", r"\frac{e^x}{e^x + e^1 + e^0}",
                          r"f(x)\,(1 - f(x))", "Turns a row of numbers into shares that add up to 1, the largest number into the "
                          "largest share: probabilities, if the row is a network's output. Here x stands beside 1 and 0. Put "
                          "before nn.CrossEntropyLoss it would be applied twice, as that loss has a softmax of its own.",
                          (1.0, 0.0)),
}


@dataclass(frozen=True)
class ActivationCurve:
    """f and f′ at each x; all (N,) float64."""

    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray


def activation_curve(name: str, low: float = -6.0, high: float = 6.0, points: int = 241) -> ActivationCurve:
    """An activation and its derivative, the derivative by PyTorch's autograd. Raises KeyError for an unknown name."""
    x = torch.linspace(low, high, points, dtype=torch.float64)
    return _at(name, x)


def activation_at(name: str, x: float) -> ActivationCurve:
    """The same at one number; arrays of length 1."""
    return _at(name, torch.tensor([x], dtype=torch.float64))


def _at(name: str, x: Tensor) -> ActivationCurve:
    x.requires_grad_(True)
    entry = ACTIVATIONS[name]
    if entry.beside:  # (N,) → rows (N, 1 + others)
        value = entry.module()(torch.cat([x[:, None], x.new_tensor(entry.beside).expand(len(x), -1)], 1))[:, 0]
    else:
        value = entry.module()(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    return ActivationCurve(x.detach().numpy(), value.detach().numpy(), slope.numpy())


def shares(x: float) -> list[tuple[float, float]]:
    """Softmax's row in the lab: each number, x first, and its share."""
    row = (x, *ACTIVATIONS["softmax"].beside)
    return list(zip(row, torch.tensor(row, dtype=torch.float64).softmax(0).tolist(), strict=True))


@dataclass(frozen=True)
class Init:
    """A way to choose first weights. fill: changes a Linear layer in place; code: the same for a layer called `layer`."""

    title: str
    about: str
    fill: Callable[[nn.Linear, torch.Generator], object]
    code: str


def _default(layer: nn.Linear, generator: torch.Generator) -> None:
    bound = layer.in_features ** -0.5  # nn.Linear.reset_parameters: kaiming_uniform_(a=√5) is U(±1/√in)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


INITS: dict[str, Init] = {
    "default": Init("PyTorch's default", "nn.Linear's own: uniform between ±1/√inputs, a standard deviation of 0.58/√inputs.",
                    _default, "nn.init.uniform_(layer.weight, -layer.in_features**-0.5, layer.in_features**-0.5)\n"
                    "    nn.init.uniform_(layer.bias, -layer.in_features**-0.5, layer.in_features**-0.5)"),
    "xavier": Init("Xavier", "Standard deviation √(2/(inputs + outputs)): keeps sizes where the slope is near 1, as "
                   "tanh's around 0.",
                   lambda layer, generator: nn.init.xavier_normal_(layer.weight, generator=generator),
                   "nn.init.xavier_normal_(layer.weight)\n    nn.init.zeros_(layer.bias)"),
    "he": Init("He (Kaiming)", "Standard deviation √(2/inputs): makes up for the half that ReLU cuts off.",
               lambda layer, generator: nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator),
               'nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")\n    nn.init.zeros_(layer.bias)'),
    "small": Init("Too small", "Standard deviation 0.01, whatever the width.",
                  lambda layer, generator: nn.init.normal_(layer.weight, std=0.01, generator=generator),
                  "nn.init.normal_(layer.weight, std=0.01)\n    nn.init.zeros_(layer.bias)"),
    "large": Init("Too large", "Standard deviation 1, whatever the width.",
                  lambda layer, generator: nn.init.normal_(layer.weight, std=1.0, generator=generator),
                  "nn.init.normal_(layer.weight, std=1.0)\n    nn.init.zeros_(layer.bias)"),
}


@dataclass(frozen=True)
class LayerSpread:
    """What one layer's outputs look like for all examples.

    mean, std: of the outputs after the activation; gradient: root mean square of the gradient that arrives there;
    flat: share of units times examples whose slope is below FLAT. counts: (BINS,), edges: (BINS + 1,) of the histogram.
    """

    layer: int
    mean: float
    std: float
    gradient: float
    flat: float
    counts: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class Depth:
    """Ten layers, first to last, and in words what happens to values on the way up and to gradients on the way down."""

    layers: list[LayerSpread]
    forward: str
    backward: str


def deep_stack(init: str, seed: int = 0) -> list[nn.Linear]:
    """LAYERS linear layers of WIDTH to WIDTH, with weights as `init` says; the activation goes between them."""
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)]
    for layer in layers:
        nn.init.zeros_(layer.bias)
        INITS[init].fill(layer, generator)
    return layers


def through_layers(name: str, init: str, seed: int = 0) -> Depth:
    """Send EXAMPLES × WIDTH standard normal numbers forward through ten layers, and as many back as gradients.

    Raises KeyError for an unknown activation or initialisation.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    values = torch.randn(EXAMPLES, WIDTH, generator=generator)
    back = torch.randn(EXAMPLES, WIDTH, generator=generator)  # the gradient that arrives at the last layer's outputs
    activation = ACTIVATIONS[name].module()
    inputs, outputs = [], []
    for layer in deep_stack(init, seed):
        inputs.append(layer(values))
        outputs.append(values := activation(inputs[-1]))
    gradients = torch.autograd.grad(outputs[-1], outputs, back)
    rows = [_spread(number, name, before.detach(), after.detach(), gradient)
            for number, (before, after, gradient) in enumerate(zip(inputs, outputs, gradients, strict=True), start=1)]
    return Depth(rows, _verdict("Values", rows[0].std, rows[-1].std, "from layer 1 to layer 10"),
                 _verdict("Gradients", rows[-1].gradient, rows[0].gradient, "on the way back from layer 10 to layer 1"))


def _spread(number: int, name: str, before: Tensor, after: Tensor, gradient: Tensor) -> LayerSpread:
    if ACTIVATIONS[name].beside:  # of a number by itself: the diagonal of the softmax's Jacobian
        slope = (after.double() * (1 - after.double())).flatten()
    else:
        slope = torch.from_numpy(_at(name, before.double().flatten()).slope)
    values = after.double().numpy().ravel()
    counts, edges = np.histogram(values, bins=BINS)
    return LayerSpread(number, float(values.mean()), float(values.std()), float(gradient.double().square().mean().sqrt()),
                       float((slope.abs() < FLAT).double().mean()), counts, edges)


def _verdict(what: str, first: float, last: float, where: str) -> str:
    """One sentence: vanish, shrink, keep their size, grow or explode, and by how much."""
    if first == 0 or last == 0:
        return f"{what} vanish {where}: they are exactly 0."
    ratio = last / first
    words = ("vanish" if ratio < FADED else "explode" if ratio > BLOWN else
             "shrink" if ratio < 0.1 else "grow" if ratio > 10 else "keep their size")
    return f"{what} {words} {where}: they end {_times(max(ratio, 1 / ratio))} {'larger' if ratio >= 1 else 'smaller'}."


def _times(factor: float) -> str:
    """1.2 times, 2,800 times, 6.2 · 10⁹ times."""
    if factor < 100:
        return f"{factor:.1f} times"
    exponent = int(np.floor(np.log10(factor)))
    if exponent < 6:
        return f"{round(factor, 1 - exponent):,.0f} times"
    return f"{factor / 10**exponent:.1f} · 10{str(exponent).translate(SUPERSCRIPT)} times"


CODE = '''import torch
from torch import nn

torch.manual_seed({seed})
activation = {activation}

# The derivative at one number, by autograd
x = torch.tensor({x}, requires_grad=True)
y = {once}
y.backward()
print(f"f({{x.item():g}}) = {{y.item():.4f}}, slope {{x.grad.item():.4f}}")

# Ten layers of {width} units: how large are values and gradients?
layers = [nn.Linear({width}, {width}) for _ in range({layers})]
for layer in layers:
    {init}

values = torch.randn({examples}, {width})
outputs = []
for layer in layers:
    values = activation(layer(values))
    outputs.append(values)
gradients = torch.autograd.grad(outputs[-1], outputs, torch.randn_like(values))
for number, (output, gradient) in enumerate(zip(outputs, gradients), start=1):
    print(f"layer {{number:2}}: values' deviation {{output.std():.3g}}, gradients' size {{gradient.square().mean().sqrt():.3g}}")
'''


def activation_code(name: str, init: str, x: float = 1.0, seed: int = 0) -> str:
    """A script that shows the same with plain PyTorch; its random numbers differ from the page's, its sizes agree."""
    beside = "".join(f", torch.tensor({value})" for value in ACTIVATIONS[name].beside)
    once = f"activation(torch.stack([x{beside}]))[0]  # the share of x in this row" if beside else "activation(x)"
    return CODE.format(seed=seed, activation=ACTIVATIONS[name].code, once=once, x=float(x), width=WIDTH, layers=LAYERS,
                       examples=EXAMPLES, init=INITS[init].code)
