"""The lab on data loading as its readers use it: every choice, what is asked for in the address, and what can go wrong."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.labs.data_folder import items
from core.labs.data_loading import AUGMENTATIONS, Compared
from core.labs.data_loading_code import concat_code, loader_code
from core.labs.data_transforms import STEPS, TARGETS, transforms_code
from core.labs.dataset_choices import LINES, RIGHT, TUTORIAL, class_code, program, run
from core.labs.loader_timing import KINDS, Timing, TimingFailed
from pages.parts.learn.data_loading import concat, loader
from pages.parts.learn.data_loading.shared import PATH
from pages.parts.learn.questions import LOADING
from pages.parts.shell import keys
from tests.opened_pages import skip_questions

ROOT = Path(__file__).parents[1]
QUESTIONS = {"dataset": [LOADING["header"]], "transform": [LOADING["normalize"]],
             "loader": [LOADING["sizes"], LOADING["order"]], "concat": [LOADING["joined"], LOADING["helps"]]}


@pytest.fixture(autouse=True)
def no_workers(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def opened(**address: str) -> AppTest:
    at = skip_questions(AppTest.from_file(str(ROOT / PATH), default_timeout=60))
    for name, value in address.items():
        at.query_params[name] = value
    return whole(at.run())


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == []
    return at


def said(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.info, at.warning, at.error, at.success, at.code)
                     for e in kind)


def codes(at: AppTest) -> list[str]:
    return [block.value for block in at.code]


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


@pytest.mark.parametrize(("view", "question"), [(view, question) for view, all in QUESTIONS.items() for question in all])
def test_questions_are_answered_after_a_guess(view, question):
    at = opened(view=view)
    assert question.why not in said(at)
    at.radio(key=f"{question.key}.guess").set_value(question.choices[question.right]).run()
    whole(at.button(key=f"{question.key}.reveal").click().run())
    assert f"**Yes.** {question.why}" in said(at) and at.session_state[keys.LABS][PATH] == "tried"


# --- Dataset


def test_nothing_is_chosen_at_first_and_nothing_runs():
    at = opened()
    assert "7 lines still to choose." in said(at) and class_code({}).strip() in codes(at)
    at.radio(key="loading.line.read").set_value("header").run()
    assert "6 lines still to choose." in said(whole(at)) and at.session_state[keys.LABS][PATH] == "tried"


def test_the_tutorials_lines_run_and_lose_an_image_and_one_line_more_mends_it():
    at = opened()
    whole(at.button(key="loading.tutorial").click().run())
    assert {name: at.radio(key=f"loading.line.{name}").value for name in LINES} == TUTORIAL
    assert [w.value for w in at.warning] == ["No error, but: len(dataset) is 49, but the CSV has 50 lines.",
                                             "No error, but: img_00.png is never asked for."]
    assert not at.success and program(RIGHT).strip() not in codes(at)
    whole(at.radio(key="loading.line.read").set_value("header").run())
    assert not at.warning and at.success[0].value.startswith("It runs") and program(RIGHT).strip() in codes(at)
    assert [button.label for button in at.get("download_button")] == ["Download own_dataset.py"]
    whole(at.button(key="loading.empty").click().run())
    assert "7 lines still to choose." in said(at) and not at.success


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, line in LINES.items() for option in line.options])
def test_every_line_can_be_chosen_and_says_what_comes_of_it(name, option, places):
    """From the address as from the page: it shows what core finds."""
    choice = RIGHT | {name: option}
    at = opened(**choice)
    whole(at.radio(key=f"loading.line.{name}").set_value(option).run())
    outcome = run(choice, places / "cache" / "labs", items())
    assert bool(at.success) == outcome.right
    if outcome.stop:
        assert outcome.stop.text() in codes(at) and "Traceback" in said(at)
    assert len(at.warning) == len(outcome.found) and said(at).count(":material/lightbulb:") == len(outcome.why)
    assert bool(outcome.right) != bool(outcome.why)


def test_where_the_folder_cant_be_written_one_line_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "file"))
    for view in QUESTIONS:
        at = opened(view=view)
        assert [e.value for e in at.error][0].startswith("The folder for this lab can't be written:") and len(at.error) == 1


# --- the address


def test_the_address_says_what_is_shown_first():
    at = opened(view="loader", batch_size="7", shuffle="0", drop_last="1", seed="5")
    assert (at.number_input(key="loading.batch_size").value, at.toggle(key="loading.shuffle").value,
            at.toggle(key="loading.drop_last").value, at.number_input(key="loading.seed").value) == (7, False, True, 5)
    assert loader_code(7, False, True, 5).strip() in codes(at)
    at.number_input(key="loading.batch_size").set_value(9).run()
    assert whole(at).number_input(key="loading.batch_size").value == 9  # and not the address's any more
    assert opened(view="concat", augmentation="noise", index="-3").number_input(key="loading.index").value == -3
    assert opened(view="loader", train="1", num_workers="0").slider(key="loading.workers").value == 0
    at = opened(view="transform", sample="4", label="10", target="one_hot", steps="invert,to_tensor,invert,eval")
    assert at.multiselect(key="loading.steps").value == ["invert", "to_tensor"]
    assert (at.slider(key="loading.sample").value, at.number_input(key="loading.label").value,
            at.radio(key="loading.target").value) == (4, 10, "one_hot")


@pytest.mark.parametrize("nonsense", ["", "0x7", "-1", "10" * 400, "<b>", "nan"])
def test_an_address_without_meaning_changes_nothing(nonsense):
    at = opened(view=nonsense, read=nonsense)
    assert "7 lines still to choose." in said(at)
    assert opened(view="transform", steps=nonsense).multiselect(key="loading.steps").value == ["to_tensor", "normalize"]
    at = opened(view="loader", batch_size=nonsense, shuffle=nonsense, drop_last=nonsense, seed=nonsense)
    assert (at.number_input(key="loading.batch_size").value, at.toggle(key="loading.shuffle").value) == (8, True)


# --- transforms


@pytest.mark.parametrize("name", STEPS)
def test_every_step_can_be_chosen_first(name):
    at = opened(view="transform")
    whole(at.multiselect(key="loading.steps").set_value([name]).run())
    first = at.dataframe[0].value
    assert list(first["After"])[0] == "Image.open(path)"
    assert ("PyTorch refuses" in said(at)) == (name in ("convert", "normalize", "invert"))
    assert len(first) == (1 if "PyTorch refuses" in said(at) else 2)


def test_no_step_at_all_and_a_division_by_zero():
    at = opened(view="transform")
    whole(at.number_input(key="loading.std").set_value(0.0).run())
    assert "std evaluated to zero" in said(at) and "the script ends with an error, too" in said(at)
    whole(at.multiselect(key="loading.steps").set_value([]).run())
    assert "Still a Pillow image" in said(at) and len(at.dataframe[0].value) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_transform_and_a_label_that_there_is_not(target):
    at = opened(view="transform")
    whole(at.radio(key="loading.target").set_value(target).run())
    assert ("PyTorch refuses" in said(at)) == (target == "one_hot")
    code = transforms_code(["to_tensor", "normalize"], 0.5, 0.5, target, 3, "img_15.png")
    assert code.strip() in codes(at)
    whole(at.number_input(key="loading.label").set_value(10).run())
    assert "PyTorch refuses" in said(at) and "10 is none of them" in said(at)


# --- DataLoader


def test_batches_are_counted_and_none_at_all_is_told():
    at = opened(view="loader")
    assert metrics(at) == {"Batches an epoch": "7", "In the last": "2", "Left out": "0", "First batch": "(8, 1, 8, 8)"}
    whole(at.toggle(key="loading.drop_last").set_value(True).run())
    assert metrics(at) == {"Batches an epoch": "6", "In the last": "8", "Left out": "2", "First batch": "(8, 1, 8, 8)"}
    assert said(at).count("In no batch: samples") == 2
    whole(at.number_input(key="loading.batch_size").set_value(64).run())
    assert "No batch at all" in at.warning[0].value and not at.metric
    whole(at.number_input(key="loading.batch_size").set_value(1).run())
    assert metrics(at)["Batches an epoch"] == "50"
    whole(at.toggle(key="loading.shuffle").set_value(False).run())
    assert "Both epochs have the same batches" in said(at)


def test_the_training_without_shuffle_is_real():
    at = opened(view="loader")
    whole(at.toggle(key="loading.train").set_value(True).run())
    on, off = loader.trained(0)
    assert f"**{100 * off.of_epochs()[-1]:.1f} %** without" in said(at) and on.of_epochs()[-1] > 0.9
    assert any("loading.learning" in chart.proto.id for chart in at.get("plotly_chart"))


def test_the_timeline_of_workers_is_calculated():
    at = opened(view="loader")
    assert "8 batches take **140 ms**, without workers 320 ms." in said(at)  # loaded in pairs by 30, 60, 90 and 120, and 2 · 10
    whole(at.slider(key="loading.workers").set_value(0).run())
    assert "8 batches take **320 ms**" in said(at) and "never waits" in said(at)


def test_workers_are_measured_on_demand_and_a_failure_is_one_line(monkeypatch):
    asked = []

    def measured():
        asked.append(1)
        if len(asked) == 1:
            raise TimingFailed("Worker processes can't be started here.")
        return [Timing(kind, workers, 1.0 + workers, 0.5) for kind in KINDS for workers in (0, 2)]

    monkeypatch.setattr(loader, "measure", measured)
    loader.measured.clear()
    at = opened(view="loader")
    assert not asked and "One epoch each" not in said(at)
    whole(at.button(key="loading.measure").click().run())
    assert [e.value for e in at.error] == ["Worker processes can't be started here."]
    whole(at.button(key="loading.measure").click().run())
    assert not at.error and said(at).count("Fastest without workers: with 2 it takes 3.0 times as long.") == 2
    whole(at.toggle(key="loading.drop_last").set_value(True).run())
    assert len(asked) == 2  # kept, not measured anew
    loader.measured.clear()


# --- joined sets


def test_an_index_says_where_it_comes_from_or_that_there_is_none():
    at = opened(view="concat")
    assert metrics(at) == {"len(a)": "50", "len(b)": "50", "len(joined)": "100", "cumulative_sizes": "[50, 100]"}
    assert "`joined[73]` is **`b[23]`**, label 4." in said(at)
    for index, line in ((49, "`joined[49]` is **`a[49]`**, label 9."), (-1, "`joined[-1]` is **`b[49]`**, label 9."),
                        (100, "IndexError"), (-101, "ValueError")):
        whole(at.number_input(key="loading.index").set_value(index).run())
        assert line in said(at)
    whole(at.button(key="loading.again").click().run())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_is_shown_and_judged(name, monkeypatch):
    monkeypatch.setattr(concat, "compare", lambda truth, name: [
        Compared(title, 50, (0.5 + step, 0.6 + step)) for title, step in (("one", 0.0), ("two", 0.1), ("three", 0.2))])
    concat.compared_sets.clear()
    at = opened(view="concat")
    whole(at.segmented_control(key="loading.augmentation").set_value(name).run())
    assert concat_code(name).strip() in codes(at) and "It helped" not in said(at)
    whole(at.toggle(key="loading.compare").set_value(True).run())
    assert f"**{AUGMENTATIONS[name].title}.** It helped with every seed: +10.0 percentage points" in said(at)
    concat.compared_sets.clear()
