"""Lessons: the form that makes one."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import streamlit as st

from core.actors import ANYBODY
from core.data import available
from core.data.sources import kind_of
from core.fields import ConfigError
from core.lessons import PAGES, SECTIONS, Lesson, read_lesson
from core.lessons.lesson import CLASS_DATA, RESERVED
from core.presets import PRESETS
from pages.parts.lessons import draft
from pages.parts.lessons.kept import keep, keep_change
from pages.parts.lessons.settings import settings_form
from pages.parts.shell import lesson
from pages.parts.shell.lesson_bar import draw_step
from pages.parts.shell.markdown import as_text
from pages.parts.shell.menu import LABS, MENU
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services

TITLES = {lesson.page_of(path): entry[0] for path, entry in (*MENU.items(), *LABS.items())}  # page → what the menu calls it
NO_COPY, SAME, ITS_OWN = "", "", ""
SEEDS = {"own": "each pupil's own luck: results differ by chance", "same": "equal curves: one seed for all",
         "shared": "trained once: the others are led to that run"}


def make_section(server: Services, shipped: Mapping[str, Lesson]) -> None:
    """The whole form: what it is, its steps, what is shown, what can be changed; then what it looks like, and the button."""
    changing = draft.changing()
    if changing is None:
        st.header("Make a lesson")
        st.markdown("Pages in an order, with a text for each. Pupils open it with a link and need no account; they see only the "
                    "pages and parts you choose, and change only the settings you leave to them.")
    else:
        st.header(f"Change the lesson {changing[0]}")
        st.markdown(f"**{as_text(changing[1].title)}** keeps its link and its code, and its runs, names and digits. Whoever is "
                    "in it has the new one with their next click.")
    _begin_with(shipped, changing is not None)
    made, problem = draft.read()  # widgets change it before the page is drawn
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        _about(server)
    with right:
        _steps()
    with st.expander("Pages and parts that are shown", icon=":material/visibility:"):
        _shown()
    with st.expander("Settings that are fixed, and ranges", icon=":material/lock:"):
        settings_form(made)
    if made is not None:
        _preview(made)
    else:
        st.warning(f"Not a lesson yet. {as_text(problem)}", icon=":material/error:")
    _buttons(server, made, changing)
    st.caption("Texts are shown as they are typed. Whoever has the link can read them: write no names of pupils.")


def _buttons(server: Services, made: Lesson | None, changing: tuple[str, Lesson] | None) -> None:
    """Keep what is in the form: as a new lesson, or under the code of the one that is corrected."""
    with st.container(horizontal=True):
        if changing is not None:
            code, before = changing
            wanted = st.button("Keep the changes", type="primary", icon=":material/save:", key="lesson.keep_change",
                               disabled=made in (None, before), help=f"The code {code} leads to the changed lesson then.")
            if wanted and made is not None:
                keep_change(server, code, before, made)
        kind = "secondary" if changing else "primary"
        wanted = st.button("Keep as a new lesson" if changing else "Keep this lesson", type=kind, icon=":material/save:",
                           key="lesson.keep", disabled=made is None, help="Gives it a link and a code of its own.")
        if wanted and made is not None:
            keep(server, made)
        if changing is not None:
            st.button("Make another lesson", icon=":material/add:", key="lesson.another", type="tertiary",
                      on_click=draft.begin_anew, help="Empties the form. What was not kept is gone then.")


def _begin_with(shipped: Mapping[str, Lesson], changing: bool) -> None:
    """Another lesson to change: one that comes with the app, or a file. changing: a kept one is corrected, for which a file of it
    may be brought back."""
    one, two = st.columns([1, 1.4], gap="large")
    key = draft.FORM.key("from")

    def copied() -> None:
        if chosen := st.session_state[key]:
            draft.take_copy(shipped[chosen])

    if not changing:
        one.selectbox("Begin with a copy of", [NO_COPY, *shipped], key=key, on_change=draft.FORM.heard(key, copied),
                      format_func=lambda name: shipped[name].title if name else "a lesson of my own")
    place, label = (one, "Replace it by a lesson's file (JSON)") if changing else (two, "Or with a lesson's file (JSON)")
    file = place.file_uploader(label, type="json", key=draft.FORM.key("file"), max_upload_size=1)
    if file is not None:
        try:
            found = read_lesson(file.getvalue())
        except ConfigError as error:
            draft.FORM.renew()  # forgets the file
            refuse(as_text(f"This file is no lesson: {error}"))
        draft.take(found)
        st.rerun()


def _about(server: Services) -> None:
    """What it is called, and what it starts from."""
    values = draft.values()
    _text("Title", "title", 80)
    _text("What it is about, in a line", "summary", 300)
    _choice("Settings that it starts with", "preset", list(PRESETS), values["preset"], {n: p.title for n, p in PRESETS.items()},
            lambda value: draft.put("preset", value))
    kind = kind_of(PRESETS[values["preset"]].config.data.dataset)
    known = {name: spec.title for name, spec in available(server.settings.data_dir, actor=ANYBODY).items() if spec.kind == kind}
    known |= {CLASS_DATA: "what the class draws on the page Class digits"} if kind == "images" else {}
    known |= {values["data"]: "a data set that is not here"} if values["data"] not in {"", *known} else {}
    _choice("Data set", "data", [ITS_OWN, *known], values["data"], known | {ITS_OWN: "the one of these settings"},
            lambda value: draft.put("data", value), "The class's own may be brought on Explore data first, as a zip file, or be "
            "drawn by the class: one of the steps is the page Class digits then.")
    _choice("Who starts equal settings gets", "seeds", list(SEEDS), values["seeds"], SEEDS,
            lambda value: draft.put("seeds", value), "The seed decides the random starting weights and the order of the images. "
            "With seeds of their own, the wall says how far results lie apart by chance alone. Seeds of one's own are given on a "
            "hosted server; a run on Home learns with one's own drawing, and is never shared.")


def _text(label: str, name: str, longest: int) -> None:
    key = draft.FORM.key(name)
    st.text_input(label, draft.values()[name], max_chars=longest, key=key,
                  on_change=draft.FORM.heard(key, lambda: draft.put(name, st.session_state[key])))


def _choice(label: str, name: str, options: list[str], value: str, titles: Mapping[str, str], put: Any, about: str = "") -> None:
    key = draft.FORM.key(name)
    st.selectbox(label, options, options.index(value) if value in options else 0, key=key, help=about or None,
                 format_func=lambda one: titles.get(one, one),
                 on_change=draft.FORM.heard(key, lambda: put(st.session_state[key])))


def _steps() -> None:
    """One step at a time, and buttons to add, move and remove."""
    steps = draft.values()["steps"]
    if st.session_state.get(draft.STEP, 0) not in range(len(steps)):
        st.session_state.pop(draft.STEP, None)
    first: dict[str, Any] = {} if draft.STEP in st.session_state else {"default": 0}
    number = st.segmented_control("Step", range(len(steps)), **first, key=draft.STEP, required=True, persist_state="session",
                                  format_func=lambda n: str(n + 1))
    step = steps[number]

    def put(name: str, key: str) -> None:
        draft.change_step(number, name, st.session_state[key])

    def field(name: str) -> dict[str, Any]:
        key = draft.FORM.key(f"{number}.{name}")
        return {"key": key, "on_change": draft.FORM.heard(key, put), "args": (name, key)}

    left, right = st.columns(2)
    left.text_input("What this step is called", step["title"], max_chars=300, **field("title"))
    right.selectbox("Page", PAGES, PAGES.index(step["page"]), format_func=TITLES.__getitem__, **field("page"))
    st.text_area("What to do", step["text"], max_chars=1500, height=130, **field("text"))
    left, right = st.columns(2)
    names = [SAME, *PRESETS]
    left.selectbox("Settings from here on", names, names.index(step["preset"]), **field("preset"),
                   format_func=lambda name: PRESETS[name].title if name else "as they are")
    key = draft.FORM.key(f"{number}.view")

    def opened() -> None:
        draft.change_step(number, "view", view_of(st.session_state[key]))
        if st.session_state[key].strip() and not draft.values()["steps"][number]["view"]:
            tell("This address says nothing about what is to be seen: the step opens its page as it is.", ":material/link_off:")

    right.text_input("Opened as in this address", "&".join(f"{name}={value}" for name, value in step["view"].items()), key=key,
                     max_chars=2000, on_change=draft.FORM.heard(key, opened),
                     help="Open the page elsewhere, choose what is to be seen, and paste its address here: what stands after the "
                     "question mark is kept.")
    with st.container(horizontal=True):
        for label, icon, call, args, possible in (
                ("Add a step", ":material/add:", draft.add_step, (number,), True),
                ("Earlier", ":material/arrow_upward:", draft.move_step, (number, -1), number > 0),
                ("Later", ":material/arrow_downward:", draft.move_step, (number, 1), number < len(steps) - 1),
                ("Remove", ":material/delete:", draft.remove_step, (number,), len(steps) > 1)):
            st.button(label, icon=icon, key=f"lesson.form.{label}", on_click=call, args=args, disabled=not possible)


def view_of(address: str) -> dict[str, str]:
    """What an address says after its question mark, without the run and the lesson that it names; nothing where it says nothing,
    or can't be read."""
    try:
        text = urlsplit(address.strip()).query or address.strip().removeprefix("?")
        return {name: value for name, value in parse_qsl(text, max_num_fields=50) if name not in RESERVED} if "=" in text else {}
    except ValueError:  # such as http://[, or too many parameters
        return {}


