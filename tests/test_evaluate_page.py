"""The page Evaluate: every section with one model and with two, clicks and lists, and what it says where something is missing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn import metrics as reference
from streamlit.testing.v1 import AppTest

from core.__main__ import main
from core.config import RunConfig
from core.data import load
from core.evaluation.metrics import summarize
from core.evaluation.mistakes import confident_mistakes
from core.evaluation.numbers import answer_numbers
from core.evaluation.sklearn_lines import answers_file
from core.runs import RunStore, checkpoint_path, load_model
from core.runs.evaluations import load_predictions, load_robustness, predictions_path, save_predictions
from core.settings import Settings
from core.training import Command
from pages.parts.evaluate.subject import caption
from pages.parts.shell.markdown import as_text
from tests.helpers import run_here, tiny
from tests.test_pages import assert_whole, texts

ROOT = Path(__file__).parents[1]
SECTIONS = ["Overview", "Numbers", "Confusion", "Thresholds", "Calibration", "Images", "Robustness", "Other data", "Compare two"]
IS_3 = {"data__task": "is_target", "data__target": 3, "training__loss": "bce_with_logits"}


class Stop:
    def command(self):
        return Command(stop=True)


@pytest.fixture(scope="module")
def models(places) -> dict:
    """Ids of two models of the same data, one of a yes-no question and one that was stopped early; "store" is where they are."""
    settings = Settings(places / "data", places / "evaluated", places / "cache")
    store = RunStore(settings.runs_dir)
    torch.set_num_threads(1)
    quick = {"training__epochs": 2, "training__optimizer__learning_rate": 0.01}
    configs = {"first": tiny(**quick), "second": tiny(training__seed=1), "is_3": tiny(**quick, **IS_3)}
    runs = {name: run_here(store, settings, config).id for name, config in configs.items()}
    line = RunConfig.model_validate({"data": {"dataset": "linear", "points": 50, "validation": 20}, "model": {
        "architecture": "mlp", "hidden": []}, "training": {"loss": "mse", "epochs": 30, "device": "cpu"}})
    runs |= {name: run_here(store, settings, line.with_values({"training.seed": seed})).id
             for seed, name in enumerate(("number", "number too"))}
    # its weights after no step at all: enough to be asked
    runs["stopped"] = run_here(store, settings, tiny(), Stop()).id
    return runs | {"store": store}


@pytest.fixture
def store(models, monkeypatch) -> RunStore:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(models["store"].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return models["store"]


def open_at(run: str, section: str = "Overview", second: str | None = None, **state) -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages/evaluate_model.py"), default_timeout=60)
    at.query_params["run"] = run
    at.session_state["evaluate.section"] = section
    for name, value in ({"second": second} if second else {} | state).items():
        at.session_state[f"evaluate.{name}"] = value
    for name, value in state.items():
        at.session_state[f"evaluate.{name}"] = value
    at.run()
    assert_whole(at)
    return at


def charts(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("pair", [("first", None), ("is_3", None), ("first", "second"), ("first", "is_3"), ("is_3", "first")])
def test_every_section_with_one_model_and_with_two(store, models, section, pair):
    first, second = pair
    at = open_at(models[first], section, models.get(second))
    assert not at.error
    assert len(at.title) == 1 and {one.type for one in at.main} & {"plotly_chart", "markdown", "info", "caption", "warning"}


def test_it_opens_with_its_surest_mistakes_and_the_matrix_with_pictures(store, models):
    at = open_at(models["first"])
    kept = load_predictions(store, models["first"])
    about, surest = summarize(kept), confident_mistakes(kept, 10)
    said = texts(at)
    assert f"**{100 * about.accuracy:.2f} %** are right: {about.right:,} of {about.examples:,}" in said
    pictures = [image.caption for shown in at.get("image") for image in shown.proto.imgs]
    lines = [as_text(caption(kept, place)).replace(" %", "\u00a0%") for place in surest.tolist()]
    assert pictures[:len(surest)] == lines and len(lines)
    assert said.index("Its surest mistakes") < said.index("What it takes for what") and not at.dataframe
    assert matrix(at)["classes"] == list("0123456789") and len(pictures) > len(surest), "and a cell's images below the matrix"


def test_a_reader_guesses_its_surest_mistakes_and_sees_both_scores(store, models):
    at = open_at(models["first"])
    kept = load_predictions(store, models["first"])
    surest = confident_mistakes(kept, 10).tolist()
    key = f"evaluate.guess.{models['first']}.test"
    at.toggle(key=f"{key}.on").set_value(True).run()
    for number, place in enumerate(surest):
        assert f"Image {number + 1} of {len(surest)}" in at.button_group(key=f"{key}.{place}").label
        captions = [image.caption for shown in at.get("image") for image in shown.proto.imgs]
        assert captions == [""] and "said" not in texts(at), "nothing on the page tells what it is"
        truth = int(kept.targets[place])
        at.button_group(key=f"{key}.{place}").set_value(truth if number else (truth + 1) % 10).run()
        assert_whole(at)
    assert f"**You: {len(surest) - 1} of {len(surest)}**" in texts(at) and f"**The model: 0 of {len(surest)}**" in texts(at)
    captions = [image.caption for shown in at.get("image") for image in shown.proto.imgs]
    assert all(f"you: {int(kept.targets[place])}" in caption for place, caption in zip(surest[1:], captions[1:], strict=False))
    at.button(key=f"{key}.again").click().run()
    assert f"Image 1 of {len(surest)}" in at.button_group(key=f"{key}.{surest[0]}").label


def test_no_choice_is_called_like_a_section(store, models):
    for section in SECTIONS:
        at = open_at(models["first"], section)
        labels = {str(control.label) for kind in (at.selectbox, at.segmented_control) for control in kind}
        assert not labels & set(SECTIONS), f"{section}: two things of one name"


def test_the_numbers_are_what_was_kept(store, models):
    at = open_at(models["first"], "Numbers")
    about = summarize(load_predictions(store, models["first"]))
    assert metrics(at)["Accuracy"] == f"{100 * about.accuracy:.2f} %" and metrics(at)["Loss"] == f"{about.loss:.4f}"
    table = at.dataframe[0].value
    assert list(table["Class"])[-2:] == ["macro mean", "weighted mean"] and table["Support"].iloc[-1] == 360
    assert {b.proto.label for b in at.get("download_button")} == {"Table (CSV)", "All answers (CSV)", "Answers (NPZ)"}


def test_a_model_that_never_says_a_class_has_a_dash_and_a_reason(store, models):
    kept = load_predictions(store, models["second"])
    logits = torch.eye(10)[kept.labels] * 9  # right, but for the 4s
    logits[:, 4] = -1000
    save_predictions(store, models["second"], replace(kept, logits=logits))
    try:
        at = open_at(models["second"], "Numbers")
        assert at.dataframe[0].value["Precision"][4] == "–"
        assert "4: the model never says so." in texts(at)
    finally:
        save_predictions(store, models["second"], kept)


def matrix(at: AppTest) -> dict:
    """What the component that draws the matrix was given."""
    return json.loads(at.main.get("bidi_component")[0].proto.json)


def test_the_commonest_mistake_is_shown_first_and_the_lists_choose_another(store, models):
    at = open_at(models["first"], "Confusion")
    key = f"evaluate.matrix.{models['first']}.test"
    cell = at.session_state[f"{key}.cell"]
    truth, said = cell.truth, cell.said
    assert matrix(at)["chosen"] == 10 * truth + said and matrix(at)["classes"] == list("0123456789")
    assert [at.selectbox(key=f"{key}.{place}.0").value for place in (0, 1)] == [truth, said]
    assert truth != said and f"of {truth} that it called {said}" in texts(at)
    at.selectbox(key=f"{key}.1.0").select(truth).run()
    assert_whole(at)
    assert f"of {truth} that it called {truth}" in texts(at) and matrix(at)["chosen"] == 11 * truth
    assert [at.selectbox(key=f"{key}.{place}.1").value for place in (0, 1)] == [truth, truth]


def test_lists_of_an_earlier_turn_are_not_heard(store, models):
    """As when a second click comes before the browser has drawn the first one's answer: it sends the former lists along."""
    at = open_at(models["first"], "Confusion")
    key = f"evaluate.matrix.{models['first']}.test"
    former = at.selectbox(key=f"{key}.0.0")
    at.session_state[f"{key}.cell"] = replace(at.session_state[f"{key}.cell"], truth=7, said=7, turn=1)
    former.select((former.value + 1) % 10).run()
    assert_whole(at)
    assert (at.session_state[f"{key}.cell"].truth, at.session_state[f"{key}.cell"].said) == (7, 7)
    assert "of 7 that it called 7" in texts(at)


