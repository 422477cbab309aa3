"""The model and the recording that come with the app: what makes them, makes them again; what is damaged is refused in a line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from benchmarks.odd_drawings import ODD
from core.__main__ import main
from core.data import load
from core.data.drawing import prepare
from core.runs import TrainedModel
from core.runs.checkpoints import tensors_in
from core.runs.execute import execute
from core.runs.recording import (
    HALF,
    MOST_BYTES,
    MOST_FRAMES,
    RECORDING,
    read_recording,
    record,
    recording_bytes,
)
from core.runs.shipped import (
    CHECKOUT,
    JUDGE,
    MODEL,
    MOST_JUDGE_BYTES,
    MOST_MODEL_BYTES,
    ShippedError,
    assets,
    first_judge,
    first_model,
)
from core.runs.shipping import shipped_config, train_shipped
from core.training import Command, ImageWatcher
from core.training.watchers import WATCH
from tests.helpers import tiny
from tests.strokes import VARIANTS, draw

AGAIN = "digits-quick has changed: make the shipped files again with python -m core first-model"


# --- what ships

def test_what_ships():
    """Sizes are what is promised of them; what is said of the model is so."""
    assert assets() == CHECKOUT
    assert (CHECKOUT / MODEL).stat().st_size <= MOST_MODEL_BYTES == 500_000
    assert (CHECKOUT / JUDGE).stat().st_size <= MOST_JUDGE_BYTES == 300_000
    assert (CHECKOUT / RECORDING).stat().st_size <= MOST_BYTES == 300_000
    model, recording = first_model(), read_recording()
    assert isinstance(model, TrainedModel) and not model.model.training
    assert model.config == shipped_config(), AGAIN
    assert model.classes == recording.classes == tuple("0123456789") and model.title == recording.title == "Digits (scikit-learn)"
    assert model.test_accuracy == recording.accuracy and model.images == 1797 - 360 - 200
    assert recording.labels.tolist() == list(range(10)) and recording.images.shape == (10, 28, 28)
    assert recording.filters.shape == (len(recording), 8, 5, 5)  # of its first convolution
    assert 20 <= len(recording) <= MOST_FRAMES and recording.losses[-1] < recording.losses[0] / 4
    assert model.without_normalization().title == model.title  # a copy is one of the same kind


def test_where_they_are_found(tmp_path, monkeypatch, capsys):
    """In the checkout; where there is none, where `pip install .` has put them."""
    for name in ("CHECKOUT", "INSTALLED"):
        monkeypatch.setattr(f"core.runs.shipped.{name}", tmp_path / name)
    assert assets() == tmp_path / "CHECKOUT"  # to be written to
    for name in ("INSTALLED", "CHECKOUT"):
        (tmp_path / name).mkdir()
        assert assets() != tmp_path / name
        (tmp_path / name / MODEL).write_bytes((CHECKOUT / MODEL).read_bytes())
        assert assets() == tmp_path / name and first_model().classes
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "first-model" in capsys.readouterr().out


@pytest.mark.parametrize(("digit", "variant"), VARIANTS)
def test_it_reads_drawings(digit, variant):
    answer = first_model().predict(prepare(draw(digit, variant)).image[None])
    assert answer.shape == (1, 10) and int(answer.argmax()) == digit


def odd_marks() -> torch.Tensor:
    """(60, 1, 28, 28) scribbles and capital letters, as drawn on the sheet by other code than what the judge learned from."""
    return torch.cat([ODD[name](30, 5) for name in ("scribbles", "letters")])


def test_its_judge_doubts_letters_and_scribbles_and_no_digit():
    model = first_model()
    judge = first_judge(model)
    digits = torch.stack([prepare(draw(digit, variant)).image for digit, variant in VARIANTS])
    assert (judge.scores(model.model, digits, model.mean, model.std) < 1).all()
    assert (judge.scores(model.model, odd_marks(), model.mean, model.std) > 1).float().mean() > 0.7


def test_the_recording_ends_with_the_shipped_model(digits):
    """Its last frame is what that model says of the ten examples, which are validation images."""
    recording = read_recording()
    images = torch.from_numpy(recording.images)[:, None]
    assert all(any(torch.equal(image, held_back) for held_back in digits.validation.images[digits.validation.rows])
               for image in images)
    answers = first_model().predict(images.float() / 255).numpy()
    assert np.abs(recording.answers[-1] - answers).max() < HALF + 1e-4


@pytest.mark.slow
def test_the_command_makes_them_again(settings, tmp_path, monkeypatch, capsys):
    """On one machine the weights are the same to the last bit. Another one adds numbers in another order, and 600 steps make more
    of that: with two threads instead of one, none of the 360 test answers changed, and probabilities did by 0.0017 on average
    and by 0.18 at most. So a few answers may differ here. Looks come by the clock; here they are taken at the shipped steps."""
    shipped, was = first_model(), read_recording()
    steps = set(was.steps.tolist())
    monkeypatch.setattr(ImageWatcher, "due", lambda self, step, seconds: step in steps)
    assert main(["first-model", "--out", str(tmp_path / "made"), "--runs", str(tmp_path / "none")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert all(name in line for name, line in zip((MODEL, JUDGE, RECORDING), said, strict=False))
    assert said[3].startswith("test accuracy 9") and len(said) == 4
    assert not (tmp_path / "none").exists()  # no run is left behind
    made, now = first_model(tmp_path / "made"), read_recording(tmp_path / "made")
    assert made.config == shipped.config, AGAIN
    assert (made.classes, made.mean, made.std, made.images, made.title) == (
        shipped.classes, shipped.mean, shipped.std, shipped.images, shipped.title)
    data = load(made.config.data, settings.data_dir, settings.cache_dir)
    images, labels = data.test.take(torch.arange(len(data.test)))
    before, after = (model.predict(images.float() / 255) for model in (shipped, made))
    assert (before.argmax(1) != after.argmax(1)).sum() <= 7 and (before - after).abs().mean() < 0.01, AGAIN
    for model, answers in ((shipped, before), (made, after)):
        assert model.test_accuracy == pytest.approx(float((answers.argmax(1) == labels).float().mean()), abs=1 / len(labels))
    marks = torch.cat([images.float() / 255, odd_marks()])
    doubts = [first_judge(model, folder).scores(model.model, marks, model.mean, model.std) > 1
              for model, folder in ((shipped, None), (made, tmp_path / "made"))]
    assert (doubts[0] != doubts[1]).float().mean() < 0.03 and doubts[1][len(images):].float().mean() > 0.7, AGAIN
    assert now.steps.tolist() == was.steps.tolist(), AGAIN
    assert np.array_equal(now.images, was.images) and np.array_equal(now.labels, was.labels)
    assert np.abs(now.answers - was.answers).mean() < 0.01 and np.abs(now.losses - was.losses).mean() < 0.01
    assert np.abs(now.filters.astype(int) - was.filters.astype(int)).mean() < 1


# --- what is recorded is what the run saw

@pytest.fixture
def watched_run(store, settings, digits):
    """A tiny run that was watched, at every second step."""
    images = digits.test.images[digits.test.rows[:1]].float() / 255
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageWatcher, "due", lambda self, step, seconds: step % 2 == 0)
        return execute(store, store.create_running(tiny(), "ann", "here", watch=images), settings)


@pytest.mark.parametrize("most", [1000, 5])
def test_frames_are_looks_that_the_run_took(store, watched_run, digits, tmp_path, most):
    looks = {look.step: look for look in store.looks(watched_run.id, WATCH)}
    recording = record(store, watched_run, digits, most)
    assert len(recording) == min(most, len(looks)) and recording.steps[0] == 0 and recording.steps[-1] == watched_run.step
    (tmp_path / RECORDING).write_bytes(recording_bytes(recording))
    found = read_recording(tmp_path)
    assert (found.title, found.classes, found.seconds, found.accuracy) == (
        digits.title, digits.classes, watched_run.seconds, watched_run.test_accuracy)
    steps, losses = store.metrics(watched_run.id, names=("loss",)).series["loss"]
    assert steps == list(range(1, watched_run.step + 1))
    images, labels = digits.validation.take(torch.from_numpy(looks[0].arrays["positions"].astype(np.int64)))
    assert np.array_equal(found.images, images[:, 0]) and np.array_equal(found.labels, labels)
    for index, step in enumerate(found.steps.tolist()):
        look = looks[step]
        assert found.times[index] == np.float32(look.seconds) and np.array_equal(found.filters[index], look.arrays["filters"])
        since = losses[found.steps[index - 1]:step] if index else losses[:1]  # the first step's is at place 0
        assert found.losses[index] == pytest.approx(sum(since) / len(since), rel=1e-6)
        # what float16 rounds, and nothing else
        assert (np.abs(found.answers[index] - look.arrays["examples"]) <= look.arrays["examples"] * HALF + 2 ** -24).all()


def test_a_run_without_looks_is_no_recording(store, settings, digits):
    run = execute(store, store.create_running(tiny(), "ann", "here"), settings)
    with pytest.raises(ShippedError, match="kept no looks"):
        record(store, run, digits)


def test_a_training_that_fails_ships_nothing(store, settings, monkeypatch, tmp_path, capsys):
    class Stops:
        def command(self):
            return Command(stop=True)

    monkeypatch.setattr("core.runs.shipping.execute", lambda store, run, settings: execute(store, run, settings, Stops()))
    with pytest.raises(ShippedError, match=r"^The training has stopped"):
        train_shipped(store, settings)
    assert main(["first-model", "--out", str(tmp_path / "made")]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("The training has stopped") and said.err.count("\n") == 1
    assert not (tmp_path / "made").exists()


# --- damage

def one_line(error: pytest.ExceptionInfo[ShippedError], what: str) -> bool:
    said = str(error.value)
    return said in {f"The shipped {what} can't be read: its file {why}. Everything else works."
                    for why in ("is damaged", "can't be opened")}


READERS = {MODEL: (first_model, "model", MOST_MODEL_BYTES),
           JUDGE: (lambda folder: first_judge(first_model(), folder), "judge", MOST_JUDGE_BYTES),
           RECORDING: (read_recording, "recording", MOST_BYTES)}


def refuses(folder: Path, name: str) -> bool:
    reader, what, _ = READERS[name]
    with pytest.raises(ShippedError) as error:
        reader(folder)
    return one_line(error, what)


BYTES = {
    "empty": lambda content, most: b"",
    "text": lambda content, most: b"no safetensors",
    "a pickle": lambda content, most: b"\x80\x02cos\nsystem\n(S'true'\ntR.",
    "cut off": lambda content, most: content[:-1],
    "longer": lambda content, most: content + b"\0",
    "half": lambda content, most: content[:len(content) // 2],
    "too large": lambda content, most: save({"x": torch.zeros(most, dtype=torch.uint8)}),
    "no metadata": lambda content, most: save(tensors_in(content)[0]),
    "another about": lambda content, most: save(tensors_in(content)[0], {"about": "[]"}),
    "no JSON": lambda content, most: save(tensors_in(content)[0], {"about": "{"}),
    "too deep": lambda content, most: save({}, {"about": "[" * 50_000}),
    "no tensors": lambda content, most: save({}, {"about": json.dumps(tensors_in(content)[1])}),
    "tensors called something else": lambda content, most: save(
        {f"{name}\n": values for name, values in tensors_in(content)[0].items()}, {"about": json.dumps(tensors_in(content)[1])}),
}


@pytest.mark.parametrize("damage", BYTES)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_such_file_is_refused(tmp_path, name, damage):
    (tmp_path / name).write_bytes(BYTES[damage]((CHECKOUT / name).read_bytes(), READERS[name][2]))
    assert refuses(tmp_path, name)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path, name):
    with pytest.raises(ShippedError, match=r": its file is missing\. Everything else works\.$"):
        READERS[name][0](tmp_path)
    (tmp_path / name).mkdir()
    assert refuses(tmp_path, name)


def test_the_whole_file_is_never_read_where_it_is_too_large(tmp_path):
    with (tmp_path / MODEL).open("wb") as file:
        file.truncate(2 ** 40)  # a hole: it takes no room on the disk, and would fill the memory
    with pytest.raises(ShippedError) as error:
        first_model(tmp_path)
    assert one_line(error, "model") and "more than 500,000 bytes" in str(error.value.__cause__)


def changed(folder: Path, name: str, tensors: dict, about: dict) -> None:
    """Writes the shipped file with other tensors and another description; None takes one away."""
    kept, said = tensors_in((CHECKOUT / name).read_bytes())
    for values, wanted in ((kept, tensors), (said, about)):
        values |= wanted
        for gone in [key for key, value in wanted.items() if value is None]:
            del values[gone]
    (folder / name).write_bytes(save({key: value.contiguous() for key, value in kept.items()}, {"about": json.dumps(said)}))


def test_changed_alone_damages_nothing(tmp_path):
    changed(tmp_path, MODEL, {}, {})
    changed(tmp_path, RECORDING, {}, {})
    changed(tmp_path, JUDGE, {}, {})
    assert first_judge(first_model(), tmp_path).judge is not None
    assert first_model(tmp_path).config == first_model().config and len(read_recording(tmp_path)) == len(read_recording())


WEIGHTS = tensors_in((CHECKOUT / MODEL).read_bytes())[0]
WEIGHT = next(name for name, values in WEIGHTS.items() if values.dim() == 2)


def spoiled(values: torch.Tensor, value: float) -> torch.Tensor:
    values = values.clone()
    values.view(-1)[values.numel() // 2] = value
    return values


@pytest.mark.parametrize(("tensors", "about"), [
    ({WEIGHT: spoiled(WEIGHTS[WEIGHT], float("nan"))}, {}), ({WEIGHT: spoiled(WEIGHTS[WEIGHT], float("-inf"))}, {}),
    ({WEIGHT: WEIGHTS[WEIGHT].half()}, {}), ({WEIGHT: WEIGHTS[WEIGHT][:-1]}, {}), ({WEIGHT: None}, {}),
    ({"more": torch.zeros(1)}, {}),
    *(({}, {key: None}) for key in ("config", "classes", "input_shape", "mean", "std", "epoch", "title", "images",
                                    "test_accuracy", "torch")),
    ({}, {"config": {}}), ({}, {"config": {"model": {"architecture": "none"}}}), ({}, {"classes": list("012345678")}),
    ({}, {"classes": list(range(10))}), ({}, {"classes": ["**0**\n", *"123456789"]}), ({}, {"classes": 10}),
    ({}, {"classes": [f"[{n}](x)" for n in range(10)]}),
    ({}, {"input_shape": [1, 32, 32]}), ({}, {"input_shape": [3, 28, 28]}), ({}, {"input_shape": [1, -28, 28]}),
    ({}, {"input_shape": "28"}), ({}, {"mean": [float("nan")]}), ({}, {"std": [0.0]}), ({}, {"mean": []}),
    ({}, {"test_accuracy": 1.5}), ({}, {"test_accuracy": float("nan")}), ({}, {"images": 0}), ({}, {"images": float("inf")}),
    ({}, {"images": "many"}),
])
def test_a_damaged_model_is_refused(tmp_path, tensors, about):
    changed(tmp_path, MODEL, tensors, about)
    assert refuses(tmp_path, MODEL)


JUDGES = tensors_in((CHECKOUT / JUDGE).read_bytes())[0]


@pytest.mark.parametrize("tensors", [
    *({name: None} for name in JUDGES), *({name: values[:-1]} for name, values in JUDGES.items()),
    *({name: spoiled(values, float("nan"))} for name, values in JUDGES.items()), {"spread": -JUDGES["spread"]},
    {"scale": JUDGES["scale"].flip(0)}, {name: JUDGES[name][..., :-1] for name in ("centre", "spread", "hidden")}])
def test_a_damaged_judge_is_refused(tmp_path, tensors):
    """The last one is whole, and another network's."""
    changed(tmp_path, JUDGE, tensors, {})
    assert refuses(tmp_path, JUDGE)


