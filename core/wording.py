"""What examples are called: most words are written for images, and are wrong for points and texts."""

import re
from dataclasses import Field, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from core.data.dataset import Kind
from core.data.sources import DATASETS

EXAMPLES: dict[Kind, str] = {"images": "images", "points": "points", "text": "texts"}


class Dataclass(Protocol):
    """Any instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Found = TypeVar("Found", bound=Dataclass)


def kind_of(dataset: str) -> Kind:
    """What the examples of a data set are; "images" where it is a person's own, as those always are."""
    return DATASETS[dataset].kind if dataset in DATASETS else "images"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """"1 epoch", "0 epochs", "1,200 epochs"; `nouns` where an s at the end won't do."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


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
