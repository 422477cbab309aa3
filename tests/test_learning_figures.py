"""A training as a browser plays it: frames of looks and of a recording, pictures as bytes, curves of few points."""

from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

from core.figures.learning import MOST_POINTS, frame, gray, recorded, thinned, tinted
from core.runs import Look
from core.runs.recording import read_recording

HOME = Path(__file__).parents[1] / "pages" / "parts" / "home"


def look(**changed) -> Look:
    answers = np.full((3, 4), 0.1, np.float32)
    answers[[0, 1, 2], [3, 0, 2]] = 0.7
    arrays = {"watched": np.array([[0.125, 0.5, 0.25, 0.125]], np.float32), "examples": answers,
              "positions": np.arange(3, dtype=np.int32), "labels": np.array([3, 1, 2], np.int32),
              "filters": np.arange(12, dtype=np.uint8).reshape(2, 2, 3), "loss": np.array([1.23456], np.float32)}
    return Look("watch", 7, 1, 0.123456, arrays | changed)


def test_a_look_becomes_a_frame_of_few_bytes():
    assert frame(look()) == {
        "step": 7, "seconds": 0.123, "loss": 1.2346, "said": [3, 0, 2], "sure": [70, 70, 70],
        "watched": [0.125, 0.5, 0.25, 0.125],
        "filters": {"count": 2, "height": 2, "width": 3, "bytes": gray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))["bytes"]}}


def test_before_the_first_step_there_is_no_loss_and_some_networks_have_no_filters():
    shown = frame(look(loss=np.array([np.nan], np.float32), filters=np.zeros((0, 0, 0), np.uint8),
                       examples=np.zeros((0, 4), np.float32)))
    assert shown["loss"] is None and shown["filters"]["count"] == 0 and shown["said"] == shown["sure"] == []


def test_gray_pictures_are_their_bytes_in_rows():
    images = np.array([[[0, 255], [1, 2]], [[3, 4], [5, 6]]], np.uint8)
    shown = gray(images[:, :, ::-1])  # not contiguous
    assert (shown["count"], shown["height"], shown["width"]) == (2, 2, 2)
    assert list(b64decode(shown["bytes"])) == [255, 0, 2, 1, 4, 3, 6, 5]


def test_the_shipped_recording_becomes_frames_as_it_was_recorded():
    found = read_recording()
    frames = recorded(found)
    assert [one["step"] for one in frames] == found.steps.tolist() and all(one["watched"] is None for one in frames)
    assert [one["said"] for one in frames] == found.answers.argmax(2).tolist()
    assert b64decode(frames[-1]["filters"]["bytes"]) == found.filters[-1].tobytes()
    assert [one["loss"] for one in frames] == pytest.approx(found.losses.tolist(), abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, MOST_POINTS, MOST_POINTS + 1, 1000])
def test_a_thinned_curve_keeps_its_ends_and_its_order(count):
    points = [(float(i), float(-i)) for i in range(count)]
    shown = thinned(points)
    assert len(shown) == min(count, MOST_POINTS) and shown == sorted(set(shown))
    assert shown[:1] == points[:1] and shown[-1:] == points[-1:] and set(shown) <= set(points)


@pytest.mark.parametrize(("dark", "zero"), [(False, [240, 240, 238]), (True, [44, 48, 54])])
def test_filters_have_the_colours_in_which_home_plays_them(dark, zero):
    pictures = tinted(np.array([[[128, 255, 1]]], np.uint8), dark)
    assert pictures.shape == (1, 3, 1, 3) and pictures.dtype == np.uint8
    assert pictures[0, :, 0].T.tolist() == [zero, [8, 119, 189], [245, 147, 34]]
    script = (HOME / "show.js").read_text(encoding="utf-8")
    for name, colour in (("ORANGE", [245, 147, 34]), ("BLUE", [8, 119, 189])):
        assert f"{name} = {colour}" in script
    assert str(zero) in script
