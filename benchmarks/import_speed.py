"""From an archive to a data set: python -m benchmarks.import_speed [--images 5000] [--side 64] [--rows 42000] [--texts 98]
[--repeats 3].

The whole of import_images: the process that reads is started, every image is decoded, brought to size and compared with all
others, and the set is written. The archive holds PNGs of noise, which decode slowest, in ten class folders. Then a table of
pixels as Kaggle's digit-recognizer has it, with as many rows; beside it, in turn, what pandas takes to read its numbers alone.
Last a CSV of so many MB of texts, at most 100,000 of them.
Memory is the peak resident size of the process that reads, as the system counts it (VmHWM), and what this process, with torch,
grew by.
"""

import argparse
import io
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

import numpy as np
from PIL import Image

from benchmarks.conditions import conditions, spread
from core.data import import_images
from core.data.sources.text_files import import_csv

Found = TypeVar("Found")


def make(path: Path, images: int, side: int) -> None:
    """The archive, the same for each call."""
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(images):
            file = io.BytesIO()
            Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(file, "PNG")
            archive.writestr(f"{number % 10}/{number}.png", file.getvalue())


def make_table(path: Path, rows: int) -> None:
    """label,pixel0,…,pixel783: blots of ink on black, a fifth of the pixels, as digits have."""
    generator = np.random.default_rng(0)
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(["label", *(f"pixel{n}" for n in range(784))]) + "\n")
        for number in range(rows):
            ink = generator.random((7, 7)) < 0.2
            pixels = np.kron(ink, np.ones((4, 4), int)).reshape(-1) * generator.integers(1, 256, 784)
            file.write(f"{number % 10},{','.join(map(str, pixels.tolist()))}\n")


def make_texts(path: Path, megabytes: int) -> None:
    """text,label: 98,000 texts of two classes, and 500 lines with a column too many."""
    generator = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(5000)])
    usual = [" ".join(generator.choice(words, max(5, megabytes * 1_000_000 // 98_000 // 9))) for _ in range(2000)]
    with path.open("w", encoding="ascii") as file:
        file.write("text,label\n")
        file.writelines(f'"{usual[number % 2000]}, {number}",{"ab"[number % 2]}\n' for number in range(98_000))
        file.write("a,bad,line\n" * 500)


def resident(process: str, what: str) -> float:
    """A figure of /proc/PROCESS/status in MB; 0 where there is none."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))
    except (OSError, StopIteration):
        return 0.0


def reader() -> str:
    """The process that reads, as a number below /proc; "" where none is found."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"core.importing." in (place / "cmdline").read_bytes():
                return place.name
        except OSError:
            continue
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rows", type=int, default=42_000)
    parser.add_argument("--texts", type=int, default=98)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        archive, root = Path(folder) / "images.zip", Path(folder) / "data"
        make(archive, args.images, args.side)
        print(f"{args.images:,} PNGs of {args.side}×{args.side} in colour, {archive.stat().st_size / 1e6:.0f} MB (aim: 5,000 of "
              "64×64 in ≤ 30 s; memory grows by < 300 MB):")
        for size, channels in ((28, 1), (64, 3)):
            measure(archive, root, size, channels, args.images, args.repeats)
        table = Path(folder) / "train.csv"
        make_table(table, args.rows)
        print(f"a table of {args.rows:,} rows of pixels, {table.stat().st_size / 1e6:.0f} MB (aim: 42,000 in ≤ 6 s and "
              "≤ 300 MB):")
        measure(table, root, 28, 1, args.rows, args.repeats)
        start = time.perf_counter()
        import pandas  # here: the imports above are of what is measured

        pandas.read_csv(table)
        print(f"  pandas.read_csv alone: {time.perf_counter() - start:.2f} s")
        texts = Path(folder) / "texts.csv"
        make_texts(texts, args.texts)
        content = texts.read_bytes()  # as an upload lies in the server's memory
        print(f"a table of texts, {len(content) / 1e6:.0f} MB:")
        found = timed("98,000 texts", args.repeats, lambda: import_csv(content, root))
        if found.counts != (49_000, 49_000):
            raise SystemExit(f"{found.counts} texts were accepted")


def measure(archive: Path, root: Path, size: int, channels: int, images: int, repeats: int) -> None:
    """Import it so many times."""
    report = timed(f"to {size}×{size}, {channels} channel{'s' * (channels > 1)}", repeats,
                   lambda: import_images(archive, root, size, channels))
    if report.accepted != images:
        raise SystemExit(f"only {report.accepted:,} images were accepted")


def timed(what: str, repeats: int, read: Callable[[], Found]) -> Found:
    """Read something so many times; what came of it at last."""
    times, peaks, before, done = [], [0.0], resident("self", "VmRSS"), Event()

    def watch() -> None:
        while not done.wait(0.05):
            peaks.append(resident(reader(), "VmHWM"))

    watching = Thread(target=watch, daemon=True)
    watching.start()
    for _ in range(repeats):
        start = time.perf_counter()
        found = read()
        times.append(time.perf_counter() - start)
    done.set()
    watching.join()
    print(f"  {what}: {spread(times, 's')}; the reader's peak {max(peaks):.0f} MB, this process grew by "
          f"{max(0.0, resident('self', 'VmRSS') - before):.0f} MB")
    return found


if __name__ == "__main__":
    main()
