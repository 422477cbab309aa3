"""A run in every form that it can be taken away in, read by those the form is for."""

import ast
import csv
import io
import json
import re
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from torch import nn

from core.config import RunConfig
from core.evaluation.evaluation import evaluate
from core.export import script
from core.models import ARCHITECTURES, build
from core.presets import PRESETS
from core.runs import Metric, Run, RunStore, load_model
from core.runs.checkpoints import Meaning, save_weights
from core.runs.evaluations import load_predictions
from core.runs.made_with import FILE, read_made_with
from core.settings import Settings
from core.takeaway import KINDS, REFUSALS, Options, Subject, TakeawayError, event_files, file_name, metrics_table, take, why_not
from core.takeaway.model_card import words
from core.takeaway.notebooks import compare, parts_of
from core.takeaway.onnx_writer import check
from core.takeaway.parts import example_inputs
from core.takeaway.record import lines_of, record_of
from core.training import Checkpoint, Started, outputs_for
from tests.helpers import tiny
from tests.hostile import HOSTILE
from tests.test_side_by_side import made

LARGE = {"vgg16"}  # 500 MB: its layers are those of the others


@pytest.fixture(scope="module")
def subject(trained, places) -> Subject:
    store, run = trained
    return Subject(store, run, Settings(places / "data", store.path, places / "cache"))


def fresh(store: RunStore, config: RunConfig, classes: tuple[str, ...], shape: tuple[int, ...], title: str = "fresh",
          mean: tuple[float, ...] = (), std: tuple[float, ...] = ()) -> Run:
    """A run that has ended with untrained weights, whose batch norms are not at their first values."""
    run = store.create_running(config, "tester", "here", title)
    model = build(config.model, shape, outputs_for(config, len(classes)), seed=1)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
    channels = shape[0] if len(shape) > 1 or config.data.dataset != "reviews" else 0
    meaning = Meaning(classes, shape, mean or (0.3,) * channels, std or (0.4,) * channels)
    save_weights(store, run.id, config, meaning, Checkpoint(1, 20, model.state_dict()))
    store.begin(run.id, Started(20, 20, sum(p.numel() for p in model.parameters()), "cpu", "float32"))
    store.record(run.id, [Metric("loss", step, 1 / step) for step in range(1, 21)], step=20, epoch=1)
    store.finish(run.id, "finished", seconds=1.0)
    return store.get(run.id)


def of_architecture(store: RunStore, name: str) -> Run:
    """A run of each kind of network on data that it takes, normalised."""
    if name == "text_embedding":
        config = RunConfig.model_validate({"data": {"dataset": "reviews"}, "model": {"architecture": name}})
        return fresh(store, config, ("bad", "good"), (config.data.text_length,))
    config = RunConfig.model_validate({"data": {"dataset": "digits", "validation": 200, "normalization": "half"},
                                       "model": {"architecture": name}})
    return fresh(store, config, tuple("0123456789"), (1, 28, 28))


# --- weights

def test_weights_are_those_that_the_run_kept(subject, tmp_path):
    kept = load_model(subject.store, subject.run.id).model.state_dict()
    pth = torch.load(io.BytesIO(take(subject, "pth")), weights_only=True)
    (tmp_path / "w.safetensors").write_bytes(take(subject, "safetensors"))
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        safe = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["about"])
    for weights in (pth, safe):
        assert weights.keys() == kept.keys() and all(torch.equal(weights[name], kept[name]) for name in kept)
    assert about["classes"] == list("0123456789") and about["input_shape"] == [1, 28, 28]


# --- ONNX and torch.export

def onnx_answers(content: bytes, inputs: torch.Tensor) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: inputs.numpy()})[0])


