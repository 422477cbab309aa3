"""Draw a digit: how far the drawing can be moved, turned, scaled and thickened before the answer tips over."""

import streamlit as st
import torch

from core.data.drawing import Drawing
from core.evaluation.digit_robustness import SWEEPS, changed, robustness_map
from core.figures.images import contact_sheet
from core.figures.in_words import in_words
from core.figures.robustness import robustness_figure
from core.memory import trim_heap
from core.wording import percent
from pages.parts.draw.answers import Asked
from pages.parts.shell.markdown import as_text

MOST_MODELS = 2


def robustness_section(models: list[Asked], drawing: Drawing) -> None:
    """A map for each of the first two models, and the pictures behind it."""
    usable = [asked for asked in models if asked.model is not None and not asked.problem][:MOST_MODELS]
    if not usable:
        st.caption("Choose a model that can answer a drawing.")
        return
    name = st.segmented_control("What is changed", list(SWEEPS), default=next(iter(SWEEPS)), required=True,
                                format_func=lambda key: SWEEPS[key].title, key="draw.sweep", bind="query-params")
    sweep = SWEEPS[name]
    st.caption("What the network gets, changed in two ways at once. Each cell says the answer; blue is where the answer to the "
               "unchanged drawing is still sure, brown where it is lost."
               + ("" if len(models) > 1 else " Choose a second model above to compare."))
    for asked, column in zip(usable, st.columns(len(usable)), strict=True):
        with column:
            assert asked.model is not None
            found = robustness_map(asked.model.predict, drawing.image, sweep)
            st.markdown(f"**{as_text(asked.run.title or asked.run.id[:8])}**: still "
                        f"{as_text(asked.model.classes[found.usual])} for "
                        f"{percent(found.holds)} of {found.said.numel()} pictures")
            figure = robustness_figure(found, asked.model.classes)
            st.plotly_chart(figure, key=f"draw.sweep.{name}.{asked.run.id}",
                            config={"displayModeBar": False}, alt=in_words(figure, "Chance of each class as the drawing changes"))
    trim_heap()
    with st.expander("The changed pictures", icon=":material/grid_on:"):
        pictures = changed(drawing.image, sweep).mul(255).round().to(torch.uint8)
        st.image(contact_sheet(pictures, len(sweep.across_strengths)), alt="The drawing in all its changes")
