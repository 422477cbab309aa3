"""Where texts come from: the reviews that come with the app, and CSV files that people bring.

A CSV of one's own is checked and kept as `texts/<name>.csv` in the data directory, its name made from its content, so that the
training process can read it, and a run that learned from it can be repeated.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.actors import EVERYBODY, LOCAL, Actor
from core.config import DataConfig
from core.data.dataset import DataDamaged, DataError, DataMissing, NotYourData
from core.data.own.sets import TEXTS, check_room
from core.data.sources.texts import CLASSES, RawTexts
from core.files import write_atomically
from core.wording import size_of_bytes

REVIEWS = Path(__file__).with_name("reviews.csv")
OWN = TEXTS
MOST_MEGABYTES, MOST_TEXTS, MOST_CHARACTERS, FEWEST = 50, 100_000, 100_000, 10
LABELS = {"negative": 0, "neg": 0, "0": 0, "positive": 1, "pos": 1, "1": 1}
HOW = "It needs a first line text,label and then one text in each line, with the label positive or negative"


class TextsRefused(DataError):
    """A CSV that can't be used; the message is one line that says where and what to do."""


@dataclass(frozen=True)
class OwnTexts:
    """A file of one's own that is kept. name: what DataConfig.text_file is called; counts: of (negative, positive)."""

    name: str
    counts: tuple[int, int]


Row = tuple[str, int]  # text, label


def read_reviews(root: Path, config: DataConfig) -> RawTexts:
    """The 400 short film reviews written for this project: 280 to learn from, and always the same 120 for testing."""
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train, test = ([(row["text"], CLASSES.index(row["label"])) for row in rows if row["split"] == part]
                   for part in ("train", "test"))
    return raw_texts(train, test)


def own_texts(root: Path, actor: Actor = LOCAL) -> list[str]:
    """Names of the files in the data directory that somebody may use, sorted."""
    names = sorted(path.stem for path in (root / OWN).glob("*.csv"))
    return [name for name in names if actor.sees_all or actor.may_use(texts_owner(root, name))]


def texts_owner(root: Path, name: str) -> str:
    """Whose a kept file is: a visitor's key, or EVERYBODY; nobody's key where that can't be read."""
    path = _place(root, name)
    try:
        return EVERYBODY if path is None else path.with_suffix(".owner").read_text(encoding="ascii")
    except FileNotFoundError:
        return EVERYBODY
    except (OSError, ValueError):
        return "unreadable"


def read_own(root: Path, config: DataConfig) -> RawTexts:
    """A kept file; of each class, always the same fifth is for testing. Raises DataMissing, DataDamaged."""
    if not config.text_file:
        raise DataMissing("data.text_file is empty: upload a CSV of texts on the page “Text” and train from there.")
    path = _place(root, config.text_file)
    if path is None or not path.is_file():
        raise DataMissing(f"There are no texts {config.text_file!r} in {root / OWN}; upload the CSV again on the page “Text”.")
    try:
        rows = check_csv(path.read_bytes())
    except TextsRefused as error:
        raise DataDamaged(f"{path} is damaged: {error}") from None
    train, test = [], []
    for label in (0, 1):
        mine = [row for row in rows if row[1] == label]
        order = np.random.default_rng(0).permutation(len(mine))  # no split seed may move a test text into training
        held = max(1, len(mine) // 5)
        test += [mine[place] for place in sorted(order[:held])]
        train += [mine[place] for place in sorted(order[held:])]
    return raw_texts(train, test)


def import_csv(content: bytes, root: Path, actor: Actor = LOCAL) -> OwnTexts:
    """Check an uploaded CSV and keep it in the data directory as actor's. The same content is kept once for each of them.

    Raises:
        TextsRefused: it can't be used; the message is one line that says why.
        DataError: the actor keeps as much as they may.
        OSError: the data directory can't be written to.
    """
    rows = check_csv(content)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("text", "label"))
    writer.writerows((row, CLASSES[label]) for row, label in rows)
    kept = text.getvalue().encode()
    owner = actor.data_owner.encode()
    name = hashlib.sha256(owner + kept).hexdigest()[:16]  # not to be worked out from the texts by others who have them
    if not (root / OWN / f"{name}.csv").is_file():
        check_room(root, actor, len(kept))
    (root / OWN).mkdir(parents=True, exist_ok=True)
    if owner:  # first: until it is there the texts would be everybody's
        write_atomically(root / OWN / f"{name}.owner", lambda file: file.write(owner))
    write_atomically(root / OWN / f"{name}.csv", lambda file: file.write(kept))
    positive = sum(label for _, label in rows)
    return OwnTexts(name, (len(rows) - positive, positive))


