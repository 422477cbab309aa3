"""Runs: kept in a store, done by worker processes, found again from any page."""

from core.runs.checkpoints import CheckpointError, checkpoint_path, has_checkpoint, load_model
from core.runs.database import StoreBusy, StoreError, StoreFull, StoreReadOnly
from core.runs.engine import LocalEngine
from core.runs.looks import Look, WatchError
from core.runs.records import ACTIVE, KINDS, Metric, Metrics, Run, RunNotFound, Snapshot
from core.runs.requests import Engine
from core.runs.rights import NotYours
from core.runs.rows import RunUnreadable
from core.runs.store import RunStore
from core.trained_model import TrainedModel

__all__ = ["ACTIVE", "KINDS", "CheckpointError", "Engine", "LocalEngine", "Look", "Metric", "Metrics", "NotYours", "Run",
           "RunNotFound", "RunStore", "RunUnreadable", "Snapshot", "StoreBusy", "StoreError", "StoreFull", "StoreReadOnly",
           "TrainedModel", "WatchError", "checkpoint_path", "has_checkpoint", "load_model"]
