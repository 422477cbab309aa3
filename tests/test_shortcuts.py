"""Each shortcut of a device is made to fail, on a user's way: the run finishes as plain PyTorch does it, and says so."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core import torch_private
from core.models import CNNConfig, MLPConfig
from core.runs import RunStore
from core.runs.checkpoints import load_model, load_training
from core.runs.execute import execute
from core.runs.recorder import FALLBACKS
from core.training import Shortcuts, build_for, computed_in, convolutional, formats, graphs, optimizers, products
from core.training.convolutional import has_blocked_layout
from core.training.formats import Trial, choose
from core.training.optimizers import Stepper, build_optimizer
from core.training.shortcuts import TITLES
from tests.helpers import tiny
from tests.test_graphs import StandIn

CPU = torch.device("cpu")
REASON = "this device has no such thing"
TRIED: list[object] = []  # what a stand-in for a shortcut's own operation was called with, if it was


SMALL_CNN = CNNConfig(channels=(2, 4), fc_width=8)


def network(model=SMALL_CNN, **changes):
    """A run of about 80 steps."""
    config = tiny(training__epochs=2, training__batch_size=32, training__threads=1, **changes)
    return config.model_copy(update={"model": model})


@pytest.fixture(autouse=True)
def nothing_is_tried_yet():
    TRIED.clear()


def fails(*given, **named):
    TRIED.append(given)
    raise RuntimeError(REASON)


def fails_after(times, real):
    """Fails from then on, the call before has done its work."""
    calls = []

    def call(*given, **named):
        TRIED.append(given)
        calls.append(given)
        if len(calls) > times:
            raise NotImplementedError(REASON)
        return real(*given, **named)

    return call


def run(store: RunStore, settings, config, failed):
    """A run through execute(); its final loss, and the lines in its record."""
    done = execute(store, store.create_running(config, "ann", "here"), settings, failed=failed)
    assert done.status == "finished", done.message
    kept = store.snapshots(done.id).get(FALLBACKS)
    return done, [line for _, line in kept.value["lines"]] if kept else []


def break_adam_kernel(monkeypatch):
    monkeypatch.setattr(optimizers, "adam_step", fails)


def break_adam_kernel_later(monkeypatch):
    monkeypatch.setattr(optimizers, "adam_step", fails_after(17, torch_private.adam_step))


def break_fused(monkeypatch):
    """It can't even be made."""
    for name in ("Adam", "AdamW", "SGD"):
        real = getattr(torch.optim, name)

        def make(*given, real=real, **named):
            return fails() if named.get("fused") else real(*given, **named)

        monkeypatch.setattr(torch.optim, name, make)


def break_fused_steps(monkeypatch, times=0):
    """It is made, and its kernel fails: at the first step, or later, after the step has been counted."""
    monkeypatch.setattr(optimizers, "has_adam_step", lambda: False)
    for kernel in ("_fused_adam_", "_fused_adamw_", "_fused_sgd_"):
        monkeypatch.setattr(torch, kernel, fails_after(times, getattr(torch, kernel)))


def break_fused_steps_later(monkeypatch):
    break_fused_steps(monkeypatch, 23)


def break_recording(monkeypatch, record=fails):
    monkeypatch.setattr(graphs, "WHERE", ("cpu",))
    monkeypatch.setattr(graphs, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(graphs, "GAIN", 1e9)
    monkeypatch.setattr(graphs, "record", record)
    monkeypatch.setattr("core.training.loop.STEPS_PER_READ", 8)


def break_replaying(monkeypatch):
    """The recording agrees, and fails in the middle of the run."""
    calls = []

    def change(logits):
        calls.append(logits)
        return fails() if len(calls) > 20 else logits

    break_recording(monkeypatch, fails_after(1, StandIn(change)))


def break_bfloat16(monkeypatch):
    monkeypatch.setattr(formats, "REHEARSED", ("cpu",))
    real = Trial.take
    monkeypatch.setattr(Trial, "take", lambda self, precision, examples: fails() if precision == "bfloat16"
                        else real(self, precision, examples))


def break_channels_last(monkeypatch):
    """As on a GPU whose convolutions take no such layout."""
    monkeypatch.setattr(formats, "REHEARSED", ("cpu",))
    real = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, images: real(self, images) if self.weight.is_contiguous()
                        or not self.training else fails())


