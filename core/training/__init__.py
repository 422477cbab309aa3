"""Training: fit() and what it is made of."""

from core.training.by_hand import InterventionError
from core.training.control import Command, Control, WeightEdit
from core.training.events import (
    Checkpoint,
    Epoch,
    Event,
    Fallback,
    Finished,
    Gradients,
    Intervention,
    Look,
    Paused,
    SampleAnswers,
    Started,
    Step,
    Threads,
    Validation,
)
from core.training.formats import NumberFormat, choose, computed_in
from core.training.loop import fit
from core.training.objectives import OBJECTIVES, objective_of
from core.training.plane import PlaneWatcher, can_show
from core.training.shortcuts import Shortcuts
from core.training.start import build_for, check, check_for, freeze_for, fresh_model, outputs_for, prepare
from core.training.state import TrainingState
from core.training.threads import ThreadChoice, candidates
from core.training.watchers import ImageWatcher, Watcher

__all__ = ["OBJECTIVES", "Checkpoint", "Command", "Control", "Epoch", "Event", "Fallback", "Finished", "Gradients",
           "ImageWatcher", "Intervention", "InterventionError", "Look", "NumberFormat", "Paused", "PlaneWatcher",
           "SampleAnswers", "Shortcuts", "Started", "Step", "ThreadChoice", "Threads", "TrainingState", "Validation",
           "Watcher", "WeightEdit", "build_for", "can_show", "candidates", "check", "check_for", "choose", "computed_in",
           "fit", "freeze_for", "fresh_model", "objective_of", "outputs_for", "prepare"]
