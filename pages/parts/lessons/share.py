"""What a lesson is given to a class as: a link, a code to type, a QR code, a file."""

import io
from urllib.parse import urlencode, urlsplit

import streamlit as st

from core.lessons import Lesson
from pages.parts.shell import lesson

QR_PIXELS = 8  # of the screen for each square of the code: readable from the back of a room when it is shown large


def link_to(code: str, about: Lesson) -> str:
    """The address of a lesson's first step, as this visitor's browser reaches the app; without a host where that is not known.
    It is the page's own: an address that led to it would catch the browser's Back."""
    here = urlsplit(st.context.url or "")
    root = here.path.removesuffix("/")
    for page in ("open_lesson", "lesson_wall"):  # where it is asked for
        root = root.removesuffix(f"/{page}").removesuffix(page).removesuffix("/")
    host = f"{here.scheme}://{here.netloc}" if here.netloc else ""
    first = about.steps[0]
    page = "" if first.page == "home" else first.page
    return f"{host}{root}/{page}?{urlencode({lesson.CODE: code, lesson.STEP: 1} | first.view)}"


def share(code: str, about: Lesson) -> None:
    """Link, code, QR code and file of a lesson that is here."""
    link = link_to(code, about)
    picture, words = st.columns([1, 2], vertical_alignment="center")
    picture.image(qr_code(link), width=220, alt=f"QR code of {link}")
    with words:
        st.markdown("**The link.** Whoever opens it is in the lesson, without an account.")
        st.code(link, language=None, wrap_lines=True)
        st.markdown("**Or the code**, to be typed on the page Lessons.")
        st.code(code, language=None)
    st.download_button("Download as JSON", about.model_dump_json(indent=1), f"lesson-{code}.json", "application/json",
                       icon=":material/download:", key=f"lesson.file.{code}", on_click="ignore",
                       help="To keep, to change by hand, or to bring to another server.")


@st.cache_data(show_spinner=False, max_entries=50)
def qr_code(text: str) -> bytes:
    """A QR code as a PNG file, with the white frame that cameras look for."""
    import segno  # only who shares a lesson needs it

    file = io.BytesIO()
    segno.make(text, error="m", micro=False).save(file, kind="png", scale=QR_PIXELS, border=4)
    return file.getvalue()
