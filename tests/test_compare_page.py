"""Compare runs: the table of all runs, what its address says, what is done to many at once, and undoing it."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.figures.palette import run_colours
from core.runs import Metric, RunStore, checkpoint_path
from core.runs.annotations import Change
from core.runs.table import COLUMNS, COMPARED
from pages.parts.compare.grid import TABLE, _config, _dot
from pages.parts.compare.many import csv_of
from pages.parts.runs import usable
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from tests.helpers import tiny
from tests.opened_pages import said, whole
from tests.test_pages import alone, runs  # noqa: F401

PAGE = "pages/compare_runs.py"


def add(store: RunStore, title: str, accuracy: float | None = None, status="finished", **changes) -> str:
    """A run that has ended, with two epochs if it has an accuracy."""
    run = store.create_running(tiny(**changes), "ann", "here", title)
    if accuracy is not None:
        results = {"validation_accuracy": accuracy, "validation_loss": 1 - accuracy}
        store.record(run.id, [Metric(name, step, value) for name, value in results.items() for step in (10, 20)], step=20,
                     epoch=2, validation_accuracy=accuracy)
    store.finish(run.id, status, "", test_accuracy=accuracy, test_loss=None if accuracy is None else 1 - accuracy, seconds=1.0)
    return run.id


@pytest.fixture
def three(runs) -> list[str]:  # noqa: F811
    """The ids of three runs with the numbers 1 to 3."""
    return [add(runs, "first", 0.9, training__batch_size=16), add(runs, "second", 0.95, training__batch_size=32),
            add(runs, "third", status="failed", training__batch_size=32)]


def opened(run: str | None = None, **parameters) -> AppTest:
    """The page with what an address says."""
    at = AppTest.from_file(str(alone.__globals__["ROOT"] / PAGE), default_timeout=60)
    for name, value in ({"run": run} if run else {}).items():
        at.query_params[name] = value
    for name, value in parameters.items():
        at.query_params[name] = value
    return whole(at.run())


def names(at: AppTest) -> list[str]:
    return list(at.dataframe[0].value["name"])


def press(at: AppTest, key: str) -> AppTest:
    return whole(at.button(key=key).click().run())


def choose(at: AppTest, *rows: int) -> AppTest:
    """Select rows of the table, as a press on their boxes does."""
    at.session_state[TABLE] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return whole(at.run())


def address(at: AppTest) -> dict[str, list[str]]:
    return {name: list(values) if isinstance(values, list) else [values] for name, values in at.query_params.items()
            if name != "run"}


def test_the_table(three):
    at = opened()
    table = at.dataframe[0].value
    assert names(at) == ["third", "second", "first"]
    assert list(table["test_accuracy"].fillna(-1)) == pytest.approx([-1, 95, 90])
    assert list(table["training.batch_size"]) == [32, 32, 16] and "training.seed" not in table
    assert [list(marks) for marks in table["best"]] == [
        [], ["Test accuracy", "Best accuracy", "Last accuracy", "Test loss", "Best loss", "Last loss"], []]
    assert "3 runs." in said(at) and address(at) == {} and "colour" not in table

    # --- rows are selected: colours, curves, the address
    choose(at, 0, 1)
    assert address(at) == {"selected": ["2-3"]} and "2 selected" in said(at)
    colours = run_colours([2, 3])
    assert list(at.dataframe[0].value["colour"]) == [_dot(colours[3]), _dot(colours[2]), ""]
    assert len(at.get("plotly_chart")) == 2 and not [one for one in at.header if one.value == "third"]
    assert list(at.dataframe[0].value)[:3] == ["colour", "name", "best"], "what is best is beside the name"
    choose(at, 1)
    assert address(at) == {"selected": ["2"]} and [one.value for one in at.header] == ["second"]

    # --- search: what is selected stays in the table, and its row stays selected
    whole(at.text_input(key="compare.words").set_value(" FIRST ").run())
    assert names(at) == ["second", "first"] and at.session_state[TABLE]["selection"]["rows"] == [0]
    assert address(at) == {"selected": ["2"], "words": ["FIRST"]} and "1 of 3 runs, and 1 more that is selected" in said(at)
    press(at, "compare.none")
    assert names(at) == ["first"] and address(at) == {"words": ["FIRST"]}
    press(at, "compare.all")
    assert names(at) == ["third", "second", "first"]

    # --- order, columns
    whole(at.selectbox(key="compare.sort").set_value("test_accuracy").run())
    assert names(at) == ["second", "first", "third"] and address(at) == {"sort": ["-test_accuracy"]}
    whole(at.toggle(key="compare.descending").set_value(False).run())
    assert names(at) == ["first", "second", "third"], "without a value: last"
    whole(at.multiselect(key="compare.columns").set_value(["seconds", "training.seed"]).run())
    assert [key for key in at.dataframe[0].value.columns if key != "best"] == ["name", "seconds", "training.seed"]
    assert address(at) == {"sort": ["test_accuracy"], "columns": ["seconds,training.seed"]}
    press(at, "compare.usual_columns")
    assert "status" in at.dataframe[0].value and address(at) == {"sort": ["test_accuracy"]}


def test_what_is_best_has_a_colour_of_its_own_kind():
    """The column knows every result that can be best, else its chip would be grey."""
    config = _config(["name"])["best"]["type_config"]
    assert [option["value"] for option in config["options"]] == [COLUMNS[key].label.removesuffix(" (s)") for key in COMPARED]
    assert all(option["color"] for option in config["options"])


def test_filters(three):
    at = opened()
    whole(at.selectbox(key="compare.filter_column").set_value("training.batch_size").run())
    whole(at.number_input(key="compare.filter_least.training.batch_size").set_value(20.0).run())
    press(at, "compare.add_filter")
    assert names(at) == ["third", "second"] and address(at) == {"where": ["training.batch_size>=20"]}
    whole(at.selectbox(key="compare.filter_column").set_value("status").run())
    status = at.multiselect(key="compare.filter_values.status")
    assert status.options == ["Finished (2)", "Failed (1)"]
    whole(status.set_value(["finished"]).run())
    press(at, "compare.add_filter")
    assert names(at) == ["second"] and address(at)["where"] == ["training.batch_size>=20", "status=finished"]
    press(at, "compare.filter.0")
    assert names(at) == ["second", "first"] and address(at) == {"where": ["status=finished"]}
    whole(at.selectbox(key="compare.filter_column").set_value("test_accuracy").run())
    whole(at.number_input(key="compare.filter_least.test_accuracy").set_value(92.0).run())
    press(at, "compare.add_filter")
    assert names(at) == ["second"] and "test_accuracy>=0.92" in address(at)["where"]
    assert [one.label for one in at.button if one.key == "compare.filter.1"] == ["Test accuracy ≥ 92 %"]
    press(at, "compare.all")
    assert len(names(at)) == 3 and address(at) == {}


def test_an_address_is_opened_as_it_was_left(three):
    """A reload and a colleague's browser give the same."""
    shown = {"where": "training.batch_size>=20", "selected": "1,3", "sort": "name", "columns": "status,training.batch_size",
             "archived": "also"}
    at = opened(**shown)
    assert names(at) == ["first", "second", "third"] and at.session_state[TABLE]["selection"]["rows"] == [0, 2]
    assert [key for key in at.dataframe[0].value.columns if key not in ("colour", "best")] == [
        "name", "status", "training.batch_size"]
    assert address(at) == {name: [value] for name, value in shown.items()}
    assert at.text_input(key="compare.words").value == "" and at.selectbox(key="compare.sort").value == "name"
    at.query_params["words"] = "second"  # as a link or the browser's way back gives it
    assert names(whole(at.run())) == ["first", "second", "third"], "selected ones stay"
    assert at.text_input(key="compare.words").value == "second" and "1 of 3 runs, and 2 more" in said(at)


