"""What this session has measured of a training step's time, for whatever settings cost the same."""

import streamlit as st

from core.config import RunConfig
from core.training.measured import Measured
from pages.parts.shell import keys


def measured_for(config: RunConfig) -> Measured | None:
    """What was measured for such a run, if anything was."""
    kept = st.session_state.get(keys.MEASURED)
    return kept[1] if kept and kept[0] == _cost_key(config) else None


def keep_measured(config: RunConfig, measured: Measured) -> None:
    """Keep a measurement until the next one."""
    st.session_state[keys.MEASURED] = (_cost_key(config), measured)


def _cost_key(config: RunConfig) -> str:
    """What a step's time depends on."""
    training = config.training
    changed = {"epochs": 1, "seed": 0}
    return config.data.dataset + config.data.task + config.model.model_dump_json() + training.model_copy(
        update=changed).model_dump_json()
