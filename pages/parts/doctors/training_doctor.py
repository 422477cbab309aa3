"""What the training doctor sees in a run, while it trains and afterwards, and the controlled re-run that tries its advice."""

from collections.abc import Callable

import streamlit as st

from core.config import RunConfig
from core.data import DataError
from core.figures.curves import Curves, detail_chart
from core.figures.in_words import in_words
from core.figures.troubles import Band, keep_in_sight, mark_bands
from core.inspection import Finding
from core.inspection.training_doctor import Trouble, examine
from core.models import ModelError
from core.runs import Run
from core.training.events import DIVERGED
from pages.parts.doctors import config_doctor
from pages.parts.doctors.config_doctor import COLOURS, ICONS
from pages.parts.draft import draft
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services

BADGES = {"error": "Trouble", "warning": "Doubtful", "note": "Worth knowing"}
SHORT = {"diverged": "diverged", "exploding_gradients": "gradients explode", "dead_relus": "dead ReLUs",
         "vanishing_gradients": "gradients vanish", "few_steps": "cut off", "stopped_too_soon": "cut off",
         "plateau": "flat", "underfitting": "flat", "overfitting": "overfitting"}
CLOSER = {"gradient": ("Gradient norm of each layer", True), "dead": ("Share of dead units of each layer", False)}


def troubles_of(run: Run, curves: Curves) -> list[Trouble]:
    """What is wrong with a run, from its curves so far."""
    return examine(run.config, curves.series, curves.steps_per_epoch, run.message.startswith(DIVERGED))


def marked(chart: dict, quantity: str, curves: Curves, troubles: list[Trouble]) -> dict:
    """A chart of "loss", "accuracy", "gradient" or "dead", with the steps where something shows in it."""
    return mark_bands(keep_in_sight(chart), _bands(quantity, troubles), curves)


def _bands(quantity: str, troubles: list[Trouble]) -> list[Band]:
    return [Band(SHORT.get(trouble.rule, "learns little"), trouble.severity, trouble.first_step, trouble.last_step)
            for trouble in troubles if quantity in trouble.charts]


def show_troubles(server: Services, run: Run, curves: Curves, troubles: list[Trouble],
                  start: Callable[[Services, RunConfig], object]) -> None:
    """Each trouble in a line, with evidence and explanation on a click and a button that tries the remedy with `start`."""
    if not troubles and (run.is_active or run.status == "finished"):
        _no_trouble(run)
    offered = []
    for trouble in troubles:
        with st.container(gap="xxsmall"):
            with st.expander(f":{COLOURS[trouble.severity]}[**{BADGES[trouble.severity]}:**] {as_text(trouble.title)}",
                             icon=ICONS[trouble.severity]):
                _details(trouble, curves, troubles)
            if trouble.fix is None or trouble.fix not in offered:  # two troubles may have the same cause
                _remedy(server, run, trouble, start)
            offered.append(trouble.fix)


def _no_trouble(run: Run) -> None:
    """One verdict where the curves show nothing: the settings may be doubtful all the same, and no line says otherwise."""
    curves = "Nothing else stands out in its curves" + (" so far." if run.is_active else ".")
    if doubts := _doubts(run.config):
        severity = doubts[0].severity
        said = "; ".join(finding.title for finding in doubts)
        st.caption(f"{ICONS[severity]} {config_doctor.BADGES[severity]}: {as_text(said)}. {curves}")
    elif run.is_active:
        st.caption(":material/stethoscope: The doctors are watching its settings and curves: nothing wrong so far.")
    else:
        st.caption(":material/check_circle: The doctors found nothing wrong with this run's settings and curves.")


def _doubts(config: RunConfig) -> list[Finding]:
    """What the config doctor says against the settings it trained with; nothing where their data is no longer here."""
    try:
        return config_doctor.serious(config)
    except (DataError, ModelError):
        return []


def _details(trouble: Trouble, curves: Curves, troubles: list[Trouble]) -> None:
    st.markdown(as_text(trouble.evidence))
    st.caption(as_text(trouble.explanation))
    for quantity in CLOSER.keys() & set(trouble.charts):
        title, logarithmic = CLOSER[quantity]
        names = {name: name.partition(".")[2] for name in curves.series if name.startswith(f"{quantity}.")}
        chart = detail_chart(curves, names, title, logarithmic)
        chart = marked(chart, quantity, curves, troubles)
        st.echarts_chart(chart, height=240, key=f"panel.doctor.{trouble.rule}.{quantity}", alt=in_words(chart, title))


def _remedy(server: Services, run: Run, trouble: Trouble, start: Callable[[Services, RunConfig], object]) -> None:
    if trouble.fix is None:
        st.markdown(f"**What to try:** {as_text(trouble.remedy)}.")
        return
    ours = run.is_active and run.owner == st.session_state[keys.OWNER]
    label = trouble.remedy[:1].lower() + trouble.remedy[1:]
    if st.button(f":blue[{'Stop this run and try' if ours else 'Try it'}: {as_text(label)}]", icon=":material/science:",
                 type="tertiary", key=f"panel.try.{trouble.rule}",
                 help="Starts a controlled re-run: same seed, same data, only this change. The curve of this run stays behind "
                      "the new one in grey."):
        if ours:
            server.engine.cancel(run.id)
        draft.take(trouble.fix)
        st.session_state[keys.PREVIOUS_RUN] = run.id
        start(server, trouble.fix)
        st.rerun()