def test_a_whole_model_of_other_images_is_refused(tmp_path, settings, store):
    """It is a checkpoint like any other, but no drawing can be shown to it."""
    run = execute(store, store.create_running(tiny(data__transforms=[{"kind": "resize", "size": 20}]), "ann", "here"), settings)
    weights, about = tensors_in((store.folder(run.id) / "checkpoint.safetensors").read_bytes())
    about |= {"title": "x", "images": 1, "test_accuracy": 0.5, "torch": "2"}
    (tmp_path / MODEL).write_bytes(save(weights, {"about": json.dumps(about)}))
    with pytest.raises(ShippedError) as error:
        first_model(tmp_path)
    assert one_line(error, "model") and "10 classes apart, from examples of shape (1, 20, 20)" in str(error.value.__cause__)


ARRAYS = tensors_in((CHECKOUT / RECORDING).read_bytes())[0]
FRAMES = len(ARRAYS["steps"])


def longer(frames: int) -> dict[str, torch.Tensor]:
    """A recording of so many frames, all in order."""
    more = {name: ARRAYS[name][:1].expand(frames, *ARRAYS[name].shape[1:]) for name in ("answers", "losses", "times")}
    return more | {"steps": torch.arange(frames), "filters": torch.zeros(frames, 0, 0, 0, dtype=torch.uint8)}