def test_an_address_that_makes_no_sense_is_the_usual_table(three):
    at = opened(where="__import__('os')>=1", selected="99,-1,<b>", sort="*x*", columns="../x", archived="maybe", words="  ")
    assert names(at) == ["third", "second", "first"] and address(at) == {} and not at.error


def test_actions_on_many_and_undo(three, runs):  # noqa: F811
    at = choose(opened(three[1]), 0, 2)  # third and first
    press(at, "compare.star")
    assert [runs.get(run_id).starred for run_id in three] == [True, False, True] and as_text("Starred: 2 runs.") in said(at)
    assert list(at.dataframe[0].value["starred"]) == ["★", "", "★"]
    press(at, "compare.undo")
    assert not any(runs.get(run_id).starred for run_id in three) and "Undone." in said(at)

    added = next(one for one in at.multiselect if one.label == "Add tags")
    whole(added.set_value(["=good", "old"]).run())
    press(at, "compare.keep_tags")
    assert [runs.get(run_id).tags for run_id in three] == [("=good", "old"), (), ("=good", "old")]
    removed = next(one for one in at.multiselect if one.label == "Take tags away")
    whole(removed.set_value(["old"]).run())
    press(at, "compare.keep_tags")
    assert [runs.get(run_id).tags for run_id in three] == [("=good",), (), ("=good",)]

    press(at, "compare.archive")
    assert names(at) == ["third", "second", "first"], "what is selected stays"
    press(at, "compare.none")
    assert names(at) == ["second"] and "2 archived" in said(at)
    press(at, "compare.undo")
    assert names(at) == ["third", "second", "first"] and runs.get(three[0]).tags == ("=good",)

    choose(at, 1, 2)
    press(at, "compare.delete")
    assert names(at) == ["third"] and [run.id for run in runs.runs()] == [three[2]] and address(at) == {}
    assert "run" not in at.query_params and as_text("Deleted: 2 runs.") in said(at)
    press(at, "compare.undo")
    assert names(at) == ["third", "second", "first"] and at.query_params["run"] in (three[1], [three[1]])
    assert address(at) == {"selected": ["1-2"]}, "they are selected as before"
    choose(at, 1)
    press(at, "compare.delete")
    assert as_text("Deleted: “second”.") in said(at)
    press(at, f"compare.restore.{three[1]}")
    assert at.toast[0].value == as_text("Brought back: “second”."), "seen wherever the page is scrolled to"
    choose(at, 0, 1, 2)
    press(at, "compare.delete")
    assert "There are no runs yet" in said(at)
    press(at, "compare.empty")
    assert runs.discarded() == {} and not at.dataframe and at.toast[0].value == as_text("Removed for good: 3 runs.")


