"""The process that reads an archive: python -m core.importing.child OPTIONS (a JSON object), started by core.data.own.importing.

It writes images.npy, labels.npy, test.npy and result.json into the folder it is given, and nothing anywhere else. Lines on
standard output say how far it is. It ends, and removes that folder, when its standard input is closed: its parent has died.
"""

import errno
import json
import os
import select
import shutil
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.importing.archive import BadEntry, Refused, list_entries, opened, read_entry
from core.importing.arrays import Found, find_pixels
from core.importing.decode import TOLD, BadImage, Fit, decode, from_array
from core.importing.duplicates import Copies, Prints, find_copies, groups
from core.importing.inner import with_inner
from core.importing.layout import plan
from core.importing.limits import CPU_SECONDS, import_beside_limit, limit
from core.importing.packed import as_zip
from core.importing.parquet import UNPACKED
from core.importing.reading import PICTURES, Example, Plan
from core.importing.splits import drawn_test, given_test

MOST_IMAGES, MOST_CLASSES = 80_000, 1000
MOST_LINES = 500  # of files that were not taken
MOST_EXAMPLES = 20  # of copies that are named
SECONDS_BETWEEN_LINES = 0.1
OUT_OF_TIME = f"Reading the images takes more than {CPU_SECONDS} s. Make them smaller, or upload fewer at a time."


@dataclass(frozen=True)
class Options:
    """What is asked for; see core.data.own.importing.import_images."""

    archive: str
    folder: str
    size: int
    channels: int
    fit: Fit
    test_share: float
    seed: int
    drop_copies: bool
    reading: str = ""
    name: str = ""


@dataclass
class Images:
    """What has been read, in the order of the rows of images.npy."""

    examples: list[Example]
    prints: Prints
    resized: int
    rejected: list[tuple[str, str]]
    told: Counter[str] = field(default_factory=Counter)  # of decode.TOLD


def main(text: str) -> int:
    options = Options(**json.loads(text))
    # makes the matrix library take its buffers before the limit
    np.matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32))
    limit()
    folder = Path(options.folder)
    try:
        result = read(options, folder)
    except Refused as error:
        result = {"refused": str(error)}
    except MemoryError:
        result = {"refused": "The archive needs more memory than an import may take. Split it into smaller ones."}
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
        result = {"refused": f"The images can't be written: {why}. Free some space, or set PLAYGROUND_DATA "
                             "to a folder with more."}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def read(options: Options, folder: Path) -> dict[str, Any]:
    """The whole work; what the report says of it. Raises Refused."""
    path = as_zip(Path(options.archive), folder / "made.zip", options.name)
    with opened(path) as archive, with_inner(archive, list_entries(archive), folder) as listing:
        pixels = None if any(entry.ending in PICTURES for entry in listing.entries) else find_pixels(
            archive, listing, folder, options.reading, import_beside_limit)
        if pixels is not None and pixels.parts:
            todo, images = read_pixels(archive, pixels, options, folder)
        else:
            todo = plan(archive, listing, options.reading)
            todo.notes += pixels.notes if pixels is not None else []
            check_count(len(todo.examples))
            images = read_images(archive, todo, options, folder)
    for made in ([path] if path != Path(options.archive) else []) + list(folder.glob(UNPACKED.format("*"))):
        made.unlink()
    rejected = listing.rejected + todo.rejected + images.rejected
    report = {"rejected": rejected[:MOST_LINES], "rejected_count": len(rejected), "ignored": listing.ignored,
              "reasons": Counter(reason for _, reason in rejected).most_common(20), "resized": images.resized,
              "reading": todo.reading, "readings": todo.readings}
    copies = find_copies(images.prints)
    classes, labels, test, rows = arrange(images, copies, options)
    problem = unusable(classes, images, rejected)
    if problem and pixels is not None and pixels.notes and not images.examples:
        problem = pixels.notes[0]
    if problem:
        return report | {"refused": problem}
    order = np.concatenate([np.flatnonzero(rows & ~test), np.flatnonzero(rows & test)])  # training images first: see own_sets
    _reorder(folder, order)
    np.save(folder / "labels.npy", labels[order])
    np.save(folder / "test.npy", test[order])
    told = [f"{TOLD[kind]}: {images.told[kind]:,}." for kind in TOLD if images.told[kind]]
    notes = listing.notes + todo.notes + told + class_notes(todo, classes, labels[order], test[order])
    return report | {"classes": classes, "notes": notes, "copies": describe(copies, images, labels, test),
                     "dropped": int(len(rows) - len(order))}


