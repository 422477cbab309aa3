"""A run on points as a script: executed as it is written, it has the run's own losses, epoch by epoch."""

import re
import runpy
from pathlib import Path

import pytest
import torch

from core.config import RunConfig
from core.data import DataError, default_config, load
from core.data.sources.generated import RULES
from core.evaluation import evaluate
from core.export import ExportError, script
from core.export.points_script import points_script
from core.fields import ConfigError
from core.models.layers import DropoutConfig, LinearConfig, TanhConfig
from core.presets import PRESETS
from core.training import Epoch, fit, prepare

NOWHERE = Path("no files needed")
CIRCLE = PRESETS["circle-2d"].config.with_values({"training.epochs": 12})
SMALL = {"training.epochs": 6, "training.batch_size": 17}
BIG = SMALL | {"data.points": 60, "data.validation": 30, "data.noise": 0.1}
STACK = {"architecture": "stack", "layers": [LinearConfig(out_features=5).model_dump(), TanhConfig().model_dump(),
                                             DropoutConfig(share=0.1).model_dump(), LinearConfig(out_features=1).model_dump()]}
VARIANTS: dict[str, RunConfig] = {
    "the notes' circle": CIRCLE,
    "toy-sigmoid": PRESETS["toy-sigmoid"].config.with_values({"training.epochs": 5}),
    "linear-regression": PRESETS["linear-regression"].config.with_values({"training.epochs": 5}),
    "all inputs, added points": CIRCLE.with_values(BIG | {
        "data.features": ["x1", "x2", "x1_squared", "x2_squared", "x1_x2", "sin_x1", "sin_x2"],
        "data.added": [[0.5, -0.25, 1], [2, 2, 0]], "data.normalization": "standard"}),
    "l1, dropout, cross-entropy": CIRCLE.with_values(BIG | {
        "data.dataset": "xor", "training.l1": 0.01, "model.dropout": 0.2, "model.hidden": [8, 4], "model.activation": "tanh",
        "training.loss": "cross_entropy"}),
    "no activation, nll, momentum, weight decay": CIRCLE.with_values(BIG | {
        "data.dataset": "spirals", "model.activation": "identity", "training.loss": "nll", "training.optimizer.momentum": 0.9,
        "training.optimizer.weight_decay": 0.01, "training.optimizer.nesterov": True}),
    "adam, logits, the other class": CIRCLE.with_values(SMALL | {
        "data.dataset": "moons", "training.optimizer.name": "adam", "training.optimizer.beta1": 0.8, "data.normalization": "half",
        "training.loss": "bce_with_logits", "data.task": "is_target", "data.target": 0}),
    "hills, adamw": CIRCLE.with_values(SMALL | {
        "data.dataset": "hills", "training.loss": "mse", "training.optimizer.name": "adamw", "data.noise": 0.05}),
    "blobs, rmsprop, squared error": CIRCLE.with_values(SMALL | {
        "data.dataset": "blobs", "training.loss": "mse", "training.optimizer.name": "rmsprop",
        "training.optimizer.learning_rate": 0.001}),
    "softmax, numbers of one's own": CIRCLE.with_values(SMALL | {
        "model.activation": "softmax", "data.normalization": "channels", "data.channel_mean": [0.5, -0.25],
        "data.channel_std": [1.5]}),
    "adagrad": CIRCLE.with_values(SMALL | {"training.optimizer.name": "adagrad"}),
    "layers of one's own": CIRCLE.with_values(SMALL | {"model": STACK}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_script_has_the_losses_of_the_run(name, tmp_path, monkeypatch, capsys):
    config = VARIANTS[name]
    monkeypatch.chdir(tmp_path)
    text = points_script(config)
    assert "core" not in re.findall(r"^(?:from|import) (\w+)", text, re.M)
    Path("train.py").write_text(text, encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    said = capsys.readouterr().out
    losses = [float(number) for number in re.findall(r"^epoch \d+: loss ([\d.]+), validation", said, re.M)]
    validation = [float(number) for number in re.findall(r"validation loss ([\d.]+)$", said, re.M)]
    data, model = prepare(config, NOWHERE)
    epochs = [event for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Epoch)]
    assert losses == pytest.approx([event.train_loss for event in epochs], abs=2e-5)
    assert validation == pytest.approx([event.validation_loss for event in epochs], abs=2e-5)
    result = evaluate(model, data, config)
    assert float(re.search(r"test loss ([\d.]+)", said)[1]) == pytest.approx(result.loss, abs=2e-5)
    if result.accuracy is not None:
        assert float(re.search(r"test accuracy ([\d.]+)%", said)[1]) == pytest.approx(100 * result.accuracy, abs=0.01)
    assert Path("boundary.html").exists() == RULES[config.data.dataset].in_plane


@pytest.mark.parametrize("name", RULES)
def test_every_set_has_a_script_with_its_points(name, tmp_path, monkeypatch):
    config = CIRCLE.with_values({"data": default_config(name).model_dump(mode="json") | {"noise": 0.1},
                                 "training.loss": "mse", "training.epochs": 1})
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(points_script(config), encoding="utf-8")
    made = runpy.run_path("train.py")
    data = load(config.data, NOWHERE)
    for part, prefix in (("train", ""), ("validation", "validation_"), ("test", "test_")):
        assert torch.equal(made["inputs_of"](made[f"{prefix}points"]), data.split(part).images)
        assert torch.equal(made[f"{prefix}labels"], data.split(part).labels)


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"training.schedule.name": "cosine"}, ExportError, "schedule can't be written"),
    ({"training.initialization": "zeros"}, ExportError, "initialization can't be written"),
    ({"data.dataset": "digits"}, ExportError, "not computed"),
    ({"data.task": "is_target", "data.target": 5}, DataError, "classes 0 to 1"),
    ({"data.dataset": "linear", "training.loss": "bce"}, ConfigError, "mse"),
])
def test_what_a_script_can_not_say(change, error, words):
    with pytest.raises(error, match=words):
        points_script(CIRCLE.with_values(change))


@pytest.mark.parametrize("changes", [
    {"data.features": ["x2", "x1_x2", "sin_x1"]}, {"data.added": [[0.5, -0.25, 1], [2, 2, 0]]}, {"training.l1": 0.02},
    {"data.features": ["x1_squared", "x2_squared"], "data.normalization": "standard", "data.added": [[1, 1, 1]],
     "training.l1": 0.1, "training.gradient_clipping": 0.1}])
def test_the_general_script_says_what_the_lab_can(changes, tmp_path, monkeypatch, capsys):
    """With all points in one batch its losses are the run's too."""
    config = CIRCLE.with_values({"training.batch_size": 200} | changes)
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(script(config), encoding="utf-8")
    runpy.run_path("train.py")
    losses = [float(number) for number in re.findall(r"^epoch \d+: loss ([\d.]+), validation", capsys.readouterr().out, re.M)]
    data, model = prepare(config, NOWHERE)
    epochs = [event for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Epoch)]
    assert losses == pytest.approx([event.train_loss for event in epochs], abs=1.1e-4)