@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - LARGE))
def test_every_architecture_answers_in_onnx_as_it_does_here(store, settings, name, capfd):
    """On 100 inputs of other numbers than those it was checked with, at once and in other batches. Networks that read texts go
    through the second exporter, the others through the first. No exporter says anything, not even past Python's streams."""
    run = of_architecture(store, name)
    subject = Subject(store, run, settings)
    inputs, trained = example_inputs(subject, 100, seed=7), load_model(store, run.id)
    content = take(subject, "onnx")
    assert capfd.readouterr() == ("", "")
    expected = trained.predict(inputs)
    torch.testing.assert_close(onnx_answers(content, inputs), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(onnx_answers(content, inputs[:1]), expected[:1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(onnx_answers(content, inputs[:3]), expected[:3], rtol=1e-4, atol=1e-5)


def test_onnx_alone_is_the_network_and_says_how_to_use_it(store, settings):
    import onnx

    run = of_architecture(store, "cnn")
    alone = take(Subject(store, run, settings, Options(alone=True)), "onnx")
    inputs, trained = torch.randn(5, 1, 28, 28), load_model(store, run.id)
    with torch.no_grad():
        torch.testing.assert_close(onnx_answers(alone, inputs), trained.model(inputs), rtol=1e-4, atol=1e-5)
    model = onnx.load_from_string(alone)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["classes"]) == list("0123456789") and json.loads(about["mean"]) == [0.3]
    assert about["gives"] == "logits" and "(x − mean) / std" in about["takes"]
    assert [entry.name for entry in model.graph.input] == ["images"] and [e.name for e in model.graph.output] == ["logits"]
    whole = onnx.load_from_string(take(Subject(store, run, settings), "onnx"))
    assert [entry.name for entry in whole.graph.output] == ["probabilities"]


def test_an_onnx_file_that_answers_otherwise_is_not_handed_out(store, settings, monkeypatch):
    one, other = (Subject(store, of_architecture(store, "mlp"), settings) for _ in range(2))
    content, inputs = take(one, "onnx"), example_inputs(one)
    with pytest.raises(TakeawayError, match="not handed out: on 100 examples its answers differ from the network's by up to"):
        check(content, inputs, other.trained.predict(inputs).flip(1))
    with pytest.raises(TakeawayError, match="not handed out"):
        check(content, inputs, torch.full((100, 10), torch.nan))
    with pytest.raises(TakeawayError, match="onnxruntime can't run this network"):
        check(content[:-400], inputs, inputs)


class Strange(nn.Module):
    def forward(self, x):
        return torch.linalg.lstsq(x.flatten(1)[:, :4].unsqueeze(-1), x.flatten(1)[:, :4].unsqueeze(-1)).solution[:, :, 0]


def test_what_onnx_cannot_hold_says_so_in_one_line(store, settings):
    subject = Subject(store, of_architecture(store, "mlp"), settings, Options(alone=True))
    vars(subject)["trained"] = replace(subject.trained, model=Strange())
    with pytest.raises(TakeawayError, match=r"^ONNX can't hold this network: [^\n]+$"):
        take(subject, "onnx")


@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - LARGE - {"resnet18", "mobilenet_v3_small"}))
def test_a_program_of_torch_export_answers_as_the_network_does(store, settings, name):
    run = of_architecture(store, name)
    content = take(Subject(store, run, settings), "torch-export")
    inputs = example_inputs(Subject(store, run, settings), 100, seed=7)
    files = {"about.json": ""}
    program = torch.export.load(io.BytesIO(content), extra_files=files)
    torch.testing.assert_close(program.module()(inputs), load_model(store, run.id).predict(inputs), rtol=1e-4, atol=1e-5)
    assert json.loads(files["about.json"])["gives"] == "probabilities"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:  # where the code lies here is nobody's business
        assert not any(b"/core/" in archive.read(entry) for entry in archive.namelist())


# --- metrics