def break_products(monkeypatch, product=fails):
    monkeypatch.setattr(products, "LEAST", 0)
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(products, "onednn_linear", product)


def break_products_later(monkeypatch):
    """In the middle of a step: there are eight in each."""
    break_products(monkeypatch, fails_after(101, lambda *given: torch.nn.functional.linear(*given)))


def break_layout(monkeypatch, operation="mkldnn_convolution", call=fails):
    class Other:
        def __getattr__(self, name):
            return call if name == operation else getattr(torch.ops.aten, name)

    monkeypatch.setattr(convolutional, "pays", lambda: True)
    monkeypatch.setattr(convolutional, "has_blocked_layout", lambda dtype: True)
    monkeypatch.setattr(convolutional, "aten", Other())


def break_layout_on_the_way_back(monkeypatch):
    """In the middle of the run, and of a step: the last layers' gradients are there already."""
    if not has_blocked_layout(torch.float32):
        pytest.skip("PyTorch has no such layout for this processor")
    break_layout(monkeypatch, "convolution_backward", fails_after(11, torch.ops.aten.convolution_backward))


WIDE = {"model": CNNConfig(channels=(16, 16), fc_width=8)}
DENSE = {"model": MLPConfig(hidden=(8, 8))}
CASES = {  # what is broken, in which run, the shortcut that is given up
    "Adam's kernel": (break_adam_kernel, {}, "adam_kernel"),
    "Adam's kernel, later": (break_adam_kernel_later, {}, "adam_kernel"),
    "fused Adam": (break_fused, {}, "fused_optimizer"),
    "fused SGD": (break_fused, {"training__optimizer__name": "sgd"}, "fused_optimizer"),
    "fused Adam's steps": (break_fused_steps, {}, "fused_optimizer"),
    "fused AdamW's steps": (break_fused_steps, {"training__optimizer__name": "adamw"}, "fused_optimizer"),
    "fused AdamW's steps, later": (break_fused_steps_later, {"training__optimizer__name": "adamw"}, "fused_optimizer"),
    "fused SGD's steps, later": (break_fused_steps_later, {"training__optimizer__name": "sgd",
                                                           "training__optimizer__momentum": 0.9}, "fused_optimizer"),
    "recording": (break_recording, {}, "graphs"),
    "replaying": (break_replaying, {}, "graphs"),
    "bfloat16": (break_bfloat16, {"training__precision": "bfloat16"}, "bfloat16"),
    "channels_last": (break_channels_last, {}, "channels_last"),
    "oneDNN's layout": (break_layout, WIDE, "blocked_layout"),
    "oneDNN's layout, on the way back": (break_layout_on_the_way_back, WIDE, "blocked_layout"),
    "oneDNN's products": (break_products, DENSE, "onednn_products"),
    "oneDNN's products, later": (break_products_later, DENSE, "onednn_products"),
}


def test_each_shortcut_is_made_to_fail():
    assert {name for _, _, name in CASES.values()} == set(TITLES)


