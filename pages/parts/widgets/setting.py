"""One setting of a config as a widget: its label, help, bounds, step and unit come from core.fields."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from core.fields import Setting
from core.wording import Kind, worded

SMALL_STEP = 0.001  # of a number field that names none
Width = int | Literal["stretch"]


def label_of(about: Setting) -> str:
    """What a setting is called, with its unit where the name does not say it."""
    return f"{about.label} ({about.unit})" if about.unit and about.unit.lower() not in about.label.lower() else about.label


def setting_widget(about: Setting, value: Any, key: str, on_change: Callable[..., None], args: tuple[Any, ...], *,
                   options: Sequence[Any] | None = None, names: Mapping[Any, str] | None = None, kind: Kind = "images",
                   nothing: str = "", number_width: Width = "stretch", choice_width: Width = "stretch",
                   fixed: bool = False) -> None:
    """Draw the widget that suits a value: a list to choose from, a switch, a number or, for several numbers, a line of text.

    Args:
        value: what it shows.
        on_change, args: called when it is changed, before the page is drawn again; the new value is in the session under `key`.
        options: of a setting whose type does not list them; of one that holds several values, those to choose from.
        names: what choices are called; a choice that is not there is shown as it is.
        kind: what the examples are, for the words of label and help.
        nothing: what an empty choice of several means.
        fixed: whether it can't be changed now.
    """
    label, shown = worded(label_of(about), kind), names or {}
    about_it = worded(about.help, kind) + (" Fixed in this lesson." if fixed else "")
    common: dict[str, Any] = {"key": key, "help": about_it, "on_change": on_change, "args": args, "disabled": fixed}
    choices = list(options or ([one for one in about.choices if isinstance(one, str)] if isinstance(value, str) else ()))
    if isinstance(value, tuple) and options is not None:
        st.multiselect(label, options, [one for one in value if one in options], placeholder=nothing,
                       format_func=lambda choice: shown.get(choice, str(choice)), **common)
    elif choices:
        if value not in choices:  # a run from elsewhere may ask for a class that there is not; the doctor says so
            choices = [*choices, value]
        st.selectbox(label, choices, choices.index(value), width=choice_width,
                     format_func=lambda choice: shown.get(choice, str(choice)), **common)
    elif isinstance(value, bool):
        st.toggle(label, value, **common)
    elif isinstance(value, int | float):
        _number(about, label, value, number_width, common)
    elif isinstance(value, tuple):
        st.text_input(label, ", ".join(map(str, value)), **common)


def _number(about: Setting, label: str, value: float, width: Width, common: dict[str, Any]) -> None:
    """Bounds and step have the type of the value, as Streamlit wants it."""
    kind = type(value)
    low, high = (kind(bound) if bound is not None else None for bound in (about.minimum, about.maximum))
    step = kind(about.step or (SMALL_STEP if kind is float else 1))
    st.number_input(label, low, high, value, step=step, format="%g" if kind is float else None, width=width, **common)
