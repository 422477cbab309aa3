"""The whole path in a real browser: train from Home, see the chart move, draw, read the answer, reload and still be there.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from core.figures.curves import HEIGHT
from tests.archives import two_classes, zipped
from tests.axe import at_rest
from tests.browser import by_mouse, done, line_pixels
from tests.helpers import wait_until
from tests.strokes import STROKES

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def address(places: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a free port, with a runs folder of its own and no MNIST."""
    with app(tmp_path_factory.mktemp("browser-runs")) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_zip_of_ones_own_images_becomes_a_data_set(address: str, page: Page, places: Path, tmp_path: Path):
    page.goto(f"{address}/explore_data")
    page.get_by_text("Bring your own", exact=False).filter(visible=True).first.click()
    archive = zipped(tmp_path / "pets.zip", two_classes(10) | {"cat/notes.txt": b"not a picture"})
    page.locator("input[type=file]").set_input_files(archive)
    page.get_by_role("button", name="Check the images").click()
    expect(page.get_by_text("What was found")).to_be_visible()
    expect(page.get_by_text("Rejected files: 1")).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    expect(done(page, "pets is a data set now: 16 training and 4 test images.")).to_be_visible()
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("20 images of 2 classes")).to_be_visible()
    at_rest(page)
    page.get_by_text("Bring your own", exact=False).filter(visible=True).first.click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete this data set").click()
    expect(page.get_by_text("Data sets that were brought here")).to_have_count(0)
    assert list((places / "data/imported").iterdir()) == []
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_from_home_to_a_recognised_drawing(address: str, page: Page):
    page.goto(address)
    page.get_by_role("button", name="Train my own").click()
    page.get_by_role("button", name="All its curves").click()

    # the chart moves: there is a line, and later there is more of it
    first = wait_until(lambda: line_pixels(page, "loss"), lambda: "no line on the loss chart")
    wait_until(lambda: line_pixels(page, "loss") > first + 20, lambda: "the line stands still")
    expect(page.get_by_text("finished in")).to_be_visible(timeout=120_000)
    wait_until(lambda: line_pixels(page, "loss") > first, lambda: "the chart is gone when the run ends")
    accuracy = page.locator("[data-testid='stMetricValue']").first.inner_text()
    assert float(accuracy.removesuffix(" %")) > 90
    run = re.search(r"run=([0-9a-f]{32})", page.url)
    assert run

    # reload: the same run, still there
    page.reload()
    expect(page.get_by_text("finished in")).to_be_visible()
    assert run[1] in page.url

    # draw a seven, and read what it says
    page.get_by_role("button", name="Draw a digit for it").click()
    expect(page.get_by_role("heading", name="Draw a digit")).to_be_visible()
    page.locator("canvas").last.wait_for()
    time.sleep(1)  # the canvas takes its size after it appears
    for _, points in STROKES[7][0]:
        by_mouse(page, points)
    expect(page.get_by_role("heading", name="It says: 7")).to_be_visible()  # answers come while the pen still moves
    assert run[1] in page.url

    # and after a reload the drawing is still there (the browser keeps it), and the model still chosen
    page.reload()
    expect(page.get_by_role("heading", name="It says: 7")).to_be_visible()
    expect(page.get_by_role("combobox", name="Trained model")).to_have_value(re.compile("Digits in seconds"))

    # the address is all another visitor needs, on any page
    other = page.context.browser.new_page()
    for name in ("", "explore_data", "build_model", "train_model", "draw_digit", "compare_runs"):
        other.goto(f"{address}/{name}?run={run[1]}")
        expect(other.get_by_role("heading", level=1)).to_be_visible()
        expect(other.get_by_role("navigation", name="Pages").get_by_text("Torch Playground", exact=True)).to_be_visible()
        expect(other.get_by_test_id("stException")).to_have_count(0)
        if name == "":
            expect(other.get_by_text("This network answers")).to_be_visible()
        if name in {"train_model", "compare_runs"}:
            expect(other.get_by_text("Digits in seconds").filter(visible=True).first).to_be_visible()


