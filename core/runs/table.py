"""All runs as a table: what its columns are, which settings differ, which runs are shown, in which order, and which are best."""

import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from core.actors import Actor
from core.config import RunConfig
from core.data import DATASETS
from core.fields import Config, describe
from core.models import ARCHITECTURES
from core.runs.annotations import read_tags
from core.runs.rights import whose
from core.runs.whose import label_of_owner

Kind = Literal["text", "choice", "number", "share", "seconds", "flag", "date", "tags"]
Value = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True)
class Column:
    """One column. kind: what its values are: a share is from 0 to 1, a date in seconds since 1970. better: which values are
    better results, "" where it holds none."""

    label: str
    kind: Kind
    better: Literal["", "larger", "smaller"] = ""
    help: str = ""


@dataclass(frozen=True)
class Entry:
    """One run as a row. values: by the names of COLUMNS; what it has none of is left out or None."""

    number: int
    id: str
    title: str
    values: Mapping[str, Value]

    @property
    def name(self) -> str:
        """What it is called: its title, or the first signs of its id."""
        return self.title or self.id[:8]


# --- columns

# what a field is called beside results
CLEARER = {"training.loss": "Loss function", "training.device": "Device asked for", "training.precision": "Format asked for"}


def _settings(config: type[Config], path: str = "") -> dict[str, Column]:
    """A column for each field of a config, by its dotted path; those of all kinds of a network, optimizer or schedule."""
    found: dict[str, Column] = {}
    for name, info in config.model_fields.items():
        inner, own = _configs(info.annotation), f"{path}{name}"
        if inner:
            for member in inner:
                found |= {key: column for key, column in _settings(member, f"{own}.").items() if key not in found}
            continue
        about = describe(config, name)
        kind: Kind = "flag" if info.annotation is bool else "number" if info.annotation in (int, float) else "choice"
        of_schedule = path.endswith(".schedule.") and name != "name"
        label = f"Schedule: {about.label.lower()}" if of_schedule else CLEARER.get(own, about.label)
        found[own] = Column(label, kind, help=about.help)
    return found


def _configs(annotation: Any) -> list[type[Config]]:
    """The configs that a field is one of; none for a list of them, which is one value."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    if get_origin(annotation) is tuple:
        return []
    return [config for part in get_args(annotation) for config in _configs(part)]


VALIDATED = "On the images held back, which it did not learn from."
RESULTS: dict[str, Column] = {
    "name": Column("Run", "text"),
    "whose": Column("Whose", "choice", help="Visitors have the number in which they trained their first run here."),
    "starred": Column("Starred", "flag"),
    "status": Column("Status", "choice"),
    "network": Column("Network", "choice"),
    "data": Column("Data", "choice"),
    "task": Column("Task", "choice"),
    "test_accuracy": Column("Test accuracy", "share", "larger", "Looked at once, at the end."),
    "best_accuracy": Column("Best accuracy", "share", "larger", f"Of all epochs. {VALIDATED}"),
    "accuracy": Column("Last accuracy", "share", "larger", f"Of the last epoch. {VALIDATED}"),
    "test_loss": Column("Test loss", "number", "smaller", "Looked at once, at the end."),
    "best_loss": Column("Best loss", "number", "smaller", f"Of all epochs. {VALIDATED}"),
    "loss": Column("Last loss", "number", "smaller", f"Of the last epoch. {VALIDATED}"),
    "seconds": Column("Training time (s)", "seconds", "smaller", "Of training alone. The best is the shortest of those that "
                      "have finished."),
    "epoch": Column("Epochs done", "number"),
    "parameters": Column("Parameters", "number"),
    "by_hand": Column("Changed by hand", "number", help="How many times its learning rate or a weight was changed by hand while "
                      "it trained."),
    "device": Column("Device", "choice"),
    "precision": Column("Number format used", "choice"),
    "tags": Column("Tags", "tags"),
    "note": Column("Note", "text"),
    "date": Column("Started", "date"),
    "mine": Column("Yours", "flag"),
    "archived": Column("Archived", "flag"),
    "id": Column("Id", "text"),
}
SHOWN_AS = {"model.architecture": "network", "data.dataset": "data", "data.task": "task", "data.target": "task"}
SETTINGS: dict[str, Column] = {key: column for key, column in _settings(RunConfig).items() if key not in SHOWN_AS}
COLUMNS: dict[str, Column] = RESULTS | SETTINGS
FOR_TEACHERS = ("whose",)  # columns that others are not offered
COMPARED = [key for key, column in RESULTS.items() if column.better]
ALWAYS = ("name", "status", "network", "data")
IF_ANY = ("whose", "starred", "task", "test_accuracy", "best_accuracy", "accuracy", "test_loss", "best_loss", "loss", "seconds",
          "parameters", "by_hand", "device", "tags", "note", "date", "archived")  # shown where a run has it


# --- rows

class KnownSettings:
    """Settings of runs that have been read once: reading them again took two thirds of a table's time. 3 MB for 1,000 runs."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, dict[str, Value]]] = {}

    def of(self, number: int, config: str) -> dict[str, Value]:
        """settings_of() a run, by its number. A run that goes on for more epochs has another config then."""
        stamp = hash(config)
        known = self._known.get(number)
        if known is None or known[0] != stamp:
            known = self._known[number] = stamp, settings_of(config)
        return known[1]


