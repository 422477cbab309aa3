"""A person's own images become a data set: an archive is read by a small process of its own, looked at, then kept or dropped.

    report = import_images(Path("cats-and-dogs.zip"), into=Path("data"), size=32, channels=3)
    load(default_config(report.name), Path("data"))

The process that reads (core.importing.child) has bounds on memory and time and no torch in it: whatever the archive does, this
process neither grows nor stops.
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.actors import LOCAL, Actor
from core.data.dataset import DataError
from core.data.own.sets import delete_set, new_staging, publish, writing
from core.subprocesses import ONE_THREAD, end, start

SECONDS = 600.0  # by the clock; the child has a limit on processor time too
SMALLEST, LARGEST = 8, 128  # pixels
UPLOAD = "upload.zip"
Progress = Callable[[int, int], None]  # images done, of how many


class ImportRefused(DataError):
    """Nothing of an archive can be kept; the message is one line. report: what was found, None where it was not even read."""

    def __init__(self, line: str, report: "ImportReport | None" = None) -> None:
        super().__init__(line)
        self.report = report


@dataclass(frozen=True)
class Copies:
    """Images that are there twice, at the size they are kept in. Near: saved again, a little brighter.

    within, across: how many lie in the same part, training or test, as their original, and how many in the other one.
    pairs: names of (original, copy), at most 20, those across first.
    """

    within: int = 0
    across: int = 0
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ImportReport:
    """What an archive holds and what has become of it.

    name: of the data set that was kept, "own:<id>"; "" while nothing is kept.
    accepted: images that can be learned from. resized: how many of them had another size.
    rejected: (file, reason), the first 500; rejected_count: how many there are. reasons: (reason, how often).
    ignored: files that operating systems leave behind. dropped: exact copies that were left out on request.
    train_counts, test_counts: images of each class.
    conflicts: images that are there twice with different labels.
    notes: what else a person should know, a line each.
    reading: a sentence on what was taken for class and split; "" where there was nothing to decide.
    readings: other ways to read the archive: (what import_images() is asked for, what it means).
    """

    name: str
    title: str
    accepted: int
    resized: int
    rejected: list[tuple[str, str]]
    rejected_count: int
    reasons: tuple[tuple[str, int], ...]
    ignored: int
    dropped: int
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    exact_copies: Copies
    near_copies: Copies
    conflicts: int
    notes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    reading: str = ""
    readings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Checked:
    """An archive that was read and not yet kept: its images lie in a hidden folder of the data directory."""

    folder: Path
    root: Path
    report: ImportReport
    fit: Literal["pad", "crop"] = "pad"

    def samples(self, most: int = 60) -> np.ndarray:
        """(n, C, H, W) uint8: images spread evenly over the classes, training images first of each."""
        images = np.load(self.folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(self.folder / "labels.npy", allow_pickle=False)
        place = np.empty(len(labels), np.int64)  # of each image within its class
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            place[rows] = np.arange(len(rows))
        return np.array(images[np.lexsort((labels, place))[:most]])


def import_images(archive: Path, into: Path, size: int = 28, channels: int = 1, *, title: str = "",
                  fit: Literal["pad", "crop"] = "pad", test_share: float = 0.2, seed: int = 0, drop_copies: bool = False,
                  reading: str = "", progress: Progress | None = None) -> ImportReport:
    """Keep the images of a zip file as a data set of one's own: class folders, or images and a table that names them.

    Args:
        archive: a zip or tar file, or a table of pixels. into: the data directory.
        size: height and width in pixels, 8 to 128. channels: 1 for gray, 3 for colour.
        title: what it is called; the archive's name if empty. Other visitors of the server can read it.
        fit: "pad" shows the whole image on the colour of its edge, "crop" cuts out the middle.
        test_share: share of each class for testing, 0 to 0.9, where the archive has no test folder. seed: draws them.
        drop_copies: leave out images that are pixel for pixel another one of the same class.
        reading: one of the report's `readings`, for another way to read the archive than the likeliest.
        progress: called with the images done and their number.

    Raises:
        ImportRefused: nothing can be kept. DataError: the data directory can't be written to. Nothing is left behind then.
    """
    checked = check_archive(archive, into, size, channels, fit=fit, test_share=test_share, seed=seed, drop_copies=drop_copies,
                            reading=reading, progress=progress)
    try:
        return keep(checked, title or archive.stem)
    except BaseException:
        discard(checked)
        raise


def check_archive(archive: Path | memoryview, into: Path, size: int = 28, channels: int = 1, *,
                  fit: Literal["pad", "crop"] = "pad", test_share: float = 0.2, seed: int = 0, drop_copies: bool = False,
                  reading: str = "", name: str = "", progress: Progress | None = None) -> Checked:
    """Read an archive, a file or its bytes, and say what is in it before anything is kept. See import_images. name: of the file
    that the bytes are from.

    Whoever gets the result calls keep or discard; what is forgotten is removed after some hours.
    """
    _refuse_bad_options(archive, size, channels, fit, test_share)
    folder = new_staging(into)
    try:
        path = archive if isinstance(archive, Path) else folder / UPLOAD
        if not isinstance(archive, Path):
            with writing(into):
                path.write_bytes(archive)
        options = {"archive": str(path.absolute()), "folder": str(folder.absolute()), "size": size, "channels": channels,
                   "fit": fit, "test_share": test_share, "seed": seed, "drop_copies": drop_copies, "reading": reading,
                   "name": name or (archive.name if isinstance(archive, Path) else "")}
        found = _run_child(options, folder, progress)
        (folder / UPLOAD).unlink(missing_ok=True)
        report = _report(found, folder, (channels, size, size))
        if line := found.get("refused"):
            raise ImportRefused(line, report)
        return Checked(folder, into, report, fit)
    except BaseException:  # also when a page is left, which Streamlit raises as no Exception
        shutil.rmtree(folder, ignore_errors=True)
        raise


def keep(checked: Checked, title: str, actor: Actor = LOCAL) -> ImportReport:
    """Make what was checked a data set of actor's; the report with its name. Raises DataError where it can't be kept."""
    if not checked.folder.exists():
        raise DataError("These images were checked too long ago and have been cleared away. Upload them again.")
    (checked.folder / "result.json").unlink(missing_ok=True)  # it names files, which is nobody else's business
    own = publish(checked.folder, checked.root, title, checked.report.classes, "images of a visitor's own, imported here",
                  actor=actor, fit=checked.fit)
    return replace(checked.report, name=own.name, title=own.title)


def discard(checked: Checked) -> None:
    """Remove what was checked and is not wanted."""
    shutil.rmtree(checked.folder, ignore_errors=True)


def delete_imported(into: Path, name: str, actor: Actor = LOCAL) -> None:
    """Remove the set "own:<id>". Raises DataMissing where it is not there, NotYourData where it is somebody else's."""
    delete_set(into, name, actor)


