"""Pictures of a network at moments of its training: one for each way to look at it, and all of them as an animation."""

import io
import math
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core.figures.confusion import cell_texts, row_shares
from core.figures.images import as_picture
from core.figures.learning import tinted
from core.figures.maps import map_sheet, row_picture
from core.figures.palette import CLASSES, TRAIN, VALIDATION
from core.figures.pictures import data_uri, to_bytes
from core.inspection.moment import (
    ANSWERS,
    CONFUSION,
    FILTERS,
    MAP,
    MAPS,
    Axes,
    Examples,
    MomentView,
)
from core.wording import percent

WIDTH = 270  # of a picture, in the pixels of a page; SCALE times as many are drawn, which phones and many screens have
SCALE = 2
MOST_MAPS, MOST_NUMBERS = 16, 512
MOST_NUMBERED = 12  # classes up to which the cells of a matrix have room for their number
MOST_BARS = 10  # classes of a drawing's answer
GAP = 8
FRAME_GAP, HEAD = 14, 26  # of an animation: between pictures, and above one for its title
MOST_BYTES = 8 * 10**6  # of an animation
MOST_FRAMES = 80
SECONDS_PER_FRAME, SECONDS_AT_END = 0.2, 2.0


FONT = Path(__file__).parents[2] / "static" / "fonts" / "space-grotesk-latin-wght-normal.woff2"  # of the app's headings
WEIGHT = 450  # between its regular and its medium
DRAWN = 0x100  # characters below, and a few others, are in it


@dataclass(frozen=True)
class Theme:
    """Colours of a picture, as (r, g, b): paper, ink, what is between them, and words about what is wrong."""

    paper: tuple[int, int, int]
    ink: tuple[int, int, int]
    faint: tuple[int, int, int]
    grid: tuple[int, int, int]
    wrong: tuple[int, int, int]


LIGHT = Theme((255, 255, 255), (15, 18, 24), (92, 98, 112), (226, 225, 221), (169, 58, 23))
DARK = Theme((12, 14, 19), (236, 238, 242), (163, 169, 182), (52, 57, 69), (255, 157, 122))
TITLES = {ANSWERS: "Answers", FILTERS: "First layer's weights", MAPS: "What a layer makes of it", CONFUSION: "Confusion matrix",
          MAP: "Map of the examples", "weights": "Weights", "activations": "What the layers return",
          "gradients": "Gradients"}


@dataclass(frozen=True)
class Panel:
    """One picture of a moment, a PNG as a data URI, width × height pixels. alt: what it says, in words. pixelated: to be enlarged
    with sharp pixels."""

    title: str
    src: str
    width: int
    height: int
    alt: str
    pixelated: bool = False

    @classmethod
    def of(cls, title: str, picture: np.ndarray, alt: str, pixelated: bool = False) -> "Panel":
        """picture: (H, W) or (H, W, 3) uint8."""
        array = picture if picture.ndim == 3 else picture[:, :, None]
        image = torch.from_numpy(np.array(array)).permute(2, 0, 1)
        return cls(title, data_uri(image), picture.shape[1], picture.shape[0], alt, pixelated)

    @property
    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(b64decode(self.src.partition(",")[2]))).convert("RGB")


class Sheet:
    """A picture that is drawn in the pixels of a page, SCALE times as fine."""

    def __init__(self, width: float, height: float, theme: Theme) -> None:
        self.theme = theme
        self.image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), theme.paper)
        self.draw = ImageDraw.Draw(self.image)

    def box(self, left: float, top: float, right: float, bottom: float, fill: tuple[int, ...] | str) -> None:
        corners = [round(left * SCALE), round(top * SCALE), round(right * SCALE) - 1, round(bottom * SCALE) - 1]
        if corners[2] >= corners[0] and corners[3] >= corners[1]:  # else it is narrower than a pixel
            self.draw.rectangle(corners, fill=fill)

    def text(self, x: float, y: float, text: str, size: int = 12, anchor: str = "la",
             fill: tuple[int, ...] | str | None = None, within: float = math.inf) -> None:
        """within: pixels that it may take; what is longer is cut, and ends with "…"."""
        letters, shown = font(size * SCALE), text
        while len(text) > 1 and letters.getlength(shown) > within * SCALE:
            text = text[:-1]
            shown = f"{text.rstrip()}…"
        self.draw.text((x * SCALE, y * SCALE), shown, fill=fill or self.theme.ink, font=letters, anchor=anchor)

    def paste(self, picture: np.ndarray, left: float, top: float, side: float) -> None:
        """A picture, enlarged with sharp pixels or shrunk so that its longer side is `side`."""
        image = Image.fromarray(picture)
        factor = side * SCALE / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        self.image.paste(image.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX),
                         (round(left * SCALE), round(top * SCALE)))

    @property
    def pixels(self) -> np.ndarray:
        return np.asarray(self.image)


