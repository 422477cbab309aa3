"""Parquet files: a column of encoded pictures or of numbers, with the label in another one, as on the Hugging Face Hub.

Format: https://parquet.apache.org/docs/file-format/. pyarrow reads it, which comes with Streamlit; it is imported here alone, in
the process with limits, and only where there is such a file. What a schema can be made to do is met by limits on the footer, and
by that process's on memory.
"""

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.importing.archive import BadEntry, Entry
from core.importing.in_pieces import Opened
from core.importing.names import plain_name
from core.importing.pixels import (
    LOOKED_AT,
    SMALLEST,
    Found,
    Pixels,
    Shape,
    part_in,
    said_of,
    shape_of,
    sides_of,
    text_of,
    word_of,
)
from core.importing.tables import LABELS

UNPACKED = "table-{}.parquet"  # in the folder of the import, while it goes on
COLUMN = "column:"  # what find_pixels() can be asked for, with a column's name
MOST_FOOTER = 8 << 20  # bytes of what a file says of itself: of 10,000 columns it has 1 MB
MOST_COLUMNS = 70_000  # a picture of 256×256 in gray, a number in each
MOST_CLASSES = 1000
MOST_PICTURE = 32 << 20  # bytes of one encoded picture
AT_ONCE, PICTURES_AT_ONCE = 64, 8  # rows
PIECE = 1 << 20
PICTURES = ("image", "img", "picture", "photo", "pixels", "x")
Importing = Callable[[Callable[[], Any]], Any]  # see core.importing.limits.import_beside_limit


@dataclass
class ParquetPictures(Pixels):
    """path: of the unpacked file. picture, label: names of its columns. names: of classes, where the file says what their numbers
    mean. shape: how a row of numbers is a picture; None for encoded pictures. columns: of numbers, each a pixel."""

    path: Path
    picture: str
    label: str
    names: tuple[str, ...]
    shape: Shape | None
    columns: tuple[str, ...] = ()

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray | bytes]]:
        file = _opened(self.path)
        wanted = [*(self.columns or (self.picture,)), self.label]
        try:
            for batch in file.iter_batches(PICTURES_AT_ONCE if self.shape is None else AT_ONCE, columns=wanted,
                                          use_threads=False):
                labels = _column(batch, self.label).to_pylist()
                for label, picture in zip(labels, self._pictures(batch), strict=True):
                    yield _called(label, self.names), picture
        except BadEntry:
            raise
        except MemoryError:
            raise BadEntry("a part of it needs more memory than one file may take; save it in smaller row groups") from None
        except Exception as error:  # crafted pages make Arrow raise anything
            raise BadEntry(f"damaged: {_line(error)}") from None

    def _pictures(self, batch: Any) -> Iterator[np.ndarray | bytes]:
        if self.columns:
            values = np.stack([_column(batch, name).to_numpy(zero_copy_only=False) for name in self.columns], axis=1)
            assert self.shape is not None
            yield from (self.shape.picture(row) for row in values)
            return
        for value in _column(batch, self.picture).to_pylist():
            if self.shape is None:
                yield _encoded(value)
                continue
            numbers = _flat(value)
            if numbers.size != self.shape.height * self.shape.width * self.shape.channels:
                raise BadEntry(f"a row has {numbers.size:,} numbers, and not as many as the others")
            yield self.shape.picture(numbers)


