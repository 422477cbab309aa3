"""The lab on text: which words lean which way, where they lie before and after training, and what decided an answer.

A bag of embeddings knows which words a text has and how often, not their order. That makes two things exact here: leaving a
word out is one forward pass, and reordering a text can't change the answer.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset
from core.data.sources.texts import END, FIRST, Vocabulary, encode, tokens, words
from core.training import Finished, build_for, fit
from core.training.inference import evaluation_mode

QUICK = 2_000  # training texts that a page may learn from while somebody waits: half a second
SEPARATE = {"bce_with_logits", "bce"}  # losses that ask a question of its own for each of several outputs


@dataclass(frozen=True)
class Lean:
    """In how many training texts of each class a word stands, counted once for each text. label: the class that it is most
    one-sided for, by `lean`."""

    word: str
    number: int
    counts: tuple[int, ...]
    label: int
    lean: float


@dataclass(frozen=True)
class WordMap:
    """Words in the plane of the two directions in which the trained rows differ most (principal components).

    before, after: (W, 2) float64, the same directions for both, so that a move is a move. labels: the class that each word leans
    to. share: of the trained rows' variance that the plane shows, 0 to 1.
    """

    words: tuple[str, ...]
    labels: tuple[int, ...]
    before: np.ndarray
    after: np.ndarray
    share: float


@dataclass(frozen=True)
class Push:
    """One word of a text: what the logit of the class that is asked about loses when the word is left out."""

    word: str
    number: int
    push: float


@dataclass(frozen=True)
class Decision:
    """A network's answer to one text: how likely one class is. logit: above 0 where that is more likely than all others together.
    pushes: in the text's order, words beyond its length left out. empty: the logit of a text without words."""

    probability: float
    logit: float
    pushes: tuple[Push, ...]
    empty: float


def learn(config: RunConfig, data: Dataset) -> nn.Module:
    """The network after the run that `config` describes, learned here and now: the same weights as the run's on the CPU.

    PyTorch's global random state is left as it was.
    """
    model = build_for(config, data)
    with torch.random.fork_rng(devices=[]):
        for event in fit(config, data, model, torch.device("cpu")):
            if isinstance(event, Finished):
                break
    return model.eval()


def leans(data: Dataset, vocabulary: Vocabulary, at_least: int = 3) -> list[Lean]:
    """Words that stand in at least so many training texts, those first that lean most to the last class, and so on back to the
    first."""
    numbers, labels = data.train.take(torch.arange(len(data.train)))
    counts = torch.zeros(len(data.classes), len(vocabulary), dtype=torch.int64)
    for label in range(len(data.classes)):
        mine = numbers[labels == label]
        present = torch.zeros(len(mine), len(vocabulary), dtype=torch.bool).scatter_(1, mine, True)
        counts[label] = present.sum(0)
    ways = one_sidedness(counts.numpy(), torch.bincount(labels, minlength=len(data.classes)).numpy())
    best = ways.argmax(0)
    frequent = [number for number in range(FIRST, len(vocabulary)) if int(counts[:, number].sum()) >= at_least]
    found = [Lean(vocabulary.word(number), number, tuple(counts[:, number].tolist()), int(best[number]),
                  float(ways[best[number], number])) for number in frequent]
    return sorted(found, key=lambda lean: (-lean.label, -lean.lean if lean.label else lean.lean, lean.word))


