"""A sheet whose marks have answers: corrected box by box, then kept as a data set, taught with or downloaded."""

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.actors import LOCAL, Actor
from core.data.dataset import DataError
from core.data.drawing import Box
from core.data.drawing.as_kept import DRAWING_SHAPE, Preparation, from_ink
from core.data.drawing.boxes import LabelledBox
from core.data.drawing.sheet import Sheet, in_box, numbers_of, rows_of
from core.data.own.digits import MyDigits
from core.data.own.sets import OwnSet, held_for_testing, save_set
from core.wording import cell

NO_DIGIT = -1
NO_DIGIT_NAME = "no digit"
NO_DIGIT_SIGN = "–"  # on the picture, where there is no room for words
NONE_SIGNS = ("–", "-", "no digit", "none", "x")  # what a person may write for it
SAME = 2  # pixels of the canvas: a box that is not further off was not moved
MOVED = 0.3  # a box that shares as much with one that was there is that one, moved
Ask = Callable[[Tensor], Tensor]  # (N, C, H, W) float32 in [0, 1] → (N, K) probabilities


@dataclass(frozen=True, eq=False)
class Entry:
    """One mark. id: its own for as long as it is there. image: (C, H, W) float32 in [0, 1], as the model that reads is given it;
    None where its box holds no ink. ink: (h, w) float32 in [0, 1], what it was made from.

    answer: what the model says, as a class number, and sure, how probable that is. label: what it counts as, NO_DIGIT for none.
    by_hand: a person has said so.
    """

    id: int
    box: Box
    image: Tensor | None
    answer: int
    sure: float
    label: int
    by_hand: bool = False
    ink: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class LabelledSheet:
    """A sheet, its marks with labels in reading order, and the classes' names. how: marks are prepared for the model that reads;
    None as MNIST was made."""

    sheet: Sheet
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    next_id: int
    how: Preparation | None = None

    @classmethod
    def read(cls, sheet: Sheet, classes: Sequence[str], ask: Ask, how: Preparation | None = None) -> "LabelledSheet":
        """Every mark with the model's answer."""
        inks = [mark.ink.astype(np.float32) / 255 for mark in sheet.marks]
        images = [mark.image if how is None else from_ink(ink, how) for mark, ink in zip(sheet.marks, inks, strict=True)]
        entries = [Entry(place, mark.box, image, answer, sure, answer, ink=ink) for place, (mark, ink, image, (answer, sure))
                   in enumerate(zip(sheet.marks, inks, images, _answers(torch.stack(images), ask), strict=True))]
        return cls(sheet, tuple(classes), tuple(entries), len(entries), how)

    def asked_again(self, ask: Ask, how: Preparation | None = None) -> "LabelledSheet":
        """With another model's answers, for which marks are prepared anew; what a person has said stays."""
        entries = self.entries if how == self.how else [
            entry if entry.ink is None else replace(entry, image=from_ink(entry.ink, how)) for entry in self.entries]
        images = {entry.id: entry.image for entry in entries if entry.image is not None}
        answers = dict(zip(images, _answers(torch.stack(list(images.values())), ask), strict=True)) if images else {}
        return replace(self, how=how)._with([replace(entry, answer=answers[entry.id][0], sure=answers[entry.id][1],
                                                     label=entry.label if entry.by_hand else answers[entry.id][0])
                                             if entry.id in answers else entry for entry in entries])

    def relabelled(self, entry_id: int, label: int) -> "LabelledSheet":
        """With a mark that counts as something else; as it is where there is no such mark."""
        return self._with([replace(entry, label=label, by_hand=True) if entry.id == entry_id else entry
                           for entry in self.entries])

    def with_box(self, box: Box, label: int | None, ask: Ask) -> "LabelledSheet":
        """With one more box; label None takes what the model says."""
        entry = _asked(Entry(self.next_id, box, None, 0, 0.0, NO_DIGIT), self, box, ask)
        if label is not None:
            entry = replace(entry, label=label, by_hand=True)
        return replace(self._with([*self.entries, entry]), next_id=self.next_id + 1)

    def within(self, view: Box) -> list[Entry]:
        """The entries whose middle is in this part of the picture."""
        return [entry for entry in self.entries if _holds(view, entry.box)]

    def with_boxes(self, boxes: Sequence[LabelledBox], tolerance: float, ask: Ask, view: Box) -> tuple["LabelledSheet", str]:
        """As the boxes on the canvas say: boxes moved, added, deleted and relabelled.

        tolerance: pixels of the picture by which a box that was left alone may be off. view: the part of the picture that the
        canvas shows; what is elsewhere stays.

        Returns:
            The sheet, and a line about labels that there are not; "" where all are known.
        """
        left, strange, next_id = self.within(view), [], self.next_id
        entries = [entry for entry in self.entries if not _holds(view, entry.box)]
        for one in sorted(boxes, key=lambda one: one.id is None):  # those drawn by hand take what is left
            entry = _of_id(left, one.id) if one.id is not None else _same(left, one.box, tolerance) or _moved(left, one.box)
            if entry is None:
                entry = _asked(Entry(next_id, one.box, None, 0, 0.0, NO_DIGIT), self, one.box, ask)
                next_id += 1
                shown = ""
            else:
                left.remove(entry)
                shown = self.name(entry.label, NO_DIGIT_SIGN)
                if _off(entry.box, one.box) > tolerance:
                    entry = _asked(entry, self, one.box, ask)
            if one.label not in (shown, ""):
                label = self.label_of(one.label)
                if label is None:
                    strange.append(one.label)
                else:
                    entry = replace(entry, label=label, by_hand=True)
            entries.append(entry)
        names = ", ".join(dict.fromkeys(f"“{label[:12]}”" for label in strange))
        note = (f"{names}: no such label, so it was left out. A label is one of {', '.join(self.classes)}, or – for no digit."
                if strange else "")
        return replace(self._with(entries), next_id=next_id), note

    def label_of(self, text: str) -> int | None:
        """The class of that name; NO_DIGIT for a dash; None for anything else."""
        if text in self.classes:
            return self.classes.index(text)
        return NO_DIGIT if text.lower() in NONE_SIGNS else None

    def name(self, label: int, none: str = NO_DIGIT_NAME) -> str:
        return self.classes[label] if label >= 0 else none

    def numbers(self) -> list[list[str]]:
        """What is read, row by row, digits that stand together as one number; what is no digit is left out."""
        digits = [entry for entry in self.entries if entry.label >= 0]
        boxes = [entry.box for entry in digits]
        row_of = {index: row for row, indices in enumerate(rows_of(boxes)) for index in indices}
        rows: list[list[str]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
        for number in numbers_of(boxes):
            rows[row_of[number[0]]].append("".join(self.classes[digits[index].label] for index in number))
        return rows

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what a model is given of each mark."""
        return DRAWING_SHAPE if self.how is None else (self.how.channels, self.how.size, self.how.size)

    @property
    def kept(self) -> list[Entry]:
        """The entries that make the labelled set: digits, with ink in their boxes."""
        return [entry for entry in self.entries if entry.label >= 0 and entry.image is not None]

    def _with(self, entries: Sequence[Entry]) -> "LabelledSheet":
        order = [index for row in rows_of([entry.box for entry in entries]) for index in row]
        return replace(self, entries=tuple(entries[index] for index in order))


def added_to(kept: MyDigits, labelled: LabelledSheet) -> MyDigits:
    """My digits with all of a sheet's. Raises DataError where they would be too many."""
    for entry in labelled.kept:
        assert entry.image is not None
        kept = kept.keep(entry.image, entry.label)
    return kept


def save_sheet(labelled: LabelledSheet, root: Path, title: str, actor: Actor = LOCAL) -> OwnSet:
    """Keep a sheet's digits as a data set of actor's, a fifth of them for testing.

    Raises DataError where there are none or nothing can be written.
    """
    if not labelled.kept:
        raise DataError("There is no digit on this sheet to keep: give at least one mark a label.")
    images = np.stack([_pixels(entry) for entry in labelled.kept])
    labels = np.array([entry.label for entry in labelled.kept], np.int64)
    return save_set(root, title, labelled.classes, images, labels, held_for_testing(labels), "read from a sheet",
                    actor=actor)


def zip_of_sheet(labelled: LabelledSheet) -> bytes:
    """A zip file: a PNG for each digit in a folder for each class, and about.csv with where each was and what was answered."""
    file, table = io.BytesIO(), io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    lines.writerow(("file", "label", "answer", "sure", "corrected", "left", "top", "width", "height"))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, entry in enumerate(labelled.kept):
            picture = io.BytesIO()
            Image.fromarray(_as_picture(_pixels(entry))).save(picture, format="PNG")
            name = f"sheet/{labelled.classes[entry.label].replace('/', '_')}/{place + 1:03d}.png"
            archive.writestr(zipfile.ZipInfo(name), picture.getvalue())
            box = entry.box
            lines.writerow((cell(name.removeprefix("sheet/")), cell(labelled.classes[entry.label]),
                            cell(labelled.classes[entry.answer]), f"{entry.sure:.4f}", "yes" if entry.by_hand else "no",
                            box.left, box.top, box.width, box.height))
        archive.writestr(zipfile.ZipInfo("about.csv"), table.getvalue())
    return file.getvalue()


def _answers(images: Tensor, ask: Ask) -> list[tuple[int, float]]:
    best = ask(images).max(dim=1)
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _asked(entry: Entry, labelled: LabelledSheet, box: Box, ask: Ask) -> Entry:
    """The entry with this box, its ink prepared anew and asked about; NO_DIGIT where the box is empty."""
    ink = in_box(labelled.sheet, box)
    if ink is None:
        return replace(entry, box=box, image=None, ink=None, sure=0.0, label=NO_DIGIT, by_hand=False)
    image = from_ink(ink, labelled.how)
    answer, sure = _answers(image[None], ask)[0]
    return replace(entry, box=box, image=image, ink=ink, answer=answer, sure=sure,
                   label=entry.label if entry.by_hand else answer)


def _pixels(entry: Entry) -> np.ndarray:
    """(C, H, W) uint8"""
    assert entry.image is not None
    return entry.image.clamp(0, 1).mul(255).round().to(torch.uint8).numpy()


def _as_picture(pixels: np.ndarray) -> np.ndarray:
    """(1 or 3, H, W) → (H, W) or (H, W, 3)"""
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def _off(a: Box, b: Box) -> float:
    """How far two boxes' sides are apart at most, in pixels."""
    return max(abs(a.left - b.left), abs(a.top - b.top), abs(a.left + a.width - b.left - b.width),
               abs(a.top + a.height - b.top - b.height))


def _holds(view: Box, box: Box) -> bool:
    """Whether a box's middle is in the view."""
    down, right = box.top + box.height / 2 - view.top, box.left + box.width / 2 - view.left
    return 0 <= down < view.height and 0 <= right < view.width


def _same(entries: list[Entry], box: Box, tolerance: float) -> Entry | None:
    return next((entry for entry in entries if _off(entry.box, box) <= tolerance), None)


def _of_id(entries: list[Entry], entry_id: int) -> Entry | None:
    return next((entry for entry in entries if entry.id == entry_id), None)


def _moved(entries: list[Entry], box: Box) -> Entry | None:
    """The entry whose box shares most with this one, if it is enough."""
    shares = [(_shared(entry.box, box), -place) for place, entry in enumerate(entries)]
    share, place = max(shares, default=(0.0, 0))
    return entries[-place] if share >= MOVED else None


def _shared(a: Box, b: Box) -> float:
    """Intersection over union."""
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    both = max(0, down) * max(0, across)
    return both / max(1, a.height * a.width + b.height * b.width - both)
