"""The lab on metrics: tables that are typed, each figure against values by hand and scikit-learn, and the page."""

import io
import warnings
from contextlib import redirect_stdout
from math import inf, isnan, log
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference
from streamlit.testing.v1 import AppTest

from core.labs.metrics import (
    average_figures,
    class_figures,
    given_arrays,
    metrics_code,
    number_steps,
    score_figures,
    threshold_figures,
)
from core.labs.metrics_table import EXAMPLES, NUMBER_EXAMPLES, TableRefused, literal, read_numbers, read_table
from core.metrics_child import FUNCTIONS, answers
from pages.parts.learn.questions import METRICS
from tests.opened_pages import said, skip_questions, whole

PAGE = "pages/learn_metrics.py"
TOPICS = ["Confusion matrix", "Averages", "Scores and thresholds", "Predicted numbers"]


def all_figures(table, positive, threshold=0.5):
    found = class_figures(table, positive)
    for figure in ("precision", "recall", "f1"):
        found += average_figures(table, figure)
    if table.scores is not None:
        found += [*score_figures(table, positive), *threshold_figures(table, positive, threshold)[1]]
    return found


def asked(given, figures):
    return answers({"given": given, "calls": [{"function": f.call.function, "arguments": f.call.arguments,
                                               "keywords": f.call.keywords} for f in figures]})


def values(figures):
    return {figure.name: figure.value for figure in figures}


# --- tables


def test_a_table_is_read_with_any_mark_and_a_first_line_of_names():
    plain = read_table("cat, dog, 0.2\ncat, cat, 0.7\n\n dog , dog , 1e-1")
    assert plain.truth == ("cat", "cat", "dog") and plain.said == ("dog", "cat", "dog") and plain.scores == (0.2, 0.7, 0.1)
    assert plain.classes == ("cat", "dog") and plain.counts.tolist() == [[1, 1], [0, 1]]
    assert read_table("y_true;y_pred;score\ncat;dog;0.2\ncat;cat;0.7\ndog;dog;0.1") == plain
    assert read_table("cat\tdog\t0.2\ncat\tcat\t0.7\ndog\tdog\t0.1") == plain


@pytest.mark.parametrize(("text", "classes"), [
    ("10, 9\n2, 2", ("2", "9", "10")), ("10, 9\nb, 2", ("10", "2", "9", "b")), ("07, 7\n7, 07", ("07", "7")),
    ("1, 1", ("0", "1")), ("cat, cat", ("not cat", "cat")), ("-1, 1\n1, 1", ("-1", "1"))])
def test_the_order_of_classes(text, classes):
    assert read_table(text).classes == classes


def test_classes_that_nobody_says_have_a_row():
    assert read_table("0, 1\n1, 1", " 0,1, 2 ,").classes == ("0", "1", "2")


@pytest.mark.parametrize("named", ["", " ", ",", " , ,"])
def test_commas_alone_name_no_classes(named):
    assert read_table("1, 1", named).classes == ("0", "1")


@pytest.mark.parametrize(("text", "named", "line"), [
    ("", "", "The table is empty"), (" \n\n", "", "The table is empty"), ("y_true, y_pred", "", "The table is empty"),
    ("0, 1\n0", "", "Line 2 has 1 column, the first one 2"), ("hello", "", "Line 1 has 1 column."),
    ("1, 2, 3, 4", "", "Line 1 has 4 columns"), ("0, 1\n, 1", "", "Line 2 has an empty label"),
    ("x" * 41 + ", 1", "", "a label of 41 characters; at most 40"), ("0, 1, high", "", "the score “high”, which is no number"),
    ("0, 1, nan", "", "the score nan: only finite numbers"), ("0, 1, inf", "", "only finite numbers"),
    ("0, 1\n7, 1", "0, 1, 2", "Line 2 says “7”, which is none of the classes that you named: 0, 1, 2"),
    ("0, 1\n" * 10_000, "", "The table has 10,000 answers; at most 500"),
    ("0, 1, 0.123456\n" * 10_000, "", "The table has 10,001 lines and 150,000 characters"),
    ("\n".join(f"{k}, {k}" for k in range(13)), "", "There are 13 classes; at most 12")])
