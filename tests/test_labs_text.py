"""The lab on text: which words lean which way, the map, what a word pushes, and what a bag can't know."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from core.data import load, read_texts
from core.data.sources.texts import END, encode, words
from core.figures.text import pushes_figure, word_map_figure
from core.labs.text import (
    NEGATIONS,
    TWINS,
    decide,
    gap,
    leans,
    learn,
    likeliest,
    one_sidedness,
    reordered,
    telling,
    text_code,
    word_map,
)
from core.models import TextEmbeddingConfig, build
from core.presets import PRESETS
from core.runs import RunStore, load_model
from core.training import build_for
from tests.helpers import run_here

NOWHERE = Path("no files needed")
PRESET = PRESETS["reviews-embedding"].config


@pytest.fixture(scope="module")
def data():
    return load(PRESET.data, NOWHERE)


@pytest.fixture(scope="module")
def texts():
    return read_texts(PRESET.data, NOWHERE)


@pytest.fixture(scope="module")
def model(data):
    torch.set_num_threads(1)
    return learn(PRESET, data)


def test_what_the_page_teaches_is_what_the_run_learns(model, tmp_path, settings):
    store = RunStore(tmp_path / "runs")
    run = run_here(store, settings, PRESET)
    trained = load_model(store, run.id).model.state_dict()
    assert all(torch.equal(trained[name], value) for name, value in model.state_dict().items())
    store.close()


def test_accuracy_is_as_said(data, model):
    """The page says 69 % (67.5 to 72.5 %) for five seeds; other processors may round their way to a few other answers."""
    right = ((model(data.test.images)[:, 0] > 0) == (data.test.labels == 1)).float().mean().item()
    assert right == pytest.approx(0.69, abs=0.05)


def test_leans_are_counted(data, texts):
    found = {lean.word: lean for lean in leans(data, texts.vocabulary)}
    numbers, labels = data.train.take(torch.arange(len(data.train)))
    for word in ("wonderful", "dull", "the"):
        having = [label for text, label in zip(texts.train, labels.tolist(), strict=True) if word in words(text)]
        assert found[word].counts == (having.count(0), having.count(1))
    assert min(sum(lean.counts) for lean in found.values()) == 3
    order = list(found.values())
    sides = [lean.lean if lean.label else -lean.lean for lean in order]
    assert sides == sorted(sides, reverse=True) and (found["wonderful"].label, found["dull"].label) == (1, 0)
    assert [lean.lean for lean in telling(order, 2)] == [lean.lean for lean in (*order[:2], *order[-2:])]
    every = [lean.number for lean in telling(order, 9_999)]
    assert len(every) == len(set(every)) <= len(order) and len(telling(order[:5], 9)) == 5, "none twice"


def test_one_sidedness_by_hand():
    ways = one_sidedness(np.array([[3, 0], [1, 0], [0, 4]]), np.array([8, 8, 4]))
    assert ways[0, 0] == pytest.approx(np.log(4 / 10) - np.log(2 / 14)), "3 of 8 texts, and 1 of the others' 12"
    assert ways[2, 1] == pytest.approx(np.log(5 / 6) - np.log(1 / 18)) and ways.argmax(0).tolist() == [0, 2]
    two = one_sidedness(np.array([[1], [3]]), np.array([5, 5]))
    assert two[1, 0] == -two[0, 0] == pytest.approx(np.log(2)), "of two classes, one is the other's opposite"


def test_the_map_is_principal_components(data, texts, model):
    chosen, before = telling(leans(data, texts.vocabulary), 12), build_for(PRESET, data)
    found = word_map(before, model, chosen)
    rows = model.embedding.weight.detach()[[lean.number for lean in chosen]].double().numpy()
    reference = PCA(2).fit(rows)
    assert np.abs(found.after) == pytest.approx(np.abs(reference.transform(rows)), abs=1e-9)
    assert found.share == pytest.approx(reference.explained_variance_ratio_.sum())
    old = before.embedding.weight.detach()[[lean.number for lean in chosen]].double().numpy()
    assert np.abs(found.before) == pytest.approx(np.abs(reference.transform(old)), abs=1e-9), "the same directions"
    sides = np.array(found.labels) * 2 - 1
    assert (found.after[:, 0] * sides > 0).mean() > 0.9, "positive words on the right"
    assert gap(found.after, found.labels) > 10 * gap(found.before, found.labels)
    for trained in (True, False):
        figure = word_map_figure(found, ("<b>", "good"), trained)
        assert "<b>" not in figure.to_json().replace("\\u003c", "<"), "a class's name is no markup"
        assert sum(len(trace.text) for trace in figure.data if trace.text is not None) == len(chosen)
    with pytest.raises(ValueError, match="at least three"):
        word_map(before, model, chosen[:2])


def test_gap_by_hand():
    assert gap(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]), (0, 1, 0)) == 5.0
    assert gap(np.array([[0.0, 0.0]]), (1,)) == 0.0
    assert gap(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), (0, 1, 2)) == pytest.approx((5 + 2 + np.hypot(3, 2)) / 3)


def test_a_push_is_the_answer_without_the_word(texts, model):
    text = "The story is wonderful, but the zzyzx ending is dull."
    decision = decide(model, text, texts.vocabulary, 64)
    found = words(text)
    assert [push.word for push in decision.pushes] == found
    for place, push in enumerate(decision.pushes):
        rest = decide(model, " ".join(found[:place] + found[place + 1:]), texts.vocabulary, 64)
        assert push.push == pytest.approx(decision.logit - rest.logit, abs=1e-5)
    assert decision.probability == pytest.approx(1 / (1 + np.exp(-decision.logit)))
    assert decision.empty == pytest.approx(model(torch.full((1, 64), END)).item())
    assert len(pushes_figure(decision).data[0].y) == len(found)


def test_words_beyond_the_length_push_nothing(texts, model):
    decision = decide(model, "dull " * 10 + "wonderful", texts.vocabulary, 10)
    assert len(decision.pushes) == 10 and {push.word for push in decision.pushes} == {"dull"}
    empty = decide(model, "?!", texts.vocabulary, 10)
    assert empty.pushes == () and empty.logit == empty.empty


def test_two_outputs_are_one_logit(texts):
    model = build(TextEmbeddingConfig(words=1000), (8,), 2, seed=0)
    decision = decide(model, "a wonderful film", texts.vocabulary, 8)
    outputs = model(torch.tensor([[texts.vocabulary.numbers.get(word, 1) for word in ("a", "wonderful", "film")] + [0] * 5]))
    assert decision.probability == pytest.approx(outputs.softmax(1)[0, 1].item(), abs=1e-6)


@pytest.mark.parametrize(("loss", "shares"), [
    ("cross_entropy", lambda z: z.softmax(1)), ("nll", lambda z: z.softmax(1)), ("mse", lambda z: z.softmax(1)),
    ("bce_with_logits", lambda z: z.sigmoid() / z.sigmoid().sum(1, keepdim=True))])
def test_each_of_several_classes_has_a_logit(texts, loss, shares):
    model = build(TextEmbeddingConfig(words=1000), (8,), 4, seed=1)
    expected = shares(model(encode(["a wonderful film"], texts.vocabulary, 8)))[0]
    found = [decide(model, "a wonderful film", texts.vocabulary, 8, label, loss) for label in range(4)]
    assert [one.probability for one in found] == pytest.approx(expected.tolist(), abs=1e-6)
    assert [one.logit for one in found] == pytest.approx((expected / (1 - expected)).log().tolist(), abs=1e-5)
    assert likeliest(model, "a wonderful film", texts.vocabulary, 8, 4, loss) == int(expected.argmax())
    assert len(pushes_figure(found[2], "<i>", "another class").data[0].y) == 3


def test_order_is_lost(texts, model):
    def answer(text: str) -> float:
        return decide(model, text, texts.vocabulary, 64).probability

    assert sorted(words(TWINS[0])) == sorted(words(TWINS[1])) and TWINS[0] != TWINS[1]
    assert answer(TWINS[0]) == pytest.approx(answer(TWINS[1]), abs=1e-5)
    orders = reordered("Not bad, not bad at all.")
    assert orders["backwards"] == "all at bad not bad not" and orders["by alphabet"] == "all at bad bad not not"
    assert np.ptp([answer(text) for text in orders.values()]) < 1e-5
    # the lab says that “not” turns no word around: of the pairs it shows, at least two keep their side
    kept = sum((answer(plain) > 0.5) == (answer(negated) > 0.5) for plain, negated in NEGATIONS)
    assert kept >= 2 and answer(NEGATIONS[0][1]) > 0.5


@pytest.mark.parametrize("config", [TextEmbeddingConfig(), TextEmbeddingConfig(width=3, fc_width=5)])
def test_the_code_runs_alone(config):
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(text_code(config), names)
    assert names["loss"].item() < 0.2 and names["model"][0].weight.shape[1] == config.width
    assert float(names["pa"]) == pytest.approx(float(names["pb"]), abs=1e-4)
    assert "equal but for rounding" in said.getvalue() and isinstance(names["model"][1], nn.Linear)
