"""PCA against scikit-learn up to sign; t-SNE in its child process, kept, damaged, refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from core.data.explore import pca as maps
from core.data.explore.pca import pca, shrink_for, some_positions
from core.data.explore.tsne import TsneMaps, name_of
from tests.helpers import wait_until
from tests.sets import make_set, split_of


def compare(images: torch.Tensor, components: int, tolerance: float) -> None:
    found = pca(images, components)
    ours = found.points.double().numpy()
    reference = PCA(components, svd_solver="full").fit(images.flatten(1).double().numpy() / 255)
    theirs = reference.transform(images.flatten(1).double().numpy() / 255)
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours * signs, theirs, atol=tolerance * np.abs(theirs).max())
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_, rtol=1e-3)


@pytest.mark.parametrize(("components", "tolerance"), [(2, 1e-4), (10, 1e-3)])
def test_pca_of_digits_against_scikit_learn(digits, components, tolerance):
    compare(digits.train.take(torch.arange(400))[0], components, tolerance)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 48, 48)])
def test_pca_of_few_large_images_against_scikit_learn(shape):
    compare(make_set(counts=(20, 20, 20), shape=shape).train.images, 2, 1e-3)


def test_pca_by_iteration_against_scikit_learn(digits, monkeypatch):
    monkeypatch.setattr(maps, "EXACT", 10)  # as if there were more than 1,024 images and pixels
    compare(digits.train.take(torch.arange(400))[0], 2, 1e-3)


def test_other_images_are_placed_on_the_same_map(digits):
    images = digits.train.take(torch.arange(100))[0]
    found = pca(images)
    assert torch.allclose(found.place(images), found.points, atol=1e-4)


def test_large_images_are_shrunk_by_averaging():
    assert [shrink_for(shape) for shape in ((1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 64, 64), (3, 224, 224))] == [1, 1, 2, 2, 7]
    images = make_set(counts=(8, 8), shape=(3, 64, 64)).train.images
    blocks = images.double().reshape(-1, 3, 32, 2, 32, 2).mean((3, 5)).round().to(torch.uint8)
    assert pca(images).shrunk == 2
    assert torch.allclose(pca(images).points.abs(), pca(blocks).points.abs(), atol=0.1)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pca_of_hardly_any_images(count):
    found = pca(split_of(count).images, 5)
    assert found.points.shape == (count, 5) and found.points.isfinite().all() and found.explained.isfinite().all()


def test_pca_of_equal_images_is_one_point():
    found = pca(torch.full((7, 1, 4, 4), 9, dtype=torch.uint8))
    assert found.points.abs().max() < 1e-5 and not found.explained.any()


def test_some_positions():
    split = split_of(100)
    assert some_positions(split, 100).tolist() == list(range(100))
    few = some_positions(split, 10)
    assert len(few) == 10 and torch.equal(few, some_positions(split, 10)) and torch.equal(few, few.unique())
    assert not torch.equal(few, some_positions(split, 10, seed=1))


# t-SNE

def groups() -> torch.Tensor:
    """Two groups of 30 points, far apart, (60, 5)."""
    points = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    points[30:] += 50
    return points


def finished(maps: TsneMaps, points: torch.Tensor) -> None:
    wait_until(lambda: maps.state(points) is None or maps.state(points).problem, lambda: maps.state(points))


def test_tsne_keeps_groups_apart_and_is_kept(tmp_path):
    made, points = TsneMaps(tmp_path), groups()
    assert made.find(points) is None and made.state(points) is None
    made.ask(points)
    made.ask(points)  # a second visitor
    assert made.state(points) is not None
    finished(made, points)
    assert made.state(points) is None
    placed = made.find(points)
    assert placed.shape == (60, 2) and placed.isfinite().all()
    one, other = placed[:30], placed[30:]
    assert (one.mean(0) - other.mean(0)).norm() > (one - one.mean(0)).norm(dim=1).max()
    assert torch.equal(TsneMaps(tmp_path).find(points), placed)  # another server on the same cache
    assert [path.name for path in (tmp_path / "maps").iterdir()] == [f"tsne-{name_of(points)}.npy"], "nothing else is left"
    assert made.find(points + 1) is None
    (tmp_path / "maps" / f"tsne-{name_of(points)}.npy").write_bytes(b"half a file")
    assert made.find(points) is None


def test_too_few_points_for_tsne(tmp_path):
    made, points = TsneMaps(tmp_path), groups()[:3]
    made.ask(points)
    assert "at least 5 images; there are 3" in made.state(points).problem


def test_a_child_that_fails_is_reported_in_one_line(tmp_path):
    made = TsneMaps(tmp_path)
    points = groups()
    points[0, 0] = float("nan")
    made.ask(points)
    finished(made, points)
    problem = made.state(points).problem
    assert problem.startswith("t-SNE ended with exit code") and "NaN" in problem and "\n" not in problem


def test_a_cache_that_cannot_be_written_to_is_reported(tmp_path):
    (tmp_path / "maps").write_text("a file where the folder should be", encoding="utf-8")
    made = TsneMaps(tmp_path)
    made.ask(groups())
    finished(made, groups())
    assert "cache directory can't be written to" in made.state(groups()).problem


def test_progress_is_read_from_the_childs_report(tmp_path, monkeypatch):
    # a child that reports as scikit-learn does and then waits
    script = tmp_path / "child.py"
    script.write_text("import time\nprint('[t-SNE] Iteration 250: error = 1.0', flush=True)\ntime.sleep(1)\n", encoding="utf-8")
    started = subprocess.Popen
    monkeypatch.setattr("core.subprocesses.subprocess.Popen",
                        lambda command, **rest: started([sys.executable, str(script)], **rest))
    made = TsneMaps(tmp_path / "cache")
    made.ask(groups())
    seen = wait_until(lambda: (state := made.state(groups())) and state.share, lambda: made.state(groups()))
    assert seen == 0.25
    finished(made, groups())
    assert made.find(groups()) is None
