"""What a finger misses: controls of a page whose hit area is smaller than 40 by 40 CSS pixels."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

TRIES = 20  # looks at a page, a quarter of a second apart, until nothing is too small: it may still be settling
PHONE = 390, 844  # pixels
LEAST = 40  # pixels, wide and high, of what a finger is to meet
# A control is small where a finger misses it half that much beside its middle, in any direction: so rounded corners count as a
# finger meets them, and so does what reaches beyond what is seen. A part of something that can be pressed as a whole counts with
# it: an input with its label or field. A link in running text is as high as its line, as in WCAG 2.5.8.
SMALL = """least => {
    const all = (root) => [...root.querySelectorAll('*')].flatMap(one => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])]);
    const above = (one) => one.parentNode instanceof ShadowRoot ? one.parentNode.host : one.parentElement;
    const holds = (outer, inner) => { while (inner && inner !== outer) inner = above(inner); return Boolean(inner); };
    const at = (x, y) => { let met = document.elementFromPoint(x, y), inner;
        while (met?.shadowRoot && (inner = met.shadowRoot.elementFromPoint(x, y)) && inner !== met) met = inner;
        return met; };
    const pressed = 'button, a[href], input, select, textarea, summary, [role=button], [role=slider], [role=option], [role=tab]';
    const fields = 'label, [data-testid=stSelectbox], [data-testid=stMultiSelect] [role=group], [data-testid=stSlider], ' +
        '[data-testid=stFileUploaderDropzone], [data-testid=stNumberInputContainer]';
    const running = (one) => one.matches('a') && getComputedStyle(one).display === 'inline' &&
        [...one.parentNode.childNodes].some(other => other !== one && other.textContent.trim());
    return all(document).filter(one => one.matches(pressed) && !one.disabled && !running(one)).map(one => {
        const part = one.matches('input, select, textarea, [role=slider], [aria-haspopup]') && one.closest(fields) || one;
        if (!one.checkVisibility({visibilityProperty: true})) return null;
        part.scrollIntoView({block: 'center', inline: 'center'});
        const box = part.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2, reach = least / 2 - 1;
        const name = `${Math.round(box.width)}×${Math.round(box.height)} ${one.tagName.toLowerCase()} ` +
            (one.getAttribute('aria-label') || one.innerText || one.className).trim().slice(0, 40);
        if (getComputedStyle(one).pointerEvents === 'none')  // there once one touches what it belongs to
            return box.width < least || box.height < least ? name : null;
        if (box.width < 2 || x < 0 || x > innerWidth || y < 0 || y > innerHeight) return null;  // a folded menu; only read out
        const met = [[0, 0], [0, -reach], [0, reach], [-reach, 0], [reach, 0]].map(([right, down]) => at(x + right, y + down));
        const ours = (other) => other && (holds(part, other) || holds(other, part) && other.matches('a, button, summary, label'));
        return met.every(ours) ? null : name;
    }).filter(Boolean);
}"""

CROOKED = """() => [...document.querySelectorAll('[data-testid=stCheckbox] label')].filter(label => {
    const middle = (one) => { const box = one.getBoundingClientRect(); return box.y + box.height / 2; };
    const words = label.querySelector('[data-testid=stWidgetLabel]'), box = words?.previousElementSibling;
    return words?.innerText.trim() && Math.abs(middle(words) - middle(box)) > 4;
}).map(label => label.innerText)"""


@contextmanager
def as_a_phone(page: Page) -> Iterator[None]:
    """An opened page as on a phone, which is not opened anew for that."""
    desk = page.viewport_size
    assert desk is not None
    browser = page.context.new_cdp_session(page)

    def become(size: tuple[int, int], phone: bool) -> None:
        browser.send("Emulation.setTouchEmulationEnabled", {"enabled": phone} | ({"maxTouchPoints": 1} if phone else {}))
        browser.send("Emulation.setDeviceMetricsOverride", {"width": size[0], "height": size[1], "deviceScaleFactor": 1,
                                                            "mobile": phone})

    become(PHONE, True)
    assert page.evaluate("matchMedia('(pointer: coarse)').matches && innerWidth") == PHONE[0]
    yield
    become((desk["width"], desk["height"]), False)
    browser.detach()


def crooked(page: Page) -> list[str]:
    """Switches whose words stand higher or lower than what is switched."""
    return page.evaluate(CROOKED)


def too_small(page: Page) -> list[str]:
    """What a finger misses of the page, each with its size and name."""
    found: list[str] = []
    for _ in range(TRIES):
        found = page.evaluate(SMALL, LEAST)
        if not found:
            break
        page.wait_for_timeout(250)
    return found
