"""Compare runs in a real browser: a link shows somebody else the same, and the way back leads to what was there before.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from core.runs import RunStore
from tests.helpers import tiny, wait_until
from tests.test_side_by_side import made

pytestmark = pytest.mark.browser
ASKED = "selected=1-3&where=training.batch_size<=64&sort=test_accuracy&columns=status,test_accuracy,training.batch_size"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on four runs that have recorded curves, without training processes."""
    folder = tmp_path_factory.mktemp("compared-runs")
    store = RunStore(folder)
    for seed, size in ((0, 32), (1, 32), (0, 128), (0, 64)):
        made(store, tiny(training__seed=seed, training__batch_size=size), title=f"batches of {size}")
    store.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        with app(folder) as port:
            yield f"http://127.0.0.1:{port}"


def seen(page: Page) -> dict[str, object]:
    """What the page shows: the table's columns, rows and selection, filters, and what its controls say. The table is a canvas
    with a table for screen readers in it."""
    return page.evaluate("""() => {
        const all = (query, of) => [...document.querySelectorAll(query)].map(of);
        const chosen = element => element.getAttribute('aria-checked') || element.getAttribute('aria-pressed')
            || element.dataset.selected || '';
        return {
            columns: all('[data-testid=stDataFrame] [role=columnheader]', e => e.textContent),
            rows: all('[data-testid=stDataFrame] tbody [role=row]', e => [e.getAttribute('aria-selected'), e.textContent]),
            filters: all('[class*=st-key-compare-filter-] button', e => e.textContent),
            views: all('.st-key-compare-view button', e => [e.textContent, chosen(e)]),
            axis: all('.st-key-compare-axis button', e => [e.textContent, chosen(e)]),
            log: all('.st-key-compare-log input', e => e.checked),
            curves: all('.st-key-compare-metrics [data-baseweb=tag], .st-key-compare-metrics [role=option]', e => e.textContent),
            drawn: all('.js-plotly-plot .gtitle, .js-plotly-plot .xtitle', e => e.textContent),
        }}""")


def settled(page: Page, found: str) -> dict[str, object]:
    """What it shows once the address has this in it and the script has run: the chart of before is gone."""
    wait_until(lambda: found in page.evaluate("location.search"), lambda: page.evaluate("location.search"))
    expect(page.locator(".js-plotly-plot .xtitle")).to_have_text(["step"])
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    return seen(page)


def test_a_link_shows_another_browser_the_same_and_the_way_back_leads_back(address: str, tabs):
    page = tabs(1280)
    page.goto(f"{address}/compare_runs?{ASKED}")
    expect(page.get_by_role("heading", name="Side by side: 3 runs")).to_be_visible()
    page.locator(".st-key-compare-axis").get_by_text("Steps").click()
    plain = settled(page, "over=step")
    page.locator(".st-key-compare-log label").click()
    page.wait_for_function("location.search.includes('log=yes')")
    expect(page.locator(".xtitle").filter(has_text="step").first).to_be_visible()
    shown = settled(page, "log=yes")
    assert shown["log"] == [True] and plain["log"] == [False] and len(shown["rows"]) == 4, shown
    assert shown["columns"][-3:] == ["Status", "Test accuracy", "Batch size"], shown
    assert [row[0] for row in shown["rows"]] == ["false", "true", "true", "true"], shown
    assert any("64" in text for text in shown["filters"]), shown

    other = tabs(1280)  # without cookies, without storage
    other.goto(page.evaluate("location.href"))
    expect(other.locator(".xtitle").filter(has_text="step").first).to_be_visible()
    wait_until(lambda: seen(other) == shown, lambda: json.dumps([seen(other), shown], indent=1))

    page.go_back()
    wait_until(lambda: seen(page) == plain, lambda: json.dumps([seen(page), plain], indent=1))
    page.reload()
    expect(page.locator(".xtitle").filter(has_text="step").first).to_be_visible()
    wait_until(lambda: seen(page) == plain, lambda: json.dumps([seen(page), plain], indent=1))


def test_a_link_to_a_run_shows_what_it_was_made_with_and_lends_its_settings(address: str, tabs):
    page = tabs(390)
    page.goto(f"{address}/compare_runs?selected=3")
    page.locator(".st-key-compare-open button").click()
    expect(page.get_by_role("heading", name="Train model")).to_be_visible()
    page.wait_for_function("location.search.includes('run=')")

    other = tabs(390)
    other.goto(page.evaluate("location.href"))
    other.get_by_text("What it was made with").click()
    expect(other.get_by_text("Seed: 0", exact=True)).to_be_visible()
    batch = other.get_by_role("spinbutton", name="Batch size").first
    expect(batch).to_have_value("128")
    batch.fill("32")
    batch.press("Enter")
    other.get_by_role("button", name="Use its settings").click()
    expect(batch).to_have_value("128")
    expect(other.get_by_role("button", name="Use its settings")).to_have_count(0)
    expect(other.get_by_test_id("stException")).to_have_count(0)
