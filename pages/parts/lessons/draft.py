"""The lesson that is being made in this session: a dict as of its JSON, which may not be a whole lesson yet."""

import json
from typing import Any

import streamlit as st

from core.fields import ConfigError
from core.lessons import MOST_STEPS, Lesson, read_lesson
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import tell
from pages.parts.shell.versions import Form

FORM = Form("lesson.form", keys.LESSON_VERSION)
FIRST = Lesson(title="My lesson").model_dump(mode="json")
FIRST["steps"] = [{"title": "Look at the data", "page": "explore_data", "text": "Look at some digits of each class.",
                   "preset": "", "view": {}},
                  {"title": "Train", "page": "train_model", "text": "Press “Start training”. How many are right?", "preset": "",
                   "view": {}}]
STEP = "lesson.form.step"  # which step is open for editing


def values() -> dict[str, Any]:
    """What the form shows."""
    return st.session_state.setdefault(keys.LESSON_MADE, json.loads(json.dumps(FIRST)))


def read() -> tuple[Lesson | None, str]:
    """The lesson, where it can be one; else None, and why not in one line."""
    try:
        return read_lesson(json.dumps(values())), ""
    except ConfigError as error:
        return None, str(error)


def take(about: Lesson) -> None:
    """Put a lesson into the form. Where a kept one is corrected there, it takes that one's place."""
    st.session_state[keys.LESSON_MADE] = about.model_dump(mode="json")
    _show_anew()


def take_copy(about: Lesson) -> None:
    """Put a lesson into the form, to become another one."""
    stop_changing()
    take(about)
    tell(f"A copy of “{as_text(about.title)}” is in the form below.", ":material/edit:")


def change(code: str, about: Lesson) -> None:
    """Put a kept lesson into the form, to be corrected under its code."""
    take(about)
    st.session_state[keys.LESSON_CHANGED] = code, about
    tell(f"“{as_text(about.title)}” is in the form below, to be changed there.", ":material/edit:")


def changing() -> tuple[str, Lesson] | None:
    """The code of the kept lesson that is corrected in the form, and the lesson as it is kept; None where a new one is made."""
    return st.session_state.get(keys.LESSON_CHANGED)


def begin_anew() -> None:
    """Empty the form, for a new lesson."""
    stop_changing()
    st.session_state.pop(keys.LESSON_MADE, None)
    _show_anew()


def stop_changing() -> None:
    """What is in the form becomes a new lesson."""
    st.session_state.pop(keys.LESSON_CHANGED, None)


def put(name: str, value: Any) -> None:
    """Change one field."""
    values()[name] = value


def change_step(number: int, name: str, value: Any) -> None:
    """Change one field of a step, counted from 0."""
    values()["steps"][number][name] = value


def add_step(after: int) -> None:
    """A new step behind another, on the same page."""
    steps = values()["steps"]
    if len(steps) < MOST_STEPS:
        steps.insert(after + 1, {"title": "", "page": steps[after]["page"], "text": "", "preset": "", "view": {}})
        _show_anew(after + 1)


def remove_step(number: int) -> None:
    """The last one stays: a lesson has one at least."""
    steps = values()["steps"]
    if len(steps) > 1:
        del steps[number]
        _show_anew(min(number, len(steps) - 1))


def move_step(number: int, by: int) -> None:
    """Earlier or later."""
    steps = values()["steps"]
    if 0 <= number + by < len(steps):
        steps.insert(number + by, steps.pop(number))
        _show_anew(number + by)


def _show_anew(step: int = 0) -> None:
    FORM.renew()
    st.session_state[STEP] = step
