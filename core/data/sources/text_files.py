"""Where texts come from: the reviews that come with the app, and CSV files that people bring.

A CSV of one's own is checked by a small process of its own (core.importing.text_child) and kept as `texts/<name>.csv` in the data
directory, its name made from its content, so that the training process can read it, and a run that learned from it can be
repeated. Beside it `<name>.json` has its classes and counts;
files of before 0.12 have none, and their classes are negative and positive.
"""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.actors import EVERYBODY, LOCAL, Actor
from core.config import DataConfig
from core.data.dataset import DataDamaged, DataError, DataMissing, NotYourData
from core.data.own.sets import TEXTS, check_room, new_staging
from core.data.sources.texts import RawTexts
from core.files import write_atomically
from core.importing import text_child
from core.importing.names import plain_name
from core.importing.text_labels import CLASSES
from core.importing.text_lines import TextsRefused
from core.importing.texts import FoundTexts, Row, TextsFile
from core.subprocesses import run

REVIEWS = Path(__file__).with_name("reviews.csv")
OWN = TEXTS
UPLOAD = "upload.csv"
SECONDS = 300.0  # by the clock; the child has a limit on processor time too
PIECE = 1 << 20  # bytes


class CsvRefused(DataError):
    """A CSV of texts that can't be used; the message is one line that says where and what to do.

    columns: what its columns are called, where it has any to choose from.
    """

    def __init__(self, line: str, columns: Iterable[str] = ()) -> None:
        super().__init__(line)
        self.columns = tuple(map(str, columns))


@dataclass(frozen=True)
class OwnTexts:
    """A file of one's own that is kept. name: what DataConfig.text_file is called. counts: texts of each class. was_there:
    whether it had been kept before. read: how the file was understood."""

    name: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    was_there: bool = field(compare=False)
    read: FoundTexts = field(compare=False)


@dataclass(frozen=True)
class AboutTexts:
    """What is known of a kept file without reading it. counts: texts to learn from, before any are held back, and for testing;
    (0, 0) where that is not known."""

    classes: tuple[str, ...] = CLASSES
    counts: tuple[int, int] = (0, 0)


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


def about_texts(root: Path, name: str) -> AboutTexts:
    """Classes and counts of a kept file. Raises DataDamaged where what is kept of them is not ours."""
    path = _place(root, name)
    if path is None:
        return AboutTexts()
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        classes, (train, test) = tuple(about["classes"]), map(int, about["counts"])
    except FileNotFoundError:
        return AboutTexts()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataDamaged(f"{path.with_suffix('.json')} can't be read ({type(error).__name__}). Delete these texts and upload "
                          "them again.") from None
    if len(classes) < 2 or len({*classes}) < len(classes) or any(name != plain_name(name) or not name for name in classes):
        raise DataDamaged(f"{path.with_suffix('.json')} does not name classes. Delete these texts and upload them again.")
    return AboutTexts(classes, (max(0, train), max(0, test)))


def read_own(root: Path, config: DataConfig) -> RawTexts:
    """A kept file; of each class, always the same fifth is for testing. Raises DataMissing, DataDamaged."""
    if not config.text_file:
        raise DataMissing("data.text_file is empty: upload a CSV of texts on the page “Text” and train from there.")
    path = _place(root, config.text_file)
    if path is None or not path.is_file():
        raise DataMissing(f"There are no texts {config.text_file!r} in {root / OWN}; upload the CSV again on the page “Text”.")
    classes = about_texts(root, config.text_file).classes
    try:
        with path.open("rb") as file:
            rows = list(TextsFile(file, (0, 1), classes).rows())
    except TextsRefused as error:
        raise DataDamaged(f"{path} is damaged: {error}") from None
    train, test = [], []
    for label in range(len(classes)):
        mine = [row for row in rows if row[1] == label]
        order = np.random.default_rng(0).permutation(len(mine))  # no split seed may move a test text into training
        held = _for_testing(len(mine))
        test += [mine[place] for place in sorted(order[:held])]
        train += [mine[place] for place in sorted(order[held:])]
    return raw_texts(train, test)


