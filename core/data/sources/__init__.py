"""Every data set a run can learn from: its facts, and how its images are found.

To add one: write a function that gives a Raw (or, for points that are computed, a Generated), and name it in DATASETS at the
foot of this module.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.actors import CLASS, LOCAL, Actor
from core.config import DataConfig
from core.data.cached_arrays import kept_array
from core.data.dataset import DataDamaged, DataMissing, Target
from core.data.own.sets import OwnSet, is_own, own_sets, read_arrays, read_set
from core.data.sources import generated
from core.data.sources.archives import Stack, cifar_is_available, emnist_is_available, read_cifar10, read_emnist
from core.data.sources.generated import Generated
from core.data.sources.idx import IdxFolder, as_images
from core.data.sources.imdb import imdb_is_available, read_imdb
from core.data.sources.text_files import about_texts, own_texts, read_own, read_reviews, texts_owner
from core.data.sources.texts import RawTexts
from core.importing.text_labels import CLASSES
from core.settings import default_data_dir
from core.wording import Kind


@dataclass(frozen=True)
class Raw:
    """All images of a data set, before the validation images are held back. Images (N, C, H, W) uint8, labels (N,) int64."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class DatasetSpec:
    """One entry of DATASETS.

    input_shape: of one example, as one starts with the set: (C, H, W) of an image, (F,) of a point, (L,) of a text.
    counts: examples in (train before validation is held back, test); of a generated set as one starts with it.
    generate: for a set that is computed from its config instead of read. read_texts: for a set of texts.
    folder: torchvision's name of the folder below the data directory; "" where nothing needs downloading.
    found: for a set that does not come as four idx files: whether it is in that folder.
    download_mb: size of the download in MB.
    citation: what its authors ask to be cited, as one reference.
    torchvision: its class in torchvision.datasets, where images have the same numbers; "" where there is none.
    drawn: whether a class has drawn it, so that copies as other hands might have written them can be added.
    """

    title: str
    summary: str
    source: str
    licence: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    counts: tuple[int, int]
    read: Callable[[Path, Path], Raw] | None = None  # (data directory, cache directory)
    generate: Callable[[DataConfig], Generated] | None = None
    read_texts: Callable[[Path, DataConfig], RawTexts] | None = None  # (data directory, config)
    found: Callable[[Path], bool] | None = None
    folder: str = ""
    download_mb: int = 0
    kind: Kind = "images"
    target: Target = "classes"
    noise: float = 0.0  # of a generated set as one starts with it
    in_plane: bool = False  # points of two coordinates, from which other inputs can be computed
    citation: str = ""
    torchvision: str = ""
    drawn: bool = False

    def is_available(self, root: Path) -> bool:
        """Whether the data set can be used without a download."""
        if self.found:
            return self.found(root / self.folder)
        return not self.folder or IdxFolder(self.folder, self.counts).is_available(root)

    def read_images(self, root: Path, cache: Path) -> Raw:
        """What `read` gives, of a set of images that are read."""
        assert self.read is not None, f"{self.title} is not made of images"
        return self.read(root, cache)


def read_idx(folder: str, counts: tuple[int, int], classes: int) -> Callable[[Path, Path], Raw]:
    """A reader for a data set of idx files."""

    def read(root: Path, cache: Path) -> Raw:
        train_images, train_labels, test_images, test_labels = IdxFolder(folder, counts).load(root, cache)
        if max(train_labels.max(), test_labels.max()) >= classes:
            raise DataDamaged(f"{root / folder} holds labels beyond {classes - 1}. Delete it and download it again.")
        return Raw(as_images(train_images), torch.from_numpy(train_labels.astype(np.int64)),
                   as_images(test_images), torch.from_numpy(test_labels.astype(np.int64)))

    return read


def read_archive(read: Callable[[Path, Path, tuple[int, int]], Stack], folder: str,
                 counts: tuple[int, int]) -> Callable[[Path, Path], Raw]:
    """A reader for a data set of core.data.sources.archives."""

    def read_raw(root: Path, cache: Path) -> Raw:
        stack = read(root / folder, cache, counts)
        images, labels = torch.from_numpy(stack.images), torch.from_numpy(stack.labels.astype(np.int64))
        return Raw(images[:counts[0]], labels[:counts[0]], images[counts[0]:], labels[counts[0]:])

    return read_raw


DIGITS_TEST = 360  # a fifth of the 1,797, as scikit-learn has no test set of its own


def read_digits(root: Path, cache: Path) -> Raw:
    """scikit-learn's digits at 28×28, prepared once and kept."""
    rows = kept_array(cache / "digits" / "digits-28-v1.npy", (1797, 28 * 28 + 1), _digit_rows)
    pixels, labels = rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1].astype(np.int64)
    # always the same fifth: no split seed may move a test image into training
    order = np.random.default_rng(0).permutation(len(rows))
    test, train = np.sort(order[:DIGITS_TEST]), np.sort(order[DIGITS_TEST:])
    return Raw(torch.from_numpy(pixels[train]), torch.from_numpy(labels[train]),
               torch.from_numpy(pixels[test]), torch.from_numpy(labels[test]))


