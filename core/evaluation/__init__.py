"""What a trained network gets right and wrong.

    evaluation.py    loss, accuracy and confusion counts of a split
    predictions.py   every answer on a split, from which the rest is reduced
    metrics.py       accuracy with its interval, precision, recall, F1, confusion counts
    thresholds.py    ROC and precision-recall curves; what a threshold gives and costs
    calibration.py   whether "90 % sure" is right 90 times of 100, and the temperature that mends it
    mistakes.py      which images to look at
    corruptions.py   shifted, turned, noisy, … images; robustness.py: accuracy over how much
    other_data.py    images of another source
    comparison.py    two models on the same images
    tables.py        all of it as CSV
"""

from core.evaluation.evaluation import Evaluation, evaluate
from core.evaluation.predictions import Predictions, asker, fingerprint, predict

__all__ = ["Evaluation", "Predictions", "asker", "evaluate", "fingerprint", "predict"]
