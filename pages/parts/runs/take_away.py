"""A run in any form to take away, and back from a bundle."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.importing.bundle import MOST_BYTES
from core.runs import CheckpointError, Run, StoreError
from core.takeaway import KINDS, REFUSALS, Options, Subject, TakeawayError, bring_back, file_name, take, why_not
from core.takeaway.apart import take_apart
from core.takeaway.record import lines_of, record_of
from core.wording import duration, size_of_bytes
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, trained_model

AT_ONCE = {"pth", "safetensors", "csv", "tensorboard", "config"}  # made as the button is pressed: nothing in them can fail
MOST_TRAINING = 60.0  # seconds of a run whose notebook a server executes


@dataclass(frozen=True)
class Made:
    """What was made last: of which run, in which form, and the file."""

    run: str
    kind: str
    options: Options
    content: bytes


def take_away(server: Services, run: Run) -> None:
    """One place for all forms, folded away: choose one, make it where it takes a while, download it."""
    with st.expander("Take it away", icon=":material/download:"):
        st.fragment(_choose)(server, run)  # the rest of the page, with its charts, need not be drawn anew for each choice


def _choose(server: Services, run: Run) -> None:
    kind = st.selectbox("As", list(KINDS), format_func=lambda name: KINDS[name].title, key="takeaway.kind",
                        index=list(KINDS).index("pth"))
    st.caption(as_text(KINDS[kind].about))
    options = _options(kind)
    subject = Subject(server.store, run, server.settings, options)
    if line := _why_not(server, subject, kind):
        st.info(as_text(line), icon=":material/info:")
    elif kind in AT_ONCE:
        _at_once(server, subject, kind)
    else:
        _made(subject, kind, options)
    st.caption(f"On the command line: `python -m core export {run.id} --to {kind}`")


def _options(kind: str) -> Options:
    if kind == "script":
        return Options(fast=st.toggle("The whole set in memory", key="takeaway.fast", help="As fast as the app, where the plain "
                                      "script's DataLoader asks for each image by itself."))
    if kind in {"onnx", "torch-export"}:
        inside = st.toggle("Normalisation and probabilities inside", value=True, key="takeaway.inside", help="On: pixels from 0 "
                           "to 1 go in and probabilities come out. Off: the network alone, which takes normalised pixels and "
                           "gives logits.")
        return Options(alone=not inside)
    return Options()


def _why_not(server: Services, subject: Subject, kind: str) -> str:
    if kind == "notebook":
        if not server.settings.workers:
            return "A notebook trains as it is made, and this server trains nothing."
        if subject.run.seconds is None or subject.run.seconds > MOST_TRAINING:
            return (f"A notebook trains as it is made; here that is done for runs of up to {duration(MOST_TRAINING)}. Make it on "
                    "the command line.")
    return why_not(subject, kind)


def _at_once(server: Services, subject: Subject, kind: str) -> None:
    if KINDS[kind].weights:
        try:
            trained_model(server.store, subject.run.id)
        except CheckpointError as error:
            st.error(as_text(str(error)), icon=":material/broken_image:")
            return
    st.download_button("Download", lambda: take(subject, kind), file_name(subject, kind), KINDS[kind].mime,
                       key=f"takeaway.download.{kind}", type="primary", icon=":material/download:", on_click="ignore")


def _made(subject: Subject, kind: str, options: Options) -> None:
    """A button that makes it; in its place then one that downloads it."""
    place = st.empty()
    made = st.session_state.get(keys.TAKEN)
    if not (isinstance(made, Made) and (made.run, made.kind, made.options) == (subject.run.id, kind, options)):
        if not place.button("Make it", type="primary", icon=":material/build:", key="takeaway.make"):
            return
        st.session_state.pop(keys.TAKEN, None)
        try:
            with st.spinner("Making it…"):
                if KINDS[kind].own_process:
                    with _one_at_a_time():
                        content = take_apart(subject, kind)
                else:
                    content = take(subject, kind)
        except REFUSALS as error:
            st.error(as_text(str(error)), icon=":material/block:")
            return
        made = st.session_state[keys.TAKEN] = Made(subject.run.id, kind, options, content)
    place.download_button(f"Download ({size_of_bytes(len(made.content))})", made.content, file_name(subject, kind),
                          KINDS[kind].mime, key=f"takeaway.download.{kind}", type="primary", icon=":material/download:",
                          on_click="ignore")


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    """A class that presses this together must not fill the machine with processes."""
    return threading.Lock()


def made_with(server: Services, run: Run) -> None:
    """What a run was made with, folded away; read only where somebody opens it."""
    box = st.expander("What it was made with", icon=":material/receipt_long:", key="runs.made_with", on_change="rerun")
    if not box.open:
        return
    with box:
        st.markdown("\n".join(f"- {line.name}: {as_text(line.value)}" for line in lines_of(record_of(server.store, run), run)))


def bring_a_bundle(server: Services, show: Callable[[Run], None]) -> None:
    """A place for a bundle, folded away. show: brings the run into view that has been kept, beside making it the current one."""
    with st.expander("Bring a run here", icon=":material/upload_file:"):
        st.caption("A bundle from “Take it away → Everything in one zip”, of this app or another. It is checked by a small "
                   f"process, and nothing in it is ever run. {server.who_can} can see the result.")
        version = st.session_state.setdefault(keys.BUNDLE_VERSION, 0)
        if note := st.session_state.pop(keys.BUNDLE_KEPT, None):
            st.success(as_text(note), icon=":material/check:")
        file = st.file_uploader(f"Bundle (up to {MOST_BYTES // 1_000_000} MB)", type=["zip"], key=f"takeaway.bundle.{version}",
                                max_upload_size=MOST_BYTES // 1_000_000)
        if not st.button("Check and keep", icon=":material/verified:", key="takeaway.keep", disabled=file is None):
            return
        assert file is not None
        try:
            with st.spinner("Checking the bundle…"):
                run = bring_back(server.store, file.getvalue(), st.session_state[keys.OWNER])
        except (TakeawayError, StoreError) as error:
            st.error(as_text(str(error)), icon=":material/block:")
            return
        st.session_state[keys.BUNDLE_VERSION] = version + 1
        st.session_state[keys.BUNDLE_KEPT] = f"“{run.title}” is kept and chosen."
        select_run(run.id)
        show(run)
        st.rerun()
