"""What a run's network says of a whole split, computed where a page needs it."""

import streamlit as st

from core.evaluation import Predictions
from core.memory import as_in_training
from core.runs import Run
from core.runs.evaluations import compute_predictions
from pages.parts.shell.services import Services, dataset, trained_model


def compute(server: Services, run: Run, split: str) -> Predictions:
    """Ask the network about each image, with a bar that shows how far it is, and keep the answers.

    Raises DataError, CheckpointError, and ValueError or MemoryError with one line.
    """
    data, trained = dataset(run.config.data, server.settings), trained_model(server.store, run.id)
    count, bar = len(data.split(split)), st.progress(0.0, "Asking…")
    # each report is also where Streamlit ends this work when the person has gone elsewhere
    with as_in_training():
        predictions = compute_predictions(
            server.store, run.id, trained, data, split,
            report=lambda done: bar.progress(done / count, f"Asked about {done:,} of {count:,}"))
    bar.empty()
    return predictions
