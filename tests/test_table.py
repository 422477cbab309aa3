"""Tables of pages, beside those that Arrow and pandas make of the same values."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.dataframe_util import convert_anything_to_arrow_bytes

from pages.parts.widgets.table import column, columns_table, rows_table

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # without halves of characters, which are no text
CELLS = [st.integers(-2**63, 2**63 - 1), st.floats(), st.booleans(), TEXTS, st.datetimes(timezones=st.just(UTC)),
         st.lists(TEXTS), st.integers(-2**53, 2**53) | st.floats()]


@settings(max_examples=60)
@given(st.sampled_from(CELLS).flatmap(lambda cells: st.lists(st.none() | cells)))
def test_columns_are_those_that_arrow_makes(values):
    """From the same bytes on: a number that is NaN is an empty cell, as pandas has it."""
    ours, arrows = column(values), pa.array(values, from_pandas=True)
    ours.validate(full=True)
    assert ours.to_pylist() == arrows.to_pylist()
    if ours.type != arrows.type:  # whole numbers among which some are missing as NaN stay whole
        assert ours.type == pa.int64() and arrows.type == pa.float64() or pa.types.is_null(ours.type)


def test_numbers_of_numpy_ranges_and_times_of_any_zone():
    assert column([np.float32(0.5), np.int64(2), None]).to_pylist() == [0.5, 2.0, None]
    assert column(range(3)).to_pylist() == [0, 1, 2] and column((np.True_, False)).to_pylist() == [True, False]
    assert column([2**70, 1]).to_pylist() == [2.0**70, 1.0]  # of a network that nobody can build
    noon = datetime(2026, 1, 2, 12, 0, 0, 5, timezone(timedelta(hours=2)))
    assert column([noon]).to_pylist() == [noon.astimezone(UTC)]
    assert column(["half \ud83d of it"]).to_pylist() == ["half ? of it"]  # as in names of files


@pytest.mark.parametrize("values", [[1, "a"], [True, 1], [datetime(2026, 1, 1)], [{"a": 1}], [object()], [["a"], [1]],
                                    ["a", [1]]])
def test_what_does_not_go_together_is_named(values):
    with pytest.raises(TypeError, match="Chosen: "):
        columns_table({"Chosen": values})


def test_rows_may_lack_what_others_have():
    table = rows_table([{"a": 1}, {"b": "x", "a": 2}, {"a": None, "c": 0.5}])
    assert table.to_pydict() == {"a": [1, 2, None], "b": [None, "x", None], "c": [None, None, 0.5]}
    assert rows_table([]).shape == (0, 0)


def test_an_index_reads_as_that_of_pandas():
    """And without one the table has none."""
    table = rows_table([{"Run": "one", "a": 1.5, "b": "x"}, {"Run": "two", "a": None, "b": "y"}], index="Run")
    wanted = pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]}, index=pd.Index(["one", "two"], name="Run"))
    pd.testing.assert_frame_equal(pa.ipc.open_stream(convert_anything_to_arrow_bytes(table)).read_pandas(), wanted)
    assert columns_table({"a": [1]}).schema.metadata is None
