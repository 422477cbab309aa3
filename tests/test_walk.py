"""A batch on its way through networks: shapes and values against hooks of our own, and a model left as it was."""

import threading

import pytest
import torch
from hypothesis import given, settings, strategies
from torch import nn
from torch.nn import functional as F

from core.data import normalize
from core.inspection import InspectionError, describe_layers, layer_of, picture_before, walk
from core.inspection.activations.walk import BETWEEN, IMAGE, NORMALISED, VALUES_KEPT
from core.models import ARCHITECTURES, CNNConfig, build
from core.runs import load_model
from core.training import prepare
from tests.helpers import tiny
from tests.shared_networks import random_shared


def cnn() -> nn.Module:
    return build(CNNConfig(channels=(4, 8), batch_norm=True, dropout=0.5, fc_width=16), (1, 28, 28), 10, seed=0)


def fingerprint(model: nn.Module) -> dict[str, object]:
    """All that an inspection may not change."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()],
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "gradients": [parameter.grad for parameter in model.parameters()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "random": torch.random.get_rng_state().tolist(),
    }


def assert_same(before: dict[str, object], after: dict[str, object]) -> None:
    state = before.pop("state"), after.pop("state")
    assert before == after
    assert state[0].keys() == state[1].keys()
    assert all(torch.equal(state[0][name], state[1][name]) for name in state[0])


# --- what is recorded


def test_the_classic_batch_of_three():
    """Three random pictures through 784-50-10: the shapes that learners print."""
    model = build(ARCHITECTURES["mlp"].config(), (1, 28, 28), 10, seed=0)
    images = torch.rand(3, 1, 28, 28)
    stages = walk(model, images)
    assert [(stage.name, stage.kind, stage.shape) for stage in stages] == [
        ("image", IMAGE, (3, 1, 28, 28)), ("flatten", "Flatten", (3, 784)), ("fc1", "Linear", (3, 50)),
        ("relu1", "ReLU", (3, 50)), ("fc2", "Linear", (3, 10))]
    assert [stage.is_activation for stage in stages] == [False, False, False, True, False]
    assert torch.equal(stages[-1].values, model.eval()(images)[0])


def test_statistics_by_hand():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 1.0]]))
    _, linear, relu = walk(model, torch.tensor([[1.0, 2.0], [0.0, 1.0]]))  # outputs (−3, 5) and (−2, 1)
    assert (linear.minimum, linear.maximum, linear.mean, linear.zeros) == (-3, 5, 0.25, 0)
    assert linear.values.tolist() == [-3, 5]
    assert (relu.minimum, relu.maximum, relu.mean, relu.zeros) == (0, 5, 1.5, 0.5)
    assert relu.values.tolist() == [0, 5]


@pytest.mark.parametrize("name", [name for name, spec in ARCHITECTURES.items() if "images" in spec.takes])
def test_every_architecture_agrees_with_its_layer_table(name):
    model = build(ARCHITECTURES[name].config(), (1, 28, 28), 10, seed=0)
    stages = [stage for stage in walk(model, torch.rand(2, 1, 28, 28)) if stage.path is not None]
    rows = [row for row in describe_layers(model, (1, 28, 28)) if row.output_shape]
    assert [(stage.name, stage.kind, stage.shape[1:]) for stage in stages] == [(r.name, r.kind, r.output_shape) for r in rows]
    for stage in stages:
        assert type(layer_of(model, stage)).__name__ == stage.kind


def test_resnet18_values_are_those_of_plain_hooks():
    from core.torchvision_guard import torchvision

    model = torchvision.models.resnet18(num_classes=10).eval()
    image = torch.rand(1, 3, 32, 32)
    seen: list[torch.Tensor] = []
    handles = [module.register_forward_hook(lambda module, args, output: seen.append(output[0].clone()))
               for module in model.modules() if not list(module.children())]
    with torch.no_grad():
        model(image)
    for handle in handles:
        handle.remove()
    stages = walk(model, image)
    layers = [stage for stage in stages if stage.path is not None]
    assert len(layers) == len(seen) == 60
    assert all(torch.equal(stage.values, values) for stage, values in zip(layers, seen, strict=True))
    # the additions of eight shortcuts and the flatten happen in forward, in no layer
    between = [stage for stage in stages if stage.kind == BETWEEN]
    assert [stage.name for stage in between] == [f"before layer{n}.{i}.relu" for n in range(1, 5) for i in (0, 1)] + ["before fc"]
    second = next(place for place, stage in enumerate(stages) if stage.name == "before layer1.0.relu")
    assert torch.allclose(stages[second].values, stages[4].values + stages[second - 1].values), "the input plus bn2's output"
    assert stages[second + 1].source == second
    assert torch.equal(stages[second + 1].values, stages[second].values.relu())


def test_vgg16_has_its_activations_before_and_after():
    from core.torchvision_guard import torchvision

    with torch.device("meta"):
        model = torchvision.models.vgg16(num_classes=3)
    model = model.to_empty(device="cpu")
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.01, 0.01)
    stages = walk(model, torch.rand(1, 3, 32, 32), limit=100)
    relus = [stage for stage in stages if stage.kind == "ReLU"]
    assert len(relus) == 15
    for relu in relus:  # torchvision's change their input in place; what is kept of it is from before
        before = stages[relu.source]
        assert before.kind in {"Conv2d", "Linear"} and before.minimum < 0 <= relu.minimum
        assert torch.equal(relu.values, before.values.relu())


class Functional(nn.Module):
    """As learners write it: the activations and the flatten are calls in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.fc = nn.Linear(2 * 4 * 4, 3)

    def forward(self, x):
        x = F.relu(self.conv(x))
        return torch.sigmoid(self.fc(x.view(x.size(0), -1)))


