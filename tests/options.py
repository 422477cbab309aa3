"""Every choice of every field of RunConfig, read from its schema, so that a new option is among them without anybody's thinking.

    choices_of(RunConfig)   # [{}, {"data": {"task": "classes"}}, …, {"training": {"optimizer": {"name": "sgd", "momentum": 0}}}]

A choice is a part of a config as JSON has it, to be laid over another config. A field of a kind that is not known here is an
error: it must not be left out in silence.
"""

import math
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.data import DATASETS

Choice = dict[str, Any]

TAGS = ("architecture", "name", "kind")  # fields that say which of several configs one is

# Words that a config does not list; OWN and START stand for what is made when the tests run
OWN_IMAGES, OWN_TEXTS, START = "(own images)", "(own texts)", "(a run)"
WORDS: Mapping[str, Sequence[str]] = {
    "data.dataset": [*DATASETS, OWN_IMAGES, "(no such set)"],
    "data.text_file": ["", OWN_TEXTS, "(no such file)"],
    "data.join": ["mnist", "reviews", "(no such set)"],
    "data.only_classes": ["0", "1", "5", "outside", "inside", "(no such class)"],
    "training.start_from": ["", START, "imagenet", "(no such run)"],
}
# lists of words that go together, beside none, each alone and all
LISTS: Mapping[str, Sequence[list[str]]] = {"data.only_classes": [["1", "3", "5"], ["9", "0"], ["outside", "inside"]]}

# Bounds that take longer than a tiny run may: what is tried instead. The smaller ones are all tried as they are.
TINY: Mapping[str, float] = {
    "data.variations": 2, "data.points": 200, "data.join_times": 3,
    "model.mlp.hidden": 256, "model.cnn.channels": 16, "model.cnn.fc_width": 256,
    "model.small_resnet.channels": 16, "model.small_resnet.blocks": 2, "model.vgg16.fc_width": 16,
    "model.stack.layers.conv2d.out_channels": 16, "model.stack.layers.linear.out_features": 256,
    "training.threads": 2, "training.frozen_first": 1,
    "model.stack.layers.residual.layers.conv2d.out_channels": 16, "model.stack.layers.residual.layers.linear.out_features": 256,
    "model.text_embedding.width": 64, "model.text_embedding.fc_width": 256, "training.epochs": 3,
}


# Numbers between the bounds where a bound is refused
BETWEEN: Mapping[str, Sequence[float]] = {"data.validation": [1_000], "data.target": [3]}


class UnknownKind(AssertionError):
    """A field whose choices can't be listed: teach this module its kind."""


def choices_of(config: type[BaseModel], path: str = "") -> list[Choice]:
    """The config as it is by default, and each of its fields with each choice, all others at their defaults."""
    tag = tag_of(config)
    start = {tag: config.model_fields[tag].default} if tag else {}
    found = [start]
    for name, info in config.model_fields.items():
        if name != tag:
            found += [start | {name: value} for value in values_of(_annotated(info), f"{path}.{name}".lstrip("."))]
    return found


def values_of(kind: Any, path: str) -> list[Any]:
    """What a field of this type can be, as JSON has it. Raises UnknownKind."""
    rules: list[Any] = []
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        rules += [rule for one in more for rule in (one.metadata if isinstance(one, FieldInfo) else [one])]
    origin = get_origin(kind)
    if origin is Literal:
        return list(get_args(kind))
    if kind is bool:
        return [False, True]
    if kind in (int, float):
        return _numbers(kind, rules, path)
    if kind is str and path in WORDS:
        return list(WORDS[path])
    if kind is type(None):
        return [None]
    if origin in (Union, types.UnionType):
        return [value for member in get_args(kind) for value in values_of(member, path)]
    if origin is tuple:
        return _tuples(get_args(kind), rules, path)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        tag = tag_of(kind)
        return choices_of(kind, f"{path}.{kind.model_fields[tag].default}" if tag else path)
    raise UnknownKind(f"{path}: {kind} is of a kind that tests/options.py can't list" if kind is not str else
                      f"{path}: say in WORDS of tests/options.py what it can be")


def tag_of(config: type[BaseModel]) -> str:
    """The field that says which of several configs it is; "" for one that stands alone."""
    return next((name for name in TAGS if name in config.model_fields
                 and get_origin(config.model_fields[name].annotation) is Literal), "")


def _annotated(info: FieldInfo) -> Any:
    """A field's type with its bounds, which pydantic keeps apart."""
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _numbers(kind: type, rules: list[Any], path: str) -> list[float]:
    """Both bounds; where a bound itself is not allowed, the number next to it."""
    low = next((rule.ge for rule in rules if isinstance(rule, Ge)), None)
    high = next((rule.le for rule in rules if isinstance(rule, Le)), None)
    above = next((rule.gt for rule in rules if isinstance(rule, Gt)), None)
    below = next((rule.lt for rule in rules if isinstance(rule, Lt)), None)
    if low is None and above is not None:
        low = above + 1 if kind is int else math.nextafter(above, math.inf)
    if high is None and below is not None:
        high = below - 1 if kind is int else math.nextafter(below, -math.inf)
    if low is None or high is None:
        raise UnknownKind(f"{path}: a number without both bounds")
    return [kind(number) for number in (low, *BETWEEN.get(path, []), min(high, TINY.get(path, math.inf)))]


def _tuples(held: tuple[Any, ...], rules: list[Any], path: str) -> list[list[Any]]:
    """The shortest, each entry alone, and as many different entries as there may be; for a fixed number, all low and all high."""
    if Ellipsis not in held:
        columns = [values_of(one, f"{path}.{place}") for place, one in enumerate(held)]
        return [[column[0] for column in columns], [column[-1] for column in columns]]
    fewest = next((rule.min_length for rule in rules if isinstance(rule, MinLen)), 0)
    most = next((rule.max_length for rule in rules if isinstance(rule, MaxLen)), None)
    if most is None:
        raise UnknownKind(f"{path}: a list without a longest length")
    entries = values_of(held[0], path)
    # of numbers and configs any number may be equal; of words and choices each is taken once
    again = not isinstance(entries[0], str)
    plain = entries if not isinstance(entries[0], dict) else [one for one in entries if len(one) == 1]
    longest = [plain[place % len(plain)] for place in range(most)] if again else entries[:most]
    shortest = [] if fewest == 0 else [entries[0]] * fewest
    alone = [[one] for one in entries if fewest <= 1 and [one] != shortest]
    return [shortest, *alone, *LISTS.get(path, []), longest]


def laid_over(base: Any, change: Any) -> Any:
    """`base` with what `change` says; another kind of config, such as another optimizer, takes the place of the base's."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    if any(tag in change and tag in base and change[tag] != base[tag] for tag in TAGS):
        return change
    return base | {name: laid_over(base.get(name), value) for name, value in change.items()}


def both(one: Any, other: Any) -> Any:
    """Two choices of the same field as one: settings of the same optimizer, or of the only transform."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other) == 1:
        return [both(one[0], other[0])]
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {name: both(one[name], value) if name in one else value for name, value in other.items()}
    return one


def holds(whole: object, part: object) -> bool:
    """Whether a config has what a choice says; of a single entry of a list, among others."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list) and len(part) == 1:
        return any(holds(one, part[0]) for one in whole)
    return whole == part


def named(choice: Choice, path: str = "") -> Iterator[str]:
    """A choice in words: "training.optimizer=sgd", "training.optimizer.nesterov=True"."""
    for name, value in choice.items():
        if isinstance(value, dict):
            yield from named(value, f"{path}{name}.")
        else:
            yield f"{path}{name}={value}"
