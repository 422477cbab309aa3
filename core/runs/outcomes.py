"""What a run came to and what it cost, as numbers to lay beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from core.config import ConfigError, RunConfig
from core.data import DataError, outline
from core.layers.table import InspectionError, describe_layers, totals
from core.models import ModelError, build
from core.runs.differing import labels_of, varying
from core.runs.records import Run
from core.training import outputs_for


@dataclass(frozen=True)
class Outcome:
    """One number of a run. of: the run's value, None where it has none. shares: it goes from 0 to 1 and is read in percent.
    higher: whether a larger value is better."""

    label: str
    unit: str
    of: Callable[[Run], float | None]
    shares: bool = False
    higher: bool = False


# another one has other answers
QUESTION = ("data.dataset", "data.task", "data.target", "data.only_classes", "data.text_file")


def questions_differ(runs: Sequence[Run], result: Outcome) -> list[str]:
    """What keeps a result of these runs from being laid beside each other's, such as "data set": settings that make it the answer
    to another question, and of losses the loss itself, but not where it is seen as a share."""
    configs = [run.config for run in runs]
    asked = QUESTION if any(config.data.task == "is_target" for config in configs) else set(QUESTION) - {"data.target"}
    paths = [path for path in varying(configs) if path in asked or path == "training.loss" and not result.shares]
    return list(labels_of(configs, paths).values())


def mult_adds_of(config: RunConfig, root: Path | None = None) -> int | None:
    """Multiplications with an addition for one example, core.layers' count; None where the network or its data set is not to be
    had any more. Nothing is computed; root: the data directory, the environment's if None."""
    try:
        data = outline(config.data, root)
        with torch.device("meta"):  # shapes are all that is needed
            model = build(config.model, data.input_shape, outputs_for(config, len(data.source_classes)))
            return totals(describe_layers(model, data.input_shape)).mult_adds
    except (DataError, ModelError, ConfigError, InspectionError):
        return None


COSTS: dict[str, Outcome] = {
    "parameters": Outcome("parameters", "", lambda run: run.parameters),
    "seconds": Outcome("training time", "s", lambda run: run.seconds),
}
RESULTS: dict[str, Outcome] = {
    "validation_accuracy": Outcome("validation accuracy", "%", lambda run: run.validation_accuracy, shares=True, higher=True),
    "best_accuracy": Outcome("best validation accuracy", "%", lambda run: run.best_accuracy, shares=True, higher=True),
    "test_accuracy": Outcome("test accuracy", "%", lambda run: run.test_accuracy, shares=True, higher=True),
    "validation_loss": Outcome("validation loss", "", lambda run: run.validation_loss),
    "best_loss": Outcome("smallest validation loss", "", lambda run: run.best_loss),
    "test_loss": Outcome("test loss", "", lambda run: run.test_loss),
}
