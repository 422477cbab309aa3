"""The runs that tests/test_every_option.py does: every choice of tests/options.py at least once, and every pair of choices that
go together.

Choices of different parts of a config share a run where the app takes them together, so that there are fewer runs. What it
refuses alone has a case of its own.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from typing import Any

from allpairspy import AllPairs

from core.config import DataConfig, RunConfig, TrainingConfig, read_config
from core.data import DataError, Outline, check, outline
from core.devices import DeviceError, select_device
from core.fields import ConfigError
from core.models import ModelError
from core.models.pretrained import IMAGENET
from core.training import check_for
from tests.options import OWN_IMAGES, OWN_TEXTS, START, TAGS, Choice, both, choices_of, holds, laid_over, named

REFUSED = (ConfigError, DataError, ModelError)
PARTS = ("data", "model", "training")
# What a choice is laid over: small data of each kind with a small network
BASES: dict[str, Choice] = {
    "images": {"data": {"dataset": "digits", "validation": 200, "fraction": 0.05},
               "model": {"architecture": "mlp", "hidden": [8]}, "training": {"epochs": 2, "device": "cpu"}},
    "points": {"data": {"dataset": "circle", "points": 40, "validation": 20, "target": 0},
               "model": {"architecture": "mlp", "hidden": [4]},
               "training": {"epochs": 2, "device": "cpu", "batch_size": 10, "loss": "mse"}},  # which suits numbers, too
    "texts": {"data": {"dataset": "reviews", "validation": 100, "target": 0, "vocabulary": 50, "text_length": 8},
              "model": {"architecture": "text_embedding", "words": 50, "width": 4, "fc_width": 4},
              "training": {"epochs": 2, "device": "cpu"}},
}
# Networks that are large whatever their settings, and what makes them smaller. They are the slowest by far, so they train for one
# epoch, and are tried alone: in pairs the other convolutional networks stand for them
LARGE: dict[str, Choice] = {"vgg16": {"fc_width": 16}, "resnet18": {}, "mobilenet_v3_small": {}}
# At most, and at least: a run of a convolutional network, and of a large one, learns and is tried with few images
MOST = {"fraction": (0.05, 0.01), "validation": (50, 4), "variations": (1, 0), "join_times": (3, 1)}
LEAST_BATCH = (4, 8)
# where a layer can stand in a composed network: on a picture, on a row of numbers
AROUND = ((["conv2d", "LAYER", "flatten", "linear"], ["LAYER", "flatten", "linear"], ["flatten", "LAYER", "linear"],
           ["flatten", "LAYER"]))


@dataclass(frozen=True)
class Case:
    """One run. refused: by what is known before data are read; made_here: it names what is made when the tests run."""

    name: str
    config: str  # JSON
    refused: bool = False

    @property
    def made_here(self) -> bool:
        return any(word in self.config for word in (OWN_IMAGES, OWN_TEXTS, START))


def whole(base: str, *choices: Choice) -> Choice:
    """A run's config as JSON: the base with the choices, small enough for a test."""
    config = BASES[base]
    for choice in choices:
        config = laid_over(config, choice)
        if choice.get("model", {}).get("layers"):
            config["model"] = config["model"] | {"layers": _within(base, choice["model"]["layers"])}
    return _with_few_images(config) if base == "images" else config


def _with_few_images(config: Choice) -> Choice:
    """The config with less to do, where its network is slow."""
    data, training, kind = dict(config["data"]), dict(config["training"]), config["model"]["architecture"]
    if kind in {"mlp", "softmax_regression"}:
        return config
    large = kind in LARGE
    for name, most in MOST.items():
        if data.get(name, 0) > most[large] and data["validation"] < 1_000_000:  # that many are refused, and that is the point
            data[name] = most[large]
    if large and data["dataset"] == "digits":
        data["dataset"] = "mnist"  # a small one here, with fewer test images
    training["batch_size"] = max(training.get("batch_size", 64), LEAST_BATCH[large])
    if large and training["epochs"] == BASES["images"]["training"]["epochs"]:
        training["epochs"] = 1
    return {"data": data, "model": LARGE.get(kind, {}) | config["model"], "training": training}


