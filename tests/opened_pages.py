"""What tests of pages ask of an opened one."""

from streamlit.testing.v1 import AppTest


def whole(at: AppTest) -> AppTest:
    """The page, which has raised nothing."""
    assert [e.value for e in at.exception] == []
    return at


def said(at: AppTest) -> str:
    """Its texts and notices, a line each."""
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.warning, at.info, at.error) for e in kind)
