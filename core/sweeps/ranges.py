"""Ranges of settings as people write them, held to what the fields allow.

    training.optimizer.learning_rate=1e-4..1e-1:log    training.batch_size=16..256:int    model.hidden=[32]|[64,32]|[128]
"""

import json
import re
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from pydantic import ValidationError

from core.config import KIND_PATHS, RunConfig
from core.data import DATASETS
from core.fields import ConfigError, explain
from core.runs.differing import flat
from core.runs.outcomes import QUESTION
from core.sweeps.plan import MOST_TRIALS, Range, SweepError, SweepPlan, with_params

FORM = re.compile(r"(.+?)\.\.(.+?)((?::[a-z]+)*)")
FLAGS = ("log", "int")
MOST_CHOICES, MOST_VARIED, MOST_TEXT = 50, 12, 2000
JUDGE = ("data.validation", "data.split_seed", "data.noise", "data.join")  # what the validation images are
LUCK = ("training.seed", "training.device", "training.threads", "training.precision", "training.moments",
        "training.moment_epochs", "training.start_from")
OF_LOSS = ("training.loss", "training.label_smoothing")
AS = "write it as FIELD=LOW..HIGH, such as training.optimizer.learning_rate=1e-4..1e-1:log, or as FIELD=ONE|ANOTHER"


def plan_of(base: RunConfig, vary: Sequence[str | Range], **values: Any) -> SweepPlan:
    """A plan whose ranges may be written as on the command line, checked against the fields' bounds. values: the plan's others.

    Raises SweepError.
    """
    kinds = [one for one in vary if isinstance(one, str) and one.partition("=")[0].strip() in KIND_PATHS]
    read = {text: read_range(text, base, ()) for text in kinds}
    ranges = [one if isinstance(one, Range) else read.get(one) or read_range(one, base, tuple(read.values())) for one in vary]
    usual = {"metric": "validation_accuracy" if can_be_right(base) else "validation_loss"}
    return _checked({"base": base, "vary": tuple(ranges), **usual, **values})


def changed(plan: SweepPlan, **values: Any) -> SweepPlan:
    """The plan with other values. Raises SweepError."""
    return _checked({name: getattr(plan, name) for name in type(plan).model_fields} | values)


def _checked(values: dict[str, Any]) -> SweepPlan:
    try:
        plan = SweepPlan(**values)
    except ValidationError as error:
        raise SweepError(explain(error, SweepPlan)) from None
    check_plan(plan)
    return plan


def read_range(text: str, base: RunConfig, kinds: Sequence[Range] = ()) -> Range:
    """What --vary says. kinds: the kinds of network, optimizer and schedule that vary, too: their settings can be varied as well.

    Raises SweepError.
    """
    path, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not path or not value or len(text) > MOST_TEXT:
        raise SweepError(f"{text[:60]!r}: {AS}")
    config = config_with(path, base, kinds)
    if "..." in value and "[" not in value:
        raise SweepError(f"{path}={value[:60]}: a range has two dots, as 0.1..1")
    numbers = FORM.fullmatch(value)
    found = _choices(path, value, config) if numbers is None else _numbers(path, numbers, config)
    check_range(found, config)
    return found


def config_with(path: str, base: RunConfig, kinds: Iterable[Range] = ()) -> RunConfig:
    """The settings, of those that are tried, that have this one. Raises SweepError where it can't be varied."""
    if path in QUESTION:
        raise SweepError(f"{path} can't be varied: with another question or data set results can't be compared")
    if path in JUDGE:
        raise SweepError(f"{path} can't be varied: it decides by which images the search judges")
    if path in LUCK:
        raise SweepError(f"{path} can't be varied: it is luck, or where and how a run is done. Seeds are repeated by themselves")
    for config in [base, *(_safely(base, one.path, choice) for one in kinds for choice in one.choices)]:
        if config is not None and path in flat(config):
            return config
    known = [name for name in flat(base) if name.rpartition(".")[0] == path.rpartition(".")[0]]
    raise SweepError(f"{path[:60]}: there is no such field" + (f"; choose from {', '.join(known)}" if known else
                                                             "; it begins with data, model or training"))


def _safely(base: RunConfig, path: str, choice: Any) -> RunConfig | None:
    try:
        return with_params(base, {path: choice})
    except ConfigError:
        return None


