"""Widgets made from the fields of a config: label, help, bounds, step and unit come from core.fields."""

import re
from typing import Any

import streamlit as st

from core.config import RunConfig
from core.data.sources import kind_of
from core.fields import Config, describe
from core.models import ARCHITECTURES
from core.models.stack import count_layers
from pages.parts.draft import draft
from pages.parts.shell import lesson
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.setting import setting_widget

# What choices are called on a page; a value that is not here is shown as it is.
CHOICES = {
    **{name: spec.title for name, spec in ARCHITECTURES.items()},
    "classes": "Which class is it?", "is_target": "Is it this class?",
    "none": "0 to 1", "half": "−1 to 1", "standard": "mean 0, standard deviation 1",
    "cross_entropy": "Cross-entropy", "bce_with_logits": "Binary cross-entropy (with logits)",
    "relu": "ReLU", "leaky_relu": "Leaky ReLU", "gelu": "GELU", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax",
    "flatten": "Flatten", "global_average": "Global average pooling",
    "average": "Mean", "max": "Largest", "small": "For small pictures", "imagenet": "As for ImageNet",
    "channels": "numbers of your own",
    "identity": "The input as it is", "projection": "The input through a 1×1 convolution",
    "nll": "Negative log-likelihood", "bce": "Binary cross-entropy (after a sigmoid)", "mse": "Mean squared error",
    "adam": "Adam", "sgd": "SGD", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad",
    "constant": "Constant", "step": "Steps", "cosine": "Cosine", "one_cycle": "One cycle", "warm_up": "Warm-up",
    "plateau": "On a plateau", "default": "PyTorch's own", "xavier_uniform": "Xavier", "kaiming_normal": "Kaiming (He)",
    "normal": "Normal, standard deviation 0.01", "zeros": "All zeros", "last": "Last epoch", "best": "Best epoch",
    "auto": "Automatic", "cpu": "CPU", "cuda": "CUDA GPU", "mps": "Apple GPU",
}
# where one word means different things
CHOICES_OF = {
    "model.padding": {"half": "Half of the window", "none": "None"},
    "model.pooling": {"none": "None"},
    "training.trainable": {"all": "All layers", "linear_layers": "Linear layers alone", "last_layer": "Last layer alone"},
}

NUMBERS = (".hidden", ".channels", ".channel_mean", ".channel_std", ".moment_epochs")  # several, written as one line
NOTHING = {"data.join": "no other set", "data.only_classes": "all classes"}  # what an empty choice of several means


def field(config: RunConfig, path: str, choices: list[Any] | None = None, labels: dict[Any, str] | None = None) -> None:
    """One field of the draft as a widget, named by its dotted path. A change goes into the draft before the page reruns.

    choices: for a field whose type does not list them. labels: how to show them.
    """
    owner: Config = config
    *parents, name = path.split(".")
    for part in parents:
        owner = getattr(owner, part)
    about, value = describe(type(owner), name), getattr(owner, name)
    key = draft.FORM.key(path)
    if path == "model.layers" and isinstance(value, tuple):
        st.caption(f"{count_layers(value)} layers of your own, changed on the page “Build model”.")
    else:
        setting_widget(lesson.narrowed(about, path, value), value, key, _changed, (path, key), options=choices,
                       kind=kind_of(config.data.dataset), fixed=lesson.is_fixed(path),
                       names=CHOICES | CHOICES_OF.get(path, {}) | (labels or {}), nothing=NOTHING.get(path, ""))
    if problem := st.session_state.get(f"problem.{path}"):
        st.caption(f":red[{as_text(in_labels(problem, path, about.label))}]")


def in_labels(problem: str, path: str, label: str) -> str:
    """What is wrong with a field, under the name that it has on the page: "Hidden layers, number 2, is …"."""
    return re.sub(re.escape(path) + r"(?:\.(\d+))?", lambda m: label + (f", number {int(m[1]) + 1}," if m[1] else ""), problem)


def _as_number(text: str) -> int | float | str:
    """A number, or the text as it is, which the config refuses with a line about it."""
    try:
        return int(text) if text.removeprefix("-").isdecimal() else float(text)
    except ValueError:
        return text


def _changed(path: str, key: str) -> None:
    if not draft.FORM.hears(key):
        return
    value = st.session_state[key]
    if isinstance(value, str) and path.endswith(NUMBERS):
        parts = [part.strip() for part in value.replace(";", ",").split(",") if part.strip()]
        value = [_as_number(part) for part in parts]
    draft.change(path, value)
