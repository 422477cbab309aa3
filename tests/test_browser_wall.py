"""The wall on a projector, while two pupils train in a lesson.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.page_latency import app
from core.actors import LOCAL, Actor
from core.lessons import Lesson, Step, keep_lesson
from core.presets import preset
from core.runs import Metric, RunStore
from tests.axe import wrong
from tests.helpers import tiny

pytestmark = pytest.mark.browser
CODE = "only the teacher knows"
# texts that can be seen, wherever they stand: what is written, how large, and where its box ends
TEXTS = """() => {
  const found = [], clipped = ['hidden', 'clip'];
  const walk = root => {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      const text = node.textContent.trim(), element = node.parentElement;
      if (!text || ['STYLE', 'SCRIPT', 'NOSCRIPT'].includes(element.tagName)) continue;
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (box.width > 1 && box.height > 1)  // else it is for screen readers alone
        found.push({ text, size: parseFloat(getComputedStyle(element).fontSize), left: box.left, top: box.top,
                     right: box.right, bottom: box.bottom });
    }
    for (const element of root.querySelectorAll('*')) if (element.shadowRoot) walk(element.shadowRoot);
  };
  walk(document.body);
  return found;
}"""


def pupil(context: BrowserContext, address: str, name: str) -> Page:
    """Somebody who comes by the link, says who they are and trains."""
    page = context.new_page()
    page.goto(address)
    page.get_by_role("button", name="Name on the wall").click()
    page.get_by_role("textbox", name="Name on the wall").fill(name)
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("This is your name on the wall.").filter(visible=True).first).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    expect(page).to_have_url(re.compile("run=[0-9a-f]{32}"))
    return page


FITS = """() => [document.documentElement, document.querySelector('.stMain')].every(
    one => one.scrollHeight <= innerHeight && one.scrollWidth <= innerWidth)"""
CUT = """() => [...document.querySelectorAll('*')].map(one => one.shadowRoot?.querySelector('.wall')).find(one => one)
    .querySelectorAll('li.name').values().filter(one => one.textContent !== one.title || one.scrollWidth > one.clientWidth)
    .map(one => one.textContent).toArray()"""


def a_class_of_thirty(runs: Path, code: str) -> None:
    """Twenty-eight pupils more, who have trained, with names as long as can be."""
    store = RunStore(runs)
    for number in range(28):
        actor = Actor(f"{number:032x}", "visitor")
        config = tiny(training__seed=number, training__device="cuda")  # which the app's worker leaves to others
        run_id = store.as_actor(actor).in_lesson(code).create(config, actor.key)
        store.as_actor(actor).keep_name(code, actor.key, f"Maria-Theresia E. {number}")
        assert store.claim("test", ["cuda"])
        store.record(run_id, [Metric("validation_accuracy", 1, number / 30)], step=1, epoch=1, validation_accuracy=number / 30)
        store.finish(run_id, "finished")
    store.close()


def one_who_pauses(runs: Path, code: str) -> None:
    """With a name, and a run that stays before its first step, as nobody waits behind it."""
    store, actor = RunStore(runs), Actor("e" * 32, "visitor")
    store.as_actor(actor).in_lesson(code).create(preset("digits-quick").config, actor.key, paused=True)
    store.as_actor(actor).keep_name(code, actor.key, "Cleo")
    store.close()


def test_a_class_is_seen_on_the_wall(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_MODE", "hosted")
    monkeypatch.setenv("PLAYGROUND_TEACHER", CODE)
    code, begun = (keep_lesson(Lesson(title=f"Class {name}", steps=(Step(page="train_model"),)), tmp_path, LOCAL)
                   for name in ("7b", "7c"))
    teacher, ann, ben = (browser.new_context(viewport={"width": width, "height": height}) for width, height in (
        (1920, 1080), (1280, 900), (390, 844)))
    with app(tmp_path) as port:
        home = f"http://127.0.0.1:{port}/"
        lesson = f"{home}train_model?lesson={code}&step=1"
        seat = teacher.new_page()
        seat.goto(f"{home}lesson_wall?wall={code}")
        expect(seat.get_by_text("Only the teacher can open the wall of a lesson.")).to_be_visible()
        seat.get_by_role("button", name="Teacher").click()
        seat.get_by_label("The teacher's code").fill(CODE)
        seat.get_by_role("button", name="Come in").click()
        expect(seat.get_by_text("Point your camera")).to_be_visible()
        expect(seat.get_by_role("img", name="QR code of")).to_be_visible()
        expect(seat.get_by_text(code, exact=True)).to_be_visible()
        pupil(ann, lesson, "Ann <b>A</b>")
        wall = seat.locator(".wall")
        expect(wall.get_by_role("listitem").filter(has_text="Ann <b>A</b>")).to_be_visible()
        pupil(ben, lesson, "Ben")
        expect(wall.locator(".group.done li.name")).to_have_text(["Ann <b>A</b>", "Ben"])
        expect(wall.locator(".dot")).to_have_count(2)
        expect(wall.locator("path")).to_have_count(2)

        texts = [one for one in seat.evaluate(TEXTS) if one["text"] != "Skip to main content"]  # seen by keyboards alone
        assert {"Class 7b", code, "Best validation accuracy, by order of their start"} <= {one["text"] for one in texts}
        assert [one for one in texts if one["size"] < 28] == []
        assert next(one["size"] for one in texts if one["text"] == "runs") * 2 < max(one["size"] for one in texts)
        assert [one for one in texts if not (0 <= one["left"] <= one["right"] <= 1920 and
                                             one["top"] >= 0 and one["bottom"] <= 1080)] == []
        assert seat.evaluate("[document.documentElement, document.querySelector('.stMain')].every("
                             "one => one.scrollHeight <= 1080 && one.scrollWidth <= 1920)")

        a_class_of_thirty(tmp_path, code)
        expect(wall.locator(".dot")).to_have_count(30)
        for width, height in ((1920, 1080), (1366, 768), (1280, 900)):
            seat.set_viewport_size({"width": width, "height": height})
            expect(wall.locator("li.name").filter(visible=True)).to_have_count(30)
            seat.wait_for_function(FITS)
            assert seat.evaluate(CUT) == []
        seat.set_viewport_size({"width": 1920, "height": 1080})
        for scheme in ("light", "dark"):
            seat.emulate_media(color_scheme=scheme)
            assert not wrong(seat)
        one_who_pauses(tmp_path, begun)
        seat.goto(f"{home}lesson_wall?wall={begun}")  # where nobody is done yet, names are there all the same
        expect(wall.locator("li.name")).to_have_text(["Cleo"])
        expect(wall.locator("li.name").filter(visible=True)).to_have_count(1)
        seat.goto(f"{home}lesson_wall?wall={code}")
        seat.get_by_text("Hide names").click()
        expect(wall.locator(".group.done li.name")).to_have_text([f"visitor {number}" for number in range(1, 31)])
        expect(seat.get_by_text("Ben")).to_have_count(0)
        seat.set_viewport_size({"width": 390, "height": 844})
        expect(wall.locator(".dot").first).to_be_visible()
        assert seat.evaluate("document.querySelector('.stMain').scrollWidth") <= 390
    for context in (teacher, ann, ben):
        context.close()
