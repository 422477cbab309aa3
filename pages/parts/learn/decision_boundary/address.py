"""The settings of the 2-D lab in its address, by the names of their fields: ?data.noise=0.2&model.hidden=8,4.

Only what differs from the settings that the lab begins with is there. Together with a run they say what is looked at when the run
is not of these settings.
"""

from typing import Any

import streamlit as st

from core.config import RunConfig
from core.fields import ConfigError
from core.labs.decision_boundary import can_show
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary.live import SPEEDS
from pages.parts.shell import keys
from pages.parts.shell.streamlit_private import came_by_history, change_address

ROOTS = ("data.", "model.", "training.")
KINDS = ("training.optimizer.name", "training.schedule.name")  # whose other fields begin with that kind's own values
REFUSED = "The address asks for what this lab can't show."
DRAWN = {"plane.speed": ("Speed", tuple(SPEEDS)), "plane.validation": ("Show validation points", ("true", "false")),
         "plane.discrete": ("Two colours only", ("true", "false"))}  # settings that their widgets keep in the address
EMPTY = "none"  # a list without entries
USUAL = "data.dataset"  # is named where nothing differs, and yet a run stands beside it that is not of these settings


def take() -> None:
    """Follow an address that names settings. What it can't have is refused with one line, and the lab's settings stay."""
    _take_settings({name: text for name, text in st.query_params.items() if name.startswith(ROOTS)})
    for name, (label, values) in DRAWN.items():
        if (text := st.query_params.get(name)) is not None and text not in values:
            # its widget will leave it out without a word
            st.session_state[keys.PLANE_PROBLEM] = f"{REFUSED} {label} is {text[:60]!r}; choose from {', '.join(values)}"
            break


def _take_settings(asked: dict[str, str]) -> None:
    if asked == st.session_state.get(keys.PLANE_ADDRESS, {}) or not (asked or came_by_history()):
        return
    try:
        plane_config.take(from_address(asked))
    except ConfigError as error:
        st.session_state[keys.PLANE_PROBLEM] = f"{REFUSED} {plane_config.in_words(str(error))}"


def keep(config: RunConfig, named: bool) -> None:
    """Put the settings into the address. named: whether they need naming even where they are the usual ones."""
    wanted = to_address(config) or ({USUAL: config.data.dataset} if named else {})
    gone = dict.fromkeys(name for name in st.query_params if name.startswith(ROOTS) and name not in wanted)
    change_address(gone | wanted)
    st.session_state[keys.PLANE_ADDRESS] = wanted


def to_address(config: RunConfig) -> dict[str, str]:
    """What from_address() reads: the fields in which a config differs from the one that the lab begins with."""
    values, first = _flat(config.model_dump(mode="json")), _flat(plane_config.FIRST.model_dump(mode="json"))
    other = {kind: values[kind] for kind in KINDS if values[kind] != first[kind]}
    usual = _flat(plane_config.FIRST.with_values(other).model_dump(mode="json"))
    return {name: _text(value) for name, value in values.items() if name in other or usual.get(name) != value}


def from_address(asked: dict[str, str]) -> RunConfig:
    """A config that the lab can show. Raises ConfigError with one line for anything else."""
    like = _flat(plane_config.FIRST.model_dump(mode="json"))
    config = plane_config.FIRST.with_values({name: _value(name, text) if isinstance(like.get(name), list) else text
                                             for name, text in asked.items()})
    if not can_show(config):
        raise ConfigError(f"{config.data.dataset}, {config.model.architecture}: it must be points in the plane, and a network of "
                          "at most 6 hidden layers of 8 units.")
    return config


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        inner = ";" if value and isinstance(value[0], list) else ","
        return inner.join(map(_text, value)) or EMPTY
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(name: str, text: str) -> list[Any]:
    """A list as _text() writes it; what its entries must be, the config says."""
    if text in ("", EMPTY):
        return []
    if name != "data.added":
        return text.split(",")
    points = [entry.split(",") for entry in text.split(";")]
    for number, point in enumerate(points, start=1):
        if len(point) != 3:
            raise ConfigError(f"data.added: point {number} is {','.join(point)[:60]!r}; it must be x₁, x₂ and its class, 0 or 1")
    return points
