"""The lesson that the address names (?lesson=K7M2XQ&step=2): which pages and parts of them it shows, and what it fixes.

The address alone decides: it is what is shared, reloaded and gone back to. Outside a lesson everything is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from core.config import RunConfig
from core.fields import ConfigError, Setting
from core.lessons import Lesson, LessonError, Step, as_code, find_lesson, is_code
from core.lessons.lesson import CLASS_DATA, DATASET, DRAWN_ON
from core.settings import Settings
from pages.parts.shell import class_set, keys

CODE, STEP = "lesson", "step"  # in the address
OUTSIDE = "Lessons"  # title of the page that is in no lesson: the browser's Back leads there on the way out


@dataclass(frozen=True)
class Taken:
    """A lesson that is being taken. made: as it was made; lesson: as it is for this session. number: of its step, from 1; 0 where
    the address names none that there is.

    draws: whether its class draws digits. class_data: whether it is trained on these; the lesson's data are then the set that
        this session has of them, and none while there are too few.
    """

    code: str
    made: Lesson
    lesson: Lesson
    number: int
    draws: bool = False
    class_data: bool = False

    @property
    def step(self) -> Step:
        return self.lesson.steps[max(0, self.number - 1)]

    @property
    def has_wall(self) -> bool:
        """Whether what its pupils do can be seen on a wall: those that come with the app have none, as all take the same ones."""
        return is_code(self.code)


def taken() -> Taken | None:
    """The lesson that is being taken; None outside of one, also where the address names one that there isn't."""
    try:
        return _taken()
    except (LessonError, ConfigError):
        return None


def begun(code: str) -> Taken | None:
    """A lesson that is to be taken from its first step on, whatever the address names; None where there is none."""
    try:
        return _as_here(as_code(code), 0)
    except (LessonError, ConfigError):
        return None


def why_none() -> str:
    """Why the lesson that the address names can't be taken, in one line; empty where it can, or where none is named."""
    try:
        _taken()
    except (LessonError, ConfigError) as error:
        return str(error)
    return ""


def _taken() -> Taken | None:
    """Raises LessonError, and ConfigError for settings of the server that can't be read."""
    asked = st.query_params.get(CODE)
    if asked is None or st.session_state.get(keys.PAGE) == OUTSIDE:
        return None
    found, number = _as_here(as_code(asked), 0), st.query_params.get(STEP, "")
    there = number.isascii() and number.isdigit() and len(number) < 3 and 1 <= int(number) <= len(found.lesson.steps)
    return replace(found, number=int(number)) if there else found


def _as_here(code: str, number: int) -> Taken:
    """A lesson with what this session has of its class's drawings. Raises LessonError and ConfigError."""
    made = lesson = _found(code)
    draws, class_data = DRAWN_ON in lesson.pages and is_code(code), lesson.data == CLASS_DATA
    if class_data:
        own = class_set.of(code)
        lesson = lesson.model_copy(update={"data": own.name if own else ""})
    return Taken(code, made, lesson, number, draws, class_data)


@st.cache_resource(show_spinner=False, ttl=10, max_entries=200)
def _found(code: str) -> Lesson:
    """Kept for ten seconds: somebody may change the files by hand. Raises LessonError and ConfigError, which are not kept."""
    return find_lesson(code, Settings.from_environment().runs_dir)


def read_anew(code: str) -> None:
    """To be called where a lesson was changed or deleted: from now on everybody gets what there is."""
    _found.clear(code)


def as_made(code: str) -> Lesson:
    """A lesson by its code, whatever the address names. Raises LessonError and ConfigError."""
    return _found(as_code(code))


def reached(key: str) -> Literal["begun", "changed", ""]:
    """Whether this session has reached a lesson, or another preset of it, since this was asked last; or whether the lesson that
    it is in was corrected meanwhile. key: where the session keeps what it was in."""
    now, before = taken(), st.session_state.get(key)
    st.session_state[key] = here = None if now is None else (now.code, now.lesson.preset_at(now.number), now.made)
    if here is None or here == before:
        return ""
    return "changed" if before is not None and before[:2] == here[:2] else "begun"


def query() -> dict[str, str]:
    """What keeps the lesson in the address of another page."""
    now = taken()
    return {} if now is None else {CODE: now.code, STEP: str(max(1, now.number))}


def page_of(path: str) -> str:
    """A page's name in the address, and in a lesson: "train_model"; "home" for app.py."""
    return "home" if path == "app.py" else Path(path).stem


def path_of(page: str) -> str:
    """The file of a page that a lesson names."""
    return "app.py" if page == "home" else f"pages/{page}.py"


def shows(path: str) -> bool:
    """Whether a page can be opened now."""
    now = taken()
    return now is None or page_of(path) in now.lesson.pages


def parts(page: str, names: Sequence[str]) -> list[str]:
    """Those of a page's parts that are shown now."""
    now = taken()
    return list(names) if now is None else now.lesson.shown(page, list(names))


def is_fixed(path: str) -> bool:
    """Whether a setting can't be changed now, by its dotted path."""
    now = taken()
    return now is not None and (path in now.lesson.fixed or (path == DATASET and bool(now.lesson.data)))


def bounds(path: str) -> tuple[float, float] | None:
    """From where to where a setting can be changed now, where that is less than what it takes elsewhere."""
    now = taken()
    return None if now is None else now.lesson.ranges.get(path)


def narrowed(about: Setting, path: str, value: Any) -> Setting:
    """A setting with the bounds that it has now, which leave room for the value that it has."""
    allowed = bounds(path)
    if allowed is None or not isinstance(value, int | float):
        return about
    return replace(about, minimum=min(allowed[0], value), maximum=max(allowed[1], value))


def start_of(now: Taken) -> RunConfig:
    """The settings that its step starts with, for whoever has this session."""
    return now.lesson.start_at(now.number, _pupil())


def applied(config: RunConfig) -> RunConfig:
    """Settings brought to what is allowed now, for whoever has this session."""
    now = taken()
    return config if now is None else now.lesson.applied(config, _pupil())


def applied_anew(config: RunConfig) -> RunConfig:
    """The same, where the lesson was corrected since the settings were made."""
    now = taken()
    return config if now is None else now.lesson.applied_anew(config, _pupil())


def _pupil() -> str:
    """Who that is; empty on a server of one person, whose sessions end with a reload."""
    known = st.session_state.get(keys.ACTOR)
    return "" if known is None else known.key


def problem(config: RunConfig) -> str:
    """Why such settings are not allowed now, in one line; empty where they are."""
    now = taken()
    return "" if now is None else now.lesson.problem(config)


def check(config: RunConfig) -> None:
    """Raises ConfigError with one line for settings that are not allowed now. To be called before a run starts or goes on."""
    now = taken()
    if now is not None:
        now.lesson.check(config)
