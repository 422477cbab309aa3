"""The colours of charts: each a line that can be seen on the light and on the dark background, a contrast of 3 to both.

.streamlit/config.toml has CLASSES too, for charts that name no colours of their own. tests/test_look.py computes the contrasts.
"""

from collections.abc import Iterable

TRAIN, VALIDATION = "#e4572e", "#2e86ab"  # also told apart with colour-blind eyes
GREY = "#7d8590"  # what is there to compare with: a run before, guessing, a zero line
CLASSES = (TRAIN, VALIDATION, "#2f9e44", "#b8860b", "#8e5bd0", "#d6539d", "#17a2a8", "#8c564b", GREY, "#6a994e")
# small text in these colours, by whether the page is dark: no one colour has a contrast of 4.5 to both
BLUE_TEXT = {False: "#1f6d8f", True: "#63b3d8"}
ORANGE_TEXT = {False: "#a93a17", True: "#ff9d7a"}
GREY_TEXT = {False: "#5c6270", True: "#a3a9b6"}
ON_BARS = "#000000"  # text on bars in TRAIN, VALIDATION or GREY; white is too faint there
OF_RUNS = tuple(colour for colour in CLASSES if colour != GREY)


def run_colours(numbers: Iterable[int]) -> dict[int, str]:
    """A colour for each of several runs, by their numbers. Runs that follow one another differ; no two share a colour while there
    are enough; and that a younger run is looked at, too, changes nobody's."""
    found: dict[int, str] = {}
    used = dict.fromkeys(OF_RUNS, 0)
    for number in sorted(set(numbers)):
        at = number % len(OF_RUNS)
        found[number] = min(OF_RUNS[at:] + OF_RUNS[:at], key=used.__getitem__)
        used[found[number]] += 1
    return found