def take_parquet(archive: zipfile.ZipFile, entry: Entry, folder: Path, asked: str, importing: Importing, found: Found) -> None:
    """A Parquet file with pictures and their labels. Raises BadEntry.

    folder: where it is unpacked; Arrow reads it from its end. asked: COLUMN and the name of the column of labels; "" for the
    likeliest. importing: runs an import that needs more than the limit on memory.
    """
    path = folder / UNPACKED.format(len(list(folder.glob(UNPACKED.format("*")))))
    _unpack(archive, entry, path)
    _check_footer(path)
    try:
        importing(_arrow)
    except ImportError:
        raise BadEntry("Parquet is read by pyarrow, which comes with Streamlit and is not here") from None
    file = _opened(path)
    schema, count = file.schema_arrow, file.metadata.num_rows
    if len(schema.names) > MOST_COLUMNS or len(set(schema.names)) < len(schema.names):
        raise BadEntry(f"it has more than {MOST_COLUMNS:,} columns, or two of the same name")
    if not count:
        raise BadEntry("it has no rows")
    known = _class_names(schema)
    try:
        sample = next(iter(file.iter_batches(min(LOOKED_AT, AT_ONCE), use_threads=False, columns=_small(schema))))
    except (Exception, MemoryError) as error:
        raise BadEntry(f"damaged: {_line(error)}") from None
    labels = _label_columns(sample, known)
    wanted = asked.removeprefix(COLUMN)
    label = wanted if wanted in labels else next(iter(labels), "")
    if not label:
        found.notes.append(f"{entry.name} has no column that could be a class: its pictures can't be learned from.")
        return
    pictures = _picture(file, schema, sample, label)
    picture, columns, shape = pictures
    what = "encoded pictures" if shape is None else said_of(shape)
    where = f"{len(columns):,} columns of numbers" if columns else f"“{plain_name(picture)}”"
    said = f"{entry.name} has {count:,} rows: {where}, {what}, with “{plain_name(label)}” as the class."
    found.parts.append(ParquetPictures(entry, part_in(entry), count, said, path, picture, label, known.get(label, ()), shape,
                                       columns))
    ways = [(f"{COLUMN}{name}", f"“{plain_name(name)}” is the class") for name in labels if name != label]
    found.readings += [way for way in ways if way not in found.readings]


# --- the file

def _unpack(archive: zipfile.ZipFile, entry: Entry, path: Path) -> None:
    with Opened(archive, entry) as source, path.open("wb") as file:
        while piece := source.read(PIECE):
            file.write(piece)


def _check_footer(path: Path) -> None:
    """Before Arrow makes objects of it: the length of what the file says of itself stands in its last bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - 8))
        end = file.read()
    if end[4:] == b"PARE":
        raise BadEntry("encrypted; save it without a key")
    if size < 12 or start != b"PAR1" or end[4:] != b"PAR1":
        raise BadEntry("cut off or damaged: it does not begin and end as Parquet does")
    if (length := int.from_bytes(end[:4], "little")) > min(MOST_FOOTER, size - 12):
        raise BadEntry(f"it says that its footer has {length:,} bytes; at most {MOST_FOOTER:,} are read")


def _arrow() -> Any:
    """pyarrow, with one thread and the system's memory: its own allocators ask for a gigabyte at once."""
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pyarrow
    import pyarrow.parquet

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    return pyarrow


def _opened(path: Path) -> Any:
    arrow = _arrow()
    try:
        return arrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=PIECE,
                                         thrift_string_size_limit=MOST_FOOTER, thrift_container_size_limit=2 * MOST_COLUMNS)
    except MemoryError:
        raise BadEntry("what it says of itself needs more memory than one file may take") from None
    except Exception as error:  # a crafted footer makes Arrow raise anything
        raise BadEntry(f"damaged: {_line(error)}") from None


def _column(batch: Any, name: str) -> Any:
    """A column of a batch. Raises BadEntry where Arrow has taken its name for a path."""
    if (place := batch.schema.get_field_index(name)) < 0:
        raise BadEntry(f"its column “{plain_name(name)}” can't be read; give it a name without dots")
    return batch.column(place)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return plain_name(text, 120).rstrip(".")


# --- its columns

def _class_names(schema: Any) -> dict[str, tuple[str, ...]]:
    """Names of classes, by column, as the Hugging Face Hub keeps them beside the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = {str(column): about["names"] for column, about in features.items()
                 if isinstance(about, dict) and about.get("_type") == "ClassLabel"}
        return {column: tuple(plain_name(str(name)) for name in listed) for column, listed in names.items()
                if len(listed) <= MOST_CLASSES}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_number(kind: Any) -> bool:
    return any(test(kind) for test in (_arrow().types.is_integer, _arrow().types.is_floating))


def _is_text(kind: Any) -> bool:
    types = _arrow().types
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_dictionary, types.is_boolean))


def _is_binary(kind: Any) -> bool:
    types = _arrow().types
    return types.is_binary(kind) or types.is_large_binary(kind)


def _is_encoded(kind: Any) -> bool:
    """Bytes of a picture file, or Hugging Face's struct of them and a path."""
    types = _arrow().types
    if types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_binary(kind.field(place).type)
    return _is_binary(kind)


