"""Signs as strokes of a pen in an unsteady hand: for pictures made up to learn from.

A sign is written as strokes on a grid of 9×9 points, parted by |; a point is two figures, its column from the left and its row
from the top. A stroke that begins with ~ is a smooth curve through its points, any other has corners.
"""

import numpy as np

Path = np.ndarray  # (P, 2) float: points (x, y) of one stroke, in a unit square or so, y downwards
Form = list[tuple[bool, Path]]  # whether it is a curve, and its points, for each stroke
STEPS = 5  # points between two that a curve goes through


def strokes_of(written: str) -> Form:
    """The strokes of a sign, with points in [0, 1]."""
    return [(stroke.startswith("~"), np.array([[int(spot[0]), int(spot[1])] for spot in stroke.lstrip("~").split()]) / 8)
            for stroke in written.split("|")]


def by_hand(form: Form, random: np.random.Generator) -> list[Path]:
    """The strokes as somebody might write them: points moved, turned, slanted, widened, bent."""
    wobble = random.uniform(0.01, 0.05)
    turn, slant, wide = random.uniform(-0.2, 0.2), random.uniform(-0.4, 0.25), random.uniform(0.55, 1.1)
    matrix = np.array([[wide, turn], [-turn + slant, 1]])
    bend = random.normal(0, 0.06, 4)
    paths = []
    for curved, points in form:
        points = points + random.normal(0, wobble, points.shape)
        if not curved and len(points) < 4 and random.random() < 0.3:  # a straight line that isn't quite
            points = halved(points) + random.normal(0, 0.03, (2 * len(points) - 1, 2))
            curved = True
        path = smooth(points) if curved and len(points) > 2 else points
        centred = path - 0.5
        path = path + np.stack([bend[0] * centred[:, 1]**2 + bend[1] * centred[:, 0] * centred[:, 1],
                                bend[2] * centred[:, 0]**2 + bend[3] * centred[:, 0] * centred[:, 1]], 1)
        paths.append(path @ matrix)
    return paths


def halved(points: Path) -> Path:
    """With the middle of each two points."""
    found = np.repeat(points, 2, axis=0)[:-1]
    found[1::2] = (points[1:] + points[:-1]) / 2
    return found


def smooth(points: Path, steps: int = STEPS) -> Path:
    """Points on the Catmull-Rom spline through (P, 2) points; a closed one has the same first and last point."""
    closed = np.allclose(points[0], points[-1])
    known = np.concatenate([points[-2:-1] if closed else points[:1], points, points[1:2] if closed else points[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (known[i:len(known) - 3 + i, None] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])
