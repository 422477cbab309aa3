"""Class digits, for the teacher: all drawings, a map, odd ones and near copies; what does not belong there is removed."""

from collections.abc import Sequence

import streamlit as st
import torch
from torch import Tensor

from core.data import DataError, Dataset, Split
from core.data.explore.odd_ones import COMPONENTS
from core.figures.bars import class_counts
from core.figures.in_words import in_words
from core.importing.duplicates import Prints, find_copies
from core.lessons.class_digits import DIGITS, ClassDigits, Collected
from core.wording import plural
from pages.parts.explore.cache import map_of, odd_ones_of, tsne_maps
from pages.parts.explore.map import HELP, METHODS, map_of_points, tsne_points
from pages.parts.explore.odd import WAYS
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import tell
from pages.parts.shell.services import Services
from pages.parts.widgets.pictures import picture_grid

PER_PAGE = 120
COPIES = "Near copies"
EVERY = -1  # of a choice: all digits, everybody
SECONDS = 5  # between two looks at how many there are
LARGEST = 5000  # drawings of which a map is made: all that there can be


def cleaning(server: Services, digits: ClassDigits) -> None:
    """The whole section, drawn anew by itself."""
    found = digits.everything()
    st.header("All drawings, for the teacher", anchor=False)
    if not len(found):
        st.caption("Nobody has drawn anything yet. Give the class the lesson's link: it is on the page Lessons.")
        return
    st.fragment(_counted, run_every=SECONDS)(digits)
    counts = torch.bincount(found.labels, minlength=len(DIGITS)).tolist()
    figure = class_counts(DIGITS, counts)
    st.plotly_chart(figure, key="collect.counts",
                    config={"displayModeBar": False}, alt=in_words(figure, "Drawings of each digit"))
    view = st.segmented_control("Look through", list(VIEWS), default="Pictures", required=True, key="collect.view",
                                bind="query-params",
                                label_visibility="collapsed")
    rows = VIEWS[view](server, found)
    if rows:
        _choose(found, rows)
    later = rows[1::2] if view == COPIES else []  # of each pair
    _buttons(digits, found, later or rows, "Choose the later of each" if later else "Choose all of these")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Look again", icon=":material/refresh:", key="collect.again", help="Shows what has been drawn since.")
        st.download_button("Download (.zip)", digits.zip_file, "class-digits.zip", "application/zip", on_click="ignore",
                           icon=":material/folder_zip:", key="collect.zip",
                           help="PNG files in a folder for each digit, white ink on black. Nothing in it says who drew what. "
                                "Explore data → Bring your own takes it back.")
    st.caption("Pupils are numbers, in the order in which they came; nobody is told who is which.")


def _counted(digits: ClassDigits) -> None:
    """How many there are by now, while the class draws."""
    try:
        counts = digits.counts()
    except DataError:
        return  # the lesson has just been deleted, which the page says when it is drawn anew
    st.markdown(f"**{plural(sum(counts.every), 'drawing')}** by {plural(counts.pupils, 'pupil')}")


def as_data(found: Collected) -> Dataset:
    """The drawings as what Explore data looks through: all in one part."""
    none = Split(found.images, found.labels, torch.zeros(0, dtype=torch.long))
    every = Split(found.images, found.labels, torch.arange(len(found)))
    return Dataset("class digits", "Class digits", DIGITS, DIGITS, (0.0,), (1.0,), every, none, none)


