"""Pictures that are there twice: the same pixels, or nearly.

Exact: the same pixels once brought to size. Near: a difference hash (D. Krawetz, 2013: is each of 9×8 gray blocks darker than
its right neighbour?) that differs in at most 6 of 64 bits, and gray values of 16×16 blocks that differ by at most 3 % of white
on average. The hash finds what was saved again, made smaller or a little brighter; alone it would call many handwritten ones
the same, hence the second look.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

HASH_BITS = 6  # of 64 that may differ
GRAY_SHARE = 0.03  # of 255 by which 16×16 blocks may differ on average
MOST_CANDIDATES, MOST_ORIGINALS = 1000, 3  # of one picture: looked at more closely; named
LARGEST_GROUP = 20  # near copies chain: a few hundred straight ones would otherwise all be one


@dataclass
class Prints:
    """What is kept of each picture to find its copies: 16 + 8 + 256 bytes."""

    exact: list[bytes] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    thumbnails: list[np.ndarray] = field(default_factory=list)

    def add(self, pixels: np.ndarray) -> None:
        """One more picture, (C, H, W) uint8."""
        self.exact.append(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest())
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        gray = picture.convert("L")
        blocks = np.asarray(gray.resize((9, 8), Image.Resampling.BOX))
        self.hashes.append(int.from_bytes(np.packbits(blocks[:, :-1] < blocks[:, 1:]).tobytes(), "big"))
        self.thumbnails.append(np.asarray(gray.resize((16, 16), Image.Resampling.BOX)).reshape(-1))


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
    """Near pairs among `rows`. All are compared with all: 4 s for 50,000."""
    if len(rows) < 2:
        return []
    hashes = np.array(prints.hashes, dtype=np.uint64)[rows]
    thumbnails = np.stack(prints.thumbnails)[rows]  # (N, 256) uint8
    pairs = []
    for place in range(1, len(rows)):
        close = np.flatnonzero(np.bitwise_count(hashes[:place] ^ hashes[place]) <= HASH_BITS)[:MOST_CANDIDATES]
        if len(close):
            apart = np.abs(thumbnails[close].astype(np.int16) - thumbnails[place]).mean(axis=1)
            alike = close[apart <= GRAY_SHARE * 255][:MOST_ORIGINALS]
            pairs += [(int(rows[other]), int(rows[place])) for other in alike]
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