def _digit_rows() -> np.ndarray:
    """(1797, 785) uint8: each image's pixels and, last, its label."""
    from core.data.sources.digits import digits  # here, so that only whoever prepares them imports how

    images, labels = digits()
    return np.concatenate([images.reshape(len(images), -1), labels[:, None].astype(np.uint8)], axis=1)


TEN_DIGITS = tuple(str(d) for d in range(10))

DATASETS: dict[str, DatasetSpec] = {
    "mnist": DatasetSpec(
        title="MNIST",
        summary="70,000 handwritten digits by some 500 writers: the classic first data set.",
        source="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits",
        licence="CC BY-SA 3.0",
        classes=TEN_DIGITS,
        input_shape=(1, 28, 28),
        counts=(60_000, 10_000),
        read=read_idx("MNIST/raw", (60_000, 10_000), 10),
        folder="MNIST/raw",
        download_mb=12,
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
                 "Proceedings of the IEEE 86(11), 2278–2324, 1998.",
        torchvision="MNIST",
    ),
    "fashion_mnist": DatasetSpec(
        title="Fashion-MNIST",
        summary="70,000 pictures of clothes in MNIST's format; harder, because a shirt looks much like a pullover.",
        source="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747 (Zalando Research)",
        licence="MIT",
        classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        input_shape=(1, 28, 28),
        counts=(60_000, 10_000),
        read=read_idx("FashionMNIST/raw", (60_000, 10_000), 10),
        folder="FashionMNIST/raw",
        download_mb=31,
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for benchmarking machine learning "
                 "algorithms. arXiv:1708.07747, 2017.",
        torchvision="FashionMNIST",
    ),
    "kmnist": DatasetSpec(
        title="KMNIST",
        summary="70,000 letters of old Japanese cursive script (Kuzushiji) in MNIST's format: one letter has several shapes, "
                "so it is harder than digits.",
        source="T. Clanuwat and others: Kuzushiji-MNIST, Center for Open Data in the Humanities (CODH), Japan",
        licence="CC BY-SA 4.0",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        input_shape=(1, 28, 28),
        counts=(60_000, 10_000),
        read=read_idx("KMNIST/raw", (60_000, 10_000), 10),
        folder="KMNIST/raw",
        download_mb=21,
        citation="T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha: Deep learning for classical Japanese "
                 "literature. arXiv:1812.01718, 2018.",
        torchvision="KMNIST",
    ),
    "emnist_letters": DatasetSpec(
        title="EMNIST letters",
        summary="145,600 handwritten letters, a to z, capital and small ones together: MNIST's relatives from the same forms.",
        source="G. Cohen and others: EMNIST, from NIST Special Database 19",
        licence="not stated; the images are NIST's, free to use",
        classes=tuple("abcdefghijklmnopqrstuvwxyz"),
        input_shape=(1, 28, 28),
        counts=(124_800, 20_800),
        read=read_archive(read_emnist, "EMNIST/raw", (124_800, 20_800)),
        folder="EMNIST/raw",
        download_mb=562,
        found=emnist_is_available,
        citation="G. Cohen, S. Afshar, J. Tapson, A. van Schaik: EMNIST: an extension of MNIST to handwritten letters. "
                 "arXiv:1702.05373, 2017.",
    ),
    "cifar10": DatasetSpec(
        title="CIFAR-10",
        summary="60,000 small colour photographs of animals and vehicles: the classic step from drawings to pictures.",
        source="A. Krizhevsky, V. Nair, G. Hinton: CIFAR-10, University of Toronto",
        licence="not stated; its authors ask to be cited",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        input_shape=(3, 32, 32),
        counts=(50_000, 10_000),
        read=read_archive(read_cifar10, "cifar-10", (50_000, 10_000)),
        folder="cifar-10",
        download_mb=170,
        found=cifar_is_available,
        citation="A. Krizhevsky: Learning multiple layers of features from tiny images. Technical report, University of Toronto, "
                 "2009.",
        torchvision="CIFAR10",
    ),
    "digits": DatasetSpec(
        title="Digits (scikit-learn)",
        summary="1,797 handwritten digits of 8×8 pixels that come with scikit-learn, brought to 28×28. No download.",
        source="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
        licence="CC BY 4.0",
        classes=TEN_DIGITS,
        input_shape=(1, 28, 28),
        counts=(1797 - DIGITS_TEST, DIGITS_TEST),
        read=read_digits,
        citation="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998. "
                 "doi:10.24432/C50P49.",
    ),
    **{name: DatasetSpec(
        title=rule.title,
        summary=rule.summary,
        source=rule.source,
        licence="none needed: computed here",
        citation="Nothing to cite: the points are computed by a formula and a seed.",
        classes=rule.classes,
        input_shape=(rule.features,),
        counts=(rule.points, generated.TEST_POINTS),
        generate=rule.generate,
        kind="points",
        target="classes" if rule.classes else "number",
        noise=rule.noise,
        in_plane=rule.in_plane,
    ) for name, rule in generated.RULES.items()},
    "reviews": DatasetSpec(
        title="Short film reviews",
        summary="400 reviews of a sentence or two, half of them positive, written for this project.",
        source="written for this project; the films do not exist",
        licence="MIT, like the project",
        classes=CLASSES,
        input_shape=(64,),
        counts=(280, 120),
        read_texts=read_reviews,
        kind="text",
        citation="Nothing to cite: the reviews were written for this project.",
    ),
    "imdb": DatasetSpec(
        title="IMDB reviews",
        summary="50,000 film reviews of some 230 words each, in the folders pos and neg as their authors publish them.",
        source="A. Maas, R. Daly, P. Pham, D. Huang, A. Ng, C. Potts: Learning Word Vectors for Sentiment Analysis, ACL 2011",
        licence="none stated by its authors; they ask to be cited",
        classes=CLASSES,
        input_shape=(64,),
        counts=(25_000, 25_000),
        read_texts=read_imdb,
        found=imdb_is_available,
        download_mb=84,
        kind="text",
        citation="A. Maas, R. Daly, P. Pham, D. Huang, A. Ng, C. Potts: Learning word vectors for sentiment analysis. "
                 "Proceedings of the 49th annual meeting of the Association for Computational Linguistics, 2011, pages 142–150.",
    ),
    "own_texts": DatasetSpec(
        title="Your own texts",
        summary="A CSV of texts with a class each, uploaded on the page “Text”.",
        source="uploaded",
        licence="yours",
        classes=CLASSES,
        input_shape=(64,),
        counts=(0, 0),
        read_texts=read_own,
        found=lambda root: bool(own_texts(root)),
        kind="text",
        citation="The texts are your own: cite where they come from.",
    ),
}


