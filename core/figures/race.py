"""The race of optimizers as a browser plays it: the landscape and every racer's steps, as few bytes."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from core.figures.building_blocks import COLORS, height

SHADES = 255


def landscape(loss: np.ndarray, lowest: float) -> dict[str, Any]:
    """A square grid of losses, loss[j, i] at the i-th x and the j-th y: its side, and a byte for each point, row by row from the
    lowest y, as base64; 0 where the grid is lowest, 255 where it is highest, by the logarithm as on the map that stands still."""
    heights = height(loss, lowest)
    low, high = float(heights.min()), float(heights.max())
    shades = np.rint((heights - low) / max(high - low, 1e-12) * SHADES).astype(np.uint8)
    return {"side": len(loss), "bytes": b64encode(shades.tobytes()).decode()}


def racers(points: Mapping[str, np.ndarray], losses: Mapping[str, np.ndarray], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each racer its title, colour, places and losses.

    points: (steps + 1, 2) of each, x and y in turn, losses: (steps + 1,); both become little-endian float32 as base64.
    """
    return [{"title": titles[name], "color": COLORS[name], "points": _floats(path), "losses": _floats(losses[name])}
            for name, path in points.items()]


def name_of(ground: Mapping[str, Any], runners: Sequence[Mapping[str, Any]]) -> str:
    """The same for the same race, else another, but for one time in four billion."""
    words = "|".join((ground["bytes"], *(text for one in runners for text in (one["title"], one["points"], one["losses"]))))
    return f"{crc32(words.encode()):08x}"


def _floats(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()
