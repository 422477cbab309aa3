"""What a network answers, while it learns: a strip of images with its answers, and which class it takes for which."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from core.figures.images import as_picture
from core.figures.palette import BLUE_TEXT, ORANGE_TEXT, TRAIN, VALIDATION
from core.wording import percent

PICTURE = 48  # pixels on the screen
STRIP = 118  # pixels of a strip's height, of an empty one too
LINE = 17  # pixels of a line below a picture
GROWN = 1.25  # how much larger pictures and words are in a strip that is so much higher
PLACE = 50  # pixels that a picture's words may take, of the 54 or more that it has: pages/parts/train/cockpit.css
SHORT = 2  # characters of a name, up to which "9, not 4" fits in a line
MOST_NUMBERS = 12  # classes, beyond which a cell is too small for its number


def picture_address(image: Tensor) -> str:
    """(1 or 3, H, W) uint8 as an address that carries the picture itself, for a chart to show."""
    file = io.BytesIO()
    Image.fromarray(as_picture(image, max(1, PICTURE // image.shape[1]))).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def answer_strip(pictures: Sequence[str], labels: Sequence[str], answers: Sequence[str],
                 probabilities: Sequence[float | None], long: bool = False, dark: bool = False) -> dict[str, Any]:
    """ECharts option: pictures in a row, below each what the network says and how sure it is of that.

    pictures: addresses. labels: what is right. Right answers have a tick, wrong ones a cross and the right one beside it.
    long: for classes with long names: the right one has a line of its own, as `LINE` pixels more of height, names are cut where
    their place ends, and the pointer shows them whole. dark: whether the page is.
    """
    points = []
    for place, (picture, label, answer, sure) in enumerate(zip(pictures, labels, answers, probabilities, strict=True)):
        right = answer == label
        whole = f"✓ {answer}" if right else f"✗ {answer}, not {label}"
        text = whole.replace(", not ", "\nnot ") if long else whole
        share = "" if sure is None else f"\n{percent(min(sure, 0.9999), 0)}"
        points.append({"value": [place, 0], "symbol": f"image://{picture}", "name": whole, "label": {
            "formatter": text + share, "color": (BLUE_TEXT if right else ORANGE_TEXT)[dark],
            "fontWeight": "normal" if right else "bold"}})
    usual, large = _sized(1, long), _sized(GROWN, long)
    room = {"minHeight": int(GROWN * (STRIP + long * LINE)), "minWidth": int(GROWN * PLACE * len(pictures))}
    return {
        "animation": False,
        "grid": {"left": 0, "right": 0, "top": 0, **usual["grid"]},
        "xAxis": {"type": "value", "min": -0.5, "max": max(1, len(pictures)) - 0.5, "show": False},
        "yAxis": {"type": "value", "min": -1, "max": 1, "show": False},
        # ECharts draws points, and with them their words, at 0.8 of their colour where nobody says otherwise
        "series": [{"type": "scatter", "data": points, "silent": not long, "name": "answers", "itemStyle": {"opacity": 1},
                    **usual["series"][0]}],
        "media": [{"query": room, "option": large}, {"option": usual}],  # on a projector: pages/parts/shell/style.css
    } | ({"tooltip": {"trigger": "item", "formatter": "{b}", "renderMode": "richText"}} if long else {})


def _sized(grown: float, long: bool) -> dict[str, Any]:
    """Pictures and words of a strip, so many times as large as usual."""
    line = round(grown * LINE)
    cut = {"width": round(grown * PLACE), "overflow": "truncate"} if long else {}
    label = {"show": True, "position": "bottom", "distance": 6, "lineHeight": line, "fontSize": round(grown * 12)}
    return {"grid": {"bottom": round(grown * 44) + long * line},
            "series": [{"symbolSize": round(grown * PICTURE), "label": label | cut}]}


def short(name: str, most: int = 10) -> str:
    """A class's name, cut where it is long."""
    return name if len(name) <= most else name[:most - 1] + "…"


def confusion_heatmap(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> dict[str, Any]:
    """ECharts option: one row for each true class, one column for each answer.

    Colours are by share of the row, right answers in one colour and mistakes in the other; the root of the share, as mistakes
    become few and should still be seen. Numbers are counts.
    """
    cells = []
    for row, line in enumerate(counts):
        total = max(1, sum(line))
        for column, count in enumerate(line):
            strength = round((count / total) ** 0.5, 3)
            cells.append({"value": [column, row, strength if row == column else -strength],
                          "label": {"show": len(classes) <= MOST_NUMBERS and count > 0, "formatter": f"{count:,}"}})
    names = [short(name) for name in classes]
    return {
        "animation": False,
        "grid": {"left": 30, "right": 8, "top": 28, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "category", "data": names, "position": "top", "name": "what the network says", "nameLocation": "middle",
                  "nameGap": 24, "axisTick": {"show": False}, "axisLine": {"show": False}, "splitArea": {"show": False}},
        "yAxis": {"type": "category", "data": names, "inverse": True, "name": "what is right", "nameLocation": "middle",
                  "nameGap": 14 + 6 * max(map(len, names), default=1), "axisTick": {"show": False}, "axisLine": {"show": False}},
        "visualMap": {"show": False, "min": -1, "max": 1, "dimension": 2,
                      "inRange": {"color": [TRAIN, "rgba(228, 87, 46, 0.6)", "rgba(228, 87, 46, 0)", "rgba(46, 134, 171, 0.5)",
                                            VALIDATION]}},
        "series": [{"type": "heatmap", "data": cells, "name": "images", "silent": True,
                    "itemStyle": {"borderWidth": 1, "borderColor": "rgba(128, 128, 128, 0.25)"}}],
    }
