"""Where a run's metrics can go besides this app's own store: trackers of experiments that are shaped like wandb.

None is used unless PLAYGROUND_SINK names one of SINKS. It then lives in a process of its own, core.sink_child, which
core.runs.outlet feeds: nothing that a tracker does, prints or waits for reaches a training.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

PROJECT = "torch-playground"  # what all runs are filed under
SINKS = {"trackio": "pip install -r requirements-sinks.txt", "wandb": "pip install wandb"}  # module → how to get it


@dataclass(frozen=True)
class SinkRun:
    """What a sink is told of a run.

    name: of letters, digits and -; another one for every run, and the same when a run goes on. title: what people call it.
    group: the same for runs that were started together; "" for a run on its own. config: plain JSON values.
    """

    id: str
    name: str
    title: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]


class Sink(Protocol):
    """What takes a run's metrics. Each method may raise what it likes, and take its time: see core.runs.outlet."""

    def start(self, run: SinkRun) -> None:
        """Before anything else; for a run that goes on once more, with the same name."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """What is known of a step, soon after the recorder has flushed it. Steps never descend; one may come again with further
        metrics, but none of them twice. Values may be NaN."""

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """At the end: finished, stopped, failed or interrupted. summary: what is known of the run as a whole, if anything."""


class WandbShaped:
    """A module with wandb's init(project=, name=, config=), log(dict, step=) and finish().

    What else such a module's init takes it is given: an id, a group, tags, and that a run of this name may be gone on with.
    """

    def __init__(self, module: Any) -> None:
        self.module, self.step = module, 0

    def start(self, run: SinkRun) -> None:
        config = {"run": run.id, "title": run.title, **run.config}
        further = {"id": run.id, "group": run.group or None, "tags": list(run.tags), "resume": "allow"}
        self.module.init(project=PROJECT, name=run.name, config=config, **_taken(self.module.init, further))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.module.log(dict(values), step=step)
        self.step = step

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        if summary:
            self.module.log(dict(summary), step=self.step)
        self.module.finish(**_taken(self.module.finish, {"exit_code": 0 if status in ("finished", "stopped") else 1}))


def _taken(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a function names."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in arguments.items() if name in names and value is not None}


def make_sink(name: str) -> Sink:
    """The sink of a name in SINKS. Raises KeyError for another one, ModuleNotFoundError where it is not installed, and whatever
    its import raises."""
    SINKS[name]
    return WandbShaped(importlib.import_module(name))
