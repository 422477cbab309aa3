"""Every rule finds the mistake it is for, and says nothing where there is none; fixes mend; presets are sound."""

from collections import OrderedDict
from dataclasses import replace
from math import e, log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import OPTIMIZERS, RunConfig, read_config
from core.data import Dataset, Split, load
from core.data.own.sets import save_set
from core.devices import memory_bytes
from core.inspection import Finding, Surroundings, diagnose
from core.inspection.doctor import RULES, SEVERITIES, training_bytes
from core.inspection.doctor.case import Case
from core.inspection.doctor.network_rules import floor_of_loss
from core.inspection.doctor.training_rules import RATES, name_of, usual_rate
from core.inspection.training_doctor import examine
from core.presets import PRESETS
from core.training import build_for, check
from core.training.range_test import RangeTest, range_test

IS_8 = {"data.task": "is_target", "training.loss": "bce_with_logits"}
PLAIN = RunConfig().with_values({"data.normalization": "standard"})  # nothing to say about it but what a test plants


def config(**changes) -> RunConfig:
    return PLAIN.with_values({name.replace("__", "."): value for name, value in changes.items()})


def found(rule: str, *args, **kwargs) -> Finding | None:
    return next((finding for finding in diagnose(*args, **kwargs) if finding.rule == rule), None)


