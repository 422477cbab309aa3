"""The process that reads a bundle of unknown origin: python -m core.importing.bundle OPTIONS.

OPTIONS is a JSON object with "file" and "folder". Started by core.takeaway.brought_back. It has no torch and writes into that
folder alone.

Nothing of the zip reaches the disk under a name that the zip chose. Every entry is looked at before any is read, and every byte
is counted and compared with its checksum.
"""

import csv
import hashlib
import io
import json
import re
import stat
import sys
import zipfile
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from core.importing.archive import ENCRYPTED, BadEntry, Refused, decoded_name, safe_parts
from core.importing.limits import limit
from core.importing.names import shown

FORMAT = 1
ABOUT, CHECKSUMS, CONFIG, RUN, WEIGHTS, METRICS = ("bundle.json", "SHA256SUMS", "config.json", "run.json",
                                                   "checkpoint.safetensors", "metrics.csv")
NEEDED, WANTED = (ABOUT, CONFIG, RUN), (ABOUT, CONFIG, RUN, WEIGHTS, METRICS)
MOST_FILES = 64
MOST_BYTES = 200_000_000  # of the bundle, and of each file in it
MOST_TOTAL = 400_000_000
MOST_TEXT = {ABOUT: 100_000, CHECKSUMS: 50_000, CONFIG: 1_000_000, RUN: 1_000_000, METRICS: 100_000_000}
BOMB_RATIO, BOMB_BYTES = 200, 1 << 20  # a table of the same number packs so; weights are stored
MOST_METRICS, MOST_POINTS = 2_000, 3_000_000
MEMORY = 600 << 20  # bytes more than it has after its imports
CPU_SECONDS = 60
PIECE = 1 << 20
SUM = re.compile(r"([0-9a-f]{64})  ([^\x00-\x1f]{1,300})")


def main(text: str) -> int:
    options = json.loads(text)
    folder = Path(options["folder"])
    limit(MEMORY, CPU_SECONDS)
    try:
        result: dict[str, Any] = read(Path(options["file"]), folder)
    except Refused as error:
        result = {"refused": str(error)}
    except MemoryError:
        result = {"refused": "The bundle needs more memory than reading one may take."}
    except OSError as error:
        result = {"refused": f"The bundle can't be read: {error.strerror or error}."}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def read(path: Path, folder: Path) -> dict[str, Any]:
    """Check the whole bundle and write its parts into `folder` under our names: config.json, checkpoint.safetensors and
    metrics.npz. Returns {"run": …, "version": …, "has": [names]}. Raises Refused."""
    try:
        archive = zipfile.ZipFile(path)
    except (MemoryError, OSError):
        raise
    except Exception:  # zipfile raises whatever its parts do on bytes that are no zip
        raise Refused("This is not a bundle, or it is cut short: it is no whole zip file. Download or copy it again.") from None
    with archive:
        entries = entries_of(archive)
        if ABOUT not in entries or CHECKSUMS not in entries:
            raise Refused(f"This zip file is no bundle of a run: it has no {ABOUT if ABOUT not in entries else CHECKSUMS}.")
        sums = sums_of(content_of(archive, entries[CHECKSUMS], CHECKSUMS))
        about = object_of(checked(archive, entries[ABOUT], ABOUT, sums), ABOUT)
        version = shown(str(about.get("version", "")))[:20]
        if about.get("torch_playground_bundle") != FORMAT:
            raise Refused(f"This bundle is of another form ({shown(str(about.get('torch_playground_bundle')))[:20]}; this "
                          f"version reads {FORMAT}), written by Torch Playground {version or 'of unknown version'}. "
                          "Update this one.")
        same_names(entries, sums)
        for name, info in entries.items():
            if name not in (CHECKSUMS, ABOUT):
                copy(archive, info, name, sums[name], folder / name if name in WANTED else None)
    if lacking := [name for name in NEEDED if name not in entries]:
        raise Refused(f"The bundle is incomplete: it has no {lacking[0]}.")
    run = object_of((folder / RUN).read_bytes(), RUN)
    if METRICS in entries:
        series = metrics_of((folder / METRICS).read_bytes())
        arrays: dict[str, Any] = {f"{kind}{number}": points[kind] for number, points in enumerate(series.values())
                                  for kind in ("steps", "values")}
        np.savez(folder / "metrics.npz", **arrays)
        (folder / METRICS).unlink()
    else:
        series = {}
    return {"run": run, "version": version, "has": sorted(set(entries) & set(WANTED)), "metrics": list(series)}


