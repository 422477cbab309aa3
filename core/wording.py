"""Numbers and words as people read them: shares, times, bytes, losses, and what examples are called."""

import re
from collections.abc import Sequence
from dataclasses import Field, fields, replace
from typing import Any, ClassVar, Literal, Protocol, TypeVar

Kind = Literal["images", "points", "text"]  # what a data set's examples are

FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for a formula, at a cell's beginning
EXAMPLES: dict[Kind, str] = {"images": "images", "points": "points", "text": "texts"}
NOTHING = "–"  # where there is no number


class Dataclass(Protocol):
    """Any instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Found = TypeVar("Found", bound=Dataclass)


def percent(share: float | None, digits: int = 2) -> str:
    """A share as 97.13 %, with `digits` after the point. What is not all is never 100 %, and what is something never 0 %:
    99.99 % from there on up, < 0.01 % from there on down."""
    if share is None:
        return NOTHING
    smallest = 10.0 ** -(digits + 2)
    shown = f"{min(share, 1 - smallest) if share < 1 else share:.{digits}%}".removesuffix("%")
    if share and float(shown) == 0:
        return f"{'< ' if share > 0 else '> -'}{100 * smallest:.{digits}f} %"
    return f"{shown} %"


def chance(share: float | None) -> str:
    """A probability that a network gave, as 94.3 %: never all or nothing, also where its rounded numbers are 0 or 1."""
    if share is None:
        return NOTHING
    return "> 99.9 %" if share > 0.999 else "< 0.1 %" if share < 0.001 else percent(share, 1)


def surely(share: float) -> str:
    """How sure a network is: "94.3 % sure", "practically certain, > 99.9 %"."""
    return f"practically certain, {chance(share)}" if share > 0.999 else f"{chance(share)} sure"


def surely_before(share: float, second: str, its_share: float) -> str:
    """How sure it is and what comes next, which nobody needs where nothing is left for it."""
    return surely(share) if share > 0.999 else f"{surely(share)}; next is {second} with {chance(its_share)}"


def cell(text: str) -> str:
    """A text for a spreadsheet, in one line: one that would be a formula there begins with an apostrophe. Numbers stay."""
    line = "".join(c if c.isprintable() else " " for c in text)
    if not line.lstrip().startswith(FORMULA):
        return line
    try:
        float(line)
    except ValueError:
        return f"'{line}"
    return line


def duration(seconds: float) -> str:
    """A time that was measured: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rough_duration(seconds: float, digits: int = 3) -> str:
    """A time that is estimated, in three digits at most: 8.2 s, 12 min, 3.1 h, 4 days. digits: of what is estimated roughly."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.{digits}g}'):,g} {unit}"
    return f"{float(f'{seconds:.{digits}g}'):g} s"


def size_of_bytes(count: float, digits: int = 1) -> str:
    """Bytes in decimal units, 1 MB = 10⁶ bytes: 640 B, 3.4 kB, 1.7 MB, 4.0 GB. digits: after the point."""
    if count < 1000:
        return f"{count:.0f} B"
    unit, factor = next((unit, factor) for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
                        if round(count / factor, digits) >= 1)
    return f"{count / factor:,.{digits}f} {unit}"


def number(value: float | None) -> str:
    """A loss."""
    return NOTHING if value is None else f"{value:.4f}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """"1 epoch", "0 epochs", "1,200 epochs"; `nouns` where an s at the end won't do."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def in_letters(count: int) -> str:
    """A small number as a word: "two"; from six on in digits."""
    return {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}.get(count, f"{count:,}")


def drawn_thing(classes: Sequence[str]) -> str:
    """What somebody draws for a network of these classes: "digit" or "letter" where all of them are, else "drawing"."""
    if classes and all(len(name) == 1 and name in "0123456789" for name in classes):
        return "digit"
    return "letter" if classes and all(len(name) == 1 and name.isalpha() for name in classes) else "drawing"


def worded(text: str, kind: Kind) -> str:
    """A text about images as one about points or texts: "Training images" → "Training points", "an image" → "a text"."""
    if kind == "images":
        return text

    def other(match: re.Match[str]) -> str:
        word = EXAMPLES[kind] if match["many"] else EXAMPLES[kind].removesuffix("s")
        return ("a " if match["an"] else "") + (word.capitalize() if match["first"] == "I" else word)

    return re.sub(r"\b(?P<an>an )?(?P<first>[Ii])mage(?P<many>s?)\b", other, text)


def worded_for(found: Found, kind: Kind, **kept: Any) -> Found:
    """The same dataclass with its texts worded so; those named in `kept` get that value."""
    texts = {entry.name: worded(value, kind) for entry in fields(found)
             if isinstance(value := getattr(found, entry.name), str)}
    return replace(found, **(texts | kept))