def _refuse_bad_options(archive: Path | memoryview, size: int, channels: int, fit: str, test_share: float) -> None:
    if isinstance(archive, Path) and not archive.is_file():
        raise ImportRefused(f"There is no file {archive}.")
    if not SMALLEST <= size <= LARGEST:
        raise ImportRefused(f"size is {size}; images are kept at {SMALLEST} to {LARGEST} pixels.")
    if channels not in {1, 3}:
        raise ImportRefused(f"channels is {channels}; choose 1 for gray or 3 for colour.")
    if fit not in {"pad", "crop"}:
        raise ImportRefused(f"fit is {fit!r}; choose pad or crop.")
    if not 0 <= test_share <= 0.9:
        raise ImportRefused(f"test_share is {test_share}; choose from 0 to 0.9.")


def _run_child(options: dict[str, Any], folder: Path, progress: Progress | None) -> dict[str, Any]:
    """What the child says. Raises ImportRefused where it dies or takes too long."""
    child = start("core.importing.child", json.dumps(options), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                  stderr=subprocess.DEVNULL, environment=ONE_THREAD)  # more threads would each take memory
    timer = threading.Timer(SECONDS, child.kill)
    timer.start()
    try:
        assert child.stdout is not None
        for line in child.stdout:
            done, total = map(int, line.split())
            if progress:
                progress(done, total)
        code = child.wait()
    finally:
        out_of_time = not timer.is_alive()
        timer.cancel()
        end(child)
    try:
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ImportRefused(_why_it_died(code, out_of_time)) from None


def _why_it_died(code: int, out_of_time: bool) -> str:
    if out_of_time or code in {-24, -9}:  # SIGXCPU, or the kill that follows it
        return "Reading the images takes too long. Make them smaller, or upload fewer at a time."
    return (f"Reading the archive failed (exit code {code}): one of its files may be made to break programs. "
            "Nothing was kept.")


def _report(found: dict[str, Any], folder: Path, input_shape: tuple[int, int, int]) -> ImportReport:
    classes = tuple(found.get("classes", ()))
    empty = np.zeros(0, np.int64)
    done = "refused" not in found
    labels = np.load(folder / "labels.npy", allow_pickle=False) if done else empty
    test = np.load(folder / "test.npy", allow_pickle=False) if done else empty.astype(bool)
    copies = found.get("copies", {})

    def of(kind: str) -> Copies:
        return Copies(copies.get(f"{kind}_within", 0), copies.get(f"{kind}_across", 0),
                      tuple((str(one), str(other)) for one, other in copies.get(kind, ())))

    def counts(rows: np.ndarray) -> tuple[int, ...]:
        return tuple(np.bincount(labels[rows], minlength=len(classes)).tolist())

    return ImportReport(
        name="", title="", accepted=len(labels), resized=found.get("resized", 0),
        rejected=[(str(name), str(reason)) for name, reason in found.get("rejected", ())],
        rejected_count=found.get("rejected_count", 0), reasons=tuple((str(r), int(n)) for r, n in found.get("reasons", ())),
        ignored=found.get("ignored", 0), dropped=found.get("dropped", 0), classes=classes,
        train_counts=counts(~test), test_counts=counts(test), exact_copies=of("exact"), near_copies=of("near"),
        conflicts=copies.get("conflicts", 0), notes=tuple(map(str, found.get("notes", ()))), input_shape=input_shape,
        reading=str(found.get("reading", "")), readings=tuple((str(key), str(line)) for key, line in found.get("readings", ())))
