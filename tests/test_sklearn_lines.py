"""The lines of scikit-learn on the page Evaluate: run as they are on the file that is saved beside them, they print the page's
figures; and what is said of predicted numbers."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from core.evaluation import Predictions
from core.evaluation.metrics import summarize
from core.evaluation.numbers import NumberAnswers, number_figures
from core.evaluation.sklearn_lines import (
    SMALLEST,
    Lines,
    answers_file,
    calibration_lines,
    confusion_lines,
    file_name,
    number_lines,
    numbers_file,
    overview_lines,
    threshold_lines,
)

NAME = "answers-01234567-test.npz"


def predictions(loss, outputs, classes, spread=2.0, only=None, seed=0) -> Predictions:
    """Random answers on 200 images. only: labels of these classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes if only is None else only, (200,), generator=generator)
    return Predictions(torch.randn(200, outputs, generator=generator) * spread, labels,
                       tuple("abcdefghijklmnopqrstuvwxyz"[:classes]), loss, "test", "x")


def printed(folder, *scripts: Lines) -> list[str]:
    """What each of the lines print, one after the other in a process of their own; a warning ends them."""
    code = 'print("-----")\n'.join(lines.code for lines in scripts)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [part.strip() for part in done.stdout.split("-----\n")]


CASES = {
    "three classes": predictions("cross_entropy", 3, 3),
    "26 classes, very sure and mostly wrong": predictions("nll", 26, 26, spread=40),
    "one logit": predictions("bce_with_logits", 1, 2),
    "one yes-no question for each class": predictions("bce_with_logits", 3, 3),
    "BCE after a sigmoid": predictions("bce", 1, 2),
    "squared error, one output": predictions("mse", 1, 2),
    "squared error, three outputs": predictions("mse", 3, 3),
    "a class that no image has": predictions("cross_entropy", 4, 4, only=3),
    "one class alone": predictions("cross_entropy", 2, 2, only=1),
    "one class alone, one logit": predictions("bce_with_logits", 1, 2, only=1),
}


def test_the_lines_print_the_pages_figures(tmp_path):
    """All cases in one process, as importing scikit-learn takes longest."""
    scripts = {}
    for number, (case, answers) in enumerate(CASES.items()):
        name = f"{number}.npz"
        (tmp_path / name).write_bytes(answers_file(answers))
        threshold = 0.37 if len(answers.classes) == 2 else None
        scripts |= {(case, 0): overview_lines(answers, name), (case, 1): confusion_lines(answers, name),
                    (case, 2): threshold_lines(answers, name, threshold), (case, 3): calibration_lines(answers, name)}
        assert scripts[case, 0].output.startswith(f"accuracy: {round(summarize(answers).accuracy, 4)}\n")
    found = dict(zip(scripts, printed(tmp_path, *scripts.values()), strict=True))
    assert found == {place: lines.output for place, lines in scripts.items()}


def test_a_loss_that_scikit_learn_cuts_off_is_said_to_be_another():
    """A logit of 200 for the wrong class costs 200; scikit-learn's smallest probability costs 36.04."""
    answers = Predictions(torch.tensor([[0.0, 200.0], [0.0, 200.0]]), torch.tensor([0, 1]), ("a", "b"), "cross_entropy", "test",
                          "x")
    lines = overview_lines(answers, NAME)
    assert f"loss: {round(-np.log(SMALLEST) / 2, 4)}" in lines.output and "# 100.0000 on the page" in lines.code
    assert "scikit-learn takes" not in overview_lines(CASES["three classes"], NAME).code


def test_the_file_holds_numbers_and_names_only(tmp_path):
    answers = CASES["one yes-no question for each class"]
    (tmp_path / NAME).write_bytes(answers_file(answers))
    with np.load(tmp_path / NAME, allow_pickle=False) as file:
        assert set(file.files) == {"y_true", "y_pred", "scores", "classes", "yes"}
        assert file["classes"].tolist() == ["a", "b", "c"] and (file["y_true"] == answers.targets).all()
        assert (file["y_pred"] == answers.predicted).all() and (file["scores"] == answers.probabilities).all()
    assert file_name("0123456789abcdef", "test") == NAME


def test_numbers(tmp_path):
    generator = np.random.default_rng(0)
    y_true = generator.normal(size=50)
    answers = NumberAnswers(y_true, y_true + 0.3 * generator.normal(size=50), "test")
    lines = number_lines(answers, NAME)
    (tmp_path / NAME).write_bytes(numbers_file(answers))
    assert printed(tmp_path, lines) == [lines.output]
    found = number_figures(answers.y_true, answers.y_pred)
    assert found.mse == pytest.approx(reference.mean_squared_error(answers.y_true, answers.y_pred))
    assert found.mae == pytest.approx(reference.mean_absolute_error(answers.y_true, answers.y_pred))
    assert found.r2 == pytest.approx(reference.r2_score(answers.y_true, answers.y_pred))


def test_numbers_by_hand():
    found = number_figures(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 2.0, 5.0, 6.0]))
    assert (found.mse, found.mae, found.r2) == (1.0, 0.5, pytest.approx(1 - 4 / 14))  # mean 3: 4 + 1 + 0 + 9
    same = number_figures(np.array([2.0, 2.0]), np.array([2.0, 3.0]))
    assert (same.mse, same.mae, same.r2) == (0.5, 0.5, None)
    assert "r2_score" not in number_lines(NumberAnswers(np.array([2.0, 2.0]), np.array([2.0, 3.0]), "test"), NAME).code
    for true, said in (([], []), ([1.0], [1.0, 2.0])):
        with pytest.raises(ValueError, match="at least one"):
            number_figures(np.array(true), np.array(said))
