"""What is refused or done is said where it is seen; uploads are taken once, and one at a time."""

import sqlite3
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from core.data.sources.text_files import own_texts
from core.runs import LocalEngine, RunStore, StoreError
from core.runs.uploaded import UploadRefused
from core.settings import Settings
from pages.parts.shell import frame
from pages.parts.widgets.uploads import weights_turn
from tests.helpers import tiny
from tests.test_pages import alone, assert_whole, click, finished, page, runs, texts  # noqa: F401 (fixtures)
from tests.words_on_pages import markup

REASON = "The disk is full, [x](https://zqx.example)."
SHOWN = r"The disk is full, \[x\](https\:"


def refusing(*arguments, **options):
    raise StoreError(REASON)


@pytest.fixture
def full(runs, monkeypatch):  # noqa: F811
    """A server on whose disk nothing can be written."""
    for name in ("submit", "submit_seeds", "find_rate", "cancel", "pause", "step", "set_learning_rate"):
        monkeypatch.setattr(LocalEngine, name, refusing)
    return runs


@pytest.mark.parametrize(("path", "buttons"), [
    ("app.py", ["home.train"]),
    ("pages/train_model.py", ["train.start", "train.seeds.3", "train.start_paused", "train.find_rate"]),
    ("pages/build_model.py", ["build.train"]),
    ("pages/learn_linear_regression.py", ["regression.train"]),
    ("pages/learn_decision_boundary.py", ["plane.start"]),
])
def test_why_nothing_starts_is_seen(full, path, buttons):
    """After the page was drawn anew, or left: each is drawn anew at once."""
    at = page(path)
    if path == "pages/learn_linear_regression.py":
        at = at.segmented_control(key="regression.topic").set_value("Train it as a run").run()
    for key in buttons:
        at = click(at, key)
        assert_whole(at)
        assert [one.value.startswith(SHOWN) for one in at.error] == [True], (key, [one.value for one in at.error])
        assert [one.value.startswith(SHOWN) for one in at.toast] == [True], "who is far down the page sees it too"
        assert at.button(key=key), "it is the same page"
    assert not at.run().error, "it was said"


def test_why_a_run_does_not_stop_or_pause_is_seen(full):
    run = full.create_running(tiny(), "someone", "here")
    at = page("pages/train_model.py", run.id)
    for key in ("run.stop", "run.pause"):
        at = click(at, key)
        assert_whole(at)
        assert [one.value.startswith(SHOWN) for one in at.error] == [True], key
    assert {"This run's learning rate", "Learning rate"} <= {one.label for one in at.number_input}, "they are told apart"


@pytest.mark.parametrize("path", ["app.py", "pages/train_model.py", "pages/compare_runs.py", "pages/evaluate_model.py",
                                  "pages/draw_digit.py", "pages/build_model.py", "pages/learn_text.py",
                                  "pages/learn_decision_boundary.py"])
def test_a_run_that_can_not_be_read_gets_one_line(runs, path):  # noqa: F811
    run_id = runs.create(tiny(), "someone")
    runs.request_stop(run_id)
    with sqlite3.connect(runs.path / "runs.sqlite3") as db:
        db.execute("UPDATE runs SET config = '{}x' WHERE id = ?", (run_id,))
    db.close()
    at = page(path, run_id) if path == "app.py" else alone(path, run_id)
    assert_whole(at)
    assert len(at.warning) <= 1 and not at.error
    assert not at.warning or f"Run {run_id} can't be read" in at.warning[0].value
    assert at.warning or path in ("pages/build_model.py", "pages/learn_text.py"), "it shows runs"


def test_a_folder_that_can_only_be_read_is_said_and_shown(finished, monkeypatch):  # noqa: F811
    where = Settings.from_environment().runs_dir
    monkeypatch.setattr(RunStore, "read_only", property(lambda store: f"The runs folder {where} can't be written to: why."))
    at = page("pages/compare_runs.py", finished)
    assert_whole(at)
    assert at.warning[0].value.startswith(r"The runs folder can't be written to\: why. What is there can be looked at")
    assert "a test's run" in texts(at)


def as_the_server_is_set() -> dict:
    return tomllib.loads((Path(__file__).parents[1] / ".streamlit" / "config.toml").read_text(encoding="utf-8"))


def test_no_traceback_reaches_a_page():
    assert as_the_server_is_set()["client"]["showErrorDetails"] == "none"


def test_no_visitor_waits_for_a_look_at_files_that_never_change():
    """Streamlit's watcher goes through all modules of torch for each new session: most of Home's first paint."""
    assert as_the_server_is_set()["server"]["fileWatcherType"] == "none"


def test_the_server_computes_on_one_thread(runs):  # noqa: F811
    torch.set_num_threads(2)
    frame.freeze_imports.clear()
    assert_whole(alone("pages/learn_tensors.py"))
    with ThreadPoolExecutor(1) as another_session:  # a thread that was there before keeps its number
        assert another_session.submit(torch.get_num_threads).result() == 1


# --- uploads

CSV = "text,label\n" + "".join(f"a {word} film number {n},{word}\n" for word in ("positive", "negative") for n in range(12))


def test_texts_are_kept_once_for_each_upload_and_belong_to_who_brought_them(runs, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))

    def texts_page():
        at = alone("pages/learn_text.py")
        return at.segmented_control(key="text.topic").set_value("Your own texts").run()

    at = texts_page()
    at.file_uploader(key="text.upload").set_value(("mine.csv", CSV.encode(), "text/csv")).run()
    name, = own_texts(tmp_path / "data")
    assert_whole(at)
    assert f"Choose “Your own, {name[:6]}”" in at.success[0].value and f"Your own, {name[:6]}" in texts(at)
    other = texts_page()
    assert f"Brought here, {name[:6]}" in texts(other) and "Your own, " not in texts(other)
    at.button(key=f"text.delete.{name}.sure").click().run()
    at.run()
    assert_whole(at)
    assert own_texts(tmp_path / "data") == [] and at.file_uploader(key="text.upload").value is not None
    assert "were deleted" in at.info[0].value and not at.success


def test_files_of_weights_are_read_one_at_a_time(finished, monkeypatch):  # noqa: F811
    held = []

    def keep(*arguments):
        held.append(weights_turn().locked())
        raise UploadRefused("[zqx](https://zqx.example) is no file of weights.")

    monkeypatch.setattr("pages.parts.draw.weights.read_upload", keep)
    at = alone("pages/draw_digit.py", finished)
    at.file_uploader(key="draw.weights.0").set_value(("[zqx](https://zqx.example).pth", b"x", "application/zip")).run()
    at = click(at, "draw.weights.use")
    assert_whole(at)
    assert held == [True] and not weights_turn().locked()
    assert r"\[zqx\](" in at.error[0].value and not [text for _, text in markup(at) if "[zqx](" in text]