def entries_of(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files by name. Raises Refused for anything that no bundle of ours has."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise Refused(f"The bundle lists {len(infos):,} files; a bundle has at most {MOST_FILES}.")
    found: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in infos:
        name, _ = decoded_name(info)
        try:
            parts = safe_parts(name)
        except BadEntry as error:
            raise Refused(f"The bundle is refused: {shown(name)} is {error}.") from None
        if name.endswith(("/", "\\")):
            continue
        if reason := refusal(info, "/".join(parts)):
            raise Refused(f"The bundle is refused: {shown(name)} {reason}.")
        if "/".join(parts).casefold() in (known.casefold() for known in found):
            raise Refused(f"The bundle is refused: {shown(name)} is there twice.")
        total += info.file_size
        found["/".join(parts)] = info
    if total > MOST_TOTAL:
        raise Refused(f"The bundle unpacks to {total / 1e6:,.0f} MB; at most {MOST_TOTAL / 1e6:,.0f} MB are read.")
    return found


def refusal(info: zipfile.ZipInfo, name: str) -> str:
    """Why a file is not read; "" if it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a link to another file"
    if kind not in {0, stat.S_IFREG}:
        return "is not an ordinary file"
    if info.flag_bits & ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "is packed in a way that is not read here"
    most = MOST_TEXT.get(name, MOST_BYTES)
    if info.file_size > most:
        return f"has {info.file_size / 1e6:,.1f} MB; at most {most / 1e6:,.1f} MB are read"
    if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
        return f"unpacks to {info.file_size // max(1, info.compress_size):,} times its size"
    return ""


def sums_of(content: bytes) -> dict[str, str]:
    """Checksums by name, of lines as sha256sum writes them. Raises Refused."""
    found: dict[str, str] = {}
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Refused(f"The bundle's {CHECKSUMS} is damaged.") from None
    for line in lines:
        match = SUM.fullmatch(line)
        if match is None or match[2] in found:
            raise Refused(f"The bundle's {CHECKSUMS} is damaged.")
        found[match[2]] = match[1]
    return found


def same_names(entries: dict[str, zipfile.ZipInfo], sums: dict[str, str]) -> None:
    """Raises Refused where a file is missing or has come since."""
    listed, there = set(sums), set(entries) - {CHECKSUMS}
    if gone := sorted(listed - there):
        raise Refused(f"The bundle is incomplete: {shown(gone[0])} is missing.")
    if new := sorted(there - listed):
        raise Refused(f"The bundle was changed after it was made: {shown(new[0])} has no checksum.")


def content_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """A small file's bytes. Raises Refused."""
    file = io.BytesIO()
    _pour(archive, info, name, file)
    return file.getvalue()


def checked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, sums: dict[str, str]) -> bytes:
    """As content_of(), after its checksum."""
    content = content_of(archive, info, name)
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise Refused(f"The bundle was changed after it was made: {shown(name)} is not what its checksum says.")
    return content


def copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, digest: str, to: Path | None) -> None:
    """Compare a file with its checksum, and keep it at `to`. Raises Refused."""
    if to is None:
        found = _pour(archive, info, name, None)
    else:
        with to.open("wb") as file:
            found = _pour(archive, info, name, file)
    if found != digest:
        raise Refused(f"The bundle was changed after it was made: {shown(name)} is not what its checksum says.")


def _pour(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, file: Any) -> str:
    """Read a file piece by piece, never more than the directory says; its SHA-256. Raises Refused."""
    digest, count = hashlib.sha256(), 0
    try:
        with archive.open(info) as source:
            while piece := source.read(PIECE):
                count += len(piece)
                if count > info.file_size:
                    raise Refused(f"The bundle is refused: {shown(name)} is longer than it says.")
                digest.update(piece)
                if file is not None:
                    file.write(piece)
    except (Refused, MemoryError):
        raise
    except Exception:  # a crafted header can make zipfile raise anything
        raise Refused(f"The bundle is damaged: {shown(name)} can't be unpacked. Download or copy it again.") from None
    if count != info.file_size:
        raise Refused(f"The bundle is damaged: {shown(name)} is cut short. Download or copy it again.")
    return digest.hexdigest()


def object_of(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object. Raises Refused."""
    try:
        found = json.loads(content, parse_constant=lambda word: None)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(f"The bundle's {name} is damaged: it is no JSON object.")
    return found


def metrics_of(content: bytes) -> dict[str, dict[str, np.ndarray]]:
    """Metrics by name: "steps" (n,) int64 ascending and "values" (n,) float64. Raises Refused."""
    damaged = Refused(f"The bundle's {METRICS} is damaged: it is no table of steps and numbers.")
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8")), strict=True)
        header = next(rows, [])
        names = header[2:]
        if header[:2] != ["step", "epoch"] or len(set(names)) != len(names) or len(names) > MOST_METRICS:
            raise damaged
        if not all(0 < len(name) <= 200 and name.isprintable() for name in names):
            raise damaged
        steps: list[list[int]] = [[] for _ in names]
        values: list[list[float]] = [[] for _ in names]
        last, points = -1, 0
        for row in rows:
            if len(row) != len(header):
                raise damaged
            step = int(row[0]) if len(row[0]) < 16 else -1
            if step <= last:
                raise damaged
            last = step
            for place, cell in enumerate(row[2:]):
                if cell:
                    steps[place].append(step)
                    values[place].append(float(cell))
                    points += 1
            if points > MOST_POINTS:
                raise Refused(f"The bundle has more than {MOST_POINTS:,} values of metrics.")
    except (ValueError, csv.Error):
        raise damaged from None
    return {name.removeprefix("'"): {"steps": np.array(steps[place], np.int64), "values": np.array(values[place], np.float64)}
            for place, name in enumerate(names) if steps[place]}


def finite(value: object, low: float, high: float) -> bool:
    """Whether it is a number from low to high."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and low <= value <= high


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
