"""How pages look in a real browser: what axe-core finds serious or critical, the font of the headings, the room above the title.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, TimeoutError, expect

from benchmarks.page_latency import app
from core.runs import RunStore
from core.settings import Settings
from pages.parts.shell.menu import LABS, MENU
from tests.helpers import run_here, tiny

pytestmark = pytest.mark.browser
SERIOUS = {"serious", "critical"}
TRIES = 20  # looks at a page, half a second apart, until nothing is wrong
# Every page, with a run where it shows one; beside it the sections with other kinds of things in them.
PAGES = ["", *(Path(page).stem for page in (*MENU, *LABS) if page != "app.py"), "lesson_wall",
         "explore_data?explore.section=Bring+your+own",
         *(f"{page}?run=RUN" for page in ("train_model", "evaluate_model", "evaluate_model?evaluate.section=Numbers",
                                          "draw_digit", "compare_runs"))]
# what a finger is to meet, but for what stands in a sentence, tools of a chart, a table's grid, and what is off the screen
MISSED = """reach => {
    const all = (root) => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])]);
    const at = (x, y) => { let met = document.elementFromPoint(x, y), inner;
        while (met?.shadowRoot && (inner = met.shadowRoot.elementFromPoint(x, y)) && inner !== met) met = inner;
        return met; };
    const beside = '.modebar, [data-testid=stDataFrame], [data-testid=stHeader], [data-testid=stElementToolbar], ' +
        '[data-testid=stCode], [data-testid=stSkipToContent], [data-testid=stSidebar], p a, table button, label a, ' +
        ':is(h1, h2, h3) a';
    const aims = all(document).filter(one => one.matches('button, a[href], input, select, summary') && !one.closest(beside));
    return aims.map(one => {
        const whole = one.matches('input, [aria-haspopup]') && one.closest('label, [role=group], [data-testid=stSelectbox], ' +
            '[data-testid=stMultiSelect]'), part = whole || one;  // any of it can be pressed
        part.scrollIntoView({block: 'center'});
        const box = part.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
        if (!one.checkVisibility() || box.width < 2 || one.disabled || box.x < 0 || box.right > innerWidth) return null;
        const met = [[0, -reach], [0, reach], [-reach, 0], [reach, 0]].map(([dx, dy]) => at(x + dx, y + dy));
        const ours = (other) => other && (part.contains(other) || other.contains(part) && other.matches('a, button, summary'));
        return met.every(ours) ? null : `${Math.round(box.width)}×${Math.round(box.height)} ${one.tagName} ` +
            (one.getAttribute('aria-label') ?? one.innerText).slice(0, 40);
    }).filter(Boolean);
}"""


@pytest.fixture(scope="module")
def served(places: Path) -> Iterator[tuple[str, str]]:
    """The app's address, and the id of a finished run in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setenv("PLAYGROUND_DATA", str(places / "data"))
        settings = Settings(places / "data", places / "browser-look", places / "cache")
        run = run_here(RunStore(settings.runs_dir), settings, tiny(training__epochs=2))
        with app(places / "browser-look") as port:
            yield f"http://127.0.0.1:{port}/", run.id


@pytest.fixture
def address(served: tuple[str, str]) -> str:
    return served[0]


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".stApp[data-test-script-state='notRunning']")).to_be_visible()  # the page is whole
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    return page


def lasting(page: Page, wanted: dict) -> list[tuple[str, str]]:
    """Each serious rule that is broken, with the first element that does; nothing that is gone once the page has come to rest:
    colours that fade in, a menu whose links are still to come."""
    bad: list[tuple[str, str]] = []
    for _ in range(TRIES):
        # at code that can be scrolled axe gives up the whole rule of contrast; other code has the same colours
        found = Axe().run(page, context={"exclude": [["pre[tabindex]"]]}, options=wanted).response
        given_up = [entry for entry in found["incomplete"] if "error-occurred" in str(entry["nodes"])]
        serious = [entry for entry in found["violations"] if entry["impact"] in SERIOUS]
        bad = [(entry["id"], entry["nodes"][0]["html"][:120]) for entry in (*serious, *given_up)]
        if found["passes"] and not bad:
            return []
        page.wait_for_timeout(500)
    return bad or [("nothing was looked at", page.url)]


