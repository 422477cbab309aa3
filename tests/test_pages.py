"""Every page, through app.py and alone, with nothing, with a finished run and with a failed one; then what each page does."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.config import DataConfig, read_config
from core.data.drawing import prepare
from core.presets import PRESETS
from core.runs import RunStore, load_model
from pages.parts.draft.draft import fitting_normalization
from pages.parts.shell import keys
from tests.helpers import tiny
from tests.opened_pages import bars, offers
from tests.words_on_pages import markup

ROOT = Path(__file__).parents[1]
PAGES = sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py") if path.name != "__init__.py")


@pytest.fixture
def runs(tmp_path, places, monkeypatch) -> RunStore:
    """A runs folder of the test's own, without workers: what is started stays in the queue."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


@pytest.fixture
def finished(trained, places, monkeypatch) -> str:
    """The id of a finished run, in the folder the pages look into."""
    store, run = trained
    monkeypatch.setenv("PLAYGROUND_RUNS", str(store.path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return run.id


@pytest.fixture
def failed(runs) -> str:
    """The id of a run that has failed."""
    run = runs.create_running(tiny(), "someone", "here", "A run that failed")
    runs.finish(run.id, "failed", "The loss became NaN at step 3.")
    return run.id


def page(path: str = "app.py", run: str | None = None) -> AppTest:
    """A page as a visitor gets it from the menu. With nothing but the page itself: see alone()."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    if run:
        at.query_params["run"] = run
    at.run()
    assert_whole(at)
    return at if path == "app.py" else at.switch_page(path).run()


def alone(path: str, run: str | None = None) -> AppTest:
    at = AppTest.from_file(str(ROOT / path), default_timeout=60)
    if run:
        at.query_params["run"] = run
    return at.run()


def is_lab(path: str) -> bool:
    return path.startswith("pages/learn_")


def assert_whole(at: AppTest) -> None:
    assert [e.value for e in at.exception] == []


def texts(at: AppTest) -> str:
    """All that is written on the page."""
    return "\n".join(str(e.value) for kind in (at.title, at.header, at.markdown, at.caption, at.info, at.warning,
                                               at.error, at.metric) for e in kind)


def click(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


# --- every page in every state


@pytest.mark.parametrize("open_page", [page, alone])
@pytest.mark.parametrize("path", ["app.py", *PAGES])
def test_a_page_with_nothing_says_what_to_do(runs, path, open_page):
    at = open_page(path)
    assert_whole(at)
    assert not at.error
    assert len(at.title) == 1
    assert at.info or at.button, "an empty page must offer something"


@pytest.mark.parametrize("open_page", [page, alone])
@pytest.mark.parametrize("path", ["app.py", *PAGES])
def test_a_page_with_a_finished_run(finished, path, open_page):
    at = open_page(path, finished)
    assert_whole(at)
    assert not at.error and not at.warning
    assert at.query_params["run"] == finished


@pytest.mark.parametrize("open_page", [page, alone])
@pytest.mark.parametrize("path", ["app.py", *PAGES])
def test_a_page_with_a_failed_run(failed, path, open_page):
    at = open_page(path, failed)
    assert_whole(at)
    if path in {"app.py", "pages/train_model.py", "pages/compare_runs.py"}:
        assert "The loss became NaN at step 3." in texts(at)


@pytest.mark.parametrize("path", ["app.py", *PAGES])
@pytest.mark.parametrize("run", ["[zqx](https://zqx.example)", "0" * 32, "../../etc/passwd", "![<b>x</b>](//zqx.example/a.png)"])
def test_a_run_that_does_not_exist_gets_one_line(runs, path, run):
    at = alone(path, run)
    assert_whole(at)
    if at.warning:
        assert "There is no run" in at.warning[0].value
        assert not [(place, text) for place, text in markup(at) if "[zqx](" in text or "![<" in text], "it would be a link"
    else:
        assert is_lab(path) or path in {"pages/build_model.py", "pages/explore_data.py", "pages/open_lesson.py",
                                        "pages/collect_digits.py", "pages/lesson_wall.py",
                                        "pages/search_settings.py"}, "it shows runs"


@pytest.mark.parametrize("path", ["app.py", *PAGES])
def test_a_runs_folder_that_cannot_be_used_gets_one_line(tmp_path, places, monkeypatch, path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "file"))
    at = alone(path)
    assert_whole(at)
    if is_lab(path) and not at.error:
        return  # a lab that starts no runs works without the folder
    assert len(at.error) == 1 and "PLAYGROUND_RUNS" in at.error[0].value and "\n" not in at.error[0].value


# --- Home


def test_home_names_the_device_and_starts_a_first_run(runs):
    at = page()
    assert "CPU" in texts(at) or "GPU" in texts(at)
    click(at, "home.train")
    assert_whole(at)
    (run,) = runs.runs()
    assert run.config == PRESETS["digits-quick"].config, "without MNIST, the digits that need no download"
    assert at.query_params["run"] == run.id


def test_while_a_run_waits_home_starts_no_second_one(runs):
    at = page()
    click(at, "home.train")
    assert "home.train" not in {button.key for button in at.button}
    assert len(runs.runs()) == 1


def test_two_visitors_make_two_runs(runs):
    for _ in range(2):
        click(page(), "home.train")
    assert len(runs.runs()) == 2
    assert {run.status for run in runs.runs()} == {"queued"}


def test_presets_without_their_data_cannot_be_pressed(runs):
    found = offers(page())
    assert found["mnist-mlp-50"]["button"] == "Get MNIST first" and found["digits-quick"]["button"] == "Train"
    assert set(found) == set(PRESETS)


def test_a_queued_run_can_be_stopped_from_home(runs):
    at = page()
    click(at, "home.train")
    click(at, "run.stop")
    assert_whole(at)
    assert runs.runs()[0].status == "stopped"


# --- the run in the address


def test_the_run_survives_page_changes_and_reload(finished):
    at = page(run=finished)
    for path in PAGES:
        at.switch_page(path).run()
        assert at.query_params["run"] == finished
    assert at.session_state[keys.RUN] == finished
    again = alone("pages/train_model.py", finished)  # a reload is a new session with the same address
    assert "finished" in texts(again)


# --- Explore data


def test_explore_filters_by_split_and_class(runs):
    at = page("pages/explore_data.py")
    assert [m.value for m in at.metric] == ["6,185", "200", "360", "28×28"]
    at.selectbox(key="explore.class").select("7").run()
    assert_whole(at)
    assert set(at.code[-1].value.split()) == {"7"}


def test_explore_turns_pages(runs):
    at = page("pages/explore_data.py")
    first = at.code[-1].value
    number = next(n for n in at.number_input if n.key.startswith("explore.page"))
    number.set_value(2).run()
    assert_whole(at)
    assert at.code[-1].value != first


def test_explore_says_what_to_do_where_data_is_missing(runs):
    at = page("pages/explore_data.py")
    at.session_state["explore.dataset"] = "mnist"
    at.run()
    assert_whole(at)
    assert "MNIST is not on this machine yet" in at.info[0].value
    assert at.button(key="explore.download")


def test_explore_names_the_damaged_file(runs, tmp_path, monkeypatch):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (raw / name).write_bytes(b"half a file")
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    at = alone("pages/explore_data.py")
    assert_whole(at)
    assert len(at.error) == 1 and "train-images-idx3-ubyte" in at.error[0].value and "Delete it" in at.error[0].value
    assert_whole(page())  # Home only warns


def test_explore_takes_its_data_into_a_run(runs):
    at = page("pages/explore_data.py")
    click(at, "explore.train")
    assert_whole(at)
    assert read_config(at.session_state[keys.DRAFT]).data == PRESETS["digits-quick"].config.data


# --- Build model


def form_key(at: AppTest, path: str) -> str:
    return f"form.{at.session_state[keys.DRAFT_VERSION]}.{path}"


def test_build_shows_the_layers_as_they_are_changed(runs):
    at = page("pages/build_model.py")
    at.selectbox(key=form_key(at, "model.architecture")).select("mlp").run()
    at.text_input(key=form_key(at, "model.hidden")).set_value("50").run()
    assert_whole(at)
    table = at.dataframe[0].value
    assert table["Parameters"].sum() == 39_760
    assert "784·50 + 50 = 39,250" in set(table["How they come about"])
    assert at.metric[0].value == "39,760"


@pytest.mark.parametrize(("written", "line"), [("0", "from 1 to"), ("many", "whole number"), ("64, -3", "from 1 to")])
def test_a_bad_size_gets_one_line_and_nothing_is_lost(runs, written, line):
    at = page("pages/build_model.py")
    at.selectbox(key=form_key(at, "model.architecture")).select("mlp").run()
    before = at.session_state[keys.DRAFT]
    at.text_input(key=form_key(at, "model.hidden")).set_value(written).run()
    assert_whole(at)
    assert any(line in caption.value and "Hidden layers" in caption.value for caption in at.caption)
    assert at.session_state[keys.DRAFT] == before


def test_build_says_why_a_network_does_not_fit(runs):
    at = page("pages/build_model.py")
    at.text_input(key=form_key(at, "model.channels")).set_value("8, 8, 8, 8, 8").run()
    assert_whole(at)
    assert "at most 4" in at.error[0].value


def test_a_huge_layer_is_answered_without_building_it(runs):
    at = page("pages/build_model.py")
    at.selectbox(key=form_key(at, "model.architecture")).select("mlp").run()
    at.text_input(key=form_key(at, "model.hidden")).set_value(", ".join(["16384"] * 8)).run()
    assert_whole(at)
    assert at.metric[0].value == f"{784 * 16384 + 16384 + 7 * (16384**2 + 16384) + 16384 * 10 + 10:,}"


# --- Train model


@pytest.mark.parametrize(("chosen", "dataset", "kept"), [
    ({"normalization": "imagenet"}, "cifar10", "imagenet"), ({"normalization": "imagenet"}, "circle", "standard"),
    ({"normalization": "channels", "channel_mean": (0.1, 0.2, 0.3)}, "cifar10", "channels"),
    ({"normalization": "channels", "channel_mean": (0.1, 0.2, 0.3)}, "digits", "standard"),
    ({"normalization": "half"}, "circle", "half")])
def test_another_data_set_keeps_a_normalisation_that_fits_it(chosen, dataset, kept):
    assert fitting_normalization(DataConfig(**chosen), dataset)["normalization"] == kept


def test_where_notes_differ_is_said_of_a_preset_alone(runs):
    at = page("pages/train_model.py")
    assert not any("notes differ" in box.label for box in at.expander), "the digits are ours"
    at.selectbox[0].select("circle-2d").run()
    assert_whole(at)
    box = next(box for box in at.expander if box.label == "Where well-known notes differ")
    assert [line.removeprefix("- ") for line in box.markdown[0].value.splitlines()] == list(PRESETS["circle-2d"].differs)
    at.number_input(key=form_key(at, "training.epochs")).set_value(3).run()
    assert_whole(at)
    assert not any("notes differ" in box.label for box in at.expander)


def test_home_says_where_notes_differ(runs):
    found = offers(page())
    for name, entry in PRESETS.items():
        assert found[name]["notes"] == list(entry.differs) and found[name]["title"] == entry.title


def test_numbers_of_ones_own_for_normalisation(runs):
    at = page("pages/train_model.py")
    at.session_state["train.view"] = "All settings"
    at.run()
    assert not any(form_key(at, "data.channel_mean") == widget.key for widget in at.text_input)
    at.selectbox(key=form_key(at, "data.normalization")).select("channels").run()
    at.text_input(key=form_key(at, "data.channel_mean")).set_value("0.1307").run()
    at.text_input(key=form_key(at, "data.channel_std")).set_value("0.3081").run()
    assert_whole(at)
    data = read_config(at.session_state[keys.DRAFT]).data
    assert (data.normalization, data.channel_mean, data.channel_std) == ("channels", (0.1307,), (0.3081,))
    at.text_input(key=form_key(at, "data.channel_std")).set_value("0.3, 0.2, 0").run()
    assert any("Channel standard deviations, number 3, is 0" in caption.value for caption in at.caption)
    at.text_input(key=form_key(at, "data.channel_std")).set_value("0.3, 0.2, 0.1").run()
    assert_whole(at)
    said = "\n".join(element.value for element in (*at.markdown, *at.caption))
    assert "data.channel_std has 3 numbers, and there is 1 channel" in said


def test_train_starts_what_the_form_says(runs):
    at = page("pages/train_model.py")
    at.session_state["train.view"] = "All settings"
    at.number_input(key=form_key(at, "training.epochs")).set_value(3).run()
    at.selectbox(key=form_key(at, "training.optimizer.name")).select("sgd").run()
    at.number_input(key=form_key(at, "training.optimizer.momentum")).set_value(0.9).run()
    at.text_input(key=form_key(at, "training.moment_epochs")).set_value("1, x").run()
    assert any("Epochs to keep for certain, number 2, is 'x'" in caption.value for caption in at.caption)
    at.text_input(key=form_key(at, "training.moment_epochs")).set_value("3; 1, 20").run()
    assert any(re.search(r": 42 moments of .* each\. The run ends before epoch 20\.", caption.value) for caption in at.caption)
    click(at, "train.start")
    assert_whole(at)
    (run,) = runs.runs()
    assert run.config.training.epochs == 3 and run.config.training.moment_epochs == (3, 1, 20)
    assert (run.config.training.optimizer.name, run.config.training.optimizer.momentum) == ("sgd", 0.9)
    assert "Starts in a moment" in at.get("progress")[0].proto.text


def test_any_digit_can_be_the_target(runs):
    at = page("pages/train_model.py")
    at.session_state["train.view"] = "All settings"
    at.run()
    at.selectbox(key=form_key(at, "data.task")).select("is_target").run()
    at.selectbox(key=form_key(at, "data.target")).select(3).run()
    at.selectbox(key=form_key(at, "training.loss")).select("bce_with_logits").run()
    click(at, "train.start")
    assert_whole(at)
    assert (runs.runs()[0].config.data.target, runs.runs()[0].config.training.loss) == (3, "bce_with_logits")
    assert "is it 3?" in runs.runs()[0].title


def test_a_change_retrains_only_where_that_is_switched_on(runs):
    at = page("pages/train_model.py")
    click(at, "train.start")
    at.number_input(key=form_key(at, "training.epochs")).set_value(3).run()
    assert len(runs.runs()) == 1, "the switch is off"
    at.toggle(key="train.live").set_value(True).run()
    assert len(runs.runs()) == 1, "nothing has changed since"
    at.number_input(key=form_key(at, "training.epochs")).set_value(2).run()
    assert_whole(at)
    new, old = runs.runs()
    assert (new.config.training.epochs, new.status, old.status) == (2, "queued", "stopped")
    assert at.query_params["run"] == new.id and at.session_state[keys.PREVIOUS_RUN] == old.id


@pytest.mark.parametrize("schedule", ["step", "cosine", "one_cycle", "warm_up", "plateau"])
def test_every_schedule_has_its_fields_and_is_drawn(runs, schedule):
    at = page("pages/train_model.py")
    at.session_state["train.view"] = "All settings"
    at.run()
    at.selectbox(key=form_key(at, "training.schedule.name")).select(schedule).run()
    assert_whole(at)
    assert at.session_state[keys.DRAFT]["training"]["schedule"]["name"] == schedule


def test_nesterov_without_momentum_says_so_and_changes_nothing(runs):
    at = page("pages/train_model.py")
    at.session_state["train.view"] = "All settings"
    at.run()
    at.selectbox(key=form_key(at, "training.optimizer.name")).select("sgd").run()
    at.toggle(key=form_key(at, "training.optimizer.nesterov")).set_value(True).run()
    assert_whole(at)
    assert any("needs momentum above 0" in caption.value for caption in at.caption)
    assert at.session_state[keys.DRAFT]["training"]["optimizer"]["nesterov"] is False


def test_a_running_run_is_paused_and_given_another_learning_rate(runs):
    run = runs.create_running(tiny(), "someone", "here", "A run that is going")
    at = page("pages/train_model.py", run.id)
    click(at, "run.pause")
    assert runs.command(run.id).pause
    click(at, "run.pause")
    assert not runs.command(run.id).pause
    at.number_input(key=f"run.rate.{run.id}").set_value(0.5).run()
    click(at, "run.use_rate")
    assert_whole(at)
    assert runs.command(run.id).learning_rate == 0.5


def test_a_finished_run_goes_on_for_more_epochs(tmp_path, trained, monkeypatch):
    shutil.copytree(trained[0].path, tmp_path / "copy")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "copy"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    at = page("pages/train_model.py", trained[1].id)
    assert not [one for one in at.button if one.key == "train.its_settings"], "the form has the run's settings at first"
    at.number_input(key=form_key(at, "training.epochs")).set_value(7).run()
    assert "This run's settings are not the form's: epochs." in [one.value for one in at.caption]
    at.session_state["runs.made_with"] = True
    click(at, "train.its_settings")
    assert at.session_state[keys.DRAFT] == trained[1].config.model_dump(mode="json")
    assert not [one for one in at.button if one.key == "train.its_settings"] and "- Seed: " in texts(at)
    at.number_input(key=f"run.more.{trained[1].id}").set_value(3).run()
    click(at, "run.continue")
    assert_whole(at)
    run = RunStore(tmp_path / "copy").get(trained[1].id)
    assert (run.status, run.config.training.epochs) == ("queued", trained[1].config.training.epochs + 3)


def test_settings_last_from_page_to_page(runs):
    at = page("pages/train_model.py")
    at.number_input(key=form_key(at, "training.epochs")).set_value(7).run()
    at.switch_page("pages/build_model.py").run()
    at.switch_page("pages/train_model.py").run()
    assert at.number_input(key=form_key(at, "training.epochs")).value == 7


# --- Draw a digit


def draw(at: AppTest, rgba) -> AppTest:
    """Put a picture on the canvas as the component sends it."""
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, format="PNG")
    data = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    at.session_state[f"{keys.CANVAS}.0"] = {"drawing": {"raw": {"objects": [{}]}, "data": data}, "backgroundFit": None}
    return at.run()


def test_a_drawing_is_answered_as_the_model_answers(finished, trained, digits):
    pixels = np.asarray(Image.fromarray(255 - digits.test.images[3, 0].numpy()).resize((280, 280))).copy()
    rgba = np.dstack([pixels] * 3 + [np.full_like(pixels, 255)])
    at = draw(page("pages/draw_digit.py", finished), rgba)
    assert_whole(at)
    model = load_model(trained[0], finished)
    said = model.classes[int(model.predict(prepare(rgba).image.unsqueeze(0)).argmax())]
    assert bars(at)[0]["title"] == f"It says: {said}"
    assert "What the network sees" in [s.value for s in at.header]


def test_a_blank_canvas_is_no_digit(finished):
    at = draw(page("pages/draw_digit.py", finished), np.full((280, 280, 4), 255, np.uint8))
    assert_whole(at)
    shown, = bars(at)
    assert "Draw on the white square" in shown["line"] and shown["values"] == [None] * 10 and shown["best"] == -1


def test_damaged_weights_get_one_line(tmp_path, trained, monkeypatch):
    shutil.copytree(trained[0].path, tmp_path / "copy")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "copy"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    (tmp_path / "copy" / trained[1].id / "checkpoint.safetensors").write_bytes(b"no weights")
    at = alone("pages/draw_digit.py", trained[1].id)
    assert_whole(at)
    assert len(at.error) == 1 and "damaged" in at.error[0].value


# --- Compare runs


def test_compare_lists_runs_and_offers_their_files(finished, trained):
    at = page("pages/compare_runs.py", finished)
    row = at.dataframe[0].value.iloc[0]
    assert row["status"] == "Finished"
    assert row["test_accuracy"] == pytest.approx(trained[1].test_accuracy * 100)
    assert [b.proto.label for b in at.get("download_button")] == ["Table as CSV", "Download"]
    assert at.selectbox(key="takeaway.kind").value == "pth"
