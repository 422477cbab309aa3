"""The page Draw a digit: several models at once, what can't answer, what is no digit, uploads, stages, robustness, teaching."""

import base64
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data import DATASETS, import_images
from core.data.own.digits import MyDigits
from core.models import build
from core.runs import RunStore
from core.runs.checkpoints import Meaning, save_weights
from core.runs.ood_reference import FILE, take_wanted
from core.settings import Settings
from core.training import Checkpoint
from pages.parts.draw.answers import why_not
from pages.parts.explain.section import NEAREST
from pages.parts.shell import keys
from tests.helpers import run_here, tiny
from tests.opened_pages import bars, everything
from tests.strokes import draw as strokes
from tests.test_pages import assert_whole, texts
from tests.test_photograph import photograph

WHY = "Why this answer"
ROOT = Path(__file__).parents[1]
CLOTHES = DATASETS["fashion_mnist"].classes
LETTERS = DATASETS["emnist_letters"].classes
QUICK = {"training__epochs": 2, "training__optimizer__learning_rate": 0.01}


@pytest.fixture(scope="module")
def models(places) -> dict:
    """Ids of runs: two that answer drawings, and ones for colour, 64×64, points and texts."""
    settings = Settings(places / "data", places / "drawn", places / "cache")
    store = RunStore(settings.runs_dir)
    torch.set_num_threads(1)
    ids = {"store": store, "points": run_here(store, settings, tiny(data__dataset="circle", data__validation=50)).id,
           "second": run_here(store, settings, tiny(training__seed=1)).id, "first": run_here(store, settings, tiny(**QUICK)).id}
    for name, shape, mean in (("colour", (3, 32, 32), 3), ("large", (1, 64, 64), 1), ("text", (20,), 0)):
        run = store.create_running(tiny(), "me", "here", name)
        weights = build(run.config.model, shape, 10, seed=0).state_dict()
        meaning = Meaning(tuple(map(str, range(10))), shape, (0.0,) * mean, (1.0,) * mean)
        save_weights(store, run.id, run.config, meaning, Checkpoint(1, 1, weights))
        store.finish(run.id, "finished")
        ids[name] = run.id
    for name, dataset, classes in (("clothes", "fashion_mnist", CLOTHES), ("letters", "emnist_letters", LETTERS)):
        run = store.create_running(tiny(data__dataset=dataset), "me", "here", name)
        meaning = Meaning(classes, (1, 28, 28), (0.0,), (1.0,))
        save_weights(store, run.id, run.config, meaning,
                     Checkpoint(1, 1, build(run.config.model, (1, 28, 28), len(classes), seed=0).state_dict()))
        store.finish(run.id, "finished")
        ids[name] = run.id
    return ids


