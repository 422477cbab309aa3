"""The lab on metrics: tables of answers, typed or pasted by a person, and some to begin with."""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from core.wording import plural

MOST_ROWS, MOST_CLASSES, LONGEST_LABEL, MOST_CHARACTERS = 500, 12, 40, 100_000
HEADS = {"y_true", "true", "truth", "label"}  # a first cell that says what the column holds
HOW = "Write one answer a line: what is true, a comma, what was said, and if there is one, a comma and a score"
HOW_NUMBERS = "Write one answer a line: the true number, a comma, the number that was said"


class TableRefused(ValueError):
    """A table that can't be used; the message is one line that says where and what to do."""


@dataclass(frozen=True)
class Table:
    """Answers of somebody or something. truth, said: labels; scores: of the positive class, higher for surer, or None."""

    truth: tuple[str, ...]
    said: tuple[str, ...]
    scores: tuple[float, ...] | None
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def counts(self) -> np.ndarray:
        """(K, K) int64 confusion counts: rows are what is true, columns what was said."""
        place = {name: number for number, name in enumerate(self.classes)}
        counts = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        np.add.at(counts, ([place[name] for name in self.truth], [place[name] for name in self.said]), 1)
        return counts


def read_table(text: str, named: str = "") -> Table:
    """A table of labels. named: all classes there can be, divided by commas; "" for those in the table.

    Raises TableRefused.
    """
    rows = _rows(text, HOW)
    width = len(rows[0][1])
    if width not in (2, 3):
        raise TableRefused(f"Line {rows[0][0]} has {plural(width, 'column')}. {HOW}.")
    truth, said, scores = [], [], []
    for number, cells in rows:
        if len(cells) != width:
            raise TableRefused(f"Line {number} has {plural(len(cells), 'column')}, the first one {width}. {HOW}.")
        for cell in cells[:2]:
            if not cell or len(cell) > LONGEST_LABEL:
                wrong = "an empty label" if not cell else f"a label of {len(cell):,} characters; at most {LONGEST_LABEL} are read"
                raise TableRefused(f"Line {number} has {wrong}.")
        truth.append(cells[0])
        said.append(cells[1])
        if width == 3:
            scores.append(_number(cells[2], number, "score"))
    return Table(tuple(truth), tuple(said), tuple(scores) if width == 3 else None, _classes(rows, named))


def read_numbers(text: str) -> tuple[np.ndarray, np.ndarray]:
    """True numbers and said ones, both (N,) float64. Raises TableRefused."""
    rows = _rows(text, HOW_NUMBERS)
    for number, cells in rows:
        if len(cells) != 2:
            raise TableRefused(f"Line {number} has {plural(len(cells), 'column')}. {HOW_NUMBERS}.")
    values = np.array([[_number(cell, number, "number") for cell in cells] for number, cells in rows])
    return values[:, 0], values[:, 1]


