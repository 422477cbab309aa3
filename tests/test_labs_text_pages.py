"""The labs on text, linear regression and first networks as their readers use them."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.importing.text_lines import MOST_MEGABYTES
from core.labs.first_networks import NOTES, walk
from core.presets import PRESETS
from core.runs import RunStore
from pages.parts.learn.questions import FIRST_NETWORKS, REGRESSION, TEXT
from pages.parts.shell import keys
from tests.opened_pages import said, skip_questions, whole

ROOT = Path(__file__).parents[1]
TEXT_PAGE, REGRESSION_PAGE, FIRST_PAGE = (f"pages/learn_{name}.py" for name in ("text", "linear_regression", "first_networks"))
TOPICS = {
    TEXT_PAGE: ["Words to numbers", "Vocabulary", "Train", "Map of words", "What decided", "Word order", "Your own texts"],
    REGRESSION_PAGE: ["Watch it converge", "Predictions and residuals", "Learning rate", "Train it as a run"],
    FIRST_PAGE: ["Line by line", "Training and new samples", "Train it as a run"],
}
KEYS = {TEXT_PAGE: "text", REGRESSION_PAGE: "regression", FIRST_PAGE: "first"}


@pytest.fixture(autouse=True)
def runs(tmp_path, places, monkeypatch) -> RunStore:
    """Data and runs of the test's own, without workers: what is started stays in the queue."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


def lab(path: str, topic: str) -> AppTest:
    at = skip_questions(AppTest.from_file(str(ROOT / path), default_timeout=60))
    at.session_state[f"{KEYS[path]}.topic"] = topic
    return whole(at.run())


def figures(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


@pytest.mark.parametrize(("path", "topic"), [(path, topic) for path, topics in TOPICS.items() for topic in topics])
def test_every_topic_is_drawn_and_its_code_runs(path, topic):
    at = lab(path, topic)
    assert not at.error and "What to try next" in [s.value for s in at.header]
    code = [block.value for block in at.code if block.language == "python"][-1]
    if topic == TOPICS[path][0]:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {})


@pytest.mark.parametrize(("path", "topic", "questions"), [
    (TEXT_PAGE, "Word order", TEXT), (REGRESSION_PAGE, "Learning rate", REGRESSION),
    (FIRST_PAGE, "Training and new samples", FIRST_NETWORKS)])
def test_a_question_is_answered_after_a_guess(path, topic, questions):
    at = lab(path, topic)
    asked = next(q for q in questions.values() if any(b.key == f"{q.key}.reveal" for b in at.button))
    at.radio(key=f"{asked.key}.guess").set_value(asked.choices[asked.right]).run()
    at.button(key=f"{asked.key}.reveal").click().run()
    assert f"**Yes.** {asked.why}" in said(whole(at)) and at.session_state[keys.LABS][path] == "tried"


@pytest.mark.parametrize(("path", "topic", "button", "preset"), [
    (TEXT_PAGE, "Train", "text.train", "reviews-embedding"),
    (REGRESSION_PAGE, "Train it as a run", "regression.train", "linear-regression"),
    (FIRST_PAGE, "Train it as a run", "first.train", "toy-sigmoid")])
def test_a_lab_starts_its_preset_as_a_run(runs, path, topic, button, preset):
    at = lab(path, topic)
    at.button(key=button).click().run()
    whole(at)
    (run,) = runs.runs()
    assert run.config == PRESETS[preset].config and run.title == PRESETS[preset].title
    assert at.query_params["run"] == run.id and at.get("progress")


def test_the_first_of_the_first_networks_and_a_loss_that_is_no_number():
    at = lab(FIRST_PAGE, "Training and new samples")
    at.button_group(key="first.system").set_value("toy-2-2-1").run()
    found = walk(NOTES["toy-2-2-1"])
    assert [metric.value for metric in whole(at).metric] == [f"{found.losses[-1]:.4f}", f"{found.new_losses[-1]:.4f}"]
    at.slider(key="first.hidden.toy-2-2-1").set_value(64).run()
    at.select_slider(key="first.rate.toy-2-2-1").set_value(10.0).run()
    assert "beyond all numbers" in whole(at).warning[0].value
    at.button_group(key="first.topic").set_value("Line by line").run()
    whole(at)
    at.select_slider(key="first.rate.toy-2-2-1").set_value(0.01).run()
    at.slider(key="first.hidden.toy-2-2-1").set_value(2).run()
    at.button_group(key="first.topic").set_value("Train it as a run").run()
    at.button(key="first.train").click().run()
    whole(at)


