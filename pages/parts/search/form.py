"""What is to be searched: which settings vary, between what, how many trials, how long."""

import json
from contextlib import suppress
from typing import Any
from zlib import crc32

import streamlit as st

from core.config import RunConfig
from core.data import spec_of
from core.fields import ConfigError, describe
from core.presets import title_of
from core.runs import StoreError
from core.runs.differing import flat, in_words
from core.sweeps import Range, SweepError, SweepPlan, plan_of, start
from core.sweeps.plan import with_params
from core.sweeps.ranges import can_be_right
from core.sweeps.suggest import FIRST, setting_of, suggested, variable
from core.wording import plural
from pages.parts.draft.fields import CHOICES
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import link
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, refuse
from pages.parts.shell.services import Services

SAMPLERS = {"tpe": "What did well so far (TPE)", "random": "Chance", "qmc": "Chance, evenly spread (QMC)",
            "grid": "Every combination (grid)"}
PRUNERS = {"median": "If below the middle (median)", "hyperband": "Many short, few long (Hyperband)", "none": "Never"}
METRICS = {"validation_accuracy": "Validation accuracy", "validation_loss": "Validation loss"}


def beginning(server: Services, config: RunConfig) -> None:
    """The form and its button."""
    labels = variable(config)
    chosen = st.multiselect("Settings that vary", list(labels), [path for path in FIRST if path in labels][:1],
                            format_func=labels.__getitem__, key=f"search.vary.{crc32(' '.join(labels).encode())}",
                            placeholder="Choose settings")
    ranges = [_range(config, path, labels[path]) for path in chosen]
    left, right = st.columns(2)
    with left:
        trials = _number("trials", 20)
    with right:
        minutes = _number("minutes", 10.0)
    with st.expander("How it searches", icon=":material/tune:"):
        values = _how(config)
    ready = spec_of(config.data.dataset, server.settings.data_dir).is_available(server.settings.data_dir)
    if not ready:
        st.warning("Its data set is not on this machine yet.", icon=":material/cloud_download:")
        link("pages/explore_data.py", "Get it on the page “Explore data”", ":material/grid_view:")
    if st.button("Start the search", type="primary", icon=":material/travel_explore:", key="search.start",
                 disabled=not chosen or not ready):
        begin(server, config, ranges, {"trials": trials, "minutes": minutes} | values, labels)
    st.caption(f"{_trials(config, ranges, {'trials': trials} | values)}, and {values['seeds']} fresh seeds for the first "
               "settings and for each of the best ones.")


def begin(server: Services, config: RunConfig, ranges: list[Range | str], values: dict[str, Any], labels: dict[str, str]) -> None:
    """Start a search; the page is drawn anew, with the reason where it can't be. labels: of settings, as the form has them."""
    try:
        plan = plan_of(config, ranges, **values)
        for one in plan.vary:  # in a lesson each of these has to be allowed
            for end in (one.points(2) if one.is_number else one.choices):
                if line := lesson.problem(with_params(config, {one.path: end})):
                    refuse(as_text(line), ":material/school:")
        title = f"Search: {title_of(config, server.settings.data_dir)}"
        start(server.store, server.engine, plan, st.session_state[keys.OWNER], title)
    except (SweepError, ConfigError) as error:
        line = str(error)
        for path in sorted(labels, key=len, reverse=True):  # one may begin as another
            line = line.replace(path, labels[path])
        refuse(as_text(line))
    except StoreError as error:
        refuse(as_text(str(error)), icon_of(error))
    server.sweeps.wake()
    st.session_state.pop(keys.SEARCH, None)  # the newest is shown
    st.rerun()


def _trials(config: RunConfig, ranges: list[Range | str], values: dict[str, Any]) -> str:
    """How many there will be at most; what is wrong with the ranges is said by the button."""
    with suppress(SweepError):
        plan = plan_of(config, ranges, **values)
        if plan.most_trials < plan.trials:
            return f"{plural(plan.most_trials, 'trial')}, as there are no more combinations"
    return plural(int(values["trials"]), "trial")


def _range(config: RunConfig, path: str, label: str) -> Range | str:
    """The widgets of one setting."""
    usual, about, now = suggested(config, path), setting_of(config, path), flat(config)[path]
    unit, key = f" ({about.unit})" if about.unit else "", f"{path}.{json.dumps(now)}"
    if usual.is_number:
        step = 1 if usual.whole else None
        kind: Any = int if usual.whole else float
        low, high = st.columns(2)
        ends = [place.number_input(f"{label}, {word}{unit}", value=kind(end or 0), step=step or float(end or 0) / 2 or 0.1,
                                   min_value=kind(about.minimum) if about.minimum is not None else None,
                                   max_value=kind(about.maximum) if about.maximum is not None else None,
                                   format="%d" if usual.whole else "%g", key=f"search.{word}.{key}", help=about.help)
                for place, word, end in ((low, "from", usual.low), (high, "to", usual.high))]
        log = st.checkbox(f"By factors: {label[:1].lower()}{label[1:]}", usual.log, key=f"search.log.{key}",
                          help="Tries as many values between 0.001 and 0.01 as between 0.01 and 0.1.")
        return Range(path=path, low=ends[0], high=ends[1], log=log, whole=usual.whole)
    if all(isinstance(choice, list) for choice in usual.choices):
        text = st.text_input(f"{label}{unit}", " | ".join(json.dumps(choice) for choice in usual.choices), max_chars=400,
                             key=f"search.lists.{key}", help="What is tried, with | between.")
        if not text.strip():
            return Range(path=path, choices=(now,))  # which is one value, and said to be
        return f"{path}={text}"
    taken = st.multiselect(f"{label}{unit}", list(usual.choices), list(usual.choices), key=f"search.choices.{key}",
                           format_func=lambda choice: CHOICES.get(str(choice)) or in_words(path, choice), help=about.help)
    return Range(path=path, choices=tuple(taken or usual.choices[:1]))


def _how(config: RunConfig) -> dict[str, Any]:
    right = can_be_right(config)

    def choice(name: str, names: dict[str, str], usual: str) -> str:
        about = describe(SweepPlan, name)
        return st.selectbox(about.label, list(names), list(names).index(usual), format_func=names.__getitem__, help=about.help,
                            key=f"search.{name}")

    return {"sampler": choice("sampler", SAMPLERS, "tpe"), "pruner": choice("pruner", PRUNERS, "median"),
            "metric": choice("metric", METRICS if right else {"validation_loss": METRICS["validation_loss"]},
                             "validation_accuracy" if right else "validation_loss"),
            "seeds": _number("seeds", 3), "patience": _number("patience", 20)}


def _number(name: str, usual: Any) -> Any:
    about, kind = describe(SweepPlan, name), type(usual)
    return st.number_input(f"{about.label} ({about.unit})" if about.unit not in about.label.lower() else about.label,
                           kind(about.minimum or 0), kind(about.maximum or 0), usual, kind(about.step or 1),
                           format="%g" if kind is float else "%d", key=f"search.{name}", help=about.help)
