"""The part of RunStore that knows lessons: which runs were started in one, who shares them, and what is kept of pupils."""

import copy
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from core.actors import ONLY_THE_TEACHER
from core.config import RunConfig
from core.fields import ConfigError
from core.lessons import Lesson, LessonError, as_code, change_lesson, delete_lesson, find_lesson, is_kept, wall_name
from core.runs.records import Run
from core.runs.rights import NotYours, check_owner
from core.runs.rows import readable
from core.runs.store_base import StoreBase
from core.runs.whose import note_visitor

QUESTION = re.compile(r"[a-z][a-z0-9_.]{0,60}")
MOST_CHOICES = 20
GONE = "There is no lesson with this code here any more."


@dataclass(frozen=True)
class WallName:
    """What somebody has called themselves in a lesson. allowed: whether the wall shows it: a teacher may have taken it away."""

    name: str
    allowed: bool


class LessonStore(StoreBase):
    """What is kept of a lesson besides its file. Names and predictions go with the lesson; its runs stay."""

    def in_lesson(self, code: str) -> Self:
        """The same store, whose queue takes runs as started in this lesson; in none for what is no code."""
        view = copy.copy(self)
        view.lesson = as_code(code)
        return view

    # --- what a pupil does

    def keep_name(self, code: str, owner: str, typed: str) -> None:
        """Call oneself something on a lesson's wall, or nothing any more. Raises LessonError for a name that is too long, is
        the app's own or was taken away, and where there is no such lesson."""
        name = wall_name(typed)
        with self._own_in(code, owner) as db:
            row = db.execute("SELECT allowed FROM wall_names WHERE lesson = ? AND owner = ?", (code, owner)).fetchone()
            if row is not None and not row["allowed"]:
                raise LessonError("Your teacher has taken your name off the wall. Ask them to allow it again.")
            note_visitor(db, self.actor)
            if name:
                db.execute("INSERT OR REPLACE INTO wall_names (lesson, owner, name) VALUES (?, ?, ?)", (code, owner, name))
            else:
                db.execute("DELETE FROM wall_names WHERE lesson = ? AND owner = ?", (code, owner))

    def name_of(self, code: str, owner: str) -> WallName | None:
        """What one has called oneself; None for nothing. Raises NotYours for somebody else's."""
        check_owner(self.actor, owner)
        with self._database.reading() as db:
            row = db.execute("SELECT name, allowed FROM wall_names WHERE lesson = ? AND owner = ?", (code, owner)).fetchone()
        return None if row is None else WallName(row["name"], bool(row["allowed"]))

    def keep_prediction(self, code: str, owner: str, question: str, choice: int) -> None:
        """Count somebody's answer to a lab's question, by its place among the choices. The first one stays: whoever answers again
        has seen which is right. Raises LessonError where there is no such lesson, ValueError for what can be no answer."""
        if not QUESTION.fullmatch(question) or not 0 <= choice < MOST_CHOICES:
            raise ValueError("This is no answer to a question.")
        with self._own_in(code, owner) as db:
            db.execute("INSERT OR IGNORE INTO predictions (lesson, question, owner, choice) VALUES (?, ?, ?, ?)",
                       (code, question, owner, choice))

    def shared_run(self, config: RunConfig) -> str | None:
        """The id of a training of exactly these settings, in a lesson that trains equal settings once and leads everybody to the
        result: one that has finished, else one that is on its way, and that nobody has changed by hand. None where there is none,
        and in every other lesson."""
        try:
            if not self.lesson or find_lesson(self.lesson, self.path).seeds != "shared":
                return None
        except (LessonError, ConfigError):  # deleted just now, or damaged
            return None
        with self._database.reading() as db:
            row = db.execute("SELECT id FROM runs WHERE lesson = ? AND config = ? AND deleted IS NULL AND kind = 'training' AND "
                             "status IN ('finished', 'running', 'queued') AND number NOT IN (SELECT run FROM interventions) "
                             "ORDER BY status <> 'finished', number LIMIT 1", (self.lesson, config.model_dump_json())).fetchone()
        return None if row is None else row["id"]

    def share_run(self, run_id: str, owner: str) -> None:
        """Count somebody among those who share a run of their lesson's, which they were led to; its own maker is none of them.
        Raises NotYours for somebody else."""
        check_owner(self.actor, owner)
        with self._database.writing() as db:
            there = db.execute("SELECT number FROM runs WHERE id = ? AND lesson = ? AND lesson <> '' AND owner <> ?",
                               (run_id, self.lesson, owner)).fetchone()
            if there is not None:
                note_visitor(db, self.actor)
                db.execute("INSERT OR IGNORE INTO sharers (run, owner) VALUES (?, ?)", (there["number"], owner))

    @contextmanager
    def _own_in(self, code: str, owner: str) -> Iterator[sqlite3.Connection]:
        """One transaction that keeps something of one's own in a lesson that is there: none is kept of one that is deleted just
        now. Raises NotYours, LessonError."""
        check_owner(self.actor, owner)
        with self._database.writing() as db:
            if not is_kept(code, self.path):
                raise LessonError(GONE)
            yield db

    # --- what a teacher sees and does

    def lesson_runs(self, code: str, limit: int = -1) -> list[Run]:
        """The trainings that were started in a lesson, the newest first; also when the lesson has been deleted. Raises NotYours
        for a visitor."""
        self._check_teacher()
        with self._database.reading() as db:
            rows = db.execute("SELECT * FROM runs WHERE lesson = ? AND lesson <> '' AND deleted IS NULL AND kind = 'training' "
                              "ORDER BY number DESC LIMIT ?", (code, limit)).fetchall()
        return readable(rows)

    def wall_names(self, code: str) -> dict[str, WallName]:
        """Who has called themselves something, by owner. Raises NotYours for a visitor."""
        self._check_teacher()
        with self._database.reading() as db:
            rows = db.execute("SELECT owner, name, allowed FROM wall_names WHERE lesson = ? ORDER BY owner", (code,)).fetchall()
        return {row["owner"]: WallName(row["name"], bool(row["allowed"])) for row in rows}

    def allow_name(self, code: str, owner: str, allowed: bool) -> None:
        """Take a name off the wall, for as long as it is not allowed again. Raises NotYours for a visitor."""
        self._check_teacher()
        with self._database.writing() as db:
            db.execute("UPDATE wall_names SET allowed = ? WHERE lesson = ? AND owner = ?", (allowed, code, owner))

    def predictions(self, code: str) -> dict[str, dict[int, int]]:
        """For each question how many have given each answer, by its place among the choices; the question that was answered last
        comes first. Raises NotYours for a visitor."""
        self._check_teacher()
        with self._database.reading() as db:
            rows = db.execute("SELECT question, choice, count(*) AS count, max(number) AS last FROM predictions WHERE lesson = ? "
                              "GROUP BY question, choice ORDER BY last DESC", (code,)).fetchall()
        found: dict[str, dict[int, int]] = {}
        for row in rows:
            found.setdefault(row["question"], {})[row["choice"]] = row["count"]
        return found

    def sharers(self, code: str) -> dict[str, list[str]]:
        """Who shares runs of a lesson that others have started: owners, by the run's id. Raises NotYours for a visitor."""
        self._check_teacher()
        with self._database.reading() as db:
            rows = db.execute("SELECT id, sharers.owner FROM sharers JOIN runs ON run = number WHERE lesson = ? AND lesson <> '' "
                              "AND deleted IS NULL ORDER BY number, sharers.owner", (code,)).fetchall()
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["id"], []).append(row["owner"])
        return found

    def visitor_numbers(self, code: str) -> dict[str, int]:
        """The numbers of those who have trained, share a run or have a name in a lesson, by owner; see core.runs.whose. Raises
        NotYours for a visitor."""
        self._check_teacher()
        with self._database.reading() as db:
            rows = db.execute("SELECT owner, number FROM visitors WHERE owner IN (SELECT owner FROM runs WHERE lesson = ?1 AND "
                              "lesson <> '' UNION SELECT owner FROM wall_names WHERE lesson = ?1 UNION SELECT sharers.owner "
                              "FROM sharers JOIN runs ON run = number WHERE lesson = ?1 AND lesson <> '')", (code,)).fetchall()
        return dict(map(tuple, rows))

    def _check_teacher(self) -> None:
        if not self.actor.sees_all:
            raise NotYours(ONLY_THE_TEACHER)

    # --- its maker

    def change_lesson(self, code: str, lesson: Lesson, before: Lesson) -> None:
        """Correct a lesson under its code, for its maker and teachers; runs, names and predictions stay. before: what is
        corrected. Raises LessonError, also where it has been changed or deleted since, and StoreError."""
        with self._database.writing():  # so that none comes back that is deleted at the same moment
            change_lesson(code, lesson, self.path, self.actor, before)


    def delete_lesson(self, code: str) -> None:
        """Delete a lesson with the names and predictions of all, for its maker and teachers; runs that were started in it stay.
        Raises LessonError."""
        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM wall_names WHERE lesson = ?", (code,))
            db.execute("DELETE FROM predictions WHERE lesson = ?", (code,))
            db.execute("DELETE FROM sharers WHERE run IN (SELECT number FROM runs WHERE lesson = ?)", (code,))
            delete_lesson(code, self.path, self.actor)  # what it refuses takes the rest back

        self._surely(write)