def test_what_forward_computes_itself_is_shown_between_layers():
    model = Functional()
    stages = walk(model, torch.rand(2, 1, 6, 6))
    assert [(stage.name, stage.kind, stage.shape) for stage in stages[1:]] == [
        ("conv", "Conv2d", (2, 2, 4, 4)), ("before fc", BETWEEN, (2, 32)), ("fc", "Linear", (2, 3)), ("output", BETWEEN, (2, 3))]
    assert torch.equal(stages[2].values, stages[1].values.relu().flatten())
    assert torch.equal(stages[4].values, stages[3].values.sigmoid())


def test_a_checkpoint_sees_its_own_normalisation(trained):
    found = load_model(trained[0], trained[1].id)
    images = torch.rand(1, *found.input_shape)
    stages = walk(found.model, images, found.mean, found.std)
    logits = stages[-1].values
    assert torch.allclose(logits.softmax(0), found.predict(images)[0])


def test_normalising_is_a_stage_of_its_own():
    images = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
    stages = walk(cnn(), images, (0.5,), (0.5,))
    assert [stage.kind for stage in stages[:2]] == [IMAGE, NORMALISED]
    assert stages[0].maximum <= 1 and stages[1].minimum < 0
    assert torch.allclose(stages[1].values, normalize(images, (0.5,), (0.5,))[0])


def test_bytes_are_brought_to_one(digits):
    config = tiny()
    _, model = prepare(config, None)
    images = digits.train.take(torch.arange(2))[0]
    assert torch.allclose(walk(model, images)[-1].values, model.eval()(images.float() / 255)[0], atol=1e-6)


def test_only_so_many_values_are_kept():
    model = nn.Sequential(nn.Conv2d(1, 6, 1), nn.Flatten())
    _, conv, flat = walk(model, torch.rand(1, 1, 10, 10), limit=250)
    assert tuple(conv.values.shape) == (2, 10, 10) and not conv.complete
    assert tuple(flat.values.shape) == (250,) and not flat.complete
    _, whole, _ = walk(model, torch.rand(1, 1, 10, 10))
    assert tuple(whole.values.shape) == (6, 10, 10) and whole.complete
    image = walk(nn.Identity(), torch.rand(1, 1, 2000, 2000))[0]
    assert 0.9 * VALUES_KEPT < image.values.numel() <= VALUES_KEPT


def test_infinite_and_nan_values_are_counted_and_left_out():
    class Breaks(nn.Module):
        def forward(self, x):
            return torch.tensor([[1.0, float("nan"), float("inf"), 0.0]])

    model = nn.Sequential(Breaks(), nn.Identity())
    stage = walk(model, torch.rand(1, 4))[1]
    assert (stage.minimum, stage.maximum, stage.mean, stage.not_finite, stage.zeros) == (0, 1, 0.5, 2, 0.25)


def test_a_shared_layer_has_a_stage_for_each_call():
    layer = nn.Linear(3, 3)
    stages = walk(nn.Sequential(layer, nn.ReLU(), layer), torch.rand(1, 3))
    assert [stage.name for stage in stages] == ["image", "0", "1", "2"]


class Reversed(nn.Sequential):
    def forward(self, x):
        for part in reversed(self):
            x = part(x)
        return x


def test_a_shared_layers_stage_has_its_callers_name():
    """0(1(x)), where both hold the same layer: 1's call comes first."""
    layer = nn.Linear(3, 3)
    stages = walk(Reversed(nn.Sequential(layer), nn.Sequential(layer)), torch.rand(1, 3))
    assert [stage.name for stage in stages] == ["image", "1.0", "0.0"]


@pytest.mark.parametrize("seed", range(10))
def test_networks_that_share_agree_with_their_layer_table(seed):
    plan, shape = random_shared(seed)
    model = plan.build()
    stages = [stage for stage in walk(model, torch.rand(2, *shape)) if stage.path is not None]
    rows = [row for row in describe_layers(model, shape) if row.input_shape]
    assert [(stage.name, stage.kind, stage.shape[1:]) for stage in stages] == [(r.name, r.kind, r.output_shape) for r in rows]
    assert all(type(layer_of(model, stage)).__name__ == stage.kind for stage in stages)


