"""The learning-rate finder: a short run of its own in which the rate grows, and the suggestion that comes out."""

import streamlit as st

from core.config import RunConfig
from core.figures.in_words import in_words
from core.figures.range_curve import range_chart
from core.runs import RunNotFound, StoreError
from core.runs.range_run import SUGGESTION, range_curve
from core.wording import plural
from pages.parts.draft import draft
from pages.parts.shell import keys, lesson
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, refuse
from pages.parts.shell.services import Services

RATE = "training.optimizer.learning_rate"


def find_rate(server: Services, config: RunConfig) -> None:
    """Queue a range test of these settings and show it."""
    if line := lesson.problem(config):
        refuse(as_text(line), ":material/school:")
    try:
        st.session_state[keys.RANGE_RUN] = server.engine.find_rate(config, st.session_state[keys.OWNER])
    except StoreError as error:
        refuse(as_text(str(error)), icon_of(error))


def rate_finder(server: Services) -> None:
    """The session's last range test, if it is still there: its curve while it goes, then the suggestion. Once that is used, it is
    folded to a line."""
    run_id = st.session_state.get(keys.RANGE_RUN)
    if not run_id:
        return
    try:
        active = server.store.get(run_id).is_active
    except RunNotFound:
        st.session_state.pop(keys.RANGE_RUN)
        return

    used = st.session_state.get(keys.RANGE_USED, ("", 0.0))
    folded = used[0] == run_id

    def panel() -> None:
        with st.expander(f"Learning-rate finder: {used[1]:g} is used", icon=":material/search_insights:", key="finder.used") if \
                folded else st.container(border=True):
            if not _draw(server, run_id) and active:
                st.rerun()

    st.fragment(panel, run_every=0.5 if active else None)()


def _draw(server: Services, run_id: str) -> bool:
    """One picture of the test as it is now; returns whether it is still going."""
    run = server.store.get(run_id)
    found = server.store.snapshots(run_id).get(SUGGESTION)
    rate = found.value["rate"] if found else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(":material/search_insights: **Learning-rate finder**")
        if run.is_active:
            before = server.store.queue_position(run_id) if run.status == "queued" else 0
            st.caption(f"waits for {plural(before, 'run')}" if before else f"step {run.step} of {run.steps or '…'}")
        if st.button("Stop" if run.is_active else "Close", key="finder.close", icon=":material/close:", type="tertiary"):
            server.engine.cancel(run_id)
            st.session_state.pop(keys.RANGE_RUN)
            st.rerun()
    steps = range_curve(server.store.metrics(run_id))
    chart = range_chart(steps, rate)
    st.echarts_chart(chart, height=260, key="finder.chart", alt=in_words(chart, "Loss over learning rate"))
    if run.status in {"failed", "interrupted"}:
        st.error(as_text(run.message))
    elif found is not None and rate is not None:
        _suggestion(run_id, rate, found.value["too_high"])
    else:
        st.caption("A copy of the network trains for a moment while the learning rate grows tenfold again and again. "
                   "The loss falls where the rate is useful, and jumps where it is too large.")
    return run.is_active


def _suggestion(run_id: str, rate: float, too_high: float | None) -> None:
    """What to make of it, and the button that takes it."""
    rounded = float(f"{rate:.1e}")
    above = f" The loss blew up at {too_high:.2g}." if too_high is not None else ""
    st.caption(f"Suggested: {rounded:g}, a tenth of the rate with the lowest loss. A rule of thumb, so try its neighbours "
               f"too.{above}")
    if st.button(f"Use {rounded:g}", key="finder.use", icon=":material/check:"):
        draft.put(RATE, rounded)
        st.session_state[keys.RANGE_USED] = run_id, rounded
        st.toast(f"The learning rate is now {rounded:g}.", icon=":material/check:")
        st.rerun()