def read_images(archive, todo: Plan, options: Options, folder: Path) -> Images:
    """Decode every example into images.npy, one after the other: in memory there is one picture at a time."""
    images = Images([], Prints(), 0, [])
    shape = (options.channels, options.size, options.size)
    last = 0.0
    with (folder / "images.npy").open("wb") as file:
        _write_header(file, (0, *shape))
        for number, example in enumerate(todo.examples):
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                _say(number, len(todo.examples))
                _end_if_alone(folder)
            try:
                picture = decode(read_entry(archive, example.entry), options.size, options.channels, options.fit)
            except (BadEntry, BadImage) as error:
                images.rejected.append((example.entry.name, str(error)))
                continue
            file.write(picture.pixels.tobytes())
            images.prints.add(picture.pixels)
            images.examples.append(example)
            images.resized += picture.resized
            images.told.update(picture.told)
        file.seek(0)
        _write_header(file, (len(images.examples), *shape))
    _say(len(todo.examples), len(todo.examples))
    return images


def check_count(count: int) -> None:
    """Raises Refused for more images than are imported at once."""
    if count > MOST_IMAGES:
        raise Refused(f"The archive has {count:,} images; at most {MOST_IMAGES:,} are imported at once.")


def read_pixels(archive, found: Found, options: Options, folder: Path) -> tuple[Plan, Images]:
    """Pictures that are numbers, brought to size into images.npy, one after the other; and what they are."""
    images, shape, last = Images([], Prints(), 0, []), (options.channels, options.size, options.size), 0.0
    todo = Plan(reading=found.reading, notes=list(found.notes), readings=list(found.readings))
    total = sum(part.count for part in found.parts)
    with (folder / "images.npy").open("wb") as file:
        _write_header(file, (0, *shape))
        for part in found.parts:
            try:
                for number, (label, picture) in enumerate(part.rows(archive), start=1):
                    entry = replace(part.entry, name=f"{part.entry.name}, picture {number:,}")
                    if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                        last = time.monotonic()
                        _say(len(images.examples), total)
                        _end_if_alone(folder)
                    check_count(len(images.examples) + 1)
                    try:
                        if not label:
                            raise BadImage("it has no label")
                        done = decode(picture, options.size, options.channels, options.fit) if isinstance(picture, bytes) else \
                            from_array(picture, options.size, options.channels, options.fit)
                    except BadImage as error:
                        images.rejected.append((entry.name, str(error)))
                        continue
                    file.write(done.pixels.tobytes())
                    images.prints.add(done.pixels)
                    images.examples.append(Example(entry, label, part.part))
                    images.resized += done.resized
                    images.told.update(done.told)
            except BadEntry as error:
                images.rejected.append((part.entry.name, str(error)))
        file.seek(0)
        _write_header(file, (len(images.examples), *shape))
    todo.examples, todo.classes = images.examples, {example.label for example in images.examples}
    _say(total, total)
    return todo, images


