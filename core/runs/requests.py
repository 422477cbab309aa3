"""What an engine is asked for, whoever does its runs: checked, and written into the store, which is the queue."""

import contextlib
import copy
import hashlib
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from core.actors import Actor
from core.config import RunConfig
from core.data import DataError, outline, spec_of
from core.errors import reason
from core.limits import NO_LIMITS
from core.models import ModelError, build
from core.models.pretrained import IMAGENET
from core.runs.checkpoints import CheckpointError, check_can_go_on
from core.runs.database import StoreError
from core.runs.deleting import delete_run
from core.runs.limits import check_size
from core.runs.looks import check_suits, watched_images
from core.runs.records import Run, RunNotFound
from core.runs.rights import check_data
from core.runs.starting import GONE
from core.runs.store import RunStore
from core.runs.sweep_records import TrialOf
from core.settings import Settings
from core.training import InterventionError, outputs_for
from core.training.by_hand import check_edit

Images = Tensor | np.ndarray  # (N, C, H, W) float in [0, 1]


class Engine(Protocol):
    """What runs need from whoever does them: this machine, or a cluster. What it can't do just now is `trouble`, in one line."""

    store: RunStore

    @property
    def capacity(self) -> int: ...
    @property
    def trouble(self) -> str: ...
    def as_actor(self, actor: Actor) -> Self: ...
    def in_lesson(self, code: str) -> Self: ...
    def submit(self, config: RunConfig, owner: str, title: str = "", key: str | None = None, paused: bool = False,
               pace: float = 0.0, watch: Images | None = None) -> str: ...
    def submit_seeds(self, config: RunConfig, owner: str, count: int, title: str = "", key: str | None = None,
                     watch: Images | None = None) -> list[str]: ...
    def submit_trial(self, config: RunConfig, owner: str, trial: TrialOf, title: str = "") -> str: ...
    def find_rate(self, config: RunConfig, owner: str) -> str: ...
    def resume(self, run_id: str, more_epochs: int = 0) -> None: ...
    def pause(self, run_id: str, pause: bool = True) -> None: ...
    def step(self, run_id: str, count: int = 1) -> None: ...
    def set_learning_rate(self, run_id: str, learning_rate: float) -> None: ...
    def set_weight(self, run_id: str, layer: str, row: int, column: int | None, value: float) -> None: ...
    def set_pace(self, run_id: str, seconds_per_epoch: float) -> None: ...
    def cancel(self, run_id: str) -> None: ...
    def move_to_front(self, run_id: str) -> None: ...
    def status(self, run_id: str) -> Run: ...