def test_everybody_can_read_and_reach_everything(served, tabs):
    """Every page in both themes: of the dark one only the colours are asked, since nothing else is another."""
    page = tabs(1280)
    for name in PAGES:
        asked = name.replace("?run=RUN", f"?run={served[1]}" if name.count("?") == 1 else f"&run={served[1]}")
        page.emulate_media(color_scheme="light")
        opened(page, served[0] + asked)
        if name.startswith("learn_"):
            skip_questions(page)
        page.mouse.move(1, 1)  # below a pointer, buttons that can't be pressed are judged, too
        assert not lasting(page, {}), name
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")
        assert not lasting(page, {"runOnly": ["color-contrast"]}), f"{name}, dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_chosen_can_be_read_below_the_pointer(address, tabs, scheme):
    page = tabs(1280)
    page.emulate_media(color_scheme=scheme)
    opened(page, address + "learn_autograd")
    chosen = page.locator("button[data-variant][data-selected='true']").first
    chosen.hover()
    expect(chosen).to_have_attribute("data-hovered", "true")
    assert not lasting(page, {"runOnly": ["color-contrast"]})


def skip_questions(page: Page) -> None:
    """So that there is a picture to look at: until three looks in a row find no question, as one may be still to come."""
    skip, looks = page.get_by_role("button", name="Skip", exact=True), 0
    for _ in range(3 * TRIES):
        if skip.count():
            looks = 0
            with suppress(TimeoutError):  # it has just gone
                skip.first.click(timeout=5000)
        elif (looks := looks + 1) == 3:
            break
        page.wait_for_timeout(300)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


@pytest.mark.parametrize("name", ["", "train_model?run=RUN", "learn_linear_regression"])
def test_a_finger_meets_what_it_aims_at(served, tabs, name):
    """Half of 40 pixels beside its middle, in each direction."""
    page = opened(tabs(390, touch=True), served[0] + name.replace("RUN", served[1]))
    missed: list[str] = []
    for _ in range(TRIES):  # the page may still be settling
        missed = page.evaluate(MISSED, 18)
        if not missed:
            return
        page.wait_for_timeout(500)
    assert missed == []


def test_a_block_of_code_is_scrolled_by_keyboard(address, tabs):
    page = opened(tabs(390), address + "learn_data_loading")
    code = page.locator("pre").filter(has_text="class CustomImageDataset(Dataset)").first
    expect(code).to_have_attribute("tabindex", "0")
    code.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("block => block.scrollLeft > 0", arg=code.element_handle())


def test_headings_have_their_font_and_the_title_is_near_the_top(address, tabs):
    page = opened(tabs(1280), address)
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].some(font => font.family.includes('Space Grotesk') && font.status === 'loaded')")
    assert "Space Grotesk" in page.locator("h1").evaluate("title => getComputedStyle(title).fontFamily")
    above = page.get_by_test_id("stMainBlockContainer").evaluate("block => parseFloat(getComputedStyle(block).paddingTop)")
    assert 24 <= above <= 32
    assert page.locator("h1").bounding_box()["y"] < 60


def test_what_is_done_is_read_out(address, tabs):
    """In a region that was there before: what comes with its text in it is passed over by screen readers."""
    page = opened(tabs(1280), f"{address}learn_text?text.topic=Your+own+texts")
    said = page.get_by_role("status").and_(page.locator("#playground-said"))
    expect(said).to_have_text("")
    rows = [f"a {word} film number {n},{word}" for word in ("positive", "negative") for n in range(12)]
    page.locator("input[type=file]").first.set_input_files(
        {"name": "films.csv", "mimeType": "text/csv", "buffer": "\n".join(["text,label", *rows]).encode()})
    expect(said).to_have_text(re.compile(r"^24 texts of 2 classes"))


def test_what_a_chart_shows_is_there_as_a_table(address, tabs):
    """By keyboard; the focus is back at its button afterwards."""
    page = opened(tabs(1280), address + "learn_metrics")
    skip_questions(page)
    button = page.get_by_role("button", name="Values of: Confusion matrix")
    button.focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("dialog", name="Confusion matrix").get_by_role("table")
    assert [row.split("\t") for row in table.inner_text().splitlines()] == [
        ["true class ↓ what it said →", "0", "1"], ["0", "3", "2"], ["1", "1", "4"]]  # of the lab's first ten answers, by hand
    assert not lasting(page, {})
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


def test_a_toast_has_a_name(address, tabs):
    page = opened(tabs(1280), f"{address}train_model?preset=nowhere")
    expect(page.get_by_role("alertdialog", name="Notice")).to_contain_text("There is no preset")


def test_nothing_fades_for_who_asks_for_less_motion(address, tabs):
    page = opened(tabs(1280), f"{address}train_model")
    longest = """() => Math.max(...[...document.querySelectorAll('.stApp *')].map(one => getComputedStyle(one)).flatMap(
        style => [style.transitionDuration, style.animationDuration].join().split(',').map(parseFloat)))"""
    page.wait_for_function(f"({longest})() >= 0.1")  # else there is nothing to take away
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"({longest})() <= 0.001")  # the page may just be drawn
