"""What every page begins with: configuration, menu, and finding the run in the address again."""

import gc
import linecache
import os
from pathlib import Path

import streamlit as st
import torch
from streamlit.errors import StreamlitPageNotFoundError

from core.config_text import LONGEST
from core.devices import describe_device
from pages.parts.shell import keys, lesson
from pages.parts.shell.lesson_bar import lesson_bar
from pages.parts.shell.links import Group, show_links
from pages.parts.shell.menu import LABS, MENU
from pages.parts.shell.notices import draw_notices
from pages.parts.shell.streamlit_private import came_by_history, change_address, ignore_fragments_of_left_pages
from pages.parts.shell.visitor import arrive, doors

ICON = Path(__file__).parents[3] / "assets" / "icon.png"  # a named icon would be fetched from the internet
STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
DRAFT_NAMES = ("config", "preset")  # of what an address says of the draft: see pages.parts.draft.address
PATHS = {entry[0]: path for path, entry in (*MENU.items(), *LABS.items())}  # title → path


def open_page(title: str, style: str = "") -> None:
    """Set the page up. To be called first on every page. style: CSS of its own."""
    st.set_page_config(page_title=f"{title} · Torch Playground", page_icon=str(ICON), layout="wide")
    st.html(f"<style>{STYLE}{style}</style>")
    st.session_state[keys.PAGE_BEFORE], st.session_state[keys.PAGE] = st.session_state.get(keys.PAGE), title
    arrive()
    freeze_imports(title)
    _recover_run()
    _recover_draft()
    with st.sidebar:
        labs = {path: (label, icon) for path, (label, _, icon) in LABS.items()}
        groups = [Group(_shown(MENU), "Torch Playground", name=True), Group(_shown(labs), "Learn")]
        show_links([group for group in groups if group.links or group.name], "frame.menu", "Pages", go_to, query_of,
                   here=PATHS.get(title, ""), foot=device())
        doors()
    draw_notices()
    lesson_bar(lesson.page_of(PATHS.get(title, "")))


def _shown(links: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Those that can be opened now: in a lesson, its own."""
    return {path: link for path, link in links.items() if lesson.shows(path)}


def tab_title(state: str) -> None:
    """Say in the browser tab's title how a run is doing: "37 % – Train model"."""
    st.set_page_config(page_title=f"{state} – {st.session_state[keys.PAGE]}")


@st.cache_resource(show_spinner=False)
def freeze_imports(page: str) -> None:
    """Once a server for each page, after its imports: Streamlit collects garbage after every script run, and what is frozen
    (torch's objects, then this page's) is not looked at again: a rerun takes 24 instead of 198 ms. The first page's imports left
    nothing to collect, as core.process.configure() says. What is set for the process is set here too."""
    ignore_fragments_of_left_pages()
    torch.set_num_threads(1)  # the cores are the training process's: what is computed for one visitor keeps no other waiting
    linecache.clearcache()  # 3 MB of torch's source, which its imports read; a traceback reads it again
    if gc.isenabled():  # not the first page, whose visitor has waited for torch
        gc.collect()
    gc.freeze()
    gc.enable()


def is_dark() -> bool:
    """Whether the visitor's page is dark, for pictures that can't follow it by themselves."""
    return st.context.theme.type == "dark"


def device() -> str:
    """The device runs get if they don't ask for another, for people."""
    return "Ray cluster" if os.environ.get("PLAYGROUND_ENGINE") == "ray" else _own_device()


@st.cache_resource(show_spinner=False)
def _own_device() -> str:
    return describe_device().title


def query_of(path: str) -> dict[str, str]:
    """What a page's address says after the question mark: the run that is looked at, the draft, which a reload of any page
    would lose otherwise, and the lesson that is taken."""
    run = st.session_state.get(keys.RUN)
    return ({"run": run} if run else {}) | st.session_state.get(keys.DRAFT_QUERY, {}) | lesson.query()


def link(path: str, label: str, icon: str | None = None) -> None:
    """A link to a page that keeps the run in the address; none where a lesson does not show that page. On a page that runs alone
    there are no others: plain text."""
    if not lesson.shows(path):
        return
    try:
        st.page_link(path, label=label, icon=icon, query_params=query_of(path) or None)
    except (StreamlitPageNotFoundError, KeyError):
        st.caption(label)


def go_to(path: str) -> None:
    """Open another page with the current run; stays where a page runs alone."""
    if Path(path).name in {Path(known).name for known in (*MENU, *LABS)}:
        try:
            # no parameters are {}: None is refused where a widget stands in the address
            st.switch_page(path, query_params=query_of(path))
        except (StreamlitPageNotFoundError, KeyError):
            st.rerun()


def page_button(path: str, label: str, icon: str, key: str, primary: bool = False, about: str | None = None) -> None:
    """A button that opens another page; none where a lesson does not show that page."""
    if lesson.shows(path) and st.button(label, icon=icon, key=key, type="primary" if primary else "secondary", help=about):
        go_to(path)


def select_run(run_id: str | None, without: tuple[str, ...] = ()) -> None:
    """Make a run the one that all pages look at, in the session and in the address. without: what its address needs no more."""
    st.session_state[keys.RUN] = run_id
    change_address({name: None for name in without} | {"run": run_id or None})


def _recover_run() -> None:
    """The address wins: it is what was reloaded, shared or gone back to. Else the session's run is put back into it."""
    asked = st.query_params.get("run")
    if asked or came_by_history():  # before a run was started there was none
        st.session_state[keys.RUN] = asked
    elif st.session_state.get(keys.RUN):
        st.query_params["run"] = st.session_state[keys.RUN]


def _recover_draft() -> None:
    """What the address of a session's first page says of the draft, for links to the next one. It is read, or refused, by the
    first page that shows the draft: see pages.parts.draft.address."""
    if keys.DRAFT_QUERY not in st.session_state:
        st.session_state[keys.DRAFT_QUERY] = {name: text for name in DRAFT_NAMES
                                              if (text := st.query_params.get(name)) and len(text) <= LONGEST}
