"""Train model's training doctor and its microscope, as a visitor uses them."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.inspection.training_doctor import RULES
from core.runs import Metric, RunStore, load_model
from core.settings import Settings
from core.training import Started
from core.training.events import DIVERGED
from core.training.microscope import strongest, trace_weight
from core.training.update_rules import precise
from pages.parts.doctors.training_doctor import SHORT
from pages.parts.shell import keys
from pages.parts.train.microscope import _classes_of
from tests.helpers import run_here, tiny

ROOT = Path(__file__).parents[1]


@pytest.fixture
def runs(tmp_path, places, monkeypatch) -> RunStore:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


@pytest.fixture
def finished(trained, places, monkeypatch) -> str:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(trained[0].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return trained[1].id


def page(config=None, run=None) -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages/train_model.py"), default_timeout=60)
    if config is not None:
        at.session_state[keys.DRAFT] = config.model_dump(mode="json")
        at.session_state[keys.DRAFT_VERSION] = 0
    if run:
        at.query_params["run"] = run
    return whole(at.run())


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == []
    return at


def opened(at: AppTest) -> AppTest:
    return whole(at.toggle(key="train.microscope").set_value(True).run())


def press(at: AppTest, key: str) -> AppTest:
    return whole(at.button(key=key).click().run())


def written(at: AppTest) -> str:
    return "\n".join(str(entry.value) for kind in (at.markdown, at.caption, at.info, at.warning, at.error) for entry in kind)


def stages(at: AppTest):
    return next(frame.value for frame in at.dataframe if "weight.grad" in frame.value.index)


# --- the doctor


def troubled(runs: RunStore, status="running", message="", owner="someone"):
    """A run whose loss has blown up."""
    run = runs.create_running(tiny(training__optimizer__learning_rate=1.0), owner, "here", "A run")
    runs.begin(run.id, Started(20, 100, 6370, "cpu", "float32"))
    losses = [2.3, 40.0, 900.0] + [9.0] * 60
    runs.record(run.id, [Metric("loss", step, loss) for step, loss in enumerate(losses, 1)], step=len(losses))
    if status != "running":
        runs.finish(run.id, status, message)
    return runs.get(run.id)


@pytest.mark.parametrize("status", ["running", "finished", "failed"])
def test_trouble_is_named_with_its_evidence(runs, status):
    at = page(run=troubled(runs, status, f"{DIVERGED} at step 64 (epoch 4)." if status == "failed" else "").id)
    assert any("training has diverged" in expander.label for expander in at.expander)
    assert ("The loss began at 2" in written(at)) and at.button(key="panel.try.diverged")
    assert set(SHORT) >= set(RULES)  # and causes that other rules name; the rest of those only says that it learns little


@pytest.mark.parametrize("ours", [True, False])
def test_a_controlled_rerun_changes_one_setting_and_keeps_the_curve(runs, ours):
    run = troubled(runs, owner="someone")
    at = AppTest.from_file(str(ROOT / "pages/train_model.py"), default_timeout=60)
    at.session_state[keys.OWNER] = "someone" if ours else "another"
    at.query_params["run"] = run.id
    press(whole(at.run()), "panel.try.diverged")
    new = next(entry for entry in runs.runs() if entry.id != run.id)
    assert new.config == run.config.with_values({"training.optimizer.learning_rate": 0.001})
    assert at.session_state[keys.RUN] == new.id and at.session_state[keys.PREVIOUS_RUN] == run.id
    assert read_config(at.session_state[keys.DRAFT]) == new.config, "the form shows what is tried"
    assert (runs.get(run.id).stop_requested is not None) == ours, "nobody stops somebody else's run"


def test_a_sound_run_is_called_sound(runs, places):
    settings = Settings(places / "data", runs.path, places / "cache")
    sound = tiny(model__hidden=[64], training__epochs=12, training__optimizer__learning_rate=0.004)
    at = page(run=run_here(runs, settings, sound).id)
    assert "found nothing wrong" in written(at) and not [b for b in at.button if str(b.key).startswith("panel.try")]


# --- the microscope


def test_nothing_is_computed_until_it_is_opened(runs):
    at = page(tiny())
    assert keys.MICROSCOPE not in at.session_state
    assert keys.MICROSCOPE in opened(at).session_state


def test_a_step_stage_by_stage_and_the_next(runs):
    at = opened(page(tiny()))
    assert list(stages(at).columns) == ["Before"] and stages(at).loc["weight.grad", "Before"] == "None"
    press(press(press(at, "train.microscope.onward"), "train.microscope.onward"), "train.microscope.onward")
    table = stages(at)
    assert list(table.columns) == ["Before", "zero_grad()", "backward()", "step()"]
    assert table.loc["weight", "Before"] == table.loc["weight", "backward()"] != table.loc["weight", "step()"]
    assert table.loc["weight.grad", "zero_grad()"] == "None" != table.loc["weight.grad", "backward()"]
    assert "PyTorch's own new value" in written(at) and "**w** ←" in written(at)
    press(at, "train.microscope.next")
    assert at.session_state[keys.MICROSCOPE][2].number == 2
    assert stages(at).loc["weight.grad", "Before"] == table.loc["weight.grad", "step()"], "the old gradient is still there"
    press(at, "train.microscope.onward")
    assert "Without zero_grad" in written(at)
    press(at, "train.microscope.again")
    assert at.session_state[keys.MICROSCOPE][2].number == 1


@pytest.mark.parametrize("changes", [
    {"model__architecture": "cnn", "model__channels": [4], "training__loss": "bce_with_logits", "data__task": "is_target"},
    {"training__optimizer__name": "sgd", "model__dropout": 0.5, "training__gradient_clipping": 0.01},
    {"training__l1": 0.01, "training__gradient_clipping": 0.01},
    {"model__architecture": "small_resnet", "training__batch_size": 8},
    {"data__dataset": "linear", "data__validation": 20, "training__loss": "mse"},
    {"data__dataset": "moons", "data__validation": 20, "training__loss": "bce_with_logits"},
    {"data__dataset": "reviews", "data__validation": 100, "model__architecture": "text_embedding"}])
def test_every_view_of_it(runs, changes):
    at = opened(page(tiny(**changes)))
    for view in ("The batch", "All layers", "The code"):
        at.session_state["train.microscope.view"] = view
        at.session_state["train.microscope.stage"] = "step()"
        whole(at.run())
    assert "optimizer.zero_grad()" in at.code[-1].value and not at.error


def test_a_probability_is_never_all_or_nothing():
    frozen = SimpleNamespace(labels=torch.tensor([0, 0, 1]), losses=torch.zeros(3),
                             probabilities=torch.tensor([[1.0, 0.0], [0.25, 0.75], [1.0, 0.0]]))
    rows = _classes_of(SimpleNamespace(data=SimpleNamespace(classes=("a", "b"))), frozen, 3)
    assert rows["Probability of the right answer"] == ["> 99.9 %", "25.0 %", "< 0.1 %"]


def test_l1_and_clipping_are_in_the_formulas(runs):
    config = tiny(training__l1=0.01, training__gradient_clipping=0.05, training__optimizer__name="sgd")
    at = opened(page(config))
    at.session_state["train.microscope.stage"] = "backward()"
    whole(at.run())
    frozen = at.session_state[keys.MICROSCOPE][2]
    seen = trace_weight(config, frozen, "fc1.weight", strongest(frozen, "fc1.weight"))
    pull = "0.01" if seen.before > 0 else "(−0.01)"
    assert (f"∂loss/∂w + λ₁·sign(w) = {precise(seen.of_loss)} + {pull} = **{precise(seen.gradient)}**") in written(at)
    assert "(loss + penalty).backward()" in written(at) and "the loss and its L1 penalty together" in written(at)
    at.session_state["train.microscope.stage"] = "step()"
    whole(at.run())
    assert f"g · c / ‖g‖ = {precise(seen.gradient)} · 0.05 / {precise(frozen.norm)} = **{precise(seen.used)}**" in written(at)
    assert stages(at).loc["weight.grad"].tolist()[-2:] == [precise(seen.gradient), precise(seen.used)]
    without = written(opened(page(tiny())))
    assert "λ₁" not in without and "penalty" not in without


def test_it_begins_with_the_weights_that_are_named(finished, trained):
    config = tiny(training__start_from=finished)
    at = opened(page(config))
    before = at.session_state[keys.MICROSCOPE][2].before
    assert all(torch.equal(value, before[name]) for name, value in load_model(trained[0], finished).model.named_parameters())


def test_weights_that_are_gone_get_one_line(runs):
    at = opened(page(tiny(training__start_from="0" * 32)))
    assert len(at.error) == 1 and "can't start from the weights of run '00000000'" in at.error[0].value


def test_a_loss_that_cannot_be_gets_one_line(runs):
    at = opened(page(tiny(data__dataset="linear", data__validation=20)))
    assert "numbers are predicted with mse" in at.info[-1].value


def test_a_place_is_chosen_and_kept_in_bounds(runs):
    at = opened(page(tiny()))
    name = next(box for box in at.selectbox if str(box.key).startswith("train.microscope.name"))
    whole(name.select("fc2.weight").run())
    unit, entry = (at.number_input(key=f"train.microscope.place.fc2.weight.10×8.{axis}") for axis in (0, 1))
    assert (unit.max, entry.max) == (9, 7)
    whole(unit.set_value(4).run())
    assert re.search(r"fc2", str(name.value)) and at.number_input(key=unit.key).value == 4


def test_it_goes_on_from_a_run(finished, trained):
    at = opened(page(run=finished))
    frozen = at.session_state[keys.MICROSCOPE][2]
    assert frozen.number == trained[1].step + 1
    assert "A checkpoint keeps weights" in written(at)


@pytest.mark.parametrize(("config", "line"), [
    (tiny(model__architecture="vgg16"), "parameters"), (tiny(data__dataset="mnist"), "MNIST"),
    (tiny(model__architecture="cnn", model__channels=[8] * 8), "pictur")])
def test_what_cannot_be_looked_at_gets_one_line(runs, config, line):
    at = opened(page(config))
    assert line in at.info[-1].value and "\n" not in at.info[-1].value and keys.MICROSCOPE not in at.session_state


def test_a_damaged_checkpoint_gets_one_line(tmp_path, trained, monkeypatch):
    shutil.copytree(trained[0].path, tmp_path / "copy")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "copy"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    (tmp_path / "copy" / trained[1].id / "training.safetensors").write_bytes(b"no weights")
    at = opened(page(run=trained[1].id))
    assert len(at.error) == 1 and "damaged" in at.error[0].value
