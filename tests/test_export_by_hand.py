"""A run that was changed by hand, as a script: it makes the same changes between the same steps, and has the run's own losses."""

import json
import re
from pathlib import Path

import pytest
import torch

from core.__main__ import main
from core.config import RunConfig, read_config
from core.data import load
from core.export import config_file, layer_code, model_class, script
from core.export.points_script import points_script
from core.models import ARCHITECTURES, build
from core.models.layers import DropoutConfig, LinearConfig, TanhConfig
from core.presets import PRESETS
from core.training import Command, Epoch, Intervention, WeightEdit, build_for, fit
from core.training.by_hand import editable
from tests.helpers import run_here, tiny
from tests.scripts import run_text
from tests.test_control import Script

CIRCLE = PRESETS["circle-2d"].config.with_values({"training.epochs": 4, "training.batch_size": 25})
STACK = {"architecture": "stack", "layers": [LinearConfig(out_features=5).model_dump(), TanhConfig().model_dump(),
                                             DropoutConfig(share=0.1).model_dump(), LinearConfig(out_features=1).model_dump()]}
POINTS = {
    "2-4-1": (CIRCLE, ("fc1", "fc2")),
    "dropout, three layers": (CIRCLE.with_values({"model.hidden": [6, 4], "model.dropout": 0.2, "training.optimizer.name": "adam",
                                                  "training.l1": 0.01}), ("fc2", "fc3")),
    "layers of one's own": (CIRCLE.with_values({"model": STACK}), ("fc1", "fc2")),
}
IMAGES = {
    "the last layer alone": ({"training.trainable": "last_layer"}, ("fc1", "fc2")),
    "slower below": ({"training.rate_below_last": 0.3}, ("fc1", "fc2")),
    "a perceptron, adam": ({}, ("fc1", "fc2")),
    "convolutions": ({"model.architecture": "cnn", "model.channels": [4]}, ("fc1", "conv1")),
    **{f"schedule {name}": ({"training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.05,
                             "training.schedule.name": name} | more, ("fc1", "fc2")) for name, more in {
        "step": {"training.schedule.every": 1}, "cosine": {"training.schedule.final": 0.1}, "one_cycle": {}, "warm_up": {},
        "plateau": {"training.schedule.patience": 0}}.items()},
}


def changed(config: RunConfig, root: Path, layers: tuple[str, str], first: int) -> tuple[list[Intervention], list[float]]:
    """A run that is changed after `first` steps, and again later: what was done, and its losses, epoch by epoch."""
    data = load(config.data, root)
    edits = (WeightEdit(1, layers[0], 1, 1, 1.5), WeightEdit(2, layers[0], 1, 1, -0.75), WeightEdit(3, layers[1], 0, None, 0.5))
    rate = config.training.optimizer.learning_rate
    control = Script(*[Command()] * first, *[Command(learning_rate=3 * rate, edits=edits[:2])] * 5,
                     Command(learning_rate=0.5 * rate, edits=edits))
    done, losses = [], []
    for event in fit(config, data, build_for(config, data), torch.device("cpu"), control):
        if isinstance(event, Intervention):
            done.append(event)
        elif isinstance(event, Epoch):
            losses += [event.train_loss, event.validation_loss]
    assert [one.step for one in done] == [first] * 3 + [first + 5] * 2
    return done, losses


@pytest.mark.parametrize("name", POINTS)
def test_a_script_of_points_changes_the_same(name, tmp_path):
    config, layers = POINTS[name]
    done, expected = changed(config, tmp_path, layers, 3)
    path = tmp_path / "train.py"
    path.write_text(points_script(config, done), encoding="utf-8")
    assert run_text(path)[0] == pytest.approx(expected, abs=2e-5)
    path.write_text(points_script(config), encoding="utf-8")
    assert run_text(path)[0] != pytest.approx(expected, abs=1e-3), "they matter"