def delete_own(root: Path, name: str, actor: Actor = LOCAL) -> None:
    """Delete a kept file; nothing happens where there is none. Raises OSError, and NotYourData where it is somebody else's."""
    path = _place(root, name)
    if path is None:
        return
    if path.is_file() and not actor.may_change(texts_owner(root, name)):
        raise NotYourData
    path.unlink(missing_ok=True)
    path.with_suffix(".owner").unlink(missing_ok=True)  # last: without it the texts would be everybody's


def check_csv(content: bytes) -> list[Row]:
    """The texts and labels of a CSV. Raises TextsRefused with one line for anything else."""
    if len(content) > MOST_MEGABYTES * 1_000_000:
        raise TextsRefused(f"The file has {size_of_bytes(len(content))}; at most {MOST_MEGABYTES} MB are read. Take a part "
                           "of it.")
    if not content.strip():
        raise TextsRefused(f"The file is empty. {HOW}.")
    rows = _labelled(_lines(_decode(content)))
    counts = [sum(label == which for _, label in rows) for which in (0, 1)]
    for label, count in zip(CLASSES, counts, strict=True):
        if not count:
            raise TextsRefused(f"No text has the label {label}; a network needs both positive and negative ones to learn from.")
    if min(counts) < FEWEST:
        raise TextsRefused(f"There are {counts[0]} negative and {counts[1]} positive texts; at least {FEWEST} of each are "
                           "needed.")
    return rows


def _decode(content: bytes) -> str:
    coding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(coding)
    except UnicodeDecodeError as error:
        shown = f" (byte {content[error.start]:#04x} at position {error.start:,})" if coding != "utf-16" else ""
        raise TextsRefused(f"The file is not UTF-8 text{shown}. Save it as “CSV UTF-8” and upload it again.") from None
    if "\0" in text:
        raise TextsRefused("The file has NUL bytes in it, as text files never do. Save it as “CSV UTF-8” and upload it again.")
    return text


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Each record with the number of the line it ends on. A semicolon or tab may stand for the comma."""
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    records = []
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                records.append((reader.line_num, record))
            if len(records) > MOST_TEXTS + 1:
                raise TextsRefused(f"The file has more than {MOST_TEXTS:,} texts. Take a part of it.")
    except csv.Error as error:
        reason = {"unexpected end of data": "a quotation mark is opened and never closed"}.get(str(error), str(error))
        raise TextsRefused(f"Line {reader.line_num:,} can't be read: {reason}. Put a text with commas in quotation marks, and "
                           "write a quotation mark inside it twice.") from None
    return records


def _labelled(records: list[tuple[int, list[str]]]) -> list[Row]:
    if not records:
        raise TextsRefused(f"The file is empty. {HOW}.")
    _, head = records[0]
    names = [name.strip().lower() for name in head]
    for name in ("text", "label"):
        if names.count(name) != 1:
            have = ", ".join(_short(cell) for cell in head[:5])
            wrong = f"more than one column {name}" if name in names else f"no column {name}"
            raise TextsRefused(f"The file has {wrong}; its first line is {have}. {HOW}.")
    if len(records) == 1:
        raise TextsRefused(f"The file has a first line and no texts. {HOW}.")
    return [_row(line, record, names) for line, record in records[1:]]


def _row(line: int, record: list[str], names: list[str]) -> Row:
    if len(record) != len(names):
        raise TextsRefused(f"Line {line:,} has {len(record)} columns and the first line {len(names)}. Put a text with commas in "
                           "quotation marks.")
    text, label = record[names.index("text")].strip(), record[names.index("label")].strip().lower()
    if not text:
        raise TextsRefused(f"Line {line:,} has an empty text.")
    if len(text) > MOST_CHARACTERS:
        raise TextsRefused(f"The text in line {line:,} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    if label not in LABELS:
        raise TextsRefused(f"The label in line {line:,} is {_short(label)}; use positive or negative (or pos and neg, or 1 "
                           "and 0).")
    return text, LABELS[label]


def _short(cell: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in cell[:30])
    return f"“{shown}{'…' if len(cell) > 30 else ''}”"


def _place(root: Path, name: str) -> Path | None:
    """Where the file of that name is, or would be; None for what import_csv never names one, such as ../secret."""
    return root / OWN / f"{name}.csv" if re.fullmatch(r"[0-9a-f]{16}", name) else None


def raw_texts(train: Iterable[Row], test: Iterable[Row]) -> RawTexts:
    """Rows of texts and labels as a data set."""
    train, test = list(train), list(test)
    return RawTexts([text for text, _ in train], torch.tensor([label for _, label in train], dtype=torch.int64),
                    [text for text, _ in test], torch.tensor([label for _, label in test], dtype=torch.int64))
