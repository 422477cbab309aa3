"""Weights against NumPy, SciPy and plain PyTorch; dead units by construction."""

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from torch import nn

from core.inspection import dead_units, filters, histogram, parameter_table, spectral_norm, spectral_norms, templates
from core.inspection.activations.weights import EXACT_SIDE
from core.models import CNNConfig, build


def small() -> nn.Module:
    return build(CNNConfig(channels=(2, 3), fc_width=4), (1, 8, 8), 2, seed=0)


def test_the_table_lists_what_named_parameters_does():
    model = small()
    model.fc1.bias.requires_grad_(False)
    rows = parameter_table(model)
    assert [(row.name, row.shape, row.count) for row in rows] == [
        (name, tuple(p.shape), p.numel()) for name, p in model.named_parameters()]
    for row, parameter in zip(rows, model.parameters(), strict=True):
        values = parameter.detach().numpy()
        assert row.first_values == tuple(values.ravel()[:5].tolist())
        assert (row.mean, row.std, row.norm, row.largest) == pytest.approx(
            (values.mean(), values.std(), np.linalg.norm(values), np.abs(values).max()), rel=1e-5, abs=1e-7)
    assert [row.name for row in rows if not row.trainable] == ["fc1.bias"]


def test_a_histogram_is_numpys():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    ours = histogram(values, 12)
    counts, edges = np.histogram(values.numpy(), 12)
    assert ours.counts.tolist() == counts.tolist() and np.allclose(ours.edges, edges)


def test_a_histogram_of_what_has_no_spread():
    assert histogram(torch.ones(7)).counts.tolist() == [7]
    assert histogram(torch.zeros(0)).counts.tolist() == [0]
    broken = histogram(torch.tensor([1.0, 2.0, float("nan"), float("inf")]), 2)
    assert (broken.counts.tolist(), broken.not_finite) == ([1, 1], 2)


def test_filters_and_templates_are_the_weights():
    model = small()
    assert torch.equal(filters(model.conv2), model.conv2.weight)
    layer = nn.Linear(12, 5)
    pictures = templates(layer, (3, 2, 2))
    assert pictures.shape == (5, 3, 2, 2) and torch.equal(pictures.flatten(1), layer.weight)
    assert templates(layer, (1, 2, 2)) is None and templates(layer, (12,)) is None


# --- spectral norms


def test_a_spectral_norm_by_hand():
    assert spectral_norm("w", torch.diag(torch.tensor([3.0, -7.0, 2.0]))).norm == pytest.approx(7)
    assert spectral_norm("w", torch.tensor([[3.0, 4.0]])).norm == pytest.approx(5)
    assert spectral_norm("w", torch.zeros(3, 4)).norm == 0


@pytest.mark.parametrize("shape", [(8, 1, 3, 3), (32, 16, 5, 5), (10, 784), (300, 20)])
def test_spectral_norms_are_numpys(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ours = spectral_norm("w", weight)
    assert ours.exact and ours.matrix == (shape[0], weight[0].numel())
    assert ours.norm == pytest.approx(float(np.linalg.norm(weight.flatten(1).numpy(), 2)), rel=1e-5)


def test_a_convolutions_norm_is_that_of_pytorchs_spectral_norm():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3)
    ours = spectral_norm("w", conv.weight).norm
    before = conv.weight.detach().clone()
    nn.utils.parametrizations.spectral_norm(conv, n_power_iterations=200)
    conv.train()
    conv(torch.zeros(1, 3, 4, 4))  # a few power iterations more
    assert torch.allclose(conv.weight * ours, before, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["random", "one direction stands out", "low rank"])
