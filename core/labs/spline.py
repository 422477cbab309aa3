"""A smooth surface through values on an even grid: a bicubic spline in NumPy. scipy.interpolate takes 45 MB."""

import numpy as np

# values and slopes at both ends of a piece, (f₀, f₁, f₀′, f₁′) → its polynomial's coefficients of 1, u, u², u³, u from 0 to 1
HERMITE = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [-3, 3, -2, -1], [2, -2, 1, 1]], dtype=float)
DERIVATIVE = np.diag([1.0, 2.0, 3.0], 1)  # (1, u, u², u³) @ this is (0, 1, 2u, 3u²)


class Bicubic:
    """The bicubic spline through values[i, j] at (ticks[i], ticks[j]), with "not a knot" ends (C. de Boor, A Practical Guide to
    Splines, chapter IV), as scipy.interpolate.RectBivariateSpline has it. Beyond the ticks the outermost pieces go on."""

    def __init__(self, ticks: np.ndarray, values: np.ndarray) -> None:
        self.start, self.width, self.pieces = ticks[0], ticks[1] - ticks[0], len(ticks) - 1
        slopes = slopes_of(len(ticks))
        known = np.stack([np.stack([values, values @ slopes.T]), np.stack([slopes @ values, slopes @ values @ slopes.T])])
        left, right = slice(None, -1), slice(1, None)
        corners = np.stack([np.stack([known[a, b][i, j] for b in (0, 1) for j in (left, right)])
                            for a in (0, 1) for i in (left, right)])  # (4, 4, pieces, pieces)
        self.coefficients = np.einsum("ai,bj,ijxy->xyab", HERMITE, HERMITE, corners)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points (N, 2): (N,)."""
        pieces, powers = self._pieces(points)
        return np.einsum("na,nab,nb->n", powers[:, 0], pieces, powers[:, 1])

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) → (N, 2)"""
        pieces, powers = self._pieces(points)
        (px, py), (sx, sy) = powers.transpose(1, 0, 2), (powers @ DERIVATIVE).transpose(1, 0, 2)
        rows = (pieces @ py[:, :, None])[..., 0]  # (N, 4): what is left to multiply by the powers of x
        return np.stack([(sx * rows).sum(1), (px * (pieces @ sy[:, :, None])[..., 0]).sum(1)], axis=1) / self.width

    def curvature(self, point: np.ndarray) -> np.ndarray:
        """(2,) → (2, 2): the second derivatives."""
        (piece,), (powers,) = self._pieces(point[None])
        slopes, second = powers @ DERIVATIVE, powers @ DERIVATIVE @ DERIVATIVE
        mixed = slopes[0] @ piece @ slopes[1]
        return np.array([[second[0] @ piece @ powers[1], mixed], [mixed, powers[0] @ piece @ second[1]]]) / self.width**2

    def _pieces(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each point's polynomial (N, 4, 4), and 1, u, u², u³ of its two coordinates there: (N, 2, 4)."""
        places = (points - self.start) / self.width
        number = places.astype(int).clip(0, self.pieces - 1)
        return self.coefficients[number[:, 0], number[:, 1]], (places - number)[..., None] ** np.arange(4)


def slopes_of(points: int) -> np.ndarray:
    """(points, points): from values one apart to the spline's slopes there.

    Second derivatives agree at inner points: s₋ + 4·s + s₊ = 3·(f₊ − f₋). Third ones at the second and the last but one.
    """
    slopes, values = np.zeros((points, points)), np.zeros((points, points))
    for row in range(1, points - 1):
        slopes[row, row - 1:row + 2] = 1, 4, 1
        values[row, row - 1:row + 2] = -3, 0, 3
    for row, middle in ((0, 1), (-1, points - 2)):
        slopes[row, middle - 1:middle + 2] = 1, 0, -1
        values[row, middle - 1:middle + 2] = -2, 4, -2
    return np.linalg.solve(slopes, values)


def lowest(spline: Bicubic, start: tuple[float, float], steps: int = 30) -> tuple[float, float]:
    """The minimum that Newton's method reaches from a point near it."""
    point = np.array(start)
    for _ in range(steps):
        point = point - np.linalg.solve(spline.curvature(point), spline.gradient(point[None])[0])
    return float(point[0]), float(point[1])
