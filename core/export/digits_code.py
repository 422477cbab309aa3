"""The code that brings scikit-learn's digits to 28×28 and makes varied copies, as text for a script without this project.

It is our own code, read from its modules, so that a script's digits are the same pixels as a run's.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

from core.data.sources import DIGITS_TEST


def preparing_code() -> str:
    """Functions and constants that `_enlarge(ink)` needs."""
    from core.data import drawing  # here: they bring scikit-learn, and pages that show other code need none
    from core.data.sources import digits

    preparing = (drawing.Box, drawing.Shift, drawing.find_box, drawing.fit, drawing.place, drawing._box_side, digits._enlarge)
    return "\n\n".join([f"BOX_SHARE = {drawing.BOX_SHARE}\nCONTRAST = {digits.CONTRAST}\nTEST_IMAGES = {DIGITS_TEST}\n",
                        *map(_source, preparing)])


def varying_code() -> str:
    """Functions and constants that `vary(images, copies)` needs, beside those of preparing_code."""
    from core.data import drawing
    from core.data.sources import digits

    varying = (drawing.place_like_mnist, digits._bend, digits._thin, digits._uniform, digits.vary)
    constants = {name: getattr(digits, name) for name in ("SLANT", "TURN", "WIDTH", "WOBBLE", "EDGE")}
    return "\n\n".join(["\n".join(f"{name} = {value!r}" for name, value in constants.items()) + "\n", *map(_source, varying)])


def _source(thing: Callable[..., Any]) -> str:
    text = inspect.getsource(thing).rstrip()
    return re.sub(r"\b_(enlarge|bend|thin|uniform|box_side)\b", r"\1", text) + "\n"


__all__ = ["preparing_code", "varying_code"]
