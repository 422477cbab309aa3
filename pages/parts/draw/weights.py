"""Draw a digit: weights that were trained elsewhere, brought here as a file."""

from typing import Literal

import streamlit as st

from core.config import DataConfig
from core.data import available, default_config
from core.fields import describe
from core.runs import StoreError
from core.runs.uploaded import Candidate, ReadUpload, UploadRefused, keep_read, read_upload
from core.weights.file import MAX_BYTES
from core.wording import percent
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.shell.streamlit_private import free
from pages.parts.widgets.table import draw_table, rows_table
from pages.parts.widgets.uploads import weights_turn

NORMALIZATIONS: dict[Literal["none", "half", "standard", "channels"], str] = {
    "none": "none: pixels from 0 to 1, as ToTensor gives them", "half": "half: Normalize(0.5, 0.5)",
    "standard": "standard: Normalize(mean, std) of the data set", "channels": "channels: Normalize with numbers of your own"}
MNIST_AS_WRITTEN = 0.1307, 0.3081  # in most scripts that are found: MNIST's own, rounded
ENDINGS = ["pth", "pt", "safetensors", "ckpt", "tar", "bin", "th", "onnx"]


def told_of_upload() -> None:
    """Once after an upload: what it became."""
    if told := st.session_state.pop(keys.DRAW_UPLOADED, None):
        title, notes = told
        st.success(f"**{as_text(title)}** is ready and chosen, here and on the other pages. " + " ".join(notes),
                   icon=":material/check_circle:")


def upload_weights(server: Services) -> None:
    """A form for a file of weights and what it learned from; afterwards the run it became is chosen."""
    with st.expander("Bring weights that were trained elsewhere (.pth, .safetensors, .onnx)", icon=":material/upload_file:"):
        _form(server)


def _form(server: Services) -> None:
    st.caption("A state_dict, as `torch.save(model.state_dict(), …)` writes it, for images of the size of what it learned from. "
               "It is matched to an architecture by its names and shapes; where these leave something open, you choose. An ONNX "
               "file whose operators are layers of ours is read, too. A small process reads it, and nothing in it is ever run. "
               f"{server.who_can} can use the result.")
    version = st.session_state.setdefault(keys.DRAW_WEIGHTS_VERSION, 0)
    file = st.file_uploader(f"File (up to {MAX_BYTES // 1_000_000} MB)", type=ENDINGS,
                            key=f"draw.weights.{version}", max_upload_size=MAX_BYTES // 1_000_000)
    known = {name: spec for name, spec in available(server.settings.data_dir, server.actor).items()
             if spec.kind == "images"}
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
        st.session_state.pop(keys.DRAW_WEIGHTS_READ, None)
        try:
            with st.spinner("Checking the file…"), weights_turn():
                data = default_config(name, server.settings.data_dir).model_copy(update={
                    "variations": 0, "target": target, "normalization": normalization, "channel_mean": (mean,),
                    "channel_std": (std,)})
                read = read_upload(server.settings, file.getvalue(), file.name, data)
        except UploadRefused as error:
            st.error(as_text(str(error)), icon=":material/block:")
            return
        st.session_state[keys.DRAW_WEIGHTS_READ] = read
        free(file)
        if len(read.candidates) == 1:
            _keep(server, read, 0)
    if read := st.session_state.get(keys.DRAW_WEIGHTS_READ):
        _ask(server, read)


def _ask(server: Services, read: ReadUpload) -> None:
    """Which of the networks it is that these weights fit; tried on test images, where they are here."""
    order = sorted(range(len(read.candidates)), key=lambda place: -(read.candidates[place].accuracy or 0.0))
    st.markdown("**What the file does not say.** These weights fit more than one network: activations, pooling and the order of "
                "layers leave no trace in a file.")
    if read.tried:
        rows = [{"Right": percent(read.candidates[place].accuracy, 1), "Network": read.candidates[place].title}
                for place in order]
        draw_table(rows_table(rows), hide_index=True, key="draw.weights.tried", height=min(320, 36 * len(order) + 38))
        st.caption(f"Each was asked about {read.tried:,} test images of what it is said to have learned from. If none gets as "
                   "many right as it should, were pixels normalised otherwise? Change that above and check the file again.")
    else:
        st.caption("They can't be tried here: the data that it is said to have learned from are not on this machine.")
    place = st.selectbox("It is", order, format_func=lambda place: _called(read.candidates[place]), key="draw.weights.choice")
    if st.button("Use this one", type="primary", icon=":material/check:", key="draw.weights.choose"):
        _keep(server, read, place)


def _called(one: Candidate) -> str:
    return one.title + (f" · {percent(one.accuracy, 1)} right" if one.accuracy is not None else "")


def _keep(server: Services, read: ReadUpload, place: int) -> None:
    """Make a run of what was read, and choose it."""
    try:
        kept = keep_read(server.store, read, place, st.session_state[keys.OWNER])
    except (UploadRefused, StoreError) as error:
        st.error(as_text(str(error)), icon=":material/block:")
        return
    st.session_state.pop(keys.DRAW_WEIGHTS_READ, None)
    st.session_state[keys.DRAW_UPLOADED] = (kept.run.title, kept.notes)
    st.session_state[keys.DRAW_WEIGHTS_VERSION] += 1
    select_run(kept.run.id)
    st.rerun()
