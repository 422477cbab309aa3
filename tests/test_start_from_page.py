"""Starting weights and what is trained, as a visitor chooses them; and the way there from a run."""

import hashlib

import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.models.pretrained import PretrainedWeights
from core.runs.deleting import delete_run
from core.settings import Settings
from pages.parts.runs import start_from
from pages.parts.shell import keys
from tests.helpers import run_here, tiny
from tests.test_download import server  # noqa: F401  (a fixture)
from tests.test_hosted_pages import brings, hosted  # noqa: F401  (a fixture)
from tests.test_pages import ROOT, assert_whole, runs, texts  # noqa: F401  (a fixture)

SMALL = {"model__architecture": "cnn", "model__channels": [4], "model__fc_width": 8}
SEVEN, THREE = ["0", "1", "2", "3", "4", "5", "6"], ["7", "8", "9"]
WHERE = "training.start_from"


@pytest.fixture
def seven(runs, places):  # noqa: F811
    """A run of seven digits, and another network's."""
    settings = Settings.from_environment()
    own = run_here(runs, settings, tiny(**SMALL, data__only_classes=SEVEN))
    run_here(runs, settings, tiny())
    return own


def page(path: str, config: RunConfig | None = None, run: str = "") -> AppTest:
    at = AppTest.from_file(str(ROOT / path), default_timeout=60)
    if config is not None:
        at.session_state[keys.DRAFT] = config.model_dump(mode="json")
    if run:
        at.query_params["run"] = run
    assert_whole(at.run())
    return at


def choice(at: AppTest, field: str):
    return next(one for one in at.selectbox if one.key.endswith(f".{field}"))


def draft_of(at: AppTest) -> RunConfig:
    return RunConfig.model_validate(at.session_state[keys.DRAFT])


def test_only_what_fits_is_offered_and_the_layer_table_says_what_is_frozen(runs, seven):  # noqa: F811
    at = page("pages/build_model.py", tiny(**SMALL, data__only_classes=THREE))
    assert choice(at, WHERE).options == ["Random weights", start_from.named(seven)]
    assert_whole(choice(at, WHERE).select(seven.id).run())
    assert draft_of(at).training.start_from == seven.id
    assert choice(at, "training.trainable").options == ["All layers", "Linear layers alone", "Last layer alone"]
    assert_whole(choice(at, "training.trainable").select("last_layer").run())
    assert draft_of(at).training.trainable == "last_layer"
    assert choice(at, "training.frozen_first").options == ["None", "1: conv1", "2: conv1 to fc1"]
    table = next(one.value for one in at.dataframe if "Frozen" in one.value)
    frozen = dict(zip(table["Layer"], table["Frozen"], strict=True))
    assert frozen["conv1"] == 40 and frozen["fc2"] == 0 and frozen["fc1"] == 784 * 8 + 8
    assert {metric.label: metric.value for metric in at.metric}["Trainable"] == "27"
    assert not at.button(key="build.train").disabled
    choice(at, "training.trainable").select("all").run()
    assert_whole(choice(at, "training.frozen_first").select(1).run())
    assert (draft_of(at).training.trainable, draft_of(at).training.frozen_first) == ("all", 1)
    table = next(one.value for one in at.dataframe if "Frozen" in one.value)
    assert dict(zip(table["Layer"], table["Frozen"], strict=True)) == frozen | {"fc1": 0}


def test_a_start_that_is_gone_is_one_line_and_nothing_starts(runs, seven):  # noqa: F811
    config = tiny(**SMALL, data__only_classes=THREE, training__start_from=seven.id)
    delete_run(runs, seven.id, Settings.from_environment().data_dir)
    at = page("pages/train_model.py", config)
    assert [one.value for one in at.warning] == [
        "The run whose weights this one would start from was deleted. Choose others to start from."]
    assert at.button(key="train.start").disabled
    assert_whole(choice(at, WHERE).select("").run())
    assert not at.button(key="train.start").disabled and not at.warning


def test_a_run_is_trained_further(runs, seven):  # noqa: F811
    at = page("pages/train_model.py", run=seven.id)
    at.session_state["panel.further"] = True
    assert_whole(at.run())
    names = at.selectbox(key="panel.further.data").options
    assert names[0] == "Digits (scikit-learn)" and "MNIST" not in names, "it is not on this machine"
    assert_whole(at.button(key="panel.further.open").click().run())
    assert draft_of(at) == seven.config.model_copy(update={
        "training": seven.config.training.model_copy(update={"start_from": seven.id})})
    assert choice(at, WHERE).value == seven.id


def test_a_visitor_is_offered_their_own_runs_alone(hosted, seven, monkeypatch):  # noqa: F811
    brings(monkeypatch)
    config = tiny(**SMALL, data__only_classes=THREE)
    assert choice(page("pages/build_model.py", config), WHERE).options == ["Random weights"]
    opened = page("pages/build_model.py", config, seven.id)  # whoever has its address may open it
    assert choice(opened, WHERE).options == ["Random weights", start_from.named(seven)]


def test_torchvisions_weights_are_downloaded_where_a_person_asks(runs, server, monkeypatch, tmp_path):  # noqa: F811
    content = b"stand-in" * 1000
    name = f"mobilenet_v3_small-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    server.files[name] = content
    weights = PretrainedWeights("mobilenet_v3_small", name, server.address("good", name))
    monkeypatch.setattr("core.runs.starting.pretrained_weights", lambda model: weights)
    monkeypatch.setattr(start_from, "pretrained_weights", lambda model: weights)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    at = page("pages/train_model.py", tiny(model__architecture="mobilenet_v3_small"))
    assert_whole(choice(at, WHERE).select("imagenet").run())
    assert draft_of(at).data.normalization == "imagenet", "as the weights were learned"
    assert at.button(key="train.start").disabled and name in at.warning[0].value
    assert "all layers but classifier.3" in texts(at) and "summed over their three channels" in texts(at)
    assert_whole(at.button(key="train.weights").click().run())
    assert (Settings.from_environment().data_dir / "weights" / name).read_bytes() == content
    assert not at.button(key="train.start").disabled and not at.warning
    (Settings.from_environment().data_dir / "weights" / name).unlink()
    server.files[name] = b"something else"
    assert_whole(at.run())
    assert_whole(at.button(key="train.weights").click().run())
    assert "its checksum differs" in at.error[0].value
