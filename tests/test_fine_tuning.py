"""Fine-tuning on 60 pictures beats training from nothing: the benchmark's own comparison, smaller."""

import statistics

from benchmarks.fine_tuning import NOTHING, Sizes, compare

SEEDS = 3


def test_fine_tuning_on_sixty_pictures_beats_training_from_nothing(settings):
    """Seven digits first, then 20 pictures of each of the other three, with fixed seeds and one thread."""
    found = compare(settings, "digits", SEEDS, Sizes(before=3, after=8))
    scratch = found.pop(NOTHING)
    means = {name: statistics.mean(values) for name, values in found.items()}
    assert means["fine-tuned, all layers"] > statistics.mean(scratch) + 0.02, (means, scratch)
    assert means["linear layers alone"] > statistics.mean(scratch), (means, scratch)
    assert all(tuned > base for tuned, base in zip(found["fine-tuned, all layers"], scratch, strict=True)), (found, scratch)
