"""How unlike its training data a picture is: what tells a digit from a letter, a scribble or a dot, whatever the answer says.

A network answers every picture with one of its classes, often surely. So three other things are asked, and the largest score
counts:

    distance  to a near neighbour among some thousands of training images: in ink, the picture as 7×7 means, and in directions,
              how much edge its strokes have in each direction (N. Dalal and B. Triggs: Histograms of Oriented Gradients for
              Human Detection, CVPR 2005)
    judge     a small network beside the model's own, which has learned to tell training images from letters, signs and strokes
              made up for it, by what the model's last linear layer receives and by directions (core.evaluation.ood.classifier)
    answer    how much further the training images of the class it says are than those of other classes, in what the last
              linear layer receives and in directions (H. Jiang et al.: To Trust or Not to Trust a Classifier, NeurIPS 2018,
              arXiv:1805.11783). It finds digits that are like digits, but of another class than the model says

Distances find what is far from all digits, such as noise, dots and a full canvas; the judge finds 9 of 10 capitals and printed
letters and 7 of 10 joined-up ones (some of which are drawn as a digit is), where distances in pixels and features find 3 to 8.
Directions part letters from digits better than pixels or any network's features.
Where strokes say nothing about the data there is no judge, and a third distance is in features (Y. Sun et al.:
Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022, arXiv:2204.06507). Each score is divided by what nearly all
held-out images stay below. Mahalanobis distances (K. Lee et al., arXiv:1807.03888), the energy and the largest probability
separated letters and dots worse on every network tried, and halves of two digits were no help to the judge;
benchmarks/unlike.py measures it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data import Dataset, Split
from core.data.variations import DIGITS
from core.evaluation.ood.classifier import Judge, learn_judge
from core.evaluation.ood.views import (
    AGREE,
    AGREE_IN,
    directions,
    disagreement,
    distances,
    features,
    features_and_answers,
    view,
)
from core.memory import drop_mapped_pages, trim_heap
from core.pieces import Pieces, finish

SHARE = 0.99  # of held-out images that count as familiar
TRAINING, HELD_OUT = 3000, 2000  # images of each that are looked at
NEIGHBOUR = {"features": 5, "ink": 3, "directions": 3}
ANSWER = "answer"
FEWEST = 100  # training images, and as many held out, below which nothing is learned from them
SIDES = range(16, 41)  # pixels: in this size strokes are drawn to learn from
BEYOND = 0.998  # of held-out images that stay below the limit of each distance, where there is a judge beside them
# How many times the judge's limit, so that digits of other writers and pens stay below it too. Few images show little of how
# others write. mnist-cnn-fast found 6.7 % of scikit-learn's digits unlike its own without, 2.8 % with it, and 1 to 4 % less of
# the letters. Where copies were written anew (core.data.sources.written) they show it, and no patience is needed: digits-quick
# finds no clean drawing unlike its own without, and with MORE_PATIENCE 10 to 20 % less of the letters
PATIENCE, MORE_PATIENCE, MANY = 1.1, 1.25, 5000
ODD = {"glyphs": 2200, "strokes": 450, "scribbles": 250, "shapes": 100}  # pictures made up
PIECE = 500  # images that the judge's evidence is gathered from at once
NUMBERS_AT_ONCE, MOST_NUMBERS = 500 * 28 * 28, 40_000_000  # of images that are looked at together, and of all of a split


@dataclass(frozen=True, eq=False)
class OODReference:
    """What a network's training images look like to it.

    images: for each kind of comparison (M, D) float32, a row for each image. limits: what nearly all held-out images stay below,
    SHARE of them in all kinds together and with the judge, so that a score above 1 is unlike; of ANSWER, what SHARE of those
    stay below that the model reads right. judge: None where strokes say nothing about the data: colour, large images, too few
    of them. labels: (M,) int64 classes of the training images; None where ANSWER is not asked.
    """

    images: dict[str, Tensor]
    limits: dict[str, float]
    judge: Judge | None = None
    labels: Tensor | None = None

    def scores(self, model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        """(N,) float32: 0 is one of the training images, above 1 is unlike them.

        Args:
            images: (N, C, H, W) float32 in [0, 1]. mean, std: what they are normalised with for the model.
        """
        return torch.stack(list(self.parts(model, images, mean, std).values())).amax(0)

    def parts(self, model: nn.Module, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
        """What scores() takes the largest of, (N,) each, by what was asked: a kind of distance, "judge" or ANSWER."""
        received, answers = features_and_answers(model, images, mean, std)
        seen = {kind: view(kind, images, received) for kind in self.images}
        found = {kind: distances(seen[kind], self.images[kind], NEIGHBOUR.get(kind, 3)) / limit
                 for kind, limit in self.limits.items() if kind != ANSWER}
        if self.judge is not None:
            found["judge"] = self.judge.scores(torch.cat([received, seen["directions"]], 1))
        if self.labels is not None:
            found[ANSWER] = disagreement(seen, self.images, answers, self.labels) / self.limits[ANSWER]
        return found


def can_have_reference(data: Dataset) -> bool:
    """Whether there is something to compare: pictures with classes, and enough of them."""
    return data.kind == "images" and data.target == "classes" and len(data.train) > 10 and len(data.validation) > 10


def can_be_judged(data: Dataset) -> bool:
    """Whether the data might be strokes, as drawings are: gray, square, of about MNIST's size, and enough of them."""
    channels, height, width = data.input_shape
    return channels == 1 and height == width and height in SIDES and min(len(data.train), len(data.validation)) >= FEWEST


