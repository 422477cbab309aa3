"""Words of people in a real browser: Streamlit shows them as they were written.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pages.parts.shell.markdown import JOINER
from tests.browser import launched
from tests.helpers import wait_until
from tests.hostile import HOSTILE

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[1]
SCRIPT = """
import streamlit as st
from pages.parts.shell.markdown import as_text
from tests.hostile import HOSTILE

for place, text in enumerate(HOSTILE):
    with st.container(key=f"shown_{place}"):
        st.markdown(f"before\\n\\n{as_text(text)}")
    with st.container(key=f"button_{place}"):
        st.button(f"{as_text(text)}!", key=f"pressed_{place}")
st.markdown("all :blue[there]")
"""


def test_people_are_shown_what_was_written(tmp_path):
    """In a text and on a button, with no link, picture, icon or emoji made of it."""
    script = tmp_path / "shown.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", address.rpartition(":")[2], "--server.headless",
         "true", "--server.address", "127.0.0.1", "--server.fileWatcherType", "none"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    try:
        wait_until(answers, lambda: f"the server's exit code is {server.poll()}")
        with launched() as browser:
            page = browser.new_page()
            page.goto(address)
            expect(page.get_by_text("all there")).to_be_visible()
            for place, text in enumerate(HOSTILE):
                shown, button = page.locator(f".st-key-shown_{place}"), page.locator(f".st-key-button_{place} button")
                assert shown.inner_text().replace(JOINER, "").split("\n\n", 1)[-1].strip() == (text or "before")
                assert button.inner_text().replace(JOINER, "") == f"{text}!"
                for made in ("a", "img", "em", "strong", "del", "code", "li", "hr", "blockquote", "h1", "h2", "span[style]",
                             "[data-testid=stIconMaterial]", ".katex"):
                    assert shown.locator(made).count() == 0, (text, made)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
