"""Can a model tell that it is shown no digit? python -m benchmarks.unlike RUN … [--runs DIR] [--odd 300].

For each trained run (ids as `python -m core runs` lists them; all finished ones with 28×28 images if none is named): the share of
the test images and of odd pictures (letters, scribbles, dots and so on, see benchmarks/odd_drawings.py) whose score of
core.evaluation.ood.score is above its limit, and the area under the ROC curve that parts each kind from the test images: 1 is
perfect, 0.5 is chance. Beside it

    unseen letters  the same for letters that the judge did not learn from: it learns without half of the alphabet (and without
                    Greek, Cyrillic and other letters) and is asked about that half, then the other way round
    distances       what the score was before there was a judge: neighbours in features, in ink and in 14×14 means
    features        the nearest neighbours in features alone
    Mahalanobis     distance in the same features (K. Lee et al., arXiv:1807.03888)
    energy          of the outputs (W. Liu et al., arXiv:2010.03759), and 1 − the largest probability

each with its limit at the 99th percentile of the validation images. What is learned from and what is asked about are different
drawings by different code. Needs the runs' data. Digits from elsewhere are scikit-learn's, as they are and enlarged to a canvas
and prepared, strokes of a pen, and those of printed fonts.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from benchmarks.conditions import conditions
from benchmarks.odd_drawings import AMBIGUOUS, NAMES, ODD, printed_ambiguous, printed_digits
from core.config import DataConfig
from core.data import DataError, Dataset, load, normalize, spec_of
from core.data.drawing import prepare
from core.data.sources.digits import vary
from core.evaluation.ood.glyphs import GLYPHS
from core.evaluation.ood.score import SHARE, learn_reference
from core.evaluation.ood.views import distances, features
from core.evaluation.other_data import through_drawing
from core.runs import RunStore, TrainedModel, load_model
from core.settings import Settings
from core.training.inference import evaluation_mode
from tests.strokes import VARIANTS, draw

HALF = frozenset("ACEGIKMOQSUWY")


def pictures(data: Dataset, settings: Settings, odd: int) -> dict[str, Tensor]:
    """Named sets of images (N, 1, 28, 28) float32 in [0, 1]; the first is what the others are to be told from."""
    small = load(DataConfig(dataset="digits", validation=1), settings.data_dir, settings.cache_dir)
    found = {"test": data.test.take(torch.arange(min(5000, len(data.test))))[0].float() / 255}
    if data.name != "digits":
        found["sklearn digits"] = torch.cat([part.take(torch.arange(len(part)))[0] for part in (small.train, small.test)]) / 255.0
        found["sklearn digits drawn"] = torch.stack(list(through_drawing(small.test))) / 255.0
    elif spec_of("mnist").is_available(settings.data_dir):
        other = load(DataConfig(dataset="mnist"), settings.data_dir, settings.cache_dir)
        found["MNIST"] = other.test.take(torch.arange(5000))[0].float() / 255
    found["pen strokes"] = torch.stack([prepare(draw(*which, width)).image for which in VARIANTS for width in range(12, 29, 4)])
    found["printed digits"] = printed_digits(90)
    found["ambiguous letters"] = printed_ambiguous(len(AMBIGUOUS) * 9)
    return found | {name: make(odd, 1) for name, make in ODD.items()}


def old_rule(model: TrainedModel, data: Dataset, train: Tensor) -> Callable[[Tensor], Tensor]:
    """Neighbours in features, ink and shape, each divided by its limit: the score before there was a judge."""
    def seen(images: Tensor) -> dict[str, Tensor]:
        return {"features": F.normalize(features(model.model, images, model.mean, model.std), dim=1),
                "ink": F.adaptive_avg_pool2d(images, 7).flatten(1),
                "shape": F.normalize(F.adaptive_avg_pool2d(images, 14).flatten(1), dim=1)}

    known, nth = seen(train), {"features": 5, "ink": 3, "shape": 3}
    held_out = data.validation.take(torch.arange(min(2000, len(data.validation))))[0].float() / 255
    if model.config.data.variations:
        copies = vary(held_out.mul(255).byte()[:, 0].numpy(), model.config.data.variations)
        held_out = torch.cat([held_out, torch.from_numpy(copies)[:, None].float() / 255])
    share = 1 - (1 - SHARE) / len(nth)
    limits = {kind: distances(rows, known[kind], nth[kind]).quantile(share) for kind, rows in seen(held_out).items()}

    def score(images: Tensor) -> Tensor:
        apart = {kind: distances(rows, known[kind], nth[kind]) for kind, rows in seen(images).items()}
        return torch.stack([apart[kind] / limits[kind] for kind in nth]).amax(0)

    together = score(held_out).quantile(SHARE)
    return lambda images: score(images) / together


def unseen(model: TrainedModel, data: Dataset, sets: dict[str, Tensor]) -> str:
    """Shares of letters found by judges that have learned from none of them."""
    found: dict[str, list[float]] = {kind: [] for kind in NAMES}
    for half in (True, False):
        letters = [name for name in GLYPHS if len(name) == 1 and name.isalpha()]
        out = {name for name in letters if not name.isascii() or (name.upper() in HALF) == half}
        familiar = learn_reference(model.model, data, model.config.data.variations, out)
        for kind, names in NAMES.items():
            asked = [i for i in range(len(sets[kind])) if (names[i % len(names)].upper() in HALF) == half]
            found[kind] += (familiar.scores(model.model, sets[kind][asked], model.mean, model.std) > 1).tolist()
    return ", ".join(f"{kind} {np.mean(values):.1%}" for kind, values in found.items())


def outputs(model: TrainedModel, images: Tensor) -> Tensor:
    """Logits; a single one becomes (0, z)."""
    with evaluation_mode(model.model), torch.inference_mode():
        said = torch.cat([model.model(normalize(part, model.mean, model.std)) for part in images.split(250)])
    return torch.cat([torch.zeros_like(said), said], 1) if said.shape[1] == 1 else said


def mahalanobis(model: TrainedModel, images: Tensor, labels: Tensor):
    """Distance to the nearest class mean under one covariance, as a function of images."""
    rows = features(model.model, images, model.mean, model.std).double()
    means = torch.stack([rows[labels == label].mean(0) for label in labels.unique()])
    centred = rows - means[torch.searchsorted(labels.unique(), labels)]
    covariance = centred.T @ centred / len(rows)
    covariance += 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance))
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    return lambda x: torch.cdist(features(model.model, x, model.mean, model.std).double() @ whiten, means @ whiten).amin(1)


def measure(model: TrainedModel, data: Dataset, sets: dict[str, Tensor]) -> None:
    """The table of one model."""
    start, spent = time.perf_counter(), time.process_time()
    familiar = learn_reference(model.model, data, model.config.data.variations)
    print(f"  learned in {time.perf_counter() - start:.1f} s, {time.process_time() - spent:.1f} s of them on the processor; "
          f"from {len(next(iter(familiar.images.values()))):,} training images")
    positions = torch.linspace(0, len(data.train) - 1, min(4000, len(data.train))).round().long()
    train, labels = data.train.take(positions)
    train = train.float() / 255
    validation = data.validation.take(torch.arange(min(2000, len(data.validation))))[0].float() / 255
    known = F.normalize(features(model.model, train, model.mean, model.std), dim=1)
    lee = mahalanobis(model, train, labels)

    def nearest(x: Tensor) -> Tensor:
        return distances(F.normalize(features(model.model, x, model.mean, model.std), dim=1), known, 5)

    scores = {"ours": lambda x: familiar.scores(model.model, x, model.mean, model.std), "distances": old_rule(model, data, train),
              "features": nearest, "Mahalanobis": lee, "energy": lambda x: -outputs(model, x).logsumexp(1),
              "1 − probability": lambda x: 1 - model.predict(x).amax(1)}
    print("  above the limit, % (area under ROC against test):")
    for name, score in scores.items():
        limit = 1.0 if name in {"ours", "distances"} else float(score(validation).quantile(SHARE))
        found = {kind: score(images).numpy() for kind, images in sets.items()}
        usual = found["test"]
        cells = [f"{kind} {np.mean(values > limit):.1%}" + (f" ({area(usual, values):.3f})" if kind in ODD else "")
                 for kind, values in found.items()]
        print(f"    {name:<16}{', '.join(cells)}")
    print(f"    unseen letters  {unseen(model, data, sets)}")


def area(usual: np.ndarray, odd: np.ndarray) -> float:
    return float(roc_auc_score(np.r_[np.zeros(len(usual)), np.ones(len(odd))], np.r_[usual, odd]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--odd", type=int, default=300)
    args = parser.parse_args()
    settings = Settings.from_environment()
    store = RunStore(args.runs or settings.runs_dir)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()))
    print(conditions())
    for run in [store.get(run_id) for run_id in args.ids] or store.runs(statuses=["finished"]):
        try:
            model = load_model(store, run.id)
            data = load(model.config.data, settings.data_dir, settings.cache_dir)
        except (DataError, ValueError):
            continue
        if model.input_shape == (1, 28, 28):
            print(f"{run.title} ({model.config.model.architecture}), test accuracy {run.test_accuracy or 0:.2%}")
            measure(model, data, pictures(data, settings, args.odd))


if __name__ == "__main__":
    main()
