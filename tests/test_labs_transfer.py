"""The lab on transfer learning: what is frozen stays, what is new learns, the figures that the page names, and VGG-16's."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest
from torch import nn

from core.data import load
from core.labs import vgg
from core.labs.text import learn
from core.labs.transfer import (
    WAYS,
    Count,
    TransferConfig,
    compare,
    count,
    few,
    few_data,
    linear_layers,
    source_config,
    target_config,
    train,
    train_mode,
    transfer_code,
    with_new_head,
)
from core.models import CNNConfig, MLPConfig, build
from core.runs import RunStore
from core.settings import Settings
from tests.helpers import run_here, tiny
from tests.opened_pages import said, skip_questions, whole

PAGE = "pages/learn_transfer.py"
TOPICS = ["Three ways", "VGG-16", "As runs"]


@pytest.fixture(scope="module")
def source(places, cache_dir):
    """The network of the page, which has learned 0 to 4."""
    torch.set_num_threads(1)
    config = source_config()
    return learn(config, load(config.data, places / "data", cache_dir))


@pytest.fixture(scope="module")
def new_digits(places, cache_dir):
    return load(few_data(), places / "data", cache_dir)


def small() -> nn.Module:
    return build(CNNConfig(channels=(4,), kernel=3, fc_width=8, batch_norm=True), (1, 28, 28), 5, seed=0)


def test_counts_by_hand():
    """conv 4·9 + 4, batch norm 4 + 4, fc1 784·8 + 8, fc2 8·5 + 5; the new head has 3 answers: 8·3 + 3."""
    model = small()
    assert count(model) == Count(40 + 8 + 6280 + 45, 0)
    assert count(with_new_head(model, 3, 0, "linear", freeze=True)) == Count(6280 + 27, 48)
    assert count(with_new_head(model, 3, 0, "last", freeze=True)) == Count(27, 48 + 6280)
    assert count(with_new_head(model, 3, 0, "last")) == Count(40 + 8 + 6280 + 27, 0)
    assert count(model) == Count(6373, 0)  # the source is not changed


def test_the_head_is_drawn_from_the_seed_and_the_features_are_kept():
    model = small()
    state = torch.get_rng_state()
    one, same, other = (with_new_head(model, 5, seed, "last", freeze=True) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    head = linear_layers(model)[-1]
    assert torch.equal(one.get_submodule(head).weight, same.get_submodule(head).weight)
    assert not torch.equal(one.get_submodule(head).weight, other.get_submodule(head).weight)
    assert torch.equal(one.get_submodule("conv1").weight, model.get_submodule("conv1").weight)
    assert torch.equal(one.get_submodule("fc1").weight, model.get_submodule("fc1").weight)


@pytest.mark.parametrize("freeze", [True, False])
def test_what_is_frozen_stays_bit_for_bit(new_digits, freeze):
    """Weights, and batch norm's running mean and variance, which no requires_grad holds still."""
    model = with_new_head(small(), 5, 0, "linear", freeze)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train("x", model, new_digits, few(new_digits, 4, 0), TransferConfig(steps=10))
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == ({"fc1", "fc2"} if freeze else {"conv1", "bn1", "fc1", "fc2"})


def test_a_frozen_network_has_its_dropout_on():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2))
    model[:2].requires_grad_(False)
    train_mode(model)
    assert [module.training for module in model] == [False, False, True, True]


def test_networks_without_features_are_refused_in_one_line():
    with pytest.raises(ValueError, match="no linear layer"):
        with_new_head(nn.Sequential(nn.Conv2d(1, 1, 3)), 5, 0)
    mlp = build(MLPConfig(hidden=(8,)), (1, 28, 28), 5)
    with pytest.raises(ValueError, match="Replace its last layer only"):
        with_new_head(mlp, 5, 0, "linear", freeze=True)
    assert count(with_new_head(mlp, 5, 0, "last", freeze=True)) == Count(45, 784 * 8 + 8)


def test_few_images_of_each_class(new_digits):
    images = few(new_digits, 3, seed=1)
    assert images.counts(5) == [3, 3, 3, 3, 3] and set(images.rows.tolist()) <= set(new_digits.train.rows.tolist())
    assert torch.equal(images.rows, few(new_digits, 3, 1).rows) and not torch.equal(images.rows, few(new_digits, 3, 2).rows)
    assert few(new_digits, 10_000, 0).counts(5) == new_digits.train.counts(5)


def test_the_figures_that_the_page_names(source, new_digits):
    """Five seeds: 82, 95 and 96 %, with all but the last layer frozen 44 %; another processor may move a mean by a few points."""
    found, last = {name: [] for name in WAYS.values()}, []
    for seed in range(5):
        for way in compare(source, new_digits, TransferConfig(seed=seed), source_config().model):
            found[way.name].append(way.accuracies[-1])
        head = with_new_head(source, 5, seed, "last", freeze=True)
        config = TransferConfig(seed=seed, head="last")
        last.append(train("last", head, new_digits, few(new_digits, 10, seed), config).accuracies[-1])
    means = [sum(values) / 5 for values in (*found.values(), last)]
    assert means == pytest.approx([0.82, 0.95, 0.96, 0.44], abs=0.04)
    scratch, frozen, tuned = found.values()
    spans = [(min(values), max(values)) for values in (scratch, frozen, tuned)]
    assert spans == [pytest.approx(span, abs=0.03) for span in ((0.75, 0.88), (0.93, 0.96), (0.94, 0.97))]