def spec_of(name: str, root: Path | None = None) -> DatasetSpec:
    """The registry's entry, or what is known of a set of a person's own, "own:<id>", kept below `root`.

    Args:
        root: the data directory; the environment's if None.

    Raises:
        DataMissing: a name that is not there. DataDamaged: a set of one's own that can't be read.
    """
    if name in DATASETS:
        return DATASETS[name]
    if is_own(name):
        return _own_spec(read_set(root or default_data_dir(), name))
    raise DataMissing(f"There is no data set {name!r}; choose from {', '.join(DATASETS)}.")


def spec_for(config: DataConfig, root: Path | None = None) -> DatasetSpec:
    """spec_of() the config's data set; of texts of one's own with the classes and counts of the file that the config names.

    Raises as spec_of() does.
    """
    spec = spec_of(config.dataset, root)
    if config.dataset != "own_texts":
        return spec
    about = about_texts(root or default_data_dir(), config.text_file)
    return replace(spec, classes=about.classes, counts=about.counts)


def kind_of(name: str) -> Kind:
    """What the examples of a data set are; "images" where it is a person's own, as those always are."""
    return DATASETS[name].kind if name in DATASETS else "images"


def available(root: Path | None = None, actor: Actor = LOCAL, also: Iterable[str] = ()) -> dict[str, DatasetSpec]:
    """All that a form can offer: the registry, then sets in the data directory `root` that somebody may use, newest first.
    also: names that it shows now, which may be of hidden sets."""
    return DATASETS | {own.name: _own_spec(own) for own in own_sets(root or default_data_dir(), actor, also)}


def owners_of(config: DataConfig, root: Path) -> set[str]:
    """Whose the sets and texts are that a config names; of what is not there, nobody's."""
    found = {texts_owner(root, config.text_file)} if config.dataset == "own_texts" else set()
    for name in filter(is_own, (config.dataset, *config.join)):
        with suppress(DataMissing, DataDamaged):
            found.add(read_set(root, name).owner)
    return found


def _own_spec(own: OwnSet) -> DatasetSpec:
    def read(root: Path, cache: Path) -> Raw:
        arrays = read_arrays(root, own.name)
        images, labels = torch.from_numpy(arrays.images), torch.from_numpy(arrays.labels)
        first = own.counts[0]  # training images come first, so that both parts are views of the mapped file
        return Raw(images[:first], labels[:first], images[first:], labels[first:])

    drawn = own.owner.startswith(CLASS)
    summary = f"{sum(own.counts):,} digits that a class has drawn." if drawn else \
        f"{sum(own.counts):,} images of {len(own.classes)} classes, brought here."
    return DatasetSpec(title=own.title, summary=summary,
                       source=own.source, licence="that of the images", classes=own.classes, input_shape=own.input_shape,
                       counts=own.counts, read=read, drawn=drawn)
