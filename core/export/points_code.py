"""The code that draws a computed set's points, as text for a script without this project: our own, read from its module."""

import inspect
import re

from core.data.sources import generated


def drawing_code(name: str) -> str:
    """The function that draws the points of a set of core.data.sources.generated.RULES, and what it needs."""
    draw = inspect.getsource(generated.RULES[name].draw)
    parts = [draw]
    if "_strayed(" in draw:
        parts.insert(0, inspect.getsource(generated._strayed))
    constants = [f"{constant} = {getattr(generated, constant)!r}" for constant in ("TRUE_WEIGHTS", "TRUE_BIAS", "NOTES_ANSWERS")
                 if re.search(rf"\b{constant}\b", draw)]
    text = "\n\n".join(["\n".join(constants) + "\n", *parts] if constants else parts)
    # without the types, which would need imports that say nothing to a learner
    text = re.sub(r"(\w+): (?:int|float|Generator|Tensor)\b", r"\1", text)
    text = re.sub(r"\) -> [^:\n]+:\n", "):\n", text)
    return re.sub(r"\b_strayed\b", "strayed", re.sub(r"\bpi\b", "torch.pi", text)).strip()