def panels(view: MomentView, examples: Examples, axes: Axes, classes: Sequence[str], theme: Theme) -> list[Panel]:
    """A picture of all that was looked at, in the order of PARTS; what there is nothing to see of is left out."""
    found, classes = [], drawn_names(classes)
    if view.watched is not None:
        found.append(watched_panel(view.watched, examples.watched, classes, theme))
    if view.shown is not None:
        found.append(answers_panel(view.shown, examples, classes, theme))
    if view.filters is not None and len(view.filters):
        found.append(Panel.of(TITLES[FILTERS], filters_picture(view.filters, theme), f"{len(view.filters)} pictures of weights "
                              "of the first layer, blue where positive, orange where negative", pixelated=True))
    if view.stage is not None:
        found.append(maps_panel(view))
    if view.confusion is not None:
        found.append(confusion_panel(view.confusion, classes, theme))
    if view.points is not None and view.said is not None:
        found.append(map_panel(view.points, view.said, examples.labels.numpy(), axes, classes, theme))
    if view.histograms:
        found.append(histograms_panel(view, theme))
    return found


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The app's own, or Pillow's, which knows fewer letters, where the file is not there or can't be read."""
    try:
        found = ImageFont.truetype(str(FONT), size)
        found.set_variation_by_axes([WEIGHT])
    except (OSError, NotImplementedError):
        return ImageFont.load_default(size)
    return found


def short(name: str, most: int = 8) -> str:
    """A text where there is little room."""
    return name if len(name) <= most else f"{name[:most - 1]}…"


def drawn_names(classes: Sequence[str]) -> list[str]:
    """Names of classes as a picture can write them: the number of one that has letters which the font does not know."""
    return [name if all(ord(letter) < DRAWN or letter in "–—‘’“”…" for letter in name) else str(label)
            for label, name in enumerate(classes)]


# --- one picture each

def watched_panel(probabilities: np.ndarray, images: Tensor, classes: Sequence[str], theme: Theme) -> Panel:
    """The watched images, each beside the bars of its answer. probabilities: (W, K); images: (W, C, H, W) float in [0, 1]."""
    shown = min(len(classes), MOST_BARS)
    bar, head = 13, 20
    each = max(76, head + shown * bar + GAP)
    sheet, said = Sheet(WIDTH, each * len(images), theme), []
    for index, (image, answer) in enumerate(zip(to_bytes(images), probabilities, strict=True)):
        top = index * each
        order = list(range(shown)) if len(classes) <= MOST_BARS else np.argsort(-answer, kind="stable")[:shown].tolist()
        best = int(answer.argmax())
        sheet.paste(as_picture(image), 0, top, 60)
        sheet.text(70, top, f"It says {short(classes[best], 16)}, {percent(float(answer[best]), 0)}", 13,
                   within=WIDTH - 70)
        for place, label in enumerate(order):
            y = top + head + place * bar
            sheet.text(84, y + bar / 2, classes[label], 10, "rm", theme.faint, within=22)
            sheet.box(88, y + 2, WIDTH, y + bar - 1, theme.grid)
            sheet.box(88, y + 2, 88 + (WIDTH - 88) * float(answer[label]), y + bar - 1,
                      TRAIN if label == best else VALIDATION)
        said.append(f"{classes[best]}, {percent(float(answer[best]), 0)}")
    return Panel.of("The watched drawing" if len(images) == 1 else "The watched drawings", sheet.pixels,
                    "It says " + "; ".join(said))