def test_the_table_holds_every_metric_to_its_last_digit(subject):
    found = pd.read_csv(io.BytesIO(take(subject, "csv")), index_col="step")
    series = subject.store.metrics(subject.run.id).series
    assert set(found.columns) == set(series) | {"epoch"} and len(series) > 10
    for name, (steps, values) in series.items():
        column = found[name].dropna()
        assert column.index.tolist() == steps and column.tolist() == values
    assert found.loc[40, "epoch"] == 2.0


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(subject, name):
    text = metrics_table.table(subject.run, {name: ([1], [-0.5]), "loss": ([1, 2], [float("nan"), float("-inf")])})
    rows = list(csv.reader(io.StringIO(text, newline="")))
    named, loss = rows[0].index(f"'{name}".replace("\t", " ").replace("\r", " ")), rows[0].index("loss")
    assert all(cell[0] not in "=+-@" for cell in rows[0])
    assert [row[loss] for row in rows[1:]] == ["nan", "-inf"] and rows[1][named] == "-0.5"  # numbers stay numbers


def test_event_files_are_read_by_tensorboard(subject, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with zipfile.ZipFile(io.BytesIO(take(subject, "tensorboard"))) as archive:
        archive.extractall(tmp_path)
    events = EventAccumulator(str(tmp_path / subject.run.id), size_guidance={"scalars": 0}).Reload()
    series = subject.store.metrics(subject.run.id).series
    assert set(events.Tags()["scalars"]) == set(series)
    for name, (steps, values) in series.items():
        found = events.Scalars(name)
        assert [one.step for one in found] == steps
        assert [one.value for one in found] == np.array(values, np.float32).tolist()
        assert all(subject.run.started <= one.wall_time <= subject.run.started + subject.run.seconds + 1e-6 for one in found)


def test_long_steps_and_odd_numbers_are_read_by_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    steps = np.array([0, 1, 127, 128, 16_383, 16_384, 2**35, 2**62])
    values = np.array([0.0, -1.5, np.nan, np.inf, -np.inf, 1e-30, 3e38, 1e300])
    name = "gradient.Ä" * 30
    (tmp_path / "events.out.tfevents.0.x").write_bytes(event_files.scalars(name, np.arange(8.0), steps, values))
    events = list(LegacyEventFileLoader(str(tmp_path / "events.out.tfevents.0.x")).Load())
    assert [one.step for one in events] == steps.tolist() and [one.wall_time for one in events] == list(range(8))
    assert {one.summary.value[0].tag for one in events} == {name}
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal([one.summary.value[0].simple_value for one in events], values.astype(np.float32))


# --- the card

def shares(text: str) -> list[float]:
    return [float(found) / 100 for found in re.findall(r"([\d.]+) %", text)]


def test_the_cards_figures_are_those_of_the_network(subject, digits):
    """Recomputed here, from the weights and the test images, by the definitions."""
    text = take(subject, "card").decode()
    trained = load_model(subject.store, subject.run.id)
    images, labels = digits.test.take(torch.arange(len(digits.test)))
    probabilities = trained.predict(images / 255).double()
    sure, said = probabilities.max(1)
    right = said == labels
    n, p, z = len(labels), float(right.double().mean()), 1.959963984540054
    middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    accuracy = next(line for line in text.splitlines() if line.startswith("- Accuracy"))
    assert shares(accuracy.replace("95 % interval", "")) == pytest.approx([p, middle - half, middle + half], abs=6e-5)
    assert f"{int(right.sum())} of {n} right" in accuracy
    assert f"value: {p!r}" in text
    error = 0.0
    for low in range(15):
        inside = (sure > low / 15) & (sure <= (low + 1) / 15)
        if inside.any():
            error += abs(float(sure[inside].sum()) - int(right[inside].sum())) / n
    calibration = next(line for line in text.splitlines() if line.startswith("Expected calibration error"))
    assert shares(calibration)[0] == pytest.approx(error, abs=6e-5)
    assert f"{100 * abs(float(sure.mean()) - p):.2f} percentage points" in calibration
    assert evaluate(trained.model, digits, subject.run.config).accuracy == pytest.approx(p)
    row = next(line for line in text.splitlines() if line.startswith("| 0 |"))
    assert shares(row)[1] == pytest.approx(float(right[labels == 0].double().mean()), abs=6e-5)
    block = text.split("---\n")[1]
    assert 'type: "digits"' in block and "pipeline_tag: image-classification" in block and "datasets:" not in block
    for line in ("Training: 1,237 images", "PyTorch 2.13", "Threads | 1 |", "Changed by hand | nothing recorded"):
        assert line in text


@pytest.mark.parametrize("title", [*HOSTILE, "---\nlicense: mit", "<script>alert(1)</script>", '"quoted": [x]',
                                   "| a | b |\n| - | - |"])
def test_a_persons_words_are_text_on_a_card(store, settings, title):
    import markdown  # TensorBoard brings it

    run = fresh(store, tiny(), tuple("0123456789"), (1, 28, 28), title)
    text = take(Subject(store, run, settings), "card").decode()
    _, block, body = text.split("---\n", 2)
    assert block.count("\n") == text[:text.index("\n---\n", 4)].count("\n") and "license" not in [
        line.split(":")[0] for line in block.splitlines()]
    name = re.search(r"^- name: (.*)$", block, re.M)
    assert name is None or json.loads(name[1]) == " ".join((title or f"Run {run.id[:8]}").split())
    headline = next(line for line in body.splitlines() if line.startswith("# "))
    html = markdown.markdown(headline)
    assert re.findall(r"<(\w+)", html) == ["h1"], html


def test_words_keep_every_sign():
    assert words("a_b *c* [d](e) `f` <g> | 1.5 x-y") == r"a\_b \*c\* \[d\](e) \`f\` \<g\> \| 1.5 x-y"
    assert words("1. one") == r"1\. one" and words("- one\ntwo") == r"\- one two" and words("www.x.org") == r"www\.x.org"


# --- the notebook

@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_notebooks_cells_are_the_script(name, places):
    try:
        text = script(PRESETS[name].config, places / "data", fast=True)
    except REFUSALS:
        pytest.skip(f"{name} has no plain script")
    cells = parts_of(text)
    assert ast.dump(ast.parse("\n".join(cells))) == ast.dump(ast.Module(ast.parse(text).body[1:], []))
    assert 5 < len(cells) < 40 and all(ast.parse(cell).body for cell in cells)


def test_curves_are_compared_epoch_by_epoch():
    text = "epoch 1: loss 2.2090, validation loss 2.1069, validation accuracy 37.00%\nepoch 2: loss nan, validation loss 1.5000\n"
    series = {"train_loss": ([20, 40], [2.2091, float("nan")]), "validation_loss": ([20, 40], [2.1069, 1.75])}
    found = compare(text, series, 20)
    assert (found.epochs, round(found.train, 6), found.validation) == (2, 1e-4, 0.25)
    assert "0.0001" in found.words() and "0.2500" in found.words()
    assert compare("epoch 2: loss 1.0\n", series, 20).train == float("inf")  # NaN is no number
    assert compare("", series, 20).words() == "The run has recorded no epochs to compare with."


@pytest.mark.slow
def test_a_notebook_is_executed_and_says_how_its_curve_compares(subject):
    import nbformat

    content = take(subject, "notebook")
    made = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(made)
    assert "Its losses are the run's in all four printed digits, over 2 epochs" in made.cells[0].source
    outputs = [output for cell in made.cells[1:] for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    assert sum("epoch 2: loss" in output.get("text", "") for output in outputs) == 1
    assert all(cell.execution_count for cell in made.cells[1:])
    assert str(subject.settings.data_dir) not in content.decode()


# --- what there is of which run

def test_a_run_says_what_it_was_made_with(subject):
    made = read_made_with(subject.store, subject.run.id)
    assert made["starts"][0]["torch"] == torch.__version__ and made["starts"][0]["step"] == 0
    assert made["data"]["test"] == {"examples": 360, "fingerprint": load_predictions(subject.store, subject.run.id).images}
    lines = {line.name: line.value for line in lines_of(record_of(subject.store, subject.run), subject.run)}
    assert lines["Threads"] == "1" and lines["Seed"] == "0" and lines["Started from"] == "fresh weights"
    assert torch.__version__ in lines["Versions"] and lines["Device"] == "cpu" and lines["Number format"] == "float32"
    assert lines["Test data"].startswith("360 images, fingerprint ") and lines["Changed by hand"] == "nothing recorded"


def test_what_was_changed_by_hand_and_what_it_started_from_stand_on_it(store):
    run = made(store, tiny(training__start_from="a" * 32), by_hand=True)
    lines = {line.name: line.value for line in lines_of(record_of(store, run), run)}
    assert lines["Changed by hand"] == "after step 3 learning rate from 0.1 to 0.2"
    assert lines["Started from"] == f"run {'a' * 32}"


def test_a_run_of_an_earlier_version_is_taken_away_too(store, settings):
    run = of_architecture(store, "mlp")  # nobody has written down what it was made with
    assert not (store.folder(run.id) / FILE).exists()
    subject = Subject(store, run, settings)
    assert "| Machine | not recorded |" in take(subject, "card").decode()
    assert all(take(subject, name) for name, kind in KINDS.items() if not kind.own_process)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"starts": 3, "data": [1]}', b"[" * 100_000,
                                     b'{"starts": [3, {"torch": {"a": 1}, "cores": "x"}], "data": {"train": 3}}'])