def _rows(text: str, how: str) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, each with its number from 1, without a first line of names."""
    if len(text) > MOST_CHARACTERS:
        rows = text.count("\n") + 1
        raise TableRefused(f"The table has {rows:,} lines and {len(text):,} characters; at most {MOST_ROWS} answers are worked "
                           "out by hand here. Take a part of it, or evaluate a run on the page Evaluate.")
    mark = max(",;\t", key=text.count)
    rows = [(number, [cell.strip() for cell in line.split(mark)])
            for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if rows and rows[0][1][0].lower() in HEADS:
        rows = rows[1:]
    if not rows:
        raise TableRefused(f"The table is empty. {how}.")
    if len(rows) > MOST_ROWS:
        raise TableRefused(f"The table has {len(rows):,} answers; at most {MOST_ROWS} are worked out by hand here. Take a part "
                           "of it, or evaluate a run on the page Evaluate.")
    return rows


def _number(cell: str, line: int, what: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise TableRefused(f"Line {line} has the {what} “{_short(cell)}”, which is no number.") from None
    if not isfinite(value) or abs(value) > 1e100:
        raise TableRefused(f"Line {line} has the {what} {_short(cell)}: only finite numbers can be put in order and summed.")
    return value


def _classes(rows: list[tuple[int, list[str]]], named: str) -> tuple[str, ...]:
    """In the order of numbers where all are whole numbers, else of the alphabet; as named where they are named."""
    given = classes = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if given:
        for number, cells in rows:
            for cell in cells[:2]:
                if cell not in classes:
                    raise TableRefused(f"Line {number} says “{_short(cell)}”, which is none of the classes that you named: "
                                       f"{', '.join(map(_short, classes[:MOST_CLASSES]))}.")
    else:
        found = {cell for _, cells in rows for cell in cells[:2]}
        classes = tuple(sorted(found, key=lambda name: (int(name), name) if all(map(_is_whole, found)) else name))
    if len(classes) > MOST_CLASSES:
        raise TableRefused(f"There are {len(classes)} classes; at most {MOST_CLASSES} are shown here. Are the columns in the "
                           "right order: what is true, what was said, the score?")
    if len(classes) < 2 and not given:
        return _with_another(classes)
    return classes


def _with_another(classes: tuple[str, ...]) -> tuple[str, ...]:
    """One class alone and the one that is not there: 0 beside 1, "not cat" beside cat."""
    (only,) = classes
    return {"1": ("0", "1"), "0": ("0", "1")}.get(only, (f"not {only}", only))


def _is_whole(name: str) -> bool:
    """Whether a label is a whole number as Python writes it: 07 and ² are not."""
    return name.removeprefix("-").isdecimal() and name.isascii() and str(int(name)) == name


def _short(cell: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in cell[:30]) + ("…" if len(cell) > 30 else "")


def literal(name: str, classes: tuple[str, ...]) -> int | str:
    """A label as code has it: a whole number where all are."""
    return int(name) if all(map(_is_whole, classes)) else name


# --- tables to begin with


@dataclass(frozen=True)
class Example:
    """title, about: what it is and what to see in it; text: the table."""

    title: str
    about: str
    text: str


def _listed(truth: str, said: str, scores: str = "") -> str:
    columns = [truth.split(), said.split(), *([scores.split()] if scores else [])]
    return "\n".join(map(", ".join, zip(*columns, strict=True)))


def _rare() -> str:
    """5 of 100 are ill. Nobody is called ill, though most of the ill have the highest scores."""
    ill = {20: 0.18, 96: 0.42, 97: 0.44, 98: 0.46, 99: 0.48}
    return "\n".join(f"{int(row in ill)}, 0, {ill.get(row, 0.01 + 0.004 * row):.3f}" for row in range(100))


EXAMPLES: dict[str, Example] = {
    "eight": Example("Eight yes-no answers", "Six of eight are right.", _listed("0 1 1 0 1 0 1 0", "0 1 0 0 1 1 1 0")),
    "three": Example("Six answers, three classes", "Four of six are right.", _listed("0 1 2 2 1 0", "0 2 2 1 1 0")),
    "scores": Example("Ten answers with scores", "“yes” was said from a score of 0.5 on.", _listed(
        "1 1 0 1 1 0 1 0 0 0", "1 1 1 1 1 1 0 0 0 0", "0.95 0.9 0.8 0.7 0.6 0.55 0.4 0.3 0.2 0.1")),
    "rare": Example("Five of a hundred", "“1” is rare and never said: the accuracy is 95 %, and nothing was found. The scores "
                    "know better.", _rare()),
    "one": Example("All of one class", "Every true label is 1: there is no negative to be wrong about.", _listed(
        "1 1 1 1", "1 1 0 1", "0.9 0.8 0.4 0.7")),
    "ties": Example("Ties in scores", "Equal scores can't be put in order: a tie counts as half a pair.", _listed(
        "1 0 1 0 1 0 0 1", "1 1 1 1 0 0 0 0", "0.8 0.8 0.8 0.5 0.5 0.5 0.2 0.2")),
}
NUMBER_EXAMPLES: dict[str, Example] = {
    "close": Example("Close", "Off by little.", _listed("1 2 3 4 5", "1.1 1.9 3.2 3.9 5.1")),
    "outlier": Example("One far off", "One error of 4: squared it counts as much as sixteen errors of 1.", _listed(
        "1 2 3 4 5", "1 2 3 4 9")),
    "backwards": Example("Worse than the mean", "R² below 0: always saying 3 would be better.", _listed(
        "1 2 3 4 5", "5 4 3 2 1")),
    "flat": Example("All the same", "There is no spread, so R² has nothing to divide by.", _listed("2 2 2", "2 2 3")),
}