def test_a_shared_layer_that_does_not_fit_is_named_by_its_caller():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(nn.Sequential(layer), nn.Linear(3, 2), nn.Sequential(layer))
    with pytest.raises(InspectionError, match=r"^2\.0 \(Linear\) received 2 features and needs 3$"):
        walk(model, torch.rand(1, 3))


def test_where_a_row_of_numbers_was_a_picture():
    stages = walk(cnn(), torch.rand(1, 1, 28, 28))
    names = [stage.name for stage in stages]
    assert picture_before(stages, names.index("flatten")) == (8, 7, 7)
    assert picture_before(stages, names.index("fc2")) is None
    mlp = walk(build(ARCHITECTURES["mlp"].config(), (1, 28, 28), 10), torch.rand(1, 1, 28, 28))
    assert picture_before(mlp, 1) == (1, 28, 28)


@settings(max_examples=25)
@given(widths=strategies.lists(strategies.integers(1, 12), min_size=1, max_size=5), batch=strategies.integers(1, 4),
       seed=strategies.integers(0, 1000))
def test_any_stack_agrees_with_running_it_layer_by_layer(widths, batch, seed):
    torch.manual_seed(seed)
    layers = [layer for a, b in zip([5, *widths], widths, strict=False)
              for layer in (nn.Linear(a, b), nn.ReLU(inplace=bool(a % 2)))]
    x = torch.randn(batch, 5)
    stages = walk(nn.Sequential(*layers), x)
    for layer, stage in zip(layers, stages[1:], strict=True):
        x = layer(x.clone()).detach()
        assert stage.shape == tuple(x.shape)
        assert torch.allclose(stage.values, x[0])
        assert stage.maximum == pytest.approx(float(x.max()))


# --- the model is as it was


def test_modes_hooks_weights_and_random_state_are_as_before():
    model = cnn().train()
    model.bn1.eval()  # a part that differs from the whole
    images = torch.rand(2, 1, 28, 28)
    before, kept = fingerprint(model), images.clone()
    walk(model, images)
    assert_same(before, fingerprint(model))
    assert torch.equal(images, kept)


class Fails(nn.Module):
    def forward(self, x):
        self.seen = x
        raise ZeroDivisionError("in the middle\nof it all")


def test_modes_and_hooks_are_as_before_after_an_exception():
    model = nn.Sequential(cnn().train(), nn.Dropout(), Fails())
    model[1].eval()
    images = torch.rand(2, 1, 28, 28)
    before = fingerprint(model)
    with pytest.raises(InspectionError) as error:
        walk(model, images)
    assert str(error.value) == "2 (Fails) received shape (2, 10) and can't use it: in the middle"
    assert_same(before, fingerprint(model))


def test_ctrl_c_also_leaves_the_model_as_it_was():
    class Interrupted(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    model = nn.Sequential(nn.Linear(2, 2), Interrupted()).train()
    before = fingerprint(model)
    with pytest.raises(KeyboardInterrupt):
        walk(model, torch.ones(1, 2))
    assert_same(before, fingerprint(model))


def test_a_buffer_that_forward_counts_up_gets_its_value_back():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls += 1
            return x + self.calls

    model = Counts()
    assert walk(model, torch.zeros(1, 3))[1].values.tolist() == [1, 1, 1]
    assert float(model.calls) == 0


def test_an_activation_in_place_does_not_change_the_images():
    images = torch.full((1, 3), -1.0)
    stages = walk(nn.Sequential(nn.ReLU(inplace=True)), images)
    assert images.tolist() == [[-1, -1, -1]] and stages[0].values.tolist() == [-1, -1, -1]
    assert stages[1].values.tolist() == [0, 0, 0]


def test_another_thread_that_uses_the_model_meanwhile_is_not_recorded():
    class Waits(nn.Module):
        """Lets another thread run the whole network in the middle of the walk."""

        def forward(self, x):
            if threading.current_thread() is threading.main_thread():
                other = threading.Thread(target=lambda: answers.append(model(torch.ones(5, 3))))
                other.start()
                other.join()
            return x

    answers: list[torch.Tensor] = []
    model = nn.Sequential(nn.Linear(3, 3), Waits(), nn.ReLU())
    stages = walk(model, torch.ones(1, 3))
    assert answers[0].shape == (5, 3)
    assert [stage.shape for stage in stages] == [(1, 3)] * 4


# --- what does not fit


@pytest.mark.parametrize(("shape", "line"), [
    ((1, 3, 28, 28), "conv1 (Conv2d) received 3 channels and needs 1"),
    ((1, 1, 20, 20), "fc1 (Linear) received 200 features and needs 392"),
    ((0, 1, 28, 28), "images have shape (0, 1, 28, 28); at least one image (N, C, H, W) is needed"),
    ((28,), "images have shape (28,); at least one image (N, C, H, W) is needed"),
])
def test_images_that_do_not_fit_get_one_line(shape, line):
    with pytest.raises(InspectionError) as error:
        walk(cnn(), torch.zeros(shape))
    assert str(error.value) == line
