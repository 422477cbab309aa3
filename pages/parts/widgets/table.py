"""Tables of pages without pandas, which would cost the server 45 MB and its first table 0.3 s.

Streamlit takes Arrow's tables as they are and imports pandas for all else, lists of rows too; so does Arrow's own pa.array(), to
see whether it has been given some of it. So columns are put together from their bytes here, and every table comes from here.
Arrow itself, 25 MB, is imported with the first table: Home has none.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = {"string": "unicode", "double": "float64", "null": "empty"}  # what pandas calls some of Arrow's types
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FURTHEST = 2**63  # whole numbers further from 0 are floats


def draw_table(table: "pa.Table", **options: Any) -> None:
    """st.dataframe() of a table of rows_table() or columns_table(), with its options."""
    st.dataframe(table, lazy=False, **options)  # lazy: for that it asks first whether the table is one of pandas


def rows_table(rows: Sequence[Mapping[str, Any]], index: str | None = None) -> "pa.Table":
    """A table of rows: column → value, with columns in the order in which they first occur. A key that is missing in a row is an
    empty cell there. See columns_table()."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return columns_table({name: [row.get(name) for row in rows] for name in names}, index)


def columns_table(columns: Mapping[str, Sequence[Any]], index: str | None = None) -> "pa.Table":
    """A table of columns: name → its values. index: the column whose values name the rows, which stays where it is as one scrolls
    sideways. Raises TypeError where a column has values that do not go together, see column()."""
    import pyarrow as pa

    found = {}
    for name, values in columns.items():
        try:
            found[name] = column(values)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
    table = pa.Table.from_arrays(list(found.values()), list(found))
    return table if index is None else table.replace_schema_metadata({"pandas": json.dumps(_as_pandas_says(table, index))})


def column(values: Sequence[Any]) -> "pa.Array":
    """Values of one kind: numbers (whole ones and others together are floats), bools, texts, times with a zone, or lists of one
    of these. None and NaN are empty cells. Raises TypeError for any other value, and where kinds are mixed."""
    import pyarrow as pa

    cells = [None if value is None or value != value else value for value in values]
    there = [value is not None for value in cells]
    known = [value for value in cells if value is not None]
    if not known:
        return pa.nulls(len(cells))
    if all(isinstance(value, bool | np.bool_) for value in known):
        return _array(pa.bool_(), there, _bits([bool(value) for value in cells]))
    if any(isinstance(value, bool | np.bool_) for value in known):
        raise TypeError("bools and other values in one column")
    if all(isinstance(value, int | np.integer) and -FURTHEST <= value < FURTHEST for value in known):
        return _array(pa.int64(), there, np.array([value or 0 for value in cells], np.int64))
    if all(isinstance(value, int | float | np.integer | np.floating) for value in known):
        return _array(pa.float64(), there, np.array([value or 0.0 for value in cells], np.float64))
    if all(isinstance(value, str) for value in known):
        encoded = [(value or "").encode(errors="replace") for value in cells]
        return _array(pa.string(), there, _offsets(encoded), b"".join(encoded))
    if all(isinstance(value, datetime) and value.tzinfo for value in known):
        times = [((value or EPOCH) - EPOCH) // timedelta(microseconds=1) for value in cells]
        return _array(pa.timestamp("us", "UTC"), there, np.array(times, np.int64))
    if all(isinstance(value, list | tuple) for value in known):
        lists = [value or () for value in cells]
        inner = column([entry for entries in lists for entry in entries])
        return _array(pa.list_(inner.type), there, _offsets(lists), children=[inner])
    raise TypeError(f"values of the kinds {', '.join(sorted({type(value).__name__ for value in known}))} in one column")


def _array(kind: "pa.DataType", there: list[bool], *parts: np.ndarray | bytes, children: "list[pa.Array] | None" = None,
           ) -> "pa.Array":
    """See https://arrow.apache.org/docs/format/Columnar.html for the parts that each kind has."""
    import pyarrow as pa

    buffers = [None if all(there) else _bits(there), *parts]
    return pa.Array.from_buffers(kind, len(there), [part if part is None else pa.py_buffer(part) for part in buffers],
                                 children=children)


def _bits(values: list[bool]) -> bytes:
    return np.packbits(values, bitorder="little").tobytes()


def _offsets(values: Sequence[Sequence[Any] | bytes]) -> np.ndarray:
    """Where each begins, and where the last one ends."""
    return np.cumsum([0, *map(len, values)], dtype=np.int32)


def _as_pandas_says(table: "pa.Table", index: str) -> dict[str, Any]:
    """What pandas writes into a table of which one column is its index, as Streamlit reads it."""
    columns = [{"name": field.name, "field_name": field.name, "pandas_type": KINDS.get(str(field.type), str(field.type)),
                "numpy_type": "object", "metadata": None} for field in table.schema]
    return {"index_columns": [index], "columns": columns, "column_indexes": [
        {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}]}
