"""The page Read a sheet: from a photograph to the kept set, corrections by canvas and list, and what can't be read."""

import ast
import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from torch.nn import functional as F

from core.data import load
from core.data.own.sample_sheet import ROWS as SAMPLE_ROWS
from core.data.own.sets import own_sets, save_set
from core.data.own.sheet import zip_of_sheet
from core.evaluation.sheet_reading import Turn
from core.models import build
from core.runs import RunStore
from core.runs.checkpoints import Meaning, save_weights
from core.settings import Settings
from core.training import Checkpoint
from pages.parts.sheet.canvas import drawing_of
from pages.parts.shell import keys
from tests.helpers import run_here, tiny
from tests.made_sheets import Look, make_sheet, stroke_pens
from tests.strokes import draw as strokes
from tests.test_pages import assert_whole, texts

ROOT = Path(__file__).parents[1]
ROWS = ("47 05", "3  8 ")


@pytest.fixture(scope="module")
def reader(places) -> tuple[RunStore, str]:
    """A run that reads digits well enough for a page's test."""
    settings = Settings(places / "data", places / "sheets", places / "cache")
    store = RunStore(settings.runs_dir)
    torch.set_num_threads(1)
    return store, run_here(store, settings, tiny(
        model__hidden=[64], training__epochs=12, training__optimizer__learning_rate=0.004)).id


def photograph(turned: bool = False, rows=ROWS, seed: int = 2) -> bytes:
    """A small sheet on ruled paper as a JPEG file."""
    made = make_sheet(stroke_pens(len(rows), 3), Look("ruled", tilt=3, spacing=44), text=rows, seed=seed, cell=(54, 110),
                      margin=60, height=60)
    file = io.BytesIO()
    Image.fromarray(np.rot90(made.rgba[..., :3], 2 if turned else 0)).save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture
def at(reader, tmp_path, monkeypatch):
    """Opens the page with a file."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(reader[0].path))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")

    def open_page(content: bytes | None = None) -> AppTest:
        page = AppTest.from_file(str(ROOT / "pages/read_sheet.py"), default_timeout=60)
        page.query_params["run"] = reader[1]
        page.run()
        assert_whole(page)
        if content is not None:
            page.file_uploader(key="sheet.file").set_value(("sheet.jpg", content, "image/jpeg")).run()
            assert_whole(page)
        return page

    return open_page


def labelled(page: AppTest):
    return page.session_state[keys.SHEET].labelled


def canvas_says(page: AppTest, raw: object) -> AppTest:
    """Put a message on the canvas as the component sends it."""
    work = page.session_state[keys.SHEET]
    key = f"sheet.canvas.{work.digest[:12]}.{work.quarters}.{work.width}.All marks.{work.view.top}.{work.view.left}"
    page.session_state[key] = {"drawing": {"raw": raw, "data": None}, "backgroundFit": None}
    page.run()
    assert_whole(page)
    return page


def list_says(page: AppTest, edits: object) -> AppTest:
    work = page.session_state[keys.SHEET]
    page.session_state[f"sheet.list.{work.digest[:12]}.{work.quarters}"] = {"edits": edits}
    page.run()
    assert_whole(page)
    return page


def test_from_the_photograph_to_the_kept_set(at, tmp_path):
    page = at(photograph())
    assert "**6 marks** on this sheet; turned by 3" in texts(page) and "printed lines taken away" in texts(page)
    assert [[len(number) for number in row] for row in labelled(page).numbers()] == [[2, 2], [1, 1]]
    first, second = labelled(page).entries[:2]
    list_says(page, [[1000, first.id, 4], [1001, second.id, -1]])
    assert labelled(page).entries[0].label == 4 and labelled(page).entries[0].by_hand and labelled(page).entries[1].label == -1
    assert "**5 digits**, 1 with a label of your own" in texts(page)
    page.text_input(key="sheet.title").set_value("Of a pupil").run()
    page.button(key="sheet.save").click().run()
    assert_whole(page)
    assert "Kept as “Of a pupil”" in page.success[0].value
    # of the class with two, one is for testing
    assert [(own.title, own.counts) for own in own_sets(tmp_path / "data")] == [("Of a pupil", (4, 1))]
    page.button(key="sheet.teach").click().run()
    assert_whole(page)
    assert len(page.session_state[keys.MY_DIGITS]) == 5


def test_the_canvas_adds_deletes_and_relabels(at):
    page = at(photograph())
    work = page.session_state[keys.SHEET]
    raw = drawing_of(work.labelled, work.view, work.width, work.version)
    other = (work.labelled.entries[0].label + 1) % 10
    raw["objects"][0]["label"] = str(other)
    gone = raw["objects"].pop(3)
    raw["objects"].append({**gone, "left": 5, "top": 5, "label": "", "strokeDashOffset": 0, "strokeMiterLimit": 4})
    canvas_says(page, raw)
    entries = labelled(page).entries
    assert len(entries) == 6 and [entry.label for entry in entries if entry.by_hand] == [other]
    assert [entry.id for entry in entries if entry.image is None] == [6]
    fresh = drawing_of(work.labelled, work.view, work.width, work.version)
    next(one for one in fresh["objects"] if one["label"] == str(other))["label"] = "12"
    canvas_says(page, fresh)
    assert "“12”\\: no such label" in texts(page) and [e.label for e in labelled(page).entries if e.by_hand] == [other]
    page.button(key="sheet.add").click().run()
    assert_whole(page)
    assert len(labelled(page).entries) == 7


def test_a_message_about_a_drawing_that_was_replaced_undoes_no_correction(at):
    """The canvas's echo of the boxes as they were arrives after a label was corrected in the list."""
    page = at(photograph())
    work = page.session_state[keys.SHEET]
    old = drawing_of(work.labelled, work.view, work.width, work.version)
    label = (work.labelled.entries[0].label + 1) % 10
    list_says(page, [[1000, work.labelled.entries[0].id, label]])
    canvas_says(page, old)
    assert labelled(page).entries[0].label == label and len(labelled(page).entries) == 6


