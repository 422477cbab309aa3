"""Who waits for whom: an epoch with a DataLoader's worker processes, calculated from how long loading and training take."""

from dataclasses import dataclass

PREFETCH = 2  # batches that each worker is asked for ahead of time: prefetch_factor's default in torch.utils.data


@dataclass(frozen=True)
class Span:
    """What one process does with one batch. row: 0 for the training process, n for worker n; what: "load" or "train"; start,
    end: ms from the start of the epoch."""

    row: int
    what: str
    batch: int
    start: float
    end: float


@dataclass(frozen=True)
class Timeline:
    """An epoch. waiting: ms of it in which the training process does nothing but wait for a batch; total: its length in ms."""

    spans: tuple[Span, ...]
    waiting: float
    total: float


def timeline(load: float, train: float, workers: int, batches: int) -> Timeline:
    """An epoch as DataLoader runs it: batch i is made by worker i mod `workers`, taken in order, and each taken one lets its
    worker begin another, so that at most 2 · `workers` batches lie ready. What it costs to start workers and to hand batches over
    is left out, and each process has a core of its own.

    Args:
        load, train: ms to make a batch ready and to train on it.
        workers: 0 for none; the training process then makes each batch itself.
    """
    if not workers:
        starts = [batch * (load + train) for batch in range(batches)]
        spans = [span for batch, start in enumerate(starts) for span in (
            Span(0, "load", batch, start, start + load), Span(0, "train", batch, start + load, start + load + train))]
        return Timeline(tuple(spans), 0.0, batches * (load + train))
    free, ready, spans = [0.0] * workers, [], []
    now = waiting = 0.0

    def make(batch: int, asked: float) -> None:
        """Let its worker make a batch, as soon as it has been asked for and the worker is free."""
        start = max(free[batch % workers], asked)
        free[batch % workers] = start + load
        ready.append(start + load)
        spans.append(Span(1 + batch % workers, "load", batch, start, start + load))

    for batch in range(min(PREFETCH * workers, batches)):
        make(batch, 0.0)
    for batch in range(batches):
        start = max(now, ready[batch])
        waiting += start - now
        if len(ready) < batches:
            make(len(ready), start)
        now = start + train
        spans.append(Span(0, "train", batch, start, now))
    return Timeline(tuple(spans), waiting, now)
