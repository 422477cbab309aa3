"""The two pictures of a lesson's wall: a dot for each run, and its curve.

Places are shares of the picture's sides, 0 to 1 from the left and from below; the browser draws them at whatever size it has.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import ceil, floor, isfinite, log10
from statistics import median
from typing import Any

import numpy as np

from core.runs import Run, RunStore
from core.runs.curves import View, extent, read_curves
from core.runs.differing import SEED, flat, in_words
from core.runs.wall import IN_ORDER, Wall

SMOOTHING = 0.9
PIXELS = 60  # parts of a curve, each with three points at most
SIDE = 0.05  # of the picture, free on both sides of the dots
LOGARITHMIC = 20  # times the smallest value: beyond that an axis is logarithmic
APART = 0.13  # of the picture's width: ticks closer together would overlap
DOT, LETTER = (0.014, 0.065), 0.0145  # half a dot, a line, a letter
LETTERS = 99, 13, 9  # of a name: whole where there is room, else shortened
GRID = 1000  # curves are sent as whole numbers of so many parts
Ticks = list[tuple[float, str]]


def is_accuracy(runs: Sequence[Run]) -> bool:
    """Whether these runs are right or wrong; where they predict numbers, their losses are shown."""
    return any(run.best_accuracy is not None for run in runs) or not any(run.best_loss is not None for run in runs)


def best_of(runs: Sequence[Run]) -> Run | None:
    """The run with the best result on validation examples; None where there is none yet."""
    if is_accuracy(runs):
        return max((run for run in runs if run.best_accuracy is not None), key=lambda run: run.best_accuracy or 0, default=None)
    return min((run for run in runs if run.best_loss is not None), key=lambda run: run.best_loss or 0, default=None)


def result_of(run: Run | None) -> str:
    """A run's best result: "97.2 %", or a loss; "–" for none."""
    if run is None:
        return "–"
    if run.best_accuracy is not None:
        return f"{100 * run.best_accuracy:.1f} %"
    return "–" if run.best_loss is None else f"{run.best_loss:.3g}"


def spread_of(runs: Sequence[Run]) -> tuple[int, str] | None:
    """Of the runs that have ended: how many differ in their seed alone, and from which result to which ("96.1–97.4 %"). The most
    such runs there are; None where no two do."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        if run.status == "finished" and result_of(run) != "–":
            training = run.config.training.model_copy(update={"seed": 0})
            alike.setdefault(run.config.model_copy(update={"training": training}).model_dump_json(), []).append(run)
    most = max(alike.values(), key=len, default=[])
    if len({run.config.training.seed for run in most}) < 2:
        return None
    if is_accuracy(most):
        results = [run.best_accuracy for run in most if run.best_accuracy is not None]
        return len(results), f"{100 * min(results):.1f}–{100 * max(results):.1f} %"
    losses = [run.best_loss for run in most if run.best_loss is not None]
    return len(losses), f"{min(losses):.3g}–{max(losses):.3g}"


# --- dots

def dots(wall: Wall, path: str) -> dict[str, Any]:
    """A setting, by its path, against the best result on validation examples: both axes' ticks, and for each run that has a
    result its place and state. A few have names, as far as there is room: those that train, then the best."""
    accuracy = is_accuracy(wall.runs)
    results = {run.number: result for run in wall.runs
               if (result := run.best_accuracy if accuracy else run.best_loss) is not None and isfinite(result)}
    there = [run for run in wall.runs if run.number in results]
    values = [place + 1 if path == IN_ORDER else flat(run.config).get(path) for place, run in enumerate(there)]
    across, x_ticks = _across(values, path)
    low, high, y_ticks = (_accuracies if accuracy else _losses)(list(results.values()))
    best = best_of(there)
    found = [{"run": run.number, "x": round(x, 4), "y": round(_within((results[run.number] - low) / (high - low)), 4),
              "state": "training" if run.is_active else "done", "best": best is not None and run.id == best.id,
              "name": wall.called(run)} for run, x in zip(there, across, strict=True)]
    _name_some(found, {run.number: wall.named(run) for run in there})
    return {"x": x_ticks, "y": y_ticks, "dots": found}


def _across(values: Sequence[Any], path: str) -> tuple[list[float], Ticks]:
    """Where each value is from left to right, and the ticks of that axis. Equal ones stand a little beside each other."""
    if not values:
        return [], []
    if all(_is_number(value) for value in values):
        logarithmic = path not in (IN_ORDER, SEED) and min(values) > 0 and max(values) >= LOGARITHMIC * min(values)
        scaled = [log10(value) if logarithmic else float(value) for value in values]
        low, high = min(scaled), max(scaled)
        places = [SIDE + (1 - 2 * SIDE) * (one - low) / (high - low) if high > low else 0.5 for one in scaled]
        ticks = _apart({place: in_words(path, value) for place, value in zip(places, values, strict=True)})
    else:
        words = [in_words(path, value) for value in values]
        kinds = sorted(set(words))
        places = [(kinds.index(word) + 0.5) / len(kinds) for word in words]
        ticks = [(round((place + 0.5) / len(kinds), 4), kind) for place, kind in enumerate(kinds)]
    seen: dict[float, int] = {}
    beside = []
    for place in places:
        count = seen[place] = seen.get(place, -1) + 1
        beside.append(place + ((count + 1) // 2 % 4) * 0.008 * (-1) ** count)
    return beside, ticks


def _apart(words: Mapping[float, str]) -> Ticks:
    """The first, the last, and of those between as many as can be read."""
    kept: list[float] = []
    for place in [min(words), max(words), *sorted(words)]:
        if all(abs(place - other) >= APART for other in kept):
            kept.append(place)
    return [(round(place, 4), words[place]) for place in sorted(kept)]


def _accuracies(values: Sequence[float]) -> tuple[float, float, Ticks]:
    """From a round number below the lowest to 100 %."""
    low = max(0.0, min(0.9, floor(10 * min(values, default=0.0) - 0.3) / 10))  # none on the edge
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if (1 - low) / step <= 5.001)
    ends = [1 - step * count for count in range(round((1 - low) / step + 0.499) + 1)]
    return low, 1.0, [((one - low) / (1 - low), f"{100 * one:.0f} %") for one in reversed(ends) if one >= low - 1e-9]


def _losses(values: Sequence[float]) -> tuple[float, float, Ticks]:
    high = _round_up(max(values, default=1.0))
    return 0.0, high, [(part / 4, f"{high * part / 4:.3g}") for part in range(5)]


def _round_up(value: float) -> float:
    """The next number of 1, 2 or 5 and zeros."""
    if not isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next((factor * power for factor in (1, 2, 5) if value <= factor * power), 10 * power)


def _name_some(found: list[dict[str, Any]], names: Mapping[int, tuple[str, str]]) -> None:
    """Have names stand to the right or to the left of their dots, whole or else shortened, and take those away that would cover
    another or a dot. names: by the run's number, and what follows each."""
    taken = [(dot["x"] - DOT[0], dot["x"] + DOT[0], dot["y"]) for dot in found]
    for dot in sorted(found, key=lambda dot: (not dot["best"], dot["state"] != "training", -dot["y"])):
        x, y = dot["x"], dot["y"]
        whole, after = names[dot["run"]]
        for most, side in product(LETTERS, ("right", "left")):
            name = shortened(whole, most) + after
            length = LETTER * len(name)
            low, high = (x + DOT[0], x + DOT[0] + length) if side == "right" else (x - DOT[0] - length, x - DOT[0])
            if 0 <= low < high <= 1 and not any(low < end and start < high and abs(y - at) < DOT[1] for start, end, at in taken):
                dot["name"], dot["side"] = name, side
                taken.append((low, high, y))
                break
        else:
            dot["name"] = ""


