"""How many processor threads a training takes, chosen by timing its own steps.

More threads make a step faster on a quiet machine. Beside other work they wait for each other at every operation: on two cores
beside two busy processes a CNN's step with two threads takes seven times as long as with one. Which is faster changes while a
run goes, so it is tried out in the run: a few steps with each number, once at the beginning and again when steps take another
time than before. What trying costs is bounded by a share of the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

LEAST_STEPS, LEAST_SECONDS = 3, 0.03  # of a trial, after one step that does not count: threads wake up in it
MOST_SECONDS = 0.1  # after which a trial of fewer steps is enough too
HOPELESS = 1.5  # times the best so far: a trial ends as soon as its steps are that slow
BETTER = 0.95  # of the time with the present number; a smaller gain is no reason to change
CHANGED = 1.25  # times as slow, or as fast, as when the number was chosen
WINDOW_STEPS, WINDOW_SECONDS = 8, 0.4  # of steps whose mean is compared with that: a single long one is no change
SHARE = 0.03  # of the training's seconds that trials may lose against the best number
AT_ONCE = 0.1  # seconds that they may lose in any case
SECONDS_BETWEEN = 2.0  # trials, where steps take as long as before: a load that went may have left no other trace


def candidates(most: int) -> tuple[int, ...]:
    """most, half of it, …, 1."""
    found = [max(1, most)]
    while found[-1] > 1:
        found.append(found[-1] // 2)
    return tuple(found)


@dataclass
class Trial:
    """Steps with one number of threads."""

    threads: int
    steps: int = 0  # that count
    seconds: float = 0.0
    warm_up: float | None = None  # seconds of the first step, which does not count

    @property
    def mean(self) -> float:
        return self.seconds / self.steps

    def lost_against(self, mean: float) -> float:
        """Seconds that its steps took beyond what steps of this mean would have."""
        warm_up = 0.0 if self.warm_up is None else self.warm_up - mean
        return max(0.0, warm_up + self.seconds - self.steps * mean)


class ThreadChoice:
    """Chooses among several numbers of threads. Tell it of each step; it sets PyTorch's number itself.

    numbers: of threads, the largest first. It begins with the smallest, which loses least beside other work. With one number
        there is nothing to choose and nothing needs to be timed.
    """

    def __init__(self, numbers: Sequence[int], set_threads: Callable[[int], object] = torch.set_num_threads) -> None:
        self.set_threads = set_threads
        self.numbers = tuple(numbers)
        self.threads = self.present = self.numbers[-1]
        self.seconds = 0.0  # of all steps
        self.lost = 0.0  # of them, by trials, beyond what the best number would have taken
        self.tried_at = 0.0  # seconds of steps at the last trials' end
        self.usual = 0.0  # seconds a step when the number was chosen
        self.window = Trial(self.threads)
        # while numbers are tried: what has been tried, the last one just now, and what is still to be
        self.trials = [Trial(self.threads)] if self.is_open else []
        self.waiting = self._others()
        set_threads(self.threads)

    @property
    def is_open(self) -> bool:
        """Whether there is anything to choose: only then are steps to be timed."""
        return len(self.numbers) > 1

    @property
    def is_trying(self) -> bool:
        return bool(self.trials)

    def step(self, seconds: float) -> bool:
        """A step has taken so long. Returns whether a number has been chosen that is not the one before."""
        self.seconds += seconds
        return self._try(seconds) if self.is_trying else self._watch(seconds)

    # --- trials

    def _others(self) -> list[int]:
        return [number for number in reversed(self.numbers) if number != self.threads]

    def _begin_trials(self, window: Trial) -> None:
        """Try the other numbers; the steps just done are the present one's trial."""
        self.present, self.waiting, self.trials = self.threads, self._others(), [window]
        self._next_trial()

    def _next_trial(self) -> None:
        self._switch(self.waiting.pop(0))
        self.trials.append(Trial(self.threads))

    def _try(self, seconds: float) -> bool:
        trial = self.trials[-1]
        if trial.warm_up is None and not self._is_hopeless(trial, seconds / 2):  # it may take twice as long
            trial.warm_up = seconds
            return False
        trial.steps, trial.seconds = trial.steps + 1, trial.seconds + seconds
        enough = (trial.steps >= LEAST_STEPS and trial.seconds >= LEAST_SECONDS) or trial.seconds >= MOST_SECONDS
        if not enough and not self._is_hopeless(trial, trial.mean):
            return False
        if self.waiting:
            self._next_trial()
            return False
        return self._choose()

    def _is_hopeless(self, trial: Trial, mean: float) -> bool:
        """Whether steps that slow need no second look."""
        others = [other.mean for other in self.trials if other is not trial]
        return bool(others) and mean > HOPELESS * min(others)

    def _choose(self) -> bool:
        present = next(trial for trial in self.trials if trial.threads == self.present)
        best = min(self.trials, key=lambda trial: trial.mean)
        chosen = best if best.mean < BETTER * present.mean else present
        self.lost += sum(trial.lost_against(chosen.mean) for trial in self.trials if trial is not present)
        self.trials, self.usual, self.tried_at = [], chosen.mean, self.seconds
        self.window = Trial(chosen.threads)
        self._switch(chosen.threads)
        return chosen is not present

    def _switch(self, threads: int) -> None:
        if threads != self.threads:
            self.threads = threads
            self.set_threads(threads)

    # --- between them

    def _watch(self, seconds: float) -> bool:
        window = self.window
        window.steps, window.seconds = window.steps + 1, window.seconds + seconds
        if window.steps < WINDOW_STEPS or window.seconds < WINDOW_SECONDS:
            return False
        self.window = Trial(self.threads)
        changed = not self.usual / CHANGED <= window.mean <= self.usual * CHANGED
        if (changed or self.seconds - self.tried_at >= SECONDS_BETWEEN) and self.lost <= AT_ONCE + SHARE * self.seconds:
            self._begin_trials(window)
        return False
