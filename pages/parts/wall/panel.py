"""One drawing of a lesson's wall: who is asked in where nobody has trained yet, else the class's runs as they are now."""

from contextlib import suppress
from urllib.parse import urlsplit

import streamlit as st

from core.fields import ConfigError
from core.lessons import Lesson, LessonError, is_kept
from core.runs import StoreError
from core.runs.wall import Doctor, Person, Wall, read_wall, settings_to_show
from core.wording import plural
from pages.parts.lessons.share import link_to, qr_code
from pages.parts.shell import lesson
from pages.parts.shell.frame import link as page_link
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.wall.screen import answered, show_wall

SECONDS = 2.0  # between two drawings
LESSONS = "pages/open_lesson.py", "Lessons", ":material/school:"
HIDDEN, SETTING, QUESTION = "wall.hidden", "wall.setting", "wall.question"
STYLE = """<style>
[data-testid="stSidebar"], [data-testid="stHeader"], [data-testid="stExpandSidebarButton"] { display: none; }
[data-testid="stMainBlockContainer"] { max-width: none; padding: 0.8vw 1.6vw 0; }
.st-key-wall-panel, .st-key-wall-panel :is(p, label, input, button, div, span) { font-size: clamp(15px, 1.46vw, 60px); }
.st-key-wall-top h1 { padding: 0; font-size: clamp(20px, 2.1vw, 90px); }
.st-key-wall-top h1 span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.st-key-wall-top > * { min-width: 0; flex-shrink: 0; }
.st-key-wall-top > :has(h1) { flex: 1 0 100%; }
@media (min-width: 901px) {
  .st-key-wall-top { flex-wrap: nowrap; }
  .st-key-wall-top > :has(h1) { flex: 1 1 0; }
}
.st-key-wall-code strong { font-size: clamp(24px, 3.2vw, 130px); letter-spacing: 0.06em; line-height: 1; }
.st-key-wall-join :is(p, strong) { font-size: clamp(18px, 2.1vw, 90px); overflow-wrap: anywhere; }
.st-key-wall-join .st-key-wall-large strong { font-size: clamp(40px, 8vw, 300px); letter-spacing: 0.08em; line-height: 1.1; }
.st-key-wall-join img { width: min(100%, 74vh); image-rendering: pixelated; }
.st-key-wall-top [data-testid="stCheckbox"] label > div:first-of-type { zoom: 1.6; }
</style>"""


@st.cache_resource(show_spinner=False, max_entries=50)
def doctor(code: str) -> Doctor:
    """What all who look at a wall share of the doctor's findings."""
    return Doctor()


def wall_panel(server: Services, code: str, about: Lesson) -> None:
    """The whole page. Asked for again every two seconds, and when something is pressed. about: the lesson as it was when the page
    was opened."""
    with suppress(LessonError, ConfigError):  # it is deleted or damaged
        about = lesson.as_made(code)
    with st.container(key="wall.panel", gap="small"):
        if not is_kept(code, server.settings.runs_dir):
            st.title(as_text(about.title))
            st.info("This lesson has been deleted: its code opens nothing any more. Its runs are on the page Compare runs.",
                    icon=":material/cast_for_education:")
            page_link(*LESSONS)
            return
        try:
            wall = read_wall(server.store, code, doctor(code), not _hidden())
        except StoreError as error:  # it can't be read just now; asked again soon
            st.error(as_text(str(error)), icon=":material/folder_off:")
            return
        if not wall.runs:
            _join(code, about, wall)
            return
        settings = settings_to_show(wall.runs, about)
        with st.container(key="wall.top", horizontal=True, vertical_alignment="center", gap="medium"):
            st.title(as_text(about.title), width="stretch")
            with st.popover("Show", icon=":material/tune:", key="wall.show"):
                path = st.selectbox("Results by", list(settings), key=SETTING, persist_state="session",
                                    format_func=settings.__getitem__)
                asked = _question(wall)
                _names(server, code, wall)
                page_link(*LESSONS)
            st.toggle("Hide names", key=HIDDEN, bind="query-params", persist_state="session",
                      help="Everybody is “visitor” and a number.")
            with st.container(key="wall.code", width="content"):
                st.markdown(f"Code **{code}**")
        show_wall(server.store, wall, path, settings[path], asked)


def _hidden() -> bool:
    """Whether names are hidden; as the address says before the toggle for it has been drawn once."""
    return bool(st.session_state.get(HIDDEN, st.query_params.get(HIDDEN, "").lower() == "true"))


def _join(code: str, about: Lesson, wall: Wall) -> None:
    """Before the first run: how a class comes in."""
    link = link_to(code, about)
    st.title(as_text(about.title))
    with st.container(key="wall.join"):
        picture, words = st.columns([1, 1.3], vertical_alignment="center", gap="large")
        picture.image(qr_code(link), width="stretch", alt=f"QR code of {link}")
        with words:
            st.markdown("Point your camera at the square, or open")
            st.markdown(f"**{as_text(link)}**")
            st.markdown("or type on the page Lessons the code")
            with st.container(key="wall.large"):
                st.markdown(f"**{code}**")
            st.markdown("This becomes the wall when the first run starts." if not wall.people else
                        "Here: " + ", ".join(as_text(person.called) for person in wall.people))
            if urlsplit(link).hostname in {None, "localhost", "127.0.0.1", "::1"}:
                st.warning("This address works on this computer alone. Open the app by the address that your class can reach.",
                           icon=":material/wifi_off:")
            page_link(*LESSONS)


def _question(wall: Wall):
    """Which question's answers are shown: the one that was answered last, unless another is chosen."""
    asked = answered(wall.predictions)
    if len(asked) < 2:
        return next(iter(asked.values()), None)
    chosen = st.selectbox("Predictions of", ["", *asked], key=QUESTION, persist_state="session",
                          format_func=lambda key: asked[key].text.replace("`", "") if key in asked else "the last question")
    return asked.get(chosen) or next(iter(asked.values()))


def _names(server: Services, code: str, wall: Wall) -> None:
    """Take a single one away, or allow it again."""
    having = [person for person in wall.people if person.name is not None]
    if not having:
        return
    if _hidden():  # the class sees this, too
        st.caption(f"{plural(len(having), 'name')} {'is' if len(having) == 1 else 'are'} hidden. Switch “Hide names” off to take "
                   "one off the wall.")
        return
    st.markdown("Take a name off the wall:")
    with st.container(horizontal=True, gap="small"):
        for place, person in enumerate(having):
            _one_name(server, code, place, person)


def _one_name(server: Services, code: str, place: int, person: Person) -> None:
    assert person.name is not None
    label = as_text(person.called if person.name.allowed else person.name.name)
    st.button(label if person.name.allowed else f"Allow again: {label}", key=f"wall.name.{place}",
              icon=":material/close:" if person.name.allowed else ":material/undo:", type="tertiary",
              on_click=server.store.allow_name, args=(code, person.owner, not person.name.allowed))