def test_large_matrices_are_estimated_well(kind):
    generator = torch.Generator().manual_seed(2)
    rows, columns = EXACT_SIDE + 76, EXACT_SIDE + 300
    weight = torch.randn(rows, columns, generator=generator)
    if kind == "one direction stands out":
        weight += 5 * torch.randn(rows, 1, generator=generator) * torch.randn(1, columns, generator=generator)
    elif kind == "low rank":
        weight = weight[:, :3] @ torch.randn(3, columns, generator=generator)
    ours = spectral_norm("w", weight)
    reference = scipy.sparse.linalg.svds(weight.double().numpy(), k=1, return_singular_vectors=False)[0]
    assert not ours.exact
    assert ours.norm == pytest.approx(reference, rel=2e-3)
    assert ours.norm <= reference * (1 + 1e-5), "an estimate from below"


def test_norms_are_of_matrices_alone_and_broken_weights_say_so():
    assert [norm.name for norm in spectral_norms(small())] == ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"]
    assert np.isnan(spectral_norm("w", torch.tensor([[1.0, float("nan")]])).norm)


# --- dead units


def test_units_that_never_fire_are_found():
    """Of four units on inputs in [0, 1]: +x fires, −x never, x − 2 never, x − 0.9 on the last image alone."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [-1.0], [1.0], [1.0]]))
        model[1].bias.copy_(torch.tensor([0.0, 0.0, -2.0, -0.9]))
    images = torch.linspace(0, 1, 600).view(-1, 1, 1, 1)  # three pieces of 256
    (layer,) = dead_units(model, images)
    assert (layer.name, layer.units, layer.dead, layer.images) == ("2", 4, (1, 2), 600)
    assert dead_units(model, images[:500])[0].dead == (1, 2, 3)


def test_a_map_is_dead_where_all_its_pixels_are():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1, 1))
        model[0].bias.copy_(torch.tensor([0.0, 0.0, -0.5]))
    images = torch.zeros(2, 1, 4, 4)
    images[1, 0, 2, 3] = 1.0  # one pixel of one image keeps maps 0 and 2 alive
    assert dead_units(model, images)[0].dead == (1,)


def test_dead_units_are_those_of_a_plain_loop(digits):
    model = build(CNNConfig(channels=(16, 16), fc_width=64), (1, 28, 28), 10, seed=3)
    with torch.no_grad():
        model.fc1.bias -= 0.15
    images = digits.validation.take(torch.arange(200))[0]
    x = (images.float() / 255 - 0.5) / 0.5
    expected = {}
    with torch.no_grad():
        for name, module in model.named_children():
            x = module(x)
            if isinstance(module, nn.ReLU):
                fired = (x > 0).amax(dim=[0, *range(2, x.dim())])
                expected[name] = (~fired).nonzero().flatten().tolist()
    found = dead_units(model, images, (0.5,), (0.5,))
    assert {layer.name: list(layer.dead) for layer in found} == expected
    assert expected["relu3"], "some units must be dead for this test to say something"


def test_each_call_of_a_shared_relu_is_a_line_of_its_own():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(1, 1), relu, nn.Linear(1, 1), relu)
    assert [layer.name for layer in dead_units(model, torch.ones(300, 1))] == ["1", "3"]


def test_each_call_by_the_same_name_is_a_line_of_its_own():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(self.act(x) + 1)

    assert [layer.name for layer in dead_units(nn.Sequential(Twice()), torch.ones(300, 1))] == ["0.act", "0.act (call 2)"]


def test_a_network_without_relu_has_no_dead_units():
    assert dead_units(nn.Linear(2, 2), torch.ones(1, 2)) == []
    with pytest.raises(ValueError, match="no images"):
        dead_units(nn.Linear(2, 2), torch.ones(0, 2))


def test_hooks_and_modes_are_as_before_after_an_exception():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Dropout(), nn.Linear(3, 1)).train()
    model[2].eval()
    with pytest.raises(RuntimeError):
        dead_units(model, torch.ones(1, 2))
    assert [module.training for module in model] == [True, True, False, True] and model.training
    assert not any(module._forward_hooks for module in model.modules())