@pytest.mark.parametrize("fast", [False, True], ids=["loader", "fast"])
@pytest.mark.parametrize("name", IMAGES)
def test_a_script_of_images_changes_the_same(name, fast, places, tmp_path):
    changes, layers = IMAGES[name]
    config = tiny(training__epochs=3, training__batch_size=100).with_values(changes)
    done, expected = changed(config, places / "data", layers, 10)
    path = tmp_path / "train.py"
    path.write_text(script(config, places / "data", fast, done), encoding="utf-8")
    assert run_text(path)[0] == pytest.approx(expected, abs=2e-5)
    path.write_text(script(config, places / "data", fast), encoding="utf-8")
    assert run_text(path)[0] != pytest.approx(expected, abs=1e-4), "they matter"


def test_a_script_names_each_change():
    rate = CIRCLE.training.optimizer.learning_rate
    done = [Intervention(1, 0, "learning_rate", rate, 0.25), Intervention(2, 7, "weight", -1 / 3, 2.0, "fc1", 3, 0, 1),
            Intervention(3, 7, "weight", 0.0, 1e-3, "fc2", 0, None, 2)]
    text = points_script(CIRCLE, done)
    for line in ('optimizer.param_groups[0]["lr"] = 0.25  # learning rate 0.25, was 0.1',
                 "model[0].weight[3, 0] = 2.0  # was -0.3333", "model[2].bias[0] = 0.001  # was 0"):
        assert line in text
    assert text.count("    if step == 7:\n") == 1 and len(re.findall("change_by_hand", text)) == 2
    assert "by_hand" not in points_script(CIRCLE) and "by_hand" not in script(CIRCLE)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "text_embedding"])  # texts have no script
def test_each_layer_is_found_in_the_class(name):
    config = ARCHITECTURES[name].config()
    with torch.device("meta"):
        network = build(config, (1, 32, 32), 10)
        made: dict = {}
        exec(model_class(config, (1, 32, 32), 10, name="Made"), made)  # our own text
        ours = made["Made"]()
    layers = editable(network)
    assert layers
    for layer in layers:
        own, theirs = network.get_submodule(layer), eval(layer_code(network, layer, "ours"), {"ours": ours})
        assert type(own) is type(theirs) and own.weight.shape == theirs.weight.shape, layer
    order = {id(weight): number for number, weight in enumerate(ours.parameters())}
    weights = [eval(layer_code(network, layer, "ours"), {"ours": ours}).weight for layer in layers]
    assert [order[id(weight)] for weight in weights] == sorted(order[id(weight)] for weight in weights), "one by one, in order"
    assert len(set(map(id, weights))) == len(layers)


def test_names_of_layers_in_the_class():
    block = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    network = torch.nn.Sequential(torch.nn.Flatten(), block, torch.nn.Linear(2, 2))
    assert layer_code(network, "2") == "model.fc1" and layer_code(network, "1.2") == "model.sequential1[2]"


def test_a_config_file_names_them(store, settings):
    run = run_here(store, settings, tiny(), Script(Command(), Command(learning_rate=0.5, edits=(
        WeightEdit(4, "fc1", 2, 3, 1.0), WeightEdit(5, "fc2", 1, None, 0.0)))))
    done = store.interventions(run.id)
    written = json.loads(config_file(run.config, done))
    rate, weight, bias = written["changed_by_hand"]
    assert rate == {"step": 1, "what": "learning_rate", "before": 0.001, "after": 0.5}
    assert weight == {"step": 1, "what": "weight", "layer": "fc1", "row": 2, "column": 3, "before": done[1].before, "after": 1.0}
    assert bias == {"step": 1, "what": "weight", "layer": "fc2", "row": 1, "before": done[2].before, "after": 0.0}
    assert read_config(written) == read_config(json.dumps(written)) == run.config
    assert "changed_by_hand" not in json.loads(config_file(run.config))


def test_the_command_writes_them_too(store, settings, capsys):
    run = run_here(store, settings, tiny(), Script(Command(), Command(learning_rate=0.5)))
    where = ["--runs", str(settings.runs_dir), "--data", str(settings.data_dir)]
    assert main(["export", run.id, *where]) == 0
    text = capsys.readouterr().out
    assert text == script(run.config, settings.data_dir, interventions=store.interventions(run.id)) and "was 0.001" in text
    assert main(["export", run.id, "--set", "training.epochs=2", *where]) == 0
    assert "by_hand" not in capsys.readouterr().out, "with other settings it is another run"
