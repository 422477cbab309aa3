"""The wall of a lesson, which a class sees on a projector: what its pupils call themselves there."""

import re
import unicodedata
from collections.abc import Iterable

from core.lessons.kept import LessonError
from core.lessons.lesson import JOINS, as_line, is_seen

LONGEST_NAME = 20  # signs
# what the app itself calls people, on the wall and in lists
OF_THE_APP = re.compile(r"(visitor|pupil)s? ?\d*|you|(the )?(teacher|server)")


def wall_name(typed: str) -> str:
    """What somebody has typed as their name, in one line and without signs that nobody sees; "" is no name. Raises LessonError
    for one that is too long, or that the app gives."""
    name = as_line(typed[:1000])
    if len(name) > LONGEST_NAME:
        raise LessonError(f"A name on the wall has {LONGEST_NAME} signs at most.")
    if OF_THE_APP.fullmatch(_compared(name)):
        raise LessonError("The app itself calls people so. Choose another name.")
    return name if is_seen(name) else ""


def told_apart(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The same names, with a number behind each that comes a second time: "Ann", "Ann 2". taken: names that nobody else gets."""
    found, used = [], {_compared(name) for name in taken}
    for name in names:
        told, number = name, 1
        while _compared(told) in used:
            number += 1
            told = f"{name} {number}"
        used.add(_compared(told))
        found.append(told)
    return found


def _compared(name: str) -> str:
    """What two names that look alike have in common, as far as case, width and joiners go."""
    return " ".join(unicodedata.normalize("NFKC", name).replace(JOINS, "").casefold().split())
