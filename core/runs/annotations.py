"""What people say of runs, as the store keeps it: names, notes, tags, stars, and what is put away or deleted for a while."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

MOST_TITLE, MOST_NOTE, MOST_TAG = 200, 2000, 40  # signs
MOST_TAGS = 20  # of one run
AMONG = "id IN (SELECT value FROM json_each(?))"  # of any number of ids, as JSON


class AnnotationError(ValueError):
    """A name, note or tag that can't be kept; the message is one line that says why."""


@dataclass(frozen=True)
class Annotations:
    """What people say of one run. archived: since when, in seconds since 1970; None where it is not put away."""

    title: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    starred: bool = False
    archived: float | None = None


@dataclass(frozen=True)
class Change:
    """What to say of some runs from now on; None and () leave a thing as it is."""

    title: str | None = None
    note: str | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    starred: bool | None = None
    archived: bool | None = None

    def checked(self) -> "Change":
        """The same in plain signs. Raises AnnotationError for what is too long."""
        note = None if self.note is None else "\n".join(map(_plain, self.note.strip().splitlines()))
        return replace(self, title=None if self.title is None else _bounded("A name", _plain(self.title), MOST_TITLE),
                       note=None if note is None else _bounded("A note", note, MOST_NOTE),
                       add_tags=tags_of(self.add_tags), remove_tags=tuple(map(_plain, self.remove_tags)))

    def applied(self, to: Annotations, now: float) -> Annotations:
        """Raises AnnotationError where there would be too many tags."""
        tags = tuple(dict.fromkeys(tag for tag in (*to.tags, *self.add_tags) if tag not in self.remove_tags))
        if len(tags) > max(MOST_TAGS, len(to.tags)):
            raise AnnotationError(f"A run can have {MOST_TAGS} tags; “{to.title or 'a run'}” would have {len(tags)}.")
        archived = to.archived if self.archived is None else (to.archived or now) if self.archived else None
        return Annotations(to.title if self.title is None else self.title, to.note if self.note is None else self.note, tags,
                           to.starred if self.starred is None else self.starred, archived)


def tags_of(words: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are kept: plain signs in one line, each once, empty ones left out. Raises AnnotationError."""
    return tuple(dict.fromkeys(_bounded("A tag", tag, MOST_TAG) for tag in map(_plain, words) if tag))


def _plain(text: str) -> str:
    """One line of printable signs: no control characters, none that turn the direction of writing."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _bounded(what: str, text: str, most: int) -> str:
    if len(text) > most:
        raise AnnotationError(f"{what} can have {most:,} signs; this one has {len(text):,}.")
    return text


# --- the store's rows

def annotate(db: sqlite3.Connection, run_ids: Iterable[str], change: Change) -> dict[str, Annotations]:
    """Change what is said of runs; what was said before of those that it changed. Raises AnnotationError."""
    change, now = change.checked(), time.time()
    before = read_annotations(db, run_ids)
    after = {run_id: change.applied(said, now) for run_id, said in before.items()}
    write_annotations(db, {run_id: said for run_id, said in after.items() if said != before[run_id]})
    return {run_id: said for run_id, said in before.items() if said != after[run_id]}


def read_annotations(db: sqlite3.Connection, run_ids: Iterable[str]) -> dict[str, Annotations]:
    """Of the runs that there are."""
    rows = db.execute(f"SELECT id, title, note, tags, starred, archived FROM runs WHERE deleted IS NULL AND {AMONG} "
                      "ORDER BY number", (json.dumps(list(run_ids)),)).fetchall()
    return {row["id"]: Annotations(row["title"], row["note"], read_tags(row["tags"]), bool(row["starred"]), row["archived"])
            for row in rows}


def write_annotations(db: sqlite3.Connection, said: Mapping[str, Annotations]) -> None:
    db.executemany("UPDATE runs SET title = ?, note = ?, tags = ?, starred = ?, archived = ? WHERE id = ?", [
        (one.title, one.note, json.dumps(one.tags), one.starred, one.archived, run_id) for run_id, one in said.items()])


def read_tags(text: str) -> tuple[str, ...]:
    """() for what is no list of words."""
    try:
        found = json.loads(text)
    except ValueError:
        return ()
    return tuple(tag for tag in found if isinstance(tag, str)) if isinstance(found, list) else ()
