"""Kept drawings: a zip file that is imported again, a hidden data set, and a run that goes on from another with them."""

import re

import numpy as np
import pytest
import torch

from core.config import DataConfig, RunConfig
from core.data import DataError, DataMissing, available, import_images, load
from core.data.drawing import prepare
from core.data.own.digits import MOST, MyDigits, as_set, zip_of
from core.data.own.sets import own_sets, read_arrays, read_set, save_set
from core.evaluation.teaching import change_on_images, change_on_test
from core.runs import load_model
from core.runs.evaluations import load_predictions
from core.settings import Settings
from core.training import Command, check
from tests.helpers import run_here, tiny
from tests.strokes import draw

TEN = tuple(map(str, range(10)))


def drawings(*digits: int) -> MyDigits:
    kept = MyDigits.none_yet(TEN)
    for place, digit in enumerate(digits):
        kept = kept.keep(prepare(draw(digit, 0, 14 + place % 6)).image, digit)
    return kept


def test_keeping_and_dropping():
    kept = drawings(7, 1, 7)
    assert len(kept) == 3 and kept.counts() == [0, 1, 0, 0, 0, 0, 0, 2, 0, 0] and kept.images.dtype == torch.uint8
    rest = kept.without(0)
    assert rest.labels.tolist() == [1, 7] and torch.equal(rest.images, kept.images[1:])
    full = MyDigits(TEN, torch.zeros(MOST, 1, 28, 28, dtype=torch.uint8), torch.zeros(MOST, dtype=torch.long))
    with pytest.raises(DataError, match=str(MOST)):
        full.keep(torch.zeros(1, 28, 28), 0)


def test_the_download_is_imported_again(tmp_path):
    kept = drawings(3, 3, 8, 8, 8)
    (tmp_path / "my-digits.zip").write_bytes(zip_of(kept))
    report = import_images(tmp_path / "my-digits.zip", tmp_path / "data", test_share=0.0)
    assert report.accepted == 5 and report.classes == ("3", "8") and not report.rejected
    images = read_arrays(tmp_path / "data", report.name).images
    assert {image.tobytes() for image in images} == {image.numpy().tobytes() for image in kept.images}


def test_a_hidden_set_is_in_no_list_and_works_by_its_name(tmp_path):
    kept = drawings(1, 2, 3)
    own = as_set(kept, tmp_path, "Drawings", copies=2, hidden=True)
    assert own_sets(tmp_path) == [] and own.name not in available(tmp_path)
    assert read_set(tmp_path, own.name).hidden and own.counts == (9, 0)
    arrays = read_arrays(tmp_path, own.name)
    assert np.array_equal(arrays.images[:3], kept.images.numpy()) and arrays.labels.tolist() == [1, 2, 3] * 3
    shown = as_set(kept, tmp_path, "Drawings")
    assert [own.name for own in own_sets(tmp_path)] == [shown.name] and shown.counts == (2, 1)


def test_a_data_directory_that_cannot_be_written_to_gets_one_line(tmp_path):
    (tmp_path / "imported").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(DataError, match="can't be kept"):
        as_set(drawings(1), tmp_path, "Drawings")


def test_drawings_that_were_kept_as_a_set_can_be_trained_on(store, own_data):
    kept = drawings(*range(10), *range(10))
    own = as_set(kept, own_data.data_dir, "Drawings")
    assert own.counts == (10, 10)  # one of each class at least
    run = run_here(store, own_data, tiny(data__dataset=own.name, data__validation=2))
    assert run.status == "finished" and run.test_accuracy is not None, run.message


def test_a_set_without_images_for_testing_is_refused_before_a_run_begins(own_data):
    """As sets of drawings were before, and as an archive can be brought in code."""
    images, labels = np.zeros((4, 1, 28, 28), np.uint8), np.array([0, 1, 0, 1])
    own = save_set(own_data.data_dir, "All to learn", ("a", "b"), images, labels, np.zeros(4, bool))
    with pytest.raises(DataError, match="^All to learn has no images for testing; keep it again with a part of them for that.$"):
        check(RunConfig(data=DataConfig(dataset=own.name, validation=1)), own_data.data_dir)


@pytest.fixture
def own_data(tmp_path, cache_dir, store) -> Settings:
    """A data directory of the test's own; the digits need none."""
    return Settings(tmp_path / "data", store.path, cache_dir)


def test_taught_drawings_are_learned_from_the_weights_that_were_there(store, own_data):
    first = run_here(store, own_data, tiny(training__epochs=3, training__optimizer__learning_rate=0.01))
    kept = drawings(*range(10))
    own = as_set(kept, own_data.data_dir, "Drawings", hidden=True)
    config = first.config.with_values({"data.join": [own.name], "data.join_times": 30, "training.start_from": first.id,
                                       "training.epochs": 2})
    taught = run_here(store, own_data, config)
    assert taught.status == "finished", taught.message
    before, after = load_model(store, first.id), load_model(store, taught.id)
    yours = change_on_images(before.predict, after.predict, kept.images, kept.labels)
    assert yours.images == 10 and yours.after > yours.before and yours.after >= 9
    test = change_on_test(load_predictions(store, first.id), load_predictions(store, taught.id))
    assert test is not None and test.images == 360 and test.after == round(taught.test_accuracy * 360)
    assert test.before - test.lost + test.gained == test.after


class Stop:
    def command(self):
        return Command(stop=True)


def test_a_run_starts_from_exactly_those_weights(store, settings):
    first = run_here(store, settings, tiny())
    second = run_here(store, settings, tiny(training__start_from=first.id, training__seed=5), Stop())
    weights = load_model(store, first.id).model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in load_model(store, second.id).model.state_dict().items())


@pytest.mark.parametrize(("start", "words"), [
    ("0" * 32, "was deleted"), ("../../etc/passwd", "no run"), ("bare", "kept no weights"),
                                              ("other", "this network needs")])
def test_weights_that_cannot_be_the_start_get_one_line(store, settings, start, words):
    if start == "other":
        start = run_here(store, settings, tiny(model__hidden=[9])).id
    if start == "bare":
        start = store.create(tiny(), "me")
    run = run_here(store, settings, tiny(training__start_from=start))
    assert run.status == "failed" and run.message.startswith("This run can't start from the weights of run")
    assert re.search(words, run.message), run.message


def test_a_set_that_was_deleted_gets_one_line(own_data):
    with pytest.raises(DataMissing):
        load(DataConfig(dataset="digits", validation=200, join=("own:abcdef123456",)), own_data.data_dir, own_data.cache_dir)