def answers_panel(probabilities: np.ndarray, examples: Examples, classes: Sequence[str], theme: Theme) -> Panel:
    """A few images of the split, each with the answer and how sure it is; what is wrong is said in words too."""
    columns, side, each = 2, 44, 52
    count = len(probabilities)
    sheet, said, width = Sheet(WIDTH, -(-count // columns) * each, theme), [], WIDTH / columns
    is_picture = examples.shown.dim() == 4
    labels = examples.shown_labels.tolist()
    for index, (answer, label) in enumerate(zip(probabilities, labels, strict=True)):
        left, top = index % columns * width, index // columns * each
        best, sure = int(answer.argmax()), float(answer.max())
        if is_picture:
            sheet.paste(as_picture(examples.shown[index]), left, top, side)
        start = left + (side + 8 if is_picture else 0)
        label, right = int(label), best == int(label)
        room = left + width - start - 6
        sheet.text(start, top + 1, f"says {classes[best]}", 13, fill=theme.ink if right else theme.wrong, within=room)
        sheet.text(start, top + 17, "right" if right else f"is {classes[label]}", 11, fill=theme.faint, within=room)
        sheet.box(start, top + 34, left + width - 16, top + 41, theme.grid)
        sheet.box(start, top + 34, start + (left + width - 16 - start) * sure, top + 41, VALIDATION if right else TRAIN)
        said.append(f"{classes[label]}: says {classes[best]}, {percent(sure, 0)}")
    return Panel.of(TITLES[ANSWERS], sheet.pixels, f"Answers to {count} examples. " + "; ".join(said))


def filters_picture(filters: np.ndarray, theme: Theme) -> np.ndarray:
    """(U, h, w) uint8 → tiles in rows, every weight a square of whole pixels, in the colours of Home and Train model."""
    count, height, width = filters.shape
    columns = max(1, min(count, 4 if count <= 16 else 8))
    scale = max(1, (WIDTH // columns - 4) // max(height, width))
    cell_h, cell_w = height * scale + 4, width * scale + 4
    sheet = np.empty((-(-count // columns) * cell_h, columns * cell_w, 3), np.uint8)
    sheet[:] = theme.paper
    for index, tile in enumerate(tinted(filters, theme is DARK).transpose(0, 2, 3, 1)):
        top, left = index // columns * cell_h, index % columns * cell_w
        sheet[top:top + height * scale, left:left + width * scale] = tile.repeat(scale, axis=0).repeat(scale, axis=1)
    return sheet


def maps_panel(view: MomentView) -> Panel:
    """What a layer makes of the chosen image: maps, or a row of numbers."""
    stage = view.stage
    assert stage is not None
    values = stage.values
    is_map = values.dim() == 3 and values.shape[1:].numel() > 1
    picture = map_sheet(values, numbered=False, most=MOST_MAPS) if is_map else row_picture(values.flatten(), MOST_NUMBERS)
    shape = "×".join(map(str, stage.shape[1:]))
    what = f"the first {MOST_MAPS} of {len(values)} maps" if is_map and len(values) > MOST_MAPS else f"{len(values)} maps" \
        if is_map else f"{values.numel()} numbers"
    scale = "Blue below 0, white 0, red above." if float(values.min()) < 0 else "Black 0, white the largest."
    return Panel.of(f"{stage.name}, {stage.kind}, {shape}", picture, f"{what}. {scale}", pixelated=True)


def confusion_panel(matrix: np.ndarray, classes: Sequence[str], theme: Theme) -> Panel:
    """Rows are true classes, columns what the network says; darker, in the dark theme lighter, for a larger share of the row."""
    count = len(classes)
    head, foot = (34, 16) if count > 5 else (56, 16)
    cell = (WIDTH - head) / count
    sheet = Sheet(WIDTH, foot + head / 2 + cell * count, theme)
    top = foot + head / 2
    sheet.text(head, 0, "rows: true, columns: said", 10, fill=theme.faint)
    numbered = count <= MOST_NUMBERED
    depth = np.sqrt(row_shares(matrix))[:, :, None]
    paper, deep = np.array(theme.grid), np.array([46, 134, 171])
    colors = np.rint(paper + (deep - paper) * depth).astype(int)
    texts = cell_texts(matrix, as_shares=False)
    size = 11 if count > 3 else 14
    for row in range(count):
        if numbered:
            sheet.text(head - 5, top + cell * (row + 0.5), classes[row], 11, "rm", within=head - 7)
            sheet.text(head + cell * (row + 0.5), top - 6, classes[row], 11, "ms", within=cell - 4)
        for column in range(count):
            left, upper = head + cell * column, top + cell * row
            fill = tuple(colors[row, column].tolist())
            sheet.box(left, upper, left + cell - (1 if numbered else 0), upper + cell - (1 if numbered else 0), fill)
            if numbered and texts[row][column]:
                ink = (0, 0, 0) if sum(fill) > 330 else (255, 255, 255)
                sheet.text(left + cell / 2, upper + cell / 2, texts[row][column], size, "mm", ink)
    right = int(matrix.trace())
    return Panel.of(TITLES[CONFUSION], sheet.pixels,
                    f"{right:,} of {int(matrix.sum()):,} right. " + worst_pair(matrix, classes))


def worst_pair(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """The most frequent mistake in words; "" where there is none."""
    wrong = matrix - np.diag(np.diag(matrix))
    truth, said = divmod(int(wrong.argmax()), len(matrix))
    return f"Most often {classes[truth]} is taken for {classes[said]}: {int(wrong.max()):,} times." if wrong.any() else ""


def map_panel(points: np.ndarray, said: np.ndarray, labels: np.ndarray, axes: Axes, classes: Sequence[str],
              theme: Theme) -> Panel:
    """The examples in the network's own features: in the colour of their true class, a wrong answer as a cross. What lies beyond
    the last moment's range is at the edge."""
    side = WIDTH
    legend = 18 * -(-min(len(classes), 10) // 5)
    sheet = Sheet(side, side + legend, theme)
    left, right, bottom, top = axes.limits
    xs = np.clip((points[:, 0] - left) / (right - left), 0, 1) * (side - 8) + 4
    ys = np.clip((top - points[:, 1]) / (top - bottom), 0, 1) * (side - 8) + 4
    for edge in ((0, 0, side, 1), (0, side - 1, side, side), (0, 0, 1, side), (side - 1, 0, side, side)):
        sheet.box(*edge, theme.grid)
    for x, y, label, answer in zip((xs * SCALE).tolist(), (ys * SCALE).tolist(), labels.tolist(), said.tolist(), strict=True):
        color = CLASSES[label % len(CLASSES)]
        if label == answer:
            sheet.draw.rectangle([x - 3, y - 3, x + 3, y + 3], fill=color)
        else:
            sheet.draw.line([x - 6, y - 6, x + 6, y + 6], fill=color, width=3)
            sheet.draw.line([x - 6, y + 6, x + 6, y - 6], fill=color, width=3)
    for place, name in enumerate(classes[:10]):
        x, y = place % 5 * side / 5, side + 4 + 18 * (place // 5)
        sheet.box(x, y + 2, x + 9, y + 11, CLASSES[place % len(CLASSES)])
        sheet.text(x + 13, y, name, 11, within=side / 5 - 16)
    wrong = int((said != labels).sum())
    return Panel.of(TITLES[MAP], sheet.pixels, f"{len(labels):,} examples as points in the network's own features, "
                    f"{wrong:,} of them answered wrong and drawn as crosses")


def histograms_panel(view: MomentView, theme: Theme) -> Panel:
    """How often which value occurs in each layer, each as high as its largest count, 0 in the middle."""
    height, head, foot = 52, 18, 16
    each = head + height + foot
    columns = 1 if len(view.histograms) == 1 else 2
    width = (WIDTH - GAP * (columns - 1)) / columns
    sheet = Sheet(WIDTH, each * -(-len(view.histograms) // columns), theme)
    for index, (name, counts) in enumerate(view.histograms.items()):
        left, top = index % columns * (width + GAP), index // columns * each
        sheet.text(left, top, name, 12, within=width)
        bar = width / len(counts)
        floor = top + head + height
        sheet.box(left, floor, left + width, floor + 1, theme.grid)
        for place, count in enumerate(counts.tolist()):
            if count:
                sheet.box(left + place * bar, floor - max(1.0, height * count / counts.max()), left + (place + 1) * bar - 0.5,
                          floor, VALIDATION)
        end = view.ends[name]
        sheet.text(left, floor + 3, f"−{end:.2g}", 10, fill=theme.faint)
        sheet.text(left + width / 2, floor + 3, "0", 10, "ma", theme.faint)
        sheet.text(left + width, floor + 3, f"{end:.2g}", 10, "ra", theme.faint)
    return Panel.of(TITLES[view.kind], sheet.pixels, f"{TITLES[view.kind]} of {len(view.histograms)} layers as histograms")


# --- saved

@dataclass(frozen=True)
class Shot:
    """A moment: a line about it, and its pictures."""

    line: str
    panels: Sequence[Panel]


def frame(shot: Shot, title: str, share: float, theme: Theme) -> Image.Image:
    """All pictures of a moment on one sheet, with a bar that says how far the training is, 0 to 1."""
    columns = min(3, len(shot.panels))
    width = columns * (WIDTH + FRAME_GAP) + FRAME_GAP
    heights = [0.0] * columns
    places: list[tuple[float, float, Panel, tuple[int, int]]] = []
    for panel in shot.panels:  # each below the shortest column, as a page does it
        column = heights.index(min(heights))
        size = (WIDTH, max(1, round(panel.height * WIDTH / panel.width)))
        places.append((FRAME_GAP + column * (WIDTH + FRAME_GAP), heights[column], panel, size))
        heights[column] += HEAD + size[1] + FRAME_GAP
    top = 58
    sheet = Image.new("RGB", (width, round(top + max(heights, default=0))), theme.paper)
    draw = ImageDraw.Draw(sheet)
    draw.text((FRAME_GAP, 8), title, fill=theme.ink, font=font(15))
    draw.text((FRAME_GAP, 28), shot.line, fill=theme.faint, font=font(13))
    draw.rectangle([FRAME_GAP, 48, width - FRAME_GAP, 51], fill=theme.grid)
    draw.rectangle([FRAME_GAP, 48, FRAME_GAP + (width - 2 * FRAME_GAP) * share, 51], fill=TRAIN)
    for left, below, panel, size in places:
        draw.text((left, top + below), short(panel.title, 44), fill=theme.ink, font=font(13))
        how = Image.Resampling.NEAREST if panel.pixelated else Image.Resampling.BOX
        sheet.paste(panel.picture.resize(size, how), (round(left), round(top + below + HEAD - 6)))
    return sheet


def animation(shots: Sequence[Shot], title: str, kind: str, theme: Theme = LIGHT) -> bytes:
    """A GIF or WebP of at most MOST_FRAMES frames and MOST_BYTES, that plays for ever; a smaller picture where it would be more.

    kind: "gif" or "webp". Raises ValueError for no frames.
    """
    if not shots:
        raise ValueError("There is no moment to make an animation of.")
    kept = [shots[round(place)] for place in np.linspace(0, len(shots) - 1, min(len(shots), MOST_FRAMES))]
    frames = [frame(shot, title, (index + 1) / len(kept), theme) for index, shot in enumerate(kept)]
    size = (max(one.width for one in frames), max(one.height for one in frames))
    even = []
    for one in frames:  # one may have a row less, where a layer had no number to show
        sheet = Image.new("RGB", size, theme.paper)
        sheet.paste(one, (0, 0))
        even.append(sheet)
    durations = [round(1000 * SECONDS_PER_FRAME)] * (len(even) - 1) + [round(1000 * SECONDS_AT_END)]
    while True:
        content = _encoded(even, durations, kind)
        if len(content) <= MOST_BYTES or even[0].width < 64:
            return content
        even = [one.resize((one.width * 2 // 3, one.height * 2 // 3), Image.Resampling.BOX) for one in even]


def _encoded(frames: Sequence[Image.Image], durations: Sequence[int], kind: str) -> bytes:
    file = io.BytesIO()
    how = {"quality": 70, "method": 1} if kind == "webp" else {"optimize": False}
    frames[0].save(file, format=kind.upper(), save_all=True, append_images=list(frames[1:]), duration=list(durations), loop=0,
                   **how)
    return file.getvalue()
