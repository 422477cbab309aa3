"""What the labels of a table of texts say: its classes, what each is called, and which labels are too rare to be one."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.importing.names import plain_name
from core.importing.text_columns import INTEGER, MOST_CLASSES, short, value_of
from core.importing.text_lines import TextsRefused
from core.wording import plural

CLASSES = ("negative", "positive")
FEWEST = 10  # texts of a class
MOST_LEFT_OUT = 0.1  # of the lines: more of them are no accident
SIDES = {"negative": 0, "neg": 0, "positive": 1, "pos": 1}
# numbers that say which side, where the titles say that the labels are of this kind; Sentiment140 has 0 and 4
SIDE_NUMBERS = ({"0": 0, "1": 1}, {"0": 0, "4": 1}, {"-1": 0, "1": 1})
SIDE_TITLES = ("sentiment", "polarity")


@dataclass
class Labels:
    """The labels of all texts, counted. first: as the first of them is written."""

    first: str = ""
    texts: int = 0
    written: Counter[tuple[str, str]] = field(default_factory=Counter)  # value, spelling

    def add(self, label: str) -> None:
        self.first = self.first or label
        self.texts += 1
        self.written[value_of(label), plain_name(label)] += 1


@dataclass(frozen=True)
class Classes:
    """names: in the order of their places. places: of the label's values; of others the texts are left out. counts: texts of
    each."""

    names: tuple[str, ...]
    places: Mapping[str, int]
    counts: tuple[int, ...]


def classes_of(labels: Labels, titles: Sequence[str], notes: list[str]) -> Classes:
    """The classes that labels name. Those of fewer than FEWEST texts are left out where they are few, which is then noted.

    Raises TextsRefused where there are too few or too many.
    """
    counts: Counter[str] = Counter()
    for (value, _), count in labels.written.items():
        counts[value] += count
    if len(counts) > MOST_CLASSES:
        raise TextsRefused(f"The labels have {len(counts):,} different values; at most {MOST_CLASSES} classes can be told apart. "
                           "Choose a column of classes for the label.")
    rare = {value for value, count in counts.items() if count < FEWEST}
    few = sum(counts[value] for value in rare)
    if len(counts) < 2:
        raise TextsRefused(f"All texts have the label {short(labels.first)}; a network needs two classes or more to tell apart.")
    if len(counts) - len(rare) < 2 or few > max(1, MOST_LEFT_OUT * labels.texts):
        said = ", ".join(f"{counts[value]:,} with {short(value)}" for value in sorted(rare)[:5])
        raise TextsRefused(f"{plural(len(rare), 'label')} of {len(counts):,} have too few texts: {said}. A network needs two "
                           f"classes or more, with at least {FEWEST} texts each.")
    if rare:
        shown = ", ".join(short(value) for value in sorted(rare)[:3]) + ("…" if len(rare) > 3 else "")
        notes.append(f"{plural(few, 'line')} left out whose label has fewer than {FEWEST} texts: {shown}.")
    names = _names(labels, {*counts} - rare, titles, notes)
    classes = CLASSES if set(names.values()) == set(CLASSES) else tuple(sorted(names.values(), key=_in_order))
    places = {value: classes.index(name) for value, name in names.items()}
    of_place: Counter[int] = Counter()
    for value, place in places.items():
        of_place[place] += counts[value]
    return Classes(classes, places, tuple(of_place[place] for place in range(len(classes))))


def _in_order(name: str) -> tuple[int, int, str]:
    """Numbers by their size, then names by the alphabet."""
    return (0, int(name), "") if name.isascii() and re.fullmatch(r"[+-]?\d{1,9}", name) else (1, 0, name.casefold())


def _names(labels: Labels, values: set[str], titles: Sequence[str], notes: list[str]) -> dict[str, str]:
    """What each label's class is called: negative and positive where the labels or the titles say so, else as it is written most
    often."""
    if values <= set(SIDES) and len({SIDES[value] for value in values}) == 2:
        return {value: CLASSES[SIDES[value]] for value in values}
    for sides in SIDE_NUMBERS:
        # 0 and 4 are Sentiment140's, which has no titles
        if values == set(sides) and (bool(set(titles) & set(SIDE_TITLES)) or "4" in values):
            first, second = sides
            notes.append(f"{first} was taken for negative, {second} for positive.")
            return {value: CLASSES[side] for value, side in sides.items()}
    if all(value.isascii() and INTEGER.fullmatch(value) for value in values):
        return {value: value for value in values}
    spellings: dict[str, Counter[str]] = {value: Counter() for value in values}
    for (value, spelling), count in labels.written.items():
        if value in spellings:
            spellings[value][spelling] += count
    return {value: found.most_common(1)[0][0] for value, found in spellings.items()}
