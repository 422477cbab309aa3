"""Points that are computed: the notes' own by their formula, the others by their geometry; and number prediction throughout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from torch import nn

from core.config import RunConfig, SGDConfig, TrainingConfig
from core.data import DATASETS, DataConfig, DataError, default_config, load, outline
from core.data.sources.generated import RULES, TEST_POINTS
from core.evaluation import evaluate
from core.fields import ConfigError
from core.models import MLPConfig
from core.presets import PRESETS
from core.runs import RunStore, load_model
from core.runs.execute import execute
from core.training import Epoch, Step, fit, prepare

NOWHERE = Path("no files needed")


def points(name: str, **values):
    return load(default_config(name).model_copy(update=values), NOWHERE)


@pytest.mark.parametrize("name", RULES)
def test_shapes_and_splits(name):
    data = points(name, points=40, validation=30)
    shape = outline(data_config := default_config(name))
    assert (shape.input_shape, shape.source_classes, shape.target) == (data.input_shape, data.source_classes, data.target)
    assert data.kind == shape.kind == "points" and data_config.dataset == data.name
    assert [len(data.train), len(data.validation), len(data.test)] == [40, 30, TEST_POINTS]
    for split in (data.train, data.validation, data.test):
        assert split.images.dtype == torch.float32 and torch.isfinite(split.images).all()
        assert len(split.labels) == len(split.images)
        if data.target == "classes":
            assert split.labels.dtype == torch.int64 and set(split.labels.tolist()) == {0, 1}
            assert sum(split.counts(2)) == len(split)
        else:
            assert split.labels.dtype == torch.float32 and split.counts(0) == []


@pytest.mark.parametrize("name", RULES)
def test_the_seed_decides_everything_and_no_split_depends_on_anothers_size(name):
    first, again, other = points(name), points(name), points(name, split_seed=1)
    assert torch.equal(first.train.images, again.train.images) and torch.equal(first.train.labels, again.train.labels)
    assert not torch.equal(first.train.images, other.train.images)
    more = points(name, validation=77)
    assert torch.equal(first.train.images, more.train.images) and torch.equal(first.test.images, more.test.images)
    assert not torch.equal(first.train.images[:10], first.test.images[:10])


def test_circle_is_the_notes_formula():
    data = points("circle", split_seed=5)
    torch.manual_seed(5)
    x = torch.randn(100, 2)
    assert torch.equal(data.train.images, x)
    assert torch.equal(data.train.labels, (x[:, 0] ** 2 + x[:, 1] ** 2 < 1).long())


def test_linear_is_the_notes_formula():
    data = points("linear", split_seed=3)
    torch.manual_seed(3)
    x = torch.randn(100, 2)
    expected = x @ torch.tensor([2.0, 3.0]) + 4 + torch.randn(100) * 0.1
    assert torch.equal(data.train.images, x) and torch.allclose(data.train.labels, expected, atol=1e-6)


def test_random_labels_are_the_notes_ten():
    torch.manual_seed(0)
    data = points("random_labels")
    assert torch.equal(data.train.images, torch.randn(10, 10))
    assert data.train.labels.tolist() == [1, 0, 0, 1, 1, 1, 0, 0, 1, 1]


def test_geometry_without_noise():
    square = points("xor", noise=0.0, points=500).train
    assert torch.equal(square.labels, ((square.images[:, 0] > 0) == (square.images[:, 1] > 0)).long())
    spiral = points("spirals", noise=0.0, points=500).train
    radius = spiral.images.norm(dim=1)
    angle = torch.atan2(spiral.images[:, 0], spiral.images[:, 1])
    turns = (3.5 * torch.pi * (radius / 2) + torch.pi * spiral.labels - angle) / (2 * torch.pi)
    assert torch.allclose(turns, turns.round(), atol=1e-3)


def test_moons_lie_on_scikit_learns():
    mine = points("moons", noise=0.0, points=300).train
    theirs, labels = make_moons(4000, shuffle=False, noise=None)
    for label in (0, 1):
        ours = mine.images[mine.labels == label].numpy() / 1.5 + [0.5, 0.25]
        distance = np.linalg.norm(ours[:, None] - theirs[labels == label][None], axis=2).min(1)
        assert distance.max() < 2e-3, "two neighbours of theirs are 1.6e-3 apart"


@pytest.mark.parametrize("name", [name for name in RULES if name not in {"linear", "hills", "random_labels"}])
def test_noise_moves_points_by_its_size(name):
    calm, noisy = points(name, noise=0.0, points=4000).train, points(name, noise=0.3, points=4000).train
    if name == "blobs":  # noise widens the clouds
        centres = torch.tensor([[-1.2, -1.2], [1.2, 1.2]])[calm.labels]
        spread = (noisy.images - calm.images).norm() / (calm.images - centres).norm()
        assert float(spread) == pytest.approx(1.0, abs=0.01)
        return
    assert float((noisy.images - calm.images).std()) == pytest.approx(0.3, rel=0.05)
    assert torch.equal(noisy.labels, calm.labels)


def test_standard_normalisation_is_by_feature():
    data = points("linear", normalization="standard")
    x = data.train.images.double().numpy()
    assert data.mean == pytest.approx(x.mean(0)) and data.std == pytest.approx(x.std(0))


@pytest.mark.parametrize(("values", "words"), [
    ({"variations": 2}, "Set it to 0"),
    ({"task": "is_target", "target": 2}, "classes 0 to 1"),
])
def test_what_points_can_not_be(values, words):
    with pytest.raises(DataError, match=words):
        points("circle", **values)


def test_numbers_have_no_classes_to_ask_for():
    with pytest.raises(DataError, match="numbers to predict"):
        points("linear", task="is_target")


def test_numbers_need_their_loss():
    config = PRESETS["linear-regression"].config.with_values({"training.loss": "cross_entropy"})
    with pytest.raises(ConfigError, match="numbers are predicted with mse"):
        prepare(config, NOWHERE)


def reference(config: RunConfig, network: nn.Module, loss, x, y) -> list[float]:
    """The notes' loop: all points in one batch, plain gradient descent."""
    optimizer = torch.optim.SGD(network.parameters(), lr=config.training.optimizer.learning_rate)
    losses = []
    for _ in range(config.training.epochs):
        value = loss(network(x), y)
        losses.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return losses