@pytest.mark.parametrize("raw", [{"objects": 5}, {"objects": [{"type": "LabeledRect", "left": math.nan, "label": "3"}]},
                                 {"objects": [{"type": "LabeledRect", "left": 1, "top": 1, "width": 9, "height": 9}] * 10_000}],
                         ids=["no list", "NaN", "10,000"])
def test_a_forged_canvas_gets_one_line_and_loses_nothing(at, raw):
    page = at(photograph())
    before = labelled(page)
    canvas_says(page, raw)
    assert len(page.error) == 1 and "\n" not in page.error[0].value and labelled(page) is before


def test_a_forged_correction_gets_one_line(at):
    page = at(photograph())
    before = labelled(page)
    list_says(page, [[1, 0, 10]])
    assert "neither" in page.error[0].value and labelled(page) is before


def test_a_sheet_upside_down_is_said_to_be_and_turned(at):
    rows = ("47352", "72543", "43725", "57234", "74253", "35274", "52437", "24735")
    page = at(photograph(turned=True, rows=rows))
    assert "seems to lie upside down" in texts(page)
    page.session_state[keys.SHEET].turn = Turn(2, (0.0, 1.0))
    page.run()
    assert "the answers are > 99.9 % sure on average, as it lies < 0.1 %." in texts(page)
    page.button(key="sheet.turn.Turn it upright").click().run()
    assert_whole(page)
    assert "seems to lie" not in texts(page) and page.session_state[keys.SHEET].quarters == 2
    right = sum(int(letter) == entry.label for letter, entry in zip("".join(rows), labelled(page).entries, strict=True))
    assert right > 10  # of 20: so small a network


