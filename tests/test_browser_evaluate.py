"""The pages Evaluate and Go back in time in a real browser: each click, tap or key on a cell of the confusion matrix shows that
cell's images, and the slider goes through the moments of a run.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.page_latency import app
from core.evaluation import Predictions
from core.runs.evaluations import load_predictions
from core.runs.moments import moments
from tests.browser import in_menu
from tests.helpers import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(trained) -> Iterator[str]:
    """The app on the runs folder of a finished run, without training processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        with app(trained[0].path) as port:
            yield f"http://127.0.0.1:{port}"


def open_matrix(address: str, page: Page, run: str) -> Locator:
    """The cells of the run's confusion matrix, row by row."""
    page.goto(f"{address}/evaluate_model?run={run}")
    page.get_by_role("radio", name="Confusion").or_(page.get_by_role("button", name="Confusion")).first.click()
    expect(page.get_by_role("radiogroup", name="Show")).to_be_visible()  # the overview has a matrix, too, which makes way
    cells = page.locator("table[aria-label^='Confusion'] button")
    expect(cells).to_have_count(100)
    return cells


def expect_images(page: Page, kept: Predictions, truth: int, said: int) -> None:
    """The page shows this cell's images, marks it, and both lists name it."""
    count = int(((kept.targets == truth) & (kept.predicted == said)).sum())
    wanted = re.compile(f"^{count} images? of {truth} that it called {said}") if count else "No image is in this cell."
    expect(page.get_by_text(wanted)).to_be_visible()
    expect(page.locator("table button[aria-pressed='true']")).to_have_attribute("aria-label",
                                                                                re.compile(f"true {truth}, said {said}:"))
    for label, value in (("True class", truth), ("What it said", said)):
        expect(page.get_by_role("combobox", name=label)).to_have_value(str(value))
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_each_click_on_a_cell_shows_its_images(address: str, page: Page, trained):
    store, run = trained
    kept = load_predictions(store, run.id)
    answers: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: answers.append(frame)))
    cells = open_matrix(address, page, run.id)
    # at once after the answer is there, and again on a cell that was shown before
    for truth, said in ((7, 7), (5, 5), (0, 1), (7, 7), (9, 9), (3, 2)):
        cells.nth(10 * truth + said).click()
        expect_images(page, kept, truth, said)
    cells.nth(11).click()
    cells.nth(22).click()  # before the first one's answer
    expect_images(page, kept, 2, 2)
    cells.nth(44).dblclick()
    expect_images(page, kept, 4, 4)
    # no answer counts on what the browser has of earlier ones: where clicks are quick, it may have dropped that (config.toml)
    kinds = Counter(ForwardMsg.FromString(answer).WhichOneof("type") for answer in answers)
    assert kinds["delta"] and not kinds["ref_hash"]


def test_cells_are_chosen_by_keyboard_too(address: str, page: Page, trained):
    store, run = trained
    kept = load_predictions(store, run.id)
    cells = open_matrix(address, page, run.id)
    cells.nth(66).click()
    expect_images(page, kept, 6, 6)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect_images(page, kept, 7, 7)


def test_a_tap_shows_the_cell_that_was_tapped(address: str, tabs, trained):
    store, run = trained
    kept = load_predictions(store, run.id)
    phone = tabs(400, touch=True)
    cells = open_matrix(address, phone, run.id)
    for place in (3, 8, 3):
        cells.nth(11 * place).tap()
        expect_images(phone, kept, place, place)


def test_the_slider_goes_back_in_time_and_plays(address: str, page: Page, trained):
    store, run = trained
    kept = [moment.step for moment in moments(store, run.id).kept]
    page.goto(f"{address}/go_back?run={run.id}")
    pictures, slider, play = page.locator(".time .panels"), page.locator(".time .slider"), page.locator(".time .play")
    expect(pictures).to_have_attribute("data-step", str(kept[-1]))
    expect(slider).to_have_attribute("max", str(len(kept) - 1))
    slider.focus()
    page.locator(".time").evaluate("""root => {  // what is asked for last: one question can be overtaken by the next
        const view = root.view, send = view.send;
        view.send = (name, value) => { window.lastAsked = value; send(name, value); };
    }""")
    page.keyboard.press("Home")
    assert page.evaluate("[window.lastAsked.steps, window.lastAsked.at]") == [[0], 0], "the picture, and its place in the address"
    expect(pictures).to_have_attribute("data-step", "0")
    expect(page.locator(".time .now")).to_contain_text("before the first step")
    expect(page).to_have_url(re.compile("moment=0"))
    first = pictures.locator("img").first.get_attribute("src")
    play.click()
    expect(pictures).to_have_attribute("data-step", str(kept[-1]))
    expect(play).to_have_attribute("data-playing", "false")
    expect(page).to_have_url(re.compile(f"moment={kept[-1]}"))
    assert pictures.locator("img").first.get_attribute("src") != first
    page.go_back()
    expect(pictures).to_have_attribute("data-step", "0")
    page.goto(f"{address}/go_back?run={run.id}&moment={kept[1]}&moments.shown=Map")
    expect(pictures).to_have_attribute("data-step", str(kept[1]))
    expect(pictures.locator("img")).to_have_count(1)
    page.emulate_media(reduced_motion="reduce")
    expect(play).to_be_hidden()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_run_that_a_page_chooses_by_itself_is_no_step_of_the_way_back(address: str, page: Page, trained):
    page.goto(f"{address}/learn_metrics")
    for link, there in (("Evaluate", "evaluate_model"), ("Draw a digit", "draw_digit")):
        in_menu(page, link).click()
        expect(page).to_have_url(f"{address}/{there}?run={trained[1].id}")
        page.go_back()
        expect(page).to_have_url(f"{address}/learn_metrics")
        expect(page.get_by_role("heading", name="Metrics", level=1)).to_be_visible()


def test_the_walk_is_what_one_sees_first(address: str, page: Page, trained):
    page.goto(f"{address}/evaluate_model?run={trained[1].id}&evaluate.section=Images")
    page.get_by_role("button", name="Walk it through the layers").click()
    walk = page.get_by_role("heading", name="Look inside")
    expect(walk).to_be_visible()
    wait_until(lambda: 0 <= walk.bounding_box()["y"] <= 200, lambda: str(walk.bounding_box()))