@pytest.mark.parametrize(("tensors", "about"), [
    *(({name: None}, {}) for name in ARRAYS), ({"title": torch.zeros(1)}, {}), ({"more": torch.zeros(1)}, {}),
    *(({name: values.double()}, {}) for name, values in ARRAYS.items()),
    *(({name: values[:-1]}, {}) for name, values in ARRAYS.items()),
    *(({name: torch.zeros((), dtype=values.dtype)}, {}) for name, values in ARRAYS.items()),
    *(({name: spoiled(ARRAYS[name], float("nan"))}, {}) for name in ("answers", "losses", "times")),
    *(({name: spoiled(ARRAYS[name], -1)}, {}) for name in ("answers", "losses", "times", "steps", "labels")),
    ({"answers": ARRAYS["answers"].bfloat16()}, {}), ({"answers": ARRAYS["answers"] / 2}, {}),
    ({"answers": ARRAYS["answers"][:, :, :9]}, {}), ({"labels": ARRAYS["labels"] + 1}, {}), ({"steps": ARRAYS["steps"] + 1}, {}),
    ({"steps": ARRAYS["steps"].flip(0)}, {}), ({"times": ARRAYS["times"].flip(0)}, {}),
    ({"filters": ARRAYS["filters"][:, :, 0]}, {}), ({"filters": torch.zeros(FRAMES, 17, 2, 2, dtype=torch.uint8)}, {}),
    ({"filters": torch.zeros(FRAMES, 1, 33, 2, dtype=torch.uint8)}, {}),
    ({"images": torch.zeros(10, 65, 28, dtype=torch.uint8)}, {}), ({"images": torch.zeros(10, 0, 0, dtype=torch.uint8)}, {}),
    ({"images": ARRAYS["images"][:, None]}, {}),
    (longer(1), {}), (longer(MOST_FRAMES + 1), {}),
    *(({}, {key: None}) for key in ("title", "classes", "seconds", "accuracy")),
    ({}, {"classes": list("012345678")}), ({}, {"classes": []}), ({}, {"classes": 10}), ({}, {"seconds": "soon"}),
    ({}, {"seconds": float("nan")}), ({}, {"seconds": float("inf")}), ({}, {"seconds": 0.1}), ({}, {"accuracy": -0.1}),
    ({}, {"accuracy": float("nan")}),
])
def test_a_damaged_recording_is_refused(tmp_path, tensors, about):
    changed(tmp_path, RECORDING, tensors, about)
    assert refuses(tmp_path, RECORDING)


def test_a_recording_may_have_as_many_frames_as_it_says_and_no_filters(tmp_path):
    changed(tmp_path, RECORDING, longer(MOST_FRAMES), {})
    assert len(read_recording(tmp_path)) == MOST_FRAMES and read_recording(tmp_path).filters.size == 0


@given(st.data())
def test_flipped_bytes_are_refused_or_harmless(tmp_path_factory, data):
    """Whatever is read after that has what Recording promises."""
    content = bytearray((CHECKOUT / RECORDING).read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for place in data.draw(st.lists(st.integers(0, header - 1) | st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.getbasetemp() / "flipped"
    folder.mkdir(exist_ok=True)
    (folder / RECORDING).write_bytes(content)
    try:
        found = read_recording(folder)
    except ShippedError as error:
        assert "\n" not in str(error)
        return
    assert found.answers.shape == (len(found), 10, 10) and np.isfinite(found.answers).all() and np.isfinite(found.losses).all()
    assert replace(found, title="x").title == "x" and set(found.labels.tolist()) <= set(range(10))


def test_a_folder_that_cannot_be_written_to_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setattr("core.runs.shipping.shipped_config", tiny)
    assert main(["first-model", "--out", str(tmp_path / "file" / "below")]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and "can't be written to" in said.err