def test_from_nothing_nearly_catches_up(source, new_digits):
    scratch, _, tuned = compare(source, new_digits, TransferConfig(steps=100), source_config().model)
    assert tuned.accuracies[-1] - scratch.accuracies[-1] < 0.06
    assert scratch.steps[0] == 0 and scratch.steps[-1] == 100 and len(scratch.losses) == 100
    assert len(scratch.steps) == len(scratch.accuracies) == 11


@pytest.mark.parametrize("head", ["linear", "last"])
def test_the_code_runs_alone(head):
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(transfer_code(TransferConfig(head=head, steps=5, per_class=2)), {})
    lines = printed.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["scratch", "frozen", "fine-tuned"]
    # conv 16·9 + 16, linear 256·64 + 64 and 64·5 + 5
    frozen = {"linear": ("16,773 trainable", "160 frozen"), "last": ("325 trainable", "16,608 frozen")}[head]
    assert all(part in lines[1] for part in frozen) and "16,933 trainable" in lines[0]


# --- VGG-16


def test_vgg16s_sizes():
    """As torchvision's documentation gives it; 4,096 weights and a bias for each class; 14,714,688 in the convolutions."""
    found = vgg.sizes(10)
    assert found.whole == 138_357_544
    assert found.head_only == Count(40_970, 138_357_544 - 4096 * 1000 - 1000)
    assert found.convolutions_frozen == Count(138_357_544 - 4_097_000 - 14_714_688 + 40_970, 14_714_688)
    assert "40,970 trainable, 134,260,544 frozen" in vgg.lines(10) and "vgg16(weights=weights)" in vgg.lines(10)


def test_the_lines_of_vgg16_do_what_they_say():
    """Without the weights, and without memory for its numbers."""
    code = vgg.lines(10).replace("vgg16(weights=weights)", "vgg16()").replace("weights = VGG16_Weights.DEFAULT", "")
    code = code.replace("preprocess = weights.transforms()", "")
    from core.torchvision_guard import torchvision  # noqa: F401  # before the code's own import
    printed = io.StringIO()
    with redirect_stdout(printed), torch.device("meta"):
        exec(code, {})
    assert printed.getvalue() == "40,970 trainable, 134,260,544 frozen\n"


def tiny_vgg() -> nn.Module:
    """The same parts, small."""
    model = nn.Module()
    model.features = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    model.avgpool = nn.AdaptiveAvgPool2d(2)
    model.classifier = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 6), nn.ReLU(), nn.Dropout(),
                                     nn.Linear(6, 1000))
    return model


def meta_vgg() -> nn.Module:
    with torch.device("meta"):
        return tiny_vgg()


def test_weights_are_found_where_they_may_lie(tmp_path):
    assert vgg.find_weights(tmp_path / "data", tmp_path / "hub") is None
    assert "553.4 MB" in vgg.where_to_put(tmp_path) and str(tmp_path / "weights") in vgg.where_to_put(tmp_path)
    brought = tmp_path / "data/weights/vgg16.safetensors"
    brought.parent.mkdir(parents=True)
    (brought.parent / "other.pth").touch()
    brought.touch()
    assert vgg.find_weights(tmp_path / "data", tmp_path / "hub") == brought
    cached = tmp_path / "hub/checkpoints" / vgg.FILE
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert vgg.find_weights(tmp_path / "data", tmp_path / "hub") == cached


@pytest.mark.parametrize("name", ["vgg16.pth", "vgg16.safetensors"])
def test_weights_are_read_and_frozen(tmp_path, name):
    weights = tiny_vgg().state_dict()
    path = tmp_path / name
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    model = vgg.read_weights(path, meta_vgg)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not model.training and count(model).trainable == 0


@pytest.mark.parametrize(("content", "line"), [
    (b"", "can't be read"), (b"hello", "can't be read"), ({"a": torch.ones(2)}, "names or shapes"), ([1, 2], "names or shapes"),
    ("half", "another format"), ("whole", "can't be read")])
