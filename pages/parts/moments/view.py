"""Go back in time: the slider and what is seen at its place."""

from typing import Any

import streamlit as st

from core.data import DataError
from core.errors import reason
from core.inspection import InspectionError
from core.runs import CheckpointError, Run
from core.runs.moments import Moments, moments
from pages.parts.moments.slider import asked, time_slider
from pages.parts.moments.subject import Shown, anchor, frames, label
from pages.parts.shell import keys
from pages.parts.shell.services import Services
from pages.parts.widgets.markdown import as_text

KEY, MOMENT = "moments.slider", "moment"  # of the component, and in the address
SECONDS_PER_LOOK = 2.0  # at what a run that is going has kept meanwhile


def moments_view(server: Services, run: Run, shown: Shown) -> None:
    """The slider over all moments; it draws itself anew when it is moved, and every two seconds while the run goes."""
    if not shown.parts:
        st.info("Choose above what to see of each moment.", icon=":material/visibility:")
        return
    st.fragment(_view, run_every=SECONDS_PER_LOOK if run.is_active else None)(server, run, shown)


def _view(server: Services, run: Run, shown: Shown) -> None:
    now, kept = server.store.get(run.id), moments(server.store, run.id)
    if run.is_active and not now.is_active:
        st.rerun()  # the whole page: the test examples may be looked at now
    if not kept.kept:
        st.info("Its moments have been thinned away, or forgotten as it went on from an earlier one.", icon=":material/history:")
        return
    question = asked(KEY)
    at = _place(kept, question.at)
    # what names all that is shown; pictures of another anchor have other axes
    fixed = anchor(run, kept)
    of = f"{run.id} {now.status} {fixed.step}.{fixed.changed} {shown}"
    new = st.session_state.get(keys.MOMENTS_SENT) != of
    st.session_state[keys.MOMENTS_SENT] = of
    wanted = (at, *question.steps) if new else question.steps
    try:
        found = frames(server, run, kept, wanted, shown)
    except (DataError, CheckpointError, InspectionError, ValueError, RuntimeError) as error:
        st.error(as_text(reason(error)), icon=":material/broken_image:")
        found = []
    content: dict[str, Any] = {
        "of": of, "moments": [{"step": moment.step, "label": label(moment)} for moment in kept.kept], "frames": found, "at": at,
        "going": now.is_active, "tried": list(wanted)}
    time_slider(content, KEY)


def _place(kept: Moments, at: int | None) -> int:
    """Where the slider is to stand: where it has just come to rest, or what the address says, or the last moment."""
    if at is not None:
        st.query_params[MOMENT] = str(at)
    text = st.query_params.get(MOMENT, "")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else kept.kept[-1].step
    return min((moment.step for moment in kept.kept), key=lambda step: abs(step - wanted))
