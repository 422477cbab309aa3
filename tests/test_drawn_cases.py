"""Drawings and photographs as people bring them, read by the network that comes with the app."""

from pathlib import Path

import pytest

from core.data.drawing import prepare
from core.data.drawing.photograph import flatten, looks_photographed, read_upload
from core.data.drawing.sheet import marks_in
from core.runs.shipped import first_judge, first_model
from pages.parts.draw.answers import said_by

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize(("file", "digit", "photographed", "marks"), [
    ("photo-lined-paper-3.jpg", "3", True, 1), ("photo-lined-paper-8.jpg", "8", True, 1),  # the ruling is as dark as the pencil
    ("draw-six-short-tail.png", "6", False, 1), ("draw-webp.webp", "3", False, 1), ("draw-two-digits.png", "", False, 2)])
def test_what_is_drawn_is_read_or_doubted(file, digit, photographed, marks):
    pixels = read_upload((CASES / file).read_bytes())
    assert looks_photographed(pixels) == photographed
    drawing = prepare(flatten(pixels).rgba if photographed else pixels)
    model = first_model()
    said = said_by(model, first_judge(model), drawing.image, drawing.solid)
    assert not drawing.empty and marks_in(drawing) == marks
    assert model.classes[said.order[0]] == digit and said.knows if digit else not said.knows
