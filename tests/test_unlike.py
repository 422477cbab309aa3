"""How unlike its training data a picture is: scikit-learn's neighbours, thresholds, and dots and boxes on every preset."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save as safetensors_save
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import nn

from benchmarks.odd_drawings import blank, cursive, dot, letters, noise, printed_capitals, scribbles, solids
from core.config import DataConfig
from core.data import Dataset, Split, load, normalize
from core.data.drawing import prepare
from core.data.own.sets import save_set
from core.evaluation.ood.classifier import Judge, learn_judge
from core.evaluation.ood.score import (
    ANSWER,
    MORE_PATIENCE,
    NEIGHBOUR,
    SHARE,
    can_be_judged,
    can_have_reference,
    learn_reference,
    mostly_black,
)
from core.evaluation.ood.views import (
    AGREE,
    BINS,
    CELLS,
    MOST_FEATURES,
    directions,
    disagreement,
    distances,
    features,
    features_and_answers,
)
from core.pieces import finish
from core.presets import PRESETS
from core.runs import RunNotFound, RunStore, load_model, ood_reference
from core.runs.checkpoints import checkpoint_path
from core.runs.evaluations import weights_stamp
from core.runs.ood_reference import (
    FILE,
    keep_reference,
    load_reference,
    reference_of,
    take_wanted,
    want_reference,
    work_out,
)
from core.settings import Settings
from core.training import build_for, fit
from tests.helpers import run_here, tiny, wait_for, wait_until
from tests.strokes import VARIANTS, draw

IMAGE_PRESETS = [name for name, preset in PRESETS.items() if preset.config.data.dataset in {"mnist", "fashion_mnist", "digits"}]


@pytest.mark.parametrize("rows", [3, 20])  # both ways of torch.cdist
def test_neighbours_are_scikit_learns(rows):
    among, asked = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)), torch.randn(rows, 6)
    expected = NearestNeighbors(n_neighbors=5).fit(among.numpy()).kneighbors(asked.numpy())[0][:, 4]
    np.testing.assert_allclose(distances(asked, among, 5), expected, rtol=1e-4)
    assert distances(asked, among[:2], 5).shape == (rows,)  # fewer neighbours than are asked for


def test_pictures_of_any_size_and_colour_have_their_neighbours(tmp_path, monkeypatch):
    """Coloured discs on a ground of 24×24: of large pictures not all are looked at at once, which changes nothing."""
    random = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.arange(24)] * 2), -1) - 11.5
    labels = np.arange(240) % 3
    images = random.integers(180, 220, (240, 3, 24, 24), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label, np.hypot(*(places + random.integers(-3, 4, 2)).transpose(2, 0, 1)) < random.integers(5, 9)] = 30
    own = save_set(tmp_path, "Discs", ["red", "green", "blue"], images, labels, np.arange(240) % 4 == 0)
    config = tiny(data__dataset=own.name, data__validation=60, training__epochs=4)
    data = load(config.data, tmp_path)
    model = build_for(config, data)
    list(fit(config, data, model, torch.device("cpu")))
    assert can_have_reference(data) and not can_be_judged(data)
    whole = learn_reference(model, data)
    monkeypatch.setattr("core.evaluation.ood.score.NUMBERS_AT_ONCE", 10 * 3 * 24 * 24)
    parts = learn_reference(model, data)
    assert all(torch.allclose(whole.images[kind], parts.images[kind], atol=1e-5) for kind in NEIGHBOUR) and whole.judge is None
    assert parts.limits == pytest.approx(whole.limits, rel=1e-3)

    def unlike(images: torch.Tensor) -> float:
        return float((whole.scores(model, images, data.mean, data.std) > 1).float().mean())

    seen = data.test.take(torch.arange(len(data.test)))[0].float() / 255
    noise = torch.rand(50, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert unlike(seen) <= 0.1 and unlike(1 - seen) == 1 and unlike(noise) == 1


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
            found[name] = data, model, learn_reference(model, data, 1)
        return found[name]

    return train


@pytest.mark.parametrize("name", IMAGE_PRESETS)
def test_no_preset_is_sure_of_dots_boxes_and_noise(name, short, digits, places, cache_dir):
    data, model, familiar = short(name, digits, places / "data", cache_dir)

    def scores(images):
        return familiar.scores(model, images, data.mean, data.std)

    dots = torch.stack([dot(brush, place) for brush in (6, 12, 20, 40, 60) for place in ((0.2, 0.3), (0.5, 0.5))])
    least = 0.95  # 1 but for rounding: each kind of processor trains a slightly other network
    assert scores(dots).min() > least and scores(solids(10)).min() > least and scores(blank(2)).min() > least
    assert scores(noise(20)).median() > 1
    usual, read = scores(held_out(data)), features_and_answers(model, held_out(data), data.mean, data.std)[1]
    assert (usual[read == data.test.labels[data.test.rows]] <= 1).float().mean() > 0.9  # other digits are digits
    for odd in (scribbles(30), letters(34)):
        assert roc_auc_score([0] * len(usual) + [1] * len(odd), torch.cat([usual, scores(odd)])) > 0.9


def held_out(data):
    return data.test.take(torch.arange(len(data.test)))[0].float() / 255


def test_the_limit_is_what_nearly_all_held_out_images_stay_below(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    familiar = learn_reference(model, digits)
    validation = digits.validation.take(torch.arange(len(digits.validation)))[0].float() / 255
    scores = familiar.scores(model, validation, digits.mean, digits.std)
    assert (scores <= 1).float().mean() >= SHARE and scores.max() > 1 / MORE_PATIENCE  # few images, so the judge has patience
    train = digits.train.take(torch.arange(20))[0].float() / 255
    assert familiar.scores(model, train, digits.mean, digits.std).max() < 1


def test_letters_it_has_never_seen_are_found(short, digits, places, cache_dir):
    """By strokes that nothing was learned from, and in printing."""
    data, model, familiar = short("mnist-mlp-50", digits, places / "data", cache_dir)
    assert familiar.judge is not None and set(familiar.limits) == {"ink", "directions", ANSWER}
    found = [float((familiar.scores(model, odd, data.mean, data.std) > 1).float().mean())
             for odd in (letters(34), cursive(34), printed_capitals(34))]
    assert found[0] > 0.65 and found[1] > 0.4 and found[2] > 0.65, found  # after 2 epochs on 1,237 digits
    drawn = torch.stack([prepare(draw(*which, 20)).image for which in VARIANTS])
    assert (familiar.scores(model, drawn, data.mean, data.std) <= 1).float().mean() >= 0.9


def test_a_model_of_letters_knows_letters():
    """Classes that nothing tells to be letters: what looks like them is not learned from."""
    images = torch.cat([letters(17 * 14, 3), cursive(17 * 14, 3)]).mul(255).byte()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(len(images)) % 2
    parts = [Split(images, labels, rows.sort().values) for rows in order.split([300, 110, 66])]
    data = Dataset("own", "Own", ("one", "two"), ("one", "two"), (0.1,), (0.3,), *parts)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    familiar = learn_reference(model, data)
    assert (familiar.scores(model, held_out(data), data.mean, data.std) <= 1).float().mean() > 0.95
    assert (familiar.scores(model, scribbles(30), data.mean, data.std) > 1).float().mean() > 0.5
    assert familiar.scores(model, blank(2), data.mean, data.std).min() > 1


@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 64, 64), (1, 12, 20)])
def test_without_strokes_to_learn_from_distances_count(shape):
    images = torch.randint(100, 156, (300, *shape), dtype=torch.uint8)
    parts = [Split(images, torch.arange(300) % 2, rows) for rows in torch.arange(300).split(100)]
    means = (0.5,) * shape[0]
    data = Dataset("own", "Own", ("a", "b"), ("a", "b"), means, means, *parts)
    assert can_have_reference(data) and not can_be_judged(data)
    model = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 2))
    familiar = learn_reference(model, data)
    assert familiar.judge is None and set(familiar.limits) - {ANSWER} == set(NEIGHBOUR)
    assert (familiar.scores(model, held_out(data), means, means) <= 1).float().mean() > 0.9
    assert familiar.scores(model, torch.stack([torch.zeros(shape), torch.ones(shape)]), means, means).min() > 1


def test_nothing_else_that_is_random_changes(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    before = torch.get_rng_state()
    few = replace(digits, train=replace(digits.train, rows=digits.train.rows[:200]))
    found, again = learn_reference(model, few), learn_reference(model, few)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(found.judge.hidden, again.judge.hidden)
    assert not found.judge.hidden.requires_grad and model[1].weight.grad is None


def test_directions_of_an_edge():
    """A step upward to the right has one direction, 0; a quarter turn on it is two of eight further. White alone has none."""
    step = torch.zeros(1, 1, 28, 28)
    step[..., 14:] = 1
    found = directions(step).view(BINS, CELLS, CELLS)
    inside = found[:, 1:-1, 1:-1]  # on the frame the white ends
    assert inside[0, :, 2].min() > 0 and inside[1:].max() == 0
    turned = directions(step.transpose(2, 3)).view(BINS, CELLS, CELLS)
    torch.testing.assert_close(turned[2, 1:-1, 1:-1], inside[0].T)
    assert directions(torch.zeros(2, 3, 28, 28)).abs().max() == 0
    assert directions(torch.rand(2, 1, 20, 20)).norm(dim=1) == pytest.approx(1)


@pytest.mark.parametrize(("train", "validation", "answer"), [(100, 100, True), (99, 100, False), (100, 99, False)])
def test_a_judge_needs_a_hundred_images_on_either_side(digits, train, validation, answer):
    few = replace(digits, train=replace(digits.train, rows=digits.train.rows[:train]),
                  validation=replace(digits.validation, rows=digits.validation.rows[:validation]))
    assert can_be_judged(few) is answer


@pytest.mark.parametrize(("black", "answer"), [(0.5, False), (0.59, False), (0.61, True), (1.0, True)])
def test_strokes_on_black_are_told_by_three_fifths_of_black_pixels(black, answer):
    images = torch.full((10, 1, 10, 10), 0.11)  # not quite black
    images.view(-1)[:round(1000 * black)] = 0.09
    assert mostly_black(images) is answer


def test_the_nearest_images_of_other_classes_speak_against_an_answer():
    """On a line: three images of class 0 at 0, three of class 1 at 1. At 0.25 class 0 is 0.25 away and class 1 0.75."""
    among = torch.tensor([0.0, 0, 0, 1, 1, 1])[:, None]
    labels = torch.tensor([0] * AGREE + [1] * AGREE)
    asked = torch.tensor([0.25, 0.25, 1.0])[:, None]
    found = disagreement({"features": asked, "directions": asked}, {"features": among, "directions": among},
                         torch.tensor([0, 1, 1]), labels)
    assert found.tolist() == pytest.approx([1 / 3, 3, 0])
    other = torch.tensor([0.5, 0.5, 0.5])[:, None]  # in which both are as near: the geometric mean
    found = disagreement({"features": asked, "directions": other}, {"features": among, "directions": among},
                         torch.tensor([0, 1, 1]), labels)
    assert found.tolist() == pytest.approx([3**-0.5, 3**0.5, 0])


def test_a_wrong_answer_is_noticed_by_what_its_neighbours_are(digits, short, places, cache_dir):
    """The same network that says another digit than it would: its images are as they were, and most of its answers doubted."""
    data, model, familiar = short("digits-quick", digits, places / "data", cache_dir)
    images, labels = held_out(data), data.test.labels[data.test.rows]
    right = features_and_answers(model, images, data.mean, data.std)[1] == labels
    *body, last = model

    class Astray(nn.Module):
        def forward(self, scores):
            return scores.roll(1, 1)

    astray = nn.Sequential(*body, last, Astray())
    parts = familiar.parts(astray, images[right], data.mean, data.std)
    assert (parts[ANSWER] > 1).float().mean() > 0.9
    assert (familiar.parts(model, images[right], data.mean, data.std)[ANSWER] <= 1).float().mean() > 0.97
    assert familiar.limits[ANSWER] >= 1


def test_too_few_of_a_class_and_nothing_is_said_of_answers(digits):
    few = replace(digits, train=replace(digits.train, rows=digits.train.rows[digits.train.labels[digits.train.rows] > 0]))
    found = learn_reference(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), few)
    assert found.labels is None and ANSWER not in found.limits


def test_a_judge_learns_and_refuses_damage():
    random = torch.Generator().manual_seed(0)
    familiar, odd = torch.randn(400, 5, generator=random), torch.randn(400, 5, generator=random) + 3
    judge = finish(learn_judge(familiar[:300], odd[:300], familiar[300:], 0.99))
    assert (judge.scores(familiar[300:]) <= 1).float().mean() >= 0.98 and (judge.scores(odd[300:]) > 1).float().mean() > 0.9
    usual, limit = judge.scale.tolist()
    assert float(judge.says(familiar[300:]).median()) == pytest.approx(usual)
    torch.testing.assert_close(judge.with_limit(2).scores(odd), judge.scores(odd) / 2)
    whole = judge.tensors()
    torch.testing.assert_close(Judge.from_tensors(whole).scores(odd), judge.scores(odd))
    assert Judge.from_tensors({}) is None
    for damage in ({"scale": torch.tensor([1.0, 1.0])}, {"spread": torch.zeros(5)}, {"output": torch.zeros(3)},
                   {"scale": torch.tensor([0.0, 1.0, 2.0])}, {"hidden": whole["hidden"][:-1]},
                   {"centre": torch.full((5,), torch.nan)}):
        with pytest.raises(ValueError, match="damaged"):
            Judge.from_tensors(whole | damage)
    with pytest.raises(KeyError):
        Judge.from_tensors({"scale": whole["scale"]})


def test_what_an_earlier_version_kept_is_worked_out_again_or_used_without_data(trained, tmp_path, places, cache_dir):
    store = RunStore(shutil.copytree(trained[0].path, tmp_path / "runs"))
    run_id = trained[1].id
    model = load_model(store, run_id)
    now = reference_of(store, run_id, model, Settings(places / "data", store.path, cache_dir))
    images = torch.rand(50, 1, 28, 28).half()
    old = {"features": torch.rand(50, 8).half(), "ink": torch.rand(50, 49).half(), "shape": torch.rand(50, 196).half()}
    about = {"weights": weights_stamp(store, run_id), "limits": {kind: 1.0 for kind in old}}
    (store.folder(run_id) / FILE).write_bytes(safetensors_save(old, metadata={"about": json.dumps(about)}))
    assert load_reference(store, run_id) is None
    without = replace(model, config=model.config.with_values({"data.dataset": "mnist"}))  # which is not there
    kept = reference_of(store, run_id, without, Settings(tmp_path / "no data", store.path, cache_dir))
    assert kept.judge is None and set(kept.limits) == set(old)
    assert kept.scores(model.model, images.float(), model.mean, model.std).shape == (50,)
    assert reference_of(store, run_id, model, Settings(places / "data", store.path, cache_dir)).limits == now.limits


def test_it_is_kept_with_the_run_and_made_again_where_it_is_damaged(trained, tmp_path, places, cache_dir):
    store = RunStore(shutil.copytree(trained[0].path, tmp_path / "runs"))
    settings = Settings(places / "data", store.path, cache_dir)
    run_id = trained[1].id
    model = load_model(store, run_id)
    kept = reference_of(store, run_id, model, settings)  # the copy has another time, so it is made again
    images = dot(20)[None]
    score = kept.scores(model.model, images, model.mean, model.std)
    again = load_reference(store, run_id)
    torch.testing.assert_close(again.scores(model.model, images, model.mean, model.std), score, rtol=0.01, atol=0)  # float16
    (store.folder(run_id) / FILE).write_bytes(b"damaged")
    assert load_reference(store, run_id) is None
    assert reference_of(store, run_id, model, settings) is not None and load_reference(store, run_id) is not None
    weights = store.folder(run_id) / "checkpoint.safetensors"
    weights.write_bytes(weights.read_bytes())  # other weights now, as far as anybody can tell
    assert load_reference(store, run_id) is None


def test_the_worker_works_it_out_when_nothing_trains(engine):
    run = wait_for(engine.store, engine.submit(tiny(), "somebody"))
    assert run.status == "finished"
    wait_until(lambda: load_reference(engine.store, run.id), lambda: "the score was not kept")


def test_what_somebody_waits_for_comes_first_and_once(trained, tmp_path, places, cache_dir):
    store = RunStore(shutil.copytree(trained[0].path, tmp_path / "runs"))
    settings, run_id = Settings(places / "data", store.path, cache_dir), trained[1].id
    assert take_wanted(store) is None
    assert want_reference(store, run_id) and want_reference(store, run_id)  # two visitors
    assert take_wanted(store) == run_id and take_wanted(store) is None
    finish(work_out(store, run_id, load_model(store, run_id), settings))
    assert load_reference(store, run_id) is not None
    for astray in ("0" * 31, "../elsewhere"):
        with pytest.raises(RunNotFound):
            want_reference(store, astray)


def test_where_there_is_nothing_to_work_out_nobody_asks_again_for_a_while(trained, tmp_path, cache_dir, monkeypatch):
    store = RunStore(shutil.copytree(trained[0].path, tmp_path / "runs"))
    run_id = trained[1].id
    model = load_model(store, run_id)
    without = replace(model, config=model.config.with_values({"data.dataset": "mnist"}))  # which is not there
    (store.folder(run_id) / FILE).unlink(missing_ok=True)
    finish(work_out(store, run_id, without, Settings(tmp_path / "no data", store.path, cache_dir)))
    assert not want_reference(store, run_id) and take_wanted(store) is None
    monkeypatch.setattr(ood_reference, "ASK_AGAIN", -1.0)  # later the data may have come
    assert want_reference(store, run_id)
    monkeypatch.undo()
    weights = store.folder(run_id) / "checkpoint.safetensors"
    weights.write_bytes(weights.read_bytes())  # other weights, as far as anybody can tell
    assert want_reference(store, run_id)


def test_a_worker_works_out_what_is_waited_for(engine):
    run = wait_for(engine.store, engine.submit(tiny(), "somebody"))
    wait_until(lambda: load_reference(engine.store, run.id), lambda: "the score was not kept")
    (engine.store.folder(run.id) / FILE).unlink()
    assert want_reference(engine.store, run.id)
    wait_until(lambda: load_reference(engine.store, run.id), lambda: "nobody did what was waited for")


def test_runs_with_the_same_weights_and_data_share_the_work(store, settings, monkeypatch):
    config = tiny().with_values({"training.threads": 1})
    first, second = run_here(store, settings, config), run_here(store, settings, config)
    other = run_here(store, settings, config.with_values({"training.seed": 5}))
    found = reference_of(store, first.id, load_model(store, first.id), settings)
    monkeypatch.setattr(ood_reference, "reference_in_pieces", lambda *_: pytest.fail("it is worked out twice"))
    shared = reference_of(store, second.id, load_model(store, second.id), settings)
    assert shared.limits == found.limits and load_reference(store, second.id) is not None
    with pytest.raises(pytest.fail.Exception, match="worked out twice"):
        reference_of(store, other.id, load_model(store, other.id), settings)
    weights = checkpoint_path(store, first.id)  # the same config, other weights: as of another number of threads
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(pytest.fail.Exception, match="worked out twice"):
        reference_of(store, first.id, load_model(store, first.id), settings)
    (store.folder(second.id) / FILE).write_bytes(b"damaged")
    with pytest.raises(pytest.fail.Exception, match="worked out twice"):
        reference_of(store, second.id, load_model(store, second.id), settings)


def test_deleting_takes_it_along(store, settings):
    run = run_here(store, settings, tiny())
    assert reference_of(store, run.id, load_model(store, run.id), settings) and load_reference(store, run.id) is not None
    store.delete(run.id)
    model = nn.Linear(784, 10)
    data = load(tiny().data, settings.data_dir, settings.cache_dir)
    finish(keep_reference(store, run.id, nn.Sequential(nn.Flatten(), model), data, 0))
    assert not store.folder(run.id).exists()


def test_points_have_nothing_to_compare(places, cache_dir):
    data = load(DataConfig(dataset="circle", validation=50), places / "data", cache_dir)
    assert not can_have_reference(data)
