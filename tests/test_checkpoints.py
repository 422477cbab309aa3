"""Checkpoints: what is saved is what predicts, and no file of any content does worse than one line."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from core.config import RunConfig, read_config
from core.data import load
from core.export import config_file, weights_file
from core.models import ARCHITECTURES
from core.runs import CheckpointError, RunNotFound, StoreError, has_checkpoint, load_model
from core.runs.checkpoints import CONFIG, TRAINING, WEIGHTS, read_checkpoint, read_tensors, save_checkpoint
from core.runs.execute import execute
from core.training import Checkpoint, build_for
from core.training.loop import copy_weights
from core.version import VERSION, another_version
from tests.helpers import is_alive, run_here, tiny, wait_until

SMALL = {"softmax_regression": {}, "mlp": {"model__hidden": [8, 6]},
         "cnn": {"model__channels": [4, 6], "model__fc_width": 8, "model__batch_norm": True},
         "vgg16": {"model__fc_width": 8}}


def one_line(error):
    text = str(error.value)
    assert text.strip() and len(text.splitlines()) == 1
    return text


def saved(store, settings, config):
    """A run with the untrained weights of its seed, and the data and network these are of."""
    data = load(config.data, settings.data_dir, settings.cache_dir)
    model = build_for(config, data)
    run = store.create_running(config, "tester", "here")
    save_checkpoint(store, run.id, config, data, Checkpoint(3, 60, copy_weights(model)))
    return run.id, data, model


@pytest.mark.parametrize(("steps", "takes"), [([], {(1, 28, 28)}), ([{"kind": "resize", "size": 20}],
                                                                    {(1, 28, 28), (1, 20, 20), (1, 33, 17)})])
def test_images_of_any_size_are_taken_where_the_run_resizes_them(store, settings, steps, takes):
    run_id, data, _ = saved(store, settings, tiny(data__transforms=steps))
    trained = load_model(store, run_id)
    for shape in ((1, 28, 28), (1, 20, 20), (1, 33, 17), (3, 28, 28), (784,)):
        assert trained.takes(shape) is (shape in takes), shape
        if shape in takes:
            assert trained.predict(torch.rand(2, *shape)).shape == (2, 10)
        else:
            with pytest.raises(ValueError):
                trained.predict(torch.rand(2, *shape))


@pytest.mark.parametrize("key", [key for key, spec in ARCHITECTURES.items() if "images" in spec.takes])
def test_every_architecture_comes_back(store, settings, key):
    config = tiny(model__architecture=key, **SMALL.get(key, {}))
    run_id, data, model = saved(store, settings, config)
    assert has_checkpoint(store, run_id)
    trained = load_model(store, run_id)
    assert trained.config == config
    assert (trained.classes, trained.input_shape, trained.mean, trained.std, trained.epoch) == (
        data.classes, (1, 28, 28), data.mean, data.std, 3)
    state, again = model.state_dict(), trained.model.state_dict()
    assert list(state) == list(again) and all(torch.equal(state[name], again[name]) for name in state)
    assert not any(module.training for module in trained.model.modules())
    assert not any(value.is_meta for value in (*trained.model.parameters(), *trained.model.buffers()))
    images = torch.rand(5, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(trained.predict(images), model.eval()(images).softmax(1), atol=1e-6)


def test_a_config_stands_beside_the_weights(store, settings):
    run_id, _, _ = saved(store, settings, tiny(training__seed=4))
    text = (store.folder(run_id) / CONFIG).read_text(encoding="utf-8")
    assert json.loads(text)["version"] == VERSION
    assert read_config(text) == tiny(training__seed=4) == RunConfig.model_validate_json(text)
    assert sorted(path.name for path in store.folder(run_id).iterdir()) == [WEIGHTS, CONFIG]


@pytest.mark.parametrize("changes", [
    {"data__normalization": "standard"},
    {"data__normalization": "half", "model__architecture": "cnn", **SMALL["cnn"]},
    {"data__task": "is_target", "data__target": 3, "training__loss": "bce_with_logits", "data__normalization": "half"},
], ids=["classes", "cnn", "yes or no"])
def test_predict_normalises_runs_and_makes_probabilities(store, settings, changes):
    config = tiny(**changes)
    run = run_here(store, settings, config)
    assert run.status == "finished", run.message
    trained = load_model(store, run.id)
    data = load(config.data, settings.data_dir, settings.cache_dir)
    images = data.test.images[data.test.rows].float() / 255
    model = build_for(config, data)
    model.load_state_dict(load_file(store.folder(run.id) / WEIGHTS))
    pixels = data.train.images[data.train.rows].double() / 255
    mean, std = (0.5, 0.5) if config.data.normalization == "half" else (pixels.mean().item(), pixels.std(correction=0).item())
    with torch.no_grad():
        logits = model.eval()((images - mean) / std)
    yes = torch.sigmoid(logits)
    expected = torch.cat([1 - yes, yes], dim=1) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)
    got = trained.predict(images)
    assert got.dtype == torch.float32 and got.shape == (360, len(data.classes)) and not got.requires_grad
    assert torch.allclose(got, expected, atol=1e-5)
    right = (got.argmax(1) == data.test.labels).double().mean().item()
    assert right == pytest.approx(run.test_accuracy, abs=1 / 360 + 1e-9)  # one tie may fall the other way


def test_predict_takes_any_number_of_images_and_leaves_them_alone(trained):
    store, run = trained
    model = load_model(store, run.id)
    images = torch.rand(4, 1, 28, 28)
    kept = images.clone()
    together = model.predict(images)
    assert torch.equal(images, kept)
    assert torch.allclose(torch.cat([model.predict(image[None]) for image in images]), together, atol=1e-6)
    assert model.predict(images[:0]).shape == (0, 10)
    assert torch.allclose(model.predict(images.double()), together, atol=1e-6)


@pytest.mark.parametrize("images", [
    torch.rand(1, 28, 28), torch.rand(28, 28), torch.rand(2, 3, 28, 28), torch.rand(2, 1, 27, 28), torch.rand(1, 1, 1, 28, 28),
    torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, 1, 28, 28, dtype=torch.int64),
    torch.zeros(2, 1, 28, 28, dtype=torch.bool), torch.zeros(2, 1, 28, 28, dtype=torch.complex64)],
    ids=lambda images: f"{images.dtype} {tuple(images.shape)}")
def test_predict_refuses_other_images(trained, images):
    store, run = trained
    with pytest.raises(ValueError, match="this network needs") as caught:
        load_model(store, run.id).predict(images)
    one_line(caught)


# --- files that are not what they should be

@pytest.fixture
def checkpoint(trained, tmp_path):
    """A copy of a good checkpoint to spoil."""
    store, run = trained
    path = tmp_path / WEIGHTS
    path.write_bytes((store.folder(run.id) / WEIGHTS).read_bytes())
    assert read_checkpoint(path).epoch == 2
    return path


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return one_line(caught)


def rewrite(path, weights=None, about=None, metadata=None):
    """The checkpoint with other weights, or with some of what it says about itself replaced."""
    with safe_open(path, "pt") as file:
        says = file.metadata()
    if about is not None:
        says = {"about": json.dumps(json.loads(says["about"]) | about)}
    save_file(load_file(path) | (weights or {}), path, metadata=says if metadata is None else metadata)


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 8, b"\xff" * 64, b"A letter, no network.\n" * 9, b'{"json": 1}',
                                     b"PK\3\4" + b"\0" * 100, (2).to_bytes(8, "little") + b"{}", (2**62).to_bytes(8, "little")])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / WEIGHTS
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / WEIGHTS
    torch.save({"fc1.weight": torch.zeros(2)}, path)
    refused(path)


def test_every_truncation_is_refused(checkpoint):
    whole = checkpoint.read_bytes()
    for length in (*range(0, 64), 500, len(whole) // 2, len(whole) - 1):
        checkpoint.write_bytes(whole[:length])
        refused(checkpoint)
    checkpoint.write_bytes(whole + b"\0")
    refused(checkpoint)


@hypothesis_settings(max_examples=150)  # each example writes the file anew
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path, content):
    path = tmp_path / WEIGHTS
    path.write_bytes(content)
    refused(path)


@hypothesis_settings(max_examples=150)
@given(st.data())
def test_a_header_with_wrong_bytes_is_read_or_refused(trained, tmp_path, data):
    store, run = trained
    content = bytearray((store.folder(run.id) / WEIGHTS).read_bytes())
    length = 8 + int.from_bytes(content[:8], "little")
    for place in data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / WEIGHTS
    path.write_bytes(content)
    try:
        assert read_checkpoint(path).predict(torch.zeros(1, 1, 28, 28)).shape[0] == 1
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=6)
FIELDS = ["version", "config", "classes", "input_shape", "mean", "std", "epoch"]


@hypothesis_settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1))
def test_whatever_it_says_about_itself_is_read_or_refused(trained, tmp_path, about):
    store, run = trained
    path = tmp_path / WEIGHTS
    path.write_bytes((store.folder(run.id) / WEIGHTS).read_bytes())
    rewrite(path, about=about)
    try:
        assert read_checkpoint(path).predict(torch.zeros(1, 1, 28, 28)).isfinite().all()
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("about", [
    {"input_shape": [1, -28, 28]}, {"input_shape": [1, 28]}, {"input_shape": [1, 10**12, 10**12]}, {"input_shape": []},
    {"input_shape": ["1", "28", "28"]}, {"input_shape": 28}, {"classes": ["0", "1"]}, {"classes": []}, {"classes": None},
    {"mean": []}, {"mean": [0.0, 0.0]}, {"mean": ["0"]}, {"std": [0.0]}, {"std": [-1.0]}, {"std": [float("nan")]},
    {"mean": [float("inf")]}, {"epoch": "three"}, {"epoch": float("inf")}, {"config": {"model": {"architecture": "new"}}},
    {"config": "{"}, {"config": None}], ids=str)
def test_what_it_says_about_itself_must_make_sense(checkpoint, about):
    rewrite(checkpoint, about=about)
    refused(checkpoint)


@pytest.mark.parametrize(("wrote", "says"), [
    ("9.1.2", f"was written by {another_version('9.1.2')} and can't be used (model: there is no 'new'"),
    ("", f"is damaged, or was written by {another_version('')} (model: there is no 'new'"),
    (VERSION, "is damaged (model: there is no 'new'")])
def test_one_that_cannot_be_read_names_the_version_that_wrote_it(checkpoint, wrote, says):
    about = {"config": {"model": {"architecture": "new"}}, "version": wrote}
    rewrite(checkpoint, about=about)
    assert says in refused(checkpoint)


def test_one_of_an_earlier_version_is_read(store, settings):
    """Neither file named a version before 0.6.0."""
    run_id, _, model = saved(store, settings, tiny())
    weights, about = read_tensors(store.folder(run_id) / WEIGHTS)
    assert about.pop("version") == VERSION
    save_file(weights, store.folder(run_id) / WEIGHTS, metadata={"about": json.dumps(about)})
    again = read_checkpoint(store.folder(run_id) / WEIGHTS).model.state_dict()
    assert torch.equal(again["fc1.weight"], model.state_dict()["fc1.weight"])


@pytest.mark.parametrize("metadata", [{}, {"other": "x"}, {"about": ""}, {"about": "[]"}, {"about": "{}"}, {"about": "7"},
                                      {"about": "[" * 100_000}], ids=lambda metadata: str(metadata)[:30])
def test_weights_alone_are_refused(checkpoint, metadata):
    rewrite(checkpoint, metadata=metadata)
    assert "damaged" in refused(checkpoint)


@pytest.mark.parametrize(("weights", "says"), [
    ({"fc1.bias": torch.full((8,), float("nan"))}, "fc1.bias holds NaN"),
    ({"fc2.weight": torch.full((10, 8), float("-inf"))}, "fc2.weight holds NaN or infinite"),
    ({"fc1.weight": torch.zeros(8, 784, dtype=torch.float64)}, "fc1.weight is torch.float64 (8, 784)"),
    ({"fc1.weight": torch.zeros(8, 784, dtype=torch.bfloat16)}, "needs torch.float32 (8, 784)"),
    ({"fc1.bias": torch.zeros(8, dtype=torch.int64)}, "fc1.bias is torch.int64"),
    ({"fc1.weight": torch.zeros(784, 8)}, "fc1.weight is torch.float32 (784, 8)"),
    ({"fc1.bias": torch.zeros(9)}, "fc1.bias is torch.float32 (9,)"),
    ({"fc3.weight": torch.zeros(2, 2)}, "not wanted ['fc3.weight']"),
])
def test_other_weights_are_refused(checkpoint, weights, says):
    rewrite(checkpoint, weights)
    assert says in refused(checkpoint)


def test_missing_weights_are_refused(checkpoint):
    with safe_open(checkpoint, "pt") as file:
        says = file.metadata()
    weights = load_file(checkpoint)
    del weights["fc2.bias"]
    save_file(weights, checkpoint, metadata=says)
    assert "missing ['fc2.bias']" in refused(checkpoint)


def test_no_file_and_no_weights_yet(store, tmp_path):
    refused(tmp_path / "nothing.safetensors")
    refused(tmp_path)  # a folder
    run = store.create_running(tiny(), "tester", "here", title="Young")
    assert not has_checkpoint(store, run.id)
    with pytest.raises(CheckpointError, match="“Young” has kept no weights") as caught:
        load_model(store, run.id)
    one_line(caught)
    for run_id in ("0" * 32, "../x"):
        with pytest.raises(RunNotFound):
            load_model(store, run_id)


# --- taking it away

@pytest.mark.parametrize(("changes", "plain"), [
    ({}, lambda: nn.Sequential(OrderedDict(flatten=nn.Flatten(), fc1=nn.Linear(784, 8), relu=nn.ReLU(), fc2=nn.Linear(8, 10)))),
    ({"model__architecture": "cnn", **SMALL["cnn"]}, lambda: nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(1, 4, 3, padding=1), bn1=nn.BatchNorm2d(4), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(4, 6, 3, padding=1), bn2=nn.BatchNorm2d(6), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(), fc1=nn.Linear(6 * 7 * 7, 8), relu3=nn.ReLU(), fc2=nn.Linear(8, 10)))),
], ids=["mlp", "cnn"])
def test_a_weights_file_loads_into_plain_pytorch(store, settings, changes, plain):
    run = run_here(store, settings, tiny(**changes))
    trained = load_model(store, run.id)
    model = plain()
    model.load_state_dict(torch.load(io.BytesIO(weights_file(trained)), weights_only=True))
    images = torch.rand(6, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(model.eval()(images).softmax(1), trained.predict(images), atol=1e-6)
    written = config_file(trained.config)
    assert read_config(written) == trained.config and json.loads(written)["version"] == VERSION


# --- writing that is cut short

SHAPES = {"fc1.weight": (8, 784), "fc1.bias": (8,), "fc2.weight": (10, 8), "fc2.bias": (10,)}


def weights_of(value):
    return Checkpoint(1, 1, {name: torch.full(shape, value) for name, shape in SHAPES.items()})


def test_an_interrupted_write_keeps_the_old_weights(store, digits, monkeypatch):
    run = store.create_running(tiny(), "tester", "here")
    save_checkpoint(store, run.id, tiny(), digits, weights_of(1.0))

    def no_space(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(StoreError, match="the disk is full. Free some space") as caught:
        save_checkpoint(store, run.id, tiny(), digits, weights_of(2.0))
    assert "PLAYGROUND_RUNS" in one_line(caught)
    monkeypatch.undo()
    assert (load_model(store, run.id).model.fc1.bias == 1.0).all()
    assert sorted(path.name for path in store.folder(run.id).iterdir()) == [WEIGHTS, CONFIG]
    save_checkpoint(store, run.id, tiny(), digits, weights_of(2.0))
    assert (load_model(store, run.id).model.fc1.bias == 2.0).all()


def test_a_runs_folder_that_vanished_is_made_again_and_one_that_is_blocked_is_one_line(store, digits):
    run = store.create_running(tiny(), "tester", "here")
    store.folder(run.id).write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError) as caught:
        save_checkpoint(store, run.id, tiny(), digits, weights_of(1.0))
    assert str(store.path) in one_line(caught)
    store.folder(run.id).unlink()
    save_checkpoint(store, run.id, tiny(), digits, weights_of(1.0))
    assert load_model(store, run.id).epoch == 1


WRITER = """
import os, sys
from pathlib import Path
import torch
from core.data import load
from core.runs import RunStore
from core.runs.checkpoints import save_checkpoint
from core.training import Checkpoint, build_for

