"""Archives and pictures for the tests of the importer, good and hostile, made in memory."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def png(pixels: np.ndarray | None = None, seed: int = 0, side: int = 12, form: str = "PNG", **options) -> bytes:
    """A picture file; noise of its own for each seed where no pixels are given."""
    if pixels is None:
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    return saved(Image.fromarray(pixels), form, **options)


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def zipped(path: Path, files: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]],
           compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip file with these entries."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


def two_classes(count: int = 4) -> dict[str, bytes]:
    """cat/ and dog/ with `count` pictures each, no two alike."""
    return {f"{name}/{n}.png": png(seed=100 * offset + n) for offset, name in enumerate(("cat", "dog")) for n in range(count)}


def claimed_png(width: int, height: int) -> bytes:
    """A PNG that says it is that large and has next to no pixels: nobody should ask for the memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(
        b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def link(name: str) -> zipfile.ZipInfo:
    """An entry that Unix would unpack as a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def patched(path: Path, name: str, offset: int, value: bytes) -> Path:
    """The archive with bytes of one entry's directory record replaced (offset from its signature; APPNOTE 4.3.12)."""
    data = bytearray(path.read_bytes())
    place = data.find(name.encode(), data.find(b"PK\1\2"))
    start = data.rfind(b"PK\1\2", 0, place)
    data[start + offset:start + offset + len(value)] = value
    path.write_bytes(bytes(data))
    return path
