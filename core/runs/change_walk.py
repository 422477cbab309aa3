"""Which change did it? From one run's settings to another's, one change at a time, each with several seeds."""

import hashlib
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.config import KIND_PATHS, RunConfig
from core.evaluation.metrics import Interval
from core.fields import ConfigError
from core.runs.differing import NOT_THERE, SEED, Words, flat, in_words, labels_of, varying
from core.runs.outcomes import QUESTION, Outcome
from core.runs.records import Run
from core.runs.requests import Engine
from core.runs.store import RunStore

MOST_CHANGES = 12
MOST_RUNS = 60
SEEDS = (2, 3, 5, 8)
# Student's t by degrees of freedom, from 1 on: 95 % of it is between minus and plus that
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365)
NO_CHANGE = (SEED, "training.device", "training.threads")  # luck, and where it is computed


class WalkError(ValueError):
    """There is no way from one run to the other; the message is one line."""


@dataclass(frozen=True)
class Change:
    """Settings that are changed in one go, by path: (before, after)."""

    label: str
    values: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Walk:
    """configs: from the first run's settings to the second's, one more than there are changes; each with the walk's first seed.
    left: paths that differ and are not walked, as they are no part of what is learned."""

    changes: tuple[Change, ...]
    configs: tuple[RunConfig, ...]
    left: tuple[str, ...]

    def planned(self, seeds: int) -> list[list[RunConfig]]:
        """For each place of the walk its config with each seed, from the first one's on."""
        first = self.configs[0].training.seed
        return [[config.with_values({SEED: first + number}) for number in range(seeds)] for config in self.configs]


@dataclass(frozen=True)
class Effect:
    """What one change did, over the seeds for which both sides are there: after minus before, as runs of the same seed.

    mean: None where there is no seed yet; interval: 95 %, by Student's t; None for fewer than two seeds, or where all differences
    are equal.
    """

    label: str
    seeds: int
    mean: float | None
    interval: Interval | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out that nothing has changed."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


def plan(first: RunConfig, second: RunConfig, runs_well: Callable[[RunConfig], bool], words: Words | None = None) -> Walk:
    """The walk from the first run's settings to the second's: the changes in the order in which a config has them; one that does
    not work alone, such as another loss without the output that it needs, waits, and goes with the next one if it has to.

    Args:
        runs_well: whether a run of these settings can be trained.

    Raises WalkError: another question, nothing that differs, too many changes, or a second config that does not run.
    """
    differing = varying([first, second])
    if asked := [path for path in differing if path in QUESTION]:
        label = labels_of([first, second], asked)[asked[0]]
        raise WalkError(f"The two runs answer different questions ({label}), so their figures can't be laid beside each other.")
    waiting = changes_between(first, second, words)
    if not waiting:
        raise WalkError("The two runs differ in nothing but luck: seed, device or threads.")
    if len(waiting) > MOST_CHANGES:
        raise WalkError(f"The two runs differ in {len(waiting)} settings; at most {MOST_CHANGES} are walked. Choose two that are "
                        "more alike.")
    here, changes, configs = first, [], [first]
    while waiting:
        done, there = _next(here, waiting, runs_well)
        waiting = [change for change in waiting if change not in done]
        changes.append(Change(" and ".join(change.label for change in done),
                              {path: pair for change in done for path, pair in change.values.items()}))
        configs.append(there)
        here = there
    return Walk(tuple(changes), tuple(configs), tuple(path for path in differing if path in NO_CHANGE))


def _next(here: RunConfig, waiting: list[Change], runs_well: Callable[[RunConfig], bool]) -> tuple[list[Change], RunConfig]:
    """The first of the changes that works by itself, else the shortest beginning of them that works together."""
    tried = [[change] for change in waiting] + [waiting[:count] for count in range(2, len(waiting) + 1)]
    for some in tried:
        there = applied(here, some)
        if there is not None and runs_well(there):
            return some, there
    raise WalkError("The second run's settings can't be trained here any more, so there is no way to them.")


def applied(config: RunConfig, changes: Sequence[Change]) -> RunConfig | None:
    """The config with some changes made; None where no config can be so."""
    values = {path: after for change in changes for path, (_, after) in change.values.items() if after is not NOT_THERE}
    try:
        return config.with_values(values)
    except ConfigError:
        return None


