"""What is kept of an evaluation beside a run's weights: written whole, read only where it belongs to the weights."""

import json
import os
import shutil

import pytest
import torch

from core.evaluation import evaluate, fingerprint, predict
from core.evaluation.metrics import confusion_counts
from core.evaluation.robustness import Point
from core.runs import RunNotFound, RunStore, StoreError, checkpoint_path, load_model
from core.runs.evaluations import (
    ROBUSTNESS,
    load_predictions,
    load_robustness,
    predictions_path,
    save_predictions,
    save_robustness,
)
from tests.helpers import run_here, tiny

POINTS = [Point("blur", 0.0, 9, 10), Point("blur", 1.0, 5, 10)]


@pytest.fixture
def copy(tmp_path, trained):
    """A finished run in a store that may be changed."""
    shutil.copytree(trained[0].path, tmp_path / "copy")
    return RunStore(tmp_path / "copy"), trained[1].id


def test_a_finished_run_has_kept_what_it_said(trained, digits):
    store, run = trained
    kept = load_predictions(store, run.id)
    model = load_model(store, run.id)
    now = predict(model.model, digits, run.config)
    assert torch.allclose(kept.logits, now.logits, atol=1e-5) and torch.equal(kept.labels, now.labels)
    assert (kept.classes, kept.loss, kept.split, kept.images) == (now.classes, now.loss, now.split, now.images)
    assert kept.correct.mean() == run.test_accuracy and kept.mean_loss == pytest.approx(run.test_loss)
    result = evaluate(model.model, digits, run.config)
    assert torch.equal(torch.from_numpy(confusion_counts(kept)), result.confusion)


def test_a_stopped_run_has_not_looked_at_the_test_images(store, settings):
    from core.training import Command

    class Stop:
        def command(self):
            return Command(stop=True)

    run = run_here(store, settings, tiny(), Stop())
    assert run.status == "stopped" and load_predictions(store, run.id) is None


def test_a_run_that_went_on_forgets_what_it_said(copy):
    store, run_id = copy
    assert load_predictions(store, run_id) is not None
    os.utime(checkpoint_path(store, run_id), ns=(1, 1))  # as new weights would have
    assert load_predictions(store, run_id) is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 100, None])
def test_damaged_predictions_are_as_none(copy, content):
    store, run_id = copy
    path = predictions_path(store, run_id, "test")
    path.write_bytes(path.read_bytes()[:-7] if content is None else content)
    assert load_predictions(store, run_id) is None


@pytest.mark.parametrize("change", [{"labels": torch.full((360,), 10)}, {"labels": torch.full((360,), -1)},
                                    {"labels": torch.zeros(5, dtype=torch.int64)}, {"logits": torch.zeros(360, 3)},
                                    {"logits": torch.zeros(360, 10, dtype=torch.float64)}, {"loss": "unheard of"}])
def test_predictions_that_do_not_fit_together_are_as_none(copy, change):
    from dataclasses import replace

    store, run_id = copy
    save_predictions(store, run_id, replace(load_predictions(store, run_id), **change))
    assert load_predictions(store, run_id) is None


def test_predictions_of_a_deleted_run_do_not_bring_it_back(copy):
    store, run_id = copy
    predictions = load_predictions(store, run_id)
    store.delete(run_id)
    save_predictions(store, run_id, predictions)
    save_robustness(store, run_id, "images", 10, POINTS)
    assert not store.folder(run_id).exists()


def test_what_cannot_be_written_gets_one_line(copy, monkeypatch):
    def full(path, write):
        raise OSError(28, "No space left on device")

    store, run_id = copy
    monkeypatch.setattr("core.runs.evaluations.write_atomically", full)
    with pytest.raises(StoreError, match="the disk is full"):
        save_predictions(store, run_id, load_predictions(store, run_id))


def test_a_full_disk_does_not_cost_a_run_its_result(store, settings, monkeypatch):
    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.runs.evaluations.write_atomically", full)
    run = run_here(store, settings, tiny())
    assert run.status == "finished" and run.test_accuracy is not None
    assert load_predictions(store, run.id) is None


def test_robustness_is_kept_for_the_same_weights_images_and_count(copy):
    store, run_id = copy
    save_robustness(store, run_id, "images", 10, POINTS)
    assert load_robustness(store, run_id, "images", 10) == POINTS
    assert load_robustness(store, run_id, "others", 10) is None
    assert load_robustness(store, run_id, "images", 20) is None
    os.utime(checkpoint_path(store, run_id), ns=(1, 1))
    assert load_robustness(store, run_id, "images", 10) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", json.dumps({"weights": None, "images": "images", "count": 10})])
def test_damaged_robustness_is_as_none(copy, content):
    store, run_id = copy
    (store.folder(run_id) / ROBUSTNESS).write_text(content, encoding="utf-8")
    assert load_robustness(store, run_id, "images", 10) is None


def test_only_ids_are_looked_up(copy):
    with pytest.raises(RunNotFound):
        load_predictions(copy[0], "../../etc/passwd")


def test_a_fingerprint_tells_images_and_labels_apart(digits):
    from core.data import Split

    part = Split(digits.test.images, digits.test.labels, digits.test.rows[:50])
    other_pixel, other_label = part.images[part.rows].clone(), part.labels[part.rows].clone()
    same = Split(other_pixel.clone(), other_label.clone(), torch.arange(50))
    assert fingerprint(part) == fingerprint(same) != fingerprint(digits.test)
    other_pixel[7, 0, 3, 3] ^= 1
    assert fingerprint(Split(other_pixel, other_label, torch.arange(50))) != fingerprint(part)
    other_label[7] = (other_label[7] + 1) % 10
    assert fingerprint(Split(same.images, other_label, torch.arange(50))) != fingerprint(part)
    assert fingerprint(Split(same.images, same.labels, torch.arange(50).flip(0))) != fingerprint(part)
