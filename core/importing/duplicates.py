"""Pictures that are there twice: the same pixels, or nearly.

Exact: the same pixels once brought to size. Near: their gray values, averaged over 16×16 blocks, correlate by 0.99 or more
(Pearson's r). Measured on 28×28 digits: of 50,000 of MNIST 882 resemble another one (straight strokes of the 1, mostly), of
1,400 of scikit-learn's 8. Saving again as JPEG (quality 50) leaves 0.994 for 99 % of them, another brightness 0.999, moving by
one pixel 0.85. A difference hash of 64 bits found less: in even areas JPEG noise decides its bits, up to 16 of them.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

ALIKE = 0.99
BLOCKS = 16
ROWS_AT_ONCE = 128  # of all against all: 25 MB for 50,000 pictures
MOST_ORIGINALS = 3  # that are named of one copy
LARGEST_GROUP = 20  # near copies chain: hundreds of straight strokes would otherwise all be one


@dataclass
class Prints:
    """What is kept of each picture to find its copies: 16 + 256 bytes."""

    exact: list[bytes] = field(default_factory=list)
    thumbnails: list[np.ndarray] = field(default_factory=list)

    def add(self, pixels: np.ndarray) -> None:
        """One more picture, (C, H, W) uint8."""
        self.exact.append(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest())
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        blocks = picture.convert("L").resize((BLOCKS, BLOCKS), Image.Resampling.BOX)
        self.thumbnails.append(np.asarray(blocks).reshape(-1))


@dataclass(frozen=True)
class Copies:
    """Pairs of rows (original, copy), the copy being the later one; a near copy may have several originals.

    exact: the same pixels, each copy paired with the first. near: not the same, but nearly.
    """

    exact: list[tuple[int, int]]
    near: list[tuple[int, int]]


def find_copies(prints: Prints) -> Copies:
    """All exact pairs, and near pairs among the pictures that are no exact copies."""
    first: dict[bytes, int] = {}
    exact = []
    for row, digest in enumerate(prints.exact):
        if (original := first.setdefault(digest, row)) != row:
            exact.append((original, row))
    return Copies(exact, _near_pairs(prints, np.array(sorted(first.values()), dtype=np.int64)))


def _near_pairs(prints: Prints, rows: np.ndarray) -> list[tuple[int, int]]:
    """Near pairs among `rows`. All are compared with all: 10 s for 50,000."""
    if len(rows) < 2:
        return []
    blocks = np.stack([prints.thumbnails[row] for row in rows]).astype(np.float32)  # (N, 256)
    blocks -= blocks.mean(axis=1, keepdims=True)
    # pictures of one gray have no correlation with anything
    blocks /= np.maximum(np.linalg.norm(blocks, axis=1, keepdims=True), 1e-3)
    pairs = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        alike = blocks[start:start + ROWS_AT_ONCE] @ blocks[:start + ROWS_AT_ONCE].T >= ALIKE
        for place in np.flatnonzero(alike.any(axis=1)):
            others = np.flatnonzero(alike[place, :start + place])[:MOST_ORIGINALS]
            pairs += [(int(rows[other]), int(rows[start + place])) for other in others]
    return pairs


def groups(count: int, copies: Copies) -> np.ndarray:
    """(count,) int64: the same number for rows that must not be on both sides of a split."""
    parent = list(range(count))
    size = defaultdict(lambda: 1)

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(one: int, other: int, largest: int) -> None:
        a, b = root(one), root(other)
        if a != b and size[a] + size[b] <= largest:
            parent[b] = a
            size[a] += size[b]

    for one, other in copies.exact:
        join(one, other, count)
    for one, other in copies.near:
        join(one, other, LARGEST_GROUP)
    return np.array([root(row) for row in range(count)], dtype=np.int64)
