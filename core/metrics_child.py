"""scikit-learn's metrics in a process of their own: python -m core.metrics_child QUESTION.json ANSWERS.json.

scikit-learn stays out of the server (77 MB), and the figures are its own. Not below core.labs, whose package imports torch.

The question is {"given": {name: list}, "calls": [{"function", "arguments": [names], "keywords"}]}, the
answers are a list with {"value", "warning", "error"} for each call.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from core.files import write_atomically

# all that may be asked for
FUNCTIONS = ("accuracy_score", "average_precision_score", "f1_score", "log_loss", "mean_absolute_error", "mean_squared_error",
             "precision_score", "r2_score", "recall_score", "roc_auc_score", "root_mean_squared_error")


def answers(question: dict[str, Any]) -> list[dict[str, Any]]:
    """What scikit-learn says to each call. Raises KeyError for a function or an array that is not known."""
    given = {name: np.array(values) for name, values in question["given"].items()}
    return [_answer(call["function"], [given[name] for name in call["arguments"]], call["keywords"])
            for call in question["calls"]]


def _answer(function: str, arguments: list[np.ndarray], keywords: dict[str, Any]) -> dict[str, Any]:
    from sklearn import metrics  # here, so that looking at FUNCTIONS does not import it

    if function not in FUNCTIONS:
        raise KeyError(function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value, error = float(getattr(metrics, function)(*arguments, **keywords)), ""
        except ValueError as refused:
            value, error = None, " ".join(str(refused).split())
    # JSON has no NaN
    return {"value": "nan" if value is not None and np.isnan(value) else value, "error": error,
            "warning": " ".join(" ".join(str(warning.message).split()) for warning in caught)}


if __name__ == "__main__":
    question, result = map(Path, sys.argv[1:])
    found = json.dumps(answers(json.loads(question.read_text(encoding="utf-8")))).encode()
    write_atomically(result, lambda file: file.write(found))