def network(*layers: nn.Module, outputs: int = 10) -> nn.Sequential:
    """784 pixels → 20 → the layers → outputs."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, outputs), *layers)


class NotesCNN(nn.Module):
    """A network written as the notes write theirs, with functions in forward. `end` is applied to what it returns."""

    def __init__(self, end=lambda x: x) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.gap = nn.AdaptiveAvgPool2d((1, 1))
        self.fc1 = nn.Linear(16, 32)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(32, 1)
        self.end = end

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = self.gap(x)
        x = x.view(x.size(0), -1)
        return self.end(self.fc2(self.dropout(torch.relu(self.fc1(x)))))


# --- the whole


# The notes' first networks are rebuilt with what they do wrong; the lab about them says so.
NOTES_MISTAKES = {"toy-sigmoid": {"answers_not_in_inputs"}, "toy-2-2-1": {"answers_not_in_inputs"}}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_sound(name):
    found = {finding.rule for finding in diagnose(PRESETS[name].config) if finding.severity != "note"}
    assert found == NOTES_MISTAKES.get(name, set())


def test_a_sound_run_gets_no_finding():
    assert diagnose(config(model__architecture="cnn")) == []


def test_every_rule_is_named_as_it_reports_and_tested():
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_doctor*.py"))
    assert all(f'"{rule}"' in text for rule in RULES), [rule for rule in RULES if f'"{rule}"' not in text]
    assert all(rule == function.__name__ and function.__doc__ for rule, function in RULES.items())


def test_worst_first_and_every_finding_can_be_read():
    everything = diagnose(config(data__validation=59_999, training__batch_size=1, training__optimizer__learning_rate=5.0,
                                 training__loss="bce_with_logits", data__normalization="none"))
    places = [SEVERITIES.index(finding.severity) for finding in everything]
    assert len(everything) >= 4 and places == sorted(places)
    for finding in everything:
        assert finding.title and "\n" not in finding.title and not finding.title.endswith(".")
        assert any(c.isdigit() for c in finding.evidence)
        assert finding.explanation.endswith(".") and not finding.remedy.endswith(".")


def test_diagnosing_changes_nothing():
    model = NotesCNN(torch.sigmoid)
    model.bn1.eval()
    modes, state = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    diagnose(config(**{k.replace(".", "__"): v for k, v in IS_8.items()}), model)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("broken", [
    nn.Sequential(), nn.Linear(3, 3), nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Linear(21, 10)), nn.LazyLinear(10),
    nn.Embedding(10, 4)])
def test_networks_that_do_not_run_get_a_finding_and_no_traceback(broken):
    assert diagnose(PLAIN, broken)


def test_a_fix_ends_its_finding():
    planted = {
        "learning_rate_too_high": config(training__optimizer__learning_rate=3.0),
        "learning_rate_too_low": config(training__optimizer__learning_rate=1e-7),
        "yes_no_loss_for_classes": config(training__loss="bce_with_logits"),
        "batch_larger_than_data": config(data__dataset="digits", data__validation=200, training__batch_size=4096),
        "few_steps": config(data__dataset="digits", data__validation=200, training__epochs=1),
        "batch_of_one": config(training__batch_size=1),
        "nothing_left_to_learn": config(data__validation=60_000),
        "few_to_validate": config(data__validation=5),
        "no_normalisation": config(data__normalization="none"),
        "variations_not_handwriting": config(data__dataset="fashion_mnist", data__variations=1),
        "target_not_a_class": config(data__task="is_target", data__target=12),
        "unknown_data": config(data__dataset="flowers"),
        "does_not_fit": config(model__architecture="cnn", model__channels=[8] * 7),
        "saturating_activations": config(model__hidden=[20, 20, 20], model__activation="sigmoid"),
        "bottleneck": config(model__hidden=[50, 2]),
        "batch_norm_small_batch": config(model__architecture="cnn", model__batch_norm=True, training__batch_size=1),
        "dropout_on_output": config(model__dropout=0.9),
        "answers_not_in_inputs": points("circle", data__features=["x1"]),
        "few_points": points("spirals", data__points=10),
        "few_words": config(data__dataset="reviews", data__validation=100, data__text_length=1, training__loss="bce",
                            model__architecture="text_embedding"),
        "loss_for_numbers": points("linear", training__loss="cross_entropy"),
        "weight_decay_too_strong": config(training__optimizer__weight_decay=1.0),
        "l1_too_strong": config(training__l1=1.0),
        "clipping_too_short": config(training__optimizer__name="sgd", training__gradient_clipping=0.001),
        "starts_at_nothing": config(model__hidden=[50] * 8, training__initialization="normal"),
        "squashed_number": points("linear", training__loss="mse", model__architecture="stack", model__layers=[
            {"kind": "flatten"}, {"kind": "linear", "out_features": 0}, {"kind": "sigmoid"}]),
        "network_too_small": points("spirals", model__hidden=[2]),
        "few_channels": config(model__architecture="cnn", model__channels=[1], model__head="global_average"),
        "smoothed_too_much": config(training__label_smoothing=0.9),
        "rate_falls_too_soon": config(data__dataset="digits", data__validation=200, training__schedule__name="step",
                                      training__schedule__every=1, training__schedule__factor=0.01),
        "averages_too_long": config(training__optimizer__name="sgd", training__optimizer__learning_rate=0.1,
                                    training__optimizer__momentum=0.99),
        "squashed_before_loss": config(model__architecture="stack", model__layers=[
            {"kind": "flatten"}, {"kind": "linear", "out_features": 0}, {"kind": "softmax"}]),
        "relu_on_output": config(model__architecture="stack", model__layers=[
            {"kind": "flatten"}, {"kind": "linear", "out_features": 0}, {"kind": "relu"}]),
        "no_activation_between": config(model__architecture="stack", model__layers=[
            {"kind": "flatten"}, {"kind": "linear", "out_features": 64}, {"kind": "linear", "out_features": 0}]),
    }
    for rule, mistake in planted.items():
        finding = found(rule, mistake)
        assert finding is not None and finding.fix is not None and finding.remedy, rule
        assert found(rule, finding.fix) is None, rule


def points(dataset: str, **changes) -> RunConfig:
    plain = {"data__dataset": dataset, "data__validation": 100, "data__points": 200, "data__normalization": "none"}
    return config(**plain | changes)


@pytest.mark.parametrize("changes", [
    {"data.features": ["x1_squared", "x2_squared"], "model.hidden": []},  # in which a straight line is a circle
    {"training.optimizer.learning_rate": 1.0, "training.optimizer.name": "sgd", "training.epochs": 1000}, {"model.hidden": [3]}])
def test_what_closes_the_circle_is_sound(changes):
    assert not [finding for finding in diagnose(points("circle").with_values(changes)) if finding.severity != "note"]


def test_straight_lines_are_enough_where_neighbours_say_no_more():
    for name in ("blobs", "linear"):
        loss = {"training__loss": "mse"} if name == "linear" else {}
        assert found("network_too_small", points(name, model__hidden=[], **loss)) is None
    assert found("network_too_small", points("moons", model__architecture="softmax_regression")).fix.model.hidden == (16, 16)


def test_a_tanh_fits_numbers_between_its_bounds():
    layers = [{"kind": "flatten"}, {"kind": "linear", "out_features": 32}, {"kind": "relu"},
              {"kind": "linear", "out_features": 0}]
    stack = {"model__architecture": "stack", "training__loss": "mse", "model__layers": [*layers, {"kind": "tanh"}]}
    assert found("squashed_number", points("hills", **stack)) is None, "hills are at most 1 high, hollows 1 deep"
    finding = found("squashed_number", points("linear", **stack))
    assert "from -1 to 1" in finding.evidence and [layer.kind for layer in finding.fix.model.layers][-1] == "linear"


def test_clouds_are_told_apart_before_the_rate_has_fallen():
    falls = {"training__schedule__name": "step", "training__schedule__every": 1, "training__schedule__factor": 0.001}
    assert found("rate_falls_too_soon", points("blobs", training__batch_size=20, **falls)) is None, "10 steps at the full rate"
    assert found("rate_falls_too_soon", points("blobs", training__batch_size=64, **falls)) is not None, "4 steps"


def test_adamws_decay_is_another():
    adamw = config(training__optimizer__name="adamw", training__optimizer__weight_decay=1.0)
    assert found("weight_decay_too_strong", adamw) is None
    assert "0.2" in found("weight_decay_too_strong", config(
        training__optimizer__name="adamw", training__optimizer__weight_decay=5.0)).evidence  # 1 / 5


def test_zeros_are_no_mistake_without_a_hidden_layer():
    assert found("starts_at_nothing", config(training__initialization="zeros")) is not None
    assert found("starts_at_nothing", config(training__initialization="zeros", model__architecture="softmax_regression")) is None


def test_smoothing_costs_what_pytorch_says():
    target = torch.full((1, 10), 0.09)
    target[0, 0] = 0.19
    floor = F.cross_entropy(target.log(), torch.tensor([0]), label_smoothing=0.9).item()
    assert f"{floor:.2f}" in found("smoothed_too_much", config(training__label_smoothing=0.9)).evidence


# --- the network


@pytest.mark.parametrize("end", [torch.sigmoid, F.sigmoid, nn.Sigmoid(), lambda x: x.sigmoid(),
                                 lambda x: torch.sigmoid(x).view(-1, 1), nn.Sequential(nn.Sigmoid(), nn.Dropout(0.0))])
def test_the_notes_sigmoid_into_a_loss_that_applies_one(end):
    finding = found("squashed_before_loss", PLAIN.with_values(IS_8), NotesCNN(end))
    assert finding is not None and finding.severity == "warning"
    assert "sigmoid" in finding.title and "0.693" in finding.evidence  # log 2: a sure "no" still costs this
    assert found("squashed_before_loss", PLAIN.with_values(IS_8), NotesCNN()) is None


def test_the_notes_sigmoid_with_the_notes_own_loss():
    task = config(data__task="is_target")
    assert found("squashed_before_loss", task, NotesCNN(torch.sigmoid), nn.BCEWithLogitsLoss()) is not None
    assert found("squashed_before_loss", task, NotesCNN(torch.sigmoid), nn.BCELoss()) is None


@pytest.mark.parametrize(("layer", "names"), [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid"), (nn.Tanh(), "tanh")])
def test_softmax_before_cross_entropy(layer, names):
    finding = found("squashed_before_loss", PLAIN, network(layer))
    assert finding is not None and names in finding.title
    assert found("squashed_before_loss", PLAIN, network()) is None


def test_all_that_squashes_the_answer_is_taken_off():
    layers = [{"kind": kind} for kind in ("flatten", "linear", "tanh", "linear", "tanh", "softmax")]
    layers = [layer | ({"out_features": 20 if place < 2 else 0} if layer["kind"] == "linear" else {})
              for place, layer in enumerate(layers)]
    finding = found("squashed_before_loss", config(model__architecture="stack", model__layers=layers))
    assert [layer.kind for layer in finding.fix.model.layers] == ["flatten", "linear", "tanh", "linear"]


def test_a_sigmoid_in_the_middle_is_no_mistake():
    middle = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Sigmoid(), nn.Linear(20, 10))
    assert found("squashed_before_loss", PLAIN, middle) is None


def test_the_floor_of_the_loss_is_pytorchs():
    best = torch.full((1, 10), 0.0)
    best[0, 3] = 1.0
    assert floor_of_loss("cross_entropy", 0, 1, 10) == pytest.approx(F.cross_entropy(best, torch.tensor([3])).item(), abs=1e-6)
    assert floor_of_loss("cross_entropy", 0, 1, 10) == pytest.approx(log(1 + 9 / e))
    no = F.binary_cross_entropy_with_logits(torch.zeros(1), torch.zeros(1)).item()
    assert floor_of_loss("bce_with_logits", 0, 1, 2) == pytest.approx(no)


def test_probabilities_where_the_loss_wants_them():
    assert found("probabilities_expected", PLAIN, network(), nn.NLLLoss()) is not None
    assert found("probabilities_expected", PLAIN, network(nn.LogSoftmax(1)), nn.NLLLoss()) is None
    task = config(data__task="is_target")
    assert found("probabilities_expected", task, NotesCNN(), nn.BCELoss()) is not None
    assert found("probabilities_expected", task, NotesCNN(torch.sigmoid), nn.BCELoss()) is None


def test_log_softmax_twice_changes_no_loss():
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    assert torch.allclose(F.cross_entropy(logits, labels), F.cross_entropy(logits.log_softmax(1), labels))
    assert found("log_softmax_twice", PLAIN, network(nn.LogSoftmax(1))).severity == "note"
    assert found("log_softmax_twice", PLAIN, network()) is None


@pytest.mark.parametrize("end", [nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), F.relu])
def test_relu_on_the_output(end):
    finding = found("relu_on_output", PLAIN.with_values(IS_8), NotesCNN(end))
    assert finding is not None and "probability" in finding.evidence
    assert found("relu_on_output", PLAIN.with_values(IS_8), NotesCNN()) is None


@pytest.mark.parametrize(("layers", "mistake"), [
    ([nn.Linear(784, 64), nn.Linear(64, 10)], True),
    ([nn.Linear(784, 64), nn.Dropout(0.5), nn.Linear(64, 10)], True),
    ([nn.Linear(784, 64), nn.BatchNorm1d(64), nn.Linear(64, 10)], True),
    ([nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)], False),
    ([nn.Linear(784, 8), nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 10)], False),  # fewer weights than 784→64: a bottleneck
    ([nn.Linear(784, 10), nn.Linear(10, 10)], True),  # as wide in the middle as at the end: one layer has fewer weights
    ([nn.Linear(784, 9), nn.Linear(9, 10)], False),
    ([nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10)], True),
    ([nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 63), nn.Linear(63, 100), nn.ReLU(), nn.Linear(100, 10)], False),
    ([nn.Linear(784, 10)], False),
])
def test_no_activation_between_linear_layers(layers, mistake):
    assert (found("no_activation_between", PLAIN, nn.Sequential(nn.Flatten(), *layers)) is not None) is mistake


def test_no_activation_between_convolutions():
    def cnn(*between: nn.Module) -> nn.Module:
        return nn.Sequential(OrderedDict(
            conv1=nn.Conv2d(1, 8, 3), between=nn.Sequential(*between), conv2=nn.Conv2d(8, 8, 3), relu=nn.ReLU(),
            gap=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(8, 10)))

    assert "conv1 → conv2" in found("no_activation_between", PLAIN, cnn(nn.AvgPool2d(2))).evidence
    assert found("no_activation_between", PLAIN, cnn(nn.MaxPool2d(2))) is None  # a maximum is no sum
    assert found("no_activation_between", PLAIN, cnn(nn.ReLU())) is None


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "vgg11_bn", "squeezenet1_1"])
def test_published_networks_are_sound(name):
    from core.torchvision_guard import torchvision

    with torch.device("meta"):
        model = getattr(torchvision.models, name)(num_classes=10)
    data = PLAIN.with_values({"data.dataset": "digits", "data.validation": 200, "training.epochs": 40})
    in_colour = Case(data, model)
    object.__setattr__(in_colour, "input_shape", (3, 64, 64))
    serious = [finding for rule in RULES.values() if (finding := rule(in_colour)) and finding.severity != "note"]
    assert [finding.rule for finding in serious if finding.rule != "epoch_too_long"] == []


def test_the_order_is_that_of_forward_and_not_of_the_modules():
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.end, self.fc2, self.act, self.fc1 = nn.Identity(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(784, 20)

        def forward(self, x):
            return self.fc2(self.act(self.fc1(x.flatten(1))))

    assert diagnose(PLAIN, Shuffled()) == []


@pytest.mark.parametrize(("outputs", "severity"), [(7, "error"), (11, "warning"), (1, "error"), (10, None)])
def test_outputs_not_classes(outputs, severity):
    finding = found("outputs_not_classes", PLAIN, network(outputs=outputs))
    assert (finding.severity if finding else None) == severity
    if outputs == 1:
        assert "a single class, number 0" in finding.explanation


def test_outputs_of_another_shape():
    assert "(10,)" not in found("outputs_not_classes", PLAIN, nn.Sequential(nn.Conv2d(1, 10, 28))).title
    assert found("outputs_not_classes", PLAIN.with_values(IS_8), NotesCNN(lambda x: x.squeeze(1))) is not None
    assert found("outputs_not_classes", PLAIN.with_values(IS_8), NotesCNN()) is None


def test_does_not_fit():
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(700, 10))
    assert "784" in found("does_not_fit", PLAIN, wrong).evidence and "700" in found("does_not_fit", PLAIN, wrong).evidence
    assert found("does_not_fit", PLAIN, network()) is None
    blocks = found("does_not_fit", config(model__architecture="cnn", model__channels=[8] * 5))
    assert len(blocks.fix.model.channels) == 4


def test_dropout_on_the_output():
    assert found("dropout_on_output", PLAIN, network(nn.Dropout(0.2))).severity == "warning"
    assert found("dropout_on_output", PLAIN, network(nn.Dropout(0.0))) is None
    before = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 10))
    assert found("dropout_on_output", PLAIN, before) is None, "as in the notes' improved network"
    assert found("dropout_on_output", config(model__dropout=0.9)).severity == "note"


def test_dropout_always_on():
    assert found("dropout_always_on", PLAIN.with_values(IS_8), NotesCNN(lambda x: F.dropout(x, 0.1))) is not None
    model = NotesCNN()
    model.end = lambda x: F.dropout(x, 0.1, training=model.training)
    assert found("dropout_always_on", PLAIN.with_values(IS_8), model) is None


def test_bias_before_batch_norm():
    finding = found("bias_before_batch_norm", config(model__architecture="cnn", model__batch_norm=True))
    assert finding.severity == "note" and "96 biases" in finding.evidence  # 32 + 64
    assert found("bias_before_batch_norm", PLAIN.with_values(IS_8), NotesCNN()) is None  # bias=False there


def test_batch_norm_small_batch():
    def cnn(batch: int) -> RunConfig:
        return config(model__architecture="cnn", model__batch_norm=True, training__batch_size=batch)

    assert found("batch_norm_small_batch", cnn(1)).severity == "warning"
    digits = {"data.dataset": "digits", "data.validation": 200, "training.epochs": 1}  # 1,237 images: 20 steps of 64
    assert found("batch_norm_small_batch", cnn(2).with_values(digits)).fix.training.epochs == 10, "200 steps of the 619"
    assert found("batch_norm_small_batch", cnn(2)).severity == "note"
    assert found("batch_norm_small_batch", cnn(64)) is None
    assert found("batch_norm_small_batch", config(training__batch_size=1)) is None


def test_a_last_batch_of_one_image_stops_batch_norm():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 10))
    finding = found("batch_norm_small_batch", config(training__batch_size=54), flat)  # 55,000 = 1,018·54 + 28
    assert finding is None
    finding = found("batch_norm_small_batch", config(training__batch_size=9), flat)  # 55,000 = 6,111·9 + 1
    assert finding.severity == "error" and finding.fix.training.batch_size == 10
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        flat.train()(torch.rand(1, 1, 28, 28))
    assert found("batch_norm_small_batch", config(training__batch_size=1), flat).severity == "error"


def test_a_shared_batch_norm_is_named_where_it_is_called():
    norm = nn.BatchNorm1d(10)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sequential(nn.ReLU(), norm), nn.Sequential(norm))
    assert found("batch_norm_small_batch", config(training__batch_size=2), network).evidence == "2.1, 3.0; batch size 2."
    network[2].forward = lambda x: x  # 3.0 is the only call, and not the first place where it stands
    finding = found("batch_norm_small_batch", config(training__batch_size=1), network)
    assert finding.severity == "error" and finding.evidence.startswith("3.0 has one number")


def test_saturating_activations():
    assert "0.016" in found("saturating_activations", config(model__hidden=[20] * 3, model__activation="sigmoid")).evidence
    assert found("saturating_activations", config(model__hidden=[20], model__activation="sigmoid")) is None
    deep = {"model__hidden": [20] * 6, "model__activation": "sigmoid"}
    assert found("saturating_activations", config(**deep)).severity == "warning"
    assert found("saturating_activations", points("blobs", **deep)).severity == "note", "Adam learned them with eight"
    assert found("saturating_activations", config(model__hidden=[20] * 3)) is None


def test_bottleneck():
    assert found("bottleneck", config(model__hidden=[100, 3])).fix.model.hidden == (100, 20)
    assert found("bottleneck", config(model__hidden=[100, 20])) is None
    assert found("bottleneck", config(model__hidden=[3], **{"data__task": "is_target"})) is None


# --- training


@pytest.mark.parametrize(("optimizer", "rate", "momentum", "mistake"), [
    ("adam", 0.1, 0.0, True), ("adam", 0.01, 0.0, False), ("sgd", 1.0, 0.0, True), ("sgd", 0.3, 0.0, False),
    ("sgd", 0.3, 0.9, True), ("sgd", 0.1, 0.9, False), ("adamw", 0.1, 0.0, True), ("adamw", 0.01, 0.0, False),
    ("rmsprop", 0.1, 0.0, True), ("rmsprop", 0.01, 0.0, False), ("rmsprop", 0.003, 0.9, True), ("rmsprop", 0.001, 0.9, False),
    ("adagrad", 1.0, 0.0, True), ("adagrad", 0.3, 0.0, False)])
def test_learning_rate_too_high(optimizer, rate, momentum, mistake):
    changes = {"training.optimizer.name": optimizer, "training.optimizer.learning_rate": rate}
    changes |= {"training.optimizer.momentum": momentum} if momentum else {}
    assert (found("learning_rate_too_high", PLAIN.with_values(changes)) is not None) is mistake


@pytest.mark.parametrize(("optimizer", "rate", "severity"), [
    ("adam", 1e-7, "warning"), ("adam", 5e-6, "note"), ("adam", 1e-4, None),
    ("sgd", 1e-4, "warning"), ("sgd", 1e-3, "note"), ("sgd", 1e-2, None), ("adamw", 1e-7, "warning"), ("adamw", 1e-4, None),
    ("rmsprop", 1e-7, "warning"), ("rmsprop", 1e-4, None), ("adagrad", 1e-6, "warning"), ("adagrad", 1e-4, "note"),
    ("adagrad", 1e-3, None)])
def test_learning_rate_too_low(optimizer, rate, severity):
    finding = found("learning_rate_too_low", PLAIN.with_values(
        {"training.optimizer.name": optimizer, "training.optimizer.learning_rate": rate}))
    assert (finding.severity if finding else None) == severity


def test_a_rate_is_judged_by_what_was_measured():
    """Momentum up to 0.9, and ten classes: of 0.995 another rule speaks, and two classes take three times as much."""
    rmsprop = config(training__optimizer__name="rmsprop", training__optimizer__learning_rate=1e-3)
    much = rmsprop.with_values({"training.optimizer.momentum": 0.995})
    assert found("learning_rate_too_high", much) is None
    two = config(training__optimizer__learning_rate=0.1, data__only_classes=["1", "7"])
    assert found("learning_rate_too_high", two) is None
    assert found("learning_rate_too_high", two.with_values({"training.optimizer.learning_rate": 0.2})) is not None
    assert found("learning_rate_too_high", config(training__optimizer__learning_rate=0.1)) is not None


def test_every_optimizer_has_its_learning_rates():
    assert RATES.keys() == OPTIMIZERS.keys()
    for name, rates in RATES.items():
        start = PLAIN.with_values({"training.optimizer.name": name, "training.optimizer.learning_rate": rates.usual})
        assert found("learning_rate_too_high", start) is None and found("learning_rate_too_low", start) is None
        assert usual_rate(start) == rates.usual and name_of(start) == rates.name


def test_a_range_test_decides_where_there_is_one():
    measured = RangeTest((1e-6, 1e-3), (2.3, 1.0), suggested=2e-4, too_high=5e-3)
    finding = found("learning_rate_too_high", config(training__optimizer__learning_rate=0.01), range_test=measured)
    assert "0.005" in finding.evidence and finding.fix.training.optimizer.learning_rate == 2e-4
    assert found("learning_rate_too_high", PLAIN, range_test=measured) is None


def test_the_range_test_finds_where_sgd_blows_up(digits: Dataset):
    sgd = read_config({"data": {"dataset": "digits", "validation": 200}, "training": {
        "optimizer": {"name": "sgd"}, "batch_size": 32}})
    model = build_for(sgd, digits)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = range_test(sgd, digits, model, steps=80)
    assert 0.2 < result.too_high <= 10.0  # benchmarks/doctor_tables.py: 0.3 learns, 1 does not
    assert 0.003 < result.suggested < 0.5
    assert len(result.rates) == len(result.losses) and list(result.rates) == sorted(result.rates)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert range_test(sgd, digits, model, steps=80) == result
    with pytest.raises(ValueError, match="at least 10"):
        range_test(sgd, digits, model, steps=3)


def test_yes_no_loss_for_classes():
    assert found("yes_no_loss_for_classes", config(training__loss="bce_with_logits")).fix.training.loss == "cross_entropy"
    assert found("yes_no_loss_for_classes", PLAIN.with_values(IS_8)) is None
    assert found("yes_no_loss_for_classes", PLAIN) is None


@pytest.mark.parametrize(("loss", "rule"), [("mse", "distance_loss_for_classes"), ("bce_with_logits", "yes_no_loss_for_classes")])
def test_a_loss_for_other_questions_harms_where_steps_are_as_long_as_gradients(loss, rule):
    """SGD on ten classes: a tenth of the gradient. Adam divides by its size; two classes have no short ones."""
    def severity(**changes):
        return found(rule, config(training__loss=loss, **changes)).severity

    digits = {"data__dataset": "digits", "data__validation": 200, "training__optimizer__name": "sgd"}  # 20 steps of 64
    few, many = (digits | {"training__optimizer__learning_rate": 0.1, "training__epochs": epochs} for epochs in (10, 30))
    assert severity(**few) == "warning", "20 times the gradient in all: twice what is usually needed"
    assert severity(**many) == "note", "60 times: six times as much"
    assert severity(training__optimizer__name="adam") == "note"
    bad = {"loss": (list(range(1, 601)), [0.3 - number / 1e4 for number in range(600)])}  # guessing costs 0.09 or 0.33
    asked = config(training__loss=loss, data__dataset="digits", data__validation=200, training__epochs=1)
    named = {trouble.rule: trouble for trouble in examine(asked, bad, 600)}
    assert named[rule].severity == "warning" and named[rule].fix.training.loss == "cross_entropy", "of a bad run it is the cause"
    if loss == "mse":
        assert severity(**few, data__only_classes=["1", "7"]) == "note"


def test_distance_loss_for_classes():
    assert found("distance_loss_for_classes", PLAIN, network(), nn.MSELoss()).severity == "warning"
    assert found("distance_loss_for_classes", PLAIN, network(), nn.CrossEntropyLoss()) is None


def test_batch_larger_than_data():
    small = {"data__dataset": "digits", "data__validation": 200}
    assert "1,237" in found("batch_larger_than_data", config(training__batch_size=1238, **small)).evidence
    assert found("batch_larger_than_data", config(training__batch_size=1237, **small)) is None
    once = found("batch_larger_than_data", config(training__batch_size=4096, training__epochs=1, **small))
    assert (once.fix.training.batch_size, once.fix.training.epochs) == (64, 10) and "train for 10 epochs" in once.remedy
    enough = found("batch_larger_than_data", points("circle", training__batch_size=4096, training__epochs=300))
    two = config(training__batch_size=4096, training__epochs=8, data__only_classes=["1", "7"], **small)
    assert found("batch_larger_than_data", two).severity == "note", "1 and 7 are told apart in 8 steps"
    assert found("batch_larger_than_data", two.with_values({"training.epochs": 4})).severity == "warning"
    assert enough.severity == "note" and enough.fix.training.epochs == 300 and enough.remedy == "Set the batch size to 64"


def test_few_steps():
    small = {"data__dataset": "digits", "data__validation": 200}  # 1,237 images: 20 steps of 64
    finding = found("few_steps", config(training__epochs=4, **small))
    assert "80 times" in finding.title and finding.fix.training.epochs == 10
    assert finding.severity == "note", "80 steps of 0.001 go 0.08 far, and 0.03 is needed"
    assert found("few_steps", config(training__epochs=4, training__optimizer__learning_rate=3e-4, **small)).severity == "warning"
    assert found("few_steps", config(training__epochs=2, training__optimizer__learning_rate=1e-2, **small)).severity == "warning"
    assert found("few_steps", config(training__epochs=5, **small)) is None
    line = small | {"model__architecture": "softmax_regression", "training__epochs": 1, "training__optimizer__name": "sgd"}
    assert found("few_steps", config(training__optimizer__learning_rate=0.5, **line)).severity == "note", "20 steps of 0.5 are 10"
    assert found("few_steps", config(training__optimizer__learning_rate=0.05, **line)).severity == "warning"


def test_decay_of_a_linear_model():
    """Its weights may be short: ten times the decay that stops a network with hidden units costs it 3 points of 94 on digits."""
    def said(decay: float, **model):
        return found("weight_decay_too_strong", config(training__optimizer__weight_decay=decay, **model))

    assert said(0.3) is not None and said(0.3, model__architecture="softmax_regression") is None
    assert said(3.0, model__architecture="softmax_regression") is not None


def test_batch_of_one():
    assert "55,000 steps" in found("batch_of_one", config(training__batch_size=1)).evidence
    assert found("batch_of_one", config(training__batch_size=2)) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_device_not_there():
    assert found("device_not_there", config(training__device="cuda")).fix.training.device == "auto"
    assert found("device_not_there", PLAIN) is None


@pytest.mark.parametrize(("changes", "line"), [
    ({"data.dataset": "linear", "training.loss": "mse", "data.imbalance": 0.5}, "data.imbalance is 0.5; numbers to predict"),
    ({"data.dataset": "hills", "training.loss": "mse", "data.added": [[0, 0, 1]]}, "data.added has 1 points; Hills")])
def test_what_a_run_is_refused_for_is_an_error(changes, line):
    refused = PLAIN.with_values({"data.validation": 20} | changes)
    finding = found("refused", refused)
    assert finding.severity == "error" and finding.evidence.startswith(line)
    with pytest.raises(ValueError) as said:
        check(refused)
    assert str(said.value) == finding.evidence
    check(finding.fix)


def test_what_another_rule_calls_an_error_is_said_once():
    target = config(data__task="is_target", data__target=12)
    assert [finding.rule for finding in diagnose(target) if finding.severity == "error"] == ["target_not_a_class"]


# --- data


def test_unknown_data():
    assert found("unknown_data", config(data__dataset="flowers")).severity == "error"
    assert found("unknown_data", PLAIN) is None


def test_target_not_a_class():
    assert found("target_not_a_class", config(data__task="is_target", data__target=10)).fix.data.target == 9
    assert found("target_not_a_class", config(data__task="is_target", data__target=9)) is None
    assert found("target_not_a_class", config(data__target=10)) is None


@pytest.mark.parametrize(("validation", "severity"), [(60_000, "error"), (40_000, "warning"), (30_000, None)])
def test_nothing_left_to_learn(validation, severity):
    finding = found("nothing_left_to_learn", config(data__validation=validation))
    assert (finding.severity if finding else None) == severity


def test_few_to_validate():
    assert "90 ± 19" in found("few_to_validate", config(data__validation=10)).evidence  # 1.96·√(0.09/10) = 0.186
    assert found("few_to_validate", config(data__validation=100)) is None
    assert found("few_to_validate", config(data__validation=29)).severity == "warning"
    assert found("few_to_validate", config(data__validation=30)).severity == "note"


def test_few_per_class():
    assert found("few_per_class", config(data__validation=59_850)).severity == "warning"  # 15 of each
    assert found("few_per_class", config(data__validation=59_700)).severity == "note"  # 30 of each
    assert found("few_per_class", config(data__dataset="digits", data__validation=200)) is None


def test_few_per_class_counts_what_is_there(digits: Dataset):
    rare = torch.cat([digits.train.positions(label, 0, 5 if label == 7 else 100) for label in range(10)])
    train = Split(digits.train.images, digits.train.labels, digits.train.rows[rare].sort().values)
    case = config(data__dataset="digits", data__validation=200)
    assert "“7” has 5 training images" in found("few_per_class", case, data=replace(digits, train=train)).evidence
    assert found("few_per_class", case, data=digits) is None


def test_the_class_that_is_asked_about_is_the_one_that_counts():
    asked = config(data__dataset="digits", data__validation=200, data__task="is_target", data__imbalance=0.1)
    assert found("unbalanced_classes", asked.with_values({"data.target": 0})).severity == "note", "it keeps all its images"
    assert found("unbalanced_classes", asked.with_values({"data.target": 9})).severity == "warning"


def test_images_in_the_order_of_their_folders(places, cache_dir):
    """Three classes of 20 pictures: sorted, 57 of 59 neighbours are alike; dealt out in turn none is."""
    shades = np.repeat([0, 120, 250], 20).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 90, (60, 1, 8, 8), np.uint8)
    images = np.minimum(shades[:, None, None, None].astype(int) + noise, 255).astype(np.uint8)
    labels, test = np.repeat([0, 1, 2], 20), np.zeros(60, bool)
    sorted_set = save_set(places / "data", "Sorted", ("dark", "grey", "light"), images, labels, test)
    dealt = np.arange(60).reshape(3, 20).T.flatten()
    mixed_set = save_set(places / "data", "Mixed", ("dark", "grey", "light"), images[dealt], labels[dealt], test)
    unshuffled = config(data__dataset=sorted_set.name, data__validation=10, training__shuffle=False)
    finding = found("in_order_of_classes", unshuffled)
    assert "97 %" in finding.evidence and "33 %" in finding.evidence and finding.fix.training.shuffle
    assert found("in_order_of_classes", finding.fix) is None
    assert found("in_order_of_classes", unshuffled.with_values({"data.dataset": mixed_set.name})) is None
    assert found("in_order_of_classes", config(data__dataset="digits", data__validation=200, training__shuffle=False)) is None
    data = load(unshuffled.data, places / "data", cache_dir)
    assert found("in_order_of_classes", unshuffled, data=data).severity == "warning"


def test_clouds_of_which_a_few_points_tell_all_are_no_warning():
    """Two points of one cloud say where it is; two of a moon do not say how it is bent. It is measured."""
    def rare(dataset):
        return config(data__dataset=dataset, data__validation=100, data__points=200, data__imbalance=0.02)

    assert found("unbalanced_classes", rare("blobs")).severity == "note"
    assert found("unbalanced_classes", rare("moons")).severity == "warning"


def test_averages_of_many_layers_need_steps():
    """MobileNetV3 keeps 99 % of its averages at each step: 600 steps, where 20 epochs of 20 are 400."""
    digits = {"data__dataset": "digits", "data__validation": 200, "model__architecture": "mobilenet_v3_small"}
    finding = found("averages_lag", config(training__epochs=20, **digits))
    assert "34 layers" in finding.evidence and "after 400 steps 1.8 %" in finding.evidence  # 0.99^400
    assert finding.fix.training.epochs == 60
    assert found("averages_lag", config(training__epochs=30, **digits)) is None
    assert found("averages_lag", config(training__epochs=20, **digits | {"model__architecture": "resnet18"})) is None
    assert found("averages_lag", config(training__epochs=2, **digits | {"model__architecture": "resnet18"})) is not None
    shallow = {"model__architecture": "cnn", "model__batch_norm": True}
    assert found("averages_lag", config(training__epochs=2, **digits | shallow)) is None


def test_unbalanced_question(digits: Dataset):
    assert "90 %" in found("unbalanced_question", PLAIN.with_values(IS_8)).title
    assert found("unbalanced_question", PLAIN) is None


def test_no_normalisation(digits: Dataset):
    assert found("no_normalisation", config(data__normalization="none")).fix.data.normalization == "standard"
    assert "mean 0." in found("no_normalisation", config(data__dataset="digits", data__validation=200,
                                                         data__normalization="none"), data=digits).evidence
    assert found("no_normalisation", config(data__normalization="half")) is None


class Compose:
    """As torchvision's: a list of transforms."""

    def __init__(self, *transforms: object) -> None:
        self.transforms = list(transforms)