def test_a_bad_table_gets_one_line(text, named, line):
    with pytest.raises(TableRefused) as refused:
        read_table(text, named)
    assert line in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 260


@pytest.mark.parametrize(("text", "line"), [
    ("", "empty"), ("1", "1 column"), ("1, 2, 3", "3 columns"), ("1, x", "“x”, which is no number"), ("1, nan", "finite"),
    ("1, 1e300", "finite"), ("1, 1\n" * 501, "501 answers")])
def test_bad_numbers_get_one_line(text, line):
    with pytest.raises(TableRefused, match=line):
        read_numbers(text)


# --- figures


def test_the_notes_two_examples():
    """Both figures are printed in the notes: 0.75 and 0.67."""
    assert values(class_figures(read_table(EXAMPLES["eight"].text), "1"))["Accuracy"] == 0.75
    assert round(values(class_figures(read_table(EXAMPLES["three"].text), "1"))["Accuracy"], 2) == 0.67


def test_figures_by_hand():
    """TP 2, FP 1, FN 2, TN 1; pairs of (0.9, 0.8, 0.4, 0.3) with (0.8, 0.1): 1+1, ½+1, 0+1, 0+1 of 8."""
    table = read_table("1, 1, 0.9\n1, 1, 0.8\n1, 0, 0.4\n1, 0, 0.3\n0, 1, 0.8\n0, 0, 0.1")
    found = values(class_figures(table, "1"))
    assert found == {"Accuracy": 0.5, "Precision": pytest.approx(2 / 3), "Recall": 0.5, "F1": pytest.approx(4 / 7)}
    scores = values(score_figures(table, "1"))
    assert scores["ROC AUC"] == pytest.approx(5.5 / 8)
    assert scores["Average precision"] == pytest.approx(1 / 4 * 1 + 1 / 4 * 2 / 3 + 1 / 4 * 3 / 4 + 1 / 4 * 4 / 5)
    assert scores["Log loss"] == pytest.approx(-(log(0.9) + log(0.8) + log(0.4) + log(0.3) + log(0.2) + log(0.9)) / 6)
    decision, at = threshold_figures(table, "1", 0.8)
    assert (decision.true_positives, decision.false_positives) == (2, 1) and values(at)["Precision"] == pytest.approx(2 / 3)
    macro = values(average_figures(table, "recall"))
    assert macro == {"Macro": 0.5, "Weighted": pytest.approx((4 * 0.5 + 2 * 0.5) / 6), "Micro": 0.5}


def test_what_the_formulas_have_put_in():
    table = read_table("1, 1, 0.9\n1, 0, 0.4\n0, 1, 0.4")
    filled = {figure.name: figure.filled for figure in [*class_figures(table, "1"), *score_figures(table, "1")]}
    assert filled["Precision"] == r"\frac{1}{1 + 1}" and filled["Accuracy"] == r"\frac{1}{3}"
    assert filled["ROC AUC"] == r"\frac{1 + \frac{1}{2} \cdot 1}{2 \cdot 1}"
    assert filled["Average precision"] == r"\frac{1}{2} \cdot \frac{1}{1} + \frac{1}{2} \cdot \frac{2}{3}"
    assert filled["Log loss"] == r"-\frac{1}{3} (\ln 0.9 + \ln 0.4 + \ln 0.6)"


def test_what_the_means_have_put_in():
    macro, weighted, micro = average_figures(read_table(EXAMPLES["three"].text), "precision")
    assert macro.filled == r"\frac{1}{3} (1.0000 + 0.5000 + 0.5000)" and micro.filled == r"\frac{4}{4 + 2}"
    assert weighted.filled == r"\frac{1}{6} (2 \cdot 1.0000 + 2 \cdot 0.5000 + 2 \cdot 0.5000)"
    mse, _, mae, r2 = number_steps(np.array([1.0, 3.0]), np.array([2.0, 3.5]))
    assert mse.filled == r"\frac{1}{2} ((-1)^2 + (-0.5)^2)" and mae.filled == r"\frac{1}{2} (|-1| + |-0.5|)"
    assert r2.filled == r"1 - \frac{1.2500}{2.0000}"
    many = number_steps(np.arange(20.0), np.zeros(20))[2].filled
    assert many == r"\frac{1}{20} (|0| + |1| + |2| + \dots + |19|)"


