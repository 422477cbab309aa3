"""Go back in time: the slider and what is seen at its place."""

from typing import Any

import streamlit as st

from core.data import DataError
from core.errors import reason
from core.runs import Run, RunNotFound
from core.runs.moments import Moments, moments
from pages.parts.moments.slider import asked, time_slider
from pages.parts.moments.subject import Shown, frames, label
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services

KEY, MOMENT = "moments.slider", "moment"  # of the component, and in the address
SECONDS_PER_LOOK = 2.0  # at what a run that is going has kept meanwhile


def moments_view(server: Services, run: Run, shown: Shown) -> None:
    """The slider over all moments; it draws itself anew when it is moved, and every two seconds while the run goes."""
    if not shown.parts:
        st.info("Choose above what to see of each moment.", icon=":material/visibility:")
        return
    st.fragment(_view, run_every=SECONDS_PER_LOOK if run.is_active else None)(server, run, shown)


def _view(server: Services, run: Run, shown: Shown) -> None:
    try:
        now, kept = server.store.get(run.id), moments(server.store, run.id)
    except RunNotFound:  # somebody has deleted it: the whole page says so
        st.rerun()
    if run.is_active and not now.is_active:
        st.rerun()  # the whole page: the test examples may be looked at now
    if not kept.kept:
        st.info("Its moments have been thinned away, or forgotten as it went on from an earlier one.", icon=":material/history:")
        return
    question = asked(KEY)
    at = _place(kept, question.at, now.is_active)
    follows = now.is_active and MOMENT not in st.query_params
    before, drawn_like = st.session_state.get(keys.MOMENTS_SENT, ("", None))
    if follows or not now.is_active or drawn_like not in kept.kept:
        drawn_like = kept.kept[-1]
    # what names all that is shown: pictures that are drawn like another moment have other axes
    of = f"{run.id} {now.status} {drawn_like.step}.{drawn_like.changed} {shown}"
    new = before != of
    st.session_state[keys.MOMENTS_SENT] = of, drawn_like
    newest = follows and not question.steps
    wanted = (at, *question.steps) if new or newest else question.steps
    try:
        found = frames(server, run, kept, drawn_like, wanted, shown)
    except DataError as error:
        st.warning(as_text(reason(error)), icon=":material/cloud_download:")
        return
    content: dict[str, Any] = {
        "of": of, "moments": [{"step": moment.step, "label": label(moment)} for moment in kept.kept], "frames": found, "at": at,
        "going": now.is_active, "tried": list(wanted), "rested": question.at}
    time_slider(content, KEY)


def _place(kept: Moments, at: int | None, going: bool) -> int:
    """Where the slider is to stand: where it has just come to rest, or what the address says, or the last moment. At the last
    one of a run that goes it has no place in the address, and follows the training."""
    if at == kept.kept[-1].step and going:
        st.query_params.pop(MOMENT, None)
    elif at is not None:
        st.query_params[MOMENT] = str(at)
    text = st.query_params.get(MOMENT, "")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else kept.kept[-1].step
    return min((moment.step for moment in kept.kept), key=lambda step: abs(step - wanted))
