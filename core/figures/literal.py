"""Words of people in Plotly's charts: it reads <b>, <a href=…> and <br> as markup, and %{…} in what it shows on hovering."""

from collections.abc import Sequence
from html import escape


def literal(text: str) -> str:
    """The text as Plotly shows it unchanged: a class's name, a run's title."""
    return escape(text, quote=False).replace("%{", "%&#123;")


def literals(texts: Sequence[str]) -> list[str]:
    return [literal(text) for text in texts]
