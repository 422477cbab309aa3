"""How pages look in a real browser: what axe-core finds serious or critical, the font of the headings, the room above the title.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from benchmarks.page_latency import app
from core.lessons.pages import PICKERS
from core.runs import RunStore
from core.settings import Settings
from tests.axe import (
    BOTH_THEMES,
    MAIN,
    MENU_PLACE,
    PAGES,
    SECTIONS,
    choose,
    gone_to,
    of_run,
    opened,
    skip_questions,
    wrong,
    wrong_in_the_dark,
)
from tests.browser import by_mouse, tabs_of
from tests.helpers import run_here, tiny, wait_until
from tests.strokes import STROKES
from tests.touch import as_a_phone, crooked, too_small

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(places: Path) -> Iterator[tuple[str, str]]:
    """The app's address, and the id of a finished run in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setenv("PLAYGROUND_DATA", str(places / "data"))
        settings = Settings(places / "data", places / "browser-look", places / "cache")
        store = RunStore(settings.runs_dir)
        run = run_here(store, settings, tiny(training__epochs=2))
        run_here(store, settings, tiny(training__seed=1))  # number 2, to lie beside it
        with app(places / "browser-look") as port:
            yield f"http://127.0.0.1:{port}/", run.id


@pytest.fixture
def address(served: tuple[str, str]) -> str:
    return served[0]


@pytest.mark.parametrize("half", [0, 1])
def test_everybody_can_read_and_reach_everything(served, tabs, half):
    """Every page in both themes: of the dark one only the colours are asked, since nothing else is another. The menu is the same
    on all of them, and asked on the first. Then as on a phone, where a finger meets what it aims at: what an address can open
    on a page, one section after the other as its control does, in the light theme: a section's colours are those of pages."""
    page = tabs(1280)
    for name in PAGES[half::2]:
        page.emulate_media(color_scheme="light")
        if name == PAGES[half]:
            opened(page, served[0] + name)
        else:
            gone_to(page, of_run(name, served[1]))
        if name.startswith("learn_"):
            skip_questions(page)
        page.mouse.move(1, 1)  # below a pointer, buttons that can't be pressed are judged, too
        but = [] if name == PAGES[half] else [MENU_PLACE]
        assert not wrong(page, but), name
        assert not wrong_in_the_dark(page, but), f"{name}, dark"
        if name.startswith("draw_digit"):
            for _, points in STROKES[7][0]:  # only then there is something to look into
                by_mouse(page, points)
        with as_a_phone(page):
            assert too_small(page) == [] and crooked(page) == [], name
            for row, section in [(row, section) for row, sections in SECTIONS.get(name, []) for section in sections]:
                page.emulate_media(color_scheme="light")
                choose(page, row, section)
                if name.startswith("learn_"):
                    skip_questions(page, looks=1)
                page.mouse.move(1, 1)
                assert not wrong(page, only=MAIN), f"{name}, {section}"
                assert too_small(page) == [], f"{name}, {section}"
                if section in BOTH_THEMES:
                    assert not wrong_in_the_dark(page, [MENU_PLACE]), f"{name}, {section}, dark"


def test_every_section_that_a_lesson_can_name_is_looked_at():
    looked = {section for rows in SECTIONS.values() for _, sections in rows for section in sections}
    assert {picker for picker, sections in PICKERS.items() if not {*sections[1:]} <= looked} == set()
    assert set(SECTIONS) <= set(PAGES)