def _for_testing(count: int) -> int:
    """How many texts of a class are for testing."""
    return max(1, count // 5)


def import_csv(content: bytes | memoryview, root: Path, actor: Actor = LOCAL, taken: tuple[int, int] | None = None) -> OwnTexts:
    """Check an uploaded CSV and keep it in the data directory as actor's. The same content is kept once for each of them.

    taken: the columns of text and label, where somebody has said which they are.

    Raises:
        CsvRefused: it can't be used; the message is one line that says why.
        DataError: the actor keeps as much as they may.
        OSError: the data directory can't be written to.
    """
    folder = new_staging(root)
    try:
        (folder / UPLOAD).write_bytes(content)
        found = _run_child(folder, taken)
        return _keep(folder / text_child.TEXTS, found, root, actor)
    finally:  # also when a page is left, which Streamlit raises as no Exception
        shutil.rmtree(folder, ignore_errors=True)


def _run_child(folder: Path, taken: tuple[int, int] | None) -> FoundTexts:
    """How the child understands the upload. Raises CsvRefused, and OSError where it could not write."""
    options = {"file": str((folder / UPLOAD).absolute()), "folder": str(folder.absolute()), "taken": taken}
    try:
        run("core.importing.text_child", json.dumps(options), seconds=SECONDS)
        said: dict[str, Any] = json.loads((folder / text_child.RESULT).read_text(encoding="utf-8"))
    except subprocess.TimeoutExpired:
        raise CsvRefused("Reading this file takes too long. Take a part of it.") from None
    except (OSError, ValueError):
        raise CsvRefused("Reading this file failed: it may be made to break programs. Nothing was kept.") from None
    if "failed" in said:
        raise OSError(said["failed"], os.strerror(said["failed"] or 0))
    if "refused" in said:
        raise CsvRefused(said["refused"], said["columns"])
    classes, counts, notes, columns, (text, label) = (said[name] for name in ("classes", "counts", "notes", "columns", "taken"))
    return FoundTexts(tuple(classes), tuple(counts), tuple(notes), tuple(columns), (text, label))


def _keep(texts: Path, found: FoundTexts, root: Path, actor: Actor) -> OwnTexts:
    """Put checked texts into their place."""
    owner = actor.data_owner.encode()
    digest = hashlib.sha256(owner)
    with texts.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
        name = digest.hexdigest()[:16]  # not to be worked out from the texts by others who have them
        was_there = (root / OWN / f"{name}.csv").is_file()
        if not was_there:
            check_room(root, actor, texts.stat().st_size)
        tested = sum(map(_for_testing, found.counts))
        about = json.dumps({"classes": found.classes, "counts": (sum(found.counts) - tested, tested)}, ensure_ascii=False)
        (root / OWN).mkdir(parents=True, exist_ok=True)
        if owner:  # first: until it is there the texts would be everybody's
            write_atomically(root / OWN / f"{name}.owner", lambda kept: kept.write(owner))
        write_atomically(root / OWN / f"{name}.json", lambda kept: kept.write(about.encode()))
        file.seek(0)
        write_atomically(root / OWN / f"{name}.csv", lambda kept: shutil.copyfileobj(file, kept, PIECE))
    return OwnTexts(name, found.classes, found.counts, was_there, found)


def delete_own(root: Path, name: str, actor: Actor = LOCAL) -> None:
    """Delete a kept file; nothing happens where there is none. Raises OSError, and NotYourData where it is somebody else's."""
    path = _place(root, name)
    if path is None:
        return
    if path.is_file() and not actor.may_change(texts_owner(root, name)):
        raise NotYourData
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    path.with_suffix(".owner").unlink(missing_ok=True)  # last: without it the texts would be everybody's


def _place(root: Path, name: str) -> Path | None:
    """Where the file of that name is, or would be; None for what import_csv never names one, such as ../secret."""
    return root / OWN / f"{name}.csv" if re.fullmatch(r"[0-9a-f]{16}", name) else None


def raw_texts(train: Iterable[Row], test: Iterable[Row]) -> RawTexts:
    """Rows of texts and labels as a data set."""
    train, test = list(train), list(test)
    return RawTexts([text for text, _ in train], torch.tensor([label for _, label in train], dtype=torch.int64),
                    [text for text, _ in test], torch.tensor([label for _, label in test], dtype=torch.int64))