def read_entries(db: sqlite3.Connection, owner: str, known: KnownSettings, actor: Actor) -> list[Entry]:
    """All trainings that are not deleted and that lists show to this actor, the newest first. owner: see RunStore.entries()."""
    own, key = whose(actor)
    rows = db.execute(
        "SELECT runs.number, id, owner, title, config, status, created, epoch, parameters, device, precision, "
        "validation_accuracy, best_accuracy, validation_loss, best_loss, test_accuracy, test_loss, seconds, note, tags, starred, "
        "archived, by_hand, visitor FROM runs "
        "LEFT JOIN (SELECT owner AS known, number AS visitor FROM visitors) ON known = owner "
        "LEFT JOIN (SELECT run, count(*) AS by_hand FROM interventions GROUP BY run) "
        f"ON run = runs.number WHERE deleted IS NULL AND kind = 'training' {own} ORDER BY runs.number DESC", key).fetchall()
    return [_entry(row, known.of(row["number"], row["config"]), owner, actor) for row in rows]


def _entry(row: sqlite3.Row, settings: dict[str, Value], owner: str, actor: Actor) -> Entry:
    values: dict[str, Value] = settings | {
        "name": row["title"] or row["id"][:8], "whose": label_of_owner(actor, row["owner"], row["visitor"]),
        "starred": bool(row["starred"]), "status": row["status"],
        "network": settings.get("model.architecture"), "data": settings.get("data.dataset"), "task": _task(settings),
        "test_accuracy": row["test_accuracy"], "best_accuracy": row["best_accuracy"], "accuracy": row["validation_accuracy"],
        "test_loss": row["test_loss"], "best_loss": row["best_loss"], "loss": row["validation_loss"],
        "seconds": row["seconds"], "epoch": row["epoch"], "parameters": row["parameters"], "by_hand": row["by_hand"],
        "device": row["device"] or None, "precision": row["precision"] or None, "tags": read_tags(row["tags"]),
        "note": row["note"], "date": row["created"], "mine": row["owner"] == owner, "archived": row["archived"] is not None,
        "id": row["id"][:8]}
    return Entry(row["number"], row["id"], row["title"], values)


def settings_of(config: str) -> dict[str, Value]:
    """A run's config, as JSON, as one value for each dotted path. What an earlier version did not write down has its usual value;
    what is no config at all is {}."""
    try:
        values = json.loads(config)
    except ValueError:
        return {}
    return USUAL | _flat(values) if isinstance(values, dict) else {}


def _flat(values: dict[str, Any], path: str = "") -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{path}{name}.")
        else:
            found[sys.intern(path + name)] = ", ".join(map(_in_words, value)) if isinstance(value, list) else value
    return found


def _in_words(value: Any) -> str:
    """One of a list of values: a number, or a layer or transform as its kind and settings."""
    if isinstance(value, dict):
        kind, *rest = value.items()
        return f"{kind[1]}({', '.join(f'{name}={_in_words(one)}' for name, one in rest)})"
    return f"({', '.join(map(_in_words, value))})" if isinstance(value, list) else str(value)


