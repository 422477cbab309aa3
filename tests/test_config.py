"""The one description of a run: defaults, JSON, dotted changes, and errors that fit on one line."""

import json
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.config import OPTIMIZERS, AdamConfig, RunConfig, SGDConfig, read_config
from core.fields import ConfigError, bounds_of, describe
from core.models import ARCHITECTURES, CNNConfig, MLPConfig, SoftmaxRegressionConfig


def test_defaults():
    config = RunConfig()
    assert (config.data.dataset, config.data.task, config.data.validation) == ("mnist", "classes", 5000)
    assert config.model == MLPConfig(hidden=(50,))
    assert config.training.optimizer == AdamConfig(learning_rate=0.001)
    assert (config.training.batch_size, config.training.epochs, config.training.seed) == (64, 5, 0)


@pytest.mark.parametrize("model", [spec.config() for spec in ARCHITECTURES.values()] + [
    MLPConfig(hidden=()), CNNConfig(channels=(1, 2, 3), dropout=0.1)])
@pytest.mark.parametrize("optimizer", [kind() for kind in OPTIMIZERS.values()])
def test_json_round_trip(model, optimizer):
    config = RunConfig(model=model, training={"optimizer": optimizer})
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert read_config(config.model_dump_json()) == config
    assert read_config(config.model_dump_json().encode()) == config
    assert read_config(json.loads(config.model_dump_json())) == config


def test_a_config_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().training = None


# Any JSON at all, and dicts that are nearly right, so that the errors of deep fields are reached too
ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                   max_leaves=8)
VALUE = ANY | st.sampled_from(["cnn", "mlp", "sgd", "adam", "mnist", -1, 0, 1, 10**6, 0.5])
MODEL = st.dictionaries(st.sampled_from(["architecture", "hidden", "channels", "kernel", "dropout", "fc_width", "head"]), VALUE)
OPTIMIZER = st.dictionaries(st.sampled_from(["name", "learning_rate", "momentum"]), VALUE)
TRAINING = st.dictionaries(st.sampled_from(["loss", "batch_size", "epochs", "seed", "device", "wrong"]), VALUE)
NEARLY = st.fixed_dictionaries({}, optional={
    "data": st.dictionaries(st.sampled_from(["dataset", "task", "target", "validation"]), VALUE) | ANY,
    "model": MODEL | ANY,
    "training": st.builds(lambda rest, optimizer: rest | {"optimizer": optimizer}, TRAINING, OPTIMIZER | ANY) | ANY,
})


def reads_or_explains(values: Any) -> None:
    try:
        assert isinstance(read_config(values), RunConfig)
    except ConfigError as error:
        assert str(error).strip()
        assert len(str(error).splitlines()) == 1


@settings(max_examples=200)
@given(st.text() | ANY.map(json.dumps) | NEARLY.map(json.dumps) | st.binary())
def test_any_text_is_read_or_explained(text):
    reads_or_explains(text)


@settings(max_examples=300)
@given(NEARLY | ANY)
def test_any_values_are_read_or_explained(values):
    reads_or_explains(values)


@settings(max_examples=200)
@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(
    ["model", "model.hidden", "model.architecture", "training.epochs", "training.optimizer", "training.optimizer.name",
     "data.dataset", "model.architecture.x", ".", ""]), VALUE, max_size=3))
def test_any_changes_are_taken_or_explained(changes):
    try:
        assert isinstance(RunConfig().with_values(changes), RunConfig)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


# with_values

def test_changes_leave_the_original_alone():
    config = RunConfig()
    changed = config.with_values({"training.epochs": 2, "training.optimizer.learning_rate": 0.1, "model.hidden": [7, 8]})
    assert (changed.training.epochs, changed.training.optimizer.learning_rate, changed.model.hidden) == (2, 0.1, (7, 8))
    assert config == RunConfig()


def test_another_kind_starts_from_its_own_defaults():
    config = RunConfig(model=MLPConfig(hidden=(9,), dropout=0.5), training={"optimizer": {"name": "adam", "learning_rate": 0.5}})
    assert config.with_values({"model.architecture": "cnn"}).model == CNNConfig()
    assert config.with_values({"model.architecture": "softmax_regression"}).model == SoftmaxRegressionConfig()
    assert config.with_values({"training.optimizer.name": "sgd"}).training.optimizer == SGDConfig()
    assert config.with_values({"model.architecture": "mlp"}) == config


def test_the_order_of_changes_does_not_matter():
    changes = {"model.architecture": "cnn", "model.channels": [3, 4], "training.optimizer.name": "sgd",
               "training.optimizer.momentum": 0.9, "training.epochs": 1}
    expected = RunConfig(model=CNNConfig(channels=(3, 4)), training={"optimizer": SGDConfig(momentum=0.9), "epochs": 1})
    assert RunConfig().with_values(changes) == expected
    assert RunConfig().with_values(dict(reversed(changes.items()))) == expected


