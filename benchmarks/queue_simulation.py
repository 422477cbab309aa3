"""How long pupils wait for their runs, by the queue's own rules: python -m benchmarks.queue_simulation [--pupils 1000].

No training and no clock: events only. Each pupil comes within the first five minutes of a lesson of 45, starts a run, looks at
its result for a while (a minute on average, exponential), and starts the next. Whose turn it is decides
core.runs.turns.next_of(), as in the store of a hosted server; as many runs train at once as there are workers. A run takes about
--seconds (from half to twice that, evenly on a logarithmic scale). Prints for each number of workers how many runs were begun,
the time from start to first step, and how busy the workers were. The same seed, the same figures.
"""

import argparse
import heapq
import random
from math import exp, log
from statistics import median

from core.runs.turns import Waiting, next_of

LESSON, ARRIVE, LOOK = 45 * 60.0, 5 * 60.0, 60.0  # seconds


def simulate(pupils: int, workers: int, seconds: float, seed: int = 0) -> tuple[list[float], int, float]:
    """How long each run that began has waited, in seconds; how many still wait at the end; the share of the time that a worker
    trained."""
    chance = random.Random(seed)
    # time, number of the event (so that equal times keep their order), what happens, whose it is
    events = [(chance.uniform(0, ARRIVE), number, "start", number) for number in range(pupils)]
    heapq.heapify(events)
    count, free, busy = pupils, workers, 0.0
    queue: dict[int, tuple[Waiting, float]] = {}
    turns: dict[str, int] = {}
    waited: list[float] = []
    while events and events[0][0] < LESSON:
        now, _, what, pupil = heapq.heappop(events)
        count += 1
        if what == "start":
            queue[count] = Waiting(count, str(pupil)), now
        else:
            free += 1
            heapq.heappush(events, (now + chance.expovariate(1 / LOOK), count, "start", pupil))
        while free and (run := next_of((waiting for waiting, _ in queue.values()), turns)) is not None:
            waited.append(now - queue.pop(run.number)[1])
            turns[run.owner] = 1 + max(turns.values(), default=0)
            takes = seconds * exp(chance.uniform(log(0.5), log(2)))
            free, busy, count = free - 1, busy + min(takes, LESSON - now), count + 1
            heapq.heappush(events, (now + takes, count, "end", int(run.owner)))
    return waited, len(queue), busy / (workers * LESSON)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pupils", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 20.0], help="that a run takes, about")
    asked = parser.parse_args()
    print(f"{asked.pupils} pupils, a lesson of {LESSON / 60:.0f} minutes, {LOOK:.0f} s between a result and the next start")
    for seconds in asked.seconds:
        for workers in asked.workers:
            waited, left, busy = simulate(asked.pupils, workers, seconds)
            ordered = sorted(waited)
            print(f"runs of {seconds:g} s, {workers:3} workers: {len(waited):6} begun ({len(waited) / asked.pupils:5.1f} a "
                  f"pupil), {left:4} waiting at the end; waited median {median(ordered):7.1f} s, p95 "
                  f"{ordered[int(0.95 * (len(ordered) - 1))]:7.1f} s, most {ordered[-1]:7.1f} s; workers busy {100 * busy:.0f} %")


if __name__ == "__main__":
    main()