def one_sidedness(having: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(K, W): how much likelier a text of each class has a word than one of the other classes: the natural logarithm of the two
    shares' quotient, each with one text more that has the word and one that has not, so that none is 0.

    having: (K, W), texts of each class with the word; sizes: (K,), all texts of each class.
    """
    others, rest = having.sum(0) - having, sizes.sum() - sizes
    return np.log((having + 1) / (sizes[:, None] + 2)) - np.log((others + 1) / (rest[:, None] + 2))


def telling(found: list[Lean], count: int) -> list[Lean]:
    """The `count` most one-sided words of each class, none twice, in the order of leans()."""
    labels = sorted({lean.label for lean in found}, reverse=True)
    count = min(count, max(1, len(found) // max(1, len(labels))))
    kept: set[int] = set()
    for label in labels:
        mine = sorted((lean for lean in found if lean.label == label), key=lambda lean: -lean.lean)
        kept |= {lean.number for lean in mine[:count]}
    return [lean for lean in found if lean.number in kept]


def table_of(model: nn.Module) -> Tensor:
    """The table of embeddings, (words + 2, width), without gradient."""
    return next(module for module in model.modules() if isinstance(module, nn.EmbeddingBag)).weight.detach()


def word_map(before: nn.Module, after: nn.Module, chosen: list[Lean]) -> WordMap:
    """The rows of chosen words before and after training. The plane is found by singular value decomposition of the trained
    rows less their mean. Raises ValueError for fewer than three words."""
    if len(chosen) < 3:
        raise ValueError("A map needs at least three words.")
    rows = torch.tensor([lean.number for lean in chosen])
    old, new = (table_of(model)[rows].double().numpy() for model in (before, after))
    centred = new - new.mean(0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((centred.shape[1], 2))
    plane[:, :min(2, len(directions))] = directions[:2].T
    labels = np.array([lean.label for lean in chosen])
    if (centred @ plane[:, 0]) @ (labels - labels.mean()) < 0:
        plane[:, 0] *= -1  # the last class's words on the right, whatever sign the decomposition gave
    variance = sizes ** 2
    return WordMap(tuple(lean.word for lean in chosen), tuple(labels.tolist()), (old - new.mean(0)) @ plane, centred @ plane,
                   float(variance[:2].sum() / max(variance.sum(), 1e-30)))


def gap(points: np.ndarray, labels: Sequence[int]) -> float:
    """Distance between the middles of the words of two classes; of more classes the mean of it over all pairs."""
    which = np.array(labels)
    middles = [points[which == label].mean(0) for label in sorted({*labels})]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(middles, 2)]
    return sum(apart) / len(apart) if apart else 0.0


def logits(model: nn.Module, numbers: Tensor, label: int, loss: str) -> Tensor:
    """The logit of a class for texts (N, L) → (N,): ln(p / (1 − p)) of its probability, as the loss takes the outputs."""
    with evaluation_mode(model), torch.inference_mode():
        outputs = model(numbers)
    if outputs.shape[1] == 1:
        return outputs[:, 0] if label == 1 else -outputs[:, 0]
    scores = nn.functional.logsigmoid(outputs) if loss in SEPARATE else outputs
    others = torch.cat([scores[:, :label], scores[:, label + 1:]], dim=1)
    return scores[:, label] - others.logsumexp(1)


def likeliest(model: nn.Module, text: str, vocabulary: Vocabulary, length: int, classes: int, loss: str) -> int:
    """The class that the network answers with."""
    row = encode([text], vocabulary, length)
    return max(range(classes), key=lambda label: float(logits(model, row, label, loss)[0]))


def decide(model: nn.Module, text: str, vocabulary: Vocabulary, length: int, label: int = 1,
           loss: str = "cross_entropy") -> Decision:
    """The answer to a text, and for each word what the logit of a class would lose without it: one forward pass for all."""
    read = tokens(text, vocabulary, length)[:length]
    row = encode([text], vocabulary, length)[0]
    batch = row.repeat(len(read) + 2, 1)  # as it is, without each word, and without any
    for place in range(len(read)):
        batch[place + 1, place] = END  # a bag leaves END out wherever it stands
    batch[-1] = END
    found = logits(model, batch, label, loss)
    whole = float(found[0])
    pushes = tuple(Push(token.word, token.number, whole - float(without))
                   for token, without in zip(read, found[1:-1], strict=True))
    return Decision(float(torch.sigmoid(found[0])), whole, pushes, float(found[-1]))


def reordered(text: str) -> dict[str, str]:
    """The same words in other orders: "as written", "backwards", "by alphabet"."""
    found = words(text)
    return {"as written": " ".join(found), "backwards": " ".join(reversed(found)), "by alphabet": " ".join(sorted(found))}


# Two sentences with the same words and the opposite meaning: no bag can tell them apart
TWINS = ("The film is not dull, it is wonderful.", "The film is not wonderful, it is dull.")
NEGATIONS = (("The acting is wonderful.", "The acting is not wonderful."), ("It is boring.", "It is not boring."),
             ("The jokes are funny.", "The jokes are not funny."), ("A great ending.", "Not a great ending."))


def text_code(model: Any) -> str:
    """Plain PyTorch that learns from a dozen reviews with a table of the sizes in a TextEmbeddingConfig; runs alone."""
    return CODE.format(width=model.width, units=model.fc_width)


CODE = '''import re
from collections import Counter

import torch
from torch import nn

texts = ["a wonderful, funny film", "what a great and moving story", "clever, charming and funny",
         "i loved every minute", "superb acting and a great ending", "a lovely, warm film",
         "a dull and boring film", "what a terrible story", "stupid, ugly and boring",
         "i hated every minute", "weak acting and an awful ending", "a dull, cold film"]
labels = torch.tensor([1.0] * 6 + [0.0] * 6).view(-1, 1)  # (12, 1): 1 is positive


def words(text):
    return re.findall(r"[^\\W\\d_]+(?:'[^\\W\\d_]+)*", text.lower())


# 1. every word a number, the most frequent first; 0 is "text has ended", 1 is "unknown"
counts = Counter(word for text in texts for word in words(text))
numbers = {{word: number for number, (word, _) in enumerate(counts.most_common(), start=2)}}


def encode(texts, length=8):
    rows = torch.zeros(len(texts), length, dtype=torch.long)  # (N, L)
    for row, text in enumerate(texts):
        found = [numbers.get(word, 1) for word in words(text)[:length]]
        rows[row, :len(found)] = torch.tensor(found)
    return rows


# 2. each number a row of a table, the mean of a text's rows, two linear layers
torch.manual_seed(0)
model = nn.Sequential(
    nn.EmbeddingBag(len(numbers) + 2, {width}, mode="mean", padding_idx=0),  # to (N, {width})
    nn.Linear({width}, {units}), nn.ReLU(), nn.Linear({units}, 1))
nn.init.normal_(model[0].weight, std=0.1)
model[0].weight.data[0] = 0  # the row of "text has ended" stays out of every mean

# 3. learn
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(100):
    loss = criterion(model(encode(texts)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {{loss.item():.4f}}")

# 4. ask, and leave out one word at a time
text = "a funny story with a dull ending"
with torch.no_grad():
    whole = model(encode([text]))[0, 0]
    print(f"positive with probability {{torch.sigmoid(whole):.2f}}")
    for place, word in enumerate(words(text)):
        rest = " ".join(words(text)[:place] + words(text)[place + 1:])
        push = whole - model(encode([rest]))[0, 0]
        print(f"{{word:10}} {{push.item():+.2f}}")

# 5. a bag knows no order
a, b = "the film is not dull, it is funny", "the film is not funny, it is dull"
with torch.no_grad():
    pa, pb = torch.sigmoid(model(encode([a, b], length=12)))[:, 0]
print(f"{{pa:.4f}} and {{pb:.4f}}: equal but for rounding")
'''
