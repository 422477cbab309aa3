""".ci/check_types.py: what it makes of pyright's errors and of its baseline."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("check_types", ROOT / ".ci/check_types.py")
assert spec is not None and spec.loader is not None
check_types = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_types)

BASELINE = {"pages/a.py": {"reportOptionalMemberAccess": 2}}


def error(file: str, line: int, rule: str = "reportOptionalMemberAccess") -> dict:
    """As pyright reports one; it counts lines from 0."""
    return {"file": str(ROOT / file), "severity": "error", "message": "no such thing", "rule": rule,
            "range": {"start": {"line": line - 1, "character": 0}}}


def test_errors_of_the_baseline_pass_wherever_they_stand_in_the_file():
    assert check_types.judge([error("pages/a.py", 3), error("pages/a.py", 40)], BASELINE) == ([], BASELINE)


def test_one_more_than_the_baseline_says_is_refused_and_all_of_its_kind_named():
    lines, _ = check_types.judge([error("pages/a.py", line) for line in (3, 40, 41)], BASELINE)
    assert lines == [f"pages/a.py:{line}: reportOptionalMemberAccess: no such thing" for line in (3, 40, 41)]


@pytest.mark.parametrize("new", [error("pages/a.py", 9, "reportCallIssue"), error("pages/b.py", 9), error("core/a.py", 9)],
                         ids=["another rule", "another file", "core"])
@pytest.mark.parametrize("update", [False, True])
def test_another_rule_or_file_is_refused_also_for_a_new_baseline(new, update):
    lines, _ = check_types.judge([error("pages/a.py", 3), error("pages/a.py", 40), new], BASELINE, update)
    assert [line.split(":")[1] for line in lines] == ["9"]


def test_fewer_are_refused_until_the_baseline_is_written_anew():
    lines, _ = check_types.judge([error("pages/a.py", 3)], BASELINE)
    assert lines[0] == "pages/a.py: reportOptionalMemberAccess: 1, not 2" and "--update" in lines[1]
    assert check_types.judge([error("pages/a.py", 3)], BASELINE, update=True) == (
        [], {"pages/a.py": {"reportOptionalMemberAccess": 1}})
    assert check_types.judge([], BASELINE, update=True) == ([], {})


def test_an_error_without_a_rule_counts_too():
    found = error("pages/a.py", 3)
    del found["rule"]
    assert check_types.judge([found], {})[0] == ["pages/a.py:3: syntax: no such thing"]


def test_the_baseline_forgives_nothing_in_core():
    baseline = json.loads(check_types.BASELINE.read_text(encoding="utf-8"))
    assert not [file for file in baseline if not file.startswith(("pages/", "app.py"))]
    assert not [file for file in baseline if not (ROOT / file).exists()]
