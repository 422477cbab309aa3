"""A sheet's labels: messages of the canvas and the list, corrections, and the labelled set that is kept, taught or downloaded."""

import csv
import io
import json
import math
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import DataError, import_images
from core.data.drawing import Box, DrawingError
from core.data.drawing.boxes import MOST_BOXES, LabelledBox, read_boxes, read_edits
from core.data.drawing.sheet import Sheet, find_sheet
from core.data.own.digits import MOST, MyDigits
from core.data.own.sets import own_sets, read_arrays
from core.data.own.sheet import NO_DIGIT, LabelledSheet, added_to, save_sheet, zip_of_sheet
from tests.made_sheets import Look, make_sheet, stroke_pens

TEN = tuple(map(str, range(10)))


def rectangle(**changes) -> dict:
    """As streamlit-drawable-canvas 0.13.0 sends one."""
    return {"type": "LabeledRect", "version": "6.7.1", "originX": "left", "originY": "top", "left": 20, "top": 30, "width": 10,
            "height": 40, "scaleX": 1, "scaleY": 1, "angle": 0, "label": "7", "stroke": "#1467c8", **changes}


# Messages

@pytest.mark.parametrize(("changes", "box"), [
    ({}, Box(60, 40, 80, 20)),  # the canvas shows the picture at half its size
    ({"scaleX": 2, "scaleY": 0.5}, Box(60, 40, 40, 40)),
    ({"originX": "center", "originY": "center"}, Box(20, 30, 80, 20)),
    ({"left": 30, "width": -10, "scaleY": -1, "top": 70}, Box(60, 40, 80, 20)),
    ({"left": -5, "top": 180}, Box(360, 0, 40, 10)),  # cut to the picture of 400 by 300
])
def test_a_rectangle_becomes_a_box_of_the_picture(changes, box):
    assert read_boxes({"objects": [rectangle(**changes)]}, (400, 300), 0.5) == [LabelledBox(box, "7")]


@pytest.mark.parametrize("changes", [{"left": 151}, {"top": -41}, {"left": -900, "top": 1e6}, {"width": 1}, {"height": 0},
                                     {"type": "Rect"}])
def test_what_is_outside_a_click_or_another_shape_is_left_out(changes):
    found = read_boxes({"objects": [rectangle(**changes), rectangle()]}, (400, 300), 0.5)
    assert found == [LabelledBox(Box(60, 40, 80, 20), "7")]


@pytest.mark.parametrize("raw", [
    None, "objects", [], {}, {"objects": {}}, {"objects": [rectangle(left=math.nan)]}, {"objects": [rectangle(width=math.inf)]},
    {"objects": [rectangle(top="30")]}, {"objects": [rectangle(height=None)]}, {"objects": [rectangle(scaleX=1e300)]},
    {"objects": [rectangle(originX="nowhere")]}, {"objects": [rectangle(left=True)]},
    {"objects": [rectangle()] * 10_000}], ids=lambda raw: json.dumps(raw)[:60])
def test_messages_made_by_hand_get_one_line(raw):
    with pytest.raises(DrawingError) as told:
        read_boxes(raw, (400, 300), 0.5)
    assert "\n" not in str(told.value)
    if isinstance(raw, dict) and len(raw.get("objects", ())) > MOST_BOXES:
        assert "10,000 boxes" in str(told.value)


def test_labels_are_trimmed_and_what_is_no_text_is_none():
    labels = [one.label for one in read_boxes({"objects": [
        rectangle(label=label) for label in (" 4 ", 4, None, "x" * 5000)]}, (400, 300), 0.5)]
    assert labels == ["4", "", "", "x" * 40]


anything = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
                            st.sampled_from(["objects", "type", "left", "top", "width", "height", "scaleX", "label"]), inner),
                        max_leaves=12)


@given(anything, st.lists(st.fixed_dictionaries({"type": st.just("LabeledRect")}, optional={
    name: anything for name in ("left", "top", "width", "height", "scaleX", "scaleY", "originX", "label")}), max_size=4))
