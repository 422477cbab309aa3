"""A run as code to take away: its network's class and its whole training script."""

import streamlit as st

from core.config import RunConfig, read_config
from core.data import DataError, outline
from core.export import ExportError, model_class, script
from core.fields import ConfigError
from core.models import ModelError
from core.training import outputs_for
from pages.parts.shell.markdown import as_text


@st.cache_data(max_entries=256, show_spinner=False)
def network_code(config_json: str) -> str:
    """The network's class. Raises ExportError, ModelError and DataError."""
    config = read_config(config_json)
    shape = outline(config.data)
    return model_class(config.model, shape.input_shape, outputs_for(config, len(shape.source_classes)))


@st.cache_data(max_entries=256, show_spinner=False)
def training_code(config_json: str, fast: bool = False) -> str:
    """The whole script. Raises ConfigError, DataError, ExportError and ModelError."""
    return script(read_config(config_json), fast=fast)


# File → (title, what it is)
CODE = {
    "network.py": ("The network as a class", "Plain PyTorch, for your own notebook. It takes this app's weights: "
                   "load_state_dict reads the file from Compare runs."),
    "train.py": ("The whole training script", "Reads the same images in the same order, trains the same network, tests it and "
                 "saves its weights. Its first lines say what to install; it finds data where this app has them, before it "
                 "downloads any."),
}
# How a script hands out its images → whether it is the fast one
WAYS = {"Plain: a DataLoader": False, "Fast: whole set in memory": True}
WAYS_HELP = ("A DataLoader asks for each image by itself, which is what most code does and what a set too large for memory "
             "needs. With the whole set in memory a batch is one selection: the same losses, several times as fast for small "
             "networks.")


def show_code(config: RunConfig) -> None:
    """The network's class and the whole training script, each to copy or to download; written when somebody opens it, since
    that takes longer than the layer table."""
    st.header("As code")
    for file, (title, about) in CODE.items():
        box = st.expander(title, icon=":material/code:", key=f"build.code.{file}", on_change="rerun")
        if not box.open:
            continue
        with box:
            try:
                text = _written(file, config.model_dump_json())
            except (ConfigError, DataError, ExportError, ModelError) as error:
                st.info(as_text(str(error)), icon=":material/code_off:")
                continue
            st.caption(about)
            st.download_button(f"Download {file}", text, file, "text/x-python", key=f"build.code.{file}.download",
                               icon=":material/download:", on_click="ignore")
            st.code(text, language="python", height=480 if file == "train.py" else "content")


def _written(file: str, config_json: str) -> str:
    """The text of one of CODE, as the choice beside it says. Raises ConfigError, DataError, ExportError and ModelError."""
    if file == "network.py":
        return network_code(config_json)
    way = st.segmented_control("How it gets its images", list(WAYS), default=next(iter(WAYS)), required=True,
                               key="build.code.way", bind="query-params", help=WAYS_HELP)
    return training_code(config_json, WAYS[way])
