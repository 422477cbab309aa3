"""Explore data, Combine: what each control does, refusals in one line, the way into a run; and another visitor's download."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.config import DataConfig, read_config
from core.data import DATASETS, load
from core.data.download.lock import LOCK, PROGRESS
from pages.parts.shell import keys
from tests.small_sets import write_small

ROOT = Path(__file__).parents[1]
KEY = "explore.combine.digits"


@pytest.fixture
def clean(monkeypatch, tmp_path, places):
    """Data of the test's own; the prepared digits of the session."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    (tmp_path / "data").mkdir()
    st.cache_resource.clear()
    yield tmp_path / "data"
    st.cache_resource.clear()


def open_section(**state) -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages/explore_data.py"), default_timeout=60)
    for key, value in {"explore.dataset": "digits", "explore.section": "Combine", **state}.items():
        at.session_state[key] = value
    return whole(at.run())


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == [] and not at.error
    return at


def numbers(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric[4:]}  # the first four are the card's


def test_what_each_control_does(clean, cache_dir):
    at = open_section()
    assert numbers(at)["Training images"] == f"{5 * 1237:,}" and numbers(at)["Wrong training labels"] == "0"
    at.slider(key=f"{KEY}.fraction").set_value(20)
    at.slider(key=f"{KEY}.imbalance").set_value(10)
    at.slider(key=f"{KEY}.label_noise").set_value(30)
    at.multiselect(key=f"{KEY}.classes").set_value(["1", "7", "9"])
    at.number_input(key=f"{KEY}.seed").set_value(4)
    whole(at.run())
    data = load(DataConfig(dataset="digits", validation=200, variations=4, fraction=0.2, imbalance=0.1, label_noise=0.3,
                           only_classes=("1", "7", "9"), split_seed=4), clean, cache_dir)
    told = numbers(at)
    assert told["Training images"] == f"{len(data.train):,}" and told["Test images"] == f"{len(data.test):,}"
    originals = len(data.train) // 5
    assert told["Wrong training labels"] == f"{5 * int(originals * 0.3 + 0.5):,}"
    at.toggle(key="explore.combine.wrong").set_value(True)
    whole(at.run())


def test_into_a_run(clean):
    at = open_section()
    at.slider(key=f"{KEY}.label_noise").set_value(25)
    at.multiselect(key=f"{KEY}.classes").set_value(["3", "8"])
    at.run()
    at.button(key="explore.combine.take").click().run()
    data = read_config(at.session_state[keys.DRAFT]).data
    assert (data.label_noise, data.only_classes, data.target) == (0.25, ("3", "8"), 1)  # the 8 of before is now class 1 at most


def test_a_set_that_fits_is_offered_and_joined(clean, tmp_path, monkeypatch):
    write_small("mnist", clean, monkeypatch)
    at = open_section()
    assert at.multiselect(key=f"{KEY}.join").options == ["MNIST"]
    at.multiselect(key=f"{KEY}.join").set_value(["mnist"])
    whole(at.run())
    at.number_input(key=f"{KEY}.times").set_value(3)
    at.slider(key=f"{KEY}.fraction").set_value(50)
    whole(at.run())
    assert len(at.metric) == 8


def test_what_can_not_be_is_one_line(clean):
    at = open_section()
    at.multiselect(key=f"{KEY}.classes").set_value(["1"])
    whole(at.run())
    assert "Choose at least two classes" in at.warning[0].value and len(at.metric) == 4


def test_the_form_of_a_run(clean):
    at = AppTest.from_file(str(ROOT / "pages/train_model.py"), default_timeout=60)
    at.session_state["train.view"] = "All settings"
    whole(at.run())

    def form(name: str) -> str:
        return f"form.{at.session_state[keys.DRAFT_VERSION]}.data.{name}"

    at.multiselect(key=form("only_classes")).set_value(["2", "5"])
    whole(at.run())
    at.number_input(key=form("fraction")).set_value(0.5)
    whole(at.run())
    data = read_config(at.session_state[keys.DRAFT]).data
    assert (data.only_classes, data.fraction) == (("2", "5"), 0.5)
    at.multiselect(key=form("only_classes")).set_value(["2"])  # one class is none: the draft keeps what it had
    whole(at.run())
    assert read_config(at.session_state[keys.DRAFT]).data.only_classes == ("2", "5")
    assert any("at least two classes" in caption.value for caption in at.caption)
    at.multiselect(key=form("only_classes")).set_value(["2", "7"])  # and another one is added
    whole(at.run())
    assert read_config(at.session_state[keys.DRAFT]).data.only_classes == ("2", "7")
    at.selectbox(key=form("dataset")).set_value("fashion_mnist")
    whole(at.run())
    data = read_config(at.session_state[keys.DRAFT]).data
    assert (data.dataset, data.only_classes, data.fraction) == ("fashion_mnist", (), 0.5)


def test_the_question_stays_about_its_class(clean):
    at = AppTest.from_file(str(ROOT / "pages/train_model.py"), default_timeout=60)
    at.session_state["train.view"] = "All settings"
    whole(at.run())

    def put(kind: str, name: str, value: object) -> DataConfig:
        getattr(at, kind)(key=f"form.{at.session_state[keys.DRAFT_VERSION]}.data.{name}").set_value(value)
        whole(at.run())
        return read_config(at.session_state[keys.DRAFT]).data

    put("selectbox", "task", "is_target")
    assert put("selectbox", "target", 8).target == 8
    assert put("multiselect", "only_classes", ["3", "8"]).target == 1  # still the 8
    assert put("multiselect", "only_classes", ["3", "8", "5"]).target == 2
    assert put("multiselect", "only_classes", ["3", "5"]).target == 1
    assert put("selectbox", "dataset", "emnist_letters").only_classes == ()
    put("selectbox", "target", 25)
    assert put("selectbox", "dataset", "digits").target == 9


def test_a_draft_whose_joined_set_has_been_deleted(clean):
    at = AppTest.from_file(str(ROOT / "pages/train_model.py"), default_timeout=60)
    whole(at.run())
    draft = at.session_state[keys.DRAFT]
    at.session_state[keys.DRAFT] = draft | {"data": draft["data"] | {"join": ["own:0123456789abcdef0123456789abcdef"]}}
    whole(at.run())
    assert read_config(at.session_state[keys.DRAFT]).data.join == ()


def test_another_visitors_download_is_shown(clean):
    fcntl = pytest.importorskip("fcntl", reason="Windows has no such lock")
    folder = clean / DATASETS["kmnist"].folder
    folder.mkdir(parents=True)
    (folder / PROGRESS).write_text('{"file": "a.gz", "share": 0.25, "megabytes": 5, "total_megabytes": 18, "speed": 2.5}',
                                   encoding="utf-8")
    with (folder / LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        at = open_section(**{"explore.dataset": "kmnist"})
        assert not [button for button in at.button if button.key == "explore.download"]
    at.run()
    assert [button for button in at.button if button.key == "explore.download"]
