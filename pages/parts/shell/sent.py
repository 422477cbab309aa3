"""What components of our own are sent, without pandas."""

from collections.abc import Mapping
from typing import Any


def as_sent(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with tuples for lists, which the browser gets alike: of a list or a dict Streamlit asks pandas whether it is a
    table, which costs the server 45 MB and its first page 0.3 s. A dict has to stand in a tuple."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
