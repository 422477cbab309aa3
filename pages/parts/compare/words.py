"""How the page Compare runs calls runs, settings and their values."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.data import DATASETS
from core.figures.palette import CLASSES
from core.runs import Run, RunStore
from core.runs.differing import in_words
from core.wording import plural
from pages.parts.draft.fields import CHOICES, CHOICES_OF


def those_left(store: RunStore, run_ids: Sequence[str]) -> list[Run]:
    """The selected runs as they are now; with a line where another tab has deleted some since the page was drawn."""
    runs = store.these(run_ids)
    if gone := len(run_ids) - len(runs):
        st.info(f"{plural(gone, 'run')} of these {'is' if gone == 1 else 'are'} gone, or can't be read.",
                icon=":material/delete:")
    return runs


def words(path: str, value: Any) -> str:
    """A setting's value as the forms call it: "Adam" for "adam", "MNIST" for "mnist"."""
    if path == "data.dataset" and value in DATASETS:
        return DATASETS[value].title
    if isinstance(value, str):
        known = CHOICES_OF.get(path, {}).get(value) or CHOICES.get(value)
        if known:
            return known
    return in_words(path, value)


def short_name(run: Run) -> str:
    """Title and the first letters of the id. A person's words."""
    return f"{run.title or 'Run'} ({run.id[:4]})"


def coloured(run_ids: Sequence[str], colours: Mapping[str, str]) -> dict[str, str]:
    """A colour for each run: its own where it has one, else the palette's in turn."""
    return {run_id: colours.get(run_id) or CLASSES[place % len(CLASSES)] for place, run_id in enumerate(run_ids)}