def test_what_pages_say_follows_what_was_brought_and_built(address: str, page: Page, tmp_path: Path):
    """Colour chosen when the report stands there already is kept; both doctors have one verdict; the words are of these data;
    Build's button starts that network and shows it, and not an older run."""
    page.goto(f"{address}/explore_data?explore.section=Bring+your+own")
    page.locator("input[type=file]").set_input_files(zipped(tmp_path / "pets.zip", two_classes(40)))
    page.get_by_role("button", name="Check the images").click()
    expect(page.get_by_text("What was found")).to_be_visible()
    shown = page.get_by_alt_text("Some of the accepted images, as the network will see them")
    gray = shown.get_attribute("src")
    page.get_by_role("radio", name="Colour").click()
    expect(shown).not_to_have_attribute("src", gray or "")  # it was read again
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("2 classes, 28×28 colour")).to_be_visible()
    page.get_by_role("button", name="Train on it").click()
    number(page, "Epochs").fill("2")
    number(page, "Epochs").press("Enter")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("finished in")).to_be_visible(timeout=120_000)
    first = current_run(page)
    expect(page.get_by_text("Doubtful").first).to_be_visible()  # 64 images twice teach little; and nothing says otherwise
    expect(page.get_by_text("found nothing wrong")).to_have_count(0)

    page.get_by_role("navigation", name="Pages").get_by_text("Draw a digit").click()
    expect(page.get_by_role("heading", level=1, name="Try it")).to_be_visible()
    assert not re.search(r"\bdigits?\b|MNIST", page.get_by_test_id("stMainBlockContainer").inner_text())

    page.get_by_role("navigation", name="Pages").get_by_text("Build model").click()
    page.get_by_role("button", name="Train this network").click()
    expect(page.get_by_role("heading", level=1, name="Train model")).to_be_visible()
    wait_until(lambda: current_run(page) not in {"", first}, lambda: page.url)
    expect(page.get_by_text("finished in")).to_be_visible(timeout=120_000)


def number(page: Page, name: str):
    return page.get_by_role("spinbutton", name=name).first


def current_run(page: Page) -> str:
    found = re.search(r"run=([0-9a-f]{32})", page.evaluate("location.href"))  # page.url is only renewed by other calls
    return found[1] if found else ""


# what is looked at while a run trains; of two charts, and of two halves of the examples, a phone shows one and the other's edge
COCKPIT = {"title": "h1", "buttons": ".st-key-run-stop", "how far": "[data-testid=stProgress]",
           "figures": "[data-testid=stMetric]", "curve": ".st-key-live-loss canvas", "examples": ".st-key-live-answers-0 canvas"}


def in_one_screen(page: Page, height: int) -> None:
    """Everything is on the screen without scrolling."""
    def ends() -> dict[str, float]:
        boxes = {name: page.locator(selector).first.bounding_box() for name, selector in COCKPIT.items()}
        return {name: box["y"] + box["height"] if box and box["y"] >= 0 else height + 1.0 for name, box in boxes.items()}

    wait_until(lambda: max(ends().values()) <= height, lambda: f"{ends()} of {height}")


def test_retrain_on_change_and_a_chart_that_stays(address: str, page: Page, tabs):
    """A changed setting starts a new run on the same chart: its element is never replaced, and it never changes its height."""
    page.goto(f"{address}/train_model")
    page.get_by_role("button", name="Start training").wait_for()
    page.get_by_text("Retrain on change").click()
    number(page, "Epochs").fill("200")
    number(page, "Epochs").press("Enter")
    page.get_by_role("button", name="Start training").click()
    wait_until(lambda: line_pixels(page, "loss"), lambda: "no line on the loss chart")
    first = current_run(page)
    expect(page).to_have_title(re.compile(r"^\d+ % – Train model"))
    page.evaluate("""() => {
        const chart = document.querySelector('.stEChartsChart');
        chart.dataset.mark = 'the same';
        window.heights = new Set();
        const look = () => { const now = document.querySelector('.stEChartsChart');
                             window.heights.add(now ? now.getBoundingClientRect().height : 0); requestAnimationFrame(look); };
        look();
    }""")
    before = page.get_by_text(re.compile(r"step [\d,]+ of")).inner_text()
    wait_until(lambda: page.get_by_text(re.compile(r"step [\d,]+ of")).inner_text() != before, lambda: "the run stands still")

    number(page, "Learning rate").fill("0.01")
    number(page, "Learning rate").press("Enter")
    wait_until(lambda: current_run(page) not in {"", first}, lambda: page.url)
    wait_until(lambda: line_pixels(page, "loss"), lambda: "no line of the new run")
    assert page.evaluate("document.querySelector('.stEChartsChart').dataset.mark") == "the same"
    assert page.evaluate("[...window.heights]") == [HEIGHT]
    page.set_viewport_size({"width": 1280, "height": 900})
    in_one_screen(page, 900)
    phone = tabs(390, touch=True)
    phone.set_viewport_size({"width": 390, "height": 844})
    phone.goto(page.url)
    in_one_screen(phone, 844)
    beside = phone.locator(".st-key-panel-charts [data-testid=stHorizontalBlock]")
    expect(beside).to_have_attribute("tabindex", "0")  # so that the other chart is reached by keyboard as well
    # this run's learning rate and the next one's have names of their own, and what was changed becomes part of the run
    page.get_by_role("button", name="Its learning rate").click()
    own = page.get_by_role("spinbutton", name="This run's learning rate")
    own.fill("0.002")
    own.press("Enter")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("Changed by hand: 1 change")).to_be_attached()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("· stopped")).to_be_visible()
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(re.compile(r"\d"))  # as far as its curves have come