def _is_list_of_numbers(kind: Any) -> bool:
    types = _arrow().types
    depth = 0
    while (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)) and depth < 4:
        kind, depth = kind.value_type, depth + 1
    return depth > 0 and _is_number(kind)


def _small(schema: Any) -> list[str]:
    """Columns that are labels or single pixels: numbers and words."""
    return [field.name for field in schema if _is_number(field.type) or _is_text(field.type)]


def _label_columns(sample: Any, known: dict[str, tuple[str, ...]]) -> list[str]:
    """Columns that can be the class, the likeliest first: those whose classes have names, those whose title says so, then those
    with few different values."""
    ranks = {}
    numeric = sum(_is_number(field.type) for field in sample.schema)
    for place, name in enumerate(sample.schema.names):
        word = word_of(name)
        if name in known:
            ranks[name] = 0, 0
        elif word in LABELS:
            ranks[name] = 1, LABELS.index(word)
        elif numeric <= SMALLEST**2 or not _is_number(sample.schema.field(place).type):
            different = len(set(sample.column(place).to_pylist()))
            if 1 < different <= max(2, sample.num_rows // 2):
                ranks[name] = 2, different
    return sorted(ranks, key=lambda name: ranks[name])


def _picture(file: Any, schema: Any, sample: Any, label: str) -> tuple[str, tuple[str, ...], Shape | None]:
    """The column of pictures, or those of single pixels, and how numbers are pictures. Raises BadEntry where there are none."""
    def rank(name: str) -> int:
        return PICTURES.index(word_of(name)) if word_of(name) in PICTURES else len(PICTURES)

    encoded = [field.name for field in schema if _is_encoded(field.type)]
    if encoded:
        return min(encoded, key=rank), (), None
    lists = [field.name for field in schema if _is_list_of_numbers(field.type)]
    if lists:
        name = min(lists, key=rank)
        try:
            rows = next(iter(file.iter_batches(AT_ONCE, columns=[name], use_threads=False))).column(0).to_pylist()
            found = [_flat(row) for row in rows]
            sides = _list_sides(rows[0])
            if sides is None or len({row.size for row in found}) > 1:
                raise BadEntry(f"the lists in “{plain_name(name)}” are no pictures of one size")
            return name, (), shape_of(sides, np.stack(found))
        except (TypeError, ValueError, IndexError) as error:
            raise BadEntry(f"the lists in “{plain_name(name)}” are no pictures: {_line(error)}") from None
    pixels = tuple(field.name for field in schema if field.name != label and _is_number(field.type))
    if (sides := sides_of(len(pixels))) is None:
        raise BadEntry("it has no column of pictures, and no columns that are pixels")
    values = np.stack([_column(sample, name).to_numpy(zero_copy_only=False) for name in pixels], axis=1)
    return "", pixels, shape_of(sides, values.astype(np.float64))


def _list_sides(row: Any) -> tuple[int, int, int] | None:
    """Height, width and channels of a row of lists: of numbers, of rows of numbers, or of rows of colours."""
    shape = np.asarray(row, dtype=np.float64).shape
    if len(shape) == 1:
        return sides_of(shape[0])
    if len(shape) == 2:
        return shape[0], shape[1], 1
    if len(shape) == 3 and shape[2] in (1, 3):
        return shape[0], shape[1], shape[2]
    return None


def _flat(value: Any) -> np.ndarray:
    if value is None:
        raise BadEntry("a row without a picture")
    return np.asarray(value, dtype=np.float64).reshape(-1)


def _encoded(value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes) or not data:
        return b""  # which is refused as a picture, with its row
    return data[:MOST_PICTURE]


def _called(label: Any, names: Sequence[str]) -> str:
    """A class's name; "" for a row without one, which is left out."""
    if isinstance(label, bool | str):
        return plain_name(str(label).lower() if isinstance(label, bool) else label)
    if isinstance(label, int | float):
        if label != label:
            return ""
        return names[int(label)] if names and 0 <= label < len(names) else text_of(label)
    return ""
