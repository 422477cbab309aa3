"""evaluate() against scikit-learn, on the same predictions."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from core.data import Split, load
from core.evaluation import evaluate
from core.training import build_for
from tests.helpers import tiny

TASKS = {"classes": {}, "is_target": {"data__task": "is_target", "data__target": 3, "training__loss": "bce_with_logits"},
         "is_target with cross-entropy": {"data__task": "is_target", "data__target": 3},
         "normalised": {"data__normalization": "standard"}}


@pytest.mark.parametrize("split", [None, "validation", "train"])
@pytest.mark.parametrize("task", TASKS)
def test_figures_are_scikit_learns(places, cache_dir, task, split):
    config = tiny(**TASKS[task])
    data = load(config.data, places / "data", cache_dir)
    model = build_for(config, data)
    torch.nn.init.normal_(model.fc2.weight, std=3.0, generator=torch.Generator().manual_seed(0))  # so that it says many things
    rows = data.split(split or "test")
    pixels = rows.images[rows.rows].double() / 255
    with torch.no_grad():
        logits = model(((pixels - data.mean[0]) / data.std[0]).float()).double()
    labels = rows.labels[rows.rows].numpy()
    yes = torch.sigmoid(logits)
    probabilities = (torch.cat([1 - yes, yes], 1) if logits.shape[1] == 1 else logits.softmax(1)).numpy()
    said = probabilities.argmax(1)
    assert len(set(said)) > 1

    result = evaluate(model, data, config, None if split is None else rows)
    every = range(len(data.classes))
    assert result.examples == len(labels)
    assert result.loss == pytest.approx(log_loss(labels, probabilities, labels=every), abs=1e-4)
    assert result.accuracy == pytest.approx(accuracy_score(labels, said))
    assert result.confusion.dtype == torch.int64
    assert np.array_equal(result.confusion.numpy(), confusion_matrix(labels, said, labels=every))


def test_rows_are_true_classes_and_columns_what_was_said(digits):
    model = build_for(tiny(), digits)
    torch.nn.init.zeros_(model.fc2.weight)
    model.fc2.bias.data = torch.eye(10)[4]  # says 4 to everything
    confusion = evaluate(model, digits, tiny()).confusion
    assert confusion[:, 4].tolist() == digits.test.counts(10)
    assert confusion.sum() == len(digits.test)


def test_an_empty_split_is_not_taken_for_the_test_split(digits):
    empty = Split(digits.test.images, digits.test.labels, digits.test.rows[:0])
    with pytest.raises(ValueError, match="no images"):
        evaluate(build_for(tiny(), digits), digits, tiny(), empty)
