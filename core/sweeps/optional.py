"""Optuna, which is no part of what the app needs: asked for where a search is driven, and nowhere else."""

import importlib
import importlib.util
import warnings
from types import ModuleType

from core.sweeps.plan import SweepError

GET = "A search needs Optuna: pip install -r requirements-sweep.txt, and start again."


def is_available() -> bool:
    """Whether Optuna is installed. It is not imported for that."""
    try:
        return importlib.util.find_spec("optuna") is not None
    except ValueError:  # somebody has kept it from being imported
        return False


def load_optuna() -> ModuleType:
    """Optuna, which says nothing by itself. Raises SweepError where it is not installed."""
    try:
        optuna = importlib.import_module("optuna")
    except ImportError:
        raise SweepError(GET) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # the pinned version is what was tried
    return optuna