def test_a_damaged_record_costs_its_lines_alone(store, settings, content):
    run = of_architecture(store, "mlp")
    (store.folder(run.id) / FILE).write_bytes(content)
    assert take(Subject(store, run, settings), "card")


def test_a_run_without_weights_gives_what_it_has(store, settings):
    run = store.create_running(tiny(), "tester", "here", "cut short")
    store.record(run.id, [Metric("loss", 1, 2.0)], step=1)
    store.finish(run.id, "failed", "It was cut short.")
    subject = Subject(store, store.get(run.id), settings)
    for name, kind in KINDS.items():
        if kind.weights:
            assert why_not(subject, name) == "The run has kept no weights: it ended before its first epoch did."
            with pytest.raises(TakeawayError, match="has kept no weights"):
                take(subject, name)
    assert {"script", "csv", "tensorboard", "config", "card", "bundle"} <= {name for name in KINDS if not why_not(subject, name)}
    with zipfile.ZipFile(io.BytesIO(take(subject, "bundle"))) as archive:
        left_out = json.loads(archive.read("bundle.json"))["left_out"]
        assert {"pth", "safetensors", "onnx", "torch-export", "notebook"} == set(left_out)
        assert "metrics.csv" in archive.namelist() and "checkpoint.safetensors" not in archive.namelist()
    assert "has kept no weights" in take(subject, "card").decode()


@pytest.mark.parametrize(("kind", "packages"), [("onnx", ["onnx"]), ("onnx", ["onnx", "onnxruntime"]),
                                                ("notebook", ["nbclient"])])
def test_a_missing_package_is_said_in_one_line(subject, monkeypatch, kind, packages):
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
    verb = "is" if len(packages) == 1 else "are"
    with pytest.raises(TakeawayError) as refused:
        take(subject, kind)
    assert str(refused.value) == (f"This needs {' and '.join(packages)}, which {verb} not installed: "
                                  "pip install -r requirements-export.txt.")


def test_files_are_named_after_their_run(subject):
    assert file_name(subject, "onnx") == f"mlp-{subject.run.id[:8]}.onnx"
    assert len({file_name(subject, name) for name in KINDS}) == len(KINDS), "none is written over another"
    assert len({kind.file for kind in KINDS.values() if kind.file}) == sum(bool(kind.file) for kind in KINDS.values())
