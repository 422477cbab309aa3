"""The wall of a lesson, which a class sees on a projector: what its pupils call themselves there."""

from core.lessons.kept import LessonError
from core.lessons.lesson import JOINS, as_line

LONGEST_NAME = 20  # signs


def wall_name(typed: str) -> str:
    """What somebody has typed as their name, in one line and without signs that nobody sees; "" is no name. Raises LessonError
    for one that is too long."""
    name = as_line(typed[:1000])
    if len(name) > LONGEST_NAME:
        raise LessonError(f"A name on the wall has {LONGEST_NAME} signs at most.")
    return name if name.strip(JOINS) else ""
