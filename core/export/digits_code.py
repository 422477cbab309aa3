"""The code that brings scikit-learn's digits to 28×28 and makes varied copies, as text for a script without this project.

It is our own code, read from its modules, so that a script's digits are the same pixels as a run's.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any


def placing_code() -> str:
    """Functions and constants that put ink into a 28×28 frame, for enlarging_code and varying_code."""
    from core.data import drawing  # here: they bring scikit-learn, and pages that show other code need none

    placing = (drawing.Box, drawing.Shift, drawing.find_box, drawing.fit, drawing.place, drawing._box_side)
    about = "# MNIST's form of a digit: 20×20 pixels of ink in a 28×28 frame, placed by their centre of mass"
    return "\n\n".join([f"{about}\nBOX_SHARE = {drawing.BOX_SHARE}\n", *map(_source, placing)]).strip()


def enlarging_code() -> str:
    """The function `enlarge(ink)` for scikit-learn's 8×8 pixels, beside placing_code."""
    from core.data.sources import digits

    return f"CONTRAST = {digits.CONTRAST}\n\n\n{_source(digits._enlarge)}".strip()


def varying_code() -> str:
    """Functions and constants that `vary(images, copies)` needs, beside placing_code."""
    from core.data import drawing
    from core.data.sources import digits

    varying = (drawing.place_like_mnist, digits._bend, digits._thin, digits._uniform, digits.vary)
    constants = {name: getattr(digits, name) for name in ("SLANT", "TURN", "WIDTH", "WOBBLE", "EDGE")}
    return "\n\n".join(["\n".join(f"{name} = {value!r}" for name, value in constants.items()) + "\n",
                        *map(_source, varying)]).strip()


def _source(thing: Callable[..., Any]) -> str:
    text = inspect.getsource(thing).rstrip()
    return re.sub(r"\b_(enlarge|bend|thin|uniform|box_side)\b", r"\1", text) + "\n"


__all__ = ["enlarging_code", "placing_code", "varying_code"]
