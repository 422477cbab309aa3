"""Words for images, said about points and texts."""

import pytest

from core.config import DataConfig, RunConfig
from core.data import DATASETS
from core.inspection import diagnose
from core.presets import PRESETS
from core.wording import kind_of, plural, worded
from pages.parts.draft.fields import in_labels


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
