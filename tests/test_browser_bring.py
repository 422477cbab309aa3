"""Bring your own in a real browser: a Kaggle CSV on a desk, and on a phone folders of which it is not certain what they are.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from core.data.own.sets import own_sets
from tests.archives import png
from tests.browser import done

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The section's address, and a data directory of its own."""
    root = tmp_path_factory.mktemp("bring")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setenv("PLAYGROUND_DATA", str(root / "data"))
        with app(root / "runs") as port:
            yield f"http://127.0.0.1:{port}/explore_data?explore.section=Bring+your+own", root / "data"


def check(page: Page, address: str, name: str, kind: str, content: bytes) -> None:
    """Upload a file and have it looked at."""
    page.goto(address)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files({"name": name, "mimeType": kind, "buffer": content})
    page.get_by_role("button", name="Check the images").click()
    expect(page.get_by_role("heading", name="What was found")).to_be_visible()


def kaggle(rows: int = 60) -> bytes:
    """label,pixel0,…,pixel783 as Kaggle's digit-recognizer has it."""
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 784))
    lines = [",".join(map(str, (row % 3, *values))) for row, values in enumerate(pixels.tolist())]
    return "\n".join([",".join(["label", *(f"pixel{n}" for n in range(784))]), *lines]).encode()


def test_a_kaggle_csv_becomes_a_data_set_that_is_trained_on(served: tuple[str, Path], tabs):
    page = tabs(1280)
    check(page, served[0], "train.csv", "text/csv", kaggle())
    expect(page.get_by_text("785 numbers in a row: pixels 28×28, the label first")).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    expect(done(page, "train is a data set now: 48 training and 12 test images.")).to_be_visible()
    assert [(own.classes, own.counts) for own in own_sets(served[1])] == [(("0", "1", "2"), (48, 12))]
    page.get_by_role("button", name="Train on it").click()
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()
    expect(page.get_by_text("8 validation images can't tell good from lucky")).to_be_visible()  # of its 48
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_folders_that_can_be_read_in_two_ways_ask(served: tuple[str, Path], tabs):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for place, folder in enumerate(("cup/red", "cup/blue", "jug/red", "jug/blue")):
            for number in range(3):
                archive.writestr(f"{folder}/{number}.png", png(seed=10 * place + number))
    page = tabs(390, touch=True)
    check(page, served[0], "things.zip", "application/zip", packed.getvalue())
    expect(page.get_by_text(re.compile("“cup”, “jug” .*taken together"))).to_be_visible()
    page.get_by_role("combobox", name=re.compile("Read it as")).tap()
    page.get_by_role("option", name="The outermost folder is the class").tap()
    expect(page.get_by_text("Each outermost folder is a class")).to_be_visible()
    page.get_by_role("button", name="Keep it").tap()
    expect(done(page, "things is a data set now: 10 training and 2 test images.")).to_be_visible()
    assert ("cup", "jug") in {own.classes for own in own_sets(served[1])}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out
    expect(page.get_by_test_id("stException")).to_have_count(0)
