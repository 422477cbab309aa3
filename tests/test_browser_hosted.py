"""A server that many use, in real browsers: two visitors and a teacher, and a server that is started anew.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.page_latency import app, app_process, free_port
from core.actors import NOT_YOURS
from core.visitors import OLD_COOKIE, cookie_name, signing_key
from tests.oidc_provider import PEOPLE, provider

pytestmark = pytest.mark.browser
CODE = "only the teacher knows"


def cookie(context: BrowserContext) -> str:
    return next(one.get("value", "") for one in context.cookies() if one.get("name", "").startswith(OLD_COOKIE))


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
        hers.wait_for_function(f"document.cookie.includes('{OLD_COOKIE}')")
        link, key = hers.url, cookie(ann)
        assert key[:32] not in hers.content() and key[:32] not in link
        his = opened(ben, link, "Train model")  # on a phone, whose menu is folded away
        expect(his.get_by_text(NOT_YOURS).filter(visible=True).first).to_be_visible()
        expect(his.get_by_role("button", name="Use its settings").filter(visible=True).first).to_be_visible()
        his.goto(compare)
        expect(his.get_by_text("There are no runs yet")).to_be_visible()
        his.wait_for_function(f"document.cookie.includes('{OLD_COOKIE}')")
        assert cookie(ben) != key
        expect(opened(ann, compare, "Compare runs").get_by_text(re.compile("^1 run"))).to_be_visible()  # another tab of hers
        seat = opened(teacher, compare, "Compare runs")
        seat.wait_for_function(f"document.cookie.includes('{OLD_COOKIE}')")
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
        forged = key[:-1] + ("0" if key[-1] != "0" else "1")
        ann.add_cookies([{"name": cookie_name(signing_key(tmp_path)), "value": forged, "url": compare}])
        expect(opened(ann, compare, "Compare runs").get_by_text("There are no runs yet")).to_be_visible()
    for context in (ann, ben, teacher):
        context.close()


def test_signing_in_with_a_provider(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a provider vouches for is the same visitor in another browser; the link that one came with is opened after it."""
    monkeypatch.setenv("PLAYGROUND_MODE", "hosted")
    monkeypatch.setenv("PLAYGROUND_TEACHER", CODE)
    port, file = free_port(), tmp_path / "secrets.toml"
    here = f"http://127.0.0.1:{port}"

    def comes(who: str, address: str, heading: str) -> Page:
        page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
        page.goto(address)
        page.get_by_role("button", name="Sign in with School").click()
        page.get_by_role("link", name=who).click()
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        expect(page.get_by_text(f"Signed in as {PEOPLE[who]}", exact=True)).to_be_visible()
        return page

    with provider() as school:
        file.write_text(school.secrets_toml(port, "school"), encoding="utf-8")
        with app_process(tmp_path / "runs", options=["--secrets.files", str(file)], port=port):
            hers = comes("ann", f"{here}/train_model?preset=digits-quick", "Train model")
            expect(hers).to_have_url(re.compile("train_model.*preset=digits-quick"))
            hers.get_by_role("button", name="Start training").click()
            expect(hers).to_have_url(re.compile("run=[0-9a-f]{32}"))
            link = hers.url
            again = comes("ann", f"{here}/compare_runs", "Compare runs")  # in a browser that knows nothing of her
            expect(again.get_by_text(re.compile("^1 run"))).to_be_visible()
            his = comes("ben", link, "Train model")
            expect(his.get_by_text(NOT_YOURS).filter(visible=True).first).to_be_visible()
            beside = opened(again.context, f"{here}/explore_data", "Explore data")  # another tab of that browser
            again.get_by_role("button", name="Sign out").click()
            for tab in (again, beside):
                expect(tab.get_by_role("button", name="Sign in with School")).to_be_visible()
            assert school.signed_out == 1
            again.goto(f"{here}/compare_runs")
            expect(again.get_by_role("button", name="Sign in with School")).to_be_visible()
            beside.get_by_role("button", name="Sign in with School").click()
            beside.get_by_role("link", name="ann").click()
            for tab, heading in ((beside, "Explore data"), (again, "Compare runs")):
                expect(tab.get_by_role("heading", name=heading, level=1)).to_be_visible()
            for page in (hers, again, his):
                page.context.close()