def shortened(name: str, most: int) -> str:
    """A name in so many letters at most, without its middle: "Maxim…er". screen.js does the same for lists."""
    if len(name) <= most:
        return name
    tail = (most - 1) // 3
    return f"{name[:most - 1 - tail].rstrip()}…{name[-tail:].lstrip()}"


# --- curves

def curves(store: RunStore, wall: Wall) -> dict[str, Any]:
    """A line for each run over its epochs: what share of the training images was right, or the loss where numbers are predicted;
    of each batch, as a running mean. `path` is an SVG path on a grid of GRID."""
    accuracy = is_accuracy(wall.runs)
    lines = read_curves(store, wall.runs, View("accuracy" if accuracy else "loss", smoothing=SMOOTHING), PIXELS)
    if accuracy:
        low, high, y_ticks = 0.0, 1.0, [(part / 4, f"{25 * part} %") for part in range(5)]
    else:  # what has blown up would press all others flat
        highest = [float(np.nanmax(y)) for _, y in lines.values() if np.isfinite(y).any()]
        low, high, y_ticks = _losses([median(highest)] if highest else [])
    end = max(extent(wall.runs, "epoch", {}), 1e-9)
    best = best_of(wall.runs)
    found = [{"run": run.number, "state": "training" if run.is_active else "done", "best": best is not None and run.id == best.id,
              "path": _path(lines[run.id][0] / end, (lines[run.id][1] - low) / (high - low))}
             for run in wall.runs if run.id in lines]
    return {"x": _epochs(end), "y": y_ticks, "lines": found}


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """Both (N,), as shares; what is no number is a gap."""
    across = np.clip(np.rint(GRID * x), 0, GRID).astype(int)
    down = np.where(np.isfinite(y), np.rint(GRID * (1 - np.clip(np.nan_to_num(y), 0, 1))), -1).astype(int)
    points = list(zip(across.tolist(), down.tolist(), strict=True))
    parts = [f"M{points[0][0]} {points[0][1]}"] if points and points[0][1] >= 0 else []
    parts += [f"{'L' if before >= 0 else 'M'}{at} {now}" for (_, before), (at, now) in pairwise(points) if now >= 0]
    return "".join(parts)


def _epochs(end: float) -> Ticks:
    step = next((step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500) if end / step <= 6), 1000)
    return [(epoch / end, str(epoch)) for epoch in range(0, ceil(end) + 1, step) if epoch <= end]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0)
