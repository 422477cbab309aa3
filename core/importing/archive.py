"""What a zip file of unknown origin holds: every entry looked at before any is read, and none ever written to disk.

Format: PKWARE's APPNOTE.TXT. What is refused here is refused by its directory entry; sizes there may lie, so reading has a
limit of its own.
"""

import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from core.importing.names import shown

MOST_ENTRIES = 200_000
MOST_BYTES = 32 << 20  # of one file, unpacked
MOST_PIXEL_BYTES = 512 << 20  # of a table or an array of pixels, which is read row by row
MOST_TOTAL = 1 << 30  # of all files, unpacked
BOMB_RATIO, BOMB_BYTES = 100, 1 << 20  # PNG and JPEG are compressed already: zip gains a few per cent
INNER = {".zip", ".npz", ".tar", ".gz", ".tgz", ".bz2", ".xz"}  # archives in an archive that are opened, see core.importing.inner
ARCHIVES = INNER | {".7z", ".rar", ".zst", ".jar"}
ENCRYPTED = 1  # bit 0 of the flags
SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"}


class Refused(Exception):
    """An archive from which nothing can be kept; the message is one line."""


class BadEntry(Exception):
    """One file that can't be used; the message is the reason."""


@dataclass(frozen=True)
class Entry:
    """One file in the archive. name: for people. parts: its path, folder by folder. inner: the archive in the archive that it
    lies in, None for the outer one."""

    name: str
    parts: tuple[str, ...]
    info: zipfile.ZipInfo
    inner: zipfile.ZipFile | None = field(default=None, compare=False, repr=False)

    @property
    def ending(self) -> str:
        """".png", in small letters; "" if there is none."""
        return PurePosixPath(self.parts[-1]).suffix.lower()

    def open(self, archive: zipfile.ZipFile) -> IO[bytes]:
        """Its bytes. Raises whatever zipfile does."""
        return (self.inner or archive).open(self.info)


@dataclass
class Listing:
    """All of an archive's entries, sorted out. ignored: files that operating systems leave behind. archives: in the archive,
    which can be opened. unpacked: bytes of all that is read."""

    entries: list[Entry] = field(default_factory=list)
    archives: list[Entry] = field(default_factory=list)
    unpacked: int = 0
    folders: list[tuple[str, ...]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ignored: int = 0


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive. Raises Refused where it is none."""
    try:
        archive = zipfile.ZipFile(path)
    except MemoryError:
        raise Refused(f"The archive lists too many files; at most {MOST_ENTRIES:,} are looked at.") from None
    except OSError as error:
        raise Refused(f"The archive can't be read: {error.strerror or error}.") from None
    except Exception:  # zipfile raises whatever its parts do on bytes that are no zip
        raise Refused("This is not a zip file, or it is damaged. Put the images into a .zip and try again.") from None
    with archive:
        yield archive


def list_entries(archive: zipfile.ZipFile, packed_times: float = 1.0) -> Listing:
    """Sort an archive's entries into files, folders, archives and what is refused. Raises Refused for too many or too much.

    packed_times: how much smaller the archive itself was packed, which counts as a bomb's first half.
    """
    infos = archive.infolist()
    if len(infos) > MOST_ENTRIES:
        raise Refused(f"The archive lists {len(infos):,} files; at most {MOST_ENTRIES:,} are looked at.")
    listing, seen, old_names = Listing(), set(), 0
    for info in infos:
        name, is_old = decoded_name(info)
        try:
            parts = safe_parts(name)
        except BadEntry as error:
            listing.rejected.append((shown(name), str(error)))
            continue
        if not parts or is_system_file(parts):
            listing.ignored += bool(parts) and not name.endswith(("/", "\\"))
        elif name.endswith(("/", "\\")):
            listing.folders.append(parts)
        elif reason := refusal(info, parts, seen, packed_times):
            listing.rejected.append((shown(name), reason))
        else:
            old_names += is_old
            seen.add(parts)
            listing.unpacked += info.file_size
            entry = Entry(shown("/".join(parts)), parts, info)
            (listing.archives if entry.ending in INNER else listing.entries).append(entry)
    if listing.unpacked > MOST_TOTAL:
        raise Refused(f"The archive unpacks to {listing.unpacked / 1e9:.1f} GB; at most {MOST_TOTAL / 1e9:.1f} GB are read.")
    if old_names:
        listing.notes.append(f"{old_names:,} file names are not in UTF-8 and may look wrong; names of classes too.")
    return listing


def decoded_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """An entry's name as it was meant, and whether that is a guess.

    A name without the UTF-8 flag is read as code page 437 by zipfile; macOS and many tools write UTF-8 without the flag.
    """
    name = info.orig_filename
    if info.flag_bits & 0x800 or name.isascii():
        return unicodedata.normalize("NFC", name), False
    try:
        return unicodedata.normalize("NFC", name.encode("cp437").decode("utf-8")), False
    except UnicodeError:
        return unicodedata.normalize("NFC", name), True


def safe_parts(name: str) -> tuple[str, ...]:
    """"a/b.png" → ("a", "b.png"). Raises BadEntry for a path that would leave the archive's own folder."""
    path = name.replace("\\", "/")  # some Windows programs write these
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if path.startswith("/") or (parts and len(parts[0]) > 1 and parts[0][1] == ":"):
        raise BadEntry("an absolute path")
    if ".." in parts:
        raise BadEntry("a path that leads out of the archive (..)")
    if "\0" in name:
        raise BadEntry("a name with a zero byte in it")
    return parts


def is_system_file(parts: tuple[str, ...]) -> bool:
    """Whether it is something that operating systems leave behind: .DS_Store, __MACOSX/._cat.png, Thumbs.db."""
    return any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in parts)


