"""Links to pages, all of a place in one component of our own: each of Streamlit's own costs a server and a browser as much."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

HERE = Path(__file__).parent
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.links", html="<nav class='links'></nav>", css=(HERE / "links.css").read_text(encoding="utf-8"),
    js="".join((HERE / name).read_text(encoding="utf-8") for name in ("reachable.js", "values.js", "settles.js", "links.js")))


@dataclass(frozen=True)
class Group:
    """Links below each other. links: path → (label, icon), a path with "#" and anything where several lead to one page. title:
    above them, "" for none. name: whether that is the app's. strong: the path of the link that looks like a button."""

    links: Mapping[str, tuple[str, str]]
    title: str = ""
    name: bool = False
    strong: str = ""


def show_links(groups: Sequence[Group], key: str, label: str, on_choose: Callable[[str], None],
               query: Callable[[str], dict[str, str]], here: str = "", foot: str = "", row: bool = False) -> None:
    """Draw them. on_choose(path) is called when a person has chosen one, before the page runs.

    label: what they are, for screen readers. query(path): what the page's address says after the question mark. here: the path
    of the page that is open, which is marked. foot: a line below. row: beside each other.
    """
    paths = [path for group in groups for path in group.links]

    # an event for each link: where a page has only just begun, Streamlit no longer knows what an event has brought
    chosen = {f"on_{path}_change": partial(on_choose, path) for path in paths}
    # tuples: see pages.parts.shell.sent
    shown = tuple({"title": group.title, "name": group.name, "links": [
        [_address(path), text, icon.removeprefix(":material/").removesuffix(":")] for path, (text, icon) in group.links.items()],
        "strong": list(group.links).index(group.strong) if group.strong else -1} for group in groups)
    _component(key=key, height="content", **chosen,
               data={"groups": shown, "label": label, "events": tuple(paths), "here": paths.index(here) if here in paths else -1,
                     "queries": tuple(urlencode(query(path)) for path in paths), "foot": foot, "row": row})


def _address(path: str) -> str:
    """A page's name in the address: "train_model"; "" for Home."""
    file = path.partition("#")[0]
    return "" if file == "app.py" else file.removeprefix("pages/").removesuffix(".py")