# of fields that every run has, whatever its network, optimizer and schedule
USUAL: dict[str, Value] = {key: value for key, value in _flat(RunConfig().model_dump(mode="json")).items()
                           if not key.startswith(("model.", "training.optimizer.", "training.schedule."))}


def _task(settings: Mapping[str, Value]) -> str | None:
    spec = DATASETS.get(str(settings.get("data.dataset")))
    if spec is not None and spec.target == "number":
        return "a number"
    return f"is it class {settings.get('data.target')}?" if settings.get("data.task") == "is_target" else "classes"


def is_there(value: Value) -> bool:
    """Whether a run has a value at all: a zero is one, and that it is not starred is none."""
    return value is not False and text_of(value) != ""


def text_of(value: Value) -> str:
    """A value as it stands in an address and is searched for; "" where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def label_of(column: str, value: Value) -> str:
    """A value of a choice as people read it."""
    if column == "network" and value in ARCHITECTURES:
        return ARCHITECTURES[str(value)].short_title
    if column == "data" and value in DATASETS:
        return DATASETS[str(value)].title
    return text_of(value)


# --- which columns, which runs, in which order

def differing(entries: Sequence[Entry]) -> list[str]:
    """The settings in which runs differ, in their order in a config: a setting that several of them have with different values.
    What only one kind of network or optimizer has does not make two kinds differ: their names do."""
    seen: dict[str, Value] = {}
    found: set[str] = set()
    for entry in entries:
        for key, value in entry.values.items():
            if key in SETTINGS and seen.setdefault(key, value) != value:
                found.add(key)
    return [key for key in SETTINGS if key in found]


def usual_columns(entries: Sequence[Entry]) -> list[str]:
    """What is shown where nobody has chosen: name, status, network and data, results that some run has, then differing settings,
    and last device, tags, note and date."""
    present = {key for key in IF_ANY if any(is_there(entry.values.get(key)) for entry in entries)}
    present -= {key for key in ("task", "whose") if len({entry.values.get(key) for entry in entries}) < 2}
    names = list(RESULTS)
    results, about = names[:names.index("device")], names[names.index("device"):]
    return [*(key for key in results if key in ALWAYS or key in present), *differing(entries),
            *(key for key in about if key in present)]


def ordered(entries: Iterable[Entry], column: str, descending: bool) -> list[Entry]:
    """By a column; those without a value come last either way, and of equal ones the newest first."""
    newest = sorted(entries, key=lambda entry: -entry.number)
    having = [entry for entry in newest if text_of(entry.values.get(column))]
    without = [entry for entry in newest if not text_of(entry.values.get(column))]
    if descending:  # reversed twice, so that equal ones stay as they are
        return sorted(having[::-1], key=lambda entry: _rank(entry.values[column]))[::-1] + without
    return sorted(having, key=lambda entry: _rank(entry.values[column])) + without


def _rank(value: Value) -> tuple[int, float, str]:
    """Numbers before words."""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, text_of(value).casefold())


def best(entries: Iterable[Entry]) -> dict[int, list[str]]:
    """By a run's number, of which columns it has the best value among runs that can be compared: those of one data set and task,
    and for losses one loss function. All of several that are equally good; none where all are, or there is nobody to compare
    with."""
    groups: dict[tuple[Value, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        for key in COMPARED:
            value = entry.values.get(key)
            if isinstance(value, int | float) and (key != "seconds" or entry.values["status"] == "finished"):
                same = entry.values.get("training.loss") if key.endswith("loss") else None
                groups[key, entry.values.get("data"), entry.values.get("task"), same].append(entry)
    found: dict[int, list[str]] = defaultdict(list)
    for (key, *_), members in groups.items():
        choose = max if RESULTS[str(key)].better == "larger" else min
        values = [entry.values[str(key)] for entry in members]
        top = choose(value for value in values if isinstance(value, int | float))
        if len(set(values)) > 1:
            for entry, value in zip(members, values, strict=True):
                if value == top:
                    found[entry.number].append(str(key))
    return {number: sorted(keys, key=list(RESULTS).index) for number, keys in found.items()}
