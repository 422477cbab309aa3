"""The 2-D lab in a real browser: what stands on its first screen, and every picture of a run drawn in its order.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from benchmarks.page_latency import app
from core.figures.plane import message
from core.labs.decision_boundary import plane_points
from core.runs import RunStore
from core.training import PlaneWatcher, prepare
from core.training.plane import PLANE
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.widgets import plane
from tests.helpers import wait_until

pytestmark = pytest.mark.browser
SHORT = "training.epochs=40"


@pytest.fixture(scope="module")
def runs(places: Path) -> Path:
    return places / "browser-plane"


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with app(runs) as port:
        yield f"http://127.0.0.1:{port}/learn_decision_boundary"


def opened(page: Page, address: str, height: int = 900) -> Page:
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.goto(address)
    expect(page.get_by_role("button", name="What to try next")).to_be_attached()
    page.wait_for_function("() => document.querySelectorAll('[data-testid=stSkeleton]').length === 0")
    expect(page.locator(".plane .now")).to_contain_text("Epoch")
    return page


def view(page: Page, what: str) -> Any:
    """Something of the component that draws: an expression of `view`."""
    return page.locator(".plane").evaluate(f"root => {{ const view = root.view; return {what}; }}")


def bottom(element: Locator) -> float:
    box = element.bounding_box()
    return box["y"] + box["height"]


def test_picture_network_and_main_controls_stand_on_the_first_screen(address, tabs):
    page = opened(tabs(1280), address)
    plane, network = page.locator(".plane .big"), page.locator(".plane .net")
    assert plane.bounding_box()["width"] >= 450 and bottom(plane) <= 900 and bottom(network) <= 900
    assert network.bounding_box()["x"] + network.bounding_box()["width"] <= plane.bounding_box()["x"]
    main = page.locator(".st-key-plane-stage")
    for label in ("Learning rate", "Activation", "Noise", "Hidden layers", "Speed (epochs a second)"):
        assert bottom(main.get_by_text(label, exact=True).first) <= 900, label
    for name in ("Start", "Step by step", "Circle", "XOR", "Spirals", "Hills"):
        assert bottom(main.get_by_role("button", name=name, exact=True)) <= 900, name
    assert bottom(page.get_by_text("Predict before you try.")) > bottom(plane), "the question stands below"
    behind = page.get_by_role("button", name="Inputs and units")
    assert bottom(behind) <= 900
    behind.click()
    units = page.get_by_role("spinbutton", name="Units 1")
    units.fill("3")
    units.press("Enter")
    expect(page).to_have_url(re.compile(r"model\.hidden=3"))
    expect(units).to_have_value("3")
    page.get_by_role("button", name="x₁·x₂").click()
    expect(page).to_have_url(re.compile(r"data\.features=x1(,|%2C)x2(,|%2C)x1"))
    page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_on_a_phone_the_picture_comes_first(address, tabs):
    page = opened(tabs(390, touch=True), address, 844)
    plane = page.locator(".plane .big")
    assert plane.bounding_box()["width"] >= 340 and bottom(plane) <= 844
    for below in (page.get_by_text("Learning rate", exact=True), page.locator(".plane .net"),
                  page.get_by_role("button", name="XOR", exact=True)):
        assert below.first.bounding_box()["y"] > bottom(plane)
    assert bottom(page.get_by_role("button", name="Start", exact=True)) < plane.bounding_box()["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def finished(page: Page) -> str:
    """Start a run, wait for its end, and return its id."""
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text(re.compile("^.*Finished after 40 epochs"))).to_be_visible()
    expect(page.locator(".plane .now")).to_contain_text("Epoch 40, step 400")
    return re.search("run=([0-9a-f]{32})", page.url)[1]


def test_all_pictures_of_a_run_are_played_in_their_order(address, runs, tabs):
    page = opened(tabs(1280), f"{address}?{SHORT}")
    run_id = finished(page)
    kept = list(RunStore(runs).look_times(run_id, PLANE))
    assert {0, 1, 400} <= set(kept), "by the clock there are more"
    first, *drawn = view(page, "view.drawn")
    assert first == 0, "of the first weights, before there was a run"
    assert drawn == sorted(set(drawn)) and drawn[-1] == kept[-1], "live: in order, none twice, to the last one"
    assert view(page, "view.history.map(picture => picture.step)") == kept
    play = page.get_by_role("button", name="Play", exact=True)
    page.locator(".plane .slider").evaluate("slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    expect(page.locator(".plane .now")).to_contain_text("Epoch 0")
    before = view(page, "view.drawn.length")
    play.click()
    expect(page.locator(".plane .now")).to_contain_text("Epoch 40, step 400")
    expect(play).to_be_visible()
    assert view(page, "view.drawn")[before:] == kept, "again: each one, and none twice"
    slider = page.locator(".plane .slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert view(page, "view.at.step") == kept[-2] and f"step {kept[-2]}" in slider.get_attribute("aria-valuetext")


def test_another_browser_sees_the_same(address, tabs):
    asked = f"{address}?{SHORT}&data.dataset=moons&model.hidden=3,2&training.seed=4"
    page = opened(tabs(1280), asked)
    first = view(page, "[[...view.at.weights], [...view.at.answer]]")
    other = opened(tabs(1280), page.url)
    assert view(other, "[[...view.at.weights], [...view.at.answer]]") == first
    finished(page)
    last = view(page, "[[...view.at.weights], [...view.at.answer]]")
    assert last != first
    other = opened(tabs(1280), page.url)
    expect(other.locator(".plane .now")).to_contain_text("Epoch 40")
    assert view(other, "[[...view.at.weights], [...view.at.answer]]") == last


@pytest.mark.parametrize(("each", "apart"), [(8, 200), (12, 300)], ids=["40 a second", "slow messages"])
def test_pictures_are_played_evenly_and_soon(tabs, each, apart):
    """The component alone, by a clock that the test moves: messages of so many pictures, so many ms apart."""
    page, config = tabs(1280, alone=True), plane_config.FIRST
    data, model = prepare(config, Path("no files needed"))
    seen = PlaneWatcher(config, data, torch.device("cpu")).look(model, 0, 1, 0.0, 0.0)
    about = plane.content(config, data, plane_points(config), 1.0, plane.Shown())
    page.clock.install(time=0)
    page.set_content(f"<style>{plane.CSS}</style>{plane.HTML}")
    page.evaluate("""async code => {
        const module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
        window.send = bytes => module.default({parentElement: document.body, data: Uint8Array.from(bytes), setTriggerValue() {}});
    }""", (Path(plane.__file__).parent / "plane.js").read_text(encoding="utf-8"))
    page.clock.pause_at(1000)
    shown: list[tuple[int, int]] = []  # at which ms, which step
    for number in range(10):
        steps = range(number * each, (number + 1) * each)
        sent = message(about | {"run": "a", "going": True, "whole": False, "changes": 0},
                       [replace(seen, step=step) for step in steps])
        page.evaluate("bytes => send(bytes)", list(sent))
        for moment in range(0, apart, 20):
            page.clock.run_for(20)
            shown.append((apart * number + moment + 20, view(page, "view.at.step")))
    gap = apart / each  # ms between two pictures: one of step n is made at n·gap, and sent at the end of its message's time
    drawn = view(page, "view.drawn")
    assert drawn == list(range(each - 1, drawn[-1] + 1)) and drawn[-1] >= 8 * each, "all after the first message, in order"
    assert view(page, "view.passed") == each - 1, "of the first message the newest one alone"
    for now, step in shown[-1 - 10 * apart // 20:]:
        assert now + apart - step * gap <= 500, f"step {step}"
    moved = [later - earlier for (_, earlier), (_, later) in zip(shown[30:], shown[31:], strict=False)]
    assert max(moved) <= 2, "never by a leap"


def test_without_motion_only_the_newest_picture_is_shown(address, tabs):
    page = tabs(1280)
    page.emulate_media(reduced_motion="reduce")
    opened(page, f"{address}?{SHORT}&training.seed=7")
    finished(page)
    assert view(page, "view.mixed === undefined && view.queue.length === 0 && !view.frame"), "nothing between two pictures"
    assert "Epoch 40" in page.locator(".plane .big").get_attribute("aria-label")


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_has_a_name_and_can_be_reached(address, tabs, width):
    page = opened(tabs(width), address)
    found = Axe().run(page).response
    bad = [(entry["id"], node["html"][:100]) for entry in found["violations"] for node in entry["nodes"]]
    # axe takes it for a skip link only where the links after it are not in a component's own tree, as the menu's are
    assert found["passes"] and [one for one in bad if "stSkipToContent" not in one[1]] == []


def point_at_a_line(page: Page) -> tuple[float, float]:
    """Where a line leaves the first input, found as a person finds it: its weight is said."""
    box = page.locator(".plane .net").bounding_box()
    for x in range(int(0.15 * box["width"]), int(0.8 * box["width"]), 2):
        page.mouse.move(box["x"] + x, box["y"] + 57)  # the middle of the first input
        if page.locator(".plane .caption").inner_text().startswith("Weight from x₁"):
            return box["x"] + x, box["y"] + 57
    raise AssertionError("no line is there")


def test_a_weight_is_set_at_its_line_while_the_run_is_paused(address, tabs, runs):
    """A click opens a field there, Escape leaves all as it was, Enter sets it: the picture of the same step shows it, the run
    says so, and so do the reloaded page and the script."""
    page = opened(tabs(1280), f"{address}?{SHORT}")
    page.get_by_role("button", name="Step by step", exact=True).click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    field = page.locator(".plane input.weight")
    expect(page.locator(".plane .caption")).to_contain_text("click a line to set its weight")
    before = page.locator(".plane .now").inner_text()
    assert before.startswith("Epoch 0, step 0")
    line = point_at_a_line(page)
    page.mouse.click(*line)
    expect(field).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("9")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    page.mouse.click(*line)
    expect(field).to_be_focused()
    link = view(page, "view.chosen")
    page.keyboard.press("Control+a")
    page.keyboard.type("-3.5")
    page.keyboard.press("Enter")
    expect(field).to_be_hidden()
    expect(page.get_by_text("Changed by hand: 1 change")).to_be_attached()
    shown = f"view?.at?.step === 0 && view.weight(view.at.weights, ...{link}) === -3.5"
    wait_until(lambda: view(page, shown), lambda: page.locator(".plane .now").inner_text())
    expect(page.locator(".plane .now")).not_to_have_text(before)
    run_id = page.url.partition("run=")[2][:32]
    store = RunStore(runs)
    done, = store.interventions(run_id)
    assert (done.step, done.layer, done.row, done.column, done.after) == (0, f"fc{link[0] + 1}", link[1], link[2], -3.5)
    page.reload()
    expect(page.get_by_text("Changed by hand: 1 change")).to_be_attached()
    wait_until(lambda: view(page, shown), lambda: page.locator(".plane .now").inner_text())
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped", exact=False).filter(visible=True).first).to_be_visible()
    store.close()


def test_a_weight_is_set_by_keyboard(address, tabs, runs):
    page = opened(tabs(1280), f"{address}?{SHORT}&training.seed=5")
    page.get_by_role("button", name="Step by step", exact=True).click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    choice = page.get_by_role("combobox", name="Set a weight by hand")
    expect(choice).to_be_enabled()
    choice.focus()
    page.keyboard.type("bias of the out")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    value = page.get_by_label("Its value")
    value.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("0.75")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Changed by hand: 1 change")).to_be_attached()
    store = RunStore(runs)
    done, = store.interventions(page.url.partition("run=")[2][:32])
    assert (done.layer, done.row, done.column, done.after) == ("fc2", 0, None, 0.75)
    store.close()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped", exact=False).filter(visible=True).first).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_picture_keeps_its_place_whatever_the_run_does(address, tabs, width):
    page = opened(tabs(width), f"{address}?training.seed={width}&plane.speed=1+epoch/s")
    plane = page.locator(".plane .big")

    def place() -> tuple[float, float]:
        buttons, box = page.locator(".st-key-plane-buttons").bounding_box(), plane.bounding_box()
        return box["y"] - buttons["y"], page.locator(".plane .legend").bounding_box()["y"] - box["y"]

    before = place()
    page.get_by_role("button", name="Start", exact=True).click()
    for press, then in (("Pause", "Go on"), ("Stop", "Start again")):
        page.get_by_role("button", name=press, exact=True).click()
        expect(page.get_by_role("button", name=then, exact=True)).to_be_visible()
        expect(page.locator(".plane .replay")).to_be_attached()
        assert place() == before, then


def test_a_weight_that_can_not_be_is_said_below_the_network(address, tabs):
    page = opened(tabs(1280), f"{address}?training.seed=5&plane.speed=1+epoch/s")
    page.get_by_role("button", name="Step by step", exact=True).click()
    expect(page.get_by_role("button", name="One step", exact=True)).to_be_visible()
    expect(page.locator(".plane .caption")).to_contain_text("click a line")
    x, y = page.locator(".plane").evaluate("""root => { let found;
        root.view.links(root.view.at.weights, (layer, to, from, a, b) => {
            if (!layer && to === 2 && from === 1) found = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]; }); return found; }""")
    page.locator(".plane .net").click(position={"x": x, "y": y})
    field, said = page.locator(".plane .weight"), page.locator(".plane .caption")
    before = page.locator(".plane .big").bounding_box()
    for wrong in ("1e9", ""):
        field.fill(wrong)
        field.press("Enter")
        expect(said).to_have_text("A number from −10,000 to 10,000, please.")
        expect(field).to_be_visible()
        field.press("0")
        expect(said).not_to_contain_text("please")
    assert page.locator(".plane .big").bounding_box() == before
    field.fill("2.5")
    field.press("Enter")
    expect(page.get_by_text("Changed by hand: 1 change")).to_be_visible()
    expect(field).to_be_hidden()
