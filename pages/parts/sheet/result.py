"""Read a sheet: what is read, and the labelled set: kept, taught with or downloaded."""

import streamlit as st

from core.data import DataError
from core.data.drawing.as_kept import DRAWING_SHAPE
from core.data.own.digits import MyDigits
from core.data.own.sheet import LabelledSheet, added_to, save_sheet, zip_of_sheet
from core.wording import plural
from pages.parts.sheet.work import Work
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services


def numbers_section(labelled: LabelledSheet) -> None:
    """The sheet as text: its rows, digits that stand together as one number."""
    rows = labelled.numbers()
    st.header("Read as")
    st.code("\n".join("  ".join(row) for row in rows) or "nothing", language=None)
    st.caption(f"{plural(sum(map(len, rows)), 'number')} in {plural(len(rows), 'row')}: digits that stand nearer to each other "
               "than half their height are one number.")


def keep_section(server: Services, work: Work) -> None:
    """What can be done with the labels."""
    labelled = work.labelled
    assert labelled is not None
    count, corrected = len(labelled.kept), sum(entry.by_hand for entry in labelled.kept)
    st.header("Keep the labelled set")
    st.markdown(f"**{plural(count, 'digit')}**, {corrected} with a label of your own. Look through the labels first: a network "
                "learns wrong labels as readily as right ones.")
    title = st.text_input("Name of the data set", "Digits from a sheet", max_chars=60, key="sheet.title")
    with st.container(horizontal=True):
        if st.button("Save as a data set", type="primary", icon=":material/save:", key="sheet.save", disabled=not count,
                     help=server.about_saving):
            save(server, work, title)
        if labelled.shape == DRAWING_SHAPE and st.button(
                "Add to My digits", icon=":material/school:", key="sheet.teach", disabled=not count,
                help="For “Teach it” on Draw a digit: the model goes on learning with them."):
            teach(labelled)
        st.download_button("Download (.zip)", lambda: zip_of_sheet(labelled), "sheet.zip", "application/zip", on_click="ignore",
                           icon=":material/folder_zip:", key="sheet.download", disabled=not count,
                           help="PNG files in a folder for each class, and about.csv with each one's place, answer and label.")
    if work.saved:
        st.success(f"Kept as “{as_text(work.saved)}”: it is on Explore data, and can be trained on.",
                   icon=":material/check_circle:")
        if st.button("To Explore data", icon=":material/grid_view:", key="sheet.explore"):
            go_to("pages/explore_data.py")


def save(server: Services, work: Work, title: str) -> None:
    assert work.labelled is not None
    try:
        work.saved = save_sheet(work.labelled, server.settings.data_dir, title.strip() or "Digits from a sheet",
                                actor=server.actor).title
    except DataError as error:
        work.saved = ""
        st.error(as_text(str(error)), icon=":material/folder_off:")


def teach(labelled: LabelledSheet) -> None:
    """Add them to the kept drawings, and go to where they are taught."""
    kept = st.session_state.get(keys.MY_DIGITS)
    if kept is None or not len(kept):
        kept = MyDigits.none_yet(labelled.classes)
    if kept.classes != labelled.classes:
        st.warning("Your kept drawings have other classes than this sheet. Delete them on Draw a digit first, or save the sheet "
                   "as a data set.", icon=":material/inventory_2:")
        return
    try:
        st.session_state[keys.MY_DIGITS] = added_to(kept, labelled)
    except DataError as error:
        st.warning(as_text(str(error)), icon=":material/inventory_2:")
        return
    go_to("pages/draw_digit.py")
