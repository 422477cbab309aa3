"""What a training shows of itself: answers on a few validation images, the confusion matrix, dead units."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from core.data import Dataset, Split, load
from core.data.batches import Batches
from core.presets import PRESETS
from core.training import OBJECTIVES, Epoch, SampleAnswers, Step, Validation, build_for, fit
from core.training.inference import infer
from core.training.monitors import SHARE_OF_TIME, SampleMonitor, dead_units, one_of_each
from tests.helpers import tiny

CPU = torch.device("cpu")


def test_one_of_each_class_then_a_second_one():
    labels = torch.tensor([2, 2, 0, 1, 0, 2])
    assert one_of_each(labels, 3, 3) == (2, 3, 0)
    assert one_of_each(labels, 3, 5) == (2, 3, 0, 4, 1)
    assert one_of_each(labels, 3, 10) == (2, 3, 0, 4, 1, 5)
    assert one_of_each(labels[:0], 3, 10) == ()


def test_dead_units_by_hand():
    """Three units: one alive, one dead, one that is alive for a single image."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU())
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, -1.0], [0.0, 1.0]]))
        model[1].bias.copy_(torch.tensor([0.5, 0.0, -0.9]))
    images = torch.tensor([[0.1, 0.2], [0.3, 1.0]]).view(2, 1, 1, 2)
    model.train()
    assert dead_units(model, images) == {"2": pytest.approx(1 / 3)}
    assert model.training and not model[2]._forward_hooks


def test_dead_channels_and_a_relu_used_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True)
            with torch.no_grad():
                self.conv.weight.fill_(1.0)
                self.conv.bias.copy_(torch.tensor([0.0, -9.0, -9.0, -9.0]))

        def forward(self, x):
            return self.relu(self.relu(self.conv(x)) + 1)

    images = torch.rand(3, 1, 2, 2)
    assert dead_units(Twice(), images) == {"relu": 0.75, "relu #2": 0.0}


def test_a_shared_relu_has_its_callers_names():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Sequential(nn.Flatten(), relu), nn.Linear(4, 4), nn.Sequential(relu))
    assert list(dead_units(model, torch.rand(2, 1, 2, 2))) == ["0.1", "2.0"]


def test_no_relu_nothing_dead():
    assert dead_units(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.rand(2, 1, 2, 2)) == {}


def events_of(config, data: Dataset):
    model = build_for(config, data)
    return list(fit(config, data, model, CPU)), model


def test_an_epochs_looks_are_those_of_its_weights(digits):
    config = tiny(training__epochs=2)
    events, model = events_of(config, digits)
    answers = infer(model, Batches(digits, digits.validation, CPU))
    said = answers.logits.argmax(1)
    last = [event for event in events if isinstance(event, Validation)][-1]
    assert [list(row) for row in last.confusion] == confusion_matrix(answers.labels, said, labels=range(10)).tolist()
    assert last.examined == 200 and set(last.dead_units) == {"relu1"}
    epoch = [event for event in events if isinstance(event, Epoch)][-1]
    assert sum(row[i] for i, row in enumerate(last.confusion)) / 200 == pytest.approx(epoch.validation_accuracy)
    strip = [event for event in events if isinstance(event, SampleAnswers)][-1]
    assert strip.labels == tuple(range(10)) and strip.step == epoch.step
    assert strip.answers == tuple(said[list(strip.positions)].tolist())
    sure = answers.logits.softmax(1).max(1).values[list(strip.positions)]
    assert strip.probabilities == pytest.approx(sure.tolist(), abs=1e-5)


def test_looking_changes_nothing_of_the_training(digits, monkeypatch):
    """With dropout: a look that drew random numbers or left the network in evaluation mode would show."""
    config = tiny(model__dropout=0.5, training__epochs=2)

    def losses():
        return [event.loss for event in events_of(config, digits)[0] if isinstance(event, Step)]

    monkeypatch.setattr("core.training.monitors.SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr("core.training.monitors.SHARE_OF_TIME", 1e9)
    monkeypatch.setattr("core.training.loop.STEPS_PER_READ", 1)
    often = losses()
    monkeypatch.setattr("core.training.monitors.SECONDS_BETWEEN_LOOKS", 1e9)
    assert often == losses()


def test_slow_looks_come_seldom(digits, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("core.training.monitors.time.perf_counter", lambda: now[0])
    samples = SampleMonitor(Batches(digits, digits.validation, CPU), 10, OBJECTIVES["cross_entropy"], None)

    class Slow(nn.Module):
        def forward(self, x):
            now[0] += 1.0  # a second for ten images
            return torch.zeros(len(x), 10)

    assert samples.is_due()
    samples.look(Slow(), 1, 1)
    assert not samples.is_due()
    now[0] = 1.0 + 1.0 / SHARE_OF_TIME
    assert samples.is_due()


def test_fewer_validation_images_than_the_strip_shows(digits):
    few = replace(digits, validation=Split(digits.validation.images, digits.validation.labels, digits.validation.rows[:3]))
    events, _ = events_of(tiny(), few)
    strip = [event for event in events if isinstance(event, SampleAnswers)][-1]
    assert sorted(strip.positions) == [0, 1, 2] and len(strip.answers) == 3


def test_hundreds_of_short_epochs_are_not_looked_at_one_by_one(digits, monkeypatch):
    """But the first and the last are."""
    monkeypatch.setattr("core.training.monitors.SHARE_OF_TIME", 1e-9)
    events, _ = events_of(tiny(training__epochs=4), digits)
    assert [event.epoch for event in events if isinstance(event, Validation)] == [1, 4]


def test_a_number_to_predict_has_no_confusion_and_no_strip():
    config = PRESETS["linear-regression"].config.with_values({"training.epochs": 2})
    data = load(config.data, Path("nowhere"))
    events, _ = events_of(config, data)
    assert not [event for event in events if isinstance(event, SampleAnswers)]
    assert [event.confusion for event in events if isinstance(event, Validation)] == [(), ()]


def test_points_have_a_confusion_and_no_strip():
    config = PRESETS["circle-2d"].config.with_values({"training.epochs": 1})
    data = load(config.data, Path("nowhere"))
    events, _ = events_of(config, data)
    assert not [event for event in events if isinstance(event, SampleAnswers)]
    last = [event for event in events if isinstance(event, Validation)][-1]
    assert sum(map(sum, last.confusion)) == len(data.validation)