def _shown() -> None:
    """Pages besides those of the steps, and parts of each."""
    values = draft.values()
    mine = [page for page in PAGES if page in {step["page"] for step in values["steps"]}]
    st.caption("Of its steps: " + ", ".join(TITLES[page] for page in mine) + ".")
    key = draft.FORM.key("also")
    st.multiselect("Other pages that pupils may open", [page for page in PAGES if page not in mine],
                   [page for page in values["also"] if page not in mine], key=key, format_func=TITLES.__getitem__,
                   on_change=draft.FORM.heard(key, lambda: draft.put("also", st.session_state[key])))
    for page in [page for page in PAGES if page in {*mine, *values["also"]} and page in SECTIONS]:
        _parts(page)


def _parts(page: str) -> None:
    """All of them, or some."""
    key, every = draft.FORM.key(f"parts.{page}"), SECTIONS[page]

    def put() -> None:
        chosen = [part for part in every if part in st.session_state[key]]
        sections = {name: parts for name, parts in draft.values()["sections"].items() if name != page}
        draft.put("sections", sections if len(chosen) == len(every) else sections | {page: chosen})

    st.pills(f"Parts of {TITLES[page]}", every, selection_mode="multi", default=draft.values()["sections"].get(page, every),
             key=key, on_change=draft.FORM.heard(key, put))


def _preview(about: Lesson) -> None:
    """The bar and the menu, as pupils will see them."""
    number = st.session_state.get(draft.STEP, 0)
    with st.expander("What pupils see", icon=":material/preview:", expanded=True), st.container(border=True):
        draw_step(about, number + 1)
        menu = ", ".join(TITLES[page] for page in about.pages)
        st.caption(f"On the page {TITLES[about.steps[number].page]}. The menu: {menu}.")
