"""What to say of an error in one line, whatever it is."""

import errno
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def reason(error: BaseException) -> str:
    """The first line with anything in it of what an error says; where it says nothing, its type and the place in our code that
    it came from: "ValueError in core/training/loop.py, line 123"."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return os_reason(error)
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), None) or f"{type(error).__name__}{_place(error)}"


def os_reason(error: OSError) -> str:
    """Why a file can't be read or written, without its path: "the disk is full", else in the system's words."""
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or reason(error)


def _place(error: BaseException) -> str:
    """The innermost line of this project's own code that an error went through; "" for one that was never raised there."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts:  # a virtual environment may lie in the project
            return f" in {path.relative_to(ROOT).as_posix()}, line {frame.lineno}"
    return ""
