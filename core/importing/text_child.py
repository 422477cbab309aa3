"""The process that reads a file of texts: python -m core.importing.text_child OPTIONS.

OPTIONS is a JSON object with "file", "folder" and "taken", the columns of text and label where somebody has said which they are,
else null. Started by core.data.sources.text_files. It has no torch and writes texts.csv and result.json into that folder alone.
"""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from core.importing.limits import limit
from core.importing.text_lines import TextsRefused
from core.importing.texts import TextsFile

TEXTS, RESULT = "texts.csv", "result.json"
CPU_SECONDS = 120


def read(path: Path, folder: Path, taken: tuple[int, int] | None) -> dict[str, Any]:
    """Write the texts of a file and the names of their classes as text,label in UTF-8; how the file was understood. Raises
    TextsRefused."""
    with path.open("rb") as file, (folder / TEXTS).open("x", encoding="utf-8", newline="") as kept:
        texts = TextsFile(file, taken)
        writer = csv.writer(kept, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows((text, texts.found.classes[place]) for text, place in texts.rows())
    return dataclasses.asdict(texts.found)


def main(text: str) -> int:
    options = json.loads(text)
    limit(seconds=CPU_SECONDS)
    folder = Path(options["folder"])
    try:
        result = read(Path(options["file"]), folder, tuple(options["taken"]) if options["taken"] else None)
    except TextsRefused as error:
        result = {"refused": str(error), "columns": error.columns}
    except MemoryError:
        result = {"refused": "Reading this file needs more memory than an upload may take. Take a part of it.", "columns": ()}
    except OSError as error:
        result = {"failed": error.errno}
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