def transform(*names: str) -> Compose:
    return Compose(*(type(name, (), {})() for name in names))


def test_flips_on_digits():
    flipped = Surroundings(transform=transform("ToTensor", "RandomHorizontalFlip", "Normalize"))
    assert "RandomHorizontalFlip" in found("flips_on_digits", PLAIN, surroundings=flipped).evidence
    assert found("flips_on_digits", config(data__dataset="fashion_mnist"), surroundings=flipped) is None
    upright = Surroundings(transform=transform("ToTensor", "Normalize"))
    assert found("flips_on_digits", PLAIN, surroundings=upright) is None
    assert found("flips_on_digits", PLAIN, surroundings=flipped).severity == "note", "small networks learn them all the same"


def test_a_transform_without_normalize():
    none = config(data__normalization="none")
    assert found("no_normalisation", none, surroundings=Surroundings(transform=transform("ToTensor"))).severity == "note"
    raw = found("no_normalisation", none, surroundings=Surroundings(transform=transform("PILToTensor")))
    assert raw.severity == "warning" and "0 to 255" in raw.title
    assert found("no_normalisation", none, surroundings=Surroundings(transform=transform("ToTensor", "Normalize"))) is None


def test_variations_not_handwriting():
    assert found("variations_not_handwriting", config(data__dataset="fashion_mnist", data__validation=59_000,
                                                      data__variations=2)).severity == "warning"
    assert found("variations_not_handwriting", config(data__variations=1)).severity == "error"  # 55,000 copies
    assert found("variations_not_handwriting", config(data__dataset="digits", data__validation=200, data__variations=4)) is None


