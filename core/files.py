"""Writing files so that a reader never sees half of one."""

import errno
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

TRIES, SECONDS_BETWEEN = 50, 0.02  # to put a file into its place on Windows


def write_atomically(path: Path, write: Callable[[BinaryIO], object], durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk, then rename it into place.

    A crash leaves either the old file or the new one. durable: False leaves it to the system when it reaches the disk, which
    is faster and right for what the next second replaces; a power cut may then leave a damaged file. Raises OSError as the file
    system does; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile's, which only its owner may read: data and runs have the permissions of any other file
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        put_in_place(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def put_in_place(part: Path, path: Path) -> None:
    """Rename a whole file to its name, over what is there. Raises OSError as the file system does.

    Windows refuses while somebody has the old file open, as a reader or a virus scanner does for moments: it is asked again for
    a second. Elsewhere nobody stands in the way.
    """
    for left in reversed(range(TRIES)):
        try:
            return os.replace(part, path)
        except PermissionError:
            if sys.platform != "win32" or not left:
                raise
            time.sleep(SECONDS_BETWEEN)


def why_not_written(what: str, error: OSError, variable: str) -> str:
    """One line for people: that `what` can't be written to, why, and what helps. variable: of the environment, which names the
    place."""
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{what} can't be written to: {why}. Free some space, or set {variable} to another folder."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{what} can't be written to: {why}. Make it writable, or set {variable} to another folder."
    return f"{what} can't be written to: {why}. Look whether it is there and whole, or set {variable} to another folder."
