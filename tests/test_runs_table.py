"""The table of runs: its columns, which runs a view shows in which order, which are best, and views in addresses."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.config import RunConfig
from core.figures.palette import GREY, OF_RUNS, run_colours
from core.presets import PRESETS
from core.runs.table import (
    COLUMNS,
    RESULTS,
    SETTINGS,
    SHOWN_AS,
    Entry,
    best,
    differing,
    ordered,
    settings_of,
    text_of,
    usual_columns,
)
from core.runs.view import MOST_CONDITIONS, MOST_SELECTED, PARAMETERS, Condition, View, matching, read_view, shown, write_view
from core.takeaway.runs_table import runs_csv
from tests.helpers import tiny

quick = hypothesis_settings(max_examples=30)


def entry(number: int = 1, title: str = "", **values) -> Entry:
    """A row as the store gives it. Dotted columns with __ for the dot."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Entry(number, f"{number:032x}", title, {
        "name": title or f"{number:032x}"[:8], "starred": False, "status": "finished", "network": "mlp", "data": "digits",
        "task": "classes", "note": "", "tags": (), "date": float(number), "archived": False} | named)


# --- columns and settings

@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_of_a_run_is_a_column(name):
    found = settings_of(PRESETS[name].config.model_dump_json())
    assert set(found) <= set(SETTINGS) | set(SHOWN_AS)
    assert found["training.epochs"] == PRESETS[name].config.training.epochs


def test_no_two_columns_are_called_the_same():
    labels = [column.label for column in COLUMNS.values()]
    assert len(set(labels)) == len(labels) and len(COLUMNS) == len(RESULTS) + len(SETTINGS)


def test_settings_of_an_earlier_version_and_of_none():
    """A field that was not yet there had the value that it has now unless somebody says otherwise."""
    whole = tiny(training__batch_size=16, model__hidden=[32, 8])
    values = json.loads(whole.model_dump_json())
    del values["training"]["l1"], values["data"]["join"]
    assert settings_of(json.dumps(values)) == settings_of(whole.model_dump_json())
    assert settings_of(whole.model_dump_json())["model.hidden"] == "32, 8"
    assert [settings_of(text) for text in ("", "{", "[]", "null", "7")] == [{}] * 5
    assert settings_of('{"data": 7, "training": null}')["training.batch_size"] == RunConfig().training.batch_size


def test_what_only_one_kind_of_network_has_makes_no_column():
    mlp = entry(1, network="mlp", model__hidden="50", training__seed=1, training__epochs=5)
    cnn = entry(2, network="cnn", model__kernel=3, training__seed=2, training__epochs=5)
    wide = entry(3, network="mlp", model__hidden="100", training__seed=1, training__epochs=5)
    assert differing([mlp, cnn]) == ["training.seed"]
    assert differing([mlp, cnn, wide]) == ["model.hidden", "training.seed"]
    assert differing([mlp]) == differing([]) == []


values = st.sampled_from([None, 1, 2, 0.5, True, "a", "B", "10"])
three = st.sampled_from(["training.seed", "training.threads", "model.hidden"])
tables = st.lists(st.dictionaries(three, values), max_size=6).map(
    lambda rows: [entry(number + 1, **{name.replace(".", "__"): value for name, value in row.items()})
                  for number, row in enumerate(rows)])


@quick
@given(tables)
def test_a_setting_is_a_column_where_two_runs_that_have_it_differ(entries):
    for key in ("training.seed", "training.threads", "model.hidden"):
        have = [one.values[key] for one in entries if key in one.values]
        assert (key in differing(entries)) == any(a != b for a in have for b in have)


def test_the_usual_columns():
    rows = [entry(1, test_accuracy=0.9, training__seed=1), entry(2, training__seed=2, test_accuracy=None, loss=None)]
    assert usual_columns(rows) == ["name", "status", "network", "data", "test_accuracy", "training.seed", "date"]
    rows.append(entry(3, task="a number", data="line", test_loss=0.0, tags=("x",), starred=True, archived=True, by_hand=2))
    assert usual_columns(rows) == ["name", "starred", "status", "network", "data", "task", "test_accuracy", "test_loss",
                                   "by_hand", "training.seed", "tags", "date", "archived"]


# --- order, filters, the best

