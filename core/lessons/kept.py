"""Lessons that are there: those that come with the app, and those that somebody has made here, each a file of JSON."""

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from core.actors import Actor
from core.fields import Config, ConfigError, explain, setting
from core.files import why_not_written, write_atomically
from core.lessons.lesson import LONGEST, Lesson, read_lesson

SHIPPED = Path(__file__).parents[2] / "assets" / "lessons"
FOLDER = "lessons"  # in the runs folder
SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that looks like another: no 0, O, 1, I, L
LENGTH = 6
CODE = re.compile(rf"[{SIGNS}]{{{LENGTH}}}")
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")  # of a lesson that comes with the app
MOST = 500  # lessons that are kept on one server
MOST_OWN = 50  # of one visitor, so that nobody takes the places of all
# the order they are listed in: the way from data to drawings, then the labs
ORDER = ("look-at-data", "build-a-network", "train-it", "test-drawings", "bend-a-line", "roll-downhill")


class _File(Config):
    """What stands in the file of a lesson that was made here."""

    owner: str = setting("", "Who has made it.", max_length=200)
    lesson: Lesson = Field()


class LessonError(ValueError):
    """A lesson that is not there or can't be kept; the message is one line."""


@dataclass(frozen=True)
class Kept:
    """A lesson that somebody has made here. owner: who that was, and nobody is shown. made: when, or when it was changed last, in
    seconds since 1970."""

    code: str
    lesson: Lesson
    owner: str
    made: float


def as_code(typed: str) -> str:
    """What a person has typed or copied as a code: "k7m-2xq " is K7M2XQ. Names of the app's own lessons stay in small letters;
    "" for what is neither."""
    text = "".join(typed[:100].split())
    code = text.replace("-", "").upper()
    return code if CODE.fullmatch(code) else text.lower() if NAME.fullmatch(text.lower()) else ""


def find_lesson(code: str, runs_dir: Path) -> Lesson:
    """The lesson of a code or name. Raises LessonError with one line where there is none."""
    code = as_code(code)
    try:
        if CODE.fullmatch(code):
            return read_kept(path_of(runs_dir, code)).lesson
        if code:
            return read_lesson(_text(SHIPPED / f"{code}.json"))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LessonError(f"The lesson {code} can't be read: {error.strerror or 'the file is damaged'}.") from None
    except ConfigError as error:
        raise LessonError(f"The lesson {code} can't be read: {error}.") from None
    raise LessonError("There is no lesson with this code here. Is it typed as it was given? It may have been deleted.")


def is_code(code: str) -> bool:
    """Whether it is the code of a lesson made here, which may be gone, and no name of one that comes with the app."""
    return CODE.fullmatch(code) is not None


def is_kept(code: str, runs_dir: Path) -> bool:
    """Whether a lesson that was made here has this code, and has not been deleted."""
    return is_code(code) and path_of(runs_dir, code).exists()


def shipped_lessons() -> dict[str, Lesson]:
    """Those that come with the app, by their names, in their order."""
    return {name: read_lesson(_text(SHIPPED / f"{name}.json")) for name in ORDER}


def kept_lessons(runs_dir: Path, read: Callable[[Path, int], Kept] | None = None) -> list[Kept]:
    """Those that were made here, the last one first; what can't be read is left out. read: read_kept, or one that remembers."""
    found = []
    for path in (runs_dir / FOLDER).glob("*.json"):
        with suppress(OSError, ConfigError):  # deleted just now, or damaged
            if CODE.fullmatch(path.stem):
                found.append((read or read_kept)(path, path.stat().st_mtime_ns))
    return sorted(found, key=lambda kept: (-kept.made, kept.code))


