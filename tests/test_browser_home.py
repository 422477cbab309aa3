"""Home in a real browser, on a fresh runs folder: draw, train, watch the right bar win, reload in the middle, go on.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from benchmarks.page_latency import app
from tests.browser import by_mouse, by_touch, in_menu
from tests.helpers import wait_until
from tests.strokes import STROKES
from tests.touch import too_small

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
FIRST = ["Undo", "Clear", "Train my own", "Try a test image"]
LAST = ["Draw another", "Why?", "Look inside", "Train again", "Better with MNIST"]


@pytest.fixture(scope="module")
def address(places: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with a training process, a runs folder of its own and no MNIST."""
    with app(tmp_path_factory.mktemp("home-runs")) as port:
        yield f"http://127.0.0.1:{port}"


def opened(tabs, address: str, size: str) -> Page:
    width, height = SIZES[size]
    page = tabs(width, size == "phone")
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    expect(page.get_by_role("button", name="Train my own")).to_be_visible()
    expect(page.get_by_role("heading", name="Draw a digit")).to_be_visible()
    return page


def write(page: Page, digit: int) -> None:
    expect(page.locator("canvas.upper-canvas")).to_have_count(1)  # a new sheet and the one before are there for a moment
    stroke = by_touch if page.viewport_size == {"width": 390, "height": 844} else by_mouse
    for _, points in STROKES[digit][0]:
        stroke(page, points)


def press(page: Page, name: str) -> None:
    button = page.get_by_role("button", name=name)
    button.tap() if page.viewport_size == {"width": 390, "height": 844} else button.click()


def why(page: Page) -> str:
    """What the dialog says, which is asked for where it isn't open: the last of a stroke, on its way on a busy machine, closes
    it."""
    said = "document.querySelector('[role=dialog]')?.innerText ?? ''"
    if not page.evaluate(said):
        press(page, "Why?")
        page.wait_for_timeout(2000)
    return page.evaluate(said)


def on_screen(page: Page, *parts: Locator) -> None:
    """All of it stands above the fold, without scrolling."""
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == 0
    size = page.viewport_size
    for part in parts:
        expect(part).to_be_visible()
        box = part.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"] + 0.5, part
        assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"] + 0.5, part


def first_screen(page: Page) -> list[Locator]:
    """The sheet, the bars, the picture and the steps."""
    steps = [page.get_by_role("link", name=name) for name in ("1. Data", "2. Build", "3. Train", "4. Draw")]
    return [*(page.locator(part) for part in ("canvas.upper-canvas", ".lines", ".picture", ".source")), *steps]


def winning(page: Page) -> str:
    """The class of the marked bar."""
    return page.locator(".line.best .name").inner_text() if page.locator(".line.best").count() else ""


def trained(page: Page) -> None:
    """When its run has ended: on a busy machine, and behind another one, that takes minutes."""
    expect(page.get_by_role("button", name="Draw another")).to_be_visible(timeout=400_000)


def heights(page: Page) -> list[float]:
    return [page.locator(part).bounding_box()["y"] for part in ("canvas.upper-canvas", ".lines", ".picture", ".curve")]


@pytest.mark.parametrize("size", SIZES)
def test_the_first_screen_holds_it_all_and_a_recording_plays(address: str, tabs, size: str):
    page = opened(tabs, address, size)
    on_screen(page, page.get_by_role("heading", name="See a neural network learn"), *first_screen(page),
              *(page.get_by_role("button", name=name) for name in FIRST))
    lines = page.get_by_role("heading", name="See a neural network learn").evaluate("""title => {
        const range = document.createRange(); range.selectNodeContents(title);
        return new Set([...range.getClientRects()].filter(box => box.width > 60).map(box => Math.round(box.top))).size; }""")
    assert lines == 1
    sheet, bars = (page.locator(part).bounding_box() for part in ("canvas.upper-canvas", ".lines"))
    if size == "phone":
        assert sheet["y"] + sheet["height"] < bars["y"] < sheet["y"] + sheet["height"] + 100, "right under it"
    else:
        assert sheet["x"] + sheet["width"] < bars["x"] and abs(sheet["y"] - bars["y"]) < 100, "beside it"
    label = page.locator(".label span")
    expect(label).to_contain_text("Recording: Digits")
    expect(page.get_by_role("button", name="Play again")).to_be_visible()  # it has played once
    assert size != "phone" or too_small(page) == []
    last = label.inner_text()
    assert page.locator("figure.right").count() >= 9 and "step" in last
    page.get_by_role("button", name="Play again").click()
    wait_until(lambda: label.inner_text() != last, lambda: last)
    expect(page.get_by_role("button", name="Play again")).to_be_visible()
    assert label.inner_text() == last and page.locator(".picture").get_attribute("aria-label").startswith("Ten examples")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


