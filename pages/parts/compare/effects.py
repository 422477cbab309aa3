"""Compare runs, Effect of settings: each setting against a result, all of them at once, and which of them matter."""

from functools import cache
from math import isfinite

import streamlit as st

from core.figures.in_words import in_words
from core.figures.metric_titles import METRICS
from core.figures.run_tables import MOST_AXES, MOST_BARS, importance_chart, parallel_chart, scatter_chart
from core.runs import Run, RunStore
from core.runs.beside import LAST, Way
from core.runs.curves import last_values
from core.runs.differing import NOT_THERE, SEED, flat, labels_of, names_of, varying
from core.runs.importance import FEWEST, Importance, ImportanceError, columns_of, importance
from core.runs.outcomes import COSTS, RESULTS, Outcome
from core.wording import percent
from pages.parts.compare.camera import camera, chart
from pages.parts.compare.costs import MOST_NAMED, choose_result, different_questions
from pages.parts.compare.looked_at import beside, follow
from pages.parts.compare.words import short_name, those_left, words

WAYS: dict[Way, str] = {"one": "One setting", "all": "All at once", "which": "Which matter"}


@st.fragment
def section(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """Settings against results."""
    runs = those_left(store, run_ids)
    if not runs:
        return
    labels = labels_of([run.config for run in runs], varying([run.config for run in runs]))
    if not labels:
        st.info("All of these runs have the same settings, so no setting can have done anything.", icon=":material/equal:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        way = st.segmented_control("How", list(WAYS), required=True, format_func=WAYS.__getitem__, label_visibility="collapsed",
                                   **follow("compare.effect", "effect", beside().effect))
        result = choose_result(runs, COSTS | _recorded(store, runs))
    if result is None:
        return
    different_questions(runs, result)
    found = [(run, value) for run in runs if (value := result.of(run)) is not None and isfinite(value)]
    shown, values = [run for run, _ in found], [value for _, value in found]
    if way == "one":
        _one(shown, values, labels, colours, result)
    elif way == "all":
        _all(shown, values, labels, result)
    else:
        _which(shown, values, labels, result)


def _recorded(store: RunStore, runs: list[Run]) -> dict[str, Outcome]:
    """The last value of each metric that the runs have recorded, where it is no result already; read once it is asked for."""
    names = set(store.metric_names([run.id for run in runs])) - set(RESULTS)

    def last(name: str) -> Outcome:
        values = cache(lambda: last_values(store, runs, name))
        about = METRICS[name]
        label = f"{about.title[0].lower()}{about.title[1:]}, last value"
        return Outcome(label, "", lambda run: values().get(run.id), about.share, about.rises)

    return {LAST + name: last(name) for name in METRICS if name in names}


def _one(runs: list[Run], values: list[float], labels: dict[str, str], colours: dict[str, str], result: Outcome) -> None:
    usual = next((path for path in labels if path != SEED), SEED)
    asked = beside().setting
    path = st.selectbox("Setting", list(labels), format_func=lambda path: labels[path].capitalize(), width=320,
                        **follow("compare.setting", "setting", asked if asked in labels else usual, usual))
    names = names_of(runs, words) if len(runs) <= MOST_NAMED else {run.id: short_name(run) for run in runs}
    column = [_value(path, flat(run.config).get(path, NOT_THERE)) for run in runs]
    figure = scatter_chart(column, values, [names[run.id] for run in runs], [colours[run.id] for run in runs], labels[path],
                           result)
    st.plotly_chart(figure, key="compare.scatter", config=chart(f"{result.label} over {labels[path]}"),
                    alt=in_words(figure, f"{result.label} over {labels[path]}"))
    st.caption("Runs may differ in more than this setting: what looks like its effect may be another's.")
    camera()


def _all(runs: list[Run], values: list[float], labels: dict[str, str], result: Outcome) -> None:
    every = [flat(run.config) for run in runs]
    firsts = {names[0] for names, _ in columns_of(every)}  # of settings that always change together one says it all
    paths = sorted((path for path in labels if path in firsts), key=lambda path: path == SEED)  # luck last
    columns = {labels[path]: [_value(path, settings.get(path, NOT_THERE)) for settings in every] for path in paths}
    figure = parallel_chart(columns, values, result)
    st.plotly_chart(figure, key="compare.parallel", config=chart("settings and result"),
                    alt=in_words(figure, "Settings and result of each run"))
    st.caption("A line is a run, blue for a good result and orange for a bad one. Drag along an axis to keep only the runs that "
               "go through that part of it, and an axis' name to move it."
               + (" Of settings that always changed together the first is drawn." if len(paths) < len(labels) else "")
               + (f" The first {MOST_AXES} of {len(columns)} settings are drawn." if len(columns) > MOST_AXES else ""))
    camera()


def _which(runs: list[Run], values: list[float], labels: dict[str, str], result: Outcome) -> None:
    if len(runs) < FEWEST:
        st.info(f"From {FEWEST} runs with a result on there is something to say; these are {len(runs)}, and chance decides.",
                icon=":material/casino:")
        return
    try:
        found = _importance(tuple(run.id for run in runs), tuple(values), [flat(run.config) for run in runs])
    except ImportanceError as error:
        st.info(str(error), icon=":material/info:")
        return
    scale, unit = (100, " points") if result.shares else (1, "")
    if found.explained is None or found.explained <= 0:
        st.warning("These settings do not say what a run comes to: guessing from them is no better than always saying the mean. "
                   "The bars below mean nothing.", icon=":material/casino:")
    else:
        st.markdown(f"From its settings alone, a run's {result.label} is guessed to within {found.error * scale:.3g}{unit} on "
                    f"average; always saying the mean misses by {found.plain_error * scale:.3g}{unit}. The settings account for "
                    f"{percent(found.explained, 0)} of the differences.")
    figure = importance_chart(found, labels, result)
    st.plotly_chart(figure, key="compare.importance", config=chart("which settings matter"),
                    alt=in_words(figure, "How much each setting matters"))
    clear = sum(share.is_clear for share in found.shares)
    st.caption(
        f"A random forest (scikit-learn) learns from some of the {found.runs} runs and guesses the others; a bar says how much "
        "worse it guesses when one setting is shuffled among them. Lines: 90 % of 20 resamples of the runs. "
        + ("Grey: the line reaches 0, so it may be nothing. " if clear < len(found.shares) else "")
        + ("Settings joined by + always changed together here, and can't be told apart. "
           if any(len(share.settings) > 1 for share in found.shares) else "")
        + "It can't tell causes: settings that were often changed together share their weight, one that only matters beside "
        "another may get little, and nothing is said of values that no run had."
        + (f" The {MOST_BARS} largest of {len(found.shares)} are drawn." if len(found.shares) > MOST_BARS else ""))
    camera()


@st.cache_data(max_entries=16, show_spinner="Learning what matters…")
def _importance(run_ids: tuple[str, ...], values: tuple[float, ...], _settings: list[dict]) -> Importance:
    """What the runs' settings are does not change, so their ids stand for them."""
    return importance(_settings, values)


def _value(path: str, value: object) -> object:
    """Numbers stay numbers; anything else is called as the forms call it."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else words(path, value)


