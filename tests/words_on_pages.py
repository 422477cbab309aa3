"""All texts of an opened page that Streamlit takes for Markdown or HTML, or Plotly for markup."""

from collections.abc import Iterator

from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

# What is drawn as it is: our own components (a test reads their source), code, tables, what stands in fields, choices of a list;
# and what only programs read, or read out as an attribute.
LITERAL_ELEMENTS = {"bidi_component", "code", "text", "arrow_data_frame", "json", "exception", "imgs", "iframe"}
LITERAL_FIELDS = {
    "alt", "id", "key", "form_id", "element_id", "value", "default", "set_value", "raw_values", "url", "page", "page_script_hash",
    "query_string", "query_param_key", "query_params"}
LISTS = {"selectbox", "multiselect"}


def markup(at: AppTest) -> Iterator[tuple[str, str]]:
    """Where each such text stands ("button.label") and what it is."""
    for block in (at.main, at.sidebar, at._tree):
        yield from _of(block)


def _of(node) -> Iterator[tuple[str, str]]:
    proto = getattr(node, "proto", None)
    if isinstance(proto, Message) and node.type not in LITERAL_ELEMENTS:
        yield from _strings(proto, node.type)
    for child in getattr(node, "children", {}).values():
        yield from _of(child)


def _strings(message: Message, place: str) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        if field.name in LITERAL_FIELDS or (place in LISTS and field.name == "options"):
            continue
        values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
        for one in values:
            if isinstance(one, str):
                yield f"{place}.{field.name}", one
            elif isinstance(one, Message):
                yield from _strings(one, f"{place}.{field.name}")
