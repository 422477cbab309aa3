"""What people upload in a zip file's place: a tar archive, packed or not, or one table.

It becomes a zip file, which is looked at like any other.
"""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from core.importing.archive import MOST_BYTES, MOST_ENTRIES, MOST_PIXEL_BYTES, MOST_TOTAL, Refused, may_be_pixels

PIECE = 1 << 20
UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError)


def as_zip(path: Path, folder: Path, name: str = "") -> Path:
    """The zip file itself, or one made in `folder` of a tar archive or a table; what is none of these is given back as it is.

    name: of the file as it was uploaded. Raises Refused for a tar archive that is damaged or holds too much.
    """
    if zipfile.is_zipfile(path):
        return path
    made = folder / "made.zip"
    try:
        is_tar = tarfile.is_tarfile(path)
    except UNREADABLE:
        is_tar = False
    if is_tar:
        _from_tar(path, made)
        return made
    with path.open("rb") as file:
        start = file.read(PIECE)
    if not start or b"\0" in start or not any(mark in start for mark in (b",", b";", b"\t")):
        return path
    with zipfile.ZipFile(made, "w") as archive:
        archive.write(path, name if name.lower().endswith((".csv", ".tsv")) else "table.csv")
    return made


def _from_tar(path: Path, made: Path) -> None:
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
                if (total := total + min(member.size, most)) > MOST_TOTAL:
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