class Requests:
    """The part of every engine that is asked for runs and for changes of runs that go.

    Who asks is its store's actor: see RunStore. Every method raises NotYours for what is somebody else's to do.
    """

    store: RunStore
    settings: Settings

    def wake(self) -> None:
        """Tell whoever does the runs that there is something in the queue."""
        raise NotImplementedError

    def _check(self, config: RunConfig) -> None:
        """Raises NotYours for another's data, LimitReached for what is too large for one person on this server. What is wrong
        with the config itself, the run says."""
        actor = self.store.actor
        check_data(actor, config.data, self.settings.data_dir)
        if actor.limits != NO_LIMITS:
            with contextlib.suppress(DataError, ModelError):
                parameters = sum(p.numel() for p in self._shape_of(config).parameters())
                check_size(actor, config, self.settings.data_dir, parameters)

    def _check_new(self, config: RunConfig) -> None:
        """The same of a run that has not begun, and StoreError where the run whose weights it would start from is gone. That one
        may be anybody's: who has its address may open it."""
        self._check(config)
        start_from = config.training.start_from
        if start_from and start_from != IMAGENET:
            try:
                self.store.get(start_from)
            except RunNotFound:
                raise StoreError(GONE) from None

    def as_actor(self, actor: Actor) -> Self:
        """The same engine as somebody may use it. Raises NotYours where it is already somebody's."""
        view = copy.copy(self)
        view.store = self.store.as_actor(actor)
        return view

    def in_lesson(self, code: str) -> Self:
        """The same engine, which starts its runs in a lesson: see RunStore.in_lesson()."""
        view = copy.copy(self)
        view.store = self.store.in_lesson(code)
        return view

    def submit(self, config: RunConfig, owner: str, title: str = "", key: str | None = None, paused: bool = False,
               pace: float = 0.0, watch: Images | None = None) -> str:
        """Queue a run; its id. The same owner and key give the same run while it is active, so a double click makes one.

        paused: it waits before its first step. pace: seconds that an epoch should take at least, to watch a short training.
        watch: a few images that its network answers again and again while it learns, kept with the run and of no influence on
        its training; RunStore.looks(run_id, "watch") has the answers.

        Raises StoreError where the runs directory can't be written to, WatchError for images that the run can't watch.
        """
        self._check_new(config)
        watch = self._watchable(config, watch)
        run_id = self.store.create(config, owner, title, key, paused=paused, pace=pace, watch=watch)
        self.wake()
        return run_id

    def shared_run(self, config: RunConfig) -> str | None:
        """The id of a run in this engine's lesson that is what these settings would come to; None where they are to be trained:
        see RunStore.shared_run(). Raises NotYours for another's data, as submit()."""
        check_data(self.store.actor, config.data, self.settings.data_dir)
        return self.store.shared_run(config)

    def submit_seeds(self, config: RunConfig, owner: str, count: int, title: str = "", key: str | None = None,
                     watch: Images | None = None) -> list[str]:
        """Queue `count` runs that differ by their seed alone, from the config's seed on; their ids. watch: as in submit(), for
        each of them. Raises StoreError, WatchError, and ConfigError where a seed would be too large."""
        self._check_new(config)
        watch = self._watchable(config, watch)
        first = config.training.seed
        runs = [(config.with_values({"training.seed": seed}), f"{title} · seed {seed}") for seed in range(first, first + count)]
        ids = self.store.create_group(runs, owner, key, watch)
        self.wake()
        return ids

    def submit_trial(self, config: RunConfig, owner: str, trial: TrialOf, title: str = "") -> str:
        """Queue a trial of a search; its id. The run that is this trial already, where there is one. Raises StoreError."""
        self._check(config)
        run_id = self.store.create_trial(config, owner, trial, title)
        self.wake()
        return run_id

    def _watchable(self, config: RunConfig, images: Images | None) -> Tensor | None:
        """The images as they are kept, once it is known that a run of this config can watch them. Raises WatchError."""
        if images is None:
            return None
        checked = watched_images(images)
        check_suits(checked, config.data, self.settings.data_dir)
        return checked

    def find_rate(self, config: RunConfig, owner: str) -> str:
        """Queue a learning-rate range test; its id. It is no training: RunStore.runs() lists it only where asked to.

        What earlier tests of this owner found is forgotten. Raises StoreError.
        """
        self._check_new(config)
        for run in self.store.runs(kinds=["range_test"]):
            if run.owner == owner and not run.is_active:
                delete_run(self.store, run.id, self.settings.data_dir)
        key = hashlib.sha256(f"range test of {config.model_dump_json()}".encode()).hexdigest()
        run_id = self.store.create(config, owner, "Learning-rate finder", key, kind="range_test")
        self.wake()
        return run_id

    def resume(self, run_id: str, more_epochs: int = 0) -> None:
        """Go on with a run that has ended, from its last checkpoint, for more epochs if wanted.

        With the same number of epochs it continues as if it had never stopped. Raises RunNotFound, StoreError while it is
        active, ConfigError where there would be too many epochs, and CheckpointError where it can't go on: its result stays as it
        was then.
        """
        run = self.store.get(run_id)
        self.store.check_change(run_id)
        config = run.config.with_values({"training.epochs": run.config.training.epochs + more_epochs})
        self._check(config)
        if not run.is_active:
            try:
                if not spec_of(config.data.dataset, self.settings.data_dir).is_available(self.settings.data_dir):
                    raise DataError("its data set is not on this machine any more.")
                check_can_go_on(self.store, run_id, self._shape_of(run.config))
            except (CheckpointError, DataError, ModelError) as error:
                raise CheckpointError(f"This run can't go on, and stays as it is: {reason(error)}") from None
        self.store.requeue(run_id, config)
        self.wake()

    def pause(self, run_id: str, pause: bool = True) -> None:
        """Let a running run wait after its next step, or go on. Raises RunNotFound."""
        self.store.set_pause(run_id, pause)

    def step(self, run_id: str, count: int = 1) -> None:
        """Let a paused run take one step, or so many, and wait again. Raises RunNotFound."""
        self.store.request_step(run_id, count)

    def set_learning_rate(self, run_id: str, learning_rate: float) -> None:
        """Another learning rate from the run's next step on, which is part of the run as in set_weight(); a run that is resumed
        goes on with it. Raises RunNotFound and ConfigError."""
        self.store.set_learning_rate(run_id, learning_rate)

    def set_weight(self, run_id: str, layer: str, row: int, column: int | None, value: float) -> None:
        """Set one weight of a run that is going or paused, before its next step; at once while it is paused. It is part of the
        run from then on: RunStore.interventions() names it.

        layer: a module's name in the network. row, column: place in its weight, rows being outputs; without a column, in its
        bias. Several at once are done in their order. Raises RunNotFound, and InterventionError for a weight that the network
        does not have, a value that is not finite or too large, and a run that is not going.
        """
        run = self.store.get(run_id)
        self.store.check_change(run_id)
        try:
            model = self._shape_of(run.config)
        except (DataError, ModelError) as error:  # somebody has removed its data set meanwhile
            raise InterventionError(reason(error)) from None
        self.store.request_edit(run_id, check_edit(model, layer, row, column, value))

    def _shape_of(self, config: RunConfig) -> torch.nn.Module:
        """A run's network without numbers. Raises DataError, ModelError."""
        data = outline(config.data, self.settings.data_dir)
        with torch.device("meta"):
            return build(config.model, data.input_shape, outputs_for(config, len(data.source_classes)))

    def set_pace(self, run_id: str, seconds_per_epoch: float) -> None:
        """Let each epoch take so many seconds at least; 0 is as fast as it goes. Raises RunNotFound."""
        self.store.set_pace(run_id, seconds_per_epoch)

    def cancel(self, run_id: str) -> None:
        """Stop a run within two seconds; what it has learned so far is kept. Raises RunNotFound."""
        self.store.request_stop(run_id)

    def move_to_front(self, run_id: str) -> None:
        """Let a run that waits be the next one. Raises RunNotFound, and NotYours for anybody but a teacher and this machine."""
        self.store.move_to_front(run_id)

    def status(self, run_id: str) -> Run:
        """Raises RunNotFound."""
        return self.store.get(run_id)
