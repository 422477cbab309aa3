"""IMDB's reviews by A. Maas et al., from the archive as it is downloaded, or from the folders that it unpacks to.

Nothing is unpacked to a place that an archive names: reviews are found by their exact names and read as a stream, no further than
this data set reaches.
"""

import gzip
import re
import tarfile
import zlib
from pathlib import Path

from core.config import DataConfig
from core.data.dataset import DataDamaged, DataMissing
from core.data.sources.text_files import raw_texts
from core.data.sources.texts import RawTexts
from core.importing.texts import Row

FOLDER = "aclImdb"  # that the archive unpacks to
ARCHIVE = "aclImdb_v1.tar.gz"
PARTS, LABELS = ("train", "test"), ("neg", "pos")
MEMBER = re.compile(r"(?:\./)?aclImdb/(train|test)/(neg|pos)/(\d{1,6}_\d{1,2})\.txt")
# the real archive has 100,033 members of 14 kB at most, but for three tables of 41 MB at most, and 300 MB in all
MOST_MEMBERS, LARGEST_REVIEW, LARGEST_MEMBER, MOST_BYTES = 150_000, 100_000, 100_000_000, 1_000_000_000
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, UnicodeDecodeError, ValueError)

Texts = dict[tuple[str, str], dict[str, str]]  # (part, label) → name → text


def imdb_is_available(root: Path) -> bool:
    """Whether the archive, or its four folders with texts in them, are in the data directory."""
    return _folders_are_there(root) or (root / ARCHIVE).is_file()


def _folders_are_there(root: Path) -> bool:
    return all(next((root / FOLDER / part / label).glob("*.txt"), None) for part in PARTS for label in LABELS)


def read_imdb(root: Path, config: DataConfig) -> RawTexts:
    """25,000 reviews to learn from and 25,000 for testing, negative ones first and each kind in the order of their names.

    Raises:
        DataMissing: neither archive nor folders are there. DataDamaged: they are not what they should be.
    """
    if _folders_are_there(root):
        texts = _of_folders(root / FOLDER)
    elif (root / ARCHIVE).is_file():
        texts = _of_archive(root / ARCHIVE)
    else:
        raise DataMissing(f"IMDB's reviews are not in {root}: download them on the page “Text”, topic “Your own texts”, or put "
                          f"{ARCHIVE} there.")
    parts = []
    for part in PARTS:
        rows: list[Row] = []
        for number, label in enumerate(LABELS):
            found = texts[part, label]
            rows += [(found[name].replace("<br />", " "), number) for name in sorted(found)]
        parts.append(rows)
    return raw_texts(*parts)


def _of_folders(folder: Path) -> Texts:
    texts: Texts = {(part, label): {} for part in PARTS for label in LABELS}
    for (part, label), found in texts.items():
        for path in (folder / part / label).glob("*.txt"):
            try:
                found[path.name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise DataDamaged(f"{path} is not UTF-8 text. Unpack the archive again.") from None
    return texts


def _of_archive(path: Path) -> Texts:
    texts: Texts = {(part, label): {} for part in PARTS for label in LABELS}
    members = size = 0
    try:
        with tarfile.open(path, "r|gz") as archive:  # a stream: each member once, in order
            for member in archive:
                members, size = members + 1, size + member.size
                if members > MOST_MEMBERS or member.size > LARGEST_MEMBER or size > MOST_BYTES:
                    raise DataDamaged(f"{path} holds more than IMDB's reviews. Delete it and download it again.")
                match = MEMBER.fullmatch(member.name)
                if match is None or not member.isreg():
                    continue
                if member.size > LARGEST_REVIEW:
                    raise DataDamaged(f"{path} holds a review of {member.size:,} bytes. Delete it and download it again.")
                file = archive.extractfile(member)
                if file is not None:
                    texts[match[1], match[2]][f"{match[3]}.txt"] = file.read().decode("utf-8")
    except DataDamaged:
        raise
    except BROKEN:
        raise DataDamaged(f"{path} is truncated or damaged. Delete it and download it again.") from None
    if not all(texts.values()):
        raise DataDamaged(f"{path} is not IMDB's archive: it has no reviews in one of its four folders. Delete it and download "
                          "it again.")
    return texts