def test_words_are_kept_where_another_tab_has_changed_others_meanwhile(three, runs):  # noqa: F811
    """A form is filled in while somebody else names, tags and notes the same run."""
    at = choose(opened(), 0)
    whole(next(one for one in at.text_area if one.label == "Note").set_value("mine").run())
    runs.annotate([three[2]], Change(title="yours", add_tags=("yours",)))
    press(at, "compare.keep")
    assert (runs.get(three[2]).title, runs.get(three[2]).note) == ("yours", "mine")
    whole(next(one for one in at.multiselect if one.label == "Add tags").set_value(["mine"]).run())
    runs.annotate([three[2]], Change(note="yours", add_tags=("late",)))
    press(at, "compare.keep_tags")
    assert runs.get(three[2]).tags == ("yours", "late", "mine")
    press(at, "compare.undo")
    run = runs.get(three[2])
    assert (run.title, run.note, run.tags) == ("yours", "yours", ("yours", "late"))


def test_what_goes_stays(three, runs, monkeypatch):  # noqa: F811
    runs.create(tiny(), "ann", "going")
    at = choose(opened(), 0, 1)
    press(at, "compare.delete")
    assert names(at) == ["going", "second", "first"] and address(at) == {"selected": ["4"]}
    assert as_text("Deleted: 1 run. 1 run that is waiting or training can't be deleted; stop first.") in said(at)
    choose(at, 1, 2)
    runs.discard([three[1]])  # by another tab
    press(at, "compare.delete")
    assert as_text("Deleted: 1 run. 1 run was gone already.") in said(at)
    runs.restore([three[1]])
    monkeypatch.setattr("core.runs.database.LITTLE", 10**18)  # bytes that a disk with room has
    whole(at.run())  # which sees it
    choose(at, 1)
    press(at, "compare.delete")
    assert as_text("Deleted for good, as the disk is full: “second”.") in said(at)
    assert "compare.undo" not in [one.key for one in at.button] and three[1] not in runs.discarded()