def test_the_matrix_can_be_saved_as_table_and_as_picture(store, models):
    at = open_at(models["first"], "Confusion")
    assert {"Matrix (CSV)", "Matrix (PNG)"} <= {b.proto.label for b in at.get("download_button")}


def test_the_threshold_moves_counts_points_and_cost(store, models):
    at = open_at(models["is_3"], "Thresholds", threshold=0.0, miss=10.0, false_alarm=1.0)
    kept = load_predictions(store, models["is_3"])
    positives = int(kept.targets.sum())
    assert metrics(at)["Recall"] == "100.00 %" and metrics(at)["Cost"] == str(360 - positives)
    assert charts(at)[0]["data"][0]["text"] == [["", str(360 - positives)], ["", str(positives)]]
    at.slider(key="evaluate.threshold").set_value(1.0).run()
    assert_whole(at)
    assert metrics(at)["Recall"] == "0.00 %" and metrics(at)["Precision"] == "–"
    assert metrics(at)["Cost"] == str(10 * positives)
    assert "No better than always saying “not 3”" in texts(at)
    marked = [trace for trace in charts(at)[1]["data"] if trace["mode"] == "markers"]
    assert [(trace["x"], trace["y"]) for trace in marked] == [([0.0], [0.0])]


def test_a_temperature_is_fitted_on_the_validation_images(store, models):
    at = open_at(models["first"], "Calibration")
    at.button(key=f"evaluate.temperature.{models['first']}").click().run()
    assert_whole(at)
    assert "**Temperature" in texts(at) and load_predictions(store, models["first"], "validation") is not None
    assert len([trace for trace in charts(at)[0]["data"] if trace.get("customdata")]) == 2, "before and after"