def test_test_set_reused():
    finding = found("test_set_reused", PLAIN, surroundings=Surroundings(tested_runs=20))
    assert "0.5 points" in finding.evidence  # 100·√(0.0475/10,000)·√(2·ln 20) = 0.218·2.448
    assert found("test_set_reused", PLAIN, surroundings=Surroundings(tested_runs=3)) is None


def test_same_images_in_splits(digits: Dataset):
    case = config(data__dataset="digits", data__validation=200)
    leaky = replace(digits, validation=digits.test)
    assert "Validation" not in (finding := found("same_images_in_splits", case, data=leaky)).title
    assert "100 %" in finding.evidence and "test" in finding.title.lower()
    learned = replace(digits, test=Split(digits.train.images, digits.train.labels, digits.train.rows[:300]))
    assert found("same_images_in_splits", case, data=learned).title == "Test images are among the train images"
    assert found("same_images_in_splits", case, data=digits) is None


# --- cost


def test_epoch_too_long():
    slow = Surroundings(images_per_second=50.0)
    finding = found("epoch_too_long", PLAIN, surroundings=slow)
    assert "18.3 min" in finding.title and "50 images/s" in finding.evidence  # 55,000 / 50 = 1,100 s
    assert found("epoch_too_long", PLAIN, surroundings=Surroundings(images_per_second=5000.0)) is None
    assert found("epoch_too_long", PLAIN) is None


