"""What the config doctor found, with a button that mends it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from core.config import RunConfig, read_config
from core.data import DataError
from core.devices import memory_bytes, select_device
from core.fields import ConfigError
from core.inspection import Finding, Surroundings
from core.inspection.doctor import Case, examine
from core.inspection.doctor.cost_rules import images_per_second
from core.models import ModelError
from core.runs import CheckpointError
from core.runs.starting import starting_model
from core.training.range_test import range_test
from pages.parts.draft import draft
from pages.parts.draft.measured import measured_for
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

RANGE_STEPS = 100
MOST_SECONDS = 20.0  # that somebody waits for a page
ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}
COLOURS = {"error": "red", "warning": "orange", "note": "gray"}
BADGES = {"error": "Can't work", "warning": "Doubtful", "note": "Worth knowing"}


@st.cache_data(max_entries=256, show_spinner=False)
def findings(config_json: str, surroundings: Surroundings, _case: Case | None = None) -> list[Finding]:
    """What the doctor says of a config, worst first. _case: that config in these surroundings, where the page has it."""
    return examine(_case or Case(read_config(config_json), surroundings=surroundings))


def case_of(server: Services, config: RunConfig) -> Case:
    """A config on this server's device, with what this session has measured and tested."""
    measured = measured_for(config)
    tested = sum(run.test_accuracy is not None and run.config.data.dataset == config.data.dataset
                 and run.owner == st.session_state[keys.OWNER] for run in server.store.runs())
    return Case(config, surroundings=Surroundings(memory_bytes=memory_bytes(select_device()), tested_runs=tested,
                                                  images_per_second=measured.images_per_second if measured else None))


def show_findings(server: Services, case: Case) -> None:
    """All findings: one line each with its button, evidence and explanation on a click."""
    st.header("What the doctor says")
    closely = _look_closely(server, case)
    found = findings(case.config.model_dump_json(), case.surroundings, case) if closely is None else closely
    if all(finding.severity == "note" for finding in found):
        st.markdown(":green[:material/check_circle:] Nothing wrong was found in network, training and data settings."
                    + (" Worth knowing:" if found else ""))
    for finding in found:
        show_finding(finding, "build")


def _look_closely(server: Services, page_case: Case) -> list[Finding] | None:
    """On a click, the same rules with the data itself and a learning-rate range test; None where nobody asked."""
    config, surroundings = page_case.config, page_case.surroundings
    key = (config.model_dump_json(), surroundings.images_per_second)
    kept = st.session_state.get(keys.CLOSE_LOOK)
    if kept and kept[0] == key:
        st.caption(kept[2])
        return list(kept[1])
    if not st.button("Look closely", icon=":material/stethoscope:", key="build.close_look", help="Reads the data, and tries "
                     "learning rates from very small to very large in 100 steps. Takes a few seconds."):
        return None
    with st.spinner("Reading the data and trying learning rates…"):
        try:
            data = dataset(config.data, server.settings)
            case = Case(config, data=data, surroundings=surroundings)
            seconds = RANGE_STEPS * config.training.batch_size / images_per_second(case) if case.rows else 0.0
            tried = None
            if case.rows and seconds <= MOST_SECONDS:
                tried = range_test(config, data, starting_model(server.store, config, data, server.settings), RANGE_STEPS)
            found = examine(replace(case, range_test=tried))
        except (DataError, ModelError, ConfigError, CheckpointError) as error:
            st.warning(as_text(str(error)), icon=":material/broken_image:")
            return None
    what = f"Looked at {len(data.train):,} training examples"
    what += f" and tried learning rates: about {tried.suggested:.1g} suits this network." if tried else \
        ". Learning rates were not tried: for a network of this size that takes too long here."
    st.session_state[keys.CLOSE_LOOK] = (key, found, what)
    st.caption(what)
    return found


def show_problems(config: RunConfig) -> None:
    """Errors and warnings alone, for a narrow column; nothing where there are none."""
    for finding in serious(config):
        show_finding(finding, "train")


def serious(config: RunConfig) -> list[Finding]:
    """Errors and warnings alone, worst first."""
    found = findings(config.model_dump_json(), Surroundings(memory_bytes=memory_bytes(select_device())))
    return [finding for finding in found if finding.severity != "note"]


def show_finding(finding: Finding, page: str, take: Callable[[RunConfig], None] = draft.take) -> None:
    """One finding with its button. take: what the button does with the mended config."""
    with st.container(gap="xxsmall"):
        with _expander(finding):
            _details(finding)
        _fix_button(finding, page, take)


def _expander(finding: Finding) -> "DeltaGenerator":
    return st.expander(f":{COLOURS[finding.severity]}[**{BADGES[finding.severity]}:**] {as_text(finding.title)}",
                       icon=ICONS[finding.severity])


def _details(finding: Finding) -> None:
    st.markdown(as_text(finding.evidence))
    st.caption(as_text(finding.explanation))
    if finding.fix is None and finding.remedy:
        st.markdown(f"**What to do:** {as_text(finding.remedy)}.")


def _fix_button(finding: Finding, page: str, take: Callable[[RunConfig], None]) -> None:
    if finding.fix is not None:
        label = as_text(finding.remedy[:1].lower() + finding.remedy[1:])
        st.button(f":blue[Fix: {label}]", key=f"{page}.fix.{finding.rule}", icon=":material/build:", on_click=take,
                  args=(finding.fix,), type="tertiary", help="Changes the settings; nothing starts yet.")
