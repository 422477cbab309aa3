"""Runs pyright over core, pages and app.py: no error in core, and elsewhere no more than a baseline that may only shrink.

    python .ci/check_types.py            compare with .ci/pyright_baseline.json
    python .ci/check_types.py --update   write what there is into it, where that is less

The baseline counts errors by file and rule, not by line, so that other edits of a file leave it valid. Fewer errors than it
says fail as well: then it has to be written anew, or the next new error would go unseen.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / ".ci/pyright_baseline.json"
CLEAN = "core/"  # where there is no baseline

Counts = dict[str, dict[str, int]]  # file → rule → how many errors


def report() -> list[dict[str, Any]]:
    """pyright's errors. Raises SystemExit with its own words where it does not run."""
    done = subprocess.run([sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    try:
        return [found for found in json.loads(done.stdout)["generalDiagnostics"] if found["severity"] == "error"]
    except (json.JSONDecodeError, KeyError):
        sys.exit(f"pyright does not run:\n{done.stdout}{done.stderr}")


def place_of(error: dict[str, Any]) -> str:
    """Its file, from the root of the project."""
    return Path(error["file"]).relative_to(ROOT).as_posix()


def counted(errors: list[dict[str, Any]]) -> Counts:
    """How many there are of each rule in each file."""
    counts: dict[str, Counter[str]] = {}
    for error in errors:
        counts.setdefault(place_of(error), Counter())[error.get("rule", "syntax")] += 1
    return {file: dict(sorted(rules.items())) for file, rules in sorted(counts.items())}


def changes(now: Counts, before: Counts) -> tuple[set[tuple[str, str]], list[str]]:
    """Which (file, rule) have more errors than the baseline, and a line for each that has fewer."""
    places = sorted({(file, rule) for counts in (now, before) for file, rules in counts.items() for rule in rules})
    pairs = [(file, rule, now.get(file, {}).get(rule, 0), before.get(file, {}).get(rule, 0)) for file, rule in places]
    return ({(file, rule) for file, rule, count, allowed in pairs if count > allowed},
            [f"{file}: {rule}: {count}, not {allowed}" for file, rule, count, allowed in pairs if count < allowed])


def judge(errors: list[dict[str, Any]], before: Counts, update: bool = False) -> tuple[list[str], Counts]:
    """What is wrong, a line each, and the counts that the baseline should have."""
    now = counted(errors)
    more, fewer = changes(now, before)
    lines = [f"{place_of(error)}:{error['range']['start']['line'] + 1}: {error.get('rule', 'syntax')}: {error['message']}"
             for error in errors if (place_of(error), error.get("rule", "syntax")) in more]
    if fewer and not update:
        lines += [*fewer, "There are fewer errors than .ci/pyright_baseline.json says: run python .ci/check_types.py --update."]
    return lines, now


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--update", action="store_true", help="write the baseline anew, which refuses to grow")
    update = options.parse_args().update
    before: Counts = json.loads(BASELINE.read_text(encoding="utf-8"))
    if any(file.startswith(CLEAN) for file in before):
        sys.exit(f"{BASELINE.name} names files of {CLEAN}, which has none to forgive.")
    lines, now = judge(report(), before, update)
    if lines:
        print(*lines, sep="\n")
        return 1
    if update:
        BASELINE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    print(f"pyright: no error in {CLEAN}, {sum(sum(rules.values()) for rules in now.values())} elsewhere, as the baseline says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