runs, data, cache, run_id = sys.argv[1:]
store = RunStore(Path(runs))
config = store.get(run_id).config
dataset = load(config.data, Path(data), Path(cache))
weights = build_for(config, dataset).state_dict()
for line in sys.stdin:  # a copy of this process for each number: importing torch again takes seconds
    pid = os.fork()
    while pid == 0:
        line = str(int(line) + 1)
        save_checkpoint(store, run_id, config, dataset, Checkpoint(int(line), int(line), {
            name: torch.full_like(value, float(line)) for name, value in weights.items()}))
    print(pid, flush=True)
    os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_a_writer_that_is_killed_leaves_a_whole_checkpoint(store, settings):
    """Ten processes that write without a pause, each killed at another moment: what is there is one whole checkpoint."""
    run = store.create_running(tiny(model__hidden=[64]), "tester", "here")
    command = [sys.executable, "-c", WRITER, str(store.path), str(settings.data_dir), str(settings.cache_dir), run.id]
    written, pids = 0, []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writers:
        try:
            for number in range(10):
                writers.stdin.write(f"{written}\n")
                writers.stdin.flush()
                pids.append(int(writers.stdout.readline()))
                wait_until(lambda goal=written + 2: has_checkpoint(store, run.id) and load_model(store, run.id).epoch >= goal,
                           lambda goal=written + 2: f"checkpoint {goal} is not there")
                time.sleep(number * 0.0013)
                os.kill(pids[-1], signal.SIGKILL)
                wait_until(lambda: not is_alive(pids[-1]), lambda: f"{pids[-1]} is still there")
                trained = load_model(store, run.id)
                values = {value for tensor in trained.model.state_dict().values() for value in tensor.flatten().tolist()}
                assert values == {float(trained.epoch)} and trained.epoch >= written + 2
                written = trained.epoch
        finally:
            for pid in filter(is_alive, pids):
                os.kill(pid, signal.SIGKILL)
            writers.stdin.close()


