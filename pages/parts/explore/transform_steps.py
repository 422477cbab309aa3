"""The composer of transforms: steps as rows to add, move, change and remove, kept in the session."""

from collections.abc import Callable

import streamlit as st

from core.config import RunConfig
from core.fields import ConfigError, describe
from core.transforms import MOST_STEPS, TRANSFORMS, Steps, TransformConfig, is_random
from core.transforms.pipelines import (
    PIPELINES,
    added,
    moved,
    read_steps,
    removed,
    replaced,
    settings_of,
    with_field,
)
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.versions import Form
from pages.parts.widgets.setting import setting_widget

FORM = Form("explore.transform", keys.PIPELINE_VERSION)


def current(config: RunConfig) -> Steps:
    """The steps being composed: at first those of the run in the making, or small shifts and turns where it has none."""
    if keys.PIPELINE not in st.session_state:
        _keep(config.data.transforms or PIPELINES["digits"].steps)
    return read_steps(st.session_state[keys.PIPELINE])


def composer(steps: Steps) -> None:
    """Draw the steps, and what can be done with them."""
    st.selectbox("Start from", list(PIPELINES), None, format_func=lambda name: PIPELINES[name].title, key=FORM.key("start"),
                 placeholder="a pipeline that works", on_change=_start, args=(FORM.key("start"),),
                 help="  \n".join(f"**{entry.title}**: {entry.summary}" for entry in PIPELINES.values()))
    opened = st.session_state.get(keys.PIPELINE_OPEN)
    if not steps:
        st.caption("No steps: images go to the network as they are, with pixels from 0 to 1.")
    for place, step in enumerate(steps):
        _row(steps, place, step, place == opened)
    if problem := st.session_state.get(keys.PIPELINE_PROBLEM):
        st.caption(f":red[{as_text(problem)}]")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox("Add a step", list(TRANSFORMS), format_func=lambda kind: TRANSFORMS[kind].title, width=220,
                            key="explore.transform.kind", index=list(TRANSFORMS).index("random_rotation"))
        st.button("Add at the end" if opened is None else f"Add after step {opened + 1}", icon=":material/add:",
                  key="explore.transform.add", on_click=_add, args=(kind,), disabled=len(steps) >= MOST_STEPS)
    st.caption(TRANSFORMS[kind].summary)


def _row(steps: Steps, place: int, step: TransformConfig, opened: bool) -> None:
    """One step: its name to open it, its settings, and a button that takes it out."""
    spec = TRANSFORMS[step.kind]
    with st.container(border=True, gap="xsmall" if opened else "xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.button(f"{place + 1} · **{spec.title}**", key=f"explore.transform.row.{place}", type="tertiary", on_click=_open,
                      icon=":material/expand_less:" if opened else ":material/expand_more:", args=(None if opened else place,))
            if is_random(step):
                st.badge("random", color="violet")
        if not opened:
            if said := settings_of(step):
                st.caption(said)
            return
        st.caption(spec.summary)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            for name in type(step).model_fields:
                if name != "kind":
                    _field(step, name, place)
        with st.container(horizontal=True):
            for label, to in (("Up", place - 1), ("Down", place + 1)):
                st.button(label, icon=f":material/arrow_{label.lower()}ward:", key=f"explore.transform.{label.lower()}",
                          on_click=_move, args=(place, to), disabled=not 0 <= to < len(steps))
            st.button("Remove", icon=":material/delete:", key="explore.transform.remove", on_click=_remove, args=(place,))


def _field(step: TransformConfig, name: str, place: int) -> None:
    """One setting of a step as a widget."""
    key = FORM.key(f"{place}.{step.kind}.{name}")
    setting_widget(describe(type(step), name), getattr(step, name), key, _change, (place, name, key), number_width=150)


# What buttons do, before the page is drawn again


def _steps() -> Steps:
    return read_steps(st.session_state[keys.PIPELINE])


def _keep(steps: Steps, opened: int | None = None, keep_widgets: bool = False) -> None:
    """The session's steps from here on; widgets take their values anew, but for the one that has just been changed."""
    st.session_state[keys.PIPELINE] = [step.model_dump(mode="json") for step in steps]
    st.session_state[keys.PIPELINE_OPEN] = opened
    st.session_state.pop(keys.PIPELINE_PROBLEM, None)
    if not keep_widgets:
        FORM.renew()


def take_fix(fix: RunConfig) -> None:
    """What the doctor proposes becomes the pipeline; the run in the making stays as it is until it is taken there."""
    _keep(fix.data.transforms)


def _try(edit: Callable[[], Steps], opened: int | None, keep_widgets: bool = False) -> None:
    try:
        _keep(edit(), opened, keep_widgets)
    except ConfigError as error:
        st.session_state[keys.PIPELINE_PROBLEM] = str(error)


def _start(key: str) -> None:
    if FORM.hears(key) and (name := st.session_state[key]) is not None:
        _keep(PIPELINES[name].steps)


def _open(place: int | None) -> None:
    _keep(_steps(), place)


def _add(kind: str) -> None:
    """After the open step, or at the end."""
    opened = st.session_state.get(keys.PIPELINE_OPEN)
    place = len(_steps()) if opened is None else opened + 1
    _try(lambda: added(_steps(), TRANSFORMS[kind].config(), place), place)


def _move(place: int, to: int) -> None:
    _try(lambda: moved(_steps(), place, to), to)


def _remove(place: int) -> None:
    _try(lambda: removed(_steps(), place), None)


def _change(place: int, name: str, key: str) -> None:
    if not FORM.hears(key):
        return
    value = st.session_state[key]
    _try(lambda: replaced(_steps(), place, with_field(_steps()[place], name, value)), place, keep_widgets=True)
