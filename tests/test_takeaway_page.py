"""Compare runs: a run is taken away in the chosen form, and a bundle is brought back."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.runs import RunStore
from core.settings import Settings
from core.takeaway import KINDS, REFUSALS, Subject, TakeawayError, take
from core.takeaway.apart import take_apart
from core.takeaway.bundle import core_files, write_bundle
from core.takeaway.metrics_table import metrics_csv
from pages.parts.runs import take_away
from pages.parts.shell import keys
from tests.helpers import tiny
from tests.opened_pages import said, whole
from tests.test_pages import alone


@pytest.fixture
def subject(trained, tmp_path, places, monkeypatch) -> Subject:
    """A finished run in a store of the test's own, which the pages look into; nothing is trained."""
    store, run = trained
    shutil.copytree(store.path, tmp_path / "runs")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return Subject(RunStore(tmp_path / "runs"), run, Settings.from_environment())


def opened(subject: Subject) -> AppTest:
    return whole(alone("pages/compare_runs.py", subject.run.id))


def buttons(at: AppTest) -> list[str]:
    """Those of the chosen form."""
    return [button.proto.label for button in at.get("download_button") if button.proto.label != "Table as CSV"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_form_can_be_chosen(subject, kind, monkeypatch):
    """Each has a button that downloads it, or one that makes it; the child's work is done here."""
    monkeypatch.setattr(take_away, "take_apart", lambda subject, kind: b"made apart")
    at = whole(opened(subject).selectbox(key="takeaway.kind").set_value(kind).run())
    assert not at.error and KINDS[kind].title in at.selectbox(key="takeaway.kind").options
    if kind == "notebook":
        assert any("this server trains nothing" in one.value for one in at.info) and not buttons(at)
        return
    if kind in take_away.AT_ONCE:
        assert buttons(at) == ["Download"]
        return
    assert not buttons(at)
    whole(at.button(key="takeaway.make").click().run())
    made = at.session_state[keys.TAKEN]
    assert len(buttons(at)) == 1 and buttons(at)[0].startswith("Download (")
    assert made.content == (b"made apart" if KINDS[kind].own_process else take(subject, kind))
    whole(at.selectbox(key="takeaway.kind").set_value("pth").run())  # and what was made is not offered as another
    assert buttons(at) == ["Download"]


def test_another_option_is_made_anew(subject, monkeypatch):
    asked = []
    monkeypatch.setattr(take_away, "take_apart", lambda subject, kind: asked.append(subject.options.alone) or b"x")
    at = whole(opened(subject).selectbox(key="takeaway.kind").set_value("onnx").run())
    whole(at.button(key="takeaway.make").click().run())
    whole(at.toggle(key="takeaway.inside").set_value(False).run())
    assert not buttons(at)
    whole(at.button(key="takeaway.make").click().run())
    assert asked == [False, True] and len(buttons(at)) == 1


def test_what_cannot_be_made_is_said_in_one_line(subject, monkeypatch):
    def refuse(subject, kind):
        raise TakeawayError("ONNX can't hold *this* network.")

    monkeypatch.setattr(take_away, "take_apart", refuse)
    at = whole(opened(subject).selectbox(key="takeaway.kind").set_value("onnx").run())
    whole(at.button(key="takeaway.make").click().run())
    assert [error.value for error in at.error] == [r"ONNX can't hold \*this\* network."] and not buttons(at)


def test_a_run_without_weights_says_so(subject):
    run = subject.store.create_running(tiny(), "tester", "here", "cut short")
    subject.store.finish(run.id, "stopped", "Stopped.")
    at = whole(alone("pages/compare_runs.py", run.id))
    assert any("has kept no weights" in one.value for one in at.info) and not buttons(at)
    whole(at.selectbox(key="takeaway.kind").set_value("csv").run())
    assert buttons(at) == ["Download"]


def test_what_a_run_was_made_with_stands_on_it(subject):
    at = opened(subject)
    assert "Versions: Torch Playground" not in said(at), "read where somebody opens it"
    at.session_state["runs.made_with"] = True
    text = said(whole(at.run()))
    assert "Versions: Torch Playground" in text and "Seed: 0" in text and "360 images, fingerprint" in text


def test_a_process_of_its_own_makes_the_same(subject):
    assert take_apart(subject, "card") == take(subject, "card")


def test_a_process_that_fails_says_why(subject, monkeypatch):
    (subject.store.folder(subject.run.id) / "checkpoint.safetensors").write_bytes(b"no weights")
    with pytest.raises(REFUSALS, match="is damaged"):
        take_apart(subject, "onnx")


def test_a_process_that_takes_too_long_is_ended(subject):
    with pytest.raises(TakeawayError, match=r"took more than 0\.0 s and was stopped\. On the command line"):
        take_apart(subject, "onnx", seconds=0.0)


def bring(at: AppTest, content: bytes) -> AppTest:
    version = at.session_state[keys.BUNDLE_VERSION]
    at.file_uploader(key=f"takeaway.bundle.{version}").set_value(("run.zip", content, "application/zip")).run()
    return whole(at.button(key="takeaway.keep").click().run())


def test_a_bundle_is_brought_and_another_refused(subject, tmp_path, monkeypatch):
    content = write_bundle(core_files(subject) | {"metrics.csv": metrics_csv(subject)}, {})
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "empty"))  # where there are no runs yet
    at = whole(alone("pages/compare_runs.py"))
    bring(at, content[:-50])
    assert len(at.error) == 1 and at.error[0].value.startswith("This is not a bundle, or it is cut short")
    bring(at, content)
    store = RunStore(Path(tmp_path / "empty"))
    run = store.runs()[0]
    assert len(store.runs()) == 1 and at.query_params["run"] in (run.id, [run.id])
    assert any("is kept and chosen" in one.value for one in at.success)
    at.session_state["runs.made_with"] = True
    whole(at.run())
    assert run.owner == at.session_state[keys.OWNER] and f"as a bundle of run {subject.run.id}" in said(at)
    assert at.query_params["selected"] in ("1", ["1"])
    bring(at, content)  # while the first one is looked at
    second = store.runs()[0]
    assert at.query_params["selected"] in ("2", ["2"]) and f"run {second.id}" in said(at) and f"run {run.id}" not in said(at)
    store.close()
