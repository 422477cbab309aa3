"""Class digits: how does a class draw a data set of its own, and what becomes of it?"""

from core.process import configure

configure("server")

import streamlit as st

from core.data import DataError
from core.lessons.class_digits import ClassDigits
from pages.parts.collect.cleaning import cleaning
from pages.parts.collect.intro import intro
from pages.parts.collect.sheet import sheet
from pages.parts.collect.training import training
from pages.parts.shell import class_set, lesson
from pages.parts.shell.frame import open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, services

# on a phone all that a drawing needs is one screen: what is asked for, the sheet and the button
STYLE = """@media (max-width: 640px) {
  .stMain h1 { font-size: 1.45rem; line-height: 1.4; padding: 0 0 0.6rem; }
  .stMain [data-testid="stVerticalBlock"], .stMain [data-testid="stHorizontalBlock"] { gap: 0.5rem; }
}"""


def drawn(server: Services, digits: ClassDigits) -> None:
    """What a drawing changes, and nothing else is run again then."""
    try:
        sheet(digits)
        training(server, digits, sum(digits.counts().every))
    except DataError as error:
        st.error(as_text(str(error)), icon=":material/block:")


def cleaned(server: Services, digits: ClassDigits) -> None:
    """What the teacher looks through."""
    try:
        cleaning(server, digits)
    except DataError as error:
        st.error(as_text(str(error)), icon=":material/block:")


open_page(class_set.PAGE, STYLE)
server = services()
now = lesson.taken()
if now is None or not now.draws:
    intro(server)
    st.stop()
digits = class_set.class_digits(now.code, server.settings, server.actor)
st.fragment(drawn)(server, digits)
try:
    may_clean = digits.may_clean
except DataError:
    may_clean = False  # the lesson has just been deleted, which is said above
if may_clean:
    st.divider()
    st.fragment(cleaned)(server, digits)
