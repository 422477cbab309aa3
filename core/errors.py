"""What to say of an error in one line, whatever it is."""

import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def reason(error: BaseException) -> str:
    """The first line with anything in it of what an error says; where it says nothing, its type and the place in our code that
    it came from: "ValueError in core/training/loop.py, line 123"."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), None) or f"{type(error).__name__}{_place(error)}"


def _place(error: BaseException) -> str:
    """The innermost line of this project's own code that an error went through; "" for one that was never raised there."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts:  # a virtual environment may lie in the project
            return f" in {path.relative_to(ROOT).as_posix()}, line {frame.lineno}"
    return ""
