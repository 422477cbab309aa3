"""Evaluate, for a run that predicts a number: how far off it is, and by how much it beats always saying the mean."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from core.data import DataError
from core.evaluation.numbers import NumberAnswers, answer_numbers, number_figures
from core.evaluation.sklearn_lines import file_name, number_lines, numbers_file
from core.evaluation.tables import table_csv
from core.figures.in_words import in_words
from core.figures.linear_regression import predictions_figure, residuals_figure
from core.runs import Run
from core.runs.evaluations import weights_stamp
from pages.parts.evaluate.by_scikit_learn import draw
from pages.parts.evaluate.subject import CHART, one_line, save_csv
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, trained_model
from pages.parts.widgets.metrics import metrics_row


def section(server: Services, runs: Sequence[Run]) -> None:
    """The whole page below the choice of models."""
    split = st.session_state["evaluate.split"]
    for place, run in zip(st.columns(len(runs), gap="large"), runs, strict=True):
        with place:
            if len(runs) > 1:
                st.markdown(f"**{as_text(run.title or 'Run')} ({run.id[:4]})**")
            try:
                answers = _answers(server, run, split, tuple(weights_stamp(server.store, run.id)))
            except (ValueError, RuntimeError, MemoryError) as error:  # DataError and CheckpointError are ValueErrors
                st.error(as_text(str(error) if isinstance(error, DataError) else one_line(error)), icon=":material/broken_image:")
                continue
            if answers.is_finite:
                _one(run, answers)
            else:
                st.error("It answers with numbers that are infinite or no numbers, so there is nothing to measure.",
                         icon=":material/error:")


@st.cache_resource(max_entries=8, show_spinner="Asking…", hash_funcs={Run: lambda run: run.id})
def _answers(_server: Services, run: Run, split: str, weights: tuple[int, ...]) -> NumberAnswers:
    trained = trained_model(_server.store, run.id)
    return answer_numbers(trained.model, dataset(run.config.data, _server.settings), run.config, split)


def _one(run: Run, answers: NumberAnswers) -> None:
    found = number_figures(answers.y_true, answers.y_pred)
    metrics_row({
        "MSE": (f"{found.mse:.4f}", "Mean squared error: the mean of (y − ŷ)², in the square of y's unit. Here it is the loss."),
        "Its square root": (f"{found.mse ** 0.5:.4f}", "In the unit of y."),
        "MAE": (f"{found.mae:.4f}", "Mean absolute error: the mean of |y − ŷ|, in the unit of y."),
        "R²": ("–" if found.r2 is None else f"{found.r2:.4f}",
               "1 − Σ(y − ŷ)² / Σ(y − ȳ)²: 1 is perfect, 0 no better than always saying the mean ȳ of these numbers, below 0 "
               "worse than that. “–” where all true numbers are the same."),
    })
    st.markdown(f"{found.examples:,} numbers, y true and ŷ predicted. There is no accuracy: a predicted number is not just right "
                "or wrong, it is off by more or less.")
    left, right = st.columns(2)
    figure = predictions_figure(answers.y_true, answers.y_pred)
    left.plotly_chart(figure, key=f"evaluate.predicted.{run.id}", config=CHART,
                      alt=in_words(figure, "Predictions against targets"))
    figure = residuals_figure(answers.y_true - answers.y_pred, answers.y_pred)
    right.plotly_chart(figure, key=f"evaluate.residuals.{run.id}", config=CHART, alt=in_words(figure, "Residuals"))
    name = file_name(run.id, answers.split)
    save_csv("All answers (CSV)", lambda: table_csv(["y_true", "y_pred"], [answers.y_true.tolist(), answers.y_pred.tolist()]),
             name.removesuffix(".npz"))
    draw(number_lines(answers, name), name, partial(numbers_file, answers), f"numbers-{run.id[:8]}")
