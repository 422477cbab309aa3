"""Pictures made up to be unlike a data set: letters and signs, strokes without a plan, dots and boxes.

They are drawn with pens of many widths straight into the form that drawings are brought to (core.data.drawing): the longer side
20 of 28 pixels, the centre of mass in the middle.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.data.drawing.pen import Form, Path, by_hand, smooth, strokes_of
from core.evaluation.ood.glyphs import ALIKE, GLYPHS
from core.pieces import Pieces

PEN = (0.045, 0.22)  # of the longer side of what is drawn
LED = 0.25  # of glyphs are joined up
BATCH = 8  # pictures drawn at once: their distances fit the processor's cache
PIECE = 64  # pictures after which their drawing can be given up (core.pieces)


def glyph_names(classes: Collection[str]) -> list[str]:
    """The glyphs that look like none of the classes, by what the classes are called."""
    called = {name.strip() for name in classes}
    called |= {name.swapcase() for name in called if len(name) == 1}
    looks = {sign for group in ALIKE for sign in group if any(name in group for name in called)}
    return [name for name in GLYPHS if name not in called | looks]


def glyphs(names: Sequence[str], count: int, random: np.random.Generator, size: int = 28) -> Pieces[tuple[Tensor, Tensor]]:
    """Glyphs by unsteady hands: each is bent, turned, slanted, and drawn with a pen of its own.

    Images (count, 1, size, size), and for each its place (count,) in names.
    """
    if not names:
        return torch.zeros(0, 1, size, size), torch.zeros(0, dtype=torch.long)
    forms = [(place, strokes_of(form)) for place, name in enumerate(names) for form in GLYPHS[name]]
    chosen = [forms[i] for i in random.integers(len(forms), size=count)]
    written = []
    for number, (_, form) in enumerate(chosen):
        if number % PIECE == 0:
            yield
        written.append(_by_hand(form, random))
    images = yield from draw(written, _pens(count, random), size)
    return images, torch.tensor([place for place, _ in chosen])


def strokes(count: int, random: np.random.Generator, size: int = 28) -> Pieces[Tensor]:
    """(count, 1, size, size) one to four strokes without a plan, some of which begin where another one passed."""
    return (yield from draw([_planless(random) for _ in range(count)], _pens(count, random), size))


def scribbles(count: int, random: np.random.Generator, size: int = 28) -> Pieces[Tensor]:
    """(count, 1, size, size) to and fro with 5 to 30 turns, round or sharp."""
    found = []
    for _ in range(count):
        path = random.uniform(0, 1, (random.integers(5, 30), 2)) * (1, random.uniform(0.3, 1))
        found.append([smooth(path)[:90] if random.random() < 0.5 else path])
    return (yield from draw(found, _pens(count, random), size))


def shapes(count: int, random: np.random.Generator, size: int = 28) -> Tensor:
    """(count, 1, size, size) filled boxes and discs, at most 1.5 times as long as wide: a slimmer one might be a bold 1."""
    long = random.uniform(0.6, 1, (count, 1, 1)) * size * 10 / 28
    short = long / random.uniform(1, 1.5, (count, 1, 1))
    upright = random.random((count, 1, 1)) < 0.5
    middle = np.abs(np.arange(size) + 0.5 - size / 2)
    x, y = middle / np.where(upright, short, long), middle[:, None] / np.where(upright, long, short)
    power = random.choice([2, 16], (count, 1, 1))  # a disc, a box
    inked = (x**power + y**power) <= 1
    return torch.from_numpy(inked[:, None].astype(np.float32))


def draw(pictures: Sequence[Sequence[Path]], pens: np.ndarray, size: int = 28) -> Pieces[Tensor]:
    """(N, 1, size, size) float32: white strokes on black, with round ends and smooth edges.

    Args:
        pictures: the strokes of each, of at least two points; the longer side becomes 20 of 28 pixels,
            with the pen's width in it.
        pens: (N,) widths as shares of the longer side.
    """
    box = size * 20 / 28
    segments = []
    for strokes, pen in zip(pictures, pens, strict=True):
        points = np.concatenate(strokes)
        low, high = points.min(0), points.max(0)
        scale = (1 - pen) * box / max(float((high - low).max()), 1e-3)
        placed = [(path - (low + high) / 2) * scale + size / 2 for path in strokes]
        segments.append(np.concatenate([np.hstack([path[:-1], path[1:]]) for path in placed]))
    radii = torch.from_numpy(pens.astype(np.float32) * box / 2)
    images = torch.empty(len(pictures), size, size)
    order = sorted(range(len(pictures)), key=lambda number: len(segments[number]))  # together with others as long
    for start in range(0, len(order), BATCH):
        if start % PIECE == 0:
            yield
        some = order[start:start + BATCH]
        longest = len(segments[some[-1]])  # the last segment of shorter ones is repeated
        ends = np.stack([np.pad(segments[i], ((0, longest - len(segments[i])), (0, 0)), mode="edge") for i in some])
        images[some] = _drawn(torch.from_numpy(ends.astype(np.float32)), radii[some], size)
    return _centred(images[:, None])


def _led(form: Form, random: np.random.Generator) -> Form:
    """With a stroke that leads in from the left, or out to the right, or both, as joined-up letters have."""
    found = list(form)
    for place, side in ((0, -1), (-1, 1)):
        curved, points = found[place]
        if random.random() < 0.7:
            end = points[0 if side < 0 else -1]
            first = end + (side * random.uniform(0.1, 0.2), random.uniform(-0.05, 0.12))
            more = [first, first + (side * random.uniform(0.08, 0.25), -side * random.uniform(0.05, 0.3))]
            found[place] = True, np.array([*more[::-1], *points] if side < 0 else [*points, *more])
    return found


def _by_hand(form: Form, random: np.random.Generator) -> list[Path]:
    """Now and then joined up, by an unsteady hand."""
    return by_hand(_led(form, random) if random.random() < LED else form, random)


def _planless(random: np.random.Generator) -> list[Path]:
    paths: list[Path] = []
    for _ in range(random.integers(1, 5)):
        corners = random.integers(2, 4) if random.random() < 0.6 else random.integers(3, 7)
        points = random.uniform(0, 1, (corners, 2))
        if random.random() < 0.3:  # upright or level
            points[1:2, random.integers(2)] = points[0, random.integers(2)]
        if paths and random.random() < 0.6:
            other = paths[random.integers(len(paths))]
            points += other[random.integers(len(other))] - points[random.integers(corners)]
        if corners > 3 and random.random() < 0.3:
            points[-1] = points[0]
        paths.append(smooth(points) if random.random() < 0.5 and corners > 2 else points)
    return paths


def _pens(count: int, random: np.random.Generator) -> np.ndarray:
    return np.exp(random.uniform(np.log(PEN[0]), np.log(PEN[1]), count))


def _drawn(ends: Tensor, radii: Tensor, size: int) -> Tensor:
    """(n, S, 4) segments in pixels and (n,) radii → (n, size, size): how much of each pixel is nearer to a segment than that."""
    middle = torch.arange(size, dtype=torch.float32) + 0.5
    x0, y0, x1, y1 = (ends[..., i, None, None] for i in range(4))  # (n, S, 1, 1)
    dx, dy = x1 - x0, y1 - y0
    x, y = middle[None, None, None, :] - x0, middle[None, None, :, None] - y0
    along = ((x * dx + y * dy) / (dx * dx + dy * dy).clamp_min(1e-9)).clamp_(0, 1)  # (n, S, size, size)
    away = ((x - along * dx).square_() + (y - along * dy).square_()).amin(1).sqrt()
    ink = (radii[:, None, None] - away + 0.5).clamp(0, 1)
    return ink / ink.amax((1, 2), keepdim=True).clamp_min(1e-6)


def _centred(images: Tensor) -> Tensor:
    """Each moved by whole pixels until its centre of mass is in the middle, as far as no ink leaves the frame."""
    size = images.shape[-1]
    indices = []
    for axis in (2, 3):
        profile = images.sum((1, 5 - axis))  # (N, size)
        centre = profile @ torch.arange(size, dtype=torch.float32) / profile.sum(1).clamp_min(1e-6)
        inked = profile > 0
        first, last = inked.float().argmax(1), size - 1 - inked.flip(1).float().argmax(1)
        move = torch.ceil(size / 2 - 0.5 - centre).long().clamp(-first, size - 1 - last)
        indices.append((torch.arange(size)[None] - move[:, None]) % size)
    rows, columns = indices
    return images[torch.arange(len(images))[:, None, None, None], 0, rows[:, None, :, None], columns[:, None, None, :]]


def restyled(images: Tensor, random: np.random.Generator) -> Tensor:
    """(N, 1, H, W) → the same, with strokes of another width and sharpness, some as if enlarged from a quarter of the pixels.

    How something is drawn is not to tell what it is.
    """
    images = _coarser(images, random)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share, level, steep = (torch.from_numpy(random.uniform(low, high, (len(images), 1, 1, 1)).astype(np.float32))
                           for low, high in ((0.3, 1), (0.15, 0.7), (1.5, 5)))
    soft = share * blurred + (1 - share) * images
    soft = soft / soft.amax((2, 3), keepdim=True).clamp_min(1e-6)
    return (steep * (soft - level.maximum(0.5 / steep)) + 0.5).clamp(0, 1)


def _coarser(images: Tensor, random: np.random.Generator) -> Tensor:
    """Half of the images shrunk to 7 to 14 of 28 pixels and enlarged again."""
    found, size = images.clone(), images.shape[-1]
    sides = np.where(random.random(len(images)) < 0.5, random.integers(7, 15, len(images)), 0)
    for side in range(7, 15):
        some = torch.from_numpy(np.flatnonzero(sides == side))
        if len(some):
            small = F.adaptive_avg_pool2d(images[some], max(1, round(side * size / 28)))
            found[some] = F.interpolate(small, size=size, mode="bicubic", align_corners=False).clamp(0, 1)
    return found
