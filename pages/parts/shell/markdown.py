"""Words of people, shown as they are: Streamlit takes most text for Markdown, and for more than Markdown.

Only where this server keeps things is nobody's business: such places are named and not shown.
"""

import re
from contextlib import suppress

from core.fields import ConfigError
from core.settings import Settings
from core.wording import FORMULA

JOINER = "\u2060"  # WORD JOINER: takes no room, and is no letter, space or sign to what reads the text
SIGNS = re.compile(r"([\\`*{}\[\]<>#~|$&:]|(?<![^\W_])_|_(?![^\W_]))")  # between letters _ means nothing
# A text that begins so would be a list, a rule, or make a heading of the line above.
OPENING = re.compile(r"^(?:[-+](?=[\s-]|$)|=(?==|$)|\d{1,9}(?=[.)](?:\s|$)))")
# Streamlit looks for these after Markdown has been read, when backslashes are gone: names of icons and emoji, addresses, and
# arrows and dashes between spaces. A joiner takes them apart.
LATER = re.compile(r"(:(?=[\w+-]+:|material/|//)|www(?=\.)|@(?=[\w-])|(?<!\S)[<>~-](?=(?:->|[>=-])(?!\S)))", re.IGNORECASE)


def as_text(words: str) -> str:
    r"""Words that may hold anything, such as the name of a class or of a file, for a place that takes Markdown.

    They are seen as they were written, in one line: "*8* [x](y)" becomes r"\*8\* \[x\](y)". Only places of this server are
    named instead: see without_places().
    """
    line = without_places(" ".join(words.split()))
    for found in (OPENING, LATER):
        line = found.sub(lambda sign: sign[0] + JOINER, line)
    return SIGNS.sub(r"\\\1", line)


def paragraphs(words: str) -> str:
    """Words of several lines, for a place that takes Markdown: lines and paragraphs stay what they are, all else as as_text()."""
    blocks = (block.strip().splitlines() for block in re.split(r"\n\s*\n", words))
    return "\n\n".join("  \n".join(map(as_text, lines)) for lines in blocks if lines)


def in_table(words: str, most: int = 120) -> str:
    """Words that may hold anything, for a cell of a table: one line of at most so many signs. What a spreadsheet would take for a
    formula begins with a sign that takes no room, as the table's own button downloads what is in its cells."""
    line = without_places(" ".join(words.split()))
    line = line if len(line) <= most else f"{line[:most - 1]}…"
    return JOINER + line if line.startswith(FORMULA) else line


def without_places(line: str) -> str:
    """A line in which the folders of this server are called what they are for: "runs folder" and not where it lies, of what is
    in them the name within them."""
    if "/" not in line and "\\" not in line:
        return line
    with suppress(ConfigError):
        settings = Settings.from_environment()
        for place, name in ((settings.runs_dir, "runs"), (settings.data_dir, "data"), (settings.cache_dir, "cache")):
            where = str(place)
            if len(where) > 1:  # not the root, of which every place has a name
                line = line.replace(f"The {name} folder {where}", f"The {name} folder").replace(where, f"{name} folder")
    return line