def _pictures(server: Services, found: Collected) -> list[int]:
    """By digit and pupil, page by page."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        digit = st.selectbox("Digit", [EVERY, *range(len(DIGITS))], key="collect.digit", width=120,
                             format_func=lambda digit: "all" if digit == EVERY else DIGITS[digit])
        counts = dict(zip(*(part.tolist() for part in found.pupils.unique(return_counts=True)), strict=True))
        pupil = st.selectbox("Drawn by", [EVERY, *counts], key="collect.pupil", width=200,
                             format_func=lambda pupil: "everybody" if pupil == EVERY else f"pupil {pupil} ({counts[pupil]})")
        wanted = torch.ones(len(found), dtype=torch.bool)
        if digit != EVERY:
            wanted &= found.labels == digit
        if pupil != EVERY:
            wanted &= found.pupils == pupil
        rows = wanted.nonzero()[:, 0].flip(0).tolist()
        pages = max(1, -(-len(rows) // PER_PAGE))
        page = 1 if pages == 1 else st.number_input(f"Page (of {pages})", 1, pages, 1, width=120,
                                                    key=f"collect.page.{digit}.{pupil}")
    if not rows:
        st.caption("None of these.")
    return rows[(page - 1) * PER_PAGE:page * PER_PAGE]


def _map(server: Services, found: Collected) -> list[int]:
    """Alike ones near each other; what is chosen on it is shown below."""
    method = st.segmented_control("Method", METHODS, default="PCA", required=True, key="collect.method", help=HELP)
    if len(found) < 2:
        st.caption("A map needs at least two drawings.")
        return []
    data = as_data(found)
    mapped = map_of(data, "train", LARGEST)
    points = mapped.pca.points[:, :2] if method == "PCA" else tsne_points(tsne_maps(server.settings.cache_dir), mapped)
    if points is None:
        return []
    titles = [title(found, row) for row in mapped.positions.tolist()]
    chosen = map_of_points(data, method, mapped, points, titles, "collect.map", "drawings of the class")
    return mapped.positions[chosen].tolist()


def _odd(server: Services, found: Collected) -> list[int]:
    """Drawings that do not look like their digit: most likely another one was drawn, or nothing."""
    way = st.segmented_control("What is odd", ["among", "far"], default="among", required=True, key="collect.odd",
                               format_func=lambda way: WAYS[way][0])
    st.caption(WAYS[way][1])
    if len(found) < 3:
        st.caption("To say what is odd takes at least three drawings.")
        return []
    odd = odd_ones_of(as_data(found), "train", way)
    if not odd:
        st.caption(f"None, by the first {COMPONENTS} principal components.")
    return [one.position for one in odd]


def _copies(server: Services, found: Collected) -> list[int]:
    """Drawings that are there twice, or nearly; the earlier one of each pair comes first."""
    pairs = copies_of(found.images)
    st.caption("Each drawing beside one that is the same, or nearly: the same drawing kept twice, or straight lines, which are "
               "all alike. The first of the two was drawn earlier.")
    if not pairs:
        st.caption("There are none.")
    return [row for pair in pairs for row in pair][:2 * PER_PAGE]


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs={Tensor: lambda images: images.numpy().tobytes()})
def copies_of(images: Tensor) -> list[tuple[int, int]]:
    """(original, copy) for each copy."""
    prints = Prints()
    for image in images.numpy():
        prints.add(image)
    copies = find_copies(prints)
    original = {copy: first for first, copy in [*copies.near, *copies.exact]}
    return [(first, copy) for copy, first in sorted(original.items())]


VIEWS = {"Pictures": _pictures, "Map": _map, "Odd ones": _odd, COPIES: _copies}


def title(found: Collected, row: int) -> str:
    return f"A {DIGITS[int(found.labels[row])]} by pupil {int(found.pupils[row])}"


def _chosen(found: Collected) -> set[int]:
    """Numbers of the drawings that are chosen, of those that are still there."""
    chosen: set[int] = st.session_state.setdefault(keys.CLASS_CHOSEN, set())
    chosen &= set(found.numbers.tolist())
    return chosen


def _choose(found: Collected, rows: Sequence[int]) -> None:
    """Pictures of which a press chooses one, or not any more."""
    chosen, numbers = _chosen(found), found.numbers[list(rows)].tolist()
    captions = [DIGITS[int(found.labels[row])] + (" ✕" if number in chosen else "")
                for row, number in zip(rows, numbers, strict=True)]
    titles = [title(found, row) + (", chosen" if number in chosen else "") for row, number in zip(rows, numbers, strict=True)]
    picked = picture_grid(found.images[list(rows)], "collect.grid", "Drawings of the class", captions, titles,
                          [number in chosen for number in numbers], smallest=56)
    if picked is not None and picked < len(numbers):
        chosen.symmetric_difference_update({numbers[picked]})
        st.rerun(scope="fragment")
    st.caption("Press a drawing to choose it: chosen ones are framed in red.")


def _buttons(digits: ClassDigits, found: Collected, rows: Sequence[int], label: str) -> None:
    """Choose many, or none, and remove what is chosen. label: of the button that chooses the drawings in these rows."""
    chosen = _chosen(found)
    with st.container(horizontal=True):
        st.button(label, icon=":material/select_all:", key="collect.choose", on_click=chosen.update,
                  args=(found.numbers[list(rows)].tolist(),), disabled=not rows)
        st.button("Choose none", icon=":material/deselect:", key="collect.none", on_click=chosen.clear, disabled=not chosen)
        st.button(f"Remove {plural(len(chosen), 'drawing')}" if chosen else "Remove", type="primary", icon=":material/delete:",
                  key="collect.remove", disabled=not chosen, on_click=_removed, args=(digits, sorted(chosen)),
                  help="They are gone from the class's set for good. Runs that have learned from them stay as they are.")


def _removed(digits: ClassDigits, numbers: list[int]) -> None:
    try:
        count = digits.remove(numbers)
    except DataError as error:
        tell(as_text(str(error)), ":material/block:")
        return
    st.session_state[keys.CLASS_CHOSEN] = set()
    st.toast(f"{plural(count, 'drawing')} removed.", icon=":material/delete:")
