"""What was changed by hand while a run trained, as a list."""

from collections.abc import Sequence

import streamlit as st

from core.figures.by_hand import Names, by_step
from core.training import Intervention
from core.wording import plural
from pages.parts.shell.markdown import as_text

MOST_LISTED = 20  # lines, and characters of each
LONGEST = 300


def by_hand_list(interventions: Sequence[Intervention], whose: str = "", key: str = "panel.by_hand",
                 names: Names | None = None) -> None:
    """The changes in their order, numbered as in the charts; nothing where there were none. whose: a run's name. names: what the
    page calls weights."""
    if not interventions:
        return
    lines = by_step(interventions, names)
    title = f"Changed by hand{f' in {as_text(whose)}' if whose else ''}: {plural(len(interventions), 'change')}"
    with st.expander(title, icon=":material/back_hand:", key=key):
        st.markdown("\n".join(f"{number}. {as_text(_short(line))}" for number, line in enumerate(lines[:MOST_LISTED], start=1)))
        if len(lines) > MOST_LISTED:
            st.markdown(f"And after {plural(len(lines) - MOST_LISTED, 'other step')}; the run's config file names all.")
        st.caption("Part of the run: its script makes the same changes after the same steps. A new run of its settings is not "
                   "changed.")


def _short(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[:LONGEST].rpartition(',')[0]}, …"