@pytest.mark.parametrize(("changes", "line"), [
    ({"training.epoch": 2}, "training.epoch: there is no such field; training has loss, label_smoothing, optimizer"),
    ({"trainin.epochs": 2}, "trainin.epochs: there is no such field; a run has data, model, training"),
    ({"epochs": 2}, "epochs: there is no such field; a run has data, model, training"),
    ({"model.kernel": 3}, "model.kernel: there is no such field; model has architecture, hidden, activation, dropout"),
    ({"training.epochs.x": 2}, "training.epochs.x: there is no such field"),
    ({"model.architecture": "transformer"}, "model: there is no 'transformer'; choose from softmax_regression, mlp, cnn"),
    ({"training.optimizer.name": "lion"}, "training.optimizer: there is no 'lion'; choose from sgd, adam"),
    ({"training.epochs": 0}, "training.epochs is 0; it must be from 1 to 1000 epochs"),
    ({"training.epochs": 1001}, "training.epochs is 1001; it must be from 1 to 1000 epochs"),
    ({"training.batch_size": -5}, "training.batch_size is -5; it must be from 1 to 4096 images"),
    ({"training.optimizer.learning_rate": 0}, "training.optimizer.learning_rate is 0; it must be above 0 up to 100"),
    ({"training.optimizer.name": "sgd", "training.optimizer.momentum": 1},
     "training.optimizer.momentum is 1; it must be from 0 and below 1"),
    ({"data.validation": 0}, "data.validation is 0; it must be from 1 to 1000000 images"),
    ({"training.seed": 2**31}, "training.seed is 2147483648; it must be from 0 to 2147483647"),
    ({"training.epo\nchs": 1}, "training.epo\\nchs: there is no such field"),
    ({"training.epochs": "many"}, "training.epochs is 'many'; "),
    ({"training.loss": "mae"}, "training.loss is 'mae'; input should be 'cross_entropy', 'nll'"),
    ({"training.optimizer.learning_rate": float("nan")}, "training.optimizer.learning_rate is nan; "),
])
def test_the_line_says_what_is_wrong(changes, line):
    with pytest.raises(ConfigError) as caught:
        RunConfig().with_values(changes)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("path", "values"), [("data.channel_mean", ["abc"]), ("data.channel_std", ["0,3"])])
def test_one_wrong_number_of_several_is_one_thing_that_is_wrong(path, values):
    with pytest.raises(ConfigError) as caught:
        RunConfig().with_values({path: values})
    assert str(caught.value) == f"{path}.0 is '{values[0]}'; it must be a number"


def test_the_line_counts_what_else_is_wrong():
    with pytest.raises(ConfigError, match=r"^training.batch_size is 0; .* \(and 1 more\)$"):
        RunConfig().with_values({"training.epochs": 0, "training.batch_size": 0})


# What forms and the command line read from the fields

def configs_in(kind: Any) -> set[type[BaseModel]]:
    """All config classes that a type mentions, and those in their fields."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {kind}.union(*(configs_in(info.annotation) for info in kind.model_fields.values()))
    return set().union(*(configs_in(part) for part in get_args(kind)))


TAGS = {"architecture", "name"}
FIELDS = [(config, name, info) for config in sorted(configs_in(RunConfig), key=lambda config: config.__name__)
          for name, info in config.model_fields.items() if config is not RunConfig and name not in TAGS]


def test_all_configs_are_walked():
    found = configs_in(RunConfig)
    assert {spec.config for spec in ARCHITECTURES.values()} | set(OPTIMIZERS.values()) <= found
    assert len(FIELDS) > 20


@pytest.mark.parametrize(("config", "name", "info"), FIELDS, ids=[f"{config.__name__}.{name}" for config, name, _ in FIELDS])
def test_every_field_is_described_and_bounded(config, name, info: FieldInfo):
    assert info.description and info.description.endswith((".", "?"))
    assert not info.is_required()
    setting = describe(config, name)
    assert setting.label and setting.help == info.description
    if info.annotation in (int, float):
        low, high = bounds_of(info)
        assert low is not None and high is not None
        assert low <= info.default <= high
    elif info.annotation is str:
        assert any(hasattr(rule, "max_length") for rule in info.metadata)
    elif get_origin(info.annotation) is tuple:
        assert any(hasattr(rule, "max_length") for rule in info.metadata)
        if configs_in(info.annotation):
            return  # configs with fields of their own
        held = get_args(info.annotation)[0]
        if get_origin(held) is Literal:
            return  # choices
        for item in get_args(held) if get_origin(held) is tuple else [held]:
            rules = next(rule for rule in get_args(item) if isinstance(rule, FieldInfo)).metadata
            if get_args(item)[0] is str:
                assert any(hasattr(rule, "max_length") for rule in rules)
            else:
                assert any(isinstance(rule, Ge | Gt) for rule in rules) and any(isinstance(rule, Le | Lt) for rule in rules)


def test_settings_for_a_form():
    epochs = describe(type(RunConfig().training), "epochs")
    assert (epochs.label, epochs.unit, epochs.default, epochs.minimum, epochs.maximum, epochs.step) == (
        "Epochs", "epochs", 5, 1, 1000, 1)
    assert describe(MLPConfig, "activation").choices == ("relu", "leaky_relu", "gelu", "sigmoid", "tanh", "softmax", "identity")
    with pytest.raises(KeyError):
        describe(MLPConfig, "kernel")