def test_epoch_too_long_by_estimate_and_its_fix():
    wide = config(model__architecture="cnn", model__channels=[512, 1024], training__device="cpu")
    finding = found("epoch_too_long", wide)
    assert "estimated" in finding.evidence
    assert found("epoch_too_long", finding.fix) is None
    assert finding.fix.model.channels[0] < 512


def test_beyond_memory():
    wide = config(model__hidden=[1024])  # 784·1024 + 1024 + 1024·10 + 10 = 814,090 weights, 16 bytes each with Adam
    weights = 814_090 * 16
    assert training_bytes(Case(wide)) - weights == 64 * 4 * (784 + 1024 + 1024 + 10)
    assert found("beyond_memory", wide, surroundings=Surroundings(memory_bytes=10 ** 7)).severity == "error"
    assert found("beyond_memory", wide, surroundings=Surroundings(memory_bytes=10 ** 9)) is None
    assert found("beyond_memory", wide) is None
    large = config(model__architecture="cnn", training__batch_size=4096)
    finding = found("beyond_memory", large, surroundings=Surroundings(memory_bytes=10 ** 9))
    assert found("beyond_memory", finding.fix, surroundings=Surroundings(memory_bytes=10 ** 9)) is None


def test_a_network_of_many_billions_is_answered_at_once():
    finding = found("beyond_memory", config(model__hidden=[16384] * 16), surroundings=Surroundings(memory_bytes=10 ** 10))
    assert finding is not None and "GB" in finding.title


