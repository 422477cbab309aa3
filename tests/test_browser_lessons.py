"""Every lesson that ships, from beginning to end in a real browser; and a lesson that somebody makes, on another's phone."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from benchmarks.page_latency import app
from core.lessons import Lesson, shipped_lessons
from tests.browser import by_mouse
from tests.strokes import STROKES

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(places: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a free port, with a runs folder of its own and no MNIST."""
    with app(tmp_path_factory.mktemp("lesson-runs")) as port:
        yield f"http://127.0.0.1:{port}"


def bar(page: Page) -> Locator:
    return page.locator(".st-key-lesson-bar")


def onward(page: Page, label: str) -> None:
    page.get_by_role("navigation", name="Steps of the lesson").get_by_role("link", name=label).click()


def take(address: str, page: Page, name: str, done: dict[int, Callable[[], None]]) -> None:
    """Go through all steps; done: what is done on each, by its number."""
    lesson: Lesson = shipped_lessons()[name]
    page.goto(f"{address}/?lesson={name}")
    for number, step in enumerate(lesson.steps, start=1):
        expect(bar(page)).to_contain_text(f"{lesson.title} · step {number} of {len(lesson.steps)}")
        expect(bar(page)).to_contain_text(step.title)
        expect(page).to_have_url(re.compile(rf"/{step.page}\?.*lesson={name}&step={number}"))
        expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_count(len(lesson.pages))
        done.get(number, lambda: None)()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)
        if number < len(lesson.steps):
            onward(page, "Next")
    onward(page, "Finish the lesson")
    expect(page.get_by_role("heading", name="Lessons", exact=True)).to_be_visible()
    expect(bar(page)).to_have_count(0)


def train(page: Page) -> None:
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("finished in")).to_be_visible(timeout=120_000)


def fill(page: Page, name: str, value: str) -> None:
    field = page.get_by_role("spinbutton", name=name).first
    field.fill(value)
    field.press("Enter")


def test_look_at_the_data(address: str, page: Page):
    def batches() -> None:
        expect(page.get_by_role("radio", name="Batches")).to_be_checked()
        expect(page.get_by_role("radio", name="Transform")).to_have_count(0)

    take(address, page, "look-at-data", {
        1: lambda: expect(page.get_by_text("licence")).to_be_visible(), 3: batches})


def test_build_a_network(address: str, page: Page):
    def inside() -> None:
        expect(page.get_by_role("radio", name="Walk a sample through")).to_be_checked()

    take(address, page, "build-a-network", {
        1: lambda: expect(page.get_by_text("to 10 outputs")).to_be_visible(), 3: inside, 4: lambda: train(page)})


def test_train_it(address: str, page: Page):
    def first() -> None:
        expect(page.get_by_role("spinbutton", name="Seed")).to_be_disabled()
        fill(page, "Epochs", "1")
        train(page)

    def slow() -> None:
        fill(page, "Learning rate", "0.0001")
        expect(page.get_by_text("Settings: CNN 8-16")).to_be_visible()
        train(page)

    def fast() -> None:
        fill(page, "Learning rate", "0.1")
        train(page)

    take(address, page, "train-it", {1: first, 2: slow, 3: fast})


def test_test_it_with_your_own_hand(address: str, page: Page):
    def draw() -> None:
        page.locator("canvas").last.wait_for()
        page.wait_for_timeout(1000)  # the canvas takes its size after it appears
        for _, points in STROKES[7][0]:
            by_mouse(page, points)
        expect(page.get_by_role("heading", name="It says: 7")).to_be_visible()

    def why() -> None:
        expect(page.get_by_role("radio", name="Why this answer")).to_be_checked()
        expect(page.get_by_role("radio", name="Move, turn, stretch it")).to_have_count(0)

    take(address, page, "test-drawings", {1: lambda: train(page), 2: draw, 4: why})


def test_bend_a_line(address: str, page: Page):
    def start(layers: str) -> Callable[[], None]:
        def run() -> None:
            expect(page.get_by_role("spinbutton", name="Hidden layers")).to_have_value(layers)
            page.get_by_role("button", name=re.compile("^Start( again)?$")).click()
            page.get_by_role("button", name="Stop", exact=True).click()
            expect(page.get_by_role("button", name="Start again", exact=True)).to_be_visible()
        return run

    take(address, page, "bend-a-line", {1: start("0"), 2: start("1"), 3: start("1")})


def test_roll_downhill(address: str, page: Page):
    def on(topic: str) -> Callable[[], None]:
        return lambda: expect(page.get_by_role("radio", name=topic)).to_be_checked()

    take(address, page, "roll-downhill", {1: on("Watch it converge"), 2: on("Learning rate"), 3: on("Watch it converge")})


def test_a_lesson_is_made_and_opened_on_a_phone(address: str, page: Page, tabs: Callable[..., Page]):
    page.goto(f"{address}/open_lesson")
    page.get_by_role("textbox", name="Title").fill("For <b>7b</b>")
    page.get_by_role("textbox", name="Title").press("Enter")
    expect(page.get_by_text("For <b>7b</b> · step 1 of 2")).to_be_visible()
    page.get_by_role("button", name="Keep this lesson").click()
    link = page.locator("code", has_text="/explore_data?lesson=")
    expect(link).to_be_visible()

    phone = tabs(390, touch=True)
    phone.goto(link.inner_text())
    expect(bar(phone)).to_contain_text("For <b>7b</b> · step 1 of 2")
    expect(phone.get_by_role("heading", name="Explore data")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    onward(phone, "Next")
    expect(phone.get_by_role("heading", name="Train model")).to_be_visible()
    phone.reload()
    expect(bar(phone)).to_contain_text("step 2 of 2")
    phone.go_back()
    expect(bar(phone)).to_contain_text("step 1 of 2")
    expect(phone.get_by_role("heading", name="Explore data")).to_be_visible()


@pytest.mark.parametrize(("opened", "most"), [("?lesson=train-it", 3), ("train_model?lesson=train-it&step=1", 1),
                                              ("learn_decision_boundary?lesson=bend-a-line&step=1&model.hidden=none", 1)])
def test_back_leaves_a_lesson_that_a_link_has_opened(address: str, page: Page, opened: str, most: int):
    page.goto(f"{address}/learn_metrics")
    expect(page.get_by_role("heading", name="Metrics", exact=True)).to_be_visible()
    page.goto(f"{address}/{opened}")
    expect(bar(page)).to_contain_text("· step 1 of")
    expect(page).to_have_url(re.compile("step=1"))
    expect(page.get_by_role("button", name=re.compile("^Start"))).to_be_visible()
    before = f"{address}/learn_metrics"
    for _ in range(most):
        now = page.url
        page.evaluate("history.back()")
        expect(page).not_to_have_url(now)
        if page.url == before:
            break
    expect(page).to_have_url(before)
    expect(page.get_by_role("heading", name="Metrics", exact=True)).to_be_visible()


def test_back_is_one_press_from_the_start_and_from_the_end_of_a_lesson(address: str, page: Page):
    page.goto(f"{address}/open_lesson")
    page.get_by_role("button", name="Start: Train it").click()
    expect(bar(page)).to_contain_text("· step 1 of")
    onward(page, "Leave the lesson")
    expect(page.get_by_role("heading", name="Make a lesson")).to_be_visible()
    expect(bar(page)).to_have_count(0)
    page.go_back()
    expect(bar(page)).to_contain_text("· step 1 of")
    page.go_back()
    expect(page.get_by_role("heading", name="Make a lesson")).to_be_visible()
    expect(bar(page)).to_have_count(0)
