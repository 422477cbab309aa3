"""Draw a digit: weights that were trained elsewhere, brought here as a file."""

from typing import Literal

import streamlit as st

from core.config import DataConfig
from core.data import available
from core.fields import describe
from core.runs import StoreError
from core.runs.uploaded import UploadRefused, keep_upload
from core.weights.file import MAX_BYTES
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.shell.streamlit_private import free
from pages.parts.widgets.uploads import weights_turn

SHAPE = (1, 28, 28)
NORMALIZATIONS: dict[Literal["none", "half", "standard", "channels"], str] = {
    "none": "none: pixels from 0 to 1, as ToTensor gives them", "half": "half: Normalize(0.5, 0.5)",
    "standard": "standard: Normalize(mean, std) of the data set", "channels": "channels: Normalize with numbers of your own"}
MNIST_AS_WRITTEN = 0.1307, 0.3081  # in most scripts that are found: MNIST's own, rounded
ENDINGS = ["pth", "pt", "safetensors", "ckpt", "tar", "bin", "th"]


def told_of_upload() -> None:
    """Once after an upload: what it became."""
    if told := st.session_state.pop(keys.DRAW_UPLOADED, None):
        title, notes = told
        st.success(f"**{as_text(title)}** is ready and chosen, here and on the other pages. " + " ".join(notes),
                   icon=":material/check_circle:")


def upload_weights(server: Services) -> None:
    """A form for a file of weights and what it learned from; afterwards the run it became is chosen."""
    with st.expander("Bring weights that were trained elsewhere (.pth, .safetensors)", icon=":material/upload_file:"):
        _form(server)


def _form(server: Services) -> None:
    st.caption("A state_dict, as `torch.save(model.state_dict(), …)` writes it, for images of 1×28×28. It is matched to an "
               "architecture by its names and shapes. A small process reads it, and nothing in it is ever run. "
               f"{server.who_can} can use the result.")
    version = st.session_state.setdefault(keys.DRAW_WEIGHTS_VERSION, 0)
    file = st.file_uploader(f"File (up to {MAX_BYTES // 1_000_000} MB)", type=ENDINGS,
                            key=f"draw.weights.{version}", max_upload_size=MAX_BYTES // 1_000_000)
    known = {name: spec for name, spec in available(server.settings.data_dir, server.actor).items()
             if tuple(spec.input_shape) == SHAPE}
    left, middle, right = st.columns(3)
    name = left.selectbox("Learned from", list(known), format_func=lambda key: known[key].title, key="draw.weights.data")
    classes = known[name].classes
    normalization = middle.selectbox("Pixels were normalised", list(NORMALIZATIONS), format_func=NORMALIZATIONS.__getitem__,
                                     help=describe(DataConfig, "normalization").help, key="draw.weights.normalization")
    target = right.selectbox("If it has one answer: is it …", range(len(classes)), min(8, len(classes) - 1),
                             format_func=lambda label: f"{classes[label]}?", key=f"draw.weights.target.{name}")
    mean, std = MNIST_AS_WRITTEN
    if normalization == "channels":
        with st.container(horizontal=True):
            mean = st.number_input("Mean", -10.0, 10.0, mean, step=0.01, format="%g", key="draw.weights.mean", width=150)
            std = st.number_input("Standard deviation", 0.001, 1000.0, std, step=0.01, format="%g", key="draw.weights.std",
                                  width=190)
    if st.button("Check and use", type="primary", icon=":material/verified:", key="draw.weights.use", disabled=file is None):
        assert file is not None
        try:
            with st.spinner("Checking the file…"), weights_turn():
                kept = keep_upload(server.store, server.settings, file.getvalue(), file.name,
                                   DataConfig(dataset=name, normalization=normalization, channel_mean=(mean,), channel_std=(std,),
                                              target=target),
                                   st.session_state[keys.OWNER])
        except (UploadRefused, StoreError) as error:
            st.error(as_text(str(error)), icon=":material/block:")
            return
        st.session_state[keys.DRAW_UPLOADED] = (kept.run.title, kept.notes)
        st.session_state[keys.DRAW_WEIGHTS_VERSION] = version + 1
        free(file)
        select_run(kept.run.id)
        st.rerun()
