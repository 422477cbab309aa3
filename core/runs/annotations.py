"""What people say of runs, as the store keeps it: names, notes, tags, stars, and what is put away or deleted for a while."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

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
class Replaced:
    """What a change of one run has replaced, and by what: enough to take this change back and no other."""

    before: Annotations
    after: Annotations

    def taken_back(self, now: Annotations) -> Annotations:
        """`now` without the change. What somebody has said otherwise since stays, as in another tab."""
        changed = [name for name in (field.name for field in fields(Annotations))
                   if getattr(self.before, name) != getattr(self.after, name)]
        back = {name: getattr(self.before, name) for name in changed if getattr(now, name) == getattr(self.after, name)}
        if "tags" in changed and "tags" not in back:
            stay = [tag for tag in now.tags if tag in self.before.tags or tag not in self.after.tags]
            back["tags"] = tuple(dict.fromkeys([*stay, *(tag for tag in self.before.tags if tag not in self.after.tags)]))
        return replace(now, **back)


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

def annotate(db: sqlite3.Connection, run_ids: Iterable[str], change: Change) -> dict[str, Replaced]:
    """Change what is said of runs; for take_back(), of those that it changed. Raises AnnotationError."""
    change, now = change.checked(), time.time()
    replaced = {run_id: Replaced(said, change.applied(said, now)) for run_id, said in read_annotations(db, run_ids).items()}
    replaced = {run_id: one for run_id, one in replaced.items() if one.before != one.after}
    write_annotations(db, {run_id: one.after for run_id, one in replaced.items()})
    return replaced


def take_back(db: sqlite3.Connection, replaced: Mapping[str, Replaced]) -> None:
    """Undo what annotate() has done to these runs, by their ids; those that are gone are left out."""
    now = read_annotations(db, replaced)
    write_annotations(db, {run_id: replaced[run_id].taken_back(said) for run_id, said in now.items()})


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
