"""How long a DataLoader takes to give an epoch, by its num_workers: measured on this machine, in a process of its own.

In a process of its own because workers are made by fork, which a server with many threads must not do. Started by measure(), it
writes what it found into a file.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from core.devices import usable_cores
from core.process import configured
from core.subprocesses import ONE_THREAD, run
from core.torchvision_guard import torchvision

WORKERS = (0, 1, 2, 4)
PATIENCE = 120.0  # seconds; on a quiet machine it takes about five
KINDS = {"small": "2,000 images of 8×8 pixels (PNG)", "photographs": "200 photographs of 1,024×768 pixels (JPEG), made 64×64"}
SIZES = {"small": (2000, (8, 8), "PNG"), "photographs": (200, (1024, 768), "JPEG")}
BATCH = 10
ALIKE = 1.1  # two times that differ by less say nothing: the same measurement repeated differs as much


class TimingFailed(RuntimeError):
    """The measurement could not be made; str() is one line."""


@dataclass(frozen=True)
class Timing:
    """An epoch of one kind of images. seconds: from asking for the first batch to the last, workers' start included; first: of
    those, until the first batch was there."""

    kind: str
    workers: int
    seconds: float
    first: float


class Encoded(Dataset):
    """The same encoded image again and again, decoded whenever it is asked for, as a Dataset of files does."""

    def __init__(self, count: int, size: tuple[int, int], form: str) -> None:
        noise = torch.randint(256, (size[1], size[0]), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        file = io.BytesIO()
        Image.fromarray(noise.numpy()).save(file, format=form)
        self.count, self.content, self.large = count, file.getvalue(), size[0] > 64
        self.ready = torchvision.transforms.ToTensor()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, idx: int) -> Tensor:
        image = Image.open(io.BytesIO(self.content))
        return self.ready(image.resize((64, 64), Image.Resampling.BILINEAR) if self.large else image)


def workers_to_try(cores: int) -> list[int]:
    """0, 1 and 2, and 4 where there are so many cores."""
    return [workers for workers in WORKERS if workers <= max(2, cores)]


def epoch(kind: str, workers: int, share: float = 1.0) -> Timing:
    """Take one epoch of batches of 10; share: of the images, for a quick look. Starts processes by fork."""
    count, size, form = SIZES[kind]
    data = Encoded(max(1, round(count * share)), size, form)
    start, first = time.perf_counter(), 0.0
    for batch in DataLoader(data, batch_size=BATCH, num_workers=workers):
        first = first or time.perf_counter() - start
        del batch
    return Timing(kind, workers, time.perf_counter() - start, first)


def measure(share: float = 1.0) -> list[Timing]:
    """Every kind with every number of workers, in a child process. Raises TimingFailed with one line."""
    handle, name = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    path = Path(name)
    try:
        code = run(*configured("other", "core.labs.loader_timing", str(path), str(share)), seconds=PATIENCE,
                   environment=ONE_THREAD)
        if code:
            raise TimingFailed(f"The process that measures ended with exit code {code}: worker processes can't be started here.")
        return [Timing(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except subprocess.TimeoutExpired:
        raise TimingFailed(f"It took longer than {PATIENCE:.0f} s and was ended: this machine is busy. Try later.") from None
    except (OSError, ValueError) as error:
        raise TimingFailed(f"The measurement could not be read: {error}") from None
    finally:
        path.unlink(missing_ok=True)


def verdict(timings: list[Timing], kind: str) -> str:
    """What one kind's times say: which number of workers was fastest, and by how much beside none."""
    mine = {timing.workers: timing.seconds for timing in timings if timing.kind == kind}
    best = min(mine, key=lambda workers: mine[workers])
    second = min((workers for workers in mine if workers), key=lambda workers: mine[workers])
    if max(mine[0], mine[second]) < ALIKE * min(mine[0], mine[second]):
        return f"No difference to speak of: {mine[0]:.2f} s without workers, {mine[second]:.2f} s with {second}."
    if best == 0:
        return (f"Fastest without workers: with {second} it takes {mine[second] / mine[0]:.1f} times as long. Starting them and "
                "handing over each batch costs more than they save.")
    return f"Fastest with {best}: {mine[0] / mine[best]:.1f} times as fast as without workers."


def main(path: str, share: str) -> None:
    """The child's side of measure()."""
    torch.set_num_threads(1)
    epoch("small", 0, 0.01)  # what Pillow and torchvision do only once
    found = [epoch(kind, workers, float(share)) for kind in KINDS for workers in workers_to_try(usable_cores())]
    Path(path).write_text(json.dumps([asdict(timing) for timing in found]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