@quick
@given(tables, st.sampled_from(["training.seed", "training.threads", "model.hidden", "date", "name"]), st.booleans())
def test_order(entries, column, descending):
    """All of them; those without a value last; of equal ones the newest first; and descending is ascending turned round."""
    found = ordered(entries, column, descending)
    assert sorted(one.number for one in found) == [one.number for one in entries]
    having = [one for one in found if one.values.get(column) is not None]
    assert found[:len(having)] == having
    ranks = [(isinstance(one.values[column], str), one.values[column] if not isinstance(one.values[column], str) else
              one.values[column].casefold()) for one in having]
    assert ranks == sorted(ranks, reverse=descending)
    for first, second in zip(having, having[1:], strict=False):
        assert first.values[column] != second.values[column] or first.number > second.number
    missing = [one.number for one in found[len(having):]]
    assert missing == sorted(missing, reverse=True)


CASES = [
    (Condition("status", "=", ("finished", "failed")), [1, 3]), (Condition("status", "=", ("stopped",)), [2]),
    (Condition("test_accuracy", ">=", ("0.9",)), [1, 3]), (Condition("test_accuracy", "<=", ("0.9",)), [3]),
    (Condition("test_accuracy", "=", ("",)), [2]), (Condition("training.seed", "=", ("7",)), [2]),
    (Condition("starred", "=", ("yes",)), [3]), (Condition("tags", "=", ("good", "old")), [1, 2]),
    (Condition("tags", "=", ("",)), [3]), (Condition("note", "~", ("WORLD hello",)), [1]),
    (Condition("name", "~", ("run",)), [1, 2]),
    (Condition("network", "~", ("mlp",)), [1, 2, 3]), (Condition("date", ">=", ("1970-01-02",)), [2]),
    (Condition("date", "<=", ("1970-01-01",)), [1, 3]), (Condition("model.hidden", ">=", ("1",)), []),
]


@pytest.mark.parametrize(("condition", "numbers"), CASES, ids=str)
def test_a_filter(condition, numbers):
    rows = [entry(1, "run one", test_accuracy=0.95, note="hello, World", tags=("good",)),
            entry(2, "Run two", status="stopped", training__seed=7, tags=("old", "b"), date=90_000.0),
            entry(3, test_accuracy=0.9, status="failed", starred=True)]
    found = shown(rows, View(conditions=(condition,), sort="name", descending=False))
    assert sorted(one.number for one in found) == numbers and matching(rows, View(conditions=(condition,))) == len(numbers)


def test_words_are_looked_for_in_name_note_tags_network_and_data():
    rows = [entry(1, "Night run"), entry(2, note="a night"), entry(3, tags=("nightly",)), entry(4, network="cnn"),
            entry(5, data="mnist"), entry(6, status="night")]

    def found(words, **view):
        return [one.number for one in shown(rows, View(words=words, **view))]

    assert found("NIGHT") == [3, 2, 1] and found("night run") == [1] and found("mnist") == [5] and found("digits CNN") == [4]
    assert found("multilayer") == [6, 5, 3, 2, 1]
    assert found("digits") == [6, 4, 3, 2, 1] and found("") == [6, 5, 4, 3, 2, 1] and found(f"{2:032x}") == [2]
    assert found("nothing", selected=(2, 4)) == [4, 2], "what is selected stays"


def test_archived_runs_are_shown_where_asked_for():
    rows = [entry(1), entry(2, archived=True), entry(3)]
    for asked, numbers in {"no": [3, 1], "also": [3, 2, 1], "only": [2]}.items():
        assert [one.number for one in shown(rows, View(archived=asked))] == numbers
    assert [one.number for one in shown(rows, View(selected=(2,)))] == [3, 2, 1]


def test_the_best_among_what_can_be_compared():
    rows = [entry(1, test_accuracy=0.9, test_loss=0.3, training__loss="cross_entropy", seconds=5.0),
            entry(2, test_accuracy=0.8, test_loss=0.1, training__loss="cross_entropy", seconds=9.0),
            entry(3, test_accuracy=0.9, test_loss=0.01, training__loss="nll", seconds=1.0, status="failed"),
            entry(4, test_accuracy=0.99, data="mnist"), entry(5, test_accuracy=0.5, task="is it class 8?")]
    assert best(rows) == {1: ["test_accuracy", "seconds"], 2: ["test_loss"], 3: ["test_accuracy"]}
    assert best(rows[:1]) == best([]) == {}
    assert best([entry(number, test_accuracy=0.5) for number in range(3)]) == {}, "nobody is better"


# --- views in addresses

words = st.text(st.characters(codec="utf-8"), max_size=20)
columns = st.sampled_from(list(COLUMNS))
conditions = st.one_of(
    st.builds(Condition, columns, st.just("="), st.lists(words, min_size=1, max_size=3, unique=True).map(tuple)),
    st.builds(Condition, columns, st.just("~"), words.filter(lambda text: text.split()).map(lambda text: (text,))),
    st.builds(Condition, st.sampled_from(["seconds", "test_accuracy", "training.batch_size"]), st.sampled_from([">=", "<="]),
              st.floats(allow_nan=False, allow_infinity=False).map(lambda number: (repr(number),))),
    st.builds(Condition, st.just("date"), st.sampled_from([">=", "<="]), st.dates().map(lambda day: (day.isoformat(),)).filter(
        lambda day: "1000" < day[0] < "9999-12-31")))