def _numbers(path: str, parts: re.Match[str], config: RunConfig) -> Range:
    flags = [flag for flag in parts[3].split(":") if flag]
    if unknown := [flag for flag in flags if flag not in FLAGS]:
        raise SweepError(f"{path}: there is no :{unknown[0]}; after a range come :log, :int or both")
    try:
        low, high = float(parts[1]), float(parts[2])
    except ValueError:
        raise SweepError(f"{path}: {parts[1]}..{parts[2]} is no range of numbers") from None
    if not isfinite(low) or not isfinite(high):
        raise SweepError(f"{path}: {parts[1]}..{parts[2]} is no range of numbers")
    now = flat(config)[path]
    if isinstance(now, bool) or not isinstance(now, int | float):
        raise SweepError(f"{path} is no number: name its choices instead, as {path}=ONE|ANOTHER")
    return Range(path=path, low=low, high=high, log="log" in flags, whole="int" in flags or isinstance(now, int))


def _choices(path: str, value: str, config: RunConfig) -> Range:
    parts = value.split("|")
    if len(parts) == 1 and not isinstance(flat(config)[path], list):  # one list of choices
        whole = _value(value)
        parts = [json.dumps(one) for one in whole] if isinstance(whole, list) else parts
    if len(parts) > MOST_CHOICES:
        raise SweepError(f"{path} has {len(parts)} choices; it can have at most {MOST_CHOICES}")
    choices = [_value(part) for part in parts]
    if len(choices) == 1:
        raise SweepError(f"{path} has one value, {json.dumps(choices[0])}: there is nothing to choose. A range is written as "
                         "0.1..1, choices as 1|2")
    return Range(path=path, choices=tuple({json.dumps(one, sort_keys=True): one for one in choices}.values()))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()  # a word such as adam


def check_range(one: Range, config: RunConfig) -> None:
    """Raises SweepError for a range with one value, or with one that its field does not take. config: one that has the field."""
    if not one.is_number:
        if len(one.choices) < 2:
            raise SweepError(f"{one.path} has one value, {json.dumps(list(one.choices)[0])}: there is nothing to choose")
        ends = list(one.choices)
    else:
        if one.low is None or one.high is None:
            raise SweepError(f"{one.path}: a range needs two ends")
        if one.whole and (one.low != round(one.low) or one.high != round(one.high)):
            raise SweepError(f"{one.path}: it must be from one whole number to another")
        if one.low >= one.high:
            raise SweepError(f"{one.path} goes from {one.low:g} to {one.high:g}: " + (
                "there is one value to choose from" if one.low == one.high else "the smaller end comes first"))
        if one.log and one.low <= 0:
            raise SweepError(f"{one.path}: a range by factors must begin above 0")
        ends = [one.rounded(one.low), one.rounded(one.high)]
    for value in ends:
        try:
            config.with_values({one.path: value})
        except ConfigError as error:
            raise SweepError(str(error)) from None


def check_plan(plan: SweepPlan) -> None:
    """Raises SweepError for ranges that their fields do not take, and for what a search can't be judged by."""
    if not plan.vary:
        raise SweepError("There is nothing to search: name at least one setting that varies")
    if len(plan.vary) > MOST_VARIED:
        raise SweepError(f"{len(plan.vary)} settings vary; a search can have at most {MOST_VARIED}. Vary what matters most")
    paths = [one.path for one in plan.vary]
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise SweepError(f"{twice[0]} is named twice: a setting can be varied once")
    kinds = [one for one in plan.vary if one.path in KIND_PATHS]
    for one in plan.vary:
        check_range(one, config_with(one.path, plan.base, kinds))
    if plan.metric == "validation_loss" and (wrong := [one.path for one in plan.vary if one.path in OF_LOSS]):
        raise SweepError(f"{wrong[0]} changes what the loss means, so losses can't be compared: judge by validation_accuracy")
    if plan.metric == "validation_accuracy" and not can_be_right(plan.base):
        raise SweepError("This network predicts a number, which is never right or wrong: judge by validation_loss")
    if plan.sampler == "grid" and plan.grid_size > 10 * MOST_TRIALS:
        raise SweepError(f"The grid has {plan.grid_size:,} combinations; vary fewer settings, or choose another way than a grid")


def can_be_right(config: RunConfig) -> bool:
    """Whether runs of these settings have an accuracy."""
    spec = DATASETS.get(config.data.dataset)
    return spec is None or spec.target != "number"
