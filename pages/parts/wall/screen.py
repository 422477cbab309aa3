"""The wall itself: one component of our own, which draws everything as large as the projector's screen allows."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import streamlit as st

from core.figures.wall import best_of, curves, dots, is_accuracy, result_of, spread_of
from core.runs import RunStore
from core.runs.wall import MOST_RUNS, State, Wall, counted
from core.wording import plural
from pages.parts.doctors.training_doctor import SHORT
from pages.parts.learn.lab import Question
from pages.parts.learn.questions import QUESTIONS

HERE = Path(__file__).parent
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.wall", html="<div class='wall'></div>", css=(HERE / "screen.css").read_text(encoding="utf-8"),
    js=(HERE / "screen.js").read_text(encoding="utf-8"))
TITLES: dict[State, str] = {"training": "Training", "waiting": "Waiting", "done": "Done", "here": "No run yet"}
MOST_PEOPLE = 60  # names that there is room for, on most screens: see screen.js
MOST_FOUND = 4
IN_A_ROW, LINES = 4, 16  # names on a screen of 16 to 9; its lines for names and a question
BY_KEY = {question.key: question for questions in QUESTIONS.values() for question in questions.values()}


def show_wall(store: RunStore, wall: Wall, path: str, label: str, asked: Question | None) -> None:
    """Draw it. path, label: of the setting that results are drawn over. asked: the question whose answers are shown."""
    accuracy = is_accuracy(wall.runs)
    result = "Best validation accuracy" if accuracy else "Best validation loss"
    best, groups, spread = best_of(wall.runs), _groups(wall), _spread(wall)
    of_best = f"best: {wall.called(best)}" if best is not None else "best so far"
    _component(key="wall.screen", height="content", data={"content": ({  # in a tuple: see pages.parts.shell.sent
        "dots": dots(wall, path) | {"title": f"{result}, by {label}" + (f": the newest {MOST_RUNS}" if wall.every > MOST_RUNS
                                                                        else ""),
                                    "empty": "A dot appears when a run has finished its first epoch."},
        "curves": curves(store, wall) | {"title": f"Training {'accuracy' if accuracy else 'loss'}, by epoch",
                                         "empty": "A curve appears when a run has begun."},
        "figures": ((str(wall.every), plural(wall.every, "run").partition(" ")[2]), (result_of(best), of_best)),
        "spread": spread,
        "groups": groups, "found": _found(wall),
        "prediction": _prediction(wall.predictions, asked, _lines_left(groups, spread is not None))},)})


def answered(predictions: Mapping[str, Mapping[int, int]]) -> dict[str, Question]:
    """The questions that somebody has answered, the last one first; without those that the labs ask no more."""
    return {key: BY_KEY[key] for key in predictions if key in BY_KEY}


def _spread(wall: Wall) -> tuple[str, str] | None:
    """How far results of equal settings lie apart."""
    found = spread_of(wall.runs)
    return None if found is None else (found[1], f"in {found[0]} runs that differ in their seed alone")


def _groups(wall: Wall) -> tuple[dict[str, Any], ...]:
    """Who trains, waits, is done; "+" is before whoever shares the run of the one before. The last ones of all are counted alone
    where there is no room."""
    room, found = MOST_PEOPLE, []
    for state, title in TITLES.items():
        people = wall.of_state(state)
        if people or state != "here":
            starters = {person.owner for person in people if not person.shares_with}
            names = tuple(f"+ {person.called}" if person.shares_with in starters else person.called for person in people[:room])
            found.append({"state": state, "title": title, "count": len(people), "names": names,
                          "more": max(0, len(people) - room)})
        room = max(0, room - len(people))
    return tuple(found)


def _found(wall: Wall) -> dict[str, Any]:
    found = counted(wall.found, SHORT, "learns little")
    return {"title": f"Found by the training doctor, in {plural(len(wall.found), 'run')}", "counts": tuple(found[:MOST_FOUND]),
            "none": "nothing wrong so far" if wall.found else ""}


def _lines_left(groups: tuple[dict[str, Any], ...], spread: bool) -> int:
    """How many the question has below the names, and below the spread where that is shown."""
    used = 1.6 * spread + sum(1.4 + ceil((len(group["names"]) + bool(group["more"])) / IN_A_ROW) for group in groups)
    return round(min(5, max(2, LINES - used)))


def _prediction(predictions: Mapping[str, Mapping[int, int]], asked: Question | None, lines: int) -> dict[str, Any] | None:
    if asked is None:
        return None
    counts = predictions[asked.key]
    return {"title": f"{plural(sum(counts.values()), 'prediction')}", "text": asked.text.replace("`", ""), "lines": lines,
            "choices": tuple((choice.replace("`", ""), counts.get(place, 0)) for place, choice in enumerate(asked.choices))}