# --- text

def test_a_typed_review_is_shown_word_by_word():
    at = lab(TEXT_PAGE, "Words to numbers")
    at.segmented_control(key="text.kind.words").set_value("Type my own").run()
    at.text_area(key="text.own.words").set_value("The flabbergasting <b>film</b>  # isn't dull!").run()
    row = next(m.value for m in whole(at).markdown if "background[flabbergasting" in m.value)
    assert ":red-background[flabbergasting :small[1]]" in row and "<" not in row and ":blue-background[the :small[2]]" in row
    assert at.code[0].value.startswith("[2, 1, ")
    at.text_area(key="text.own.words").set_value("?!").run()
    assert "There is no word in it" in said(whole(at))
    at.text_area(key="text.own.words").set_value("film " * 100).run()
    assert ":gray-background[film]" in said(whole(at))


def test_a_test_review_is_judged():
    at = lab(TEXT_PAGE, "What decided")
    at.number_input(key="text.number.decision.120").set_value(7).run()
    assert any(m.value.startswith(("## Positive", "## Negative")) for m in whole(at).markdown)
    assert figures(at)[0]["data"][0]["type"] == "bar"
    at.segmented_control(key="text.kind.decision").set_value("Type my own").run()
    at.text_area(key="text.own.decision").set_value("  ").run()
    assert "nothing pushes" in said(whole(at))


def test_twins_get_the_same_answer_on_the_page():
    at = lab(TEXT_PAGE, "Word order")
    twins = at.dataframe[0].value
    assert twins["Positive"][0] == twins["Positive"][1] and twins["Sentence"][0] != twins["Sentence"][1]
    at.text_input(key="text.order").set_value("Hardly a great film").run()
    assert len(set(whole(at).dataframe[2].value["Positive"])) == 1
    at.text_input(key="text.order").set_value("").run()
    assert len(whole(at).dataframe) == 2


def test_the_map_before_and_after():
    at = lab(TEXT_PAGE, "Map of words")
    after = figures(at)[0]
    at.segmented_control(key="text.when").set_value("Before training").run()
    before = figures(whole(at))[0]
    assert before["layout"]["xaxis"]["range"] == after["layout"]["xaxis"]["range"], "the axes stay, so that a move is a move"
    assert before["data"] != after["data"]


def test_an_own_file_is_learned_from_and_deleted(tmp_path):
    content = "text,label\n" + "".join(f"good film {i},positive\nbad film {i},negative\n" for i in range(12))
    at = lab(TEXT_PAGE, "Your own texts")
    assert at.file_uploader(key="text.upload").proto.max_upload_size_mb == MOST_MEGABYTES, "it names the limit that the file has"
    at.file_uploader(key="text.upload").set_value(("mine.csv", content.encode(), "text/csv")).run()
    assert "24 texts of 2 classes: negative 12, positive 12" in whole(at).success[0].value
    (kept,) = (tmp_path / "data" / "texts").glob("*.csv")
    at = lab(TEXT_PAGE, "What decided")
    at.selectbox[0].select(kept.stem).run()
    at.segmented_control(key="text.kind.decision").set_value("Type my own").run()
    at.text_area(key="text.own.decision").set_value("a good film").run()
    assert any(m.value.startswith("## Positive") for m in whole(at).markdown)
    at = lab(TEXT_PAGE, "Your own texts")
    at.button(key=f"text.delete.{kept.stem}.sure").click().run()
    assert not kept.exists() and not whole(at).error


