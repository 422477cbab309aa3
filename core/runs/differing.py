"""What runs have in common and in what they differ: settings one by one, names that say it, and seeds of the same settings."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.config import RunConfig
from core.fields import describe
from core.runs.records import Run

SEED = "training.seed"
NOT_THERE = None  # the value of a setting that only other kinds have, such as Adam's beta1 for SGD
LONGEST = 28  # letters of a value in a name
LONGEST_NAME = 90
MOST_IN_NAME = 5  # settings

Words = Callable[[str, Any], str]  # a setting's path and its value → the value as people read it


def flat(config: RunConfig) -> dict[str, Any]:
    """Every setting by its dotted path, in the order in which a config has them: {"data.dataset": "mnist", …}. What has parts,
    such as the sizes of layers, is one value: a list."""
    found: dict[str, Any] = {}

    def walk(values: Mapping[str, Any], before: str) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                walk(value, f"{before}{name}.")
            else:
                found[before + name] = value

    walk(config.model_dump(mode="json"), "")
    return found


def varying(configs: Sequence[RunConfig]) -> list[str]:
    """The paths of the settings that are not the same in all of them, in a config's order. One that only some have differs."""
    every = [flat(config) for config in configs]
    paths = dict.fromkeys(path for settings in every for path in settings)
    return [path for path in paths if len({_key(settings.get(path, NOT_THERE)) for settings in every}) > 1]


def by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs in groups whose settings are the same but for the seed, in the order of each group's first run."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.config.model_dump_json(exclude={"training": {"seed"}}), []).append(run)
    return list(groups.values())


def names_of(runs: Sequence[Run], words: Words | None = None, seeds: bool = True) -> dict[str, str]:
    """A short name for each run, by its id, that says in what it differs from the others: "learning rate 0.01, batch size 64".

    Settings that all of them have come first; those that only one kind of optimizer or network has come in where names would be
    the same without them, and then the first letters of the id. A single run is called by its title, and so are runs that differ
    in more than MOST_IN_NAME of what all have: nobody reads a list of ten settings. seeds: whether the seed may be part of it. A
    person's words may be in it, such as the name of a class.
    """
    say = words or in_words
    paths = [path for path in varying([run.config for run in runs]) if seeds or path != SEED]
    every = {run.id: flat(run.config) for run in runs}
    shared = [path for path in paths if all(path in settings for settings in every.values())]
    if len(shared) > MOST_IN_NAME:
        return _told_apart({run.id: _title(run, seeds) for run in runs})
    for chosen in (shared, paths):
        parts = {run.id: [part for path in chosen if path in every[run.id]
                          for part in [f"{label_of(run.config, path)} {say(path, every[run.id][path])}"]] for run in runs}
        names = {run.id: _short(", ".join(parts[run.id])) or run.title or "run" for run in runs}
        if len(set(names.values())) == len(runs):
            return names
    return _told_apart(names)


def _title(run: Run, seeds: bool) -> str:
    title = " ".join(run.title.split())
    return _short(title if seeds else title.removesuffix(f" · seed {run.config.training.seed}")) or "Run"


def _told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Names by id, with its first letters where several are the same."""
    times = Counter(names.values())
    return {run_id: f"{name} ({run_id[:4]})" if times[name] > 1 else name for run_id, name in names.items()}


def values_of(runs: Sequence[Run], words: Words | None = None, seeds: bool = True,
              ) -> tuple[list[str], dict[str, list[str]]] | None:
    """The same as a table, for many runs: what the settings are called that differ, and for each run its values; None where a run
    lacks one of them, where two runs would be told apart by nothing, or where they are more than MOST_IN_NAME. See names_of()."""
    configs, say = [run.config for run in runs], words or in_words
    paths = [path for path in varying(configs) if seeds or path != SEED]
    every = {run.id: flat(run.config) for run in runs}
    paths = [path for path in paths if all(path in settings for settings in every.values())]
    found = {run_id: [say(path, settings[path]) for path in paths] for run_id, settings in every.items()}
    if not 0 < len(paths) <= MOST_IN_NAME or len({tuple(values) for values in found.values()}) < len(runs):
        return None
    return list(labels_of(configs, paths).values()), found


def label_of(config: RunConfig, path: str) -> str:
    """What a setting is called, in the middle of a sentence: "learning rate". The path's end where this config has none."""
    owner: Any = config
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent, None)
    try:
        label = describe(type(owner), name).label
    except (KeyError, AttributeError):
        label = name.replace("_", " ")
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def labels_of(configs: Sequence[RunConfig], paths: Sequence[str]) -> dict[str, str]:
    """What settings are called, by path: each as the first config has it that has it at all; with its section where two would be
    called the same."""
    every = [flat(config) for config in configs]
    found = {path: next((label_of(config, path) for config, settings in zip(configs, every, strict=True) if path in settings),
                        path.rpartition(".")[2].replace("_", " ")) for path in paths}
    labels = list(found.values())
    return {path: label if labels.count(label) == 1 else f"{label} ({path.rpartition('.')[0].rpartition('.')[2]})"
            for path, label in found.items()}


def in_words(path: str, value: Any) -> str:
    """A value in a few letters: 0.001, on, 64-32, conv2d, relu, …"""
    if value is NOT_THERE:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}".replace("e-0", "e-").replace("-", "−")
    if isinstance(value, list):
        if all(isinstance(one, int | float) for one in value):
            return _short("-".join(f"{one:g}" for one in value), LONGEST) or "none"
        kinds = [str(next(iter(one.values()), "")) if isinstance(one, dict) else str(one) for one in value]
        return _short(", ".join(kinds), LONGEST)
    return _short(str(value), LONGEST) or "none"


def _short(text: str, most: int = LONGEST_NAME) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most - 1] + "…"


def _key(value: Any) -> str:
    """The same for equal values, whatever their type; 1 and 1.0 are equal, 1 and true are not."""
    return json.dumps(value, sort_keys=True) if not isinstance(value, float) or value != int(value) else json.dumps(int(value))