def arrange(images: Images, copies: Copies, options: Options) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Class names; for each image its label (N,) int64, whether it is for testing (N,) bool and whether it is kept (N,) bool."""
    names = {example.label for example in images.examples}
    are_numbers = all(name.isascii() and name.isdigit() and len(name) < 10 for name in names)
    classes = sorted(names, key=lambda name: (int(name), name)) if are_numbers else sorted(names)
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[example.label] for example in images.examples], dtype=np.int64)
    parts = [example.part for example in images.examples]
    if any(parts) and 0 < (given := given_test(parts)).sum() < len(given):
        test = given
    else:
        test = drawn_test(labels, groups(len(labels), copies), options.test_share, options.seed)
    kept = np.ones(len(labels), dtype=bool)
    if options.drop_copies:
        for first, copy in copies.exact:
            if labels[first] == labels[copy]:
                kept[copy] = False
                test[first] |= test[copy]  # a picture that is in both splits is for testing
    return classes, labels, test, kept


def unusable(classes: list[str], images: Images, rejected: list[tuple[str, str]]) -> str:
    """Why nothing can be learned from what was read; "" if something can."""
    if not images.examples:
        if not rejected:
            return "The archive holds no images. Put each class's pictures into a folder of its name."
        name, reason = rejected[0]
        return f"None of the {len(rejected):,} files can be used. The first: {name}: {reason}."
    if len(classes) == 1:
        return (f"All images are of one class, “{classes[0]}”: there is nothing to tell apart. Put each class into a folder of "
                "its own, at least two.")
    if len(classes) > MOST_CLASSES:
        return f"There are {len(classes):,} classes; at most {MOST_CLASSES:,} can be told apart here."
    return ""


def class_notes(todo: Plan, classes: list[str], labels: np.ndarray, test: np.ndarray) -> list[str]:
    """One line for each thing about the classes that a person should know."""
    counts, learned = np.bincount(labels, minlength=len(classes)), np.bincount(labels[~test], minlength=len(classes))
    notes = []
    if empty := sorted(todo.classes - set(classes)):
        notes.append(f"Left out, because no image of {_them(empty)} could be used: {_list(empty)}.")
    if single := [name for name, count in zip(classes, counts, strict=True) if count == 1]:
        notes.append(f"Only one image: {_list(single)}. It can be learned from or tested, not both; add more.")
    if untaught := [name for name, count, rest in zip(classes, counts, learned, strict=True) if count > 1 and not rest]:
        notes.append(f"Only test images, so the network never sees {_them(untaught)}: {_list(untaught)}.")
    if any(example.part == "validation" for example in todo.examples):
        became = "test images, as there is no test folder" if "test" not in {e.part for e in todo.examples} else \
            "training images: each run holds back its own for validation"
        notes.append(f"Images for validation became {became}.")
    return notes


def describe(copies: Copies, images: Images, labels: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Counts of copies within and across splits, and the names of the first few pairs."""
    found: dict[str, object] = {}
    for kind, pairs in (("exact", copies.exact), ("near", copies.near)):
        across = {copy for one, copy in pairs if test[one] != test[copy]}
        found[f"{kind}_across"] = len(across)
        found[f"{kind}_within"] = len({copy for _, copy in pairs} - across)
        first = sorted(pairs, key=lambda pair: (test[pair[0]] == test[pair[1]], pair[1]))[:MOST_EXAMPLES]
        found[kind] = [[images.examples[row].entry.name for row in pair] for pair in first]
    found["conflicts"] = sum(int(labels[one] != labels[other]) for one, other in copies.exact)
    return found


def _them(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _list(names: list[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:8])
    return shown + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """NumPy's header, 128 bytes for any number of images: it is written again when the number is known."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    assert file.tell() == 128, file.tell()


def _reorder(folder: Path, rows: np.ndarray) -> None:
    """Write images.npy anew with these rows in this order."""
    with (folder / "images.npy").open("rb") as old, (folder / "ordered.npy").open("wb") as new:
        np.lib.format.read_magic(old)
        shape, _, _ = np.lib.format.read_array_header_1_0(old)
        size = int(np.prod(shape[1:]))
        _write_header(new, (len(rows), *shape[1:]))
        for row in rows.tolist():
            old.seek(128 + row * size)
            new.write(old.read(size))
    os.replace(folder / "ordered.npy", folder / "images.npy")


def _say(done: int, total: int) -> None:
    with suppress(OSError):
        os.write(1, f"{done} {total}\n".encode())


def _end_if_alone(folder: Path) -> None:
    """End where the parent is gone: its end of our standard input is closed."""
    if os.name == "posix" and select.select([0], [], [], 0)[0] and not os.read(0, 1):
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