def made(seed, classes, rows=40):
    generator = np.random.default_rng(seed)
    truth, said = generator.integers(classes, size=(2, rows))
    return "\n".join(f"{a}, {b}, {score:.1f}" for a, b, score in zip(
        truth, said, 0.1 + 0.8 * generator.random(rows), strict=True))


@pytest.mark.parametrize("text", [*(example.text for example in EXAMPLES.values()), made(0, 2), made(1, 5),
                                  "ham, spam\nspam, spam\nspam, ham"])
def test_every_figure_is_scikit_learns(text):
    """For every class as the positive one; where there is nothing to divide by scikit-learn warns, and here is no value."""
    table = read_table(text)
    for positive in table.classes:
        figures, given = all_figures(table, positive), given_arrays(table, positive, 0.5)
        for figure, answer in zip(figures, asked(given, figures), strict=True):
            if figure.value is None:
                assert answer["warning"] and answer["value"] in ("nan", 0.0) and "0 / 0" in figure.why or "pairs" in figure.why
            else:
                assert answer["value"] == pytest.approx(figure.value, abs=1e-12), figure
                assert not answer["warning"] and not answer["error"]


@pytest.mark.parametrize("example", NUMBER_EXAMPLES)
def test_numbers_are_scikit_learns(example):
    y_true, y_pred = read_numbers(NUMBER_EXAMPLES[example].text)
    figures = number_steps(y_true, y_pred)
    for figure, answer in zip(figures, asked({"y_true": y_true, "y_pred": y_pred}, figures), strict=True):
        assert figure.value is None or answer["value"] == pytest.approx(figure.value, abs=1e-12)
    assert (figures[-1].value is None) == (example == "flat")


def test_what_is_undefined_is_said():
    rare = {figure.name: figure for figure in class_figures(read_table(EXAMPLES["rare"].text), "1")}
    assert rare["Accuracy"].value == 0.95 and rare["Recall"].value == 0.0
    assert rare["Precision"].value is None and "never said" in rare["Precision"].why
    one = read_table(EXAMPLES["one"].text)
    assert score_figures(one, "1")[0].value is None and "every answer is of the positive class" in score_figures(one, "1")[0].why
    assert "no answer is of the positive class" in score_figures(one, "0")[0].why
    (single,) = number_steps(np.array([1.0]), np.array([1.0]))[-1:]
    assert single.value is None and "one number" in single.why


def test_scores_that_are_no_probabilities_have_no_log_loss():
    table = read_table("1, 1, 2.5\n0, 0, -1")
    loss = score_figures(table, "1")[2]
    assert loss.value is None and "not all from 0 to 1" in loss.why
    assert score_figures(table, "1")[0].value == 1.0
    certain = score_figures(read_table("1, 0, 0\n0, 0, 0.5"), "1")[2]
    assert certain.value == inf and "36.04" in certain.why
    assert reference.log_loss([True, False], [0.0, 0.5]) == pytest.approx((36.0437 + log(2)) / 2, abs=1e-4)


@pytest.mark.parametrize("text", [EXAMPLES["scores"].text, EXAMPLES["three"].text, EXAMPLES["one"].text,
                                  "it's, \"x\"\n\\n, it's"])
def test_the_code_prints_the_figures(text):
    table = read_table(text)
    positive = table.classes[0]
    figures = all_figures(table, positive)
    code, printed = metrics_code(given_arrays(table, positive), figures, literal(positive, table.classes), 0.5), io.StringIO()
    with redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, {})
    lines = printed.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines] == [figure.name for figure in figures]
    for figure, line in zip(figures, lines, strict=True):
        number = float(line.partition(":")[2])
        assert number == 0 or isnan(number) if figure.value is None else number == pytest.approx(figure.value, abs=6e-5)


def test_only_known_functions_are_called():
    with pytest.raises(KeyError):
        answers({"given": {}, "calls": [{"function": "get_scorer", "arguments": [], "keywords": {}}]})
    assert all(hasattr(reference, name) for name in FUNCTIONS)
    (refused,) = answers({"given": {"y_true": [0], "y_pred": [0, 1]}, "calls": [
        {"function": "accuracy_score", "arguments": ["y_true", "y_pred"], "keywords": {}}]})
    assert refused["value"] is None and "inconsistent" in refused["error"]


