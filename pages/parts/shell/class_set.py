"""The data set of what the class of a lesson has drawn, as this session trains on it.

It is brought up to date as a page is opened, so that nothing changes under anybody's hands.
"""

from dataclasses import dataclass

import streamlit as st

from core.actors import Actor
from core.lessons.class_digits import ClassDigits
from core.lessons.class_sets import InUse, set_of
from core.settings import Settings
from pages.parts.shell import keys

PAGE = "Class digits"  # title of the page on which it is drawn


@dataclass(frozen=True)
class ClassSet:
    """code: of the lesson. name: of the data set; "" while there are too few drawings."""

    code: str
    name: str


def of(code: str) -> ClassSet | None:
    """What this session has of a lesson's class; None where it has not looked yet."""
    found = st.session_state.get(keys.CLASS_SET)
    return found if found is not None and found.code == code else None


def class_digits(code: str, settings: Settings, actor: Actor) -> ClassDigits:
    """What a lesson's class draws, as whoever is here may use it."""
    return ClassDigits(code, settings.data_dir, settings.runs_dir, actor, st.session_state[keys.OWNER])


def renew(code: str, settings: Settings, actor: Actor, in_use: InUse) -> ClassSet:
    """Take the class's set as it is now. Raises DataError."""
    before, own = of(code), set_of(class_digits(code, settings, actor), in_use)
    found = st.session_state[keys.CLASS_SET] = ClassSet(code, own.name if own else "")
    if before is not None and before.name and st.session_state.get(keys.EXPLORED) == before.name:
        st.session_state[keys.EXPLORED] = found.name or None
    return found
