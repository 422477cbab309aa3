"""What axe-core finds wrong on a page in a browser, and which pages and sections of pages there are to look at."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, TimeoutError, expect

from core.lessons.pages import PICKERS
from pages.parts.shell.menu import LABS, MENU

SERIOUS = {"serious", "critical"}
# how many rules found something to look at, and of each serious one that is broken, or at which axe gave up, the first element
LOOK = """async ([where, how, serious]) => {
    const found = await axe.run(where, how);
    const bad = [...found.violations.filter(entry => serious.includes(entry.impact)),
        ...found.incomplete.filter(entry => JSON.stringify(entry.nodes).includes('error-occurred'))];
    return [found.passes.length, bad.map(entry => [entry.id, entry.nodes[0].html.slice(0, 120)])];
}"""
TRIES = 20  # looks at a page, half a second apart, until nothing is wrong
MAIN, MENU_PLACE = "[data-testid=stMain]", "[data-testid=stSidebar]"
# of pages, what can be chosen there beyond what they open with, each in a row of choices of that name
SECTIONS: dict[str, list[tuple[str, Sequence[str]]]] = {
    "explore_data": [("View", ("Classes", "Pixels", "Map", "Odd ones")),
                     ("Section", (*PICKERS["explore.section"][1:], "Bring your own"))],
    "build_model": [("View", PICKERS["build.look.view"])],
    "evaluate_model?run=RUN": [("Section", PICKERS["evaluate.section"][1:])],
    "draw_digit?run=RUN": [("Section", PICKERS["draw.section"])],
    "compare_runs?selected=1-2": [("What to lay side by side", ("Settings", "Cost", "Effect of settings", "Board",
                                                                "Which change did it?"))],
    "learn_data_loading": [("View", ("Transforms", "DataLoader", "Joined sets"))],
    **{page: [(row, PICKERS[picker][1:])] for page, row, picker in (
        ("learn_tensors", "Topic", "tensors.topic"), ("learn_autograd", "Topic", "autograd.topic"),
        ("learn_building_blocks", "Part", "blocks.part"), ("learn_first_networks", "Topic", "first.topic"),
        ("learn_linear_regression", "Topic", "regression.topic"), ("learn_metrics", "Topic", "metrics.topic"),
        ("learn_text", "Topic", "text.topic"), ("learn_transfer", "Topic", "transfer.topic"))}}
BOTH_THEMES = {"Numbers", "Bring your own"}  # sections with kinds of things in them that no page opens with
# every page, with a run where it shows one
PAGES = [*(address for page in (*MENU, *LABS) if (address := "" if page == "app.py" else Path(page).stem) not in (
    "evaluate_model", "draw_digit")), "lesson_wall", "train_model?run=RUN", "compare_runs?run=RUN",
         *(page for page in SECTIONS if "?" in page)]


def of_run(name: str, run: str) -> str:
    """The address of a page, with a run where it asks for one."""
    return name.replace("?run=RUN", f"{'&' if name.count('?') > 1 else '?'}run={run}")


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.locator("h1")).to_be_visible()
    at_rest(page)
    return page


def gone_to(page: Page, name: str) -> Page:
    """Another page by the menu of the one that is open, which costs half of what its address does."""
    title = next((about[0] for path, about in (*MENU.items(), *LABS.items()) if Path(path).stem == name), "")
    if not title:
        return opened(page, urljoin(page.url, f"/{name}"))
    page.locator(MENU_PLACE).get_by_role("link", name=title, exact=True).click()
    expect(page.locator("h1")).to_have_text(title)
    at_rest(page)
    return page


def at_rest(page: Page) -> None:
    """Wait until the page is whole."""
    expect(page.locator(".stApp[data-test-script-state='notRunning']")).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def choose(page: Page, group: str, name: str) -> None:
    """Press one of a row of choices, unless it is chosen, and wait for what it opens. An icon may stand before the name."""
    choice = page.get_by_role("radiogroup", name=group, exact=True).get_by_role("radio").filter(has_text=name).first
    expect(choice).to_be_visible()
    if choice.get_attribute("aria-checked") == "true":  # what the page opens with
        return
    page.get_by_test_id("stMain").evaluate("""main => {
        window.changed = false;
        new MutationObserver(() => { window.changed = true; }).observe(main, {childList: true, subtree: true});
    }""")
    choice.click()
    page.wait_for_function("window.changed")
    at_rest(page)


def skip_questions(page: Page, looks: int = 3) -> None:
    """So that there is a picture to look at: until so many looks in a row find no question, as one may be still to come."""
    skip, found_none = page.get_by_role("button", name="Skip", exact=True), 0
    for _ in range(3 * TRIES):
        if skip.count():
            found_none = 0
            with suppress(TimeoutError):  # it has just gone
                skip.first.click(timeout=5000)
        elif (found_none := found_none + 1) == looks:
            break
        page.wait_for_timeout(300)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def wrong(page: Page, but: Sequence[str] = (), only: str | None = None, rules: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Each serious rule that is broken, with the first element that does; nothing that is gone once the page has come to rest:
    colours that fade in, a menu whose links are still to come.

    but: parts of the page that are left out. only: the part that is looked at. rules: by their names; all of them without.
    """
    # at code that can be scrolled axe gives up the whole rule of contrast; other code has the same colours
    where: dict[str, Any] = {"exclude": [["pre[tabindex]"], *([one] for one in but)]} | ({"include": [[only]]} if only else {})
    how = {"resultTypes": ["violations", "incomplete"]} | ({"runOnly": list(rules)} if rules else {})
    bad: list[tuple[str, str]] = []
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    for _ in range(TRIES):
        looked, bad = page.evaluate(LOOK, [where, how, [*SERIOUS]])
        if looked and not bad:
            return []
        page.wait_for_timeout(500)
    return bad or [("nothing was looked at", page.url)]


def wrong_in_the_dark(page: Page, but: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The same in the dark theme, where only the colours are others."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")
    return wrong(page, but, rules=["color-contrast"])
