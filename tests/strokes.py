"""Ten handwritten digits as pen strokes, drawn at any brush width: what a person leaves on the canvas, for tests and benchmarks.

Each variant is a tuple of strokes; each stroke is a tuple of (x, y) points in fractions of the canvas, x to the right and
y down. An "arc" is a few points rounded by a Catmull-Rom spline; a "line" keeps its corners.
"""

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Stroke = tuple[str, tuple[Point, ...]]

STROKES: dict[int, tuple[tuple[Stroke, ...], ...]] = {
    0: (
        (("arc", ((.52, .18), (.36, .26), (.30, .50), (.36, .74), (.50, .82), (.65, .73), (.70, .50), (.63, .26), (.52, .18))),),
        (("arc", ((.55, .20), (.38, .22), (.24, .46), (.30, .72), (.48, .80), (.68, .70), (.76, .46), (.68, .26), (.50, .19))),),
    ),
    1: (
        (("line", ((.52, .18), (.48, .82))),),
        (("line", ((.60, .18), (.42, .80))),),
        (("line", ((.38, .34), (.53, .18), (.52, .82))),),
    ),
    2: (
        (("arc", ((.31, .34), (.38, .22), (.52, .18), (.64, .25), (.64, .40), (.52, .58), (.31, .79))),
         ("line", ((.31, .79), (.70, .79)))),
        (("arc", ((.30, .30), (.46, .18), (.65, .26), (.62, .46), (.44, .66), (.33, .76), (.28, .70), (.37, .66), (.52, .75),
                    (.74, .77))),),
    ),
    3: (
        (("arc", ((.34, .26), (.48, .18), (.62, .24), (.62, .38), (.46, .48), (.62, .54), (.67, .68), (.54, .81), (.33, .75))),),
        (("arc", ((.30, .22), (.50, .17), (.66, .28), (.56, .42), (.42, .47), (.60, .52), (.70, .66), (.52, .82), (.29, .78))),),
    ),
    4: (
        (("line", ((.34, .20), (.30, .52), (.70, .52))), ("line", ((.63, .22), (.60, .82)))),
        (("line", ((.58, .18), (.28, .60), (.74, .60))), ("line", ((.60, .40), (.58, .83)))),
        (("arc", ((.30, .20), (.28, .38), (.34, .50), (.50, .49), (.64, .42))), ("line", ((.68, .18), (.62, .50), (.58, .82)))),
    ),
    5: (
        (("line", ((.68, .20), (.38, .20), (.36, .45))),
         ("arc", ((.36, .45), (.52, .42), (.67, .54), (.65, .70), (.52, .80), (.32, .76)))),
        (("arc", ((.40, .22), (.36, .44), (.54, .43), (.68, .58), (.58, .77), (.42, .81), (.30, .74))),
         ("line", ((.40, .21), (.70, .18)))),
    ),
    6: (
        (("arc", ((.60, .18), (.45, .30), (.35, .52), (.38, .74), (.52, .81), (.65, .72), (.62, .57), (.48, .53), (.37, .64))),),
        (("arc", ((.66, .20), (.46, .26), (.31, .50), (.33, .74), (.50, .83), (.68, .72), (.66, .56), (.50, .52), (.35, .62))),),
    ),
    7: (
        (("line", ((.30, .22), (.70, .22), (.46, .82))),),
        (("line", ((.30, .22), (.69, .20), (.44, .82))), ("line", ((.38, .52), (.68, .50)))),
        (("arc", ((.30, .26), (.46, .22), (.66, .20), (.68, .26), (.56, .50), (.50, .82))),),
    ),
    8: (
        (("arc", ((.62, .27), (.48, .19), (.36, .28), (.42, .42), (.60, .54), (.66, .70), (.50, .81), (.35, .70), (.42, .54),
                    (.60, .42), (.63, .28))),),
        (("arc", ((.50, .18), (.37, .26), (.40, .40), (.52, .47), (.64, .36), (.60, .22), (.50, .18))),
         ("arc", ((.50, .47), (.35, .58), (.35, .74), (.50, .82), (.66, .73), (.64, .57), (.50, .47)))),
    ),
    9: (
        (("arc", ((.64, .30), (.52, .19), (.37, .26), (.37, .42), (.50, .49), (.62, .40), (.65, .28))),
         ("arc", ((.65, .28), (.64, .52), (.58, .82)))),
        (("arc", ((.66, .26), (.50, .18), (.34, .30), (.38, .46), (.54, .46), (.66, .30), (.66, .54), (.58, .74), (.38, .80))),),
    ),
}
VARIANTS = [(digit, variant) for digit, variants in STROKES.items() for variant in range(len(variants))]
FINE = 4  # drawn this many times larger and then shrunk, which makes the edges smooth


def draw(digit: int, variant: int = 0, brush: float = 16, canvas: int = 280, ink: tuple[int, ...] = (0, 0, 0, 255),
         paper: tuple[int, ...] = (255, 255, 255, 255)) -> np.ndarray:
    """(canvas, canvas, 4) uint8 RGBA of one digit. Round caps and joins; brush and canvas in pixels."""
    side = canvas * FINE
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    radius = brush * FINE / 2
    for kind, points in STROKES[digit][variant]:
        path = np.array(rounded(points) if kind == "arc" else points) * side
        pen.line([tuple(point) for point in path], fill=255, width=max(1, round(2 * radius)))
        for x, y in path:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    share = np.asarray(mask.resize((canvas, canvas), Image.Resampling.BOX), np.float32)[..., None] / 255
    if paper[3] == 0:  # as a transparent canvas gives it: the ink's colour everywhere, its edge in alpha
        colour = np.broadcast_to(np.array(ink[:3]), (canvas, canvas, 3))
        return np.concatenate([colour, share * ink[3]], axis=2).round().astype(np.uint8)
    return (np.array(paper) * (1 - share) + np.array(ink) * share).round().astype(np.uint8)


def rounded(points: tuple[Point, ...], steps: int = 12) -> list[Point]:
    """Points on the Catmull-Rom spline through `points`."""
    known = np.array([points[0], *points, points[-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
             for a, b, c, d in zip(known, known[1:], known[2:], known[3:], strict=False)]
    return [tuple(point) for point in np.concatenate([*curve, known[-1:]])]