def learn_reference(model: nn.Module, data: Dataset, variations: int = 0, leave_out: Collection[str] = ()) -> OODReference:
    """Look at training images, and at validation images for how far apart such pictures usually are.

    Args:
        model: the trained network.
        data: what it learned from; can_have_reference() must be true.
        variations: how many copies of each training image were made as other hands might have written it; so are copies of the
            validation images then, as copies are further apart.
        leave_out: glyphs that the judge is not to learn from, to measure how it fares with letters it has never seen.
    """
    return finish(reference_in_pieces(model, data, variations, leave_out))


def reference_in_pieces(model: nn.Module, data: Dataset, variations: int = 0, leave_out: Collection[str] = ()
                        ) -> Pieces[OODReference]:
    """learn_reference() as work that can be given up: 140 pieces or so, the longest a twentieth of it."""
    judged = can_be_judged(data)
    kinds = [kind for kind in NEIGHBOUR if kind != "features" or not judged]  # else the judge sees to them, and better
    at_most = _so_many(TRAINING, data), _so_many(HELD_OUT, data)
    looked = yield from _look(model, data, data.train, at_most[0])
    held_out = yield from _look(model, data, data.validation, at_most[1], variations)
    seen, usual = ({kind: one.view(kind) for kind in kinds} for one in (looked, held_out))
    apart = {}
    for kind in kinds:
        apart[kind] = distances(usual[kind], seen[kind], NEIGHBOUR[kind])
        yield
    share = BEYOND if judged else 1 - (1 - SHARE) / len(kinds)
    limits = {kind: max(float(found.quantile(share)), 1e-6) for kind, found in apart.items()}
    scores = [apart[kind] / limits[kind] for kind in kinds]
    judge = None
    if judged:
        odd = _made_up([*data.source_classes, *data.classes], leave_out, seen["directions"],
                       float(apart["directions"].quantile(0.9)), data.input_shape[-1])
        evidence = torch.cat([held_out.received, usual["directions"]], 1)
        judge = yield from _learn_judge(model, data, looked, at_most[0], odd, evidence)
        scores.append(judge.scores(evidence))
        trim_heap()
    together = max(float(torch.stack(scores).amax(0).quantile(SHARE)), 1e-6)  # they are not independent: one last step to SHARE
    limits = {kind: limit * together for kind, limit in limits.items()}
    agree = {kind: looked.view(kind) for kind in AGREE_IN}
    labels = _some_labels(data.train, at_most[0])
    limit = _answer_limit({kind: held_out.view(kind) for kind in AGREE_IN}, agree, held_out.answers, labels, data)
    return OODReference(seen | agree, limits if limit is None else limits | {ANSWER: limit},
                        judge and judge.with_limit(together * _patience(data, variations)), None if limit is None else labels)


@dataclass(frozen=True, eq=False)
class _Looked:
    """What some images of a split look like: received and answers of features_and_answers(), and two views of their own."""

    received: Tensor
    answers: Tensor
    ink: Tensor
    directions: Tensor

    def view(self, kind: str) -> Tensor:
        return {"features": F.normalize(self.received, dim=1), "ink": self.ink, "directions": self.directions}[kind]


