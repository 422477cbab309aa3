"""Class digits: which digit is asked for, the sheet to draw it on, and one's own drawings."""

import streamlit as st

from core.data import DataError
from core.data.drawing import DrawingError, prepare
from core.lessons.class_digits import DIGITS, MOST_OF_ONE, ClassDigits, Counts
from core.wording import plural
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.canvas import canvas, new_sheet, on_sheet
from pages.parts.widgets.pictures import picture_grid

SHEET = ".class"  # its own: what is drawn on Draw a digit was not asked for here
REST = 400, 440  # pixels of the screen's height for what is not the sheet, on a desktop and on a phone
NOTHING = "There is nothing on the sheet yet: draw something first."


def sheet(digits: ClassDigits) -> None:
    """All that one who draws needs."""
    counts = digits.counts()
    digit = _asked(digits, counts)
    st.title(f"Draw {'an' if digit == 8 else 'a'} {digit}")
    left, right = st.columns([1.3, 1], gap="medium")
    with left:
        canvas(rest=REST, plain=True, below=True, name=SHEET)
    with right:
        # named by its digit: a second tap, which comes when another one is asked for, keeps nothing
        st.button(f"Keep this {digit}", type="primary", icon=":material/check:", width="stretch",
                  key=f"collect.keep.{digit}.{sum(counts.mine)}", on_click=_keep, args=(digits, digit))
        _told(digits)
        st.caption(f"{plural(sum(counts.every), 'drawing')} of the class; {sum(counts.mine)} of up to {MOST_OF_ONE} are yours.")
        of_each = " · ".join(f"**{name}** {count}" for name, count in zip(DIGITS, counts.every, strict=True))
        st.caption(of_each)
        own_drawings(digits)


def _asked(digits: ClassDigits, counts: Counts) -> int:
    """The digit that is asked for, until it is drawn: whatever others draw meanwhile, it changes under nobody's hand."""
    asked = st.session_state.get(keys.CLASS_DIGIT)
    if asked is None or asked[0] != digits.code:
        asked = st.session_state[keys.CLASS_DIGIT] = digits.code, digits.next_digit(counts)
    return asked[1]


def _keep(digits: ClassDigits, digit: int) -> None:
    """Keep what is on the sheet, and ask for the next one."""
    try:
        pixels = on_sheet(SHEET)
        drawing = None if pixels is None else prepare(pixels)
        if drawing is None or drawing.empty:
            st.session_state[keys.CLASS_NOTE] = NOTHING, 0
            return
        number = digits.add(drawing.image, digit)
    except (DataError, DrawingError) as error:
        st.session_state[keys.CLASS_NOTE] = as_text(str(error)), 0
        return
    st.session_state[keys.CLASS_NOTE] = f"Your {digit} is kept.", number
    st.session_state.pop(keys.CLASS_DIGIT, None)
    new_sheet(SHEET)


def _told(digits: ClassDigits) -> None:
    """What became of the last tap, with a way back."""
    line, number = st.session_state.get(keys.CLASS_NOTE) or ("", 0)
    with st.container(horizontal=True, vertical_alignment="center", height=48, border=False):  # nothing moves when it comes
        st.markdown(line or "As you write it on paper. You can take it back later.")
        if number:
            st.button("Take it back", icon=":material/undo:", type="tertiary", key="collect.undo", on_click=_take_back,
                      args=(digits, number))


def _take_back(digits: ClassDigits, number: int) -> None:
    try:
        digits.take_back(number)
        st.session_state[keys.CLASS_NOTE] = "Taken back: it is gone from the class's set.", 0
    except DataError as error:
        st.session_state[keys.CLASS_NOTE] = as_text(str(error)), 0


def own_drawings(digits: ClassDigits) -> None:
    """One's own drawings, the last one first; press one to take it back."""
    mine = digits.mine()
    if not len(mine):
        return
    st.header(f"Your drawings: {len(mine)}", anchor=False)
    order = range(len(mine) - 1, -1, -1)
    numbers, labels = mine.numbers.tolist(), mine.labels.tolist()
    chosen = st.session_state.get("collect.mine.chosen")
    place = numbers.index(chosen) if chosen in numbers else None
    picked = picture_grid(mine.images.flip(0), "collect.mine", "Your drawings", [DIGITS[labels[i]] for i in order],
                          [f"Your {DIGITS[labels[i]]}" for i in order], selected=None if place is None else len(mine) - 1 - place,
                          smallest=48)
    if picked is not None and numbers[len(mine) - 1 - picked] != chosen:
        st.session_state["collect.mine.chosen"] = numbers[len(mine) - 1 - picked]
        st.rerun(scope="fragment")
    if place is not None:
        st.button(f"Take back this {DIGITS[labels[place]]}", icon=":material/undo:", key=f"collect.back.{numbers[place]}",
                  on_click=_take_back, args=(digits, numbers[place]))
    st.caption("Press one to take it back: it is gone from the class's set then, and in no set that is trained on from now on. "
               "A run that has learned from it already keeps its copy until that run is deleted.")
