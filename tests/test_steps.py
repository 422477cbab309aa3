"""The last steps against hand values, SciPy and PyTorch."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from torch import nn

from core.inspection import (
    SoftmaxSteps,
    batch_norm_steps,
    linear_sum,
    place_of,
    probability_steps,
    sigmoid_steps,
    softmax_steps,
    strongest_weights,
)
from core.training import OBJECTIVES


def linear(rows: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def test_softmax_by_hand():
    steps = softmax_steps(torch.tensor([1.0, 3.0, 3.0 + math.log(2)]))
    assert steps.maximum == pytest.approx(3 + math.log(2))
    assert steps.shifted.tolist() == pytest.approx([-2 - math.log(2), -math.log(2), 0], abs=1e-6)
    assert steps.exponentials.tolist() == pytest.approx([math.exp(-2) / 2, 0.5, 1], abs=1e-6)
    assert steps.total == pytest.approx(1.5 + math.exp(-2) / 2)
    assert float(steps.probabilities[2]) == pytest.approx(1 / (1.5 + math.exp(-2) / 2))


@pytest.mark.parametrize("scale", [0.1, 10, 1000])
def test_softmax_is_scipys(scale):
    logits = torch.randn(10, generator=torch.Generator().manual_seed(0)) * scale
    steps = softmax_steps(logits)
    assert np.allclose(steps.probabilities, scipy.special.softmax(logits.double().numpy()))
    assert float(steps.probabilities.sum()) == pytest.approx(1)


@pytest.mark.parametrize("logit", [-800.0, -3.0, 0.0, 0.7, 40.0])
def test_one_sigmoid_is_scipys_and_the_objectives(logit):
    steps = sigmoid_steps(torch.tensor([logit]))
    assert float(steps.sigmoids[0]) == pytest.approx(float(scipy.special.expit(logit)))
    expected = OBJECTIVES["bce_with_logits"].probabilities(torch.tensor([[logit]], dtype=torch.float64))[0]
    assert steps.normalized.tolist() == pytest.approx(expected.tolist())


def test_the_sigmoid_by_hand():
    steps = sigmoid_steps(torch.tensor([math.log(3.0)]))
    rows = (steps.exponentials, steps.denominators, steps.sigmoids)
    assert [float(row[0]) for row in rows] == pytest.approx([1 / 3, 4 / 3, 0.75])
    assert steps.normalized.tolist() == pytest.approx([0.25, 0.75])


def test_several_sigmoids_are_divided_by_their_sum_as_the_objective_does():
    logits = torch.tensor([0.0, math.log(3.0), -200.0])
    steps = sigmoid_steps(logits)
    assert steps.sigmoids.tolist() == pytest.approx([0.5, 0.75, 0])
    assert steps.normalized.tolist() == pytest.approx([0.4, 0.6, 0], abs=1e-6)
    assert steps.normalized.tolist() == pytest.approx(OBJECTIVES["bce_with_logits"].probabilities(logits[None])[0].tolist())


@pytest.mark.parametrize(("loss", "count"), [(loss, count) for loss, objective in OBJECTIVES.items() for count in (1, 2, 10)
                                             if count > 1 or objective.outputs(2) == 1])  # some never have one output
def test_the_steps_end_where_the_objective_does(loss, count):
    logits = torch.randn(count, generator=torch.Generator().manual_seed(count)) * 3
    steps = probability_steps(loss, logits)
    ours = steps.probabilities if isinstance(steps, SoftmaxSteps) else steps.normalized
    assert ours.tolist() == pytest.approx(OBJECTIVES[loss].probabilities(logits[None])[0].tolist(), abs=1e-6)
    assert isinstance(steps, SoftmaxSteps) == (loss in {"cross_entropy", "nll"} or (loss == "mse" and count > 1))


@pytest.mark.parametrize("steps", [softmax_steps, sigmoid_steps])
@pytest.mark.parametrize("logits", [torch.zeros(2, 2), torch.zeros(0), torch.tensor([1.0, float("nan")]),
                                    torch.tensor([float("inf"), 0.0])])
def test_what_is_no_row_of_numbers_gets_one_line(steps, logits):
    with pytest.raises(ValueError, match="logits"):
        steps(logits)


def test_strongest_weights_by_hand():
    layer = linear([[1.0, -5.0, 2.0], [4.0, 0.0, -3.0]], [10.0, 20.0])
    assert [(s.unit, s.feature, s.weight, s.product) for s in strongest_weights(layer, 3)] == [
        (0, 1, -5, None), (1, 0, 4, None), (1, 2, -3, None)]
    # with an input, what counts is weight times value: 1·6, −5·1, 2·0
    mine = strongest_weights(layer, 2, unit=0, input=torch.tensor([6.0, 1.0, 0.0]))
    assert [(s.unit, s.feature, s.value, s.product) for s in mine] == [(0, 0, 6, 6), (0, 1, 1, -5)]
    assert [s.unit for s in strongest_weights(layer, 99, unit=1)] == [1, 1, 1], "there are no more than three"


def test_all_products_and_the_bias_are_the_output():
    torch.manual_seed(0)
    layer, values = nn.Linear(20, 4), torch.randn(20)
    for unit in range(4):
        total = linear_sum(layer, values, unit)
        assert total.total == pytest.approx(float(layer(values).detach()[unit]), abs=1e-5)
        assert sum(s.product for s in strongest_weights(layer, 20, unit, values)) == pytest.approx(total.products, abs=1e-5)
    assert linear_sum(linear([[2.0, 1.0]]), torch.tensor([3.0, 4.0]), 0).bias == 0


@pytest.mark.parametrize(("unit", "size", "line"), [
    (3, 2, "there is no unit 3; the layer has units 0 to 1"), (-1, 2, "there is no unit -1"),
    (0, 3, r"the input has shape \(3,\); the layer needs \(2,\)")])
def test_a_unit_or_input_that_is_not_there_gets_one_line(unit, size, line):
    with pytest.raises(ValueError, match=line):
        linear_sum(nn.Linear(2, 2), torch.zeros(size), unit)


def test_places_are_those_of_flatten():
    picture = torch.arange(2 * 3 * 4).view(2, 3, 4)
    for feature in range(24):
        assert int(picture[place_of(feature, (2, 3, 4))]) == feature


def test_batch_norm_of_one_number_is_the_layers():
    layer = nn.BatchNorm2d(2).eval()
    with torch.no_grad():
        for tensor, values in ((layer.running_mean, [1, 2]), (layer.running_var, [4, 9]), (layer.weight, [0.5, 2]),
                               (layer.bias, [3, -1])):
            tensor.copy_(torch.tensor(values))
    picture = torch.randn(1, 2, 3, 3)
    steps = batch_norm_steps(layer, 1, float(picture[0, 1, 2, 0]))
    assert (steps.mean, steps.variance, steps.weight, steps.bias) == (2, 9, 2, -1)
    assert steps.result == pytest.approx(float(layer(picture).detach()[0, 1, 2, 0]), abs=1e-5)
    with pytest.raises(ValueError, match="keeps no running statistics"):
        batch_norm_steps(nn.BatchNorm2d(2, track_running_stats=False), 0, 1.0)
