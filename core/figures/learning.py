"""A training as a browser plays it: looks at a network while it learns, as frames of few bytes."""

from base64 import b64encode
from typing import Any

import numpy as np

from core.runs import Look
from core.runs.recording import Recording

# of weights: the same as in pages/parts/home/show.js
NEGATIVE, POSITIVE = np.array([245, 147, 34]), np.array([8, 119, 189])
ZERO = {False: np.array([240, 240, 238]), True: np.array([44, 48, 54])}  # by whether the page is dark
MOST_POINTS = 150  # of a curve: one for every second or third pixel of it


def gray(images: np.ndarray) -> dict[str, Any]:
    """Gray pictures (N, H, W) uint8: how many, their height and width, and their bytes, row by row, as base64."""
    count, height, width = images.shape
    return {"count": count, "height": height, "width": width, "bytes": b64encode(np.ascontiguousarray(images).tobytes()).decode()}


def frame(look: Look) -> dict[str, Any]:
    """One look: its step, seconds of training, loss (None before the first step), probabilities of the first watched image,
    answers to the examples with their probability in %, and the first layer's filters as gray()."""
    watched = look.arrays["watched"]
    return _frame(look.step, look.seconds, float(look.arrays["loss"][0]), look.arrays["examples"], look.arrays["filters"]) | {
        "watched": [round(value, 4) for value in watched[0].tolist()] if len(watched) else None}


def recorded(recording: Recording) -> list[dict[str, Any]]:
    """A recording's frames, as frame() but for what nobody drew."""
    return [_frame(*each) | {"watched": None} for each in zip(
        recording.steps.tolist(), recording.times.tolist(), recording.losses.tolist(), recording.answers, recording.filters,
        strict=True)]


def _frame(step: int, seconds: float, loss: float, answers: np.ndarray, filters: np.ndarray) -> dict[str, Any]:
    return {"step": step, "seconds": round(seconds, 3), "loss": round(loss, 4) if np.isfinite(loss) else None,
            "said": answers.argmax(1).tolist() if len(answers) else [],
            "sure": (answers.max(1) * 100).round().astype(int).tolist() if len(answers) else [], "filters": gray(filters)}


def tinted(filters: np.ndarray, dark: bool) -> np.ndarray:
    """Filters (F, h, w) uint8, 128 being 0, as pictures (F, 3, h, w) uint8 in the colours in which the browser plays them: blue
    where a weight is above 0, orange below, and 0 as the page is, light or dark."""
    share = np.clip((filters.astype(np.float64) - 128) / 127, -1, 1)[..., None]
    ends = np.where(share < 0, NEGATIVE, POSITIVE)
    return np.rint(ZERO[dark] + (ends - ZERO[dark]) * np.abs(share)).astype(np.uint8).transpose(0, 3, 1, 2)


def thinned(points: list[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most `most` points of a curve, evenly far apart, with its first and last."""
    if len(points) <= most:
        return points
    return [points[round(place)] for place in np.linspace(0, len(points) - 1, most)]
