"""Archives inside the archive, as Kaggle has them: opened beside it, one level deep, their files listed with its own.

What limits an archive limits both levels together: how many files, how much they unpack to, and how many times their size. An
archive in an archive in the archive is refused.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from core.importing.archive import (
    MOST_ENTRIES,
    MOST_TOTAL,
    BadEntry,
    Entry,
    Listing,
    Refused,
    list_entries,
    opened,
)
from core.importing.names import shown
from core.importing.packed import as_zip
from core.importing.reading import quoted

MOST_INNER = 50  # archives that are open at the same time
PIECE = 1 << 20
TOO_MUCH = f"The archive and those in it unpack to more than {MOST_TOTAL / 1e9:.1f} GB, which is all that is read."


@contextmanager
def with_inner(archive: zipfile.ZipFile, listing: Listing, folder: Path) -> Iterator[Listing]:
    """The listing, with the files of the archives in the archive. These are unpacked into `folder` for as long as this lasts.

    Raises Refused where both levels together hold too many files or too much.
    """
    with ExitStack() as stack:
        read = []
        for number, entry in enumerate(listing.archives):
            if number >= MOST_INNER:
                listing.rejected.append((entry.name, f"at most {MOST_INNER} archives inside the archive are opened"))
                continue
            try:
                _add(archive, entry, listing, folder / f"inner-{number}", stack)
                read.append(entry.parts[-1])
            except (BadEntry, Refused) as error:
                if listing.unpacked > MOST_TOTAL:
                    raise Refused(TOO_MUCH) from None
                listing.rejected.append((entry.name, str(error).rstrip(".")))
            if len(listing.entries) > MOST_ENTRIES:
                raise Refused(f"The archive and those in it list more than {MOST_ENTRIES:,} files, which is all that are looked "
                              "at.")
        if read:
            listing.notes.append(f"Read with what lies in it: {quoted(read)}.")
        yield listing


def _add(archive: zipfile.ZipFile, entry: Entry, listing: Listing, place: Path, stack: ExitStack) -> None:
    """List the files of one archive in the archive. Raises BadEntry, and Refused for one that holds too much."""
    path, made = place.with_suffix(".packed"), place.with_suffix(".zip")
    stack.callback(path.unlink, missing_ok=True)
    stack.callback(made.unlink, missing_ok=True)
    _copy(archive, entry, path)
    whole = as_zip(path, made, PurePosixPath(entry.parts[-1]).name, MOST_TOTAL - listing.unpacked)
    inner = stack.enter_context(opened(whole))
    packed_times = entry.info.file_size / max(1, entry.info.compress_size) if whole == path else 1.0
    found = list_entries(inner, packed_times)
    listing.unpacked += found.unpacked
    if listing.unpacked > MOST_TOTAL:
        raise Refused(TOO_MUCH)
    around = (*entry.parts[:-1], _bare(entry.parts[-1])) if _has_several(found) else entry.parts[:-1]
    taken = {one.parts for one in listing.entries}
    for one in found.entries:
        moved = _moved(one, around, inner)
        if moved.parts in taken:
            listing.rejected.append((moved.name, "the same name a second time; the first one is taken"))
        else:
            listing.entries.append(moved)
    listing.folders += [(*around, *one) for one in found.folders]
    listing.rejected += [(shown("/".join((*around, name))), reason) for name, reason in found.rejected]
    listing.rejected += [(shown("/".join((*around, one.name))), "an archive in an archive inside the archive; unpack it first")
                         for one in found.archives]
    listing.ignored += found.ignored
    listing.notes += found.notes


def _has_several(found: Listing) -> bool:
    """Whether an archive is like a folder; a packed single file stands in its place."""
    return len(found.entries) + len(found.folders) != 1 or len(found.entries[0].parts) > 1


def _bare(name: str) -> str:
    """"digits" of digits.tar.gz."""
    bare = PurePosixPath(name).stem
    return PurePosixPath(bare).stem if bare.lower().endswith(".tar") else bare


def _moved(entry: Entry, around: tuple[str, ...], inner: zipfile.ZipFile) -> Entry:
    parts = (*around, *entry.parts)
    return replace(entry, name=shown("/".join(parts)), parts=parts, inner=inner)


def _copy(archive: zipfile.ZipFile, entry: Entry, path: Path) -> None:
    """Its bytes into a file, never more than it says. Raises BadEntry."""
    left = entry.info.file_size
    try:
        source = entry.open(archive)
    except Exception as error:  # a crafted header can make zipfile raise anything
        raise BadEntry(f"can't be read from the archive ({type(error).__name__})") from None
    with source, path.open("wb") as file:
        while True:
            try:
                piece = source.read(PIECE)
            except (zipfile.BadZipFile, zlib.error, EOFError):
                raise BadEntry("damaged in the archive: its bytes don't match its checksum or length") from None
            if not piece:
                return
            left -= len(piece)
            if left < 0:
                raise BadEntry("longer than the archive says")
            file.write(piece)