def _within(base: str, layers: list[Choice]) -> list[Choice]:
    """A single layer between others with which it gives the network its answer; other lists as they are."""
    plain = {"conv2d": {"kind": "conv2d", "out_channels": 4}, "flatten": {"kind": "flatten"},
             "linear": {"kind": "linear", "out_features": 0}}
    if len(layers) != 1:
        return layers
    projected = [layers[0] | {"skip": "projection"}] if layers[0]["kind"] == "residual" and "skip" not in layers[0] else []
    for layer, around in product([layers[0], *projected], AROUND):
        rows = [layer if kind == "LAYER" else plain[kind] for kind in around]
        if is_taken(BASES[base] | {"model": {"architecture": "stack", "layers": rows}}):
            return rows
    return layers


def is_taken(config: Choice) -> bool:
    """Whether the app takes a config, as far as that is known before its data are read."""
    relevant = {"data": config.get("data", {}), "model": config.get("model", {}), "training": config.get("training", {})}
    return _is_taken(json.dumps(relevant, sort_keys=True))


@cache
def _is_taken(text: str) -> bool:
    try:
        config = read_config(text)
        # what of a config loss and network are looked at with, so that large networks are built seldom
        training = config.training
        asked = RunConfig(model=config.model, data=DataConfig(task=config.data.task, vocabulary=config.data.vocabulary),
                          training=TrainingConfig(loss=training.loss, trainable=training.trainable,
                                                  frozen_first=training.frozen_first,
                                                  start_from=IMAGENET * (training.start_from == IMAGENET)))
        return _fits(asked, check(config.data))
    except REFUSED:
        return False


@cache
def _fits(config: RunConfig, data: Outline) -> bool:
    try:
        check_for(config, data)
    except REFUSED:
        return False
    return True


def every_choice() -> Iterator[Case]:
    """A case for each choice; those that go together share one."""
    waiting: dict[str, dict[str, list[Choice]]] = {base: {part: [] for part in PARTS} for base in BASES}
    every = _different(choices_of(RunConfig))
    for choice in every:
        words = json.dumps(choice)
        made_here = any(word in words for word in (OWN_IMAGES, OWN_TEXTS, START))
        home = _home(choice)
        if home is None and not made_here:
            yield Case(_title("images", [choice]), json.dumps(whole("images", choice)), refused=True)
            # such as Nesterov's momentum, which is taken where there is any
            helped = (both(choice, other) for other in every if not is_plain(choice) and _tags(other) == _tags(choice))
            choice = next((one for one in helped if _home(one)), choice)
            home = _home(choice)
        if made_here or not choice:
            yield Case(_title("images", [choice]), json.dumps(whole("images", choice)))
        elif home is not None:
            waiting[home][next(iter(choice))].append(choice)
    for base, lists in waiting.items():
        while any(lists.values()):
            yield _together(base, lists)


def _home(choice: Choice) -> str | None:
    """The first of the bases with which the app takes a choice."""
    return next((base for base in BASES if is_taken(whole(base, choice))), None)


def _tags(choice: Any) -> Any:
    """What is chosen, without its settings."""
    if isinstance(choice, list):
        return [_tags(one) for one in choice]
    return {name: _tags(value) for name, value in choice.items() if name in TAGS or isinstance(value, dict | list)} \
        if isinstance(choice, dict) else choice


def _together(base: str, lists: dict[str, list[Choice]]) -> Case:
    """Of each part the first choice that goes with those before, none of which is lost because a network is slow."""
    chosen: list[Choice] = []
    for part in ("model", "data", "training"):
        for choice in lists[part]:
            config = whole(base, *chosen, choice)
            if not chosen or is_taken(config) and not _is_slow(config) and all(holds(config, one) for one in (*chosen, choice)):
                chosen.append(choice)
                lists[part].remove(choice)
                break
    return Case(_title(base, chosen), json.dumps(whole(base, *chosen)))


