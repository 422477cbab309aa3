"""Compare runs, Board: who is best on exactly the same images at the same budget, and between whom no test can decide."""

import streamlit as st

from core.data import DataError
from core.runs import Run, RunStore, StoreError, has_checkpoint
from core.runs.beside import Split, plain
from core.runs.boards import MOST, Answered, Board, answered, boards, can_be_right
from core.runs.differing import names_of
from core.runs.evaluations import predictions_path, weights_stamp
from core.runs.outcomes import COSTS
from core.runs.records import Looked
from core.wording import percent, plural
from pages.parts.compare.looked_at import beside, follow
from pages.parts.compare.words import short_name, those_left, words
from pages.parts.runs.answers import compute
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.shell.services import services
from pages.parts.widgets.table import draw_table, rows_table

SPLITS: dict[Split, str] = {"test": "Test images", "validation": "Validation images"}
NO_BUDGET = ""
MOST_ASKED = 10  # runs that are asked in one go
MOST_STEPS = 60  # of the slider
MOST_READ = 200  # runs whose answers are read: 0.4 MB each for 10,000 images of ten classes


def section(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """A board for each data set and question."""
    runs = those_left(store, run_ids)
    if not runs:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        split = st.selectbox("On", list(SPLITS), format_func=SPLITS.__getitem__, width=220,
                             **follow("compare.board_split", "split", beside().split))
        kind = st.selectbox("Budget", [NO_BUDGET, *COSTS], width=220,
                            format_func=lambda name: COSTS[name].label.capitalize() if name in COSTS else "No limit",
                            help="Only models that cost no more are on the board.",
                            **follow("compare.budget", "budget", beside().budget, forgets=["most"]))
        within = _within(runs, kind)
    able = sorted(filter(can_be_right, within), key=lambda run: -(run.test_accuracy or run.validation_accuracy or 0.0))
    if len(able) > MOST_READ:
        st.caption(f"The {MOST_READ} best of these {len(able):,} runs are looked at.")
        able = able[:MOST_READ]
    answers = {run.id: found for run in able if (found := _answered(store, run, split)) is not None}
    found = boards(able, answers)
    for number, board in enumerate(found):
        _draw(store, board, split, number)
    if not found:
        st.info("No two of these runs have been asked about the same images. A run is asked about its test images as it ends.",
                icon=":material/quiz:")
    _unasked(store, [run for run in able if run.id not in answers], split)


def _within(runs: list[Run], kind: str) -> list[Run]:
    """The runs that cost no more than what is set."""
    if kind == NO_BUDGET:
        return runs
    cost = COSTS[kind]
    known = sorted({value for run in runs if (value := cost.of(run)) is not None})
    if len(known) < 2:
        return [run for run in runs if cost.of(run) is not None]
    steps = known[::-(-len(known) // MOST_STEPS)]
    options = steps if steps[-1] == known[-1] else [*steps, known[-1]]
    asked = beside().most
    shown = options[-1] if asked is None else max((value for value in options if plain(value) <= asked), default=options[0])
    most = st.select_slider(f"At most ({cost.unit or cost.label})", options,
                            format_func=lambda value: f"{value:,.1f} s" if cost.unit == "s" else f"{value:,.0f}",
                            **follow(f"compare.most.{kind}", "most", shown, options[-1]))
    return [run for run in runs if (value := cost.of(run)) is not None and value <= most]


def _draw(store: RunStore, board: Board, split: Split, number: int) -> None:
    first = board.runs[0].config.data
    names = names_of(board.runs, words)
    ties = len({place.rank for place in board.places}) < len(board.places)
    st.markdown(f"**{as_text(words('data.dataset', first.dataset))}, {words('data.task', first.task).lower().rstrip('?')}** · "
                f"{board.images:,} {SPLITS[split].lower()}, {plural(len(board.runs), 'model')}")
    draw_table(rows_table([{
        "Rank": place.rank, "Run": in_table(names[run.id]), "Accuracy": percent(place.accuracy),
        "95 % interval": f"{percent(place.interval.low)} to {percent(place.interval.high)}",
        "Wrong": board.images - place.right,
        "p, beside the first": "" if place.p is None else "< 0.0001" if place.p < 0.0001 else f"{place.p:.4f}",
        "Parameters": run.parameters, "Training time (s)": run.seconds, "Id": run.id[:8],
    } for run, place in zip(board.runs, board.places, strict=True)]), hide_index=True, key=f"compare.board.{number}",
        column_config={"Parameters": st.column_config.NumberColumn(format="localized"),
                       "Training time (s)": st.column_config.NumberColumn(format="%.1f")}, placeholder="–")
    looks = store.looks_at_test_images().get((first.dataset, first.task), Looked(0, 0))
    whose = "yours" if services().private else "this store"
    st.caption(
        ("Models share a rank where McNemar's test can't tell them apart: too few images on which just one of them is right. "
         if ties else "")
        + "A rank is 1 + the number of models that the test finds better: p below 0.05, after Holm's correction for every two on "
        "the board. The test speaks of these weights; another seed would give others."
        + (f" Only the best {MOST} are on the board, {board.left_out} more are not." if board.left_out else "")
        + (f" The test images of this data set and task were looked at **{plural(sum(looks), 'time')} at least**: by "
           f"{plural(looks.runs, 'run')} of {whose} as they ended, and {plural(looks.later, 'time')} later, on Evaluate, here "
           "or on the command line. Whoever takes the best of many by test accuracy takes luck with it: choose by validation "
           "images, and look here once." if split == "test" else
           " Validation images were used to watch these runs, and often to choose between them, so a new set would give a little "
           "less."))


def _unasked(store: RunStore, runs: list[Run], split: Split) -> None:
    """Runs that are on no board, and a button that asks them."""
    able = [run for run in runs if not run.is_active and has_checkpoint(store, run.id)]
    if not able:
        return
    what = SPLITS[split].lower()
    few = able[:MOST_ASKED]
    st.caption(f"{plural(len(able), 'run')} here {'has' if len(able) == 1 else 'have'} not been asked about the {what} with "
               "these weights." + (" Asking is one more look at them." if split == "test" else ""))
    if not st.button(f"Ask {'it' if len(able) == 1 else f'{len(few)} of them' if len(few) < len(able) else 'them'}",
                     key="compare.ask", icon=":material/quiz:"):
        return
    server, asked = services(), 0
    for run in few:
        try:
            compute(server, run, split)
            asked += 1
        except (DataError, StoreError, ValueError, RuntimeError, MemoryError) as error:
            st.error(f"{as_text(short_name(run))}: {as_text(' '.join(str(error).split()))}", icon=":material/broken_image:")
    if asked:
        st.rerun()


def _answered(store: RunStore, run: Run, split: str) -> Answered | None:
    path = predictions_path(store, run.id, split)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _kept(store, run.id, split, changed, tuple(weights_stamp(store, run.id))) if changed else None


@st.cache_data(max_entries=500, show_spinner=False)
def _kept(_store: RunStore, run_id: str, split: str, changed: int, weights: tuple[int, ...]) -> Answered | None:
    return answered(_store, run_id, split)