@pytest.fixture
def at(models, monkeypatch):
    """Opens the page with a run."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(models["store"].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")

    def open_page(run: str = "first", **state) -> AppTest:
        page = AppTest.from_file(str(ROOT / "pages/draw_digit.py"), default_timeout=60)
        page.query_params["run"] = models[run]
        for name, value in state.items():
            page.session_state[name] = value
        page.run()
        assert_whole(page)
        return page

    return open_page


def on_canvas(page: AppTest, rgba: np.ndarray) -> AppTest:
    """Put a picture on the canvas as the component sends it."""
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, format="PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    version = page.session_state[keys.CANVAS_VERSION] if keys.CANVAS_VERSION in page.session_state else 0  # noqa: SIM401 - no get
    page.session_state[f"{keys.CANVAS}.{version}"] = {"drawing": {"raw": {"objects": [{}]}, "data": url}, "backgroundFit": None}
    page.run()
    assert_whole(page)
    return page


@pytest.mark.parametrize("path", ["draw_digit", "read_sheet"])
def test_who_names_no_run_begins_with_one_that_reads_pictures(path, places, tmp_path, cache_dir, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    settings, store = Settings(places / "data", tmp_path, cache_dir), RunStore(tmp_path)

    def opened(run: str = "") -> AppTest:
        page = AppTest.from_file(str(ROOT / f"pages/{path}.py"), default_timeout=60)
        if run:
            page.query_params["run"] = run
        page.run()
        assert_whole(page)
        return page

    points = tiny(data__dataset="circle", data__validation=50)
    first = run_here(store, settings, points).id
    assert [one for one in opened().button if one.key in ("draw.home", "sheet.home")] and not opened().warning
    assert "takes 2 numbers" in opened(first).warning[0].value  # somebody has asked for it
    reads = run_here(store, settings, tiny()).id
    last = run_here(store, settings, points).id
    page = opened()
    assert page.session_state[keys.RUN] == reads and not page.warning
    assert len(page.selectbox[0].options) == 3 and "takes 2 numbers" in opened(last).warning[0].value
    store.close()


def headings(page: AppTest) -> list[str]:
    return [one.value for one in page.main.markdown if one.value.startswith("#")]


@pytest.mark.parametrize("rgba", [
    np.full((280, 280, 4), 255, np.uint8), np.dstack([np.zeros((280, 280, 3), np.uint8), np.full((280, 280), 255, np.uint8)]),
    np.zeros((280, 280, 4), np.uint8)], ids=["blank", "full black", "clear"])
def test_one_colour_is_no_digit(at, rgba):
    page = on_canvas(at(), rgba)
    shown, = bars(page)
    assert "Nothing to see yet" in shown["line"] and shown["title"] == "Nothing drawn yet" and shown["values"] == [None] * 10


@pytest.mark.parametrize("radius", [3, 10, 30])
def test_a_dot_is_answered_with_i_dont_know(at, radius):
    rows, columns = np.mgrid[:280, :280]
    rgba = np.full((280, 280, 4), 255, np.uint8)
    rgba[(rows - 140) ** 2 + (columns - 120) ** 2 <= radius**2, :3] = 26
    page = on_canvas(at(**{keys.DRAW_OTHERS: []}), rgba)
    shown, = bars(page)
    assert shown["title"] == "I don't know" and shown["line"].startswith("This is a dot or a filled shape")
    assert not [one.key for one in page.button if str(one.key).startswith("draw.teach.right")]  # nothing to agree with


def test_a_forged_canvas_gets_one_line(at):
    page = at()
    page.session_state[f"{keys.CANVAS}.0"] = {"drawing": {"raw": {}, "data": "data:image/png;base64,bm8="}, "backgroundFit": None}
    page.run()
    assert_whole(page)
    assert "no picture" in page.error[0].value


def test_all_models_answer_side_by_side_and_those_that_cannot_say_why(at, models):
    others = [models[name] for name in ("second", "colour", "large", "points", "text")]
    page = on_canvas(at(**{keys.DRAW_OTHERS: others}), strokes(7))
    assert "All models side by side" in [one.value for one in page.header]
    said = " ".join(one.value for one in page.caption)
    for words in ("takes 2 numbers", "reads texts"):
        assert words in said
    answers = [one for one in headings(page) if one.startswith("### ") and one != "### With and without each stage"]
    assert len(answers) == 4, "two of MNIST's kind, colour and 64×64"


@pytest.mark.parametrize(("name", "thing"), [("clothes", "drawing"), ("letters", "letter"), ("first", "digit")])
def test_words_follow_what_the_model_knows(at, name, thing):
    """The page is called Draw a digit whatever is asked there; nothing below its title speaks of digits to another model."""
    page = on_canvas(at(name), strokes(7))
    assert [one.value for one in page.title] == [{"digit": "Draw a digit", "letter": "Draw a letter", "drawing": "Try it"}[thing]]
    said = everything(page).split("\n", 1)[1]
    assert f"Does it get your {thing}s wrong?" in said and f"**My {thing}s: 0**" in said
    for source, words in (("Upload", f"with one {thing} (up to"), ("Camera", f"Photograph a {thing}")):
        said += everything(at(name, **{"draw.source": source})).split("\n", 1)[1]
        assert words in said and f"one {thing}" in said
    assert ("MNIST's digits were prepared like this." in said) == (thing == "digit")
    if thing != "digit":
        assert "which may lie otherwise in their frame" in said
        assert "digit" not in said.replace("A drawing is prepared as MNIST's digits were.", "")


@pytest.mark.parametrize(("name", "shape"), [("colour", "3×32×32"), ("large", "1×64×64")])
def test_a_model_of_other_images_reads_the_sheet_in_its_own_size(at, name, shape):
    page = on_canvas(at(name), strokes(7))
    said = everything(page)
    assert not page.warning and not page.error and None not in bars(page)[0]["values"]
    assert f"{shape} numbers from 0 to 1" in "\n".join(card["about"] for card in stage_cards(page)), said
    assert "isn't known here" in texts(page) and "Move, turn, stretch it" not in said


def test_a_picture_is_prepared_as_the_own_set_was(at, models, places, tmp_path):
    """Colour photographs of two made-up classes, cut out of their middle: words, stages and what is offered follow the set."""
    for place, name in enumerate(("red *door*", "blue gate")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((40, 60 + number, 3), 40, np.uint8)
            pixels[10:30, 20:30, 2 * place] = 200 + number
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{number}.png")
    shutil.make_archive(str(tmp_path / "doors"), "zip", tmp_path / "set")
    report = import_images(tmp_path / "doors.zip", places / "data", 24, 3, fit="crop")
    store = models["store"]
    run = store.create_running(tiny(data__dataset=report.name, data__validation=1), "me", "here", "doors")
    save_weights(store, run.id, run.config, Meaning(report.classes, (3, 24, 24), (0.5,) * 3, (0.5,) * 3),
                 Checkpoint(1, 1, build(run.config.model, (3, 24, 24), 2, seed=0).state_dict()))
    store.finish(run.id, "finished")
    models["doors"] = run.id
    page = at("doors", **{"draw.source": "Upload"})
    assert "of what the network knows: blue gate, red *door*." in bars(page)[0]["line"]
    file = (tmp_path / "set" / "blue gate" / "2.png").read_bytes()
    page.file_uploader(key="draw.file").set_value(("gate.png", file, "image/png")).run()
    assert_whole(page)
    assert None not in bars(page)[0]["values"], everything(page)
    assert "Prepared exactly as the images of “doors” were" in texts(page), texts(page)
    assert [card["title"] for card in stage_cards(page)] == ["Your picture", "Fit into 24×24", "Square", "Red, green, blue",
                                                             "Normalise"]
    assert "digit" not in everything(page).split("\n", 1)[1].lower().replace("draw a digit", "")
    page.file_uploader(key="draw.file").set_value(("no.png", b"no picture", "image/png")).run()
    assert len(page.error) == 1 and "can't be used" in page.error[0].value and None in bars(page)[0]["values"]
    assert bars(on_canvas(at("doors"), strokes(7)))[0]["values"] != [None, None], "the sheet is read in colour, too"


def stage_cards(page: AppTest) -> list[dict]:
    """The pictures of what becomes of a picture."""
    shown = [json.loads(one.proto.json or "null") for one in page.main.get("bidi_component")]
    return next(one["cards"] for one in shown if isinstance(one, dict) and "cards" in one)


@pytest.mark.parametrize("name", ["points", "text"])
def test_a_model_of_another_input_explains_itself(at, name):
    page = on_canvas(at(name), strokes(7))
    assert len(page.warning) == 1 and "Choose" in page.warning[0].value and not page.error


def test_damaged_weights_beside_others_are_a_line(at, models):
    path = models["store"].folder(models["large"]) / "checkpoint.safetensors"
    whole = path.read_bytes()
    path.write_bytes(b"no weights")
    page = on_canvas(at(**{keys.DRAW_OTHERS: [models["large"]]}), strokes(7))
    assert any("damaged" in one.value for one in page.caption)
    path.write_bytes(whole)


def test_a_photograph_is_flattened_step_by_step(at):
    page = at(**{"draw.source": "Upload"})
    file = io.BytesIO()
    Image.fromarray(photograph(7)[..., :3]).save(file, "JPEG")
    page.file_uploader(key="draw.file").set_value(("seven.jpg", file.getvalue(), "image/jpeg")).run()
    assert_whole(page)
    assert "**Evenly lit**" in texts(page) and "What the network sees" in [one.value for one in page.header]
    page.toggle[0].set_value(False).run()
    assert_whole(page)
    assert "**Evenly lit**" not in texts(page)


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a"])
def test_a_file_that_is_no_picture_gets_one_line(at, content):
    page = at(**{"draw.source": "Upload"})
    page.file_uploader(key="draw.file").set_value(("seven.png", content, "image/png")).run()
    assert_whole(page)
    assert len(page.error) == 1 and "can't be used" in page.error[0].value


def test_every_section_is_drawn_for_one_model_and_two(at, models):
    for others in ([], [models["second"]]):
        for section in ("What the network sees", "Move, turn, stretch it"):
            page = on_canvas(at(**{keys.DRAW_OTHERS: others, "draw.section": section}), strokes(4))
            assert section in [one.value for one in page.header]
        assert len(page.get("plotly_chart")) == 1 + len(others)
    page.session_state["draw.sweep"] = "pen"
    page.run()
    assert_whole(page)


def services_of(page: AppTest):
    from pages.parts.shell.services import services

    return services()


def says(page: AppTest) -> int:
    """The class that the model says."""
    return int(bars(page)[0]["title"].removeprefix("It says: "))


def keep_as(page: AppTest, label: int) -> AppTest:
    page.button_group(key=keys.KEEP_AS).set_value(label).run()
    assert_whole(page)
    return page


def labels(page: AppTest) -> list[int]:
    return page.session_state[keys.MY_DIGITS].labels.tolist() if keys.MY_DIGITS in page.session_state else []


@pytest.fixture
def sure(monkeypatch):
    """The model says what it would choose, however unlike its images a drawing is: the few it learned from here are no help."""
    monkeypatch.setattr("pages.parts.draw.answers.familiar", lambda *_: (None, False))


def test_drawings_are_kept_shown_and_dropped(at, sure):
    page = at()
    assert not page.get("button_group") or all(one.key != keys.KEEP_AS for one in page.button_group)  # nothing to keep yet
    page = on_canvas(page, strokes(7))
    assert page.button_group(key=keys.KEEP_AS).value in (None, [])  # no class stands there already
    page = keep_as(page, 3)
    assert labels(page) == [3] and "**My digits: 1**" in [one.value for one in page.markdown]
    assert bars(page)[0]["title"] == "Nothing drawn yet"  # the drawing was put away
    page = on_canvas(page, strokes(1))  # on a new sheet
    said = says(page)
    assert page.button_group(key=keys.KEEP_AS).value in (None, [])
    page.button(key=f"draw.teach.right.{said}").click().run()
    assert_whole(page)
    assert labels(page) == [3, said]
    page.button(key="draw.teach.drop.0").click().run()
    assert labels(page) == [said]
    page.button(key="draw.teach.delete").click().run()
    assert_whole(page)
    assert labels(page) == []


def test_the_last_tap_is_taken_back(at):
    page = keep_as(on_canvas(at(), strokes(7)), 0)
    assert any("Kept as 0" in one.value for one in page.caption)
    page.button(key="draw.teach.undo").click().run()
    assert_whole(page)
    assert labels(page) == [] and "**My digits: 0**" in [one.value for one in page.markdown]
    assert any("not kept" in one.value for one in page.caption)
    assert not [one for one in page.button if one.key == "draw.teach.undo"]
    page = keep_as(on_canvas(page, strokes(7)), 7)
    page.button(key="draw.teach.delete").click().run()  # there is nothing to take back any more
    assert not [one for one in page.button if one.key == "draw.teach.undo"]


def test_right_keeps_what_was_said_and_not_what_is_said_by_then(at, sure):
    """A tap on “Right, 7” that arrives when the answer has become another: the button is another one, and nothing is kept."""
    said = {}
    for digit in range(10):
        page = on_canvas(at(), strokes(digit))
        said[says(page)] = [one.key for one in page.button if str(one.key).startswith("draw.teach.right")]
    assert len(said) > 3 and all(keys == [f"draw.teach.right.{label}"] for label, keys in said.items())


def test_too_many_kept_drawings_are_a_line(at):
    full = MyDigits(tuple(map(str, range(10))), torch.zeros(500, 1, 28, 28, dtype=torch.uint8), torch.zeros(500).long())
    page = keep_as(on_canvas(at(**{keys.MY_DIGITS: full}), strokes(7)), 7)
    assert len(labels(page)) == 500 and any("500 drawings are kept at most" in one.value for one in page.caption)


def test_another_visitor_sees_none_of_them(at):
    assert labels(keep_as(on_canvas(at(), strokes(7)), 7)) == [7]
    other = at()
    assert "**My digits: 0**" in [one.value for one in other.markdown]


@pytest.mark.parametrize("told", [{"number": "7"}, {"number": -1}, {"number": True}, {"number": 2**40}, {}, None, 7])
def test_a_message_made_by_hand_is_no_error(at, told):
    page = at()
    page.session_state[f"{keys.CANVAS}.0"] = {"drawing": told}
    page.run()
    assert_whole(page)
    assert bars(page)[0]["title"] == "Nothing drawn yet"


def test_a_drawing_sent_twice_is_one_drawing(at):
    page = on_canvas(on_canvas(at(), strokes(7)), strokes(7))
    assert len(bars(page)) == 1 and labels(keep_as(page, 7)) == [7]


def test_two_marks_in_one_drawing_are_named_as_two(at):
    both = np.full((280, 280, 4), 255, np.uint8)
    both[70:210, :140], both[70:210, 140:] = strokes(1, canvas=140, brush=10), strokes(2, canvas=140, brush=10)
    page = on_canvas(at(), both)
    assert any("two marks" in one.value for one in page.info) and page.button(key="draw.sheet")


def test_a_refused_upload_leaves_no_answer_of_the_picture_before(at):
    page = at(**{"draw.source": "Upload"})
    file = io.BytesIO()
    Image.fromarray(strokes(7)).save(file, "PNG")
    page.file_uploader(key="draw.file").set_value(("seven.png", file.getvalue(), "image/png")).run()
    assert bars(page)[0]["values"][0] is not None
    page.file_uploader(key="draw.file").set_value(("three.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg")).run()
    assert_whole(page)
    assert bars(page)[0]["values"] == [None] * 10 and len(page.error) == 1 and "export it as PNG" in page.error[0].value


def test_a_picture_from_the_web_is_read_too(at):
    page, webp = at(**{"draw.source": "Upload"}), io.BytesIO()
    Image.fromarray(strokes(3)).save(webp, "WEBP", lossless=True)
    page.file_uploader(key="draw.file").set_value(("three.webp", webp.getvalue(), "image/webp")).run()
    assert_whole(page)
    as_webp = bars(page)[0]["values"]
    png = io.BytesIO()
    Image.fromarray(strokes(3)).save(png, "PNG")
    page.file_uploader(key="draw.file").set_value(("three.png", png.getvalue(), "image/png")).run()
    assert as_webp[0] is not None and bars(page)[0]["values"] == as_webp and not page.error


def test_why_opens_with_its_first_view_and_finds_training_images(at):
    page = on_canvas(at(**{"draw.section": WHY}), strokes(7))
    assert "Explain the score of" in [one.label for one in page.selectbox]
    page.session_state["draw.why.view"] = NEAREST
    page.run()
    assert_whole(page)
    assert "nearest are labelled" in texts(page) and not [one for one in page.info if "not on this machine" in one.value]


def test_teaching_queues_a_run_that_goes_on_from_this_one(at, models, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    kept = MyDigits(tuple(map(str, range(10))), torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([1, 2]))
    page = at(**{keys.MY_DIGITS: kept})
    page.slider(key="draw.teach.times").set_value(20)
    page.button(key="draw.teach.start").click().run()
    assert_whole(page)
    before, after, _ = page.session_state[keys.TAUGHT]
    run = models["store"].get(after)
    assert before == models["first"] == run.config.training.start_from and run.status == "queued"
    assert run.config.data.join_times == 20 and run.config.data.join[0].startswith("own:")
    models["store"].request_stop(after)


def test_before_and_after_are_shown(at, models):
    kept = MyDigits(tuple(map(str, range(10))), torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([1, 2]))
    page = at(**{keys.MY_DIGITS: kept, keys.TAUGHT: (models["second"], models["first"], kept)})
    labels = [one.label for one in page.metric]
    assert labels == ["Your drawings", "Test images"]
    assert page.metric[1].value.endswith("of 360 right")
    page.button(key="draw.teach.use").click().run()
    assert_whole(page)
    assert page.session_state[keys.RUN] == models["first"]
    gone = at(**{keys.TAUGHT: (models["second"], "0" * 32, kept)})
    assert any("was deleted" in one.value for one in gone.info)


def test_another_model_can_be_chosen_again_and_again(at, models):
    page = at()
    for name in ("points", "second", "colour", "first"):
        page.selectbox[0].set_value(models[name]).run()
        assert_whole(page)
        assert page.session_state[keys.RUN] == page.selectbox[0].value == models[name]


def test_models_that_answer_have_no_excuse(models):
    from core.runs import load_model

    assert why_not(load_model(models["store"], models["first"])) == ""


def test_an_address_of_no_run_says_so_and_another_model_answers(models, at):
    page = AppTest.from_file(str(ROOT / "pages/draw_digit.py"), default_timeout=60)
    page.query_params["run"] = "nosuchrun"
    page.run()
    assert_whole(page)
    assert "There is no run 'nosuchrun'" in page.warning[0].value
    assert page.selectbox[0].label == "Trained model" and page.selectbox[0].value in models.values()


def test_the_page_never_waits_for_what_the_training_process_works_out(at, models, monkeypatch):
    """With workers it asks one, answers without the score, and has it as soon as it is kept."""
    run = models["first"]
    kept = models["store"].folder(run) / FILE
    kept.unlink(missing_ok=True)
    st.cache_resource.clear()
    page = on_canvas(at(), strokes(7))
    kept.unlink()  # nobody trains here, so the server has worked it out
    st.cache_resource.clear()
    server = replace(services_of(page), settings=replace(services_of(page).settings, workers=1))
    monkeypatch.setattr("pages.parts.shell.services.services", lambda: server)
    monkeypatch.setattr("core.runs.ood_reference.reference_in_pieces", lambda *_: pytest.fail("the page works it out"))
    page = on_canvas(at(), strokes(7))
    assert bars(page)[0]["values"][0] is not None and any("as soon as" in one.value for one in page.caption)
    assert take_wanted(models["store"]) == run
    monkeypatch.undo()
    monkeypatch.setenv("PLAYGROUND_RUNS", str(models["store"].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    page = on_canvas(at(), strokes(7))
    assert any("Unlike its training images" in one.value for one in page.caption)