def saved(picture: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize(("content", "words"), [
    (b"", "can't be used"), (b"hello", "can't be used"), (photograph()[:2000], "cut off"),
    (saved(Image.new("L", (300, 200), 255)), "No marks")], ids=["empty", "no picture", "truncated", "blank"])
def test_what_is_no_sheet_gets_one_line(at, content, words):
    page = at(content)
    assert len(page.error) == 1 and words in page.error[0].value and "\n" not in page.error[0].value


def test_another_model_answers_the_same_marks(at, reader, places):
    other = run_here(reader[0], Settings(places / "data", places / "sheets", places / "cache"), tiny(training__seed=1)).id
    page = at(photograph())
    list_says(page, [[1000, 0, 9]])
    page.selectbox(key=f"sheet.model.{reader[1]}").set_value(other).run()
    assert_whole(page)
    assert page.session_state[keys.SHEET].run_id == other and labelled(page).entries[0].label == 9


def test_marks_go_the_way_of_the_networks_own_set(at, reader, places, tmp_path):
    """Dark digits on a light ground, 24×24 in colour: each mark becomes such a picture, and the set that is kept is one of
    them. Another network's answers take over what was corrected."""
    digits = load(tiny().data, places / "data").train
    images, labels = digits.take(torch.arange(600))
    small = F.interpolate(images.float(), size=24, mode="area").round().byte().expand(-1, 3, -1, -1)
    own = save_set(tmp_path / "data", "Ink", [str(n) for n in range(10)], (255 - small // 2).numpy(), labels.numpy(),
                   np.arange(600) % 5 == 0)
    run = run_here(reader[0], Settings(tmp_path / "data", places / "sheets", places / "cache"), tiny(
        data__dataset=own.name, data__validation=100, training__epochs=3)).id
    page = at(photograph())
    list_says(page, [[1000, 0, 9]])
    page.selectbox(key=f"sheet.model.{reader[1]}").set_value(run).run()
    assert_whole(page)
    assert not page.warning and labelled(page).entries[0].label == 9 and labelled(page).shape == (3, 24, 24)
    marks = torch.stack([entry.image for entry in labelled(page).entries])
    assert marks.shape == (6, 3, 24, 24) and float(marks[:, :, 0].min()) == 1.0 and float(marks.amin((1, 2, 3)).max()) < 0.5
    assert "sheet.teach" not in {button.key for button in page.button}, "My digits are of 28×28 in gray"
    page.button(key="sheet.save").click().run()
    assert_whole(page)
    kept = next(one for one in own_sets(tmp_path / "data") if one.title == "Digits from a sheet")
    assert kept.input_shape == (3, 24, 24) and sum(kept.counts) == 6
    with zipfile.ZipFile(io.BytesIO(zip_of_sheet(labelled(page)))) as archive:
        assert Image.open(archive.open(archive.namelist()[0])).mode == "RGB"


@pytest.mark.parametrize("shape", [(1, 20, 30), (5,)])
def test_a_network_that_reads_no_such_marks_gets_one_line(at, reader, shape):
    run = reader[0].create_running(tiny(), "me", "here", "another kind")
    meaning = Meaning(tuple("0123456789"), shape, (0.0,) * (len(shape) > 1), (1.0,) * (len(shape) > 1))
    weights = build(run.config.model, shape, 10, seed=0).state_dict()
    save_weights(reader[0], run.id, run.config, meaning, Checkpoint(1, 1, weights))
    reader[0].finish(run.id, "finished")
    page = at()
    page.selectbox(key=f"sheet.model.{reader[1]}").set_value(run.id).run()
    assert_whole(page)
    assert len(page.warning) == 1 and "Choose" in page.warning[0].value and not page.file_uploader
    reader[0].delete(run.id)


def test_two_digits_on_draw_lead_here(at, reader):
    """From an upload on Draw: the note, its button, and the picture that comes along."""
    left, right = (np.asarray(Image.fromarray(strokes(digit, 0, 24)).resize((140, 140))) for digit in (1, 2))
    both = np.full((280, 280, 4), 255, np.uint8)
    both[70:210, :140], both[70:210, 140:] = left, right
    draw = AppTest.from_file(str(ROOT / "pages/draw_digit.py"), default_timeout=60)
    draw.query_params["run"] = reader[1]
    draw.session_state["draw.source"] = "Upload"
    draw.run()
    draw.file_uploader(key="draw.file").set_value(("twelve.png", saved(Image.fromarray(both)), "image/png")).run()
    assert_whole(draw)
    assert "two marks in this picture" in draw.info[0].value
    draw.button(key="draw.sheet").click().run()
    page = AppTest.from_file(str(ROOT / "pages/read_sheet.py"), default_timeout=60)
    page.query_params["run"] = reader[1]
    page.session_state[keys.SHEET_BROUGHT] = draw.session_state[keys.SHEET_BROUGHT]
    page.run()
    assert_whole(page)
    assert len(labelled(page).entries) == 2
    page.button(key="sheet.another").click().run()
    assert_whole(page)
    assert "Choose a picture" in page.info[0].value


def test_an_example_is_there_for_who_has_no_sheet_at_hand(at):
    page = at()
    page.button(key="sheet.example").click().run()
    assert_whole(page)
    assert [[len(number) for number in row] for row in labelled(page).numbers()] == [
        [len(number) for number in row.split()] for row in SAMPLE_ROWS]
    right = sum(int(letter) == entry.label for letter, entry in zip(
        "".join(SAMPLE_ROWS).replace(" ", ""), labelled(page).entries, strict=True))
    assert right >= 19  # of 23, which the network may have learned from


def test_no_other_page_needs_the_canvas_of_this_one():
    """It is imported where it is shown, and nowhere at the top of a module."""
    importing = [path for folder in ("core", "pages") for path in (ROOT / folder).rglob("*.py")
                 if "streamlit_drawable_canvas" in path.read_text(encoding="utf-8")]
    assert importing == [ROOT / "pages/parts/sheet/canvas.py"]
    tops = [ast.unparse(node) for node in ast.parse(importing[0].read_text(encoding="utf-8")).body]
    assert not [line for line in tops if line.startswith(("import", "from")) and "drawable" in line]


def test_without_a_model_the_way_to_one_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "none"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    page = AppTest.from_file(str(ROOT / "pages/read_sheet.py"), default_timeout=60).run()
    assert_whole(page)
    assert "no trained model yet" in page.info[0].value