def keep_lesson(lesson: Lesson, runs_dir: Path, actor: Actor, read: Callable[[Path, int], Kept] | None = None) -> str:
    """Keep a lesson of somebody's; its code. read: as for kept_lessons. Raises LessonError where there are too many, or the runs
    folder can't be written to."""
    if len(list((runs_dir / FOLDER).glob("*.json"))) >= MOST:
        raise LessonError(f"There are {MOST} lessons here, which is all that fit. Delete some.")
    if actor.kind == "visitor" and sum(kept.owner == actor.key for kept in kept_lessons(runs_dir, read)) >= MOST_OWN:
        raise LessonError(f"You have made {MOST_OWN} lessons, which is all that one person can keep here. Delete some.")
    code = _new_code(runs_dir)
    _write(lesson, actor.key, runs_dir, code)
    return code


def change_lesson(code: str, lesson: Lesson, runs_dir: Path, actor: Actor, before: Lesson) -> None:
    """Put a corrected lesson in the place of one that was made here: its code and its maker stay. before: what is corrected.
    Raises LessonError for somebody else's, for one that has been deleted or changed since, and where it can't be written."""
    try:
        kept = read_kept(path_of(runs_dir, code))
    except FileNotFoundError:
        raise LessonError("This lesson has been deleted. What is in the form can be kept as a new one.") from None
    except (OSError, ConfigError):
        raise LessonError(f"The lesson {code} can't be read. What is in the form can be kept as a new one.") from None
    if not may_change(kept, actor):
        raise LessonError("This lesson was made by somebody else, who alone can change it.")
    if kept.lesson not in (before, lesson):
        raise LessonError("This lesson was changed in another window since it was opened here. Open it again, or keep what is in "
                          "the form as a new one.")
    _write(lesson, kept.owner, runs_dir, code)


def _write(lesson: Lesson, owner: str, runs_dir: Path, code: str) -> None:
    """Raises LessonError for a lesson that is too long, and where the runs folder can't be written to."""
    if len(lesson.model_dump_json().encode()) > LONGEST:
        raise LessonError(f"This lesson is too long: it may take {LONGEST // 1000} kB. Shorten the texts of its steps.")
    text = _File(owner=owner, lesson=lesson).model_dump_json(indent=1)
    try:
        write_atomically(path_of(runs_dir, code), lambda file: file.write(text.encode()))
    except OSError as error:
        raise LessonError(why_not_written(f"The runs folder {runs_dir}", error, "PLAYGROUND_RUNS")) from None


def delete_lesson(code: str, runs_dir: Path, actor: Actor) -> None:
    """Delete a lesson that was made here; whoever has its link finds it no more. What its class has drawn goes with it in
    class_sets.delete_with_digits(). Raises LessonError for somebody else's, and where the file can't be deleted."""
    path, kept = path_of(runs_dir, code), None
    with suppress(OSError, ConfigError):  # what can't be read is nobody's
        kept = read_kept(path)
    if kept is not None and not may_change(kept, actor):
        raise LessonError("This lesson was made by somebody else, who alone can delete it.")
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise LessonError(why_not_written(f"The runs folder {runs_dir}", error, "PLAYGROUND_RUNS")) from None


def may_change(kept: Kept, actor: Actor) -> bool:
    """Whether somebody finds a lesson in their list, and may change and delete it. Whoever has its link may take it."""
    return actor.may_change(kept.owner)


def path_of(runs_dir: Path, code: str) -> Path:
    """The file of a lesson that was made here. Raises LessonError for what is no code."""
    if not CODE.fullmatch(code):
        raise LessonError("This is no code of a lesson.")
    return runs_dir / FOLDER / f"{code}.json"


def _new_code(runs_dir: Path) -> str:
    while True:
        code = "".join(secrets.choice(SIGNS) for _ in range(LENGTH))
        if not path_of(runs_dir, code).exists():
            return code


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2 * LONGEST)


def read_kept(path: Path, changed: int = 0) -> Kept:
    """A file of a lesson that was made here. changed: when it was, in nanoseconds, for who remembers what was read. Raises
    FileNotFoundError, OSError, ConfigError."""
    try:
        found = _File.model_validate_json(_text(path))
    except ValidationError as error:
        raise ConfigError(explain(error, _File)) from None
    return Kept(path.stem, found.lesson, found.owner, path.stat().st_mtime)