def test_a_visitor_of_one_test_is_none_of_the_next(address, browser):
    for _ in range(2):
        with tabs_of(browser) as tab:
            page = tab(1280)
            page.goto(f"{address}_stcore/health")
            assert page.evaluate("[localStorage.length, document.cookie.includes('was=here')]") == [0, False]
            page.evaluate("localStorage.was = 'here'; document.cookie = 'was=here; Max-Age=9999'")
            assert page.evaluate("[localStorage.length, document.cookie.includes('was=here')]") == [1, True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_chosen_can_be_read_below_the_pointer(address, tabs, scheme):
    page = tabs(1280)
    page.emulate_media(color_scheme=scheme)
    opened(page, address + "learn_autograd")
    chosen = page.locator("button[data-variant][data-selected='true']").first
    chosen.hover()
    expect(chosen).to_have_attribute("data-hovered", "true")
    assert not wrong(page, rules=["color-contrast"])


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
    assert not wrong(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()
    chart = page.get_by_role("figure", name="Confusion matrix")
    it_grows(page, chart, ".main-svg")

    def met() -> str:  # at the middle of the last of the four cells
        cell = chart.locator(".heatmaplayer image").bounding_box()
        page.mouse.move(cell["x"] + 0.7 * cell["width"], cell["y"] + 0.7 * cell["height"])
        page.mouse.move(cell["x"] + 0.75 * cell["width"], cell["y"] + 0.75 * cell["height"])
        return " ".join(chart.locator(".hovertext").all_text_contents())

    wait_until(lambda: "true 1, said 1: 4 images" in met(), met)  # what one points at is what one meets


def it_grows(page: Page, chart: Locator, drawn: str) -> None:
    """A chart as far as the screen's height lets it, on a projector alone, and it is as sharp there."""
    heights = "([chart, drawn]) => [chart, chart.querySelector(drawn)].map(one => one.getBoundingClientRect().height)"
    page.set_viewport_size({"width": 1280, "height": 900})
    usual = chart.bounding_box()["height"]
    for width, height, times in ((1920, 900, 1.25), (1920, 1080, 1.4), (390, 844, 1), (1280, 900, 1)):
        page.set_viewport_size({"width": width, "height": height})
        wait_until(lambda times=times: page.evaluate(heights, [chart.element_handle(), drawn]) == pytest.approx(
            [times * usual] * 2, abs=1), lambda: f"{page.evaluate(heights, [chart.element_handle(), drawn])}, {usual} at 1280")
        assert chart.evaluate("one => one.currentCSSZoom") == 1
    page.set_viewport_size({"width": 1920, "height": 1080})


def test_buttons_have_names_that_tell_them_apart(served, tabs):
    """Streamlit's own too, of which there are many with one name on a page."""
    page = opened(tabs(1280), f"{served[0]}train_model?run={served[1]}")
    for name in ("Less: Epochs", "More: Learning rate", "Choices: Optimizer", "Choices: Start from"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(1)
    expect(page.get_by_role("link", name="Link to: Train model", exact=True)).to_have_count(1)
    expect(page.get_by_role("button", name=re.compile("^(Increment|Decrement|Open)$"))).to_have_count(0)


def test_the_skip_link_skips_the_menu(address, tabs):
    page = opened(tabs(1280), address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('[data-testid=stMain]').contains(document.activeElement)")


def test_a_toast_has_a_name(address, tabs):
    page = opened(tabs(1280), f"{address}train_model?preset=nowhere")
    expect(page.get_by_role("alertdialog", name="Notice")).to_contain_text("There is no preset")


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "finger"])
def test_a_question_mark_beside_a_switch_explains_it_and_leaves_it(address, tabs, touch):
    page = opened(tabs(390 if touch else 1280, touch), f"{address}train_model")
    help_, switch = page.get_by_label("Help for Retrain on change"), page.get_by_role("switch", name="Retrain on change")
    help_.tap() if touch else help_.click()
    expect(page.get_by_test_id("stTooltipContent")).to_be_visible()
    expect(switch).not_to_be_checked()
    words = page.get_by_text("Retrain on change", exact=True)
    words.tap() if touch else words.click()
    expect(switch).to_be_checked()


def test_nothing_fades_for_who_asks_for_less_motion(address, tabs):
    page = opened(tabs(1280), f"{address}train_model")
    longest = """() => Math.max(...[...document.querySelectorAll('.stApp *')].map(one => getComputedStyle(one)).flatMap(
        style => [style.transitionDuration, style.animationDuration].join().split(',').map(parseFloat)))"""
    page.wait_for_function(f"({longest})() >= 0.1")  # else there is nothing to take away
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"({longest})() <= 0.001")  # the page may just be drawn


def test_the_lab_on_optimizers_opens_with_the_race_running(address, tabs):
    page = tabs(1280)
    page.set_viewport_size({"width": 1280, "height": 800})
    opened(page, f"{address}learn_building_blocks")
    now, race = page.locator(".race .now"), page.locator(".race .map")
    expect(now).to_have_text(re.compile(r"^step [1-9]\d* of 200$"))  # nobody has pressed anything
    assert race.bounding_box()["y"] + race.bounding_box()["height"] <= 800
    expect(now).to_have_text("step 200 of 200")
    page.locator(".race").get_by_role("button", name="Play again").click()
    page.locator(".race").get_by_role("button", name="Pause").click()
    expect(page.locator(".race").get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.emulate_media(reduced_motion="reduce")
    expect(now).to_have_text("step 200 of 200")
    expect(page.locator(".race").get_by_role("button")).to_have_count(0)


def test_what_to_try_next_stands_beside_the_picture(address, tabs):
    """Open where there is room, folded on the title's line where there is less, at the end of a phone's page."""
    page = opened(tabs(1600), f"{address}learn_building_blocks")
    race, title = page.locator(".race .map"), page.locator("h1")
    beside = page.get_by_role("heading", name="What to try next")
    expect(beside).to_be_visible()
    page.wait_for_function("([one, other]) => one.getBoundingClientRect().right < other.getBoundingClientRect().left",
                           arg=[race.element_handle(), beside.element_handle()])
    assert beside.bounding_box()["y"] < race.bounding_box()["y"]
    folded = page.get_by_role("button", name="What to try next")
    expect(folded).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(beside).to_have_count(0)
    assert abs(folded.bounding_box()["y"] - title.bounding_box()["y"]) < 24
    folded.click()
    expect(page.get_by_test_id("stPopoverBody").get_by_role("link", name="Train model")).to_be_visible()
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    assert folded.bounding_box()["y"] > race.bounding_box()["y"] + race.bounding_box()["height"]


@pytest.mark.parametrize("name", ["evaluate_model?run=RUN", "learn_text"])
def test_sections_stand_in_one_row(served, tabs, name):
    page = opened(tabs(1280), served[0] + name.replace("RUN", served[1]))
    sections = page.get_by_role("radiogroup", name=re.compile("Section|Topic")).get_by_role("radio")
    expect(sections.nth(7)).to_be_visible()
    page.wait_for_function("choices => new Set(choices.map(one => one.getBoundingClientRect().top)).size === 1",
                           arg=[one.element_handle() for one in sections.all()])


def test_examples_have_room_for_their_captions_at_every_width(served, tabs):
    page = opened(tabs(1280), f"{served[0]}train_model?run={served[1]}")
    expect(page.locator(".st-key-panel-examples canvas")).to_have_count(2)
    for width in (1280, 1160, 1100, 900, 700, 641, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("""() => [...document.querySelectorAll('.st-key-panel-examples canvas')].every(one =>
            one.getBoundingClientRect().width >= 5 * 53)""")
    it_grows(page, page.get_by_test_id("stEChartsChart").first, "canvas")
    it_grows(page, page.get_by_test_id("stEChartsChart").last, "canvas")  # the examples


@pytest.mark.parametrize("name", ["train_model?run=RUN", "build_model", "learn_first_networks"])
def test_nothing_is_squeezed_in_a_narrow_window(served, tabs, name):
    """As at 1280 pixels and 150 %, or at 1920 and 200 %: columns stand below each other, and nothing is wider than the page."""
    page = opened(tabs(900), served[0] + name.replace("RUN", served[1]))
    expect(page.get_by_test_id("stColumn").first).to_be_visible()
    page.wait_for_function("""() => {
        const main = document.querySelector('[data-testid=stMain]');
        const [one, other] = main.querySelector('[data-testid=stHorizontalBlock]:has(> [data-testid=stColumn])').children;
        return main.scrollWidth <= main.clientWidth && other.getBoundingClientRect().top >= one.getBoundingClientRect().bottom;
    }""")