def test_random_images_follow_the_seed(store, models):
    at = open_at(models["first"], "Images", images="At random")
    before = [image.proto.imgs[0].caption for image in at.get("image")]
    assert len(before) == 10
    at.number_input(key="evaluate.seed").set_value(5).run()
    assert_whole(at)
    assert [image.proto.imgs[0].caption for image in at.get("image")] != before


def test_robustness_is_measured_once_and_kept(store, models, monkeypatch):
    at = open_at(models["second"], "Robustness")
    at.button(key="evaluate.try").click().run()
    assert_whole(at)
    assert len(at.get("plotly_chart")) == 8
    kept = load_robustness(store, models["second"], load_predictions(store, models["second"]).images, 500)
    assert {point.examples for point in kept} == {360}
    again = open_at(models["second"], "Robustness")
    assert not [b for b in again.button if b.key == "evaluate.try"] and len(again.get("plotly_chart")) == 8


def test_other_data_that_is_not_here_says_where_to_get_it(store, models):
    at = open_at(models["first"], "Other data")
    assert "MNIST is not on this machine yet" in at.info[0].value
    assert "Not Fashion-MNIST: its classes have other names." in texts(at)


def test_two_models_are_compared_on_the_same_images(store, models):
    at = open_at(models["first"], "Compare two", models["second"])
    assert "is better (p < 0.0001)" in at.success[0].value
    assert "McNemar's test" in texts(at)
    first, second = (load_predictions(store, models[name]) for name in ("first", "second"))
    assert metrics(at)["Difference (points)"] == f"{100 * (second.correct.mean() - first.correct.mean()):+.2f}".replace("-", "−")
    assert at.dataframe[0].value["second right"][0] == int((first.correct & second.correct).sum())


def test_models_of_different_data_are_not_compared(store, models):
    at = open_at(models["first"], "Compare two", models["is_3"])
    assert len(at.warning) == 1 and "different questions" in at.warning[0].value
    assert not at.get("plotly_chart")


def test_a_stopped_run_is_asked_only_when_a_person_wants_it(store, models):
    at = open_at(models["stopped"])
    assert "its test images are unseen" in at.info[0].value and not at.metric
    at.button(key=f"evaluate.ask.{models['stopped']}").click().run()
    assert_whole(at)
    assert "are right:" in texts(at)
    predictions_path(store, models["stopped"], "test").unlink()


def test_without_the_images_figures_stay_and_pictures_are_named(store, models, monkeypatch):
    from core.data import DataMissing

    def missing(*_):
        raise DataMissing("Digits are not on this machine. Get them on the page “Explore data”.")

    for module in ("evaluate.subject", "runs.answers"):
        monkeypatch.setattr(f"pages.parts.{module}.dataset", missing)
    at = open_at(models["first"], "Numbers")
    assert "Accuracy" in metrics(at) and not at.warning
    at = open_at(models["first"])
    assert len(at.warning) == 1 and "Press a cell" not in texts(at), "said once"
    at = open_at(models["first"], "Images")
    assert "not on this machine" in at.warning[0].value and "said" in at.code[0].value
    at = open_at(models["first"], "Robustness")
    assert "can't be changed and tried" in at.warning[0].value
    at = open_at(models["stopped"])
    at.button(key=f"evaluate.ask.{models['stopped']}").click().run()
    assert_whole(at)
    assert "Digits are not on this machine" in at.warning[0].value


def test_damaged_weights_get_one_line(store, models):
    path = checkpoint_path(store, models["stopped"])
    kept = path.read_bytes()
    path.write_bytes(b"no weights")
    try:
        at = open_at(models["stopped"])
        at.button(key=f"evaluate.ask.{models['stopped']}").click().run()
        assert_whole(at)
        assert len(at.error) == 1 and "damaged" in at.error[0].value
    finally:
        path.write_bytes(kept)


