"""What the config doctor found, with a button that mends it, and a run as code to take away."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.config import RunConfig, read_config
from core.data import DataError, outline
from core.devices import memory_bytes, select_device
from core.export import ExportError, model_class, script
from core.inspection import Finding, Surroundings, diagnose
from core.models import ModelError
from core.training import outputs_for
from pages.parts import draft

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}
COLOURS = {"error": "red", "warning": "orange", "note": "gray"}
BADGES = {"error": "Can't work", "warning": "Doubtful", "note": "Worth knowing"}


@st.cache_data(max_entries=256, show_spinner=False)
def findings(config_json: str) -> list[Finding]:
    """What the doctor says of a config on this server's device, worst first."""
    return diagnose(read_config(config_json), surroundings=Surroundings(memory_bytes=memory_bytes(select_device())))


def show_findings(config: RunConfig) -> None:
    """All findings: one line each with its button, evidence and explanation on a click."""
    found = findings(config.model_dump_json())
    st.subheader("What the doctor says")
    serious = [finding for finding in found if finding.severity != "note"]
    if not serious:
        st.markdown(":green[:material/check_circle:] Nothing wrong was found in network, training and data settings."
                    + (" Worth knowing:" if found else ""))
    for finding in found:
        _show(finding, "build")


def show_problems(config: RunConfig) -> None:
    """Errors and warnings alone, for a narrow column; nothing where there are none."""
    for finding in findings(config.model_dump_json()):
        if finding.severity != "note":
            _show(finding, "train")


def _show(finding: Finding, page: str) -> None:
    with st.container(gap="xxsmall"):
        with _expander(finding):
            _details(finding)
        _fix_button(finding, page)


def _expander(finding: Finding) -> DeltaGenerator:
    return st.expander(f":{COLOURS[finding.severity]}[**{BADGES[finding.severity]}:**] {_plain(finding.title)}",
                       icon=ICONS[finding.severity])


def _details(finding: Finding) -> None:
    st.markdown(_plain(finding.evidence))
    st.caption(_plain(finding.explanation))
    if finding.fix is None and finding.remedy:
        st.markdown(f"**What to do:** {_plain(finding.remedy)}.")


def _plain(text: str) -> str:
    """Text with nothing that Markdown would take for its own: names of networks and data may hold anything."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>$#~|:{}" else c for c in text)


def _fix_button(finding: Finding, page: str) -> None:
    if finding.fix is not None:
        label = _plain(finding.remedy[:1].lower() + finding.remedy[1:])
        st.button(f":blue[Fix: {label}]", key=f"{page}.fix.{finding.rule}", icon=":material/build:", on_click=draft.take,
                  args=(finding.fix,), type="tertiary", help="Changes the settings; nothing starts yet.")


@st.cache_data(max_entries=256, show_spinner=False)
def code(config_json: str) -> dict[str, str]:
    """The run as code: the network's class and the whole script. Raises ExportError, ModelError and DataError."""
    config = read_config(config_json)
    shape = outline(config.data)
    return {"network.py": model_class(config.model, shape.input_shape, outputs_for(config, len(shape.source_classes))),
            "train.py": script(config)}


def show_code(config: RunConfig) -> None:
    """The network's class and the whole training script, each to copy or to download."""
    try:
        files = code(config.model_dump_json())
    except (ModelError, DataError):
        return  # the doctor says what is wrong; there is no code of a network that can't be built
    except ExportError as error:
        st.info(str(error), icon=":material/code_off:")
        return
    st.subheader("As code")
    texts = {"network.py": ("The network as a class", "Plain PyTorch, for your own notebook. It takes this app's weights: "
                            "load_state_dict reads the file from Compare runs."),
             "train.py": ("The whole training script", "Loads the same images, trains the same network, tests it and saves its "
                          "weights. Needs PyTorch and, for the data, torchvision or scikit-learn.")}
    for file, (title, about) in texts.items():
        with st.expander(title, icon=":material/code:"):
            st.caption(about)
            st.download_button(f"Download {file}", files[file], file, "text/x-python", key=f"build.code.{file}",
                               icon=":material/download:", on_click="ignore")
            st.code(files[file], language="python", height=480 if file == "train.py" else "content")
