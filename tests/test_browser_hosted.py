"""A server that many use, in real browsers: two visitors and a teacher, and a server that is started anew.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.page_latency import app
from core.actors import NOT_YOURS
from pages.parts.shell.visitor import COOKIE_NAME

pytestmark = pytest.mark.browser
CODE = "only the teacher knows"


def cookie(context: BrowserContext) -> str:
    return next(one.get("value", "") for one in context.cookies() if one.get("name") == COOKIE_NAME)


def opened(context: BrowserContext, address: str, heading: str) -> Page:
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
    return page


def test_two_visitors_and_a_teacher(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_MODE", "hosted")
    monkeypatch.setenv("PLAYGROUND_TEACHER", CODE)
    ann, ben, teacher = (browser.new_context(viewport={"width": width, "height": 1000}) for width in (1280, 390, 1280))
    with app(tmp_path) as port:
        train, compare = (f"http://127.0.0.1:{port}/{name}" for name in ("train_model", "compare_runs"))
        hers = opened(ann, train, "Train model")
        hers.get_by_role("button", name="Start training").click()
        expect(hers).to_have_url(re.compile("run=[0-9a-f]{32}"))
        hers.wait_for_function(f"document.cookie.includes('{COOKIE_NAME}')")
        link, key = hers.url, cookie(ann)
        assert key[:32] not in hers.content() and key[:32] not in link
        his = opened(ben, link, "Train model")  # on a phone, whose menu is folded away
        expect(his.get_by_text(NOT_YOURS).filter(visible=True).first).to_be_visible()
        expect(his.get_by_role("button", name="Use its settings").filter(visible=True).first).to_be_visible()
        his.goto(compare)
        expect(his.get_by_text("There are no runs yet")).to_be_visible()
        his.wait_for_function(f"document.cookie.includes('{COOKIE_NAME}')")
        assert cookie(ben) != key
        expect(opened(ann, compare, "Compare runs").get_by_text(re.compile("^1 run"))).to_be_visible()  # another tab of hers
        seat = opened(teacher, compare, "Compare runs")
        seat.wait_for_function(f"document.cookie.includes('{COOKIE_NAME}')")
        before = seat.evaluate("document.cookie")
        seat.get_by_role("button", name="Teacher").click()
        seat.get_by_label("The teacher's code").fill(CODE)
        seat.get_by_role("button", name="Come in").click()
        expect(seat.get_by_text("You are the teacher")).to_be_visible()
        expect(seat.get_by_text(re.compile("^1 run"))).to_be_visible()
        seat.wait_for_function("before => document.cookie !== before", arg=before)
    with app(tmp_path) as port:
        compare = f"http://127.0.0.1:{port}/compare_runs"
        expect(opened(ann, compare, "Compare runs").get_by_text(re.compile("^1 run"))).to_be_visible()
        assert cookie(ann) == key
        expect(opened(teacher, compare, "Compare runs").get_by_text("You are the teacher")).to_be_visible()
        ann.clear_cookies()
        ann.add_cookies([{"name": COOKIE_NAME, "value": key[:-1] + ("0" if key[-1] != "0" else "1"), "url": compare}])
        expect(opened(ann, compare, "Compare runs").get_by_text("There are no runs yet")).to_be_visible()
    for context in (ann, ben, teacher):
        context.close()