@pytest.mark.parametrize("name", ["circle-2d", "toy-sigmoid", "linear-regression"])
def test_presets_reproduce_a_plain_script(name):
    config = PRESETS[name].config
    data, model = prepare(config, NOWHERE)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    plain = [nn.Linear(layer.in_features, layer.out_features) for layer in layers]
    for mine, theirs in zip(layers, plain, strict=True):
        theirs.load_state_dict(mine.state_dict())
    x, labels = data.train.images.clone(), data.train.labels.clone()
    hidden = [plain[0], nn.ReLU(), *plain[1:]] if len(plain) > 1 else plain
    if name == "linear-regression":
        expected = reference(config, nn.Sequential(*hidden, nn.Flatten(0)), nn.MSELoss(), x, labels)
    else:
        loss = nn.BCELoss() if name == "circle-2d" else nn.MSELoss()
        expected = reference(config, nn.Sequential(*hidden, nn.Sigmoid()), loss, x, labels.float().unsqueeze(1))
    losses = [event.loss for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Step)]
    assert losses == pytest.approx(expected, abs=1e-5)
    if name == "linear-regression":
        assert layers[0].weight[0].tolist() == pytest.approx([2, 3], abs=0.05)
        assert layers[0].bias.item() == pytest.approx(4, abs=0.05)


def test_numbers_are_never_right_or_wrong():
    config = RunConfig(data=default_config("linear"), model=MLPConfig(hidden=()),
                       training=TrainingConfig(loss="mse", optimizer=SGDConfig(learning_rate=0.05), epochs=2, batch_size=32))
    data, model = prepare(config, NOWHERE)
    events = list(fit(config, data, model, torch.device("cpu")))
    assert all(event.accuracy is None for event in events if isinstance(event, Step))
    assert all((event.train_accuracy, event.validation_accuracy) == (None, None) for event in events if isinstance(event, Epoch))
    result = evaluate(model, data, config)
    assert result.accuracy is None and result.confusion.shape == (0, 0)
    predicted = model(data.test.images)[:, 0]
    assert result.loss == pytest.approx((predicted - data.test.labels).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("name", ["circle-2d", "linear-regression"])
def test_a_run_from_start_to_its_trained_model(name, tmp_path, settings):
    config = PRESETS[name].config.with_values({"training.epochs": 30})
    store = RunStore(tmp_path / "runs")
    run_id = store.create_running(config, owner="me", worker="here").id
    run = execute(store, store.get(run_id), settings)
    assert run.status == "finished", run.message
    assert (run.test_accuracy is None) == (name == "linear-regression") and run.test_loss is not None
    trained = load_model(store, run_id)
    data = load(config.data, NOWHERE)
    answers = trained.predict(data.test.images)
    if name == "linear-regression":
        assert answers.shape == (TEST_POINTS, 1) and trained.classes == ()
        assert run.test_loss == pytest.approx(float((answers[:, 0] - data.test.labels).square().mean()), rel=1e-4)
    else:
        assert answers.shape == (TEST_POINTS, 2) and torch.allclose(answers.sum(1), torch.ones(TEST_POINTS))
        assert run.test_accuracy == pytest.approx(float((answers.argmax(1) == data.test.labels).float().mean()))


def test_every_generated_set_has_its_facts():
    for name in RULES:
        spec = DATASETS[name]
        assert spec.summary.endswith((".", "?")) and spec.is_available(NOWHERE)
        assert spec.counts == (RULES[name].points, TEST_POINTS)
        assert isinstance(default_config(name), DataConfig)