def test_a_run_in_the_address_is_reachable(three, runs):  # noqa: F811
    """Archived, filtered out, and older than what lists show."""
    runs.annotate([three[0]], Change(archived=True))
    at = opened(three[0], words="second")
    assert names(at) == ["second"] and [one.value for one in at.header] == ["first"]
    assert any("archived" in one.value for one in at.caption) and not at.warning
    title = next(one for one in at.text_input if one.label == "Name")
    whole(title.set_value(HOSTILE).run())
    whole(next(one for one in at.text_area if one.label == "Note").set_value("<b>*a*</b>\n$x$").run())
    press(at, "compare.keep")
    assert runs.get(three[0]).title == HOSTILE and runs.get(three[0]).note == "<b>*a*</b>\n$x$"
    assert [one.value for one in at.text] == ["<b>*a*</b>\n$x$"]
    assert at.session_state[keys.RUN] == three[0]


HOSTILE = "=1+1 [a](http://x) **b** <script>alert(1)</script> $x$ :red[y]"


def test_hostile_names_are_shown_as_they_are(runs):  # noqa: F811
    ids = [add(runs, HOSTILE, 0.5), add(runs, "@x " * 60, 0.6)]
    runs.annotate(ids, Change(note="-2+3 | ![i](http://x)", add_tags=("=cmd|' /C calc'!A0", "*t*")))
    at = choose(opened(ids[0]), 0, 1)
    table = at.dataframe[0].value
    cells = [table["name"][0], table["name"][1], table["note"][0], *table["tags"][0]]
    assert [cell[0] for cell in cells] == ["\u2060"] * 4 + ["*"], "no formula where the table is downloaded"
    assert [cell.lstrip("\u2060")[:5] for cell in cells] == ["@x @x", "=1+1 ", "-2+3 ", "=cmd|", "*t*"]
    assert max(map(len, cells)) <= 121
    for shown in (at.markdown, at.caption, at.header):
        assert not [one.value for one in shown if "<script>" in one.value or "[a](" in one.value]
    lines = csv_of(SimpleNamespace(store=runs), (2, 99, 1), ["name", "mine"], "ann").decode().splitlines()
    assert lines[0] == "run,name,mine" and [line.split(",")[1][:6] for line in lines[1:]] == ["'@x @x", "'=1+1 "]
    assert all(line.endswith(",yes") for line in lines[1:])
    press(at, "compare.delete")
    assert all("[a](" not in one.label and "<script>" not in one.label for one in at.button)


def test_a_run_in_the_address_is_offered_on_every_page(runs, monkeypatch):  # noqa: F811
    """However old or archived it is; lists leave archived runs out."""
    ids = [add(runs, f"run {number}", 0.5) for number in range(3)]
    for run_id in ids:
        runs.folder(run_id).mkdir()
        checkpoint_path(runs, run_id).write_bytes(b"weights")
    runs.annotate([ids[0]], Change(archived=True))
    session = {}
    monkeypatch.setattr(usable, "st", SimpleNamespace(session_state=session))
    server = SimpleNamespace(store=runs)
    assert list(usable.usable_runs(server)) == [ids[2], ids[1]] and list(usable.usable_runs(server, 1)) == [ids[2]]
    for asked in (ids[0], ids[1]):
        session[keys.RUN] = asked
        assert list(usable.usable_runs(server, 1)) == [ids[2], asked]
    for asked in (runs.create(tiny(), "ann"), "0" * 32, "../x"):  # no weights, no run, no id
        session[keys.RUN] = asked
        assert list(usable.usable_runs(server)) == [ids[2], ids[1]]
    session.clear()
    for status in ("finished", "stopped"):  # of a search, without a test; and one that was stopped before its test
        ids.append(add(runs, status, None, status))
        runs.folder(ids[-1]).mkdir()
        checkpoint_path(runs, ids[-1]).write_bytes(b"weights")
    assert list(usable.usable_runs(server)) == [ids[4], ids[2], ids[1], ids[3]]


def test_no_table_holds_a_formula(runs):  # noqa: F811
    """Not where a title or the name of a data set would be one, as Streamlit's own button downloads what is shown."""
    for place, sign in enumerate("=+-@"):
        add(runs, f"{sign}1+1", 0.9, training__batch_size=16 + place)
    at = opened(selected="1-4", view="settings")
    at.session_state["runs.space"] = True
    whole(at.run())
    tables = [one.value for one in at.dataframe]
    assert len(tables) == 3, "all runs, settings that differ, space on the disk"
    for table in tables:
        words = [word for word in (*table.index, *table.columns, *table.astype(object).to_numpy().ravel())
                 if isinstance(word, str)]
        assert any("1+1" in word for word in words), "as they are read"
        assert not [word for word in words if word.startswith(("=", "+", "-", "@"))]
