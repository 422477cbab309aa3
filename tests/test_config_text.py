"""A config as a short text and back: every choice of every field, and whatever somebody else may put into an address."""

import json
import zlib
from base64 import urlsafe_b64encode
from functools import reduce
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.config import RunConfig, read_config
from core.config_text import LONGEST, MOST_UNPACKED, READABLE, from_text, to_text
from core.fields import ConfigError
from core.presets import PRESETS
from tests.options import choices_of, laid_over
from tests.random_stacks import random_stack

CHOICES = choices_of(RunConfig)
NUMBERS = st.floats(-6, 6).map(lambda number: round(number, 3))
WORDS = {"data": {"only_classes": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5),
                  "added": st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 1)), max_size=20),
                  "fraction": st.floats(0, 1, exclude_min=True)}}


def read_or_none(values: dict) -> RunConfig | None:
    try:
        return read_config(values)
    except ConfigError:
        return None


def is_the_same(config: RunConfig) -> bool:
    text = to_text(config)
    assert len(quote(text, safe="")) <= LONGEST
    return not text or from_text(text) == config  # what is too long has no text


def packed(text: bytes) -> str:
    return urlsafe_b64encode(zlib.compress(text)).decode()


def test_every_choice_of_every_field_comes_back():
    taken = [config for choice in CHOICES if (config := read_or_none(laid_over(RunConfig().model_dump(mode="json"), choice)))]
    assert len(taken) > 200
    assert all(is_the_same(config) for config in taken)
    assert sum(not to_text(config) for config in taken) < 5


@hypothesis_settings(max_examples=50)
@given(st.sampled_from(sorted(PRESETS)), st.lists(st.sampled_from(CHOICES), max_size=6), st.fixed_dictionaries(
    {part: st.fixed_dictionaries({}, optional=fields) for part, fields in WORDS.items()}))
def test_any_config_comes_back(name, choices, words):
    base = PRESETS[name].config.model_dump(mode="json")
    for changes in ([*choices, words], choices, [words]):  # not all choices go together
        if config := read_or_none(reduce(laid_over, changes, base)):
            assert is_the_same(config)


@pytest.mark.parametrize("seed", range(20))
def test_composed_networks_come_back(seed):
    config = RunConfig().with_values({"model.architecture": "stack", "model.layers": [
        layer.model_dump(mode="json") for layer in random_stack(seed)[0].layers]})
    assert to_text(config) and is_the_same(config)


def test_small_changes_can_be_read_and_written_by_hand():
    config = PRESETS["circle-2d"].config.with_values({"training.epochs": 7})
    assert to_text(config) == '{"from":"circle-2d","training.epochs":7}'
    assert from_text(' {"training.epochs": 7, "from": "circle-2d"}'.strip()) == config
    assert from_text("{}") == RunConfig()
    assert len(quote(to_text(config.with_values({"training.seed": 5})), safe="")) <= READABLE


def test_what_is_too_long_has_no_text():
    points = [[index / 100, -index / 77, index % 2] for index in range(400)]
    assert to_text(PRESETS["circle-2d"].config.with_values({"data.added": points})) == ""


WRONG = [
    ("", "damaged"), ("abc", "damaged"), ("{", "damaged"), ("{" * 1999, "damaged"), ("[" * 1999, "damaged"),
    ("é" * 40, "damaged"),
    ("x" * (LONGEST + 1), f"more than {LONGEST:,} signs"), (packed(b"[" * 50_000), "damaged"), (packed(b"\xff"), "damaged"),
    (packed(b" " * 10 * MOST_UNPACKED), "damaged"), (packed(b'{"training.epochs":7}')[:-9], "damaged"),
    (packed(b"[1]"), "names no settings"), (packed(b"7"), "names no settings"), ('{"from":"mnist"}', "no preset 'mnist'"),
    ('{"from":["x"]}', "no preset"), ('{"from":null,"training.epochs":0}', "from 1 to 1000"),
    ('{"data.name":"x"}', "no such field"),
    ('{"name":3}', "no such field"), ('{"":1}', "no such field"), ('{"version":"9"}', "no such field"), ('{"model":5}', "model"),
    ('{"training.epochs":NaN}', "epochs"), ('{"training.epochs":1e999}', "epochs"),
    ('{"training.optimizer.name":"magic"}', "magic"), ('{"training.optimizer.name":{"a":[]}}', "optimizer"),
    ('{"data.dataset":"\\ud800"}', "damaged"),
    ('{"data.dataset":7}', "dataset"), ('{"training.optimizer.name":"sgd","training.optimizer.beta1":0.5}', "no such field"),
    ('{"training.loss":"**bold**\\nand [a](b)"}', "loss"), ('{"training.threads":' + "9" * 1900 + "}", "threads")]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[text[:30] for text, _ in WRONG])
def test_anything_else_is_refused_with_one_line(text, words):
    with pytest.raises(ConfigError) as caught:
        from_text(text)
    assert words in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) <= 500


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3))
PATHS = sorted({f"{part}{end}" for part in ("data", "model", "training", "training.optimizer", "from", "")
                for end in ("", ".name", ".dataset", ".epochs", ".architecture", ".layers", ".")})


@hypothesis_settings(max_examples=100)
@given(st.text(max_size=60) | st.binary(max_size=60).map(packed)
       | st.dictionaries(st.sampled_from(PATHS) | st.text(max_size=8), ANYTHING, max_size=4).map(json.dumps))
def test_no_address_breaks_anything(text):
    try:
        found = from_text(text)
    except ConfigError as error:
        assert str(error).isprintable() and len(str(error)) <= 500
    else:
        assert is_the_same(found)
