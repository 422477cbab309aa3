"""benchmarks/records.py: its variants are runs, and what no config has does what it says."""

import pytest
import torch
from torch import nn

from benchmarks.records import PRESET, VARIANTS, Averaging, Muon, WeightMean, config_of, difference
from core.presets import PRESETS


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_is_a_run_that_differs_from_the_preset(name):
    variant = VARIANTS[name]
    as_it_is = config_of(variant) == PRESETS["mnist-cnn-fast"].config
    assert as_it_is == (name == PRESET or bool(variant.muon) or (variant.averaging is not None and not variant.changes))


def test_muon_steps_as_pytorchs_does_on_the_flattened_filters():
    torch.manual_seed(0)
    start, gradients = torch.randn(8, 2, 3, 3), [torch.randn(8, 2, 3, 3) for _ in range(3)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    muon = Muon([ours], lr=0.1, share=0.5)
    reference = torch.optim.Muon([theirs], lr=0.05, weight_decay=0.0, momentum=0.95)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient, gradient.flatten(1)
        muon.step()
        reference.step()
    moved = (theirs - start.flatten(1)).norm()
    assert (ours.flatten(1) - theirs).norm() < 0.02 * moved  # PyTorch's computes in bfloat16
    assert ours.grad is gradients[-1]


def test_muon_leaves_all_but_filters_to_adam():
    torch.manual_seed(0)
    bias, same, filters = nn.Parameter(torch.randn(4)), nn.Parameter(torch.zeros(4)), nn.Parameter(torch.randn(4, 1, 3, 3))
    same.data.copy_(bias.data)
    muon, adam = Muon([filters, bias], lr=0.1, share=1.0), torch.optim.Adam([same], lr=0.1)
    for _ in range(3):
        bias.grad = same.grad = torch.randn(4)
        filters.grad = torch.randn(4, 1, 3, 3)
        muon.step()
        adam.step()
    assert torch.allclose(bias, same, atol=1e-6)


@pytest.mark.parametrize(("decay", "expected"), [(0.0, 5.0), (0.75, 0.75 * (0.75 * 4 + 0.25 * 5) + 0.25 * 6)])
def test_weights_are_averaged_from_a_share_of_the_steps_on(decay, expected):
    """The weight is the number of the step: of 6 steps the last half are 4, 5 and 6."""
    model = nn.Linear(1, 1)
    mean = WeightMean(Averaging(0.5, decay), model, steps=6)
    for step in range(7):
        with torch.no_grad():
            model.weight.fill_(step)
        if step == 0 or mean.due(step, 0.0):  # as fit() asks: once before the first step without due()
            mean.look(model, step, 1, 0.0, 0.0)
    mean.look(model, 6, 1, 0.0, 0.0)  # and once more after the last
    assert mean.averaged.module.weight.item() == pytest.approx(expected)


def test_differences_are_of_pairs():
    assert difference([3.0, 5.0, 7.0], [1.0, 2.0, 3.0]) == "+3.000 ± 0.577"  # 2, 3, 4: deviation 1, of three
    assert difference([1.0], [2.0]) == "-1.000"
