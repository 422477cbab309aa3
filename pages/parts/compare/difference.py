"""Compare runs, Settings: in what the selected runs differ, setting by setting."""

import streamlit as st

from core.runs import RunStore
from core.runs.differing import NOT_THERE, flat, labels_of, varying
from core.wording import plural
from pages.parts.compare.words import short_name, those_left, words
from pages.parts.shell.markdown import in_table
from pages.parts.widgets.table import draw_table, rows_table

MOST_BESIDE = 6  # runs that stand beside each other; more stand below each other


def section(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """The settings that differ as a table."""
    runs = those_left(store, run_ids)
    if not runs:
        return
    configs = [run.config for run in runs]
    paths = varying(configs)
    if not paths:
        st.info("All of these runs have the same settings.", icon=":material/equal:")
        return
    every, labels = [flat(config) for config in configs], labels_of(configs, paths)
    rows = [{label.capitalize() if label.islower() else label: in_table(words(path, settings.get(path, NOT_THERE)))
             for path, label in labels.items()} for settings in every]
    names = [in_table(short_name(run)) for run in runs]
    if len(runs) <= MOST_BESIDE:
        table = rows_table([{"Setting": setting, **{name: row[setting] for name, row in zip(names, rows, strict=True)}}
                            for setting in rows[0]], index="Setting")
    else:
        table = rows_table([{"Run": name, **row} for name, row in zip(names, rows, strict=True)], index="Run")
    draw_table(table, key="compare.difference", width="stretch")
    same = len(every[0]) - len(paths)
    st.caption(f"{plural(len(paths), 'setting')} {'differs' if len(paths) == 1 else 'differ'}; the other {same} are the same in "
               "all of them. A dash: this kind of network, optimizer or schedule has no such setting.")
