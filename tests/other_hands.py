"""Digits as other people write them, with a mouse: a second set of pen strokes, made apart from tests/strokes.py.

Every style is a skeleton of few points in a box 1 high, y down; x may be what it likes. A hand is drawn by chance: points are
moved, the digit is stretched and slanted, and the line is a polygon (a fast mouse sends few points) or a smooth curve, in pieces
as short as a mouse's, with its tremor. What tests/strokes.py has not: narrow and round zeros, ones with flag and foot, sevens
with a bar and a hook, fours open and closed, nines with a straight or a curved leg, twos with a loop, threes with a flat top,
sixes and eights in one line or two.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Points = tuple[tuple[float, float], ...]
FINE = 4  # drawn this many times larger, then shrunk: smooth edges


def _oval(x: float, y: float, rx: float, ry: float, start: float = -80, turn: float = 370, count: int = 14) -> Points:
    """Points round an ellipse, from an angle in degrees (0 right, 90 down) on."""
    angles = [math.radians(start + turn * i / (count - 1)) for i in range(count)]
    return tuple((x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles)


# digit → style → lines; "sharp" in the style's name keeps the corners of lines of up to five points
STYLES: dict[int, dict[str, tuple[Points, ...]]] = {
    0: {"round": (_oval(.5, .5, .45, .5),), "narrow": (_oval(.3, .5, .24, .5, -95, 365),),
        "slanting": (_oval(.4, .5, .36, .5, -60, -365),), "not quite closed": (_oval(.4, .5, .36, .5, -75, 335),)},
    1: {"plain sharp": (((.2, 0), (.2, 1)),), "flag sharp": (((0, .25), (.28, 0), (.28, 1)),),
        "flag and foot sharp": (((.02, .22), (.3, 0), (.3, 1)), ((.02, 1), (.58, 1))),
        "short flag sharp": (((.08, .14), (.22, 0), (.2, 1)),)},
    2: {"swan": (((.03, .25), (.2, .03), (.5, .02), (.62, .25), (.45, .55), (.05, .97), (.35, .97), (.68, .97)),),
        "loop": (((.05, .22), (.25, .02), (.52, .08), (.55, .35), (.3, .75), (.08, .97), (.02, .82), (.2, .76), (.45, .95),
                  (.7, .96)),),
        "flat foot sharp": (((.05, .2), (.3, 0), (.6, .2), (.05, 1), (.65, 1)),)},
    3: {"round": (((.05, .12), (.3, 0), (.55, .15), (.5, .38), (.25, .47), (.55, .57), (.62, .8), (.4, 1), (.05, .9)),),
        "flat top": (((.05, 0), (.3, 0), (.6, 0), (.45, .2), (.28, .4), (.52, .45), (.63, .7), (.45, .97), (.03, .93)),),
        "two bows": (((.05, .05), (.35, 0), (.52, .2), (.4, .42), (.15, .46)),
                     ((.15, .46), (.5, .5), (.6, .75), (.42, .97), (.05, .95)))},
    4: {"open sharp": (((.1, .05), (.05, .58), (.65, .58)), ((.5, .25), (.5, 1))),
        "closed sharp": (((.5, 0), (.0, .66), (.7, .66)), ((.5, 0), (.5, 1))),
        "closed in one sharp": (((.48, 1), (.48, 0), (0, .65), (.68, .65)),),
        "open and tall sharp": (((.08, 0), (.05, .5), (.6, .48)), ((.6, 0), (.55, 1)))},
    5: {"two lines": (((.12, .03), (.08, .42), (.4, .38), (.6, .62), (.5, .9), (.25, 1), (.02, .9)), ((.12, .02), (.6, 0))),
        "one line": (((.6, .02), (.35, .02), (.12, .03), (.1, .25), (.1, .45), (.42, .42), (.6, .65), (.48, .93), (.2, 1),
                      (.02, .93)),),
        "sharp": (((.6, 0), (.1, 0), (.08, .45)), ((.08, .45), (.5, .45), (.6, .7), (.45, 1), (.02, .95)))},
    6: {"curl": (((.5, .02), (.25, .2), (.08, .5), (.08, .8), (.3, 1), (.55, .88), (.55, .65), (.32, .53), (.1, .68)),),
        "straight back": (((.42, 0), (.2, .38), (.05, .72)), _oval(.33, .74, .28, .26, 180, 360)),
        "fat": (((.6, .08), (.35, .02), (.1, .3), (.05, .7), (.3, 1), (.62, .85), (.55, .58), (.3, .52), (.08, .66)),)},
    7: {"plain sharp": (((.02, 0), (.6, 0), (.22, 1)),), "bar sharp": (((.02, .02), (.6, 0), (.25, 1)), ((.15, .5), (.6, .48))),
        "hook sharp": (((.02, .2), (.04, 0), (.62, 0), (.3, 1)),),
        "hook and bar": (((.0, .15), (.05, .02), (.35, .06), (.62, .0), (.45, .4), (.3, 1)), ((.16, .52), (.62, .47)))},
    8: {"one line": (((.52, .13), (.3, 0), (.1, .14), (.15, .35), (.45, .55), (.58, .78), (.35, 1), (.08, .82), (.2, .58),
                      (.48, .36), (.54, .14)),),
        "two rings": (_oval(.32, .24, .24, .24), _oval(.32, .74, .3, .26)),
        "narrow": (_oval(.22, .26, .17, .26), _oval(.22, .76, .2, .24))},
    9: {"straight leg": (_oval(.3, .25, .26, .25, -30, -360), ((.56, .1), (.55, .5), (.54, 1))),
        "curved leg": (((.56, .14), (.3, 0), (.05, .2), (.15, .46), (.42, .45), (.56, .2), (.58, .5), (.48, .88), (.2, 1),
                        (.04, .92)),),
        "slanting leg": (_oval(.33, .26, .25, .25, -20, -360), ((.57, .16), (.5, .55), (.32, 1)))},
}


@dataclass(frozen=True)
class Hand:
    """One drawing. height and pen in pixels of the canvas, slant in degrees to the right at the top."""

    digit: int
    style: str
    height: float
    pen: float
    slant: float
    seed: int


def drawn(hand: Hand, canvas: int = 280) -> np.ndarray:
    """(canvas, canvas, 4) uint8: the digit anywhere on a white canvas, wholly on it. height is that of all ink."""
    chance = np.random.default_rng(hand.seed)
    tall = max(hand.height - hand.pen, hand.pen)
    wide, lean = chance.uniform(.85, 1.15), math.tan(math.radians(hand.slant))
    lines = []
    for points in STYLES[hand.digit][hand.style]:
        places = np.array(points) + chance.normal(0, .012, (len(points), 2))
        if "sharp" not in hand.style or len(points) > 5:
            places = _smooth(places, int(chance.integers(2, 7)))
        x, y = places[:, 0] * wide - lean * (places[:, 1] - .5), places[:, 1]
        lines.append(np.stack([x, y], axis=1) * tall + chance.normal(0, .4, (len(places), 2)))  # 0.4 pixels of tremor
    every = np.concatenate(lines)
    low, high = every.min(0) - hand.pen / 2, every.max(0) + hand.pen / 2
    lines = [line - low for line in lines]
    room = np.maximum(canvas - (high - low), 0)
    corner = chance.uniform(0, 1, 2) * room
    sheet = Image.new("L", (canvas * FINE,) * 2, 255)
    pen, radius = ImageDraw.Draw(sheet), hand.pen * FINE / 2
    for line in lines:
        path = [tuple(point) for point in (line + corner) * FINE]
        pen.line(path, fill=26, width=round(2 * radius))
        for x, y in path:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=26)
    gray = np.asarray(sheet.resize((canvas, canvas), Image.Resampling.BOX))
    return np.dstack([gray, gray, gray, np.full_like(gray, 255)])


def _smooth(places: np.ndarray, pieces: int) -> np.ndarray:
    """(n, 2) → a line through these points in `pieces` straight pieces from one to the next; each bend is a parabola's."""
    known = np.concatenate([places[:1] * 2 - places[1:2], places, places[-1:] * 2 - places[-2:-1]])
    found = []
    for a, b, c, d in zip(known, known[1:], known[2:], known[3:], strict=False):
        for t in np.arange(pieces) / pieces:
            first = b + (c - a) / 2 * t + (c - 2 * b + a) / 2 * t * t  # the parabola through a, b and c, from b on
            second = c + (d - b) / 2 * (t - 1) + (d - 2 * c + b) / 2 * (t - 1) ** 2
            found.append((1 - t) * first + t * second)
    return np.array([*found, places[-1]])


def hands(each: int = 40, heights: tuple[float, float] = (56, 270), pens: tuple[float, float] = (12, 28), slants: float = 15,
          widest: float = 0.22, seed: int = 0) -> list[Hand]:
    """`each` drawings of every style, all else by chance; no pen is wider than `widest` of the digit's height."""
    chance = np.random.default_rng(seed)
    found = []
    for digit, styles in STYLES.items():
        for style in styles:
            for _ in range(each):
                pen = float(chance.uniform(*pens))
                height = float(chance.uniform(max(heights[0], pen / widest), heights[1]))
                found.append(Hand(digit, style, height, pen, float(chance.uniform(-slants, slants)),
                                  int(chance.integers(2**31))))
    return found
