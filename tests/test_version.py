"""One version, read without torch, said everywhere the same."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import torch
from packaging.version import Version

from core.version import NUMBERED_SINCE, TORCH_VERSION, VERSION, another_version

ROOT = Path(__file__).parents[1]


def test_the_torch_that_is_named_is_the_one_that_runs():
    assert torch.__version__.split("+")[0] == TORCH_VERSION


def test_it_is_read_without_torch():
    done = subprocess.run([sys.executable, "-c", "import core.version, sys; print('torch' in sys.modules)"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_both_versions_are_named_in_one_line():
    assert another_version("9.1.2") == f"another version of Torch Playground (9.1.2; this is {VERSION})"
    assert another_version("") == f"another version of Torch Playground (one before {NUMBERED_SINCE}; this is {VERSION})"
    assert another_version("9\n" + "1" * 100) == f"another version of Torch Playground (9 {'1' * 18}; this is {VERSION})"


def test_the_newest_entry_of_the_changelog_is_this_version():
    found = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert found[0] == VERSION and found == sorted(found, key=Version, reverse=True)


def test_the_command_line_says_it():
    done = subprocess.run([sys.executable, "-m", "core", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["Torch", "Playground", VERSION], done.stderr


def test_the_package_takes_it_from_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "core.version.VERSION"}
