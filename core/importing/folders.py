"""Which class every picture of an archive belongs to, by its folders or by the beginning of its name."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from core.importing.archive import Entry, Listing
from core.importing.names import plain_name
from core.importing.reading import PICTURES, Example, Plan, quoted

PARTS = {"train": "train", "training": "train", "learn": "train", "test": "test", "testing": "test", "val": "validation",
         "valid": "validation", "validation": "validation", "dev": "validation", "eval": "validation",
         "evaluation": "validation", "holdout": "validation"}
KIND = re.compile(r"(?:data)?sets?|data|images?|imgs?|pictures|split|samples?|part")  # of what: "training_set", "testSample"
IN_A_NAME = (("test", "test"), ("val", "validation"), ("dev", "validation"), ("train", "train"))  # "my test pictures"
FIRST_WORD = re.compile(r"([^\W\d_]+)[\W\d_]")  # "cat.0.jpg", "dog_12.png", "bird(3).png"
FEWEST_SHARED = 2  # classes that several outer folders have in common, where these are no classes themselves
MOST_NAMED = 100  # classes that are read from file names
NO_FOLDER, NO_PICTURE = "in no class folder", "not a picture, and in no class folder"


def part_of(name: str) -> str:
    """What a folder or a word calls a split: "train", "test" or "validation"; "" where it is none."""
    word = re.sub(r"[^a-z]", "", name.lower())
    return next((part for start, part in PARTS.items() if word.startswith(start) and
                 (word == start or KIND.fullmatch(word[len(start):]))), "")


def by_folder(listing: Listing, level: str = "") -> Plan:
    """ImageFolder's layout: the folder is the class; above or below it there may be train, test and val, and folders around all.

    level: "outer" takes the outermost folder for the class whatever lies below, "inner" the one that a picture is in; "" finds
    out.
    """
    found = Plan()
    paths, second = _collapsed(listing.entries)
    pictures = [paths[entry.parts] for entry in listing.entries if entry.ending in PICTURES and entry.parts not in second]
    outer = enclosing([*pictures, *((*folder, "") for folder in listing.folders)] if pictures else list(paths.values()))
    inside = [path[outer:] for path in pictures]
    kind = level or _kind(inside)
    for entry in listing.entries:
        path = paths[entry.parts][outer:]
        label, part = _class_and_part(path[:-1], kind)
        if entry.parts in second:
            found.rejected.append((entry.name, "there a second time, in a folder of the same name"))
        elif not label:
            found.rejected.append((entry.name, NO_FOLDER if entry.ending in PICTURES else NO_PICTURE))
        else:
            found.classes.add(label)
            found.examples.append(Example(entry, label, part))
    for folder in listing.folders:
        if label := _class_and_part(tuple(_undoubled(folder))[outer:], kind)[0]:
            found.classes.add(label)
    found.reading = _in_words(kind, inside)
    if second:
        found.notes.append(f"{len(second):,} files are there a second time, in a folder of the same name within their own; the "
                           "second copies are left out.")
    if kind in {"", "shared"} and any(len(path) > 2 for path in inside):
        found.readings = [("inner", "The folder that a picture is in is its class"),
                          ("outer", "The outermost folder is the class")]
    return found


def by_names(listing: Listing) -> Plan:
    """Pictures whose names begin with their class: cat.0.jpg, dog.0.jpg. Folders around them may be splits. A plan without
    classes where names don't say it."""
    found, labels = Plan(), {}
    pictures = [entry for entry in listing.entries if entry.ending in PICTURES]
    for entry in pictures:
        if word := FIRST_WORD.match(entry.parts[-1]):
            labels[entry.parts] = plain_name(word[1].lower())
    counts = Counter(labels.values())
    whole = 2 <= len(counts) <= min(MOST_NAMED, len(labels) // 2) and min(counts.values()) > 1
    if not whole or len(labels) < 0.5 * len(pictures):
        return found
    for entry in listing.entries:
        if label := labels.get(entry.parts, ""):
            part = next((part for folder in entry.parts[:-1] if (part := part_of(folder))), "")
            found.examples.append(Example(entry, label, part))
        else:
            reason = "its name does not begin with a class" if entry.ending in PICTURES else NO_PICTURE
            found.rejected.append((entry.name, reason))
    if len({example.part for example in found.examples}) < 2:
        found.examples = [Example(example.entry, example.label, "") for example in found.examples]
    found.classes = set(counts)
    found.reading = f"The first word of each file's name is its class: {quoted(sorted(counts))}."
    return found


def _kind(paths: Sequence[tuple[str, ...]]) -> str:
    """Where the class stands in these paths of pictures: "splits" below splits, "below" above them, "shared" below folders that
    are no classes, "" in the outermost folder."""
    if splits_in(paths):
        return "splits"
    if _are_splits({path[1] for path in paths if len(path) > 2}) and all(len(path) > 2 for path in paths):
        return "below"
    classes: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        if len(path) > 2:
            classes[path[0]].add(path[1].lower())
    if len(classes) < 2 or not all(len(path) > 2 for path in paths):
        return ""
    shared, everything = set.intersection(*classes.values()), set.union(*classes.values())
    return "shared" if len(shared) >= FEWEST_SHARED and 2 * len(shared) >= len(everything) else ""


def _class_and_part(folders: tuple[str, ...], kind: str) -> tuple[str, str]:
    """A picture's class, "" where it has none, and its split, "" where there are none."""
    if len(folders) == 0:
        return "", ""
    match kind:
        case "inner":
            return plain_name(folders[-1]), next((part for name in folders[:-1] if (part := part_of(name))), "")
        case "splits":
            part = part_of(folders[0])
            return (plain_name(folders[1]) if part and len(folders) > 1 else ""), part
        case "shared":
            return plain_name(folders[1]) if len(folders) > 1 else "", _told(folders[0])
        case "below":
            return plain_name(folders[0]), part_of(folders[1]) if len(folders) > 1 else ""
    return plain_name(folders[0]), ""


def _told(name: str) -> str:
    """The split that is somewhere in a folder's name: of several that hold the same classes, the others are for training."""
    return part_of(name) or next((part for word, part in IN_A_NAME if word in name.lower()), "train")


def _in_words(kind: str, paths: Sequence[tuple[str, ...]]) -> str:
    """What was taken for the class and for the split."""
    outermost = quoted(sorted({path[0] for path in paths if len(path) > 1}))
    match kind:
        case "splits":
            return f"The folders {outermost} are splits; each folder in them is a class."
        case "below":
            return "Each outermost folder is a class; the folders in it are splits."
        case "shared":
            told = {_told(path[0]) for path in paths}
            as_what = "as splits" if len(told) > 1 else "together"
            return f"The folders {outermost} hold the same classes and are taken {as_what}; each folder in them is a class."
        case "inner":
            return "The folder that a picture is in is its class."
    return "Each outermost folder is a class." if any(len(path) > 2 for path in paths) else ""


def _collapsed(entries: Iterable[Entry]) -> tuple[dict[tuple[str, ...], tuple[str, ...]], set[tuple[str, ...]]]:
    """Each entry's path without folders in a folder of the same name, as archives of archives have them; and those paths whose
    file is then there a second time."""
    paths = {entry.parts: (*_undoubled(entry.parts[:-1]), entry.parts[-1]) for entry in entries}
    taken = {path for parts, path in paths.items() if parts == path}
    second = set()
    for parts, path in paths.items():
        if parts != path:
            second |= {parts} if path in taken else set()
            taken.add(path)
    return paths, second


def _undoubled(folders: Sequence[str]) -> list[str]:
    return [*folders[:1], *(after for before, after in pairwise(folders) if before.lower() != after.lower())]


def enclosing(paths: list[tuple[str, ...]]) -> int:
    """How many folders lie around everything: 1 for data/cat/1.png and data/dog/2.png, 0 for cat/1.png and dog/2.png."""
    count = 0
    while True:
        folders = {path[count] for path in paths if len(path) > count + 1}
        if len(folders) != 1 or not any(len(path) > count + 2 for path in paths):  # the last folder left is the class
            return count
        count += 1


def splits_in(paths: Sequence[tuple[str, ...]]) -> bool:
    """Whether the outermost folders are splits and not classes: nothing but train, test and val, and at least two of them."""
    return _are_splits({path[0] for path in paths if len(path) > 1}) and any(len(path) > 2 for path in paths)


def _are_splits(names: set[str]) -> bool:
    return all(map(part_of, names)) and len(set(map(part_of, names))) > 1
