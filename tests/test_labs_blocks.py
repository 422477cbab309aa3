"""Activations and losses: against closed forms, finite differences, and hand values."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from core.figures.building_blocks import function_and_slope, layer_histograms, lines, loss_surface_figure, sizes_by_layer
from core.labs import dropout
from core.labs.activations import (
    ACTIVATIONS,
    EXAMPLES,
    INITS,
    LAYERS,
    WIDTH,
    activation_at,
    activation_code,
    activation_curve,
    deep_stack,
    shares,
    through_layers,
)
from core.labs.losses import LOGITS, LOSSES, formula_check, logit_rows, loss_at, loss_code, loss_curve, loss_surface


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# value and derivative, from the formulas
CLOSED = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "gelu": (lambda x: x * norm.cdf(x), lambda x: norm.cdf(x) + x * norm.pdf(x)),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    "elu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), lambda x: np.where(x > 0, 1, np.exp(x))),
    "softplus": (lambda x: np.log1p(np.exp(x)), sigmoid),
    "softmax": (lambda x: np.exp(x) / (np.exp(x) + math.e + 1),
                lambda x: np.exp(x) * (math.e + 1) / (np.exp(x) + math.e + 1) ** 2),
}


def rows_of_shares(x: np.ndarray) -> np.ndarray:
    """A softmax of each row (N, K)."""
    large = np.exp(x - x.max(1, keepdims=True))
    return large / large.sum(1, keepdims=True)


def run(code: str, folder) -> list[str]:
    script = folder / "lab.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_and_slopes_are_the_formulas(name):
    curve = activation_curve(name)
    value, slope = CLOSED[name]
    np.testing.assert_allclose(curve.value, value(curve.x), atol=1e-12)
    away = np.abs(curve.x) > 1e-9  # ReLU's corner has no slope; PyTorch says 0
    np.testing.assert_allclose(curve.slope[away], slope(curve.x)[away], atol=1e-12)
    assert curve.x[0] == -6 and curve.x[-1] == 6


def test_every_activation_has_its_formula_here():
    assert set(CLOSED) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_written_code_makes_the_same_layer(name):
    written = eval(ACTIVATIONS[name].code, {"nn": nn})  # a line of our own
    assert str(written) == str(ACTIVATIONS[name].module())


@pytest.mark.parametrize("x", [-6.0, 0.0, 1.0, 2.5])
def test_shares_of_a_softmax(x):
    found = shares(x)
    assert [number for number, _ in found] == [x, 1.0, 0.0]
    assert [share for _, share in found] == pytest.approx([math.exp(n) / (math.exp(x) + math.e + 1) for n in (x, 1, 0)])
    assert found[0][1] == pytest.approx(activation_at("softmax", x).value[0])


def test_the_slope_of_a_sigmoid_is_at_most_a_quarter():
    assert activation_curve("sigmoid").slope.max() == 0.25
    assert activation_at("sigmoid", 0.0).slope[0] == 0.25
    assert activation_at("relu", 0.0).slope[0] == 0.0


def test_unknown_names_are_refused():
    for call in (lambda: activation_curve("step"), lambda: through_layers("relu", "zeros"), lambda: loss_curve("hinge", 1.0)):
        with pytest.raises(KeyError):
            call()


@pytest.mark.parametrize("init", ["xavier", "he", "small", "large", "default"])
def test_first_weights_have_the_deviation_they_say(init):
    expected = {"xavier": math.sqrt(2 / (2 * WIDTH)), "he": math.sqrt(2 / WIDTH), "small": 0.01, "large": 1.0,
                "default": 1 / math.sqrt(3 * WIDTH)}
    for layer in deep_stack(init, seed=5):
        assert layer.weight.std().item() == pytest.approx(expected[init], rel=0.03)
        assert bool(layer.bias.any()) == (init == "default")


def test_default_is_what_linear_does_by_itself():
    torch.manual_seed(0)
    theirs = nn.Linear(WIDTH, WIDTH)
    ours = deep_stack("default")[0]
    for name in ("weight", "bias"):
        a, b = getattr(theirs, name), getattr(ours, name)
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.1 if name == "bias" else 0.02)
        assert max(a.abs().max().item(), b.abs().max().item()) <= WIDTH ** -0.5


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("init", ["he", "large"])
def test_ten_layers_by_matrix_products(name, init):
    """Values and gradients again in NumPy, from the same weights, with the closed forms and the chain rule."""
    depth = through_layers(name, init, seed=2)
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(EXAMPLES, WIDTH, generator=generator).numpy().astype(float)
    back = torch.randn(EXAMPLES, WIDTH, generator=generator).numpy().astype(float)
    value, slope = CLOSED[name]
    weights = [(layer.weight.detach().numpy().astype(float), layer.bias.detach().numpy()) for layer in deep_stack(init, 2)]
    inputs = []
    with np.errstate(over="ignore"):
        for row, (weight, bias) in zip(depth.layers, weights, strict=True):
            inputs.append(values @ weight.T + bias)
            values = np.where(inputs[-1] > 30, inputs[-1], value(inputs[-1])) if name == "softplus" else \
                rows_of_shares(inputs[-1]) if name == "softmax" else value(inputs[-1])
            assert row.std == pytest.approx(values.std(), rel=1e-3)
            assert row.mean == pytest.approx(values.mean(), rel=1e-2, abs=1e-3 * values.std())
            assert row.counts.sum() == EXAMPLES * WIDTH
        for row, entry, (weight, _) in zip(depth.layers[::-1], inputs[::-1], weights[::-1], strict=True):
            row_shares = rows_of_shares(entry)
            slopes = row_shares * (1 - row_shares) if name == "softmax" else np.nan_to_num(slope(entry))
            assert row.gradient == pytest.approx(np.sqrt((back**2).mean()), rel=2e-2)
            assert row.flat == pytest.approx((np.abs(slopes) < 0.01).mean(), abs=2e-3)
            # the Jacobian of a softmax has entries beside its diagonal: what raises one share lowers the others
            back = row_shares * (back - (back * row_shares).sum(1, keepdims=True)) if name == "softmax" else back * slopes
            back = back @ weight


@pytest.mark.parametrize(("name", "init", "forward", "backward"), [
    ("sigmoid", "default", "Values keep their size", "Gradients vanish"), ("relu", "he", "Values keep", "Gradients keep"),
    ("relu", "small", "Values vanish", "Gradients vanish"), ("relu", "large", "Values explode", "Gradients explode"),
    ("tanh", "xavier", "Values keep", "Gradients keep"), ("tanh", "large", "Values keep", "Gradients explode"),
])
def test_words_say_what_the_numbers_say(name, init, forward, backward):
    depth = through_layers(name, init)
    assert depth.forward.startswith(forward) and depth.backward.startswith(backward)
    back = depth.layers[0].gradient / depth.layers[-1].gradient
    assert backward != "Gradients vanish" or back < 1e-3
    if (name, init) == ("sigmoid", "default"):
        assert depth.layers[-1].gradient == pytest.approx(1, abs=0.02) and back < 1e-6  # what the page's question claims


def test_the_same_seed_gives_the_same_layers():
    a, b, c = (through_layers("gelu", "default", seed) for seed in (0, 0, 1))
    assert [row.std for row in a.layers] == [row.std for row in b.layers] != [row.std for row in c.layers]


@pytest.mark.parametrize(("name", "init"), [(name, "he") for name in ACTIVATIONS] + [("relu", init) for init in INITS])
def test_the_code_of_activations_is_python(name, init):
    code = activation_code(name, init, 0.3)
    compile(code, "lab", "exec")
    assert ACTIVATIONS[name].code in code


@pytest.mark.parametrize(("name", "init"), [("sigmoid", "default"), ("gelu", "he"), ("softmax", "large")])
def test_the_code_of_activations_runs_alone_and_agrees(name, init, tmp_path):
    first, *layers = run(activation_code(name, init, 0.3), tmp_path)
    here = activation_at(name, 0.3)
    assert first == f"f(0.3) = {here.value[0]:.4f}, slope {here.slope[0]:.4f}"
    assert len(layers) == LAYERS
    depth = through_layers(name, init)
    for line, row in zip(layers, depth.layers, strict=True):  # other random numbers, the same sizes
        std, gradient = (float(number) for number in re.findall(r"(?:deviation|size) ([\d.e+-]+)", line))
        assert 0.5 < std / row.std < 2 and 1 / 3 < gradient / row.gradient < 3


# --- dropout


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.9])
def test_what_dropout_keeps_is_multiplied_by_one_over_one_minus_p(p):
    one = dropout.draw(p, seed=1)
    assert one.factor == pytest.approx(1 / (1 - p)) and one.before.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert one.after.tolist() == pytest.approx([value / (1 - p) if kept else 0 for value, kept in
                                                zip(one.before.tolist(), one.kept.tolist(), strict=True)])
    assert torch.equal(one.evaluated, one.before)
    many = dropout.averages(p, seed=1)
    error = 4 * math.sqrt(204 / 8 * p / (1 - p) / 80_000)  # four standard errors; 204 is the sum of the squares
    assert many.before == 4.5 and many.scaled == pytest.approx(4.5, abs=error + 1e-5)
    assert many.plain == pytest.approx(4.5 * (1 - p), abs=error + 1e-5)


def test_another_seed_is_another_draw_and_no_random_state_is_used():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert torch.equal(dropout.draw(0.5, 1).kept, dropout.draw(0.5, 1).kept)
    assert not torch.equal(dropout.draw(0.5, 1).kept, dropout.draw(0.5, 2).kept)
    assert torch.equal(state, torch.get_rng_state())


def test_the_code_of_dropout_runs_alone_and_agrees():
    names: dict = {}
    exec(dropout.dropout_code(0.3, 5), names)
    one = dropout.draw(0.3, 5)
    assert torch.equal(names["after"], one.after) and torch.allclose(names["by_hand"], one.after)
    assert torch.equal(names["evaluated"], one.before)


# --- losses

X, Y = 0.3, 0.8
BY_HAND = {  # at prediction X and label Y, or at logits (X, Y)
    "bce_with_logits": -(Y * math.log(sigmoid(X)) + (1 - Y) * math.log(1 - sigmoid(X))),
    "bce": -(Y * math.log(X) + (1 - Y) * math.log(1 - X)),
    "cross_entropy_2": -math.log(math.exp(X) / (math.exp(X) + math.exp(Y))),
    "cross_entropy_3": -math.log(math.exp(X) / (math.exp(X) + math.exp(Y) + 1)),
    "nll": -math.log(math.exp(X) / (math.exp(X) + math.exp(Y))),
    "mse": 0.25, "l1": 0.5, "huber": 0.125,
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_by_hand(name):
    assert loss_at(name, X, Y).loss[0] == pytest.approx(BY_HAND[name], abs=1e-12)


def test_hubers_straight_part_by_hand():
    assert loss_at("huber", 3.0, 0.0, delta=0.5).loss[0] == pytest.approx(0.5 * (3 - 0.25))
    assert loss_at("huber", 3.0, 0.0, delta=0.5).slope[0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_against_finite_differences(name):
    entry = LOSSES[name]
    for x in np.linspace(entry.x[0] + 0.01, entry.x[1] - 0.01, 13):
        step = 1e-6
        slope = (loss_at(name, x + step, 0.7).loss[0] - loss_at(name, x - step, 0.7).loss[0]) / (2 * step)
        assert loss_at(name, x, 0.7).slope[0] == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_the_slope_of_bce_with_logits_is_probability_minus_label():
    curve = loss_curve("bce_with_logits", 0.25)
    np.testing.assert_allclose(curve.slope, sigmoid(curve.x) - 0.25, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_surface_is_its_curves(name):
    surface = loss_surface(name, delta=0.7, points=21)
    assert surface.loss.shape == (21, 21) and np.isfinite(surface.loss).all()
    for j in (0, 7, 20):
        np.testing.assert_allclose(surface.loss[j], loss_curve(name, surface.y[j], 0.7, points=21).loss)


def test_the_formula_and_its_misprint():
    check = formula_check()
    i = int(np.abs(check.p - 0.5).argmin())
    assert check.p[i] == pytest.approx(0.5)
    assert check.right[i] == pytest.approx(math.log(2)) and check.wrong[i] == pytest.approx(3 * math.log(2))
    assert check.best_wrong == pytest.approx(check.p[check.wrong.argmin()], abs=1e-3)
    assert check.best_right == check.p[-1]
    one = torch.ones(len(check.p), dtype=torch.float64)
    theirs = torch.nn.functional.binary_cross_entropy(torch.from_numpy(check.p), one, reduction="none")
    np.testing.assert_allclose(check.right, theirs.numpy())


def test_sure_and_wrong_in_float32():
    rows = {row.logit: row for row in logit_rows(1)}
    worst = rows[-200.0]
    assert (worst.probability, worst.by_hand, worst.from_probability, worst.from_logit) == (0.0, math.inf, 100.0, 200.0)
    assert math.isnan(worst.gradient_by_hand) and worst.gradient_from_probability == 0 and worst.gradient_from_logit == -1
    assert abs(rows[-50.0].gradient_from_probability) < 1e-9 and rows[-50.0].gradient_from_logit == -1
    assert rows[20.0].from_probability == 0 and rows[20.0].from_logit == pytest.approx(math.exp(-20), rel=1e-6)
    other = {row.logit: row for row in logit_rows(0)}
    assert other[200.0].by_hand == math.inf and other[200.0].from_logit == 200 and other[200.0].gradient_from_logit == 1
    assert other[20.0].by_hand == math.inf, "1 − σ(20) is 0 in float32 already"


@pytest.mark.parametrize("label", [0, 1])
def test_from_the_logit_the_loss_is_right_to_float32(label):
    for row in logit_rows(label):
        z = -row.logit if label else row.logit
        exact = max(z, 0) + math.log1p(math.exp(-abs(z)))
        assert row.exact == pytest.approx(exact, rel=1e-12)
        assert row.from_logit == pytest.approx(exact, rel=1e-6, abs=1e-43 if label else 4e-6)  # for 0 it is z − z + …
    assert [row.logit for row in logit_rows(label)] == list(LOGITS)


@pytest.mark.parametrize("name", LOSSES)
def test_the_code_of_losses_is_python(name):
    compile(loss_code(name, X, Y, 0.5), "lab", "exec")


def test_the_code_of_losses_runs_alone_and_agrees(tmp_path):
    """All losses in one process: each page's script, one after the other."""
    printed = run("\n".join(loss_code(name, X, Y, 0.5) for name in LOSSES), tmp_path)
    for index, name in enumerate(LOSSES):
        here = loss_at(name, X, Y, 0.5)
        assert printed[4 * index] == f"loss {here.loss[0]:.4f}, slope {here.slope[0]:.4f}"
    assert printed[1:4] == ["by hand: loss inf, gradient nan", "BCE: loss 100.0000, gradient -0.0000",
                            "BCE with logits: loss 200.0000, gradient -1.0000"]


# --- figures


def test_figures_hold_the_values():
    curve = activation_curve("tanh")
    figure = function_and_slope(curve.x, curve.value, curve.slope, (0.0, 0.0, 1.0))
    assert [trace.name for trace in figure.data[:2]] == ["f(x)", "slope f′(x)"]
    np.testing.assert_array_equal(figure.data[1].y, curve.slope)
    surface = loss_surface("mse", points=5)
    assert np.array(loss_surface_figure(surface.x, surface.y, surface.loss, "a", "b").data[0].z).shape == (5, 5)
    depth = through_layers("relu", "he")
    bars = layer_histograms([row.counts for row in depth.layers], [row.edges for row in depth.layers],
                            [row.std for row in depth.layers])
    assert len(bars.data) == LAYERS and all(max(bar.y) == 1 for bar in bars.data)


def test_infinite_and_zero_are_gaps():
    assert lines(np.arange(3), {"a": [1.0, math.inf, math.nan]}, "x", "y").data[0].y == (1.0, None, None)
    assert sizes_by_layer([1.0, 0.0], [0.5, 0.1]).data[0].y == (1.0, None)
