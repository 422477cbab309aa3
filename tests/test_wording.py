"""Numbers as people read them, and words for images, said about points and texts."""

import pytest

from core.config import DataConfig, RunConfig
from core.data import DATASETS
from core.data.sources import kind_of
from core.inspection import diagnose
from core.presets import PRESETS
from core.wording import (
    chance,
    duration,
    number,
    percent,
    plural,
    rough_duration,
    size_of_bytes,
    surely,
    surely_before,
    worded,
)
from pages.parts.draft.fields import in_labels


@pytest.mark.parametrize(("share", "digits", "text"), [
    (0.97126, 2, "97.13 %"), (0.971, 1, "97.1 %"), (0.5, 0, "50 %"), (0.00123, 3, "0.123 %"), (1.5, 0, "150 %"),
    (-0.05, 2, "-5.00 %"), (None, 2, "–"), (0.0, 2, "0.00 %"), (0, 0, "0 %"), (1.0, 2, "100.00 %"), (1, 0, "100 %"),
    # all but one of 10,000 and of a million is not all
    (0.9999, 2, "99.99 %"), (0.9999, 1, "99.9 %"), (0.9999, 0, "99 %"), (0.999_999, 2, "99.99 %"), (0.995, 0, "99 %"),
    # and one of them is something
    (0.0001, 2, "0.01 %"), (0.0001, 1, "< 0.1 %"), (0.0001, 0, "< 1 %"), (1e-9, 2, "< 0.01 %"), (-1e-9, 2, "> -0.01 %"),
    (0.006, 0, "1 %"), (0.005, 0, "< 1 %"), (float("nan"), 1, "nan %"),
])
def test_a_share_is_honest_at_both_ends(share, digits, text):
    assert percent(share, digits) == text


def test_a_share_has_two_digits_where_nothing_else_is_asked():
    assert percent(0.5) == "50.00 %"


@pytest.mark.parametrize(("seconds", "measured", "estimated"), [
    (0.42, "0.4 s", "0.42 s"), (9.96, "10 s", "9.96 s"), (59.6, "1 min 0 s", "59.6 s"), (185, "3 min 5 s", "3.08 min"),
    (7800, "2 h 10 min", "2.17 h"), (400_000, "111 h 6 min", "4.63 days")])
def test_times(seconds, measured, estimated):
    assert duration(seconds) == measured and rough_duration(seconds) == estimated


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 B"), (640, "640 B"), (999, "999 B"), (3400, "3.4 kB"), (1_700_000, "1.7 MB"), (999_960, "1.0 MB"), (4e9, "4.0 GB"),
    (1.5e12, "1,500.0 GB")])
def test_bytes_are_in_decimal_units(count, text):
    assert size_of_bytes(count) == text


def test_bytes_with_other_digits_and_a_loss():
    assert size_of_bytes(50_000_000, 0) == "50 MB" and size_of_bytes(999_600, 0) == "1 MB"
    assert number(0.12345) == "0.1235" and number(None) == "–"


@pytest.mark.parametrize(("text", "kind", "expected"), [
    ("Training images", "points", "Training points"),
    ("Images seen before each change", "text", "Texts seen before each change"),
    ("an image, two images, images/s", "text", "a text, two texts, texts/s"),
    ("an image of images", "images", "an image of images"),
    ("imagenet and pilgrimages", "points", "imagenet and pilgrimages"),
])
def test_words_for_what_the_examples_are(text, kind, expected):
    assert worded(text, kind) == expected


def test_one_and_many():
    assert [plural(count, "run") for count in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]
    assert [plural(count, "copy", "copies") for count in (1, 2)] == ["1 copy", "2 copies"]


def test_what_a_data_set_has():
    assert [kind_of(name) for name in ("digits", "circle", "reviews", "own:1234")] == ["images", "points", "text", "images"]


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if kind_of(preset.config.data.dataset) != "images"])
def test_the_doctor_speaks_of_no_images_where_there_are_none(name):
    config = PRESETS[name].config.with_values({"training.batch_size": 4096})  # larger than the data, which the doctor says
    found = diagnose(config)
    assert any(finding.rule == "batch_larger_than_data" for finding in found)
    assert not any("image" in f"{finding.title} {finding.evidence} {finding.explanation}" for finding in found)


def test_transforms_for_points_are_still_said_to_be_for_images():
    steps = PRESETS["mnist-handwriting"].config.data.transforms
    config = RunConfig(data=DataConfig(dataset="circle", validation=100, transforms=steps))
    finding = next(found for found in diagnose(config) if found.rule == "transforms_not_for_points")
    assert "no images" in finding.title


def test_every_data_set_says_how_to_cite_it():
    assert all(spec.citation.endswith(".") for spec in DATASETS.values())


@pytest.mark.parametrize(("problem", "said"), [
    ("model.hidden.1 is -5; it must be from 1", "Units, number 2, is -5; it must be from 1"),
    ("model.hidden has 200 entries", "Units has 200 entries"),
    ("something else", "something else"),
])
def test_a_problem_has_the_name_that_its_field_has_on_the_page(problem, said):
    assert in_labels(problem, "model.hidden", "Units") == said


@pytest.mark.parametrize(("share", "words"), [
    (1.0, "> 99.9 %"), (0.99999, "> 99.9 %"), (0.9985, "99.9 %"), (0.9434, "94.3 %"), (0.5, "50.0 %"), (0.001, "0.1 %"),
    (0.0009, "< 0.1 %"), (0.0, "< 0.1 %"), (None, "–")])
def test_a_probability_is_never_all_or_nothing(share, words):
    assert chance(share) == words


def test_how_sure_a_network_is():
    assert surely(0.9999) == "practically certain, > 99.9 %" and surely(0.9434) == "94.3 % sure"
    assert surely_before(0.9999, "2", 0.00001) == "practically certain, > 99.9 %"  # nothing is left for what comes next
    assert surely_before(0.9434, "2", 0.04) == "94.3 % sure; next is 2 with 4.0 %"
