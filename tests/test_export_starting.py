"""A script starts from the same weights as the run, freezes the same layers, has the same groups: its losses are the run's."""

import io

import pytest
import torch

from core.config import RunConfig
from core.data import load
from core.export import points_script, script
from core.export.forward import ExportError
from core.export.start_code import START
from core.presets import PRESETS
from core.runs import RunStore
from core.runs.starting import starting_model
from core.settings import Settings
from core.takeaway import Subject, file_name, take
from core.training import Command, Epoch, Intervention, fit
from tests.helpers import run_here, tiny
from tests.scripts import run_text
from tests.test_control import Script
from tests.test_starting import MOBILE, SMALL, checked, content, pretrained_here, put, stand_in  # noqa: F401  (fixtures)

SEVEN, THREE = ["0", "1", "2", "3", "4", "5", "6"], ["7", "8", "9"]
# where batch norm learns, the bias before it gets gradients of rounding alone, of which Adam makes whole steps: so it is frozen
DROPS = SMALL | {"model__dropout": 0.2}
NORMED = DROPS | {"model__batch_norm": True}
FEW = {"data__only_classes": THREE, "data__fraction": 0.3, "training__epochs": 3, "training__batch_size": 20,
       "training__optimizer": {"name": "adamw", "weight_decay": 0.1, "learning_rate": 0.005}}
WAYS = {
    "the last layer alone": {"training__trainable": "last_layer"},
    "the first layer frozen": {"training__frozen_first": 1},
    "linear layers, l1, clipping": {"training__trainable": "linear_layers", "training__l1": 0.001,
                                    "training__gradient_clipping": 0.5},
    "all, slower below": {"training__rate_below_last": 0.1, "training__gradient_clipping": 0.5},
    **{f"slower below, {name}": {"training__rate_below_last": 0.2, "training__trainable": "linear_layers",
                                 "training__schedule": {"name": name} | more}
       for name, more in {"cosine": {"final": 0.1}, "one_cycle": {}, "warm_up": {}, "plateau": {"patience": 0}, "step": {
           "every": 1}}.items()},
}


@pytest.fixture(scope="module")
def source(places):
    """Runs of seven digits in a store of their own, without batch norm and with."""
    settings = Settings(places / "data", places / "export-starting", places / "cache")
    store = RunStore(settings.runs_dir)
    yield store, settings, [run_here(store, settings, tiny(**kind, data__only_classes=SEVEN)) for kind in (DROPS, NORMED)]
    store.close()


def losses(config: RunConfig, store, settings, control=None) -> tuple[list[float], list[Intervention], dict]:
    """Training and validation loss of each epoch, what was changed by hand, and the weights that it began with."""
    data = load(config.data, settings.data_dir, settings.cache_dir)
    model = starting_model(store, config, data, settings)
    began = {name: value.clone() for name, value in model.state_dict().items()}
    found, done = [], []
    for event in fit(config, data, model, torch.device("cpu"), control):
        if isinstance(event, Epoch):
            found += [event.train_loss, event.validation_loss]
        elif isinstance(event, Intervention):
            done.append(event)
    return found, done, began


@pytest.mark.parametrize("name", WAYS)
def test_a_script_that_starts_from_a_run_gives_its_losses(name, source, tmp_path):
    store, settings, (plain, normed) = source
    kind, first = (NORMED, normed) if WAYS[name].keys() & {"training__trainable", "training__frozen_first"} else (DROPS, plain)
    config = tiny(**kind | FEW | WAYS[name], training__start_from=first.id)
    expected, _, began = losses(config, store, settings)
    path = tmp_path / "train.py"
    path.write_text(script(config, settings.data_dir, fast=name == "all, slower below"), encoding="utf-8")
    torch.save(began, tmp_path / START)
    assert run_text(path)[0] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_a_rate_that_was_changed_by_hand_scales_both_groups(schedule, source, tmp_path):
    store, settings, (first, _) = source
    config = tiny(**DROPS | FEW | {"training__schedule": {"name": schedule} | (
        {"final": 0.2} if schedule == "cosine" else {})}, training__start_from=first.id, training__rate_below_last=0.2)
    control = Script(*[Command()] * 4, Command(learning_rate=0.02))
    expected, done, began = losses(config, store, settings, control)
    assert [one.what for one in done] == ["learning_rate"]
    path = tmp_path / "train.py"
    torch.save(began, tmp_path / START)
    path.write_text(script(config, settings.data_dir, interventions=done), encoding="utf-8")
    assert run_text(path)[0] == pytest.approx(expected, abs=2e-5)


