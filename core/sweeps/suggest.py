"""Which settings can be varied, and between what: what a form offers before anybody has written anything."""

from typing import Any, Literal, get_args, get_origin

from core.config import KIND_PATHS, OPTIMIZERS, SCHEDULES, RunConfig
from core.data.sources import kind_of
from core.fields import Setting, describe
from core.runs.differing import flat, labels_of
from core.sweeps.plan import Range, SweepError
from core.sweeps.ranges import OF_LOSS, config_with

FACTOR = 10  # up and down from a number that works by factors
BY_FACTORS = ("learning_rate", "weight_decay", "l1")
FIRST = ("training.optimizer.learning_rate", "training.batch_size")
SOME = {"data.normalization": ("none", "half", "standard")}  # of the choices: the others need numbers, or channels
SPAN = {"beta1": (0.8, 0.99), "beta2": (0.9, 0.999), "alpha": (0.9, 0.999), "label_smoothing": (0.0, 0.3)}
ABOVE_NOTHING = ("fraction", "rise", "share", "factor")
# what one tunes, as a rule; all else that is no luck and no judge can be varied on the command line
OFFERED = ("training.optimizer.", "training.schedule.", "training.batch_size", "training.epochs", "training.label_smoothing",
           "training.gradient_clipping", "training.l1", "training.initialization", "training.shuffle", "training.keep",
           "data.normalization", "data.fraction", "model.")
OF_KIND = {"images": ("data.variations",), "text": ("data.vocabulary", "data.text_length")}
NEEDS_MORE = ("training.optimizer.nesterov",)  # than itself: momentum
SMALLEST = {"weight_decay": 1e-6, "l1": 1e-7}  # a range by factors can't begin at 0


def variable(config: RunConfig) -> dict[str, str]:
    """The settings that can be varied, by path: what each is called. Those that one changes most come first."""
    found = {}
    offered = OFFERED + OF_KIND.get(kind_of(config.data.dataset), ())
    for path, value in flat(config).items():
        if not path.startswith(offered) or path in NEEDS_MORE or path in OF_LOSS and config.training.loss != "cross_entropy":
            continue
        try:
            config_with(path, config)
            suggested(config, path)
        except SweepError:
            continue
        found[path] = value
    paths = [*(path for path in FIRST if path in found),
             *sorted((path for path in found if path not in FIRST), key=lambda path: not path.startswith("training."))]
    return {path: label[:1].upper() + label[1:] for path, label in labels_of([config], paths).items()}


def setting_of(config: RunConfig, path: str) -> Setting:
    """What a form needs to know about the field at a path that the config has."""
    owner: Any = config
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return describe(type(owner), name)


def suggested(config: RunConfig, path: str) -> Range:
    """A range around what the setting is now, within what its field allows. Raises SweepError for one that has no such range."""
    value, name = flat(config)[path], path.rpartition(".")[2]
    about = setting_of(config, path)
    if isinstance(value, bool):
        return Range(path=path, choices=(False, True))
    if isinstance(value, str):
        known = _choices(config, path)
        if len(known) < 2:
            raise SweepError(f"{path} has no choices that are known beforehand")
        return Range(path=path, choices=known)
    if isinstance(value, list):
        if not value or not all(isinstance(one, int) for one in value):
            raise SweepError(f"{path} is a list that is not of whole numbers")
        return Range(path=path, choices=tuple(_unlike(value)))
    if not isinstance(value, int | float) or about.minimum is None:
        raise SweepError(f"{path} is no number with bounds")
    if name in BY_FACTORS:
        middle = value or SMALLEST.get(name, 1e-4) * FACTOR
        low, high = middle / FACTOR, middle * FACTOR
        return Range(path=path, low=float(f"{low:.2g}"), high=float(f"{min(high, about.maximum or high):.2g}"), log=True)
    if isinstance(value, int):
        low, high = max(int(about.minimum), value // 2), max(value * 2, int(about.minimum) + 1)
        return Range(path=path, low=low, high=min(high, about.maximum or high), whole=True)
    low, high = SPAN.get(name) or (max(about.minimum, 0.1 if name in ABOVE_NOTHING else 0.0),
                                   0.9 if about.maximum is not None and about.maximum <= 1 else max(1.0, 2 * value))
    return Range(path=path, low=min(low, value), high=max(high, value))


def _choices(config: RunConfig, path: str) -> tuple[str, ...]:
    """Of a field that is one of some words."""
    if path in SOME:
        return SOME[path]
    if path in KIND_PATHS:
        return {"training.optimizer.name": tuple(OPTIMIZERS), "training.schedule.name": tuple(SCHEDULES)}.get(path, ())
    owner: Any = config
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    kind = type(owner).model_fields[name].annotation
    return tuple(get_args(kind)) if get_origin(kind) is Literal else ()


def _unlike(sizes: list[int]) -> list[list[int]]:
    """Layers half as wide, as they are, and twice as wide."""
    return [[max(1, size // 2) for size in sizes], sizes, [2 * size for size in sizes]]
