"""Fine-tuning on 60 pictures beats training from nothing: the benchmark's own comparison, smaller."""

import statistics

from benchmarks.fine_tuning import NOTHING, Sizes, compare

SEEDS = 5
TUNED = "fine-tuned, all layers"


def test_fine_tuning_on_sixty_pictures_beats_training_from_nothing(settings):
    """Seven digits first, then 20 pictures of each of the other three: 97 to 98 instead of 94 % of the test pictures, where this
    was written. Seeds and threads are fixed; what rounding makes of it on another processor is a picture or two."""
    found = compare(settings, "digits", SEEDS, Sizes(before=6, after=10), (NOTHING, TUNED))
    assert [len(values) for values in found.values()] == [SEEDS, SEEDS]
    assert statistics.mean(found[TUNED]) > statistics.mean(found[NOTHING]) + 0.01, found
