"""The wall of a lesson: who trains just now, how well, what the training doctor finds, what was predicted.

Names are those that pupils have chosen, as far as they are allowed and shown, with a number behind one that two have chosen;
else each has a number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.inspection.training_doctor import examine
from core.lessons import Lesson, told_apart
from core.runs.differing import SEED, flat, in_words, labels_of, varying
from core.runs.records import Run
from core.runs.store import RunStore
from core.runs.store_lessons import WallName
from core.runs.whose import YOU
from core.training.events import DIVERGED

MOST_RUNS = 200  # the newest ones: with more, dots and curves hide each other
MOST_KINDS = 8  # values of a setting that is no number; more have no room on an axis
AT_ONCE = 5  # runs that the doctor looks at for one drawing of the wall: about 50 ms, whatever goes on
IN_ORDER = ""  # in place of a setting: runs in the order in which they were started
State = Literal["training", "waiting", "done", "here"]
STATES: tuple[State, ...] = ("training", "waiting", "done", "here")


@dataclass(frozen=True)
class Person:
    """Somebody in a lesson. owner: their key, which nobody is shown. called: on the wall. name: that they have chosen, if any.
    state: "here" is without a run so far; of several runs one that trains counts first, then one that waits. shares_with: whose
    run that is, where they were led to it; "" for their own."""

    owner: str = field(repr=False)
    called: str
    name: WallName | None
    state: State
    shares_with: str = field(default="", repr=False)


@dataclass(frozen=True)
class Wall:
    """What is on it. runs: the oldest first, without those that had no room. every: how many there are. people: by their
    numbers. found: by the run's id, names of the doctor's rules. predictions: see RunStore.predictions(). sharers: by the run's
    id, how many share it with whoever has started it."""

    runs: tuple[Run, ...]
    every: int
    people: tuple[Person, ...]
    found: Mapping[str, tuple[str, ...]]
    predictions: Mapping[str, Mapping[int, int]]
    sharers: Mapping[str, int] = field(default_factory=dict)

    def called(self, run: Run) -> str:
        """What the wall calls whoever has started a run, and how many share it: "Ann + 2"."""
        return "".join(self.named(run))

    def named(self, run: Run) -> tuple[str, str]:
        """The two parts of called(): the name, and " + 2" or ""."""
        name = next((person.called for person in self.people if person.owner == run.owner), "")
        others = self.sharers.get(run.id, 0)
        return name, f" + {others}" if name and others else ""

    def of_state(self, state: State) -> list[Person]:
        """By their numbers; who shares a run follows whoever has started it."""
        there = [person for person in self.people if person.state == state]
        place = {person.owner: number for number, person in enumerate(there) if not person.shares_with}
        return sorted(there, key=lambda person: place.get(person.shares_with or person.owner, len(there)))


class Doctor:
    """What the training doctor has found in runs. They are looked at again as they go on, a few at a time, and first those that
    were looked at the longest ago: so a class that trains at once costs as much as AT_ONCE runs."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[str, int], tuple[str, ...]]] = {}  # by id; the last one was looked at last

    def look(self, store: RunStore, runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
        """The rules that apply to each of these runs, as far as it was looked at; runs that are not named are forgotten."""
        ids = {run.id for run in runs}
        self._seen = {run_id: seen for run_id, seen in self._seen.items() if run_id in ids}
        order = {run_id: place for place, run_id in enumerate(self._seen)}
        due = [run for run in runs if run.step and self._seen.get(run.id, (None, ()))[0] != (run.status, run.step)]
        for run in sorted(due, key=lambda run: order.get(run.id, -1))[:AT_ONCE]:
            series = store.metrics(run.id).series
            found = examine(run.config, series, run.steps_per_epoch, run.message.startswith(DIVERGED))
            self._seen.pop(run.id, None)
            self._seen[run.id] = (run.status, run.step), tuple(trouble.rule for trouble in found)
        return {run_id: rules for run_id, (_, rules) in self._seen.items()}


def read_wall(store: RunStore, code: str, doctor: Doctor, names: bool = True) -> Wall:
    """The wall as it is now. names: whether those that pupils have chosen are shown. Raises StoreError, to a visitor NotYours."""
    every = store.lesson_runs(code)[::-1]
    runs, sharers = every[-MOST_RUNS:], store.sharers(code)
    people = _people(store, code, every, sharers, names)
    return Wall(tuple(runs), len(every), tuple(people), doctor.look(store, runs), store.predictions(code),
                {run_id: len(owners) for run_id, owners in sharers.items()})


def _people(store: RunStore, code: str, runs: Sequence[Run], sharers: Mapping[str, Sequence[str]], names: bool) -> list[Person]:
    chosen, numbers = store.wall_names(code), store.visitor_numbers(code)
    states = _states(runs, sharers)
    # whoever has none, where one person uses the server, is counted on
    for owner in [owner for owner in (*states, *chosen) if owner not in numbers]:
        numbers[owner] = 1 + max(numbers.values(), default=0)

    order = sorted({*states, *chosen}, key=numbers.__getitem__)
    called = {owner: YOU if store.actor.kind == "teacher" and owner == store.actor.key else f"visitor {numbers[owner]}"
              for owner in order}
    if names:
        shown = [owner for owner in order if owner in chosen and chosen[owner].allowed]
        called |= zip(shown, told_apart([chosen[owner].name for owner in shown], called.values()), strict=True)
    return [Person(owner, called[owner], chosen.get(owner), *states.get(owner, ("here", ""))) for owner in order]


def _states(runs: Sequence[Run], sharers: Mapping[str, Sequence[str]]) -> dict[str, tuple[State, str]]:
    """What each does, and with whom they share the run that says so; of their own where there is one that says the same."""
    found: dict[str, tuple[State, str]] = {}
    for run in runs:
        state: State = "training" if run.status == "running" else "waiting" if run.status == "queued" else "done"
        for owner in (run.owner, *sharers.get(run.id, ())):
            now = state, "" if owner == run.owner else run.owner
            if owner not in found or _before(now, found[owner]):
                found[owner] = now
    return found


def _before(one: tuple[State, str], other: tuple[State, str]) -> bool:
    return (STATES.index(one[0]), bool(one[1])) < (STATES.index(other[0]), bool(other[1]))


def counted(found: Mapping[str, Sequence[str]], words: Mapping[str, str], otherwise: str) -> list[tuple[str, int]]:
    """How many runs each finding applies to, the most frequent first. words: what rules are called; several may be called the
    same, and count once for a run. otherwise: what the others are."""
    counts = Counter(word for rules in found.values() for word in {words.get(rule, otherwise) for rule in rules})
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def settings_to_show(runs: Sequence[Run], lesson: Lesson) -> dict[str, str]:
    """The settings in which runs differ and that an axis has room for, with what they are called: first those that the lesson
    leaves within a range, then the order in which runs were started; last the seed, which is no more than a name for chance."""
    configs = [run.config for run in runs]
    every = [flat(config) for config in configs]
    paths = [path for path in varying(configs) if _has_room([settings.get(path) for settings in every], path)]
    paths.sort(key=lambda path: path not in lesson.ranges)
    labels = labels_of(configs, paths)
    seed = {SEED: labels.pop(SEED)} if SEED in labels else {}
    return labels | {IN_ORDER: "order of their start"} | seed


def _has_room(values: Sequence[object], path: str) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers or len({in_words(path, value) for value in values}) <= MOST_KINDS