def _is_slow(config: Choice) -> bool:
    """A large network on large images: each is tried with what is small."""
    sizes = [step.get("size", 0) for step in config["data"].get("transforms", [])]
    return config["model"]["architecture"] in LARGE and max(sizes, default=0) > 32


def _different(choices: Iterable[Choice]) -> list[Choice]:
    """Each choice once, without those that only name a part of a config."""
    found = [json.loads(text) for text in dict.fromkeys(json.dumps(choice, sort_keys=True) for choice in choices)]
    return [choice for choice in found if all(choice.values())]


def every_pair() -> Iterator[Case]:
    """For each kind of data a set of cases in which each two choices of different fields that go together meet, and cases of
    two that don't."""
    fields: dict[str, list[Choice]] = {}
    for choice in filter(is_plain, _different(choices_of(RunConfig))):
        fields.setdefault(_field(choice), []).append(choice)
    # a field none of whose choices is refused anywhere, whatever question is asked, goes with everything
    asked = [(base, {}) for base in BASES] + [(base, {"data": {"task": "is_target", "target": 0}}) for base in BASES] + [
        ("points", {"data": {"dataset": "linear"}})]
    picky = {"data.task"} | {name for name, found in fields.items() if not all(
        is_taken(whole(base, task, one)) for base, task in asked for one in found)}
    for base in BASES:
        kind = _kind(whole(base))
        columns = [[one for one in found if is_taken(whole(base, one)) and _kind(whole(base, one)) == kind
                    and _is_here(whole(base, one)) and _is_quick(whole(base, one))] for found in fields.values()]

        @cache
        def go_together(one: str, other: str, base: str = base) -> bool:
            return is_taken(whole(base, json.loads(one), json.loads(other)))

        def fits(row: list[Choice], go_together: Callable[[str, str], bool] = go_together) -> bool:
            *before, last = row
            return _field(last) not in picky or all(go_together(json.dumps(one), json.dumps(last)) for one in before
                                                    if _field(one) in picky)

        for row in AllPairs(sorted(filter(None, columns), key=len, reverse=True), filter_func=fits):
            yield Case(_title(base, list(row)), json.dumps(whole(base, *row)))
        # of what is taken alone and not together, one pair for each two fields
        for one, other in combinations([found for found in columns if found and _field(found[0]) in picky], 2):
            apart = ((a, b) for a, b in product(one, other) if not go_together(json.dumps(a), json.dumps(b)))
            if pair := next(apart, None):
                yield Case(_title(base, pair), json.dumps(whole(base, *pair)), refused=True)


def _field(choice: Choice) -> str:
    """"data.task" for {"data": {"task": …}}."""
    part, inner = next(iter(choice.items()))
    return f"{part}.{next(iter(inner))}"


def _kind(config: Choice) -> str:
    return outline(read_config(config).data).kind


def _is_here(config: Choice) -> bool:
    """Whether this machine has the device and the run that a config names."""
    with suppress(DeviceError):
        select_device(read_config(config).training.device)
        return not read_config(config).training.start_from
    return False


def _is_quick(config: Choice) -> bool:
    """Whether a config is quick enough to be tried in many pairs; alone it was."""
    return config["model"]["architecture"] not in LARGE and (
        "points" not in config["data"] or config["data"]["validation"] <= 100_000)


def is_plain(choice: Choice) -> bool:
    """Whether a choice is one of a field of RunConfig's parts, and not of something chosen there: adam, and not Adam's beta1."""
    if len(choice) != 1 or not all(isinstance(inner, dict) and len(inner) == 1 for inner in choice.values()):
        return False
    if any(word in json.dumps(choice) for word in (OWN_IMAGES, OWN_TEXTS, START)):
        return False
    value: Any = next(iter(next(iter(choice.values())).values()))
    entries = value if isinstance(value, list) else [value]
    return all(not isinstance(entry, dict) or set(entry) <= set(TAGS) for entry in entries)


def _title(base: str, choices: Iterable[Choice]) -> str:
    """What a case is called: "images: data.task=is_target, training.keep=best"."""
    return f"{base}: " + (", ".join(word for choice in choices for word in named(choice)) or "as it is")