def changes_between(first: RunConfig, second: RunConfig, words: Words | None = None) -> list[Change]:
    """What differs, setting by setting; the settings of another kind of network, optimizer or schedule are one change with it."""
    say = words or in_words
    before, after = flat(first), flat(second)
    paths = [path for path in varying([first, second]) if path not in NO_CHANGE]
    labels = labels_of([second, first], paths)
    # where a kind is another one, the other settings of its part change with it
    parts = {kind.rpartition(".")[0]: kind for kind in KIND_PATHS if kind in paths}
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(next((kind for part, kind in parts.items() if path.startswith(f"{part}.")), path), []).append(path)
    return [Change(f"{labels[head]} {say(head, before.get(head))} → {say(head, after.get(head))}"
                   + (" with its settings" if len(members) > 1 else ""),
                   {path: (before.get(path, NOT_THERE), after.get(path, NOT_THERE)) for path in members})
            for head, members in groups.items()]


def effects(walk: Walk, found: Sequence[Sequence[Run | None]], outcome: Outcome) -> list[Effect]:
    """What each change did, and last all of them together.

    Args:
        found: for each place of the walk the run of each seed, as in Walk.planned(); None where there is none.
    """
    values = [[None if run is None or run.status != "finished" else outcome.of(run) for run in place] for place in found]
    pairs = [(change.label, values[number], values[number + 1]) for number, change in enumerate(walk.changes)]
    if len(walk.changes) > 1:
        pairs.append(("all together", values[0], values[-1]))
    return [_effect(label, [b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None])
            for label, before, after in pairs]


def _effect(label: str, differences: list[float]) -> Effect:
    count = len(differences)
    if not count:
        return Effect(label, 0, None, None)
    mean = statistics.fmean(differences)
    spread = statistics.stdev(differences) if count > 1 else 0.0
    if not spread:
        return Effect(label, count, mean, None)
    half = STUDENT[count - 2] * spread / math.sqrt(count)
    return Effect(label, count, mean, Interval(mean - half, mean + half))


# --- its runs


def find_runs(store: RunStore, planned: Sequence[Sequence[RunConfig]]) -> list[list[Run | None]]:
    """For each config of a plan the run of it that is there, whoever started it: the newest that has finished, else one that is
    going, else one that has ended without a result; None where there is none."""
    found = store.of_configs([config for place in planned for config in place])
    usable = [min(runs, key=lambda run: (run.status != "finished", not run.is_active), default=None) for runs in found]
    runs = iter(usable)
    return [[next(runs) for _ in place] for place in planned]


def missing(planned: Sequence[Sequence[RunConfig]], found: Sequence[Sequence[Run | None]]) -> list[tuple[int, RunConfig]]:
    """What has still to be trained, each with its place on the walk: first all places with the first seed, then with the next, so
    that every change has a first answer soon."""
    return [(place, planned[place][seed]) for seed in range(len(planned[0])) for place in range(len(planned))
            if (run := found[place][seed]) is None or run.status != "finished" and not run.is_active]


def start_missing(engine: Engine, walk: Walk, wanted: Sequence[tuple[int, RunConfig]], owner: str) -> list[str]:
    """Queue the runs that are missing; their ids. Two people who ask for the same one get one each, a double click makes one.

    Raises StoreError, and WalkError where these are more than MOST_RUNS.
    """
    if len(wanted) > MOST_RUNS:
        raise WalkError(f"That would be {len(wanted)} runs; at most {MOST_RUNS} are started at once. Take fewer seeds.")
    return [engine.submit(config, owner, _title(walk, place, config), key=hashlib.sha256(
        f"which change {config.model_dump_json()}".encode()).hexdigest()) for place, config in wanted]


def _title(walk: Walk, place: int, config: RunConfig) -> str:
    what = walk.changes[place - 1].label if place else "before any change"
    return f"Which change? {place}: {what} · seed {config.training.seed}"


def seconds_for(wanted: Sequence[tuple[int, RunConfig]], places: int, first: Run, second: Run) -> float | None:
    """About how long training what is missing takes, one after another: a place's runs as long as the walk's ends took, in
    between by how far it is; None where one of these took no time that is known."""
    if first.seconds is None or second.seconds is None:
        return None
    return sum(first.seconds + (second.seconds - first.seconds) * place / max(1, places - 1) for place, _ in wanted)
