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
from core.wording import plural, size_of_bytes

REVIEWS = Path(__file__).with_name("reviews.csv")
OWN = TEXTS
MOST_MEGABYTES, MOST_TEXTS, MOST_CHARACTERS, FEWEST = 100, 100_000, 100_000, 10
LABELS = {"negative": 0, "neg": 0, "0": 0, "0.0": 0, "false": 0, "positive": 1, "pos": 1, "1": 1, "1.0": 1, "true": 1,
          "4": 1, "4.0": 1}  # Sentiment140 has 0 and 4
# Titles of the columns, the likeliest first, in small letters without spaces and signs
TEXT_TITLES = ("text", "review", "reviewtext", "sentence", "content", "comment", "tweet", "message", "body")
LABEL_TITLES = ("label", "labels", "sentiment", "polarity", "target", "class", "category")
HOW = "It needs a first line text,label and then one text in each line, with the label positive or negative"
LOOKED_AT = 200  # lines, where there are no titles
MOST_LEFT_OUT = 0.1  # of the lines: more of them are no accident
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


class TextsRefused(DataError):
    """A CSV that can't be used; the message is one line that says where and what to do."""


@dataclass(frozen=True)
class OwnTexts:
    """A file of one's own that is kept. name: what DataConfig.text_file is called; counts: of (negative, positive). notes: what
    was understood and left out, a line each."""

    name: str
    counts: tuple[int, int]
    notes: tuple[str, ...] = ()


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
    rows, notes = read_csv(content)
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
    return OwnTexts(name, (len(rows) - positive, positive), tuple(notes))


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
    return read_csv(content)[0]


def read_csv(content: bytes) -> tuple[list[Row], list[str]]:
    """The texts and labels of a CSV, and what was understood and left out. Raises TextsRefused as check_csv()."""
    if len(content) > MOST_MEGABYTES * 1_000_000:
        raise TextsRefused(f"The file has {size_of_bytes(len(content))}; at most {MOST_MEGABYTES} MB are read. Take a part "
                           "of it.")
    if not content.strip():
        raise TextsRefused(f"The file is empty. {HOW}.")
    text, notes = _decode(content)
    rows = _labelled(_lines(text), notes)
    counts = [sum(label == which for _, label in rows) for which in (0, 1)]
    for label, count in zip(CLASSES, counts, strict=True):
        if not count:
            raise TextsRefused(f"No text has the label {label}; a network needs both positive and negative ones to learn from.")
    if min(counts) < FEWEST:
        raise TextsRefused(f"There are {counts[0]} negative and {counts[1]} positive texts; at least {FEWEST} of each are "
                           "needed.")
    return rows, notes


def _decode(content: bytes) -> tuple[str, list[str]]:
    """UTF-8, UTF-16 with its mark, else Western European, which is then said."""
    notes = []
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        text = content.decode("cp1252", errors="replace")
        signs = sum(sign == "�" or (not sign.isprintable() and sign not in "\r\n\t") for sign in text[:10_000])
        if signs > 0.01 * len(text[:10_000]):
            shown = f" (byte {content[error.start]:#04x} at position {error.start:,})"
            raise TextsRefused(f"The file is not UTF-8 text{shown}. Save it as “CSV UTF-8” and upload it again.") from None
        notes.append("It is not UTF-8 text and was read as Western European (Windows-1252).")
    if "\0" in text:
        raise TextsRefused("The file has NUL bytes in it, as text files never do. Save it as “CSV UTF-8” and upload it again.")
    return text, notes


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


def _labelled(records: list[tuple[int, list[str]]], notes: list[str]) -> list[Row]:
    if not records:
        raise TextsRefused(f"The file is empty. {HOW}.")
    names = [re.sub(r"[\W_]", "", name.lower()) for name in records[0][1]]
    found = _titled(names) or _untitled([record for _, record in records[:LOOKED_AT]])
    if found is None:
        have = ", ".join(_short(cell) for cell in records[0][1][:5])
        wrong = next((f"more than one column {name}" for name in ("text", "label") if names.count(name) > 1), None) or \
            f"no column {'text' if not set(names) & set(TEXT_TITLES) else 'label'}"
        raise TextsRefused(f"The file has {wrong}; its first line is {have}. {HOW}.")
    text, label, has_titles = found
    if has_titles and len(records) == 1:
        raise TextsRefused(f"The file has a first line and no texts. {HOW}.")
    if not has_titles:
        notes.append(f"There are no titles: column {text + 1} was taken for the text, column {label + 1} for the label.")
    elif (names[text], names[label]) != ("text", "label"):
        notes.append(f"{_short(records[0][1][text])} was taken for the text, {_short(records[0][1][label])} for the label.")
    return _rows(records[1 if has_titles else 0:], len(names), text, label, notes)


def _titled(names: list[str]) -> tuple[int, int, bool] | None:
    """Which columns are text and label, by their titles; None where these don't say it."""
    text = next((title for title in TEXT_TITLES if title in names), None)
    label = next((title for title in LABEL_TITLES if title in names), None)
    if (text, label) == (None, None) and names[:2] == ["v1", "v2"]:  # a well-known collection of messages
        return 1, 0, True
    if text is None or label is None or names.count(text) > 1 or names.count(label) > 1:
        return None
    return names.index(text), names.index(label), True


def _untitled(records: list[list[str]]) -> tuple[int, int, bool] | None:
    """Which columns they are where there are no titles: one of labels, and the longest of the others."""
    width = len(records[0])
    if width < 2 or any(len(record) != width for record in records):
        return None
    labels = [column for column in range(width) if all(record[column].strip().lower() in LABELS for record in records)]
    if len(labels) != 1:
        return None
    longest = max((column for column in range(width) if column not in labels), key=lambda column: sum(
        len(record[column]) for record in records))
    return longest, labels[0], False


def _rows(records: list[tuple[int, list[str]]], width: int, text: int, label: int, notes: list[str]) -> list[Row]:
    """Texts and labels; lines that can't be used are left out and counted, as long as they are few."""
    rows: list[Row] = []
    wrong: list[str] = []
    for line, record in records:
        try:
            rows.append(_row(line, record, width, text, label))
        except TextsRefused as error:
            wrong.append(str(error))
            if len(wrong) > max(1, MOST_LEFT_OUT * len(records)):
                raise TextsRefused(wrong[0]) from None
    if wrong and not rows:
        raise TextsRefused(wrong[0])
    if wrong:
        notes.append(f"{plural(len(wrong), 'line')} left out. The first: {wrong[0]}")
    return rows


def _row(line: int, record: list[str], width: int, place: int, label_place: int) -> Row:
    if len(record) != width:
        raise TextsRefused(f"Line {line:,} has {len(record)} columns and the first line {width}. Put a text with commas in "
                           "quotation marks.")
    text, label = BREAK.sub(" ", record[place]).strip(), record[label_place].strip().lower()
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
