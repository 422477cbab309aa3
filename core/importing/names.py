"""Names that come from outside, made fit for a line of text."""

import unicodedata

MOST_SHOWN = 120  # characters of a file's name in a report
MOST_CLASS_NAME = 60
# What Markdown would take for links, pictures, formulas or code: a page shows these names, also to other visitors
SAFE = str.maketrans({"[": "(", "]": ")", "<": "‹", ">": "›", "`": "'", "$": "＄", "\\": "/", "|": "/"})


def shown(name: str) -> str:
    """A file's name for a report: one line, no control characters, at most 120 characters (the middle is left out)."""
    text = "".join(c if c.isprintable() else "�" for c in name)
    half = MOST_SHOWN // 2 - 1
    return text if len(text) <= MOST_SHOWN else f"{text[:half]}…{text[-half:]}"


def plain_name(text: str, longest: int = MOST_CLASS_NAME) -> str:
    """A class's or data set's name: one line in any script, nothing that Markdown acts on; "" where nothing is left."""
    printable = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text))
    return " ".join(printable.translate(SAFE).split())[:longest].strip()
