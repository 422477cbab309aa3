"""Texts as numbers: a small tokenizer, a vocabulary from the training texts, and rows of word numbers.

    words("It wasn't good.")                        # ["it", "wasn't", "good"]
    vocabulary = build_vocabulary(texts, size=1000) # the most frequent words, numbered from 2
    encode(texts, vocabulary, length=64)            # (N, 64) int64, 0 after a text's end, 1 for a word that is not known
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

END, UNKNOWN = 0, 1  # what no word is numbered with: a text has ended; a word that is not in the vocabulary
FIRST = 2  # number of the most frequent word
SPECIAL = ("(end)", "(unknown)")
# Letters of any alphabet, with apostrophes inside: wasn't, l'été. Digits and punctuation are left out.
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


@dataclass(frozen=True)
class RawTexts:
    """All texts of a data set, before validation texts are held back. labels (N,) int64, places in its classes."""

    train: list[str]
    train_labels: Tensor
    test: list[str]
    test_labels: Tensor


@dataclass(frozen=True)
class Texts:
    """What a run's texts say, in the order of its splits, and the vocabulary that numbers their words."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    vocabulary: "Vocabulary"

    def split(self, name: str) -> tuple[str, ...]:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


@dataclass(frozen=True)
class Vocabulary:
    """Known words, the most frequent first: words[i] has the number i + FIRST and was seen counts[i] times in training."""

    words: tuple[str, ...]
    counts: tuple[int, ...]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Word → number."""
        return {word: number for number, word in enumerate(self.words, start=FIRST)}

    def __len__(self) -> int:
        """How many numbers there are, END and UNKNOWN included."""
        return len(self.words) + FIRST

    def word(self, number: int) -> str:
        """The word of a number; "(end)" and "(unknown)" for the two that are no words."""
        return SPECIAL[number] if number < FIRST else self.words[number - FIRST]


@dataclass(frozen=True)
class Token:
    """One word of a text. start, end: where it stands in the text. number: 0 where it lies beyond the length that is read."""

    word: str
    number: int
    start: int
    end: int


def words(text: str) -> list[str]:
    """The words of a text in lowercase, in order. A curly apostrophe counts as a straight one."""
    return WORD.findall(_plain(text))


def build_vocabulary(texts: Iterable[str], size: int) -> Vocabulary:
    """The `size` most frequent words of `texts`, which should be training texts alone; equal counts in alphabetical order."""
    counts = Counter(word for text in texts for word in words(text))
    kept = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:size]
    return Vocabulary(tuple(word for word, _ in kept), tuple(count for _, count in kept))


def tokens(text: str, vocabulary: Vocabulary, length: int) -> list[Token]:
    """The words of a text with their numbers and places."""
    return [Token(found[0], vocabulary.numbers.get(found[0], UNKNOWN) if place < length else END, *found.span())
            for place, found in enumerate(WORD.finditer(_plain(text)))]


def encode(texts: Sequence[str], vocabulary: Vocabulary, length: int) -> Tensor:
    """(N, length) int64: each text's first `length` words as numbers, UNKNOWN for other words, END after the last one."""
    rows = torch.full((len(texts), length), END, dtype=torch.int64)
    numbers = vocabulary.numbers
    for row, text in enumerate(texts):
        found = [numbers.get(word, UNKNOWN) for word in words(text)[:length]]
        rows[row, :len(found)] = torch.tensor(found, dtype=torch.int64)
    return rows


def _plain(text: str) -> str:
    """Lowercase letter by letter, so that places stay: str.lower() makes two characters of a dotted capital I."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text.replace("’", "'")) if not text.isascii() \
        else text.lower()
