"""What labs ask before anything is pressed is not answered on the page before the reader has answered or skipped it."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.labs.dataset_choices import TUTORIAL
from core.runs import RunStore
from pages.parts.learn.lab import Question
from pages.parts.learn.questions import QUESTIONS
from pages.parts.shell.menu import LABS
from tests.opened_pages import everything, said, skip_questions, whole

ROOT = Path(__file__).parents[1]
COVER = "Shown when you have answered the question, or skipped it."


@dataclass(frozen=True)
class Place:
    """Where a question stands. state: of the page's widgets, those among them that would give the answer away. covers: how
    many pictures wait for an answer; 0 where the page shows nothing that answers it, unless the reader tries it."""

    page: str
    question: Question
    state: dict = field(default_factory=dict)
    covers: int = 1


def place(page: str, name: str, covers: int = 1, **state) -> Place:
    path = f"pages/learn_{page}.py"
    return Place(path, QUESTIONS[path][name], {key.replace("__", "."): value for key, value in state.items()}, covers)


PLACES = [
    place("tensors", "create", covers=0),
    place("tensors", "index", tensors__topic="Index and slice"),
    place("tensors", "join", tensors__topic="Join", tensors__join="stack"),
    place("tensors", "product", tensors__topic="Products"),
    place("tensors", "broadcast", tensors__topic="Broadcasting"),
    place("tensors", "reduce", tensors__topic="Reduce", tensors__reduce_dim="dim=0"),
    place("tensors", "in_place", tensors__topic="In place"),
    place("tensors", "numpy", tensors__topic="NumPy"),
    place("autograd", "step", autograd__step_9=8),
    place("autograd", "accumulate", autograd__topic="Accumulate", autograd__presses=2),
    place("autograd", "off", autograd__topic="Switch it off", autograd__detach="u"),
    place("text", "unknown"),
    place("text", "accuracy", text__topic="Train"),
    place("text", "map", text__topic="Map of words"),
    place("text", "vectors", text__topic="Word vectors"),
    place("text", "push", text__topic="What decided"),
    place("text", "order", text__topic="Word order"),
    place("linear_regression", "slowest"),
    place("linear_regression", "zero", regression__topic="Predictions and residuals"),
    place("linear_regression", "limit", regression__topic="Learning rate", regression__rate=1.2),
    place("linear_regression", "same", covers=0, regression__topic="Train it as a run"),
    place("first_networks", "backward", covers=0),
    *(place("first_networks", name, first__topic="Training and new samples", first__system=name)
      for name in ("toy-2-2-1", "toy-sigmoid", "circle-2d")),
    place("decision_boundary", "line", covers=0),
    place("metrics", "rare", covers=0),
    place("metrics", "average", covers=0, metrics__topic="Averages"),
    place("metrics", "threshold", metrics__topic="Scores and thresholds"),
    place("metrics", "numbers", metrics__topic="Predicted numbers"),
    place("transfer", "ways"),
    place("transfer", "last", covers=0, transfer__ask_ways__answered="skipped"),  # asked below the first one's answer
    place("saving", "largest", covers=2, saving__three=True),  # and that of the network without eval(), on the same page
    place("saving", "pickle", covers=2, saving__hostile=True),
    place("saving", "eval", saving__evaluating=False),
    place("building_blocks", "depth", blocks__part="Activations", blocks__activation="sigmoid", blocks__init="default"),
    place("building_blocks", "logits", blocks__part="Losses", blocks__float32=True),
    place("building_blocks", "ravine", blocks__part="Optimizers", blocks__landscape="ravine"),
    place("building_blocks", "dropout", blocks__part="Dropout"),
    place("data_loading", "header", **{f"loading__line__{line}": choice for line, choice in TUTORIAL.items()}),
    place("data_loading", "normalize", loading__view="transform"),
    place("data_loading", "sizes", loading__view="loader"),
    place("data_loading", "order", covers=2, loading__view="loader", loading__train=True),
    place("data_loading", "joined", loading__view="concat"),
    place("data_loading", "helps", covers=2, loading__view="concat", loading__compare=True, loading__augmentation="mirror"),
]
NAMES = [one.question.key for one in PLACES]


@pytest.fixture(autouse=True)
def nobody_has_trained(tmp_path, places, monkeypatch) -> RunStore:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


def opened(where: Place, but_skipped: bool = False) -> AppTest:
    at = AppTest.from_file(str(ROOT / where.page), default_timeout=120)
    if but_skipped:
        skip_questions(at)
    for key, value in where.state.items():
        at.session_state[key] = value
    return whole(at.run())


def read(at: AppTest, question: Question) -> str:
    """All of the page but the question's own box, with blanks as one."""
    return " ".join(everything(at, f"{question.key}.guess").split())


def test_every_question_has_its_place_and_every_lab_a_question():
    asked = [question.key for questions in QUESTIONS.values() for question in questions.values()]
    assert sorted(NAMES) == sorted(asked) and set(QUESTIONS) == set(LABS)


def test_questions_are_declared_in_one_place():
    made = [path.name for path in (ROOT / "pages").rglob("*.py") if " Question(" in path.read_text(encoding="utf-8")]
    assert made == ["questions.py"]


@pytest.mark.parametrize("where", PLACES, ids=NAMES)
def test_a_question_is_not_answered_before_the_reader_answers(where):
    """Neither its right choice's words, nor what the page is declared to tell, nor why; after Skip the page does tell."""
    question = where.question
    at = opened(where)
    right = question.choices[question.right]
    before = read(at, question)
    assert question.why not in said(at) and before.count(COVER) == where.covers
    told = [choice for choice in question.choices if choice in before]
    assert len(right.split()) < 3 or right not in told or told == list(question.choices), "the right choice stands on the page"
    assert [tell for tell in question.tells if tell in before] == []
    assert bool(question.tells) == bool(where.covers), "what is covered tells something, and only that"
    at.button(key=f"{question.key}.skip").click().run()
    after = read(whole(at), question)
    assert after.count(COVER) == where.covers - (where.covers > 0) and question.why not in said(at)
    assert [tell for tell in question.tells if tell not in after] == [], "and then it stands there"
    assert not any(button.key == f"{question.key}.skip" for button in at.button)


@pytest.mark.parametrize("where", [one for one in PLACES if one.covers], ids=[one.question.key for one in PLACES if one.covers])
def test_a_guess_alone_shows_nothing_and_its_reveal_does(where):
    question = where.question
    at = opened(where)
    at.radio(key=f"{question.key}.guess").set_value(question.choices[0]).run()
    assert [tell for tell in question.tells if tell in read(whole(at), question)] == []
    at.button(key=f"{question.key}.reveal").click().run()
    assert [tell for tell in question.tells if tell not in read(whole(at), question)] == []
    assert question.why in said(at)


def test_a_reader_who_trains_in_the_text_lab_sees_it():
    where = next(one for one in PLACES if one.question.key == "text.ask_accuracy")
    at = opened(where)
    whole(at.button(key="text.train").click().run())
    assert COVER not in everything(at) and at.get("progress")