@pytest.mark.parametrize("case", CASES)
def test_a_run_whose_shortcut_fails_finishes_and_says_so(case, settings, store, monkeypatch):
    break_it, changes, name = CASES[case]
    settings = replace(settings, cuda_graphs=True)
    config = network(**changes)
    plain, nothing = run(store, settings, config if name != "bfloat16" else computed_in(network(), "float32"), {})
    assert nothing == []
    break_it(monkeypatch)
    TRIED.clear()
    failed: dict[str, str] = {}
    done, lines = run(store, settings, config, failed)
    assert lines == [f"{TITLES[name]} failed here ({REASON}) and is not used any more; plain PyTorch takes its place."]
    assert failed == {f"cpu {name}": REASON} and TRIED
    losses = [store.metrics(one.id).series["loss"][1] for one in (done, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=3e-3), "as if it had never been tried"
    assert len(losses[0]) == done.steps and done.precision == "float32"
    counted = load_training(store, done.id, load_model(store, done.id).model).tensors
    assert {float(value) for key, value in counted.items() if key.endswith(".step")} <= {float(done.steps)}


@pytest.mark.parametrize("case", CASES)
def test_it_is_never_tried_again_in_this_process(case, settings, store, monkeypatch):
    """The stand-ins that the test before has seen called are called no more."""
    break_it, changes, name = CASES[case]
    break_it(monkeypatch)
    TRIED.clear()
    settings = replace(settings, cuda_graphs=True)
    _, lines = run(store, settings, network(**changes), {f"cpu {name}": "it was no good"})
    assert lines == ([f"{TITLES[name]} failed here before (it was no good) and was left out; plain PyTorch took its place."])
    assert not TRIED


def test_what_fails_while_a_format_is_tried_is_said_by_the_run(settings, store, monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "LEAST_WORK", 0.0)
    monkeypatch.setattr(formats, "SECONDS", 0.05)
    break_adam_kernel(monkeypatch)
    _, lines = run(store, replace(settings, cache_dir=tmp_path), network(training__precision="auto"), {})
    assert lines == [f"{TITLES['adam_kernel']} failed here ({REASON}) and is not used any more; plain PyTorch takes its place."]


def test_a_range_test_falls_back_too(settings, store, monkeypatch):
    break_fused_steps(monkeypatch)
    store.create(network(), "ann", kind="range_test")
    done = execute(store, store.claim("here"), settings)
    assert done.status == "finished", done.message
    line = f"{TITLES['fused_optimizer']} failed here ({REASON}) and is not used any more; plain PyTorch takes its place."
    assert store.snapshots(done.id)[FALLBACKS].value == {"lines": [[0, line]]}


def test_memory_that_runs_out_is_no_failure_of_a_shortcut():
    shortcuts = Shortcuts(CPU)

    def full():
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        shortcuts.take("graphs", full, lambda: 1)
    assert shortcuts.take("graphs", lambda: 2, lambda: 1) == 2 and not shortcuts.news()


def test_each_device_has_its_own_failures():
    failed: dict[str, str] = {}
    here, there = Shortcuts(CPU, failed), Shortcuts(torch.device("mps"), failed)
    assert there.take("channels_last", fails, lambda: "plain") == "plain"
    assert here.usable("channels_last") and not there.usable("channels_last")
    assert len(there.news()) == 1 and not there.news() and not here.news(), "each line is handed on once"


def test_what_fails_without_shortcuts_too_is_none_of_theirs(digits, monkeypatch):
    """The run is to report it itself."""
    monkeypatch.setattr(formats, "REHEARSED", ("cpu",))
    monkeypatch.setattr(nn.Conv2d, "forward", fails)
    config, shortcuts = network(), Shortcuts(CPU)
    assert choose(config, digits, build_for(config, digits), CPU, None, shortcuts).precision == "float32"
    assert not shortcuts.failed and not shortcuts.news()


def test_a_stepper_that_nobody_listens_to_raises():
    weight = nn.Parameter(torch.ones(3))
    stepper = Stepper(build_optimizer(tiny().training.optimizer, [weight]))
    stepper.optimizer.step = fails
    weight.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match=REASON):
        stepper.step()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
@pytest.mark.parametrize("graphs_asked_for", [False, True])
def test_on_a_real_gpu_nothing_fails(precision, graphs_asked_for, settings, store):
    config = network(training__device="cuda", training__precision=precision)
    _, lines = run(store, replace(settings, cuda_graphs=graphs_asked_for), config, {})
    assert lines == []
