"""A run that does not fit into memory fails alone, with one line that says so."""

import pytest
import torch

from core.config import OPTIMIZERS, RunConfig
from core.devices import free_memory_bytes, ran_out, resident_bytes
from core.inspection import describe_layers, totals
from core.models import StackConfig
from core.models.layers import FlattenConfig, LinearConfig
from core.runs.memory import NotEnoughMemory, check_batch_fits, check_weights_fit, result_bytes, weight_bytes
from core.training import build_for
from core.training.optimizers import build_optimizer
from tests.helpers import run_here, tiny, wait_for

CPU = torch.device("cpu")


def huge() -> RunConfig:
    """Ten million units, twice: 400 TB of weights."""
    wide = LinearConfig(out_features=10_000_000)
    return tiny().model_copy(update={"model": StackConfig(layers=(FlattenConfig(), wide, wide, LinearConfig(out_features=0)))})


def test_a_run_bigger_than_memory_fails_alone(engine):
    before = wait_for(engine.store, engine.submit(tiny(), "ann"))
    pids = engine.worker_pids
    too_big = engine.submit(huge(), "ann")
    after = engine.submit(tiny(), "ann")
    run = wait_for(engine.store, too_big)
    assert run.status == "failed" and len(run.message.splitlines()) == 1
    assert "needs about" in run.message and "GB are free" in run.message and "smaller network" in run.message
    assert wait_for(engine.store, after).status == before.status == "finished"
    assert engine.worker_pids == pids, "the process did not even die of it"


def test_weights_are_counted_by_hand(digits, monkeypatch):
    """784-8-10 with Adam: 6,370 weights, each with a gradient, a last good value and two averages, in float32."""
    needed = 6370 * 4 * 5
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda device: needed)
    check_weights_fit(tiny(), digits, CPU)
    with pytest.raises(NotEnoughMemory, match="needs about 152.9 kB of memory, and 127.4 kB are free"):
        check_weights_fit(tiny(training__keep="best"), digits, CPU)
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda device: None)
    check_weights_fit(huge(), digits, CPU)  # not known: it may be tried


def test_what_layers_return_is_counted_by_hand_and_as_the_layer_table_does(digits, monkeypatch):
    """784-8-10: 784 + 8 + 8 + 10 numbers for an image."""
    model = build_for(tiny(), digits)
    images = torch.rand(3, 1, 28, 28)
    assert result_bytes(model, images) == (784 + 8 + 8 + 10) * 4
    cnn = build_for(tiny(model__architecture="small_resnet"), digits)
    assert result_bytes(cnn, images) == totals(describe_layers(cnn, (1, 28, 28))).activation_bytes
    needed = 6370 * 4 * 4 + (784 + 8 + 8 + 10) * 4 * 64
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda device: needed)
    check_batch_fits(tiny(), digits, model, CPU)
    monkeypatch.setattr("core.runs.memory.free_memory_bytes", lambda device: needed - 1)
    with pytest.raises(NotEnoughMemory, match="smaller network or batch size"):
        check_batch_fits(tiny(), digits, model, CPU)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_each_optimizer_keeps(digits, optimizer):
    """As many numbers for each weight as PyTorch's own state has after a step."""
    config = tiny(training__optimizer__name=optimizer)
    model = build_for(config, digits)
    made = build_optimizer(config.training.optimizer, model.parameters())
    model(torch.rand(2, 1, 28, 28)).sum().backward()
    made.step()
    weights = sum(p.numel() for p in model.parameters())
    kept = sum(v.numel() for state in made.state.values() for v in state.values() if torch.is_tensor(v) and v.dim())
    assert weight_bytes(model, config) == 4 * (3 * weights + kept)


def test_pytorchs_own_words_for_it(store, settings, monkeypatch):
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ran_out(refused.value) and ran_out(torch.OutOfMemoryError("CUDA out of memory."))
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    monkeypatch.setattr("core.runs.execute.check_batch_fits", lambda *arguments: torch.empty(1 << 60, dtype=torch.uint8))
    run = run_here(store, settings, tiny())
    assert run.status == "failed" and "more memory than this machine has" in run.message


def test_what_the_system_says():
    free = free_memory_bytes(CPU)
    assert free is None or 1e6 < free < 1e15
    assert 1e7 < resident_bytes() < 1e12
