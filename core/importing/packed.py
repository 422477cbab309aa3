"""What people upload in a zip file's place: a tar archive, packed or not, one packed file, one table or one file of Parquet.

It becomes a zip file, which is looked at like any other.
"""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from core.importing.archive import (
    BOMB_BYTES,
    BOMB_RATIO,
    MOST_BYTES,
    MOST_ENTRIES,
    MOST_PIXEL_BYTES,
    MOST_TOTAL,
    Refused,
    may_be_pixels,
)

PIECE = 1 << 20
PARQUET, GZIP = b"PAR1", b"\x1f\x8b"
UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError)


def as_zip(path: Path, made: Path, name: str = "", most: int = MOST_TOTAL) -> Path:
    """The zip file itself, or one that is made of a tar archive, a packed file or a table; what is none of these is given back as
    it is.

    made: where that is written. name: of the file as it was uploaded. most: bytes that are unpacked. Raises Refused for what is
    damaged or holds too much.
    """
    if zipfile.is_zipfile(path):
        return path
    try:
        is_tar = tarfile.is_tarfile(path)
    except UNREADABLE:
        is_tar = False
    if is_tar:
        _from_tar(path, made, most)
        return made
    with path.open("rb") as file:
        start = file.read(PIECE)
    if start.startswith(GZIP):
        _from_gzip(path, made, name, most)
        return made
    named = name.lower()
    if start.startswith(PARQUET):
        inside = name if named.endswith(".parquet") else "table.parquet"
    elif named.endswith(".bin") and b"\0" in start:
        inside = name
    elif start and b"\0" not in start and any(mark in start for mark in (b",", b";", b"\t")):
        inside = name if named.endswith((".csv", ".tsv")) else "table.csv"
    else:
        return path
    with zipfile.ZipFile(made, "w") as archive:
        archive.write(path, inside)
    return made


def _from_tar(path: Path, made: Path, limit: int) -> None:
    total = count = 0
    try:
        with tarfile.open(path) as source, zipfile.ZipFile(made, "w") as archive:
            for member in source:
                count += 1
                if count > MOST_ENTRIES:
                    raise Refused(f"The archive lists more than {MOST_ENTRIES:,} files, which is all that are looked at.")
                file = source.extractfile(member) if member.isfile() else None
                if file is None:  # folders, links, devices
                    continue
                most = MOST_PIXEL_BYTES if may_be_pixels(member.name) else MOST_BYTES
                if (total := total + min(member.size, most)) > limit:
                    raise Refused(f"The archive unpacks to more than {MOST_TOTAL / 1e9:.1f} GB, which is all that is read.")
                with archive.open(zipfile.ZipInfo(member.name or "nameless"), "w", force_zip64=True) as entry:
                    left = most + 1
                    while left > 0 and (piece := file.read(min(PIECE, left))):
                        entry.write(piece)
                        left -= len(piece)
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno:  # of the disk that is written to, which is no fault of the archive
            raise
        raise Refused(f"This tar archive is damaged: {type(error).__name__}. Put the images into a .zip and try again.") from None


def _from_gzip(path: Path, made: Path, name: str, limit: int) -> None:
    """One packed file, such as train-images-idx3-ubyte.gz."""
    inside = name[:-3] if name.lower().endswith(".gz") and len(name) > 3 else "table.csv"
    most = min(limit, MOST_PIXEL_BYTES if may_be_pixels(inside) else MOST_BYTES)
    bomb, total = max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size), 0
    try:
        with gzip.open(path) as source, zipfile.ZipFile(made, "w") as archive, \
                archive.open(zipfile.ZipInfo(inside.replace("/", "_")), "w", force_zip64=True) as entry:
            while piece := source.read(PIECE):
                total += len(piece)
                if total > most:
                    raise Refused(f"The packed file unpacks to more than {most / 1e6:.0f} MB, which is all that is read of one.")
                if total > bomb:
                    raise Refused(f"The packed file unpacks to more than {BOMB_RATIO} times its size; no picture does.")
                entry.write(piece)
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise Refused(f"This packed file is damaged: {type(error).__name__}. Pack it again.") from None
