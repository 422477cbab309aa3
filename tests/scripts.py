"""Scripts run as they are written, in this process: it is our own text, and torch is loaded."""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path
from unittest import mock

import core.torchvision_guard  # noqa: F401  (before a script imports torchvision)
from core.config import RunConfig
from core.export import script


def run_script(config: RunConfig, folder: Path, *arguments: str, fast: bool = False,
               root: Path | None = None) -> tuple[list[float], dict]:
    """The losses that a script prints, training and validation of each epoch with nine decimals, and what it leaves behind.

    folder: where it is started. arguments: of the script. root: the data directory when it is written.
    """
    path = folder / "train.py"
    path.write_text(script(config, root, fast), encoding="utf-8")
    return run_text(path, *arguments)


def run_text(path: Path, *arguments: str) -> tuple[list[float], dict]:
    """The same of a script that is written already."""
    exact = path.with_name("exact.py")
    exact.write_text(path.read_text(encoding="utf-8").replace(":.4f}", ":.9f}"), encoding="utf-8")
    said = io.StringIO()
    called = mock.patch.object(sys, "argv", ["train.py", *arguments])
    with contextlib.chdir(path.parent), contextlib.redirect_stdout(said), called:
        left = runpy.run_path(str(exact))
    return [float(x) for line in said.getvalue().splitlines() if line.startswith("epoch")
            for x in re.findall(r"loss ([\d.]+|nan|inf)", line)], left
