"""Lessons: which settings are fixed, and how far the others go."""

from typing import Any

import streamlit as st

from core.config import OPTIMIZERS, SCHEDULES, RunConfig
from core.fields import Setting
from core.lessons import Lesson, settings_of, value_of
from core.models import ARCHITECTURES
from core.presets import PRESETS
from pages.parts.draft.fields import CHOICES, CHOICES_OF
from pages.parts.lessons import draft
from pages.parts.widgets.setting import label_of, setting_widget

KINDS = {"model.architecture": list(ARCHITECTURES), "training.optimizer.name": list(OPTIMIZERS),
         "training.schedule.name": list(SCHEDULES)}
GROUPS = {"data": "Data", "model": "Network", "training": "Training"}


def settings_form(about: Lesson | None) -> None:
    """Choose settings to fix, with their values, and settings that go from a least to a largest value. about: the lesson as the
    form has it, None where it is none yet."""
    values = draft.values()
    config = about.start_at(1) if about is not None else PRESETS[values["preset"]].config
    known = settings_of(config)
    st.caption("They hold on Train model, Build model, Explore data and 2-D classifier; other labs have controls of their own.")
    left, right = st.columns(2, gap="large")
    with left:
        chosen = _choose("Fixed", "fixed", known, {path: value_of(config, path) for path in known})
        for path in chosen:
            _fixed(config, path, known[path])
    with right:
        numbers = {path: setting for path, setting in known.items() if path not in values["fixed"]
                   and type(value_of(config, path)) in (int, float)}
        chosen = _choose("Only within a range", "ranges", numbers,
                         {path: [value_of(config, path), value_of(config, path)] for path in numbers})
        for path in chosen:
            _range(config, path, known[path])


def named(path: str, about: Setting) -> str:
    """"Training: Epochs"."""
    return f"{GROUPS[path.partition('.')[0]]}: {label_of(about)}"


def _choose(label: str, field: str, known: dict[str, Setting], first: dict[str, Any]) -> list[str]:
    """Those of the settings that are chosen. first: what a setting has when it is chosen."""
    key, now = draft.FORM.key(field), draft.values()[field]

    def put() -> None:
        draft.put(field, {path: draft.values()[field].get(path, _plain(first[path])) for path in st.session_state[key]})

    return st.multiselect(label, list(known), [path for path in now if path in known], key=key,
                          on_change=draft.FORM.heard(key, put), format_func=lambda path: named(path, known[path]))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _fixed(config: RunConfig, path: str, about: Setting) -> None:
    key, value = draft.FORM.key(f"fixed.{path}"), draft.values()["fixed"][path]

    def put() -> None:
        if path not in draft.values()["fixed"]:  # it was taken out of the list meanwhile
            return
        now = st.session_state[key]
        if isinstance(now, str) and isinstance(value, list):
            now = [_number(part) for part in now.replace(";", ",").split(",") if part.strip()]
        draft.put("fixed", draft.values()["fixed"] | {path: now})

    setting_widget(about, tuple(value) if isinstance(value, list) else value, key, draft.FORM.heard(key, put), (),
                   options=KINDS.get(path), names=CHOICES | CHOICES_OF.get(path, {}))


def _number(text: str) -> Any:
    """A number, or the text as it is, which the lesson refuses with a line about it."""
    try:
        return int(text) if text.strip().removeprefix("-").isdecimal() else float(text)
    except ValueError:
        return text.strip()


def _range(config: RunConfig, path: str, about: Setting) -> None:
    kind = type(value_of(config, path))
    ends = draft.values()["ranges"][path]

    def put(place: int, key: str) -> None:
        if path not in draft.values()["ranges"]:  # the same
            return
        now = list(draft.values()["ranges"][path])
        now[place] = st.session_state[key]
        draft.put("ranges", draft.values()["ranges"] | {path: now})

    st.caption(label_of(about))
    for place, (column, label) in enumerate(zip(st.columns(2), ("From", "To"), strict=True)):
        key = draft.FORM.key(f"ranges.{path}.{place}")
        low, high = (None if bound is None else kind(bound) for bound in (about.minimum, about.maximum))
        column.number_input(label, low, high, kind(ends[place]), step=kind(about.step or (0.001 if kind is float else 1)),
                            format="%g" if kind is float else None, key=key, on_change=draft.FORM.heard(key, put),
                            args=(place, key))