def refusal(info: zipfile.ZipInfo, parts: tuple[str, ...], seen: set[tuple[str, ...]], packed_times: float = 1.0) -> str:
    """Why this file is not read; "" if it is."""
    kind = stat.S_IFMT(info.external_attr >> 16)  # Unix's file type, 0 where the archive was made elsewhere
    if kind == stat.S_IFLNK:
        return "a link to another file; put the file itself into the archive"
    if kind not in {0, stat.S_IFREG}:
        return "not an ordinary file"
    if info.flag_bits & ENCRYPTED:
        return "encrypted; zip it without a password"
    ending = PurePosixPath(parts[-1]).suffix.lower()
    if ending in ARCHIVES - INNER:
        return "an archive of a kind that is not read here; unpack it first"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "packed in a way that is not read here; use ordinary zip compression"
    if parts in seen:
        return "the same name a second time; the first one is taken"
    most = MOST_TOTAL if ending in INNER else MOST_PIXEL_BYTES if may_be_pixels(parts[-1]) else MOST_BYTES
    if info.file_size > most:
        return f"{info.file_size / 1e6:,.0f} MB; at most {most / 1e6:.0f} MB for one file"
    times = packed_times * info.file_size / max(1, info.compress_size)
    if info.file_size > BOMB_BYTES and times > BOMB_RATIO:
        return f"unpacks to {int(times):,} times its size; no picture does"
    return ""


def may_be_pixels(name: str) -> bool:
    """Whether a file of this name may be a table or an array of pixels, see core.importing.arrays."""
    return name.lower().endswith((".csv", ".tsv", ".npy", ".bin", ".parquet")) or "ubyte" in name.lower()


def read_entry(archive: zipfile.ZipFile, entry: Entry, most: int = MOST_BYTES) -> bytes:
    """A file's bytes, never more than `most`. Raises BadEntry where they are not what the directory says."""
    try:
        with entry.open(archive) as file:
            data = file.read(most + 1)
            file.read(1)  # the checksum is compared when the end is reached
    except MemoryError:
        raise BadEntry("needs more memory than one file may take") from None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise BadEntry("damaged in the archive: its bytes don't match its checksum or length") from None
    except Exception as error:  # a crafted header can make zipfile raise anything
        raise BadEntry(f"can't be read from the archive ({type(error).__name__})") from None
    if len(data) > most:
        raise BadEntry(f"more than {most / 1e6:.0f} MB")
    return data
