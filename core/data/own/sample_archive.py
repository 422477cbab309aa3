"""A small archive to try an import with: real digits, and the mistakes that archives of one's own have."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.sources import spec_of

PER_CLASS = 20
SIDE = 56  # twice what most networks here take, so that something is to be resized
LIGHTER = 1.05


def sample_archive(root: Path, cache: Path) -> bytes:
    """A zip file: twenty of each of scikit-learn's digits as PNGs in class folders, and five files that the report is about.

    Those are an exact copy, a slightly lighter one, a picture that is cut off, a text file and a picture in no class folder.
    """
    raw = spec_of("digits").read_images(root, cache)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for label in range(10):
            rows = (raw.train_labels == label).nonzero()[:PER_CLASS, 0]
            for number, row in enumerate(rows.tolist()):
                archive.writestr(f"digits/{label}/{number:02}.png", _png(raw.train_images[row, 0].numpy()))
        seven = raw.train_images[int((raw.train_labels == 7).nonzero()[0, 0]), 0].numpy()
        archive.writestr("digits/7/copy of 00.png", _png(seven))
        archive.writestr("digits/7/00 lighter.png", _png((seven * LIGHTER).clip(0, 255).astype(np.uint8)))
        archive.writestr("digits/7/cut off.png", _png(seven)[:200])
        archive.writestr("digits/7/notes.txt", "Written on a Sunday.")
        archive.writestr("digits/lost.png", _png(seven))
    return packed.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    """(H, W) uint8 → a PNG file of 56×56 pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