def test_bad_weights_get_one_line(tmp_path, content, line):
    path = tmp_path / "vgg16.pth"
    if content == "half":
        torch.save({name: value.half() for name, value in tiny_vgg().state_dict().items()}, path)
    elif content == "whole":
        torch.save(nn.Linear(1, 1), path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(vgg.WeightsUnusable, match=line) as refused:
        vgg.read_weights(path, meta_vgg)
    assert "\n" not in str(refused.value)


def test_features_are_what_reaches_the_last_layer(new_digits, tmp_path):
    path = tmp_path / "vgg16.pth"
    torch.save(tiny_vgg().state_dict(), path)
    model = vgg.read_weights(path, meta_vgg)
    images, shares = few(new_digits, 6, 0), []
    found = vgg.features(model, images, shares.append, side=28)
    assert found.shape == (30, 6) and shares[-1] == 1.0 and shares == sorted(shares)
    pixels = images.take(torch.arange(30))[0].float() / 255
    mean, std = torch.tensor(vgg.MEAN).view(1, 3, 1, 1), torch.tensor(vgg.STD).view(1, 3, 1, 1)
    whole = nn.Sequential(model.features, model.avgpool, nn.Flatten(), *model.classifier[:6])
    assert torch.allclose(found, whole((pixels.expand(-1, 3, -1, -1) - mean) / std), atol=1e-6)
    points, learned = vgg.as_points(new_digits, images, images, found, found)
    assert points.input_shape == (6,) and torch.equal(learned.labels, images.labels[images.rows])
    way = train("x", vgg.last_layer(6, 5, 0), points, learned, TransferConfig(steps=20, learning_rate=0.03))
    assert way.count == Count(35, 0) and way.losses[-1] < way.losses[0]


# --- the page


@pytest.fixture(autouse=True)
def no_workers(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def quick(monkeypatch, source):
    """The page with a network that has learned already."""
    from pages.parts.learn.transfer import subject
    monkeypatch.setattr(subject, "taught", lambda settings: source)


def lab(topic: str, **state) -> AppTest:
    at = skip_questions(AppTest.from_file(str(Path(__file__).parents[1] / PAGE), default_timeout=60))
    at.session_state["transfer.topic"] = topic
    for name, value in state.items():
        at.session_state[f"transfer.{name}"] = value
    return whole(at.run())


def test_the_three_ways_on_the_page_are_cores(quick, source, new_digits):
    at = lab("Three ways", images=3, steps=10)
    ways = compare(source, new_digits, TransferConfig(per_class=3, steps=10), source_config().model)
    assert [metric.value for metric in at.metric] == [f"{100 * way.accuracies[-1]:.1f} %" for way in ways]
    table = at.dataframe[0].value
    assert list(table["Trainable"]) == [60549, 37253, 60549] and list(table["Frozen"]) == [0, 23296, 0]
    assert len(at.get("plotly_chart")) == 2 and "the same 15 images" in said(at) and "requires_grad" in at.code[-1].value
    at.segmented_control(key="transfer.head").set_value("last").run()
    whole(at)
    assert list(at.dataframe[0].value["Trainable"]) == [60549, 325, 60549]


def test_runs_are_sources_too(quick, places, no_workers, cache_dir):
    settings = Settings(places / "data", no_workers.path, cache_dir)
    run = run_here(no_workers, settings, tiny())
    at = lab("Three ways", source=run.id, images=2, steps=10)
    assert "has learned from images of these very classes" in said(at)
    assert "Replace its last layer only" in said(at)  # an MLP has nothing before its linear layers
    at.segmented_control(key="transfer.head").set_value("last").run()
    whole(at)
    assert list(at.dataframe[0].value["Frozen"]) == [0, 784 * 8 + 8, 0]


def test_the_steps_to_real_runs(quick, places, no_workers, cache_dir):
    at = lab("As runs")
    assert at.button(key="transfer.second").disabled
    at.button(key="transfer.first").click().run()
    whole(at)
    (queued,) = no_workers.runs()
    assert queued.config == source_config()
    settings = Settings(places / "data", no_workers.path, cache_dir)
    shorter = source_config().with_values({"training.epochs": 1, "data.variations": 0, "training.device": "cpu"})
    first = run_here(no_workers, settings, shorter)
    going_on = target_config(first.id).with_values({"training.epochs": 1, "data.variations": 0, "training.device": "cpu"})
    second = run_here(no_workers, settings, going_on)
    assert second.status == "finished" and second.config.data.only_classes == ("5", "6", "7", "8", "9")


def test_vgg_on_the_page(quick, tmp_path, monkeypatch):
    at = lab("VGG-16", classes=10)
    assert [metric.value for metric in at.metric] == ["138,357,544", "40,970", "119,586,826"]
    assert "are not on this machine" in said(at) and at.code[-1].value == vgg.lines(10).strip()
    bad = tmp_path / "torch/hub/checkpoints" / vgg.FILE
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"not weights")
    at = lab("VGG-16", classes=5, vgg=True, images=2)
    assert len(at.error) == 1 and "can't be read as a file of tensors" in at.error[0].value
    torch.save(tiny_vgg().state_dict(), bad)
    monkeypatch.setattr(vgg, "read_weights", lambda path, read=vgg.read_weights: read(path, meta_vgg))
    at = lab("VGG-16", classes=5, vgg=True, images=3)
    assert at.metric[-1].value == "35" and not at.error and "are on this machine" in said(at)