def _look(model: nn.Module, data: Dataset, split: Split, count: int, variations: int = 0) -> Pieces[_Looked]:
    """Look at that many images of a split, of large ones at fewer, and not at all of them at once. variations: at copies of them,
    too."""
    at_once = max(1, NUMBERS_AT_ONCE // prod(data.input_shape))
    images: Iterable[Tensor] = (_taken(split, part) for part in _spread(split, count).split(at_once))
    if variations:
        from core.data.sources.digits import vary  # here: only varied digits need it

        written = torch.cat(list(images))
        yield
        copies = vary(written.mul(255).byte()[:, 0].numpy(), variations)
        images = [written, torch.from_numpy(copies)[:, None].float() / 255]
    found = []
    for some in images:
        yield
        found.append((*features_and_answers(model, some, data.mean, data.std), view("ink", some, some), directions(some)))
    return _Looked(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _patience(data: Dataset, variations: int) -> float:
    if variations:
        return 1.0 if data.name in DIGITS else MORE_PATIENCE
    return MORE_PATIENCE if len(data.train) < MANY else PATIENCE


def _answer_limit(usual: dict[str, Tensor], seen: dict[str, Tensor], answers: Tensor, labels: Tensor, data: Dataset
                  ) -> float | None:
    """What the disagreement of SHARE of those held-out images stays below that the model reads right; at least 1, as below that
    their neighbours agree. None where there are too few of them, or of a class to learn from.

    Args:
        usual, answers: rows and answers of the validation images, and maybe of copies after them. seen, labels: of the training
            images.
    """
    known = _some_labels(data.validation, _so_many(HELD_OUT, data))
    right = answers == known.repeat(len(answers) // len(known))
    if int(right.sum()) < FEWEST or int(torch.bincount(labels, minlength=len(data.classes)).min()) < AGREE:
        return None
    agreed = disagreement({kind: rows[right] for kind, rows in usual.items()}, seen, answers[right], labels)
    return max(float(agreed.quantile(SHARE)), 1.0)


def _made_up(classes: Collection[str], leave_out: Collection[str], seen: Tensor, near: float, size: int
             ) -> Pieces[Tensor]:
    """(N, 1, size, size) pictures to learn from that are none of the classes.

    A glyph is left out if its name looks like a class's. So is one of which half of the drawings are as near to training images
    as held-out images are, nearer than `near` to the directions `seen`: whatever the classes are called, it may be one of them.
    """
    from core.evaluation.ood import synthetic as outliers  # here: only who learns needs them

    random = np.random.default_rng(0)
    names = [name for name in outliers.glyph_names(classes) if name not in leave_out]
    drawn, which = yield from outliers.glyphs(names, ODD["glyphs"], random, size)
    close = (distances(directions(drawn), seen, NEIGHBOUR["directions"]) <= near).float()
    alike = torch.bincount(which, weights=close) / torch.bincount(which).clamp_min(1) >= 0.5
    strokes = yield from outliers.strokes(ODD["strokes"], random, size)
    scribbles = yield from outliers.scribbles(ODD["scribbles"], random, size)
    odd = torch.cat([drawn[~alike[which]], strokes, scribbles, outliers.shapes(ODD["shapes"], random, size)])
    return odd[torch.from_numpy(random.permutation(len(odd)))]


def _learn_judge(model: nn.Module, data: Dataset, looked: _Looked, count: int, made_up: Pieces[Tensor], held_out: Tensor
                 ) -> Pieces[Judge]:
    """Between training images and pictures made up, some of each with strokes of other widths and sharpness.

    Nobody else holds the pictures, and what is freed is given back: a training process would keep it.

    Args:
        looked: what `count` training images look like. made_up: finds (N, 1, H, W). held_out: (V, D) evidence, which is features,
            and directions of strokes.
    """
    from core.evaluation.ood.synthetic import restyled

    def evidence(images: Tensor) -> Pieces[Tensor]:
        rows = []
        for some in images.split(PIECE):
            yield
            rows.append(torch.cat([features(model, some, data.mean, data.std), directions(some)], 1))
        return torch.cat(rows)

    odd = yield from made_up
    train, familiar = _some(data.train, count), torch.cat([looked.received, looked.directions], 1)
    trim_heap()
    if mostly_black(train):
        random = np.random.default_rng(1)
        again = yield from evidence(restyled(train[::2], random))
        familiar = torch.cat([familiar, again])
        trim_heap()
        odd = torch.cat([restyled(odd[::3], random), odd[1::3], odd[2::3]])
    del train
    rows = yield from evidence(odd)
    del odd
    trim_heap()
    return (yield from learn_judge(familiar, rows, held_out, SHARE))


def mostly_black(images: Tensor) -> bool:
    """Whether images (N, C, H, W) float32 are strokes on black, as far as a share of black pixels tells."""
    return float((images < 0.1).float().mean()) > 0.6


def _so_many(count: int, data: Dataset) -> int:
    """How many images are looked at: count, and fewer of large ones."""
    return min(count, MOST_NUMBERS // prod(data.input_shape))


def _some(split: Split, count: int) -> Tensor:
    """At most `count` images of a split, evenly spread, float32 in [0, 1]."""
    return torch.cat([_taken(split, part) for part in _spread(split, count).split(PIECE)])


def _taken(split: Split, places: Tensor) -> Tensor:
    """The images at those places of a split, float32 in [0, 1]."""
    found = split.take(places)[0].float().div_(255)
    drop_mapped_pages(split.images)  # the system has mapped all that lies between those few
    return found


def _some_labels(split: Split, count: int) -> Tensor:
    """Labels of the images that _some gives."""
    return split.labels[split.rows[_spread(split, count)]]


def _spread(split: Split, count: int) -> Tensor:
    return torch.linspace(0, len(split) - 1, min(count, len(split))).round().long()