def test_memory_is_known():
    assert memory_bytes(torch.device("cpu")) > 10 ** 8


# Combined data

@pytest.mark.parametrize(("values", "rule", "severity"), [
    ({"join": ["fashion_mnist"]}, "does_not_combine", "error"), ({"only_classes": ["cow", "1"]}, "does_not_combine", "error"),
    ({"label_noise": 0.1}, "wrong_labels", "note"), ({"label_noise": 0.9}, "wrong_labels", "warning"),
    ({"imbalance": 0.1}, "unbalanced_classes", "note")])
def test_combined_data(values, rule, severity):
    spoiled = PLAIN.with_values({f"data.{name}": value for name, value in values.items()})
    finding = found(rule, spoiled)
    assert finding.severity == severity and finding.fix == PLAIN
    assert found(rule, PLAIN) is None


def test_frozen_layers_that_have_learned_nothing():
    finding = found("frozen_at_random", config(training__trainable="last_layer"))
    assert finding.severity == "warning" and finding.fix == config() and "39,250 of 39,760 parameters" in finding.evidence
    assert found("frozen_at_random", config(training__frozen_first=1)).fix == config()
    for sound in (config(), config(training__trainable="last_layer", training__start_from="a" * 32)):
        assert found("frozen_at_random", sound) is None


