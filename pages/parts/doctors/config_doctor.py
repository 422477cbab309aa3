"""What the config doctor found, with a button that mends it, and a run as code to take away."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.config import RunConfig, read_config
from core.data import DataError, outline
from core.devices import memory_bytes, select_device
from core.export import ExportError, model_class, script
from core.fields import ConfigError
from core.inspection import Finding, Surroundings
from core.inspection.doctor import Case, examine
from core.inspection.doctor.cost_rules import images_per_second
from core.models import ModelError
from core.training import build_for, outputs_for
from core.training.range_test import range_test
from pages.parts.build.layer_table import measured_for
from pages.parts.draft import draft
from pages.parts.shell import keys
from pages.parts.shell.services import Services, dataset

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
    st.subheader("What the doctor says")
    closely = _look_closely(server, case)
    found = findings(case.config.model_dump_json(), case.surroundings, case) if closely is None else closely
    serious = [finding for finding in found if finding.severity != "note"]
    if not serious:
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
                tried = range_test(config, data, build_for(config, data), RANGE_STEPS)
            found = examine(replace(case, range_test=tried))
        except (DataError, ModelError, ConfigError) as error:
            st.warning(str(error), icon=":material/broken_image:")
            return None
    what = f"Looked at {len(data.train):,} training examples"
    what += f" and tried learning rates: about {tried.suggested:.1g} suits this network." if tried else \
        ". Learning rates were not tried: for a network of this size that takes too long here."
    st.session_state[keys.CLOSE_LOOK] = (key, found, what)
    st.caption(what)
    return found


def show_problems(config: RunConfig) -> None:
    """Errors and warnings alone, for a narrow column; nothing where there are none."""
    for finding in findings(config.model_dump_json(), Surroundings(memory_bytes=memory_bytes(select_device()))):
        if finding.severity != "note":
            show_finding(finding, "train")


def show_finding(finding: Finding, page: str, take: Callable[[RunConfig], None] = draft.take) -> None:
    """One finding with its button. take: what the button does with the mended config."""
    with st.container(gap="xxsmall"):
        with _expander(finding):
            _details(finding)
        _fix_button(finding, page, take)


def _expander(finding: Finding) -> DeltaGenerator:
    return st.expander(f":{COLOURS[finding.severity]}[**{BADGES[finding.severity]}:**] {plain(finding.title)}",
                       icon=ICONS[finding.severity])


def _details(finding: Finding) -> None:
    st.markdown(plain(finding.evidence))
    st.caption(plain(finding.explanation))
    if finding.fix is None and finding.remedy:
        st.markdown(f"**What to do:** {plain(finding.remedy)}.")


def plain(text: str) -> str:
    """Text with nothing that Markdown would take for its own: names of networks and data may hold anything."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>$#~|:{}" else c for c in text)


def _fix_button(finding: Finding, page: str, take: Callable[[RunConfig], None]) -> None:
    if finding.fix is not None:
        label = plain(finding.remedy[:1].lower() + finding.remedy[1:])
        st.button(f":blue[Fix: {label}]", key=f"{page}.fix.{finding.rule}", icon=":material/build:", on_click=take,
                  args=(finding.fix,), type="tertiary", help="Changes the settings; nothing starts yet.")


@st.cache_data(max_entries=256, show_spinner=False)
def network_code(config_json: str) -> str:
    """The network's class. Raises ExportError, ModelError and DataError."""
    config = read_config(config_json)
    shape = outline(config.data)
    return model_class(config.model, shape.input_shape, outputs_for(config, len(shape.source_classes)))


@st.cache_data(max_entries=256, show_spinner=False)
def training_code(config_json: str) -> str:
    """The whole script. Raises ConfigError, DataError, ExportError and ModelError."""
    return script(read_config(config_json))


# File → (title, what it is, what writes it)
CODE = {
    "network.py": ("The network as a class", "Plain PyTorch, for your own notebook. It takes this app's weights: "
                   "load_state_dict reads the file from Compare runs.", network_code),
    "train.py": ("The whole training script", "Loads the same images, trains the same network, tests it and saves its weights. "
                 "Needs PyTorch and, for the data, torchvision or scikit-learn.", training_code),
}


def show_code(config: RunConfig) -> None:
    """The network's class and the whole training script, each to copy or to download; written when somebody opens it, since
    that takes longer than the layer table."""
    st.subheader("As code")
    for file, (title, about, write) in CODE.items():
        box = st.expander(title, icon=":material/code:", key=f"build.code.{file}", on_change="rerun")
        if not box.open:
            continue
        with box:
            try:
                text = write(config.model_dump_json())
            except (ConfigError, DataError, ExportError, ModelError) as error:
                st.info(str(error), icon=":material/code_off:")
                continue
            st.caption(about)
            st.download_button(f"Download {file}", text, file, "text/x-python", key=f"build.code.{file}.download",
                               icon=":material/download:", on_click="ignore")
            st.code(text, language="python", height=480 if file == "train.py" else "content")