def test_four_classes_are_asked_about_one_by_one(tmp_path):
    content = "title,words,matter\n" + "".join(f"t{i % 2},about {name} and more of it {i},{name}\n" for i in range(15)
                                             for name in ("art", "law", "*sea*", "sport"))
    at = lab(TEXT_PAGE, "Your own texts")
    at.file_uploader(key="text.upload").set_value(("mine.csv", content.encode(), "text/csv")).run()
    assert "60 texts of 2 classes: t0" in whole(at).success[0].value, "the titles look like labels, too"
    at.selectbox(key=next(box.key for box in at.selectbox if box.key.startswith("text.column.1"))).select_index(2)
    at.button(key="text.columns.read").click().run()
    assert "60 texts of 4 classes" in whole(at).success[0].value and not at.error
    (kept,) = (tmp_path / "data" / "texts").glob("*.csv")
    at.selectbox[0].select(kept.stem).run()
    at.segmented_control(key="text.topic").set_value("What decided").run()
    at.segmented_control(key="text.kind.decision").set_value("Type my own").run()
    at.text_area(key="text.own.decision").set_value("it is about law").run()
    assert any(m.value.startswith("## Law") for m in whole(at).markdown)
    at.selectbox(key="text.class.decision").select_index(4).run()
    assert "towards another class ← 0 → sport" in figures(whole(at))[0]["layout"]["xaxis"]["title"]["text"]
    for topic in ("Words to numbers", "Vocabulary", "Map of words", "Word order"):
        at.segmented_control(key="text.topic").set_value(topic).run()
        assert not whole(at).error and "review" not in said(at).replace("Follow film reviews", ""), topic


@pytest.mark.parametrize(("content", "line"), [
    (b"", "empty"), (b"\x81\x8d\x8f", "not UTF"), (b"text,label\n<b>*hi*</b>,[x](y)\n", "All texts have the label")])
def test_a_bad_file_gets_one_line(content, line):
    at = lab(TEXT_PAGE, "Your own texts")
    at.file_uploader(key="text.upload").set_value(("mine.csv", content, "text/csv")).run()
    assert len(whole(at).error) == 1 and line in at.error[0].value and "](" not in at.error[0].value.replace("\\](", "")


def test_a_damaged_kept_file_gets_one_line(tmp_path):
    folder = tmp_path / "data" / "texts"
    folder.mkdir(parents=True)
    (folder / f"{'0' * 16}.csv").write_bytes(b"\0")
    at = lab(TEXT_PAGE, "Words to numbers")
    at.selectbox[0].select("0" * 16).run()
    assert len(whole(at).error) == 1 and "is damaged" in at.error[0].value


# --- linear regression

def test_the_table_has_the_numbers_beside_the_true_ones():
    at = lab(REGRESSION_PAGE, "Watch it converge")
    table = at.dataframe[0].value
    assert list(table["True"]) == ["2", "3", "4"] and (table["Off by"].astype(float) < 0.05).all()
    at.slider(key="regression.step.1000").set_value(0).run()
    assert (whole(at).dataframe[0].value["Off by"].astype(float) > 1).all()
    at.segmented_control(key="regression.bias").set_value("b as it is now").run()
    whole(at)


def test_a_learning_rate_above_the_limit_is_named():
    at = lab(REGRESSION_PAGE, "Learning rate")
    assert not at.warning
    at.select_slider(key="regression.rate").set_value(1.2).run()
    assert "Diverged" in whole(at).warning[0].value and "above the limit 0.8568" in at.warning[0].value
    for topic in TOPICS[REGRESSION_PAGE]:
        at.segmented_control(key="regression.topic").set_value(topic).run()
        whole(at)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_samples_and_noise_can_be_changed(noise):
    at = lab(REGRESSION_PAGE, "Predictions and residuals")
    at.slider(key="regression.points").set_value(10).run()
    at.slider(key="regression.noise").set_value(noise).run()
    assert len(figures(whole(at))[0]["data"][1]["x"]) == 10 or "bdata" in figures(at)[0]["data"][1]["x"]


# --- first networks

@pytest.mark.parametrize("system", ["toy-sigmoid", "circle-2d"])
def test_every_line_can_be_looked_at(system):
    at = lab(FIRST_PAGE, "Line by line")
    at.button_group(key="first.system").set_value(system).run()
    for place in range(12):
        at.radio(key="first.line").set_value(place).run()
        whole(at)
        assert bool(at.get("plotly_chart")) == (place not in {0, 4, 5, 8})


def test_new_samples_beside_the_training_ones():
    at = lab(FIRST_PAGE, "Training and new samples")
    at.select_slider(key="first.rate.toy-sigmoid").set_value(3.0).run()
    at.slider(key="first.epochs.toy-sigmoid").set_value(400).run()
    shown = {metric.label: metric.value for metric in whole(at).metric}
    assert shown["Right, training samples"] == "100 %" and 40 <= int(shown["Right, new samples"].split()[0]) <= 60
