"""The lab on linear regression: its pictures, one function each."""

import numpy as np
import streamlit as st

from core.figures.in_words import in_words
from core.figures.linear_regression import bowl_figure, predictions_figure, rates_figure, residuals_figure, weights_figure
from core.labs.linear_regression import NAMES, TRUE, Bowl, Path, descend, ground, halving, steps_until_close
from pages.parts.learn.lab import covered, predict, tried
from pages.parts.learn.questions import REGRESSION
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import columns_table, draw_table

PATH = "pages/learn_linear_regression.py"
STILL = {"displayModeBar": False}
BEST, CURRENT = "b at its best", "b as it is now"


def choose_step(path: Path) -> int:
    """Which step is looked at; the last one to begin with."""
    last = len(path.points) - 1
    return st.slider("Step", 0, last, last, key=f"regression.step.{last}", bind="query-params", on_change=tried, args=(PATH,))


def converge(surface: Bowl, path: Path) -> None:
    """The three numbers, and the bowl they walk on."""
    if not predict(PATH, REGRESSION["slowest"]):
        covered(640)
        return
    step = choose_step(path)
    now = path.points[step]
    draw_table(columns_table({"Number": NAMES, "Now": [f"{value:.4f}" for value in now],
                              "True": [f"{value:g}" for value in TRUE],
                              "Least squares": [f"{value:.4f}" for value in surface.best],
                              "Off by": [f"{abs(a - b):.4f}" for a, b in zip(now, TRUE, strict=True)]}),
               hide_index=True, height="content", key="regression.table")
    left, right = st.columns(2)
    with left:
        figure = weights_figure(path, step)
        st.plotly_chart(figure, key="regression.weights", config=STILL, alt=in_words(figure, "The three numbers over steps"))
        until = steps_until_close(path)
        st.caption(f"Dotted: the true values. The loss now is {path.losses[step]:.5f}; the lowest possible is "
                   f"{float(surface.loss(surface.best)):.5f}. "
                   + (f"From step {until:,} on all three are within 0.05 of the truth." if until is not None else
                      "By the end not all three are within 0.05 of the truth."))
    with right:
        kind = st.segmented_control("Bias", [BEST, CURRENT], default=BEST, required=True, key="regression.bias",
                                    label_visibility="collapsed", bind="query-params")
        bias = float(surface.best[2]) if kind == BEST else float(np.clip(now[2], -1e3, 1e3))
        figure = bowl_figure(ground(surface, path, bias), path, surface, step)
        st.plotly_chart(figure, key="regression.bowl", config=STILL,
                        alt=in_words(figure, f"The loss over both weights at step {step}"))
        st.caption(f"The loss over w₁ and w₂ with b = {bias:.3f}; darker is higher, each line a step on a logarithmic scale. "
                   "Each step goes straight downhill, at a right angle to the lines, when b is as it is now.")


def fit_section(surface: Bowl, path: Path, x: np.ndarray, y: np.ndarray) -> None:
    """Predictions, residuals and the answer by algebra."""
    if not predict(PATH, REGRESSION["zero"]):
        covered(640)
        return
    step = choose_step(path)
    predicted = x @ path.points[step, :2] + path.points[step, 2]
    residuals = y - predicted
    left, right = st.columns(2)
    with left:
        figure = predictions_figure(y, predicted)
        st.plotly_chart(figure, key="regression.predictions", config=STILL, alt=in_words(figure, "Predictions against targets"))
    with right:
        figure = residuals_figure(residuals, predicted)
        st.plotly_chart(figure, key="regression.residuals", config=STILL, alt=in_words(figure, "Residuals against predictions"))
    metrics_row({"Mean squared error": (f"{float((residuals ** 2).mean()):.5f}", "The mean of the squared residuals: "
                                                                                 "the loss."),
                 "Its square root": (f"{float((residuals ** 2).mean() ** 0.5):.4f}", "In the unit of y; compare it with "
                                                                                       "the noise."),
                 "Mean residual": (f"{float(residuals.mean()):+.4f}", "0 as soon as b has converged.")})
    st.caption("A good fit leaves residuals without any pattern: only the noise. A slope or a bend in them would be something "
               "that the model has missed.")
    st.markdown("**Without any training.** The loss is lowest where its gradient is zero, which is a system of three linear "
                "equations: "
                r"$A^\top A\,\theta = A^\top y$, a row of $A$ being $(x_1, x_2, 1)$. Its solution: "
                + ", ".join(f"{name} = **{value:.4f}**" for name, value in zip(NAMES, surface.best, strict=True))
                + ". It is not exactly (2, 3, 4) either: the noise moves the lowest point.")


def rates_section(surface: Bowl, path: Path, start: np.ndarray, rate: float, steps: int) -> None:
    """What a wrong learning rate does, and where the limit is."""
    if not predict(PATH, REGRESSION["limit"]):
        covered(640)
        return
    low, high = surface.eigenvalues[0], surface.eigenvalues[-1]
    half = halving(surface, rate)
    metrics_row({"Limit 2/λmax": (f"{surface.limit:.4f}", "Above it, each step overshoots by more than it was away."),
                 "Fastest 2/(λmin + λmax)": (f"{surface.fastest:.4f}", "The slowest direction shrinks most at each step."),
                 "Slowest factor now": (f"{surface.shrink(rate):.4f}", "What is left after one step of the distance in the "
                                        "slowest direction. From 1 on nothing is learned."),
                 "Steps to halve": ("never" if half is None else f"{half:,.1f}", None)})
    if path.diverged:
        st.warning(f"Diverged: after {len(path.points) - 1} steps the numbers are more than a million away. {rate:g} is above "
                   "the limit "
                   f"{surface.limit:.4f}.", icon=":material/trending_up:")
    rates = {"a tenth of the limit": 0.1, "half of it": 0.5, "just below (98 %)": 0.98, "just above (102 %)": 1.02}
    shown = min(steps, 300)
    paths = {f"{name}: {share * surface.limit:.3f}": descend(surface, start, share * surface.limit, shown)
             for name, share in rates.items()}
    paths[f"yours: {rate:g}"] = descend(surface, start, rate, shown)
    figure = rates_figure(paths, float(surface.loss(surface.best)))
    st.plotly_chart(figure, key="regression.rates", config=STILL,
                    alt=in_words(figure, "Loss above the lowest over steps, for each learning rate"))
    st.markdown("**Why there is a limit.** The loss is a bowl, and its Hessian (the matrix of second derivatives) "
                r"$H = \frac{2}{N} A^\top A$ says how steep: here from "
                f"λmin = {low:.3f} along its flattest axis to λmax = {high:.3f} along its steepest. Along an axis, one step "
                "multiplies the "
                r"distance from the lowest point by $1 - \eta\lambda$. Above $\eta = 2/\lambda_{max}$ that is below −1: each "
                "step lands on the other side, farther away. Far below the limit it is nearly 1: each step hardly moves.")