def test_another_runs_weights_are_another_file(store, settings):
    first, data, model = saved(store, settings, tiny())
    second, _, other = saved(store, settings, tiny(training__seed=1))
    assert torch.equal(load_model(store, first).model.fc1.weight, model.fc1.weight)
    assert torch.equal(load_model(store, second).model.fc1.weight, other.fc1.weight)
    assert replace(load_model(store, first), model=None) != replace(load_model(store, second), model=None)


@pytest.mark.parametrize("changes", [
    {}, {"training__optimizer": {"name": "sgd", "learning_rate": 1.5, "momentum": 0.9}},
    {"training__schedule": {"name": "plateau", "patience": 0}}], ids=["the best last", "the best first", "plateau"])
def test_a_run_that_keeps_its_best_weights_goes_on_from_its_files_bit_for_bit(store, settings, changes):
    """At its end the best weights are the kept ones, too: the same tensors under two names, which safetensors refuses."""
    def config(epochs):
        return tiny(training__keep="best", training__epochs=epochs, data__fraction=0.2, **changes)

    run = run_here(store, settings, config(2))
    assert (run.status, run.message) == ("finished", "")
    store.requeue(run.id, config(5))
    longer, straight = execute(store, store.claim("here"), settings), run_here(store, settings, config(5))
    assert (longer.status, longer.epoch, longer.test_accuracy) == ("finished", 5, straight.test_accuracy)
    names = ("loss", "validation_loss")
    assert store.metrics(run.id, names=names).series == store.metrics(straight.id, names=names).series
    for file in (WEIGHTS, TRAINING):
        ours, theirs = (load_file(store.folder(one.id) / file) for one in (longer, straight))
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
