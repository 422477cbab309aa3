"""How the page Compare runs calls runs, settings and their values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.data import DATASETS, DataError, spec_of
from core.figures.palette import CLASSES
from core.runs import Run, RunStore
from core.runs.differing import in_words
from core.wording import plural
from pages.parts.draft.fields import CHOICES, CHOICES_OF
from pages.parts.shell.services import services


def those_left(store: RunStore, run_ids: Sequence[str]) -> list[Run]:
    """The selected runs as they are now; with a line where another tab has deleted some since the page was drawn."""
    runs = store.these(run_ids)
    if gone := len(run_ids) - len(runs):
        st.info(f"{plural(gone, 'run')} of these {'is' if gone == 1 else 'are'} gone, or can't be read.",
                icon=":material/delete:")
    return runs


def words(path: str, value: Any) -> str:
    """A setting's value as the forms call it: "Adam" for "adam", "MNIST" for "mnist"."""
    if path == "data.dataset" and isinstance(value, str):
        return title_of_data(value)
    if path == "data.join" and isinstance(value, list | tuple):
        return in_words(path, [title_of_data(str(name)) for name in value])
    if isinstance(value, str):
        known = CHOICES_OF.get(path, {}).get(value) or CHOICES.get(value)
        if known:
            return known
    return in_words(path, value)


def title_of_data(name: str) -> str:
    """What a data set is called, "MNIST" for "mnist"; a person's words where it is their own. The name of one that is gone."""
    if name in DATASETS:
        return DATASETS[name].title
    try:
        return _own_title(services().settings.data_dir, name)
    except DataError:
        return name


@st.cache_data(show_spinner=False, max_entries=1000)
def _own_title(data_dir: Path, name: str) -> str:
    """Raises DataError, which is not remembered."""
    return spec_of(name, data_dir).title


def short_name(run: Run) -> str:
    """Title and the first letters of the id. A person's words."""
    return f"{run.title or 'Run'} ({run.id[:4]})"


def coloured(run_ids: Sequence[str], colours: Mapping[str, str]) -> dict[str, str]:
    """A colour for each run: its own where it has one, else the palette's in turn."""
    return {run_id: colours.get(run_id) or CLASSES[place % len(CLASSES)] for place, run_id in enumerate(run_ids)}
