"""What tests of pages ask of an opened one."""

import json

from streamlit.testing.v1 import AppTest


def whole(at: AppTest) -> AppTest:
    """The page, which has raised nothing."""
    assert [e.value for e in at.exception] == []
    return at


def said(at: AppTest) -> str:
    """Its texts and notices, a line each."""
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.warning, at.info, at.error) for e in kind)


def bars(at: AppTest) -> list[dict]:
    """What each set of bars on the page shows: classes, values in % or None, title and line."""
    shown = [json.loads(one.proto.json or "null") for one in at.get("bidi_component")]
    return [one for one in shown if isinstance(one, dict) and "values" in one]