# --- the page


@pytest.fixture(autouse=True)
def no_workers(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def lab(topic: str, **state) -> AppTest:
    at = skip_questions(AppTest.from_file(str(Path(__file__).parents[1] / PAGE), default_timeout=60))
    at.session_state["metrics.topic"] = topic
    for name, value in state.items():
        at.session_state[f"metrics.{name}"] = value
    return whole(at.run())


@pytest.mark.parametrize("topic", TOPICS)
def test_the_topics_code_runs_and_prints_what_is_shown(topic):
    at = lab(topic)
    code, printed = at.code[-1].value, io.StringIO()
    with redirect_stdout(printed):
        exec(code, {})
    lines = printed.getvalue().splitlines()
    assert len(lines) >= 3
    for line in lines:
        assert f"= **{float(line.partition(':')[2]):.4f}**" in said(at)


def test_an_example_takes_the_tables_place_and_its_recall_is_0():
    at = lab("Confusion matrix")
    at.button(key="metrics.table.example.rare").click().run()
    whole(at)
    assert at.text_area(key="metrics.table").value == EXAMPLES["rare"].text
    assert "= **0.9500**" in said(at) and "= **undefined**" in said(at) and "never said" in said(at)
    assert "**TP = 0**" in said(at) and "95.00 % accuracy" in said(at)
    at.radio(key="metrics.ask_rare.guess").set_value(METRICS["rare"].choices[METRICS["rare"].right]).run()
    at.button(key="metrics.ask_rare.reveal").click().run()
    assert "**Yes.**" in said(at)


def test_scikit_learn_is_asked_in_a_process_of_its_own():
    at = lab("Confusion matrix", table=EXAMPLES["rare"].text)
    at.toggle(key="metrics.ask.classes").set_value(True).run()
    whole(at)
    assert "scikit-learn gives **0.9500**, the same" in said(at)
    assert "scikit-learn gives **0.0000** and warns: Precision is ill-defined" in said(at)


def test_the_threshold_moves_counts():
    at = lab("Scores and thresholds")
    (slider,) = at.slider
    assert "= \\frac{4}{4 + 2}$ = **0.6667**" in said(at)
    slider.set_value(slider.max).run()
    whole(at)
    assert "no score reaches the threshold" in said(at).lower() and "= **undefined**" in said(at)


def test_without_scores_and_with_a_class_that_is_gone():
    at = lab("Scores and thresholds", table=EXAMPLES["three"].text, positive="2")
    assert "There are no scores" in said(at) and len(at.code) == 0
    at.text_area(key="metrics.table").set_value("cat, dog\ndog, dog").run()
    whole(at)
    assert at.selectbox(key="metrics.positive").value == "dog"


@pytest.mark.parametrize(("table", "line"), [
    ("", "The table is empty"), ("*a*, b\n$x$", "Line 2 has 1 column"), ("0, 1\n" * 10_000, "10,000 answers"),
    ("1, 1, nan", "finite numbers"), ("1, 1, <b>", "which is no number")])
def test_a_bad_table_gets_one_line_on_the_page(table, line):
    at = lab("Confusion matrix", table=table)
    assert len(at.error) == 1 and line in at.error[0].value and "<b>" not in at.error[0].value
    assert at.text_area(key="metrics.table").value == table  # nothing that was typed is lost
    numbers = lab("Predicted numbers", numbers=table)
    assert len(numbers.error) == 1


def test_labels_are_shown_as_they_are_written():
    at = lab("Confusion matrix", table="*a*, $b$\n*a*, *a*\n$b$, $b$", positive="*a*")
    assert r"“\*a\*”" in said(at) and "**TP = 1**" in said(at)
    whole(lab("Averages", table="*a*, $b$\n*a*, *a*"))


def test_sure_and_wrong_is_infinitely_expensive():
    at = lab("Scores and thresholds", table="1, 0, 0\n0, 0, 0.5")
    assert "= **infinite**" in said(at) and "36.04" in said(at)
