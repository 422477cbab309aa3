"""Whatever goes wrong, one line with something in it says what."""

import re

import pytest

from core.__main__ import main
from core.data import DataError
from core.errors import os_reason, reason
from core.runs.execute import execute
from core.training import Started
from tests.helpers import tiny


def caught(error: Exception) -> Exception:
    """As somebody has caught it, with the place it was raised at."""
    try:
        raise error
    except type(error) as raised:
        return raised


@pytest.mark.parametrize(("text", "line"), [
    ("one line", "one line"), ("first\nsecond", "first"), ("\n  Some tensors share memory\n", "Some tensors share memory")])
def test_the_first_line_that_says_something(text, line):
    assert reason(caught(RuntimeError(text))) == line


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_without_text_its_type_and_place(text):
    assert re.fullmatch(r"LookupError in tests/test_errors\.py, line \d+", reason(caught(LookupError(text))))


def test_the_place_is_in_our_own_code():
    with pytest.raises(StopIteration) as found:
        [].__iter__().__next__()
    assert reason(found.value).startswith("StopIteration in tests/test_errors.py")


def test_one_that_was_never_raised_has_its_type_alone():
    assert reason(KeyError()) == "KeyError"


@pytest.mark.parametrize(("error", "line"), [
    (RuntimeError("\nSome tensors share memory"), "PyTorch stopped the run: Some tensors share memory"),
    (RuntimeError(), r"PyTorch stopped the run: RuntimeError in tests/test_errors\.py, line \d+"),
    (OSError(), r"A file can't be read or written: OSError in tests/test_errors\.py, line \d+\."),
    (DataError(), r"DataError in tests/test_errors\.py, line \d+"),
    (ZeroDivisionError(), r"The run ended with ZeroDivisionError in tests/test_errors\.py, line \d+"),
    (ZeroDivisionError("by 0"), "The run ended with ZeroDivisionError: by 0")], ids=repr)
def test_a_failed_run_names_a_reason(store, settings, error, line):
    def report(event):
        if isinstance(event, Started):
            raise error

    run = store.create_running(tiny(), "tester", "here")
    try:
        execute(store, run, settings, report=report)
    except ZeroDivisionError:
        assert isinstance(error, ZeroDivisionError), "a mistake in the code gets out, once the run is marked"
    ended = store.get(run.id)
    assert ended.status == "failed" and re.fullmatch(line, ended.message), ended.message


def test_the_command_line_names_a_reason(monkeypatch, capsys):
    def nothing_said(*arguments):
        raise DataError

    monkeypatch.setattr("core.__main__.presets", nothing_said)
    assert main(["presets"]) == 2
    assert re.fullmatch(r"DataError in tests/test_errors\.py, line \d+\n", capsys.readouterr().err)


def test_a_full_disk_has_one_name():
    full = OSError(28, "No space left on device", "/cache/x")
    assert reason(full) == os_reason(full) == "the disk is full"
    assert os_reason(PermissionError(13, "Permission denied", "/cache/x")) == "Permission denied"
    assert os_reason(OSError("odd")) == "odd"
