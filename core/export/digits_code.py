"""The code that brings scikit-learn's digits to 28×28 and makes varied copies, as text for a script without this project.

It is our own code, read from its modules, so that a script's digits are the same pixels as a run's.
"""

import inspect
import re
import textwrap
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

    varying = (drawing.place_like_mnist, digits._bends, digits._bend, digits._thin, digits._uniform, digits.vary)
    constants = {name: getattr(digits, name) for name in ("SLANT", "TURN", "WIDTH", "WOBBLE", "EDGE", "AT_ONCE")}
    return "\n\n".join(["\n".join(f"{name} = {value!r}" for name, value in constants.items()) + "\n",
                        *map(_source, varying)]).strip()


def writing_code() -> str:
    """Functions and constants that `some_written(copies, digits)` needs, beside varying_code."""
    from core.data.drawing import pen
    from core.data.sources import written

    forms = "FORMS = {\n" + "".join(f"    {digit}: {_wrapped(forms)},\n" for digit, forms in written.FORMS.items()) + "}"
    constants = [f"{name} = {getattr(written, name)!r}" for name in ("WRITTEN", "HEIGHT", "PENS")]
    functions = (pen.smooth, pen.halved, pen.by_hand, pen.strokes_of, written.write, written.some_written)
    about = ("# Digits as strokes on a grid of 9×9 points: a point is its column and its row, | parts strokes, and a stroke\n"
             "# that begins with ~ is a curve")
    text = "\n\n".join(["\n".join([about, *constants, forms]) + "\n", *map(_source, functions)])
    for name, plain in (("Path", "np.ndarray"), ("Form", "list"), ("STEPS", str(pen.STEPS))):
        text = re.sub(rf"\b{name}\b", plain, text)
    return text.strip()


def _wrapped(forms: tuple[str, ...]) -> str:
    """A tuple of strings without underscores, as lines of at most 120 characters, none of them parted."""
    lines = textwrap.wrap(", ".join(f'"{form}"'.replace(" ", "_") for form in forms), 110, break_on_hyphens=False)
    return "(" + "\n        ".join(lines).replace("_", " ") + ")"


def _source(thing: Callable[..., Any]) -> str:
    text = inspect.getsource(thing).rstrip()
    return re.sub(r"\b_(enlarge|bend|thin|uniform|box_side)\b", r"\1", text) + "\n"


__all__ = ["enlarging_code", "placing_code", "varying_code", "writing_code"]