def test_the_file_that_a_script_reads_is_taken_away(source, tmp_path):
    """From the run's own record: the other run is needed no more. Without the file the script says so in one line."""
    store, settings, (_, first) = source
    config = tiny(**NORMED | FEW | WAYS["the last layer alone"], training__start_from=first.id, training__threads=1,
                  training__moments=0)
    run = run_here(store, settings, config)
    subject = Subject(store, run, settings)
    path = tmp_path / "train.py"
    path.write_bytes(take(subject, "script"))
    with pytest.raises(SystemExit, match="start.pth, the weights that this run started with, can't be read: No such file"):
        run_text(path)
    assert file_name(subject, "start") == START and f"are in {START}" in path.read_text(encoding="utf-8")
    (tmp_path / START).write_bytes(take(subject, "start"))
    series = store.metrics(run.id, names=("train_loss", "validation_loss")).series
    expected = [value for pair in zip(series["train_loss"][1], series["validation_loss"][1], strict=True) for value in pair]
    assert run_text(path)[0] == pytest.approx(expected, abs=2e-5)


def test_any_run_has_weights_that_it_started_with(source):
    """Those of a fresh run are drawn again."""
    store, settings, (first, _) = source
    weights = torch.load(io.BytesIO(take(Subject(store, first, settings), "start")), weights_only=True)
    again = starting_model(store, first.config, load(first.config.data, settings.data_dir, settings.cache_dir), settings)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in weights.items())


@pytest.mark.parametrize("trainable", ["last_layer", "linear_layers"])
def test_a_script_that_starts_from_torchvisions_weights_gives_the_runs_losses(
        trainable, checked, stand_in, pretrained_here, monkeypatch, store, tmp_path):  # noqa: F811
    """With the file of what it started with beside it. Without it it asks torch hub, and draws the new layer itself."""
    monkeypatch.setattr("core.export.start_code.pretrained_weights", lambda model: pretrained_here)
    config = tiny(**MOBILE, training__trainable=trainable, training__rate_below_last=0.1, model__dropout=0.0)
    expected, _, began = losses(config, store, checked)
    path = tmp_path / "train.py"
    text = script(config, checked.data_dir)
    path.write_text(text, encoding="utf-8")
    torch.save(began, tmp_path / START)
    assert run_text(path)[0] == pytest.approx(expected, abs=5e-5)
    assert 'del weights["classifier.3.weight"], weights["classifier.3.bias"]' in text and "frozen_norms" in text
    (tmp_path / START).unlink()
    asked = []
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url",
                        lambda address, **more: asked.append((address, more["check_hash"])) or dict(stand_in))
    _, left = run_text(path)
    learned = left["model"].state_dict()
    assert asked == [(pretrained_here.address, True)]
    assert torch.equal(learned["features.0.0.weight"], stand_in["features.0.0.weight"].sum(1, keepdim=True))
    assert torch.equal(learned["features.12.1.running_var"], stand_in["features.12.1.running_var"])


def test_what_other_codes_can_not_say(places):
    circle = PRESETS["circle-2d"].config
    for change in ({"training.start_from": "a" * 32}, {"training.trainable": "last_layer"}, {"training.rate_below_last": 0.5}):
        with pytest.raises(ExportError, match="can't be written here; set it to its default"):
            points_script.points_script(circle.with_values(change))
