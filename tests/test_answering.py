"""How many images a network is asked about at once, and whether that fits into memory."""

import pytest
import torch
from torch import nn

from core.config import DataConfig
from core.data import load
from core.evaluation import asker, predict
from core.runs.memory import NotEnoughMemory, check_answers_fit
from core.training.inference import MOST_AT_ONCE, batch_that_fits, largest_result
from tests.helpers import tiny


@pytest.fixture(scope="module")
def digits(places, cache_dir):
    return load(DataConfig(dataset="digits", validation=200), places / "data", cache_dir)


def wide(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(channels * 784, 10))


def test_the_largest_layer_is_counted_by_hand():
    # ReLU and Flatten take and return 8 maps of 28×28 numbers of 4 bytes
    assert largest_result(wide(8), torch.zeros(3, 1, 28, 28)) == 2 * 8 * 784 * 4
    network = wide(8)
    assert not any(module._forward_hooks for module in network.modules())


def test_large_maps_are_made_for_fewer_images_at_once():
    image = torch.zeros(1, 1, 28, 28)
    assert batch_that_fits(wide(1), image, 1000) == 1000
    assert batch_that_fits(wide(256), image, 1000) == MOST_AT_ONCE // (2 * 256 * 784 * 4)
    large = MOST_AT_ONCE // (2 * 784 * 4) + 1  # maps, of which one image's are more than fit
    assert batch_that_fits(wide(large)[:3], image, 1000) == 1


class Counting(nn.Module):
    """10 logits, and the largest batch it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.seen = wide(1024), []

    def forward(self, images):
        self.seen.append(len(images))
        return self.body[3:](self.body[:3](images[:1])).expand(len(images), 10)


def test_evaluation_and_robustness_keep_to_it(digits):
    network = Counting()
    most = batch_that_fits(network, torch.zeros(1, 1, 28, 28), 1000)
    assert most == 13
    reported = []
    predictions = predict(network, digits, tiny(), "validation", report=reported.append)
    assert max(network.seen) == most and reported[-1] == len(predictions) == 200 and reported[0] == most
    network.seen.clear()
    assert len(asker(network, digits.mean, digits.std, tiny())(torch.zeros(60, 1, 28, 28))) == 60
    assert max(network.seen) == most


def test_what_a_report_raises_ends_the_work(digits):
    network = Counting()

    def leave(done: int) -> None:
        raise KeyError(done)

    with pytest.raises(KeyError):
        predict(network, digits, tiny(), "validation", report=leave)
    assert len([size for size in network.seen if size > 1]) == 1


def test_too_little_memory_is_said_before_it_is_taken(monkeypatch):
    image = torch.zeros(1, 1, 28, 28)
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda: 2 * MOST_AT_ONCE)
    check_answers_fit(wide(8), image)
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda: 2 * MOST_AT_ONCE - 1)
    with pytest.raises(NotEnoughMemory, match=r"To ask this network takes about 167.8 MB of memory, and 167.8 MB are free"):
        check_answers_fit(wide(8), image)
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda: None)
    check_answers_fit(wide(8), image)
