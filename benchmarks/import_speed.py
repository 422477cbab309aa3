"""From an archive to a data set: python -m benchmarks.import_speed [--images 5000] [--side 64] [--repeats 3].

The whole of import_images: the process that reads is started, every image is decoded, brought to size and compared with all
others, and the set is written. The archive holds PNGs of noise, which decode slowest, in ten class folders. Memory is the peak
resident size of the process that reads, as the system counts it (VmHWM), and what this process, with torch, grew by.
"""

import argparse
import io
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.conditions import conditions, spread
from core.data import import_images


def make(path: Path, images: int, side: int) -> None:
    """The archive, the same for each call."""
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(images):
            file = io.BytesIO()
            Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(file, "PNG")
            archive.writestr(f"{number % 10}/{number}.png", file.getvalue())


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
            if b"core.importing.child" in (place / "cmdline").read_bytes():
                return place.name
        except OSError:
            continue
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        archive, root = Path(folder) / "images.zip", Path(folder) / "data"
        make(archive, args.images, args.side)
        print(f"{args.images:,} PNGs of {args.side}×{args.side} in colour, {archive.stat().st_size / 1e6:.0f} MB (aim: 5,000 of "
              "64×64 in ≤ 30 s; memory grows by < 300 MB):")
        for size, channels in ((28, 1), (64, 3)):
            times, peaks, found, before = [], [0.0], [""], resident("self", "VmRSS")

            def look(done: int, total: int, found=found, peaks=peaks) -> None:
                found[0] = found[0] or reader()
                peaks.append(resident(found[0], "VmHWM"))

            for _ in range(args.repeats):
                found[0] = ""
                start = time.perf_counter()
                report = import_images(archive, root, size, channels, progress=look)
                times.append(time.perf_counter() - start)
                if report.accepted != args.images:
                    raise SystemExit(f"only {report.accepted:,} images were accepted")
            print(f"  to {size}×{size}, {channels} channel{'s' * (channels > 1)}: {spread(times, 's')}; the reader's peak "
                  f"{max(peaks):.0f} MB, this process grew by {max(0.0, resident('self', 'VmRSS') - before):.0f} MB")


if __name__ == "__main__":
    main()