@settings(max_examples=60)
def test_any_message_gives_boxes_in_the_picture_or_a_line(raw, objects):
    for message in (raw, {"objects": objects}):
        try:
            boxes = read_boxes(message, (40, 30), 0.7)
        except DrawingError:
            continue
        for one in boxes:
            assert 0 <= one.box.top < one.box.top + one.box.height <= 40
            assert 0 <= one.box.left < one.box.left + one.box.width <= 30


def test_corrections_come_in_order_and_strange_ones_get_one_line():
    assert read_edits(None, 10) == [] and read_edits([[5, 2, -1], [3, 1, 9]], 10) == [(3, 1, 9), (5, 2, -1)]
    for raw in ("7", {}, [[1, 2]], [[1, 2, 10]], [[1, 2, -2]], [[1, 2.5, 3]], [[1, 2, "3"]], [[True, 1, 1]], [[10**30, 1, 1]],
                [[1, 1, 1]] * 500):
        with pytest.raises(DrawingError) as told:
            read_edits(raw, 10)
        assert "\n" not in str(told.value)


# Corrections

@pytest.fixture(scope="module")
def sheet() -> Sheet:
    made = make_sheet(stroke_pens(2, 3), Look(), columns=4, seed=2, cell=(100, 110), margin=60, height=60)
    return find_sheet(made.rgba)


def ask(images: torch.Tensor) -> torch.Tensor:
    """Says 3 of everything, 80 % sure."""
    return torch.full((len(images), 10), 0.2 / 9).index_fill(1, torch.tensor([3]), 0.8)


def never(images: torch.Tensor) -> torch.Tensor:
    raise AssertionError("a box that was left alone is not asked about again")


@pytest.fixture
def labelled(sheet) -> LabelledSheet:
    return LabelledSheet.read(sheet, TEN, ask)


def shown(labelled: LabelledSheet) -> list[LabelledBox]:
    """What the canvas shows of it, a pixel off."""
    return [LabelledBox(replace(entry.box, top=entry.box.top + 1), labelled.name(entry.label, "–")) for entry in labelled.entries]


def everything(labelled: LabelledSheet) -> Box:
    return Box(0, 0, *labelled.sheet.picture.shape[:2])


def test_every_mark_has_an_answer(labelled):
    assert len(labelled.entries) == 8 and labelled.numbers() == [["3"] * 4] * 2
    assert all(entry.label == 3 and entry.sure == pytest.approx(0.8) and not entry.by_hand for entry in labelled.entries)


def test_boxes_that_were_left_alone_stay_and_labels_are_taken(labelled):
    boxes = shown(labelled)
    boxes[2] = LabelledBox(boxes[2].box, "7")
    boxes[5] = LabelledBox(boxes[5].box, "–")
    found, note = labelled.with_boxes(boxes, 2, never, everything(labelled))
    assert not note and found.numbers() == [["3", "3", "7", "3"], ["3", "3", "3"]]
    assert [entry.id for entry in found.entries] == [entry.id for entry in labelled.entries]
    assert [entry.by_hand for entry in found.entries] == [place in (2, 5) for place in range(8)]
    assert len(found.kept) == 7 and found.entries[5].label == NO_DIGIT


@pytest.mark.parametrize("label", ["12", "-1", "seven", "<b>3</b>", "³"])
def test_a_label_that_is_none_gets_one_line_and_changes_nothing(labelled, label):
    boxes = shown(labelled)
    boxes[2] = LabelledBox(boxes[2].box, label)
    found, note = labelled.with_boxes(boxes, 2, never, everything(labelled))
    assert label[:12] in note and "0, 1, 2" in note and "\n" not in note
    assert found.entries[2].label == 3 and not found.entries[2].by_hand


