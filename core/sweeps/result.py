"""How a search has ended."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from core.sweeps.plan import SweepPlan
from core.wording import number, percent, plural


@dataclass(frozen=True)
class Result:
    """chosen: number of the trial. run_id: its run, the one whose test images were looked at. alike: the chosen one and those
    that can't be told apart from it. means: of the leaders over fresh seeds, by trial. margin: by how much two of these means
    would have to differ. luck: standard deviation over seeds. why: what ended the search. near: how many more trials luck may
    have kept behind the best, which were not repeated. ended: how many trials came to a result."""

    chosen: int
    run_id: str
    alike: tuple[int, ...]
    means: dict[int, float]
    margin: float | None
    luck: float | None
    why: str
    near: int = 0
    ended: int = 2

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def read_result(text: str) -> Result | None:
    """What Result.to_json() wrote; None for "" and what is no result."""
    try:
        values = json.loads(text)
        return Result(**{field.name: values[field.name] for field in fields(Result) if field.name in values} | {
            "alike": tuple(values["alike"]), "means": {int(trial): mean for trial, mean in values["means"].items()}})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def valued(plan: SweepPlan, value: float | None) -> str:
    """A value of the plan's metric for people: 97.13 %, or 0.0812."""
    return percent(value) if plan.higher else number(value)


def apart(plan: SweepPlan, difference: float) -> str:
    """A difference between two values: 0.61 points, or 0.0123."""
    return f"{100 * difference:.2f} points" if plan.higher else f"{difference:.4f}"


def named(trials: Sequence[int]) -> str:
    """"Trials 3, 12 and 31"."""
    texts = [str(one) for one in trials]
    if len(texts) == 1:
        return f"Trial {texts[0]}"
    return f"Trials {', '.join(texts[:-1])} and {texts[-1]}"


def sentence(plan: SweepPlan, result: Result) -> str:
    """What the search has found, and how sure that is, in one line."""
    best = result.means.get(result.chosen)
    if best is None:
        return f"Trial {result.chosen} is the best by one run; there was no time to repeat it with fresh seeds."
    line = f"Trial {result.chosen}: {valued(plan, best)} on average over fresh seeds."
    others = [trial for trial in result.means if trial != result.chosen]
    more = f" {plural(result.near, 'more trial')} came as near by one run, without being repeated." if result.near else ""
    if not others and result.ended < 2:
        return f"{line} No other trial came to a result."
    if not others:
        return line + (more or " None of the others came so near that luck of the seed could explain it.")
    luck = ""
    if result.margin is not None:
        luck = f" Luck of the seed alone makes differences of up to {apart(plan, result.margin)} between such averages."
    if len(result.alike) > 1:
        return (f"{named(sorted(result.alike))} can't be told apart; {result.chosen} had the best average over fresh seeds, "
                f"{valued(plan, best)}.{luck}{more}")
    return f"{line} That is clearly better than {named(sorted(others)).lower()}.{luck}{more}"
