"""The RunConfig that the 2-D lab edits, and the run that belongs to it."""

import re
from typing import Any

import streamlit as st

from core.config import RunConfig, SGDConfig, TrainingConfig, read_config
from core.data import default_config, spec_of
from core.fields import Config, ConfigError, describe
from core.labs.decision_boundary import can_show
from core.models import MLPConfig
from core.presets import PRESETS
from core.runs import Run
from pages.parts.shell import keys, lesson
from pages.parts.shell.services import Services
from pages.parts.shell.versions import Form

CONTROLS = Form("plane", keys.PLANE_VERSION)
FIRST = RunConfig(
    data=default_config("circle"), model=MLPConfig(hidden=(4,), activation="tanh"),
    training=TrainingConfig(loss="bce_with_logits", optimizer=SGDConfig(learning_rate=0.1), batch_size=10, epochs=300))
NOTES, CLOSED = PRESETS["circle-2d"].config, PRESETS["circle-2d-closed"].config
RATE = "training.optimizer.learning_rate"
MOST_ADDED = 500
LABELS = {"features": "Inputs", "points": "Training points", "validation": "Validation points", "weight_decay": "L2 strength",
          "l1": "L1 strength"}  # as the lab calls them, where the field says otherwise


def config() -> RunConfig:
    """What the lab's controls say."""
    return read_config(st.session_state.setdefault(keys.PLANE, FIRST.model_dump(mode="json")))


def network(config: RunConfig) -> MLPConfig:
    """Its network, which in this lab is always an MLP."""
    assert isinstance(config.model, MLPConfig)
    return config.model


def take(new: RunConfig) -> None:
    """Replace it, in a lesson as far as that allows; the controls show the new values."""
    st.session_state[keys.PLANE] = lesson.applied(new).model_dump(mode="json")
    CONTROLS.renew()
    st.session_state.pop(keys.PLANE_PROBLEM, None)


def change(values: dict[str, Any]) -> None:
    """Change dotted fields; a value that is not allowed leaves all as it was and says why."""
    try:
        new = config().with_values(values)
    except ConfigError as error:
        st.session_state[keys.PLANE_PROBLEM] = in_words(str(error))
        return
    if line := lesson.problem(new):
        st.session_state[keys.PLANE_PROBLEM] = line
        CONTROLS.renew()  # the controls show what it still is
        return
    st.session_state.pop(keys.PLANE_PROBLEM, None)
    st.session_state[keys.PLANE] = new.model_dump(mode="json")


def in_words(line: str) -> str:
    """A ConfigError's line with the setting called as the page calls it, "Added points, entry 1, value 3" instead of
    data.added.0.2; as it is where the page has no such setting."""
    path = re.match(r"\w+(?:\.\w+)*", line)
    owner: Any = FIRST
    names = path.group().split(".") if path else []
    while names and isinstance(owner, Config) and names[0] in type(owner).model_fields:
        kind, name = type(owner), names.pop(0)
        owner = getattr(owner, name)
    if path is None or isinstance(owner, Config) or len(names) > 2 or not all(name.isdecimal() for name in names):
        return line
    label = LABELS.get(name) or describe(kind, name).label
    where = "".join(f", {what} {int(at) + 1}" for what, at in zip(("entry", "value"), names, strict=False))
    return label + where + line[path.end():]


def choose_set(name: str) -> None:
    """Another data set, with the noise it comes with; its loss too, where a number is asked for instead of a class."""
    now, data = config(), default_config(name)
    values: dict[str, Any] = {"data.dataset": name, "data.noise": data.noise, "data.added": []}
    number = spec_of(name).target == "number"
    if number:
        values["training.loss"] = "mse"
    elif spec_of(now.data.dataset).target == "number":
        values["training.loss"] = FIRST.training.loss
    take(now.with_values(values))


def add_point(x1: float, x2: float, label: int) -> None:
    """One training point more, of class 0 or 1; where there are too many, the reason."""
    now = config()
    if len(now.data.added) >= MOST_ADDED:
        st.session_state[keys.PLANE_PROBLEM] = f"{MOST_ADDED} points have been added, which is all that fit. Take some back."
        return
    change({"data.added": [*now.data.added, (x1, x2, label)]})


def begin() -> None:
    """In a lesson, what that starts from, where the lab can show it: once for each preset of it."""
    reached, now = lesson.reached(keys.LESSON_PLANE), lesson.taken()
    if reached == "changed":
        take(lesson.applied_anew(config()))
    elif reached and now is not None:
        begun = lesson.start_of(now)
        take(begun if can_show(begun) else FIRST)


def adopt(run: Run | None) -> None:
    """A run that the address names for the first time brings its settings along, if the lab can show them."""
    if run is None or st.session_state.get(keys.PLANE_RUN) == run.id:
        return
    st.session_state[keys.PLANE_RUN] = run.id
    if can_show(run.config):
        take(current(run))


def current(run: Run) -> RunConfig:
    """A run's settings, with the learning rate it was given last."""
    return run.config if run.learning_rate is None else run.config.with_values({RATE: run.learning_rate})


def belongs(run: Run | None, settings: RunConfig) -> bool:
    """Whether the run is of these settings; of its learning rate, the one it was given last."""
    return run is not None and current(run) == settings


def follow(server: Services, run: Run, settings: RunConfig) -> Run | None:
    """What becomes of a run that is looked at when the settings are no longer its own.

    Another learning rate is given to it while it goes. Any other change ends it, if it is this visitor's: then the settings have
    no run yet (None).
    """
    mine = run.owner == st.session_state[keys.OWNER]
    if run.status == "running" and mine and run.config.with_values({RATE: settings.training.optimizer.learning_rate}) == settings:
        server.engine.set_learning_rate(run.id, settings.training.optimizer.learning_rate)
        return server.store.get(run.id)
    if run.is_active and mine and can_show(run.config):
        server.engine.cancel(run.id)
    return None
