"""What a run's status is called, and what a waiting one waits for."""

from core.runs import Run, RunStore
from core.wording import duration, plural

STATUS = {
    "queued": ("Waiting", ":material/hourglass_empty:"), "running": ("Training", ":material/play_circle:"),
    "finished": ("Finished", ":material/check_circle:"), "stopped": ("Stopped", ":material/stop_circle:"),
    "failed": ("Failed", ":material/error:"), "interrupted": ("Interrupted", ":material/power_off:"),
}


def waiting(store: RunStore, run: Run) -> str:
    """What a run in the queue waits for."""
    before = store.queue_position(run.id)
    if not before:
        return "Starts in a moment…"
    line = f"In the queue: {before_it(store, run, before)}."
    if store.is_held():
        line += " The one that is going is paused: after a minute of that it stops, to make room."
    return line


def before_it(store: RunStore, run: Run, before: int) -> str:
    """How many runs start before this one, and where that can be judged, about how long they take."""
    seconds = store.seconds_to_wait(run.id)
    about = f", about {duration(seconds)}" if seconds is not None else ""
    return f"{plural(before, 'run')} before this one{about}"
