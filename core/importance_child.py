"""Which settings an outcome hangs on, in a process of its own: python -m core.importance_child QUESTION.json ANSWER.json.

scikit-learn stays out of the server (77 MB), pages stay quick, and memory is returned when the process ends. Not below
core.evaluation, whose package imports torch.

The question is {"columns": for each run a list of numbers, null where it has no such setting, "outcomes": a number for each run,
"seed": int}. The answer is {"drops": for each resample a number for each column, "explained": float or null, "error": float,
"plain_error": float}.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from core.files import write_atomically

RESAMPLES = 20
TREES = 40
SHUFFLES = 3  # of each column, for each resample


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Permutation importance (L. Breiman, Machine Learning 45, 2001, 5–32) of a random forest, on runs that it has not seen.

    For each of the resamples as many runs are drawn with replacement, a forest learns them, and the runs that were not drawn are
    predicted: as they are, and with one column shuffled. A drop is by how much the mean absolute error grows by that. The forest
    explains 1 − (its squared error / that of always saying the mean of the runs it has learned) of what it has not seen.
    """
    from sklearn.ensemble import RandomForestRegressor  # here, so that looking at RESAMPLES does not import it
    from sklearn.inspection import permutation_importance

    columns = np.array([[np.nan if value is None else value for value in row] for row in question["columns"]], dtype=float)
    outcomes = np.array(question["outcomes"], dtype=float)
    draw = np.random.default_rng(question["seed"])
    drops, misses, plain_misses = [], [], []
    while len(drops) < RESAMPLES:
        chosen = draw.integers(0, len(outcomes), len(outcomes))
        unseen = np.setdiff1d(np.arange(len(outcomes)), chosen)
        if not len(unseen):
            continue
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=int(draw.integers(2**31)))
        forest.fit(columns[chosen], outcomes[chosen])
        found = permutation_importance(forest, columns[unseen], outcomes[unseen], scoring="neg_mean_absolute_error",
                                       n_repeats=SHUFFLES, random_state=int(draw.integers(2**31)))
        drops.append(np.asarray(found["importances_mean"]).tolist())
        misses.append(forest.predict(columns[unseen]) - outcomes[unseen])
        plain_misses.append(outcomes[chosen].mean() - outcomes[unseen])
    miss, plain = np.concatenate(misses), np.concatenate(plain_misses)
    spread = float(np.square(plain).sum())
    return {"drops": drops, "explained": 1 - float(np.square(miss).sum()) / spread if spread else None,
            "error": float(np.abs(miss).mean()), "plain_error": float(np.abs(plain).mean())}


if __name__ == "__main__":
    asked, said = map(Path, sys.argv[1:])
    content = json.dumps(answer(json.loads(asked.read_text(encoding="utf-8")))).encode()
    write_atomically(said, lambda file: file.write(content))
