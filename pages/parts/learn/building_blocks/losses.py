"""The lab's part on losses: surface, curve and slope, the formula, and why logits."""

import numpy as np
import streamlit as st

from core.figures.building_blocks import function_and_slope, lines, loss_surface_figure
from core.figures.in_words import in_words
from core.labs.losses import (
    BCE_FORMULA,
    LOSSES,
    formula_check,
    logit_rows,
    loss_at,
    loss_code,
    loss_curve,
    loss_surface,
)
from pages.parts.learn.lab import Next, covered, predict, show_code, tried, try_next
from pages.parts.learn.questions import BLOCKS
from pages.parts.widgets.table import draw_table, rows_table

PATH = "pages/learn_building_blocks.py"
DENSE = tuple(np.linspace(-200, 200, 201).tolist())  # logits for a line


def show() -> None:
    """The whole part."""
    controls, picture = st.columns([1, 2.4], gap="large")
    with controls:
        name = st.selectbox("Loss", list(LOSSES), format_func=lambda key: LOSSES[key].title, key="blocks.loss",
                            bind="query-params")
        entry = LOSSES[name]
        st.caption(entry.about)
        low, high = entry.x
        prediction = st.slider(entry.across, low, high, (low + high) / 2 if name == "bce" else -1.0, (high - low) / 400,
                               format="%.3f" if name == "bce" else "%.2f", key=f"blocks.prediction.{name}",
                               bind="query-params")
        label = st.slider(entry.up, *entry.y, entry.y_start, (entry.y[1] - entry.y[0]) / 100, key=f"blocks.label.{name}",
                          bind="query-params")
        delta = st.slider("δ (delta)", 0.1, 3.0, 1.0, 0.1, key="blocks.delta", bind="query-params",
                          help="Where the square ends and the straight line begins.") if name == "huber" else 1.0
    with picture:
        _picture(name, prediction, label, delta)
    _formula()
    _logits()
    show_code(loss_code(name, prediction, label, delta))
    try_next([
        Next("Ask “is it this digit?” instead of “which digit is it?”, with binary cross-entropy, on", "pages/train_model.py",
            "Train model", ":material/model_training:"),
    ], "- Binary cross-entropy with a label of 0.9 instead of 1: where is the lowest loss now? (This is label smoothing.)\n"
       "- Squared error, L1 and Huber with the target at 1 and the prediction at −4: whose slope is largest?\n")


def _picture(name: str, prediction: float, label: float, delta: float) -> None:
    entry = LOSSES[name]
    st.markdown(f"${entry.formula}$")
    here = loss_at(name, prediction, label, delta)
    loss, slope = float(here.loss[0]), float(here.slope[0])
    st.markdown(f"Loss **{loss:.4f}**, slope **{slope + 0.0:+.4f}**: {_push(entry.across, slope)}")
    curve = loss_curve(name, label, delta)
    surface = loss_surface(name, delta)
    flat, solid = st.columns(2)
    with flat:
        figure = function_and_slope(curve.x, curve.loss, np.clip(curve.slope, -20, 20), (prediction, loss, slope),
                                    ("loss", "slope"), entry.across)
        st.plotly_chart(figure, key="blocks.loss_curve", width="stretch", alt=in_words(figure, "The loss and its slope"))
    with solid:
        figure = loss_surface_figure(surface.x, surface.y, surface.loss, entry.across, entry.up, (prediction, label, loss))
        st.plotly_chart(figure, key="blocks.surface", width="stretch", alt=in_words(figure, "The loss over prediction and label"))


def _push(across: str, slope: float) -> str:
    """What a gradient step would do."""
    if abs(slope) < 5e-5:
        return "nothing pulls."
    return f"a gradient step makes the {across} {'smaller' if slope > 0 else 'larger'}."


def _short(value: float) -> str:
    """Four digits; 0 without the sign that float32 keeps."""
    return f"{value + 0.0:.4g}"


def _formula() -> None:
    """The formula in its right form, beside the misprint."""
    st.header("Binary cross-entropy, one sign matters")
    check = formula_check()
    st.markdown(f"The formula is ${BCE_FORMULA}$. For a yes (y = 1) the second half must vanish, which is what $1 - y$ does. "
                "Some notes print $1 + y$ there: then a yes is charged for being sure, and the lowest loss is at "
                f"p = {check.best_wrong:.3f} instead of towards p = 1.")
    figure = lines(check.p, {"with 1 − y (right)": check.right, "with 1 + y (misprint)": check.wrong}, "probability p",
                   "loss for y = 1", top=8)
    st.plotly_chart(figure, key="blocks.formula", width="stretch", alt=in_words(figure, "The formula, right and misprinted"))


def _logits() -> None:
    """Overflow, shown in float32."""
    st.header("Why logits and not sigmoids")
    seen = predict(PATH, BLOCKS["logits"])
    if not st.toggle("Compute it in float32", key="blocks.float32", on_change=tried, args=(PATH,), bind="query-params"):
        return
    if not seen:
        covered(640)
        return
    label = st.segmented_control("Label", [1, 0], default=1, key="blocks.logit_label", required=True, bind="query-params")
    rows = logit_rows(label)
    draw_table(rows_table([{
        "Logit": f"{row.logit:g}", "Sigmoid": f"{row.probability:.4g}", "Log by hand": _short(row.by_hand),
        "… its gradient": _short(row.gradient_by_hand), "BCE": _short(row.from_probability),
        "… gradient": _short(row.gradient_from_probability), "BCE with logits": _short(row.from_logit),
        "… gradient ": _short(row.gradient_from_logit)} for row in rows]), hide_index=True, height="content",
               key="blocks.logit_table")
    dense = logit_rows(label, DENSE)
    figure = lines(np.array(DENSE),
                   {"BCE with logits": [row.from_logit for row in dense],
                    "BCE after sigmoid": [row.from_probability for row in dense], "log by hand": [row.by_hand for row in dense]},
                    "logit", f"loss for y = {label}")
    st.plotly_chart(figure,
                    key="blocks.overflow", width="stretch", alt=in_words(figure, "Losses in float32 over the logit"))
    st.caption("All in float32, as networks compute. Where the line “log by hand” ends, the loss is infinite and the gradient is "
               "no number (nan): one such example ruins all weights.")
