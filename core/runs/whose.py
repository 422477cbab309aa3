"""Whose a run is, for a teacher: a number for each visitor, who can't be recognised by it and is let in by nothing of it."""

import sqlite3

from core.actors import Actor

YOU, NOBODY = "you", "the server"


def note_visitor(db: sqlite3.Connection, actor: Actor) -> None:
    """Number whoever makes a run of their own, once and for good."""
    if not actor.is_local:
        db.execute("INSERT INTO visitors (owner) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM visitors WHERE owner = ?1)",
                   (actor.key,))


def label_of_owner(actor: Actor, owner: str, number: int | None) -> str:
    """"visitor 3", and "you" for a teacher's own runs; "" for anybody but a teacher. What was trained on the command line, or
    before many used the server, is the server's. number: of the owner among the visitors."""
    if actor.kind != "teacher":
        return ""
    return YOU if owner == actor.key else NOBODY if number is None else f"visitor {number}"