def test_pretrained_weights_that_get_other_numbers():
    start = {"model__architecture": "mobilenet_v3_small", "training__start_from": "imagenet"}
    finding = found("not_as_pretrained", config(**start))
    assert finding.severity == "warning" and finding.fix == config(**start, data__normalization="imagenet")
    assert found("not_as_pretrained", finding.fix) is None
    assert found("not_as_pretrained", config(model__architecture="mobilenet_v3_small")) is None


@pytest.mark.parametrize(("changes", "field"), [
    ({"training__trainable": "linear_layers"}, "training.trainable"), ({"training__frozen_first": 9}, "training.frozen_first"),
    ({"training__start_from": "imagenet"}, "training.start_from")])
def test_what_can_not_start_or_freeze_so_is_refused_and_mended(changes, field):
    finding = found("refused", config(**changes))
    assert finding.severity == "error" and field in finding.evidence and finding.fix == config()


def test_a_small_share_of_the_images_is_few_per_class():
    few = found("few_per_class", config(data__fraction=0.005))  # 275 of 55,000: 27 of each
    assert few.severity == "note" and few.remedy == "Learn from 2 % of the images" and few.fix.data.fraction == 0.02
    assert found("few_per_class", few.fix) is None
    assert found("few_per_class", config(data__fraction=0.005, data__join=["digits"], data__join_times=100)) is None
