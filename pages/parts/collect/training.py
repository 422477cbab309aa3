"""Class digits: the way into a run on what the class has drawn, with another data set joined to it or without."""

import streamlit as st

from core.data import DATASETS, DataError
from core.lessons.class_digits import ClassDigits
from core.lessons.class_sets import FEWEST, train_config
from core.wording import plural
from pages.parts.draft import draft
from pages.parts.shell import class_set, keys, lesson
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse
from pages.parts.shell.services import Services

TRAIN, EXPLORE = "pages/train_model.py", "pages/explore_data.py"


def training(server: Services, digits: ClassDigits, drawings: int) -> None:
    """What can be done with the set as it is now. drawings: how many there are."""
    now = lesson.taken()
    if now is None or not (now.class_data or not now.lesson.data) or not (lesson.shows(TRAIN) or lesson.shows(EXPLORE)):
        return
    st.header("Train on it", anchor=False)
    if drawings < FEWEST:
        st.caption(f"From {FEWEST} drawings on. The class has {plural(drawings, 'drawing')} so far.")
        return
    other = "mnist" if DATASETS["mnist"].is_available(server.settings.data_dir) else "digits"
    joined = lesson.shows(TRAIN) and st.toggle(
        f"With {DATASETS[other].title} as well", key="collect.join", persist_state="session",
        help="Its training images are learned from too. Those to test with are the class's alone, either way.")
    st.caption("A run learns from the drawings as they are when you press the button; what is drawn, taken back or removed later "
               "changes nothing about it. A fifth of each digit is for testing.")
    with st.container(horizontal=True):
        if lesson.shows(TRAIN) and st.button("Train on it", type="primary", icon=":material/model_training:",
                                             key="collect.train"):
            _take(server, digits, other if joined else "")
            go_to(TRAIN)
        if lesson.shows(EXPLORE) and st.button("Look at it", icon=":material/grid_view:", key="collect.look"):
            st.session_state[keys.EXPLORED] = _take(server, digits, "")
            st.session_state["explore.section"] = "Look"
            go_to(EXPLORE)


def _take(server: Services, digits: ClassDigits, join: str) -> str:
    """Make the set as it is now what is trained on; its name."""
    try:
        own = class_set.renew(digits.code, server.settings, server.actor, server.store.names)
        draft.draft(server)
        draft.take_data(train_config(own.name, join, server.settings.data_dir))
    except DataError as error:
        refuse(as_text(str(error)))
    return own.name