def test_boxes_are_added_moved_and_deleted(labelled):
    boxes = shown(labelled)
    old = boxes.pop(0).box
    moved = Box(boxes[0].box.top + 6, boxes[0].box.left + 6, boxes[0].box.height, boxes[0].box.width)
    boxes[0] = LabelledBox(moved, "3")
    boxes.append(LabelledBox(Box(1, 1, 20, 20), ""))  # where there is no ink
    found, note = labelled.with_boxes(boxes, 2, ask, everything(labelled))
    assert not note and len(found.entries) == 8
    empty = next(entry for entry in found.entries if entry.image is None)
    assert empty.id == 8 and empty.label == NO_DIGIT and found.next_id == 9
    assert next(entry for entry in found.entries if entry.id == 1).box == moved and not [e for e in found.entries if e.id == 0]
    again = found.with_box(old, 5, ask)
    added = next(entry for entry in again.entries if entry.id == 9)
    assert added.label == 5 and added.by_hand and added.image is not None
    moved_up = [(added.image - labelled.entries[0].image.roll(shift, (1, 2))).abs().mean() for shift in (
        (0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]
    assert min(moved_up) < 0.03  # the same ink, found in the box


def test_what_the_canvas_does_not_show_stays(labelled):
    height, width = labelled.sheet.picture.shape[:2]
    top = Box(0, 0, height // 2, width)
    assert len(labelled.within(top)) == 4
    found, _ = labelled.with_boxes([], 2, never, top)
    assert [entry.id for entry in found.entries] == [4, 5, 6, 7]


def test_another_model_leaves_what_a_person_has_said(labelled):
    def other(images):
        return torch.full((len(images), 10), 0.1).index_fill(1, torch.tensor([6]), 0.9)

    found = labelled.relabelled(2, 9).relabelled(77, 1).asked_again(other)
    assert [entry.label for entry in found.entries] == [6, 6, 9, 6, 6, 6, 6, 6]


# The labelled set

def test_it_is_kept_as_a_data_set(labelled, tmp_path):
    own = save_sheet(labelled.relabelled(0, NO_DIGIT).relabelled(1, 9), tmp_path, "My sheet")
    assert [one.title for one in own_sets(tmp_path)] == ["My sheet"] and own.counts == (6, 1) and own.classes == TEN
    arrays = read_arrays(tmp_path, own.name)
    assert arrays.labels.tolist() == [9, 3, 3, 3, 3, 3, 3] and arrays.images.shape == (7, 1, 28, 28)
    assert arrays.test.tolist() == [False] * 6 + [True]  # one of the six 3s: without test images a run fails at its end
    assert np.abs(arrays.images[0, 0] / 255 - labelled.entries[1].image[0].numpy()).max() < 0.003


def test_a_sheet_without_digits_keeps_nothing(labelled, tmp_path):
    for place in range(8):
        labelled = labelled.relabelled(place, NO_DIGIT)
    with pytest.raises(DataError, match="no digit on this sheet"):
        save_sheet(labelled, tmp_path, "x")
    assert own_sets(tmp_path) == []


def test_the_download_is_imported_again(labelled, tmp_path):
    labelled = labelled.relabelled(0, 8).relabelled(3, NO_DIGIT)
    (tmp_path / "sheet.zip").write_bytes(zip_of_sheet(labelled))
    with zipfile.ZipFile(tmp_path / "sheet.zip") as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("about.csv").decode())))
        assert {f"sheet/{row['file']}" for row in rows} == set(archive.namelist()) - {"about.csv"}
    box = labelled.entries[0].box
    assert rows[0] == {"file": "8/001.png", "label": "8", "answer": "3", "sure": "0.8000", "corrected": "yes",
                       "left": str(box.left), "top": str(box.top), "width": str(box.width), "height": str(box.height)}
    report = import_images(tmp_path / "sheet.zip", tmp_path / "data", test_share=0.0)
    assert report.accepted == 7 and report.classes == ("3", "8")


def test_no_class_in_the_download_s_table_is_a_formula(labelled):
    named = replace(labelled, classes=tuple(f"=zqx{name}" for name in labelled.classes))
    with zipfile.ZipFile(io.BytesIO(zip_of_sheet(named))) as archive:
        rows = list(csv.reader(io.StringIO(archive.read("about.csv").decode())))[1:]
    assert rows and all(cell.startswith("'=zqx") for row in rows for cell in row[:3])


def test_they_are_added_to_my_digits(labelled):
    kept = added_to(MyDigits.none_yet(TEN), labelled.relabelled(0, 8).relabelled(3, NO_DIGIT))
    assert len(kept) == 7 and kept.counts()[8] == 1 and kept.counts()[3] == 6
    full = MyDigits(TEN, torch.zeros(MOST - 2, 1, 28, 28, dtype=torch.uint8), torch.zeros(MOST - 2, dtype=torch.long))
    with pytest.raises(DataError, match=str(MOST)):
        added_to(full, labelled)