views = st.builds(View, words=words.map(lambda text: " ".join(text.split())),
                  conditions=st.lists(conditions, max_size=3, unique=True).map(tuple), sort=st.sampled_from(list(COLUMNS)),
                  descending=st.booleans(), archived=st.sampled_from(["no", "also", "only"]),
                  columns=st.none() | st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=5, unique=True).map(tuple),
                  selected=st.sets(st.integers(1, 10**9 - 1), max_size=8).map(lambda found: tuple(sorted(found))))


@quick
@given(views)
def test_a_view_comes_back_from_its_address(view):
    assert read_view(write_view(view)) == view


any_text = st.text(max_size=30) | st.from_regex(r"[a-z_.]{1,20}(>=|<=|=|~)[-0-9a-z|%]{0,20}", fullmatch=True) | st.from_regex(
    r"([0-9]{1,11}-?[0-9]{0,11},?){1,4}", fullmatch=True)


@quick
@given(st.dictionaries(st.sampled_from(PARAMETERS), st.lists(any_text, max_size=4)))
def test_any_address_is_a_view(parameters):
    view = read_view(parameters)
    assert read_view(write_view(view)) == view
    assert view.sort in COLUMNS and set(view.columns or ()) <= set(COLUMNS) and len(view.selected) <= MOST_SELECTED
    shown([entry(1, test_accuracy=0.5, tags=("a",)), entry(2)], view)  # and it can be looked at


@pytest.mark.parametrize(("parameters", "view"), [
    ({}, View()), ({"sort": ["nothing"]}, View()), ({"sort": ["-seconds"]}, View(sort="seconds")),
    ({"sort": ["name"]}, View(sort="name", descending=False)), ({"archived": ["all"]}, View()),
    ({"where": ["seed=1", "training.seed=1", "__class__=x", "date>=yesterday", "name>=3", "seconds>=nan", "note~ "]},
     View(conditions=(Condition("training.seed", "=", ("1",)),))),
    ({"columns": ["name,<script>,seconds,name"]}, View(columns=("name", "seconds"))),
    ({"selected": ["3,1-2,x,-4,5-,9-7,1e3,٣"]}, View(selected=(1, 2, 3))),
], ids=str)
def test_addresses(parameters, view):
    assert read_view(parameters) == view


def test_an_address_is_bounded():
    view = read_view({"words": ["x" * 10**6], "selected": ["1-999999999,5000000-6000000"], "where": ["note~" + "x" * 10**6, *(
        f"training.seed={number}" for number in range(100))]})
    assert (len(view.words), len(view.selected), len(view.conditions)) == (200, MOST_SELECTED, MOST_CONDITIONS)


# --- colours, and the file

@quick
@given(st.sets(st.integers(1, 400), max_size=25), st.integers(401, 500))
def test_colours_of_runs(numbers, younger):
    found = run_colours(numbers)
    assert set(found) == numbers and GREY not in found.values()
    counts = [list(found.values()).count(colour) for colour in OF_RUNS]
    assert max(counts) - min(counts) <= 1, "none is used twice while another is free"
    assert {number: run_colours(numbers | {younger})[number] for number in numbers} == found


def test_the_file_of_the_table():
    rows = [entry(1, '=HYPERLINK("http://x")', note="-1+1", tags=("@a", "b"), test_accuracy=1 / 3, starred=True,
                  training__seed=7, date=datetime(2026, 11, 29, tzinfo=UTC).timestamp()),
            entry(2, "two\nlines, and a comma", data="+data", test_accuracy=None)]
    columns = ["name", "note", "tags", "data", "test_accuracy", "starred", "training.seed", "date"]
    head, first, second = csv.reader(io.StringIO(runs_csv(rows, columns).decode()))
    assert head == ["run", *columns]
    assert first == [rows[0].id, "'=HYPERLINK(\"http://x\")", "'-1+1", "'@a, b", "digits", repr(1 / 3), "yes", "7",
                     "2026-11-29T00:00:00+00:00"]
    assert second[1:5] == ["two lines, and a comma", "", "", "'+data"] and second[5] == ""


def test_text_of_a_value():
    assert [text_of(one) for one in (None, True, False, 0.001, 5, "a", ("a", "b"), ())] == [
        "", "yes", "no", "0.001", "5", "a", "a, b", ""]
