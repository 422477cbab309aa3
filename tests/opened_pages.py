"""What tests of pages ask of an opened one."""

import json
from collections.abc import Iterator
from itertools import chain

from streamlit.testing.v1 import AppTest

from pages.parts.learn.questions import QUESTIONS


def whole(at: AppTest) -> AppTest:
    """The page, which has raised nothing."""
    assert [e.value for e in at.exception] == []
    return at


def said(at: AppTest) -> str:
    """Its texts and notices, a line each."""
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.warning, at.info, at.error) for e in kind)


def bars(at: AppTest) -> list[dict]:
    """What each set of bars on the page shows: classes, values in % or None, title and line."""
    shown = [json.loads(one.proto.json or "null") for one in at.main.get("bidi_component")]
    return [one for one in shown if isinstance(one, dict) and "values" in one]


def offers(at: AppTest) -> dict[str, dict]:
    """What can be chosen in components of cards or rows, by the name of each: see pages.parts.widgets.offers.Offer."""
    shown = [json.loads(one.proto.json or "null") for one in at.main.get("bidi_component")]
    return {offer["name"]: offer for one in shown if isinstance(one, dict) for offer in one.get("offers", [])}


def menu(at: AppTest) -> dict[str, list[str]]:
    """The pages that the menu links to, below each of its titles."""
    [shown] = [json.loads(one.proto.json) for one in at.sidebar.get("bidi_component")]
    return {group["title"]: [label for _, label, _ in group["links"]] for group in shown["groups"]}


def everything(at: AppTest, but: str = "") -> str:
    """All that can be read on the page, in the open and in what can be opened: texts, code, tables, figures' words and what
    stands in controls, but no choices that are not taken. but: the key of a widget whose box is left out."""
    return "\n".join(_read(at.main, but))


def _read(block, but: str) -> Iterator[str]:
    for child in block.children.values():
        if hasattr(child, "children"):
            rows = [inner for inner in child.children.values() if hasattr(inner,
                                                                          "children")]  # the question's widgets are in a row
            if not any(getattr(inner, "key", None) == but for row in rows for inner in row.children.values()):
                yield from _read(child, but)
        elif child.type == "arrow_data_frame":
            yield child.value.to_string()
        elif child.type == "plotly_chart":
            yield from _words(json.loads(child.proto.spec))
        elif child.type == "graphviz_chart":
            yield child.proto.spec
        else:
            yield f"{getattr(child, 'label', '')} {getattr(child, 'value', '')}"


def _words(part) -> Iterator[str]:
    """The words of a figure; its numbers are packed and not for reading."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict | list):
        for name, inner in part.items() if isinstance(part, dict) else enumerate(part):
            if name not in ("template", "bdata", "dtype"):
                yield from _words(inner)


def skip_questions(at: AppTest) -> AppTest:
    """The page before its first run, as for a reader who has skipped every lab's question: what answers them is shown."""
    for question in chain.from_iterable(questions.values() for questions in QUESTIONS.values()):
        at.session_state[f"{question.key}.answered"] = "skipped"
    return at