def test_with_reduced_motion_the_recording_stands_on_its_last_picture(address: str, tabs):
    moving = opened(tabs, address, "desktop")
    expect(moving.get_by_role("button", name="Play again")).to_be_visible()
    last = moving.locator(".label span").inner_text()
    page = tabs(1280)
    page.emulate_media(reduced_motion="reduce")
    page.goto(address)
    label = page.locator(".label span")
    expect(label).to_have_text(last)
    page.evaluate("""() => { const label = document.querySelector('.label span') ?? [...document.querySelectorAll('*')]
        .map(e => e.shadowRoot?.querySelector('.label span')).find(Boolean); window.changes = 0;
        new MutationObserver(() => window.changes++).observe(label, {childList: true, characterData: true, subtree: true}); }""")
    page.wait_for_timeout(500)
    assert page.evaluate("changes") == 0 and page.get_by_role("button", name="Play again").count() == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_drawing_is_learned_before_ones_eyes(address: str, tabs, size: str):
    """By mouse on a desktop, by finger on a phone."""
    page = opened(tabs, address, size)
    write(page, 3)
    expect(page.get_by_role("heading", name="It says: 3")).to_be_visible()  # the shipped network
    expect(page.locator(".source")).to_contain_text("it may be wrong")
    before = heights(page)

    press(page, "Train my own")
    expect(page.locator(".label span")).to_contain_text("Training on Digits")
    expect(page.locator(".watched")).to_be_visible()
    assert heights(page) == before, "nothing jumps when it begins"
    on_screen(page, *first_screen(page), page.get_by_role("button", name="Stop"))
    seen: set[str] = set()
    label, value = page.locator(".label span"), page.locator(".line .value").nth(3)
    wait_until(lambda: seen.add(value.inner_text()) or len(seen) > 3, lambda: seen)  # its bar moves
    run = re.search(r"run=([0-9a-f]{32})", page.evaluate("location.href"))[1]

    page.reload()  # in the middle
    expect(label).to_contain_text(re.compile("Training on|Trained on"))
    expect(page.locator(".watched")).to_be_visible()
    trained(page)
    assert run in page.evaluate("location.href")
    expect(label).to_contain_text("Trained on Digits")
    expect(page.get_by_role("heading", name="It says: 3")).to_be_visible()
    assert winning(page) == "3"
    expect(page.locator(".source")).to_contain_text("This network")
    assert heights(page) == before, "nor when it ends"
    on_screen(page, *first_screen(page), *(page.get_by_role("button", name=name) for name in LAST))

    press(page, "Draw another")  # and go on
    expect(page.get_by_role("heading", name="Draw a digit")).to_be_visible()
    write(page, 7)
    expect(page.get_by_role("heading", name="It says: 7")).to_be_visible()
    expect(page.locator(".source")).to_contain_text("This network")
    wait_until(lambda: "It says 7" in why(page), lambda: why(page))
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_by_keyboard_a_test_image_takes_the_drawings_place(address: str, tabs):
    page = opened(tabs, address, "desktop")

    def to(name: str) -> None:
        button = page.get_by_role("button", name=name)
        wait_until(lambda: page.keyboard.press("Tab") or button.evaluate("one => one === document.activeElement"), lambda: name)
        page.keyboard.press("Enter")

    to("Try a test image")
    expect(page.locator(".watched")).to_be_visible()
    source = page.locator(".source")
    expect(source).to_contain_text("A test image of Digits (scikit-learn): ")
    digit = re.search(r": (\d)\.", source.inner_text())[1]
    to("Train my own")
    expect(source).to_contain_text(f"takes its place: {digit}.")
    trained(page)
    expect(page.get_by_role("heading", name="It says: ")).to_be_visible()
    to("Why?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_two_visitors_at_once_see_each_their_own(address: str, tabs):
    """The second one's run waits for the first one's, and both bars win."""
    both = [opened(tabs, address, "desktop") for _ in range(2)]
    for page, digit in zip(both, (7, 0), strict=True):
        write(page, digit)
        expect(page.get_by_role("heading", name=f"It says: {digit}")).to_be_visible()
        press(page, "Train my own")
    for page, digit in zip(both, (7, 0), strict=True):
        trained(page)
        expect(page.get_by_role("heading", name=f"It says: {digit}")).to_be_visible()
    runs = {re.search(r"run=([0-9a-f]{32})", page.evaluate("location.href"))[1] for page in both}
    assert len(runs) == 2


def test_a_visitor_who_leaves_while_it_trains_finds_it_again(address: str, tabs):
    page = tabs(1280)
    looks, sockets = [], []

    def listen(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(server)

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, bytes) and BackMsg.FromString(message).rerun_script.is_auto_rerun:
                looks.append(message)
            server.send(message)

        socket.on_message(pass_on)

    page.route_web_socket(re.compile("_stcore/stream"), listen)
    page.goto(address)
    expect(page.get_by_role("button", name="Train my own")).to_be_visible()
    write(page, 0)
    press(page, "Train my own")
    expect(page.locator(".label span")).to_contain_text("Training on Digits")
    wait_until(lambda: page.wait_for_timeout(20) or looks, lambda: "the page never looks at its run")
    page.get_by_role("link", name="1. Data").click()
    for _ in range(40):  # Home's looks that the server hears of too late
        page.wait_for_timeout(10)
        sockets[-1].send(looks[-1])
    expect(page.get_by_role("heading", name="Explore data")).to_be_visible()
    expect(in_menu(page, "Home")).to_be_visible()
    in_menu(page, "Home").click()
    expect(page.locator(".watched")).to_be_visible()
    trained(page)
    expect(page.get_by_role("heading", name="It says: 0")).to_be_visible()


def test_the_menus_links_are_links_and_a_preset_starts_by_keyboard(address: str, tabs):
    page = opened(tabs, address, "desktop")
    there = page.evaluate("location.href")
    link = in_menu(page, "Train model")
    assert link.evaluate("one => one.href") == f"{address}/train_model", "so it can be opened in another tab"
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Train model", exact=True)).to_be_visible()
    expect(page.locator("[aria-current=page]")).to_have_text(re.compile("Train model"))
    page.go_back()  # one step
    expect(page.get_by_role("button", name="Train my own")).to_be_visible()
    assert page.evaluate("location.href") == there

    in_menu(page, "Tensors").click()
    page.get_by_role("radio", name="Join").or_(page.get_by_role("button", name="Join")).first.click()
    expect(page).to_have_url(f"{address}/learn_tensors?tensors.topic=Join")
    in_menu(page, "Home").click()  # nothing has been trained: an address without any parameter
    expect(page.get_by_role("button", name="Train my own")).to_be_visible()
    expect(page).to_have_url(re.compile(f"{address}/?$"))

    notes = page.get_by_text("Where well-known notes differ").first
    expect(notes).to_be_visible()
    notes.click()
    expect(page.get_by_role("listitem").filter(has_text="They").first).to_be_visible()
    page.get_by_role("button", name="Train: Linear regression").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Train model", exact=True)).to_be_visible()
    run = re.search(r"run=([0-9a-f]{32})", page.evaluate("location.href"))[1]
    expect(in_menu(page, "Home")).to_have_attribute("href", f"/?run={run}")
    in_menu(page, "Home").click()
    expect(page.get_by_role("heading", name="See a neural network learn")).to_be_visible()
