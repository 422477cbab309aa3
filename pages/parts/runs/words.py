"""What a run's status is called, and what a waiting one waits for."""

import time

from core.runs import KINDS, Run, RunStore
from core.wording import duration, plural
from pages.parts.shell.markdown import as_text

STATUS = {
    "queued": ("Waiting", ":material/hourglass_empty:"), "running": ("Training", ":material/play_circle:"),
    "finished": ("Finished", ":material/check_circle:"), "stopped": ("Stopped", ":material/stop_circle:"),
    "failed": ("Failed", ":material/error:"), "interrupted": ("Interrupted", ":material/power_off:"),
}


def waiting(store: RunStore, run: Run, trouble: str = "") -> str:
    """What a run in the queue waits for. trouble: of the engine."""
    if trouble:
        return as_text(trouble)
    before = store.queue_position(run.id)
    if not before:
        return "Starts in a moment…"
    line = f"In the queue: {before_it(store, run, before)}."
    if store.is_held():
        return f"{line} The one that is going is paused: after a minute of that it stops, to make room."
    if going := going_now(store):
        left = going[0].seconds_left(time.time())
        line += f" Training now: {name_of(going[0])}" + (f", about {duration(left)} left." if left is not None else ".")
    return line


def by(store: RunStore, run: Run) -> str:
    """Whose a run is, after what else is said of it; "" for anybody but a teacher."""
    whose = store.whose(run)
    return f" · by {whose}" if whose else ""


def before_it(store: RunStore, run: Run, before: int) -> str:
    """How many runs start before this one, and where that can be judged, about how long they take."""
    seconds = store.seconds_to_wait(run.id)
    about = f", about {duration(seconds)}" if seconds is not None else ""
    return f"{plural(before, 'run')} before this one{about}"


def going_now(store: RunStore) -> list[Run]:
    """What the workers do, the oldest first."""
    return store.runs(statuses=["running"], kinds=KINDS)[::-1]


def name_of(run: Run) -> str:
    """A run in a sentence, as Markdown."""
    return "a learning-rate test" if run.kind == "range_test" else f"“{as_text(run.title)}”" if run.title else f"run {run.id[:8]}"