def test_logits_that_are_no_numbers_get_one_line(store, models):
    kept = load_predictions(store, models["second"])
    save_predictions(store, models["second"], replace(kept, logits=torch.full_like(kept.logits, float("nan"))))
    try:
        at = open_at(models["second"])
        assert "infinite or no numbers" in at.error[0].value and not at.metric
    finally:
        save_predictions(store, models["second"], kept)


def test_a_run_without_weights_gives_way_to_another(store, models):
    run = store.create_running(tiny(), "someone", "here", "A run that failed")
    store.finish(run.id, "failed", "The loss became NaN at step 3.")
    at = open_at(run.id)
    assert "has kept no weights" in at.info[0].value
    assert at.selectbox(key=f"evaluate.model.{run.id}").value in models.values()
    assert at.query_params["run"] == run.id, "the current run is what a person chose"
    store.delete(run.id)


# --- the same on the command line


def test_the_command_line_says_the_same(store, models, capsys):
    capsys.readouterr()
    assert main(["evaluate", models["first"], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    about = summarize(load_predictions(store, models["first"]))
    assert (said["accuracy"], said["examples"], said["split"]) == (about.accuracy, 360, "test")
    assert said["accuracy_interval"] == [about.interval.low, about.interval.high]
    assert len(said["classes"]) == 10 and sum(map(sum, said["confusion"])) == 360
    assert main(["evaluate", models["is_3"], "--split", "validation"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "3"


@pytest.mark.parametrize("run", ["nonsense", "0" * 32, "../../etc"])
def test_the_command_line_names_a_run_that_is_not_there(store, run, capsys):
    capsys.readouterr()
    assert main(["evaluate", run]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and "There is no run" in said.err


# The same figures by scikit-learn

def test_the_lines_of_every_section_and_their_file_are_of_this_run(store, models, tmp_path):
    """As a person does it: what the page shows, beside what it saves."""
    name, shown = f"answers-{models['is_3'][:8]}-test.npz", []
    for section, state in (("Numbers", {}), ("Confusion", {}), ("Thresholds", {"threshold": 0.25}), ("Calibration", {})):
        at = open_at(models["is_3"], section, **state)
        shown.append((at.code[-2].value, at.code[-1].value))
        assert [b.proto.label for b in at.get("download_button")].count("Answers (NPZ)") == 1
        assert f'np.load("{name}")' in at.code[-2].value
        if section == "Numbers":
            assert shown[0][1].startswith(f"accuracy: {round(float(metrics(at)['Accuracy'].removesuffix(' %')) / 100, 4)}")
            assert f"loss: {float(metrics(at)['Loss'])}" in shown[0][1]
    assert ">= 0.25" in shown[2][0]
    (tmp_path / name).write_bytes(answers_file(load_predictions(store, models["is_3"])))
    done = subprocess.run([sys.executable, "-W", "error", "-c", "\n".join(code for code, _ in shown)], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "\n".join(output for _, output in shown), done.stderr


def test_predicted_numbers_have_their_own_figures(store, models):
    at = open_at(models["number"])
    trained = load_model(store, models["number"])
    data = load(trained.config.data, Path(os.environ["PLAYGROUND_DATA"]), Path(os.environ["PLAYGROUND_CACHE"]))
    answers = answer_numbers(trained.model, data, trained.config, "test")
    shown = metrics(at)
    assert shown["MSE"] == f"{reference.mean_squared_error(answers.y_true, answers.y_pred):.4f}"
    assert shown["MAE"] == f"{reference.mean_absolute_error(answers.y_true, answers.y_pred):.4f}"
    assert shown["R²"] == f"{reference.r2_score(answers.y_true, answers.y_pred):.4f}"
    assert f"MSE: {float(shown['MSE'])}" in at.code[-1].value and "mean_absolute_error" in at.code[-2].value
    assert len(charts(at)) == 2 and "Section" not in texts(at)
    # only another run that predicts a number can be laid beside it
    assert set(at.selectbox(key="evaluate.second").options) == {"no second model", *[
        option for option in at.selectbox(key="evaluate.second").options if models["number too"][:4] in option]}
    both = open_at(models["number"], second=models["number too"])
    assert len(both.metric) == 8 and not both.error


def test_a_number_that_is_none_gets_one_line(store, models):
    path = checkpoint_path(store, models["number too"])
    kept = path.read_bytes()
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
        save_file({name: torch.full_like(value, 3e38) if value.is_floating_point() else value
                   for name, value in load_file(path).items()}, path, about)
        at = open_at(models["number too"])
        assert len(at.error) == 1 and not at.metric
    finally:
        path.write_bytes(kept)
