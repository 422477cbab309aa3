"""How unlike its training data a picture is: scikit-learn's neighbours, thresholds, and dots and boxes on every preset."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import nn

from benchmarks.odd_drawings import blank, dot, letters, noise, scribbles, solids
from core.config import DataConfig
from core.data import load, normalize
from core.evaluation.unlike import (
    MOST_FEATURES,
    SHARE,
    can_be_familiar,
    distances,
    features,
    learn_familiar,
)
from core.presets import PRESETS
from core.runs import RunStore, load_model
from core.runs.familiar import FILE, familiar_of, keep_familiar, load_familiar
from core.settings import Settings
from core.training import build_for, fit
from tests.helpers import run_here, tiny

IMAGE_PRESETS = [name for name, preset in PRESETS.items() if preset.config.data.dataset in {"mnist", "fashion_mnist", "digits"}]


@pytest.mark.parametrize("rows", [3, 20])  # both ways of torch.cdist
def test_neighbours_are_scikit_learns(rows):
    among, asked = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)), torch.randn(rows, 6)
    expected = NearestNeighbors(n_neighbors=5).fit(among.numpy()).kneighbors(asked.numpy())[0][:, 4]
    np.testing.assert_allclose(distances(asked, among, 5), expected, rtol=1e-4)
    assert distances(asked, among[:2], 5).shape == (rows,)  # fewer neighbours than are asked for


def test_features_are_what_the_last_linear_layer_receives():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.9), nn.Linear(3, 2)).train()
    images = torch.rand(5, 1, 2, 2)
    found = features(model, images, (0.5,), (0.25,))
    expected = model[1](normalize(images, (0.5,), (0.25,)).flatten(1)).relu()
    torch.testing.assert_close(found, expected)
    assert model.training and not model[4]._forward_pre_hooks
    assert features(nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten()), images, (0.0,), (1.0,)).shape == (5, 3)  # none: its outputs


def test_who_asks_the_same_network_at_the_same_moment_does_not_get_in_the_way():
    """Two visitors draw with one model: while the first one's drawing is looked at, the second one's comes."""
    inner = []

    class Visited(nn.Module):
        def forward(self, images):
            if len(images) == 5:
                inner.append(features(network, torch.ones(2, 1, 2, 2), (), ()))
            return images.flatten(1)

    network = nn.Sequential(Visited(), nn.Linear(4, 3))
    outer = features(network, torch.zeros(5, 1, 2, 2), (), ())
    assert outer.shape == (5, 4) and not outer.any()
    assert inner[0].shape == (2, 4) and inner[0].all()


def test_wide_features_keep_their_distances():
    wide = nn.Sequential(nn.Flatten(), nn.Linear(2000, 1))
    images = torch.rand(30, 1, 20, 100)
    found, whole = features(wide, images, (0.0,), (1.0,)), images.flatten(1)
    assert found.shape == (30, MOST_FEATURES)
    ratio = torch.pdist(found) / torch.pdist(whole)
    assert ratio.mean() == pytest.approx(1, abs=0.1) and ratio.std() < 0.15


@pytest.fixture(scope="module")
def short():
    """Presets' networks and data, MNIST replaced by the digits that are there, after one or two epochs."""
    found = {}

    def train(name: str, digits, root, cache):
        if name not in found:
            config = PRESETS[name].config.with_values({
                "data.dataset": "digits", "data.validation": 200, "data.variations": 1, "training.epochs": 2,
                "training.device": "cpu", "training.precision": "float32"})
            data = load(config.data, root, cache)
            model = build_for(config, data)
            for _ in fit(config, data, model, torch.device("cpu")):
                pass
            found[name] = data, model, learn_familiar(model, data, 1)
        return found[name]

    return train


@pytest.mark.parametrize("name", IMAGE_PRESETS)
def test_no_preset_is_sure_of_dots_boxes_and_noise(name, short, digits, places, cache_dir):
    data, model, familiar = short(name, digits, places / "data", cache_dir)

    def scores(images):
        return familiar.scores(model, images, data.mean, data.std)

    dots = torch.stack([dot(brush, place) for brush in (6, 12, 20, 40, 60) for place in ((0.2, 0.3), (0.5, 0.5))])
    assert scores(dots).min() > 1
    assert scores(solids(10)).min() > 1 and scores(blank(2)).min() > 1 and scores(noise(20)).median() > 1
    usual = scores(held_out(data))
    assert (usual <= 1).float().mean() > 0.9  # other digits are digits
    for odd in (scribbles(30), letters(34)):
        assert roc_auc_score([0] * len(usual) + [1] * len(odd), torch.cat([usual, scores(odd)])) > 0.9


def held_out(data):
    return data.test.take(torch.arange(len(data.test)))[0].float() / 255


def test_the_limit_is_what_nearly_all_held_out_images_stay_below(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    familiar = learn_familiar(model, digits)
    validation = digits.validation.take(torch.arange(len(digits.validation)))[0].float() / 255
    below = (familiar.scores(model, validation, digits.mean, digits.std) <= 1).float().mean()
    assert SHARE - 0.01 <= below <= SHARE + 0.01
    train = digits.train.take(torch.arange(20))[0].float() / 255
    assert familiar.scores(model, train, digits.mean, digits.std).max() < 1


def test_it_is_kept_with_the_run_and_made_again_where_it_is_damaged(trained, tmp_path, places, cache_dir):
    store = RunStore(shutil.copytree(trained[0].path, tmp_path / "runs"))
    settings = Settings(places / "data", store.path, cache_dir)
    run_id = trained[1].id
    model = load_model(store, run_id)
    kept = familiar_of(store, run_id, model, settings)  # the copy has another time, so it is made again
    images = dot(20)[None]
    score = kept.scores(model.model, images, model.mean, model.std)
    again = load_familiar(store, run_id)
    torch.testing.assert_close(again.scores(model.model, images, model.mean, model.std), score, rtol=0.01, atol=0)  # float16
    (store.folder(run_id) / FILE).write_bytes(b"damaged")
    assert load_familiar(store, run_id) is None
    assert familiar_of(store, run_id, model, settings) is not None and load_familiar(store, run_id) is not None
    weights = store.folder(run_id) / "checkpoint.safetensors"
    weights.write_bytes(weights.read_bytes())  # other weights now, as far as anybody can tell
    assert load_familiar(store, run_id) is None


def test_the_worker_keeps_it_and_deleting_takes_it_along(store, settings):
    run = run_here(store, settings, tiny())
    assert load_familiar(store, run.id) is not None
    store.delete(run.id)
    model = nn.Linear(784, 10)
    data = load(tiny().data, settings.data_dir, settings.cache_dir)
    keep_familiar(store, run.id, nn.Sequential(nn.Flatten(), model), data, 0)
    assert not store.folder(run.id).exists()


def test_points_have_nothing_to_compare(places, cache_dir):
    data = load(DataConfig(dataset="circle", validation=50), places / "data", cache_dir)
    assert not can_be_familiar(data)
