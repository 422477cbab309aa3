"""Which settings a search has tried, so that none is trained twice.

With the same seed they would come to the same once more, and stand among the best as if they were others.
"""

import random
from itertools import product
from typing import Any

from core.fields import ConfigError
from core.sweeps.plan import MOST_TRIALS, SweepPlan
from core.sweeps.study import Study

MOST_ASKED = 10  # times for settings that were tried before; then it is chosen for the sampler
FEW = 50  # settings, of which it is looked first whether any is left
MOST_LISTED = 10 * MOST_TRIALS  # settings
MOST_DRAWN = 100


class Tried:
    """The settings of a study's trials; two are the same where their runs would be. study: whose plan says what varies."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._first: dict[str, int] = {}  # trial of each settings
        self._same: dict[int, int] = {}  # what first() has said of each trial

    def first(self, number: int, params: dict[str, Any]) -> int:
        """The first trial with these settings: this one where they are new."""
        if number not in self._same:
            self._same[number] = self._first.setdefault(_key(self._study.plan, params), number)
        return self._same[number]

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next trial and its settings, which are new; None where there are no others, or none was found."""
        if self._study.plan.combinations <= max(FEW, len(self._first)) and self._untried() is None:
            return None
        for _ in range(MOST_ASKED):
            number, params = self._study.ask()
            if (first := self.first(number, params)) == number:
                return number, params
            self._study.tell_same(number, first)
        wanted = self._untried()
        if wanted is None:
            return None
        number, params = self._study.ask(wanted)
        self.first(number, params)
        return number, params

    def _untried(self) -> dict[str, Any] | None:
        """Settings that were not tried yet, by chance."""
        plan, chance = self._study.plan, random.Random(len(self._first))
        paths = [one.path for one in plan.vary]
        if plan.combinations <= MOST_LISTED:
            values = [one.points() if plan.sampler == "grid" else one.values() for one in plan.vary]
            known = [dict(zip(paths, chosen, strict=True)) for chosen in product(*values)]
            chance.shuffle(known)
        else:
            known = [{one.path: one.at(chance.random()) for one in plan.vary} for _ in range(MOST_DRAWN)]
        return next((params for params in known if _key(plan, params) not in self._first), None)


def _key(plan: SweepPlan, params: dict[str, Any]) -> str:
    """The same for settings whose runs are the same: a momentum that varies is none of Adam's."""
    try:
        return plan.config_of(params).model_dump_json()
    except ConfigError:  # values that are allowed each, but not together
        return repr(sorted(params.items()))
