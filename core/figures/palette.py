"""The colours of charts: each a line that can be seen on the light and on the dark background, a contrast of 3 to both.

.streamlit/config.toml has CLASSES too, for charts that name no colours of their own. tests/test_look.py computes the contrasts.
"""

TRAIN, VALIDATION = "#e4572e", "#2e86ab"  # also told apart with colour-blind eyes
GREY = "#7d8590"  # what is there to compare with: a run before, guessing, a zero line
CLASSES = (TRAIN, VALIDATION, "#2f9e44", "#b8860b", "#8e5bd0", "#d6539d", "#17a2a8", "#8c564b", GREY, "#6a994e")
