"""Do one run from its config to its checkpoint and test accuracy, writing down what happens on the way."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import inf

import torch

from core.config import RunConfig
from core.data import DataError, Dataset, load
from core.devices import DeviceError, device_for, is_convolutional, ran_out, select_device, threads_for
from core.errors import reason
from core.evaluation import evaluate, predict
from core.fields import ConfigError
from core.memory import drop_mapped_pages, trim_heap
from core.models import ModelError
from core.models.pretrained import IMAGENET
from core.runs.checkpoints import CheckpointError, load_training, save_checkpoint
from core.runs.database import StoreError
from core.runs.evaluations import save_predictions
from core.runs.live_weights import LiveWeights
from core.runs.looks import can_watch
from core.runs.made_with import note_data, note_start
from core.runs.memory import TOO_MUCH, NotEnoughMemory, check_batch_fits, check_weights_fit
from core.runs.moments import MomentKeeper
from core.runs.outlet import Outlet, outlet_of
from core.runs.range_run import run_range_test
from core.runs.recorder import Recorder
from core.runs.records import NUMBER_FORMAT, Run
from core.runs.space import keep_within
from core.runs.starting import keep_start, take_start
from core.runs.store import RunStore
from core.settings import Settings
from core.training import (
    Checkpoint,
    Command,
    Control,
    Event,
    Finished,
    ImageWatcher,
    Look,
    NumberFormat,
    PlaneWatcher,
    Shortcuts,
    Started,
    ThreadChoice,
    Watcher,
    build_for,
    can_show,
    candidates,
    check,
    choose,
    computed_in,
    fit,
)

SECONDS_PER_LOOK = 0.2  # at the control row
TRIALS_PER_LOOK = 20  # at the disk: 0.03 s for 350 runs, a tenth of a short trial
# At most this often, and less often where writing takes more than its share of the time: hundreds of tiny epochs a second must
# not wait for the disk
SECONDS_PER_CHECKPOINT, CHECKPOINT_SHARE, MOST_SECONDS_PER_CHECKPOINT = 1.0, 0.005, 3.0


class StoreControl:
    """Looks at the run's row before the first step and then a few times a second; also stops where `leaving` is set.

    clock: seconds that only grow.
    """

    def __init__(self, store: RunStore, run_id: str, leaving: threading.Event,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.run_id, self.leaving, self.clock = store, run_id, leaving, clock
        self.looked = -inf
        self.last = Command()

    def command(self) -> Command:
        now = self.clock()
        if now - self.looked >= SECONDS_PER_LOOK:
            self.looked = now
            self.last = Command(stop=True) if self.last.stop or self.leaving.is_set() else self.store.command(self.run_id)
        return self.last


class Keeper:
    """Writes checkpoints down: at once where epochs are long, else the newest every second or few, and always the last.

    make_room: called where the disk is full; whether there is more room then. clock: seconds that only grow.
    """

    def __init__(self, store: RunStore, run_id: str, config: RunConfig, data: Dataset, make_room: Callable[[], bool],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.run_id, self.config, self.data, self.make_room = store, run_id, config, data, make_room
        self.clock = clock
        self.waiting: Checkpoint | None = None
        self.next = -inf  # when one may be written: the first at once

    def offer(self, checkpoint: Checkpoint, recorder: Recorder) -> None:
        self.waiting = checkpoint
        if self.clock() >= self.next:
            self.save(recorder)

    def save(self, recorder: Recorder) -> None:
        """Write what is waiting, after the metrics that lead to it."""
        if self.waiting is None:
            return
        began = self.clock()
        recorder.flush(at_once=True)
        if recorder.is_ours:  # a deleted run must not come back as a folder
            try:
                save_checkpoint(self.store, self.run_id, self.config, self.data, self.waiting)
            except StoreError:
                if not self.store.is_full or not self.make_room():
                    raise
                save_checkpoint(self.store, self.run_id, self.config, self.data, self.waiting)
        self.waiting, ended = None, self.clock()
        self.next = ended + max(SECONDS_PER_CHECKPOINT, min((ended - began) / CHECKPOINT_SHARE, MOST_SECONDS_PER_CHECKPOINT))


def execute(store: RunStore, run: Run, settings: Settings, control: Control | None = None,
            report: Callable[[Event], None] = lambda event: None, failed: dict[str, str] | None = None,
            wait_for_sink: bool = False, given: torch.device | None = None, missing: str = "") -> Run:
    """Do a run that is marked running: train, keep and evaluate, or look for a learning rate. Returns the run as it ended.

    Whatever goes wrong ends the run as failed with one line that says so. What gets out is StoreError, where nothing can be
    written down any more, and what only a mistake in the code can raise, once the run is marked.

    Args:
        control: asked between steps whether to stop.
        report: called with each event.
        failed: which shortcuts of the device are not to be tried again in this process; those that fail now are added.
        given: the device of this process, for all runs that do not ask for one of another kind; if None, each finds its own.
        missing: what this process was to have and has not, in one line that a training's page shows.
        wait_for_sink: return only when the sink that the settings name has ended, too, as this process will.
    """
    with outlet_of(store, run, settings, wait_for_sink) as outlet:
        _execute(store, run, settings, control, report, {} if failed is None else failed, outlet, given, missing)
    return store.get(run.id)


def _execute(store: RunStore, run: Run, settings: Settings, control: Control | None, report: Callable[[Event], None],
             failed: dict[str, str], outlet: Outlet | None, given: torch.device | None, missing: str) -> None:
    """Train, and mark the run as failed where that goes wrong."""
    try:
        _train(store, run, settings, control, report, failed, outlet, given, missing)
    except (CheckpointError, ConfigError, DataError, ModelError, DeviceError, NotEnoughMemory) as error:
        store.finish(run.id, "failed", reason(error))
    except MemoryError:
        store.finish(run.id, "failed", TOO_MUCH)
    except StoreError as error:
        store.finish(run.id, "failed", reason(error))  # raises again where the store is unusable altogether
    except OSError as error:  # the cache folder may be full or not ours
        store.finish(run.id, "failed", f"A file can't be read or written: {reason(error)}.")
    except RuntimeError as error:  # PyTorch's own: out of memory, an operator the device lacks
        store.finish(run.id, "failed", TOO_MUCH if ran_out(error) else f"PyTorch stopped the run: {reason(error)}")
    except Exception as error:
        kind, why = type(error).__name__, reason(error)
        store.finish(run.id, "failed", f"The run ended with {why if why.startswith(kind) else f'{kind}: {why}'}")
        raise


def _train(store: RunStore, run: Run, settings: Settings, control: Control | None, report: Callable[[Event], None],
           failed: dict[str, str], outlet: Outlet | None, given: torch.device | None, missing: str) -> None:
    config = run.config
    device = device_for(config.training.device, given or select_device(config.training.device))
    check(config, settings.data_dir)
    data = load(config.data, settings.data_dir, settings.cache_dir)
    check_weights_fit(config, data, device)
    model = build_for(config, data)
    check_batch_fits(config, data, model, device)
    threads = _threads(run, model, device, settings)
    state = load_training(store, run.id, model) if run.step else None
    taken_over = take_start(store, config, model, settings) if state is None else ""
    shortcuts = Shortcuts(device, failed, settings.cuda_graphs)
    shortcuts.lines += [missing] if missing else []
    number_format = _number_format(store, run, data, model, device, settings, shortcuts)
    computed = number_format.put_into(config)
    if run.kind == "range_test":
        run_range_test(store, run, computed, number_format, data, model, device, control, shortcuts)
        return
    note_start(store, run.id, state.step if state is not None else 0, device, taken_over)
    if taken_over and config.training.start_from != IMAGENET:
        keep_start(store, run.id, model)
    recorder, live = Recorder(store, run.id, outlet=outlet), LiveWeights(store, run.id, config, data, model)
    moments = MomentKeeper(store, run.id, config, data, model, run.starred)
    keeper = Keeper(store, run.id, config, data, moments.give_way)
    finished: Finished | None = None
    if run.step or store.interventions(run.id):  # it has been going before
        store.forget_after(run.id, state.step if state is not None else -1, state.interventions if state is not None else 0)
        moments.go_on(state.step if state is not None else -1)
    before, watched = run.seconds or 0.0 if state else 0.0, store.seconds_watched(run.id)
    watchers = [*_watchers(store, run, computed, data, model, device), *([moments] if moments.most else [])]
    for event in fit(computed, data, model, device, control, state, threads, watchers, shortcuts):
        live.see(event)
        match event:
            case Started():
                event = replace(event, why=number_format.why)
                store.begin(run.id, event)
                recorder.device = device
            case Look():
                event = replace(event, seconds=watched + event.seconds)
                recorder.take(event)
            case Checkpoint():
                keeper.offer(event, recorder)
            case Finished():
                keeper.save(recorder)
                finished = replace(event, seconds=event.seconds + before)
            case _:
                recorder.take(event)
        report(event)
        if not recorder.is_ours:
            return  # ended from outside: this worker was taken for dead, or the run deleted
        moments.see(event, recorder)
    recorder.flush(at_once=True)
    live.remove()
    trim_heap()  # what training has kept for its next step, before other things are asked of the network
    if finished is not None:
        _conclude(store, run.id, computed, data, model, finished)
        note_data(store, run.id, data)  # last: nobody waits for these three
        with suppress(StoreError, OSError):
            trial = store.trial_of(run.id)
            if trial is None or trial.trial % TRIALS_PER_LOOK == 0:
                keep_within(store, settings.disk_budget, settings.data_dir)
    drop_mapped_pages(data.train.images)


def _threads(run: Run, model: torch.nn.Module, device: torch.device, settings: Settings) -> ThreadChoice:
    """What chooses the number of processor threads: the config, or the run's own steps. It sets a first number at once. A range
    test is over before there is much to choose."""
    most = threads_for(sum(p.numel() for p in model.parameters()), is_convolutional(model), max(1, settings.workers))
    if run.config.training.threads != "auto":
        return ThreadChoice((run.config.training.threads,))
    return ThreadChoice(candidates(most) if device.type == "cpu" and run.kind != "range_test" else (most,))


def _number_format(store: RunStore, run: Run, data: Dataset, model: torch.nn.Module, device: torch.device, settings: Settings,
                   shortcuts: Shortcuts) -> NumberFormat:
    """What the run computes in. One that goes on keeps its format, and runs that differ by their seed alone take the first one's,
    as long as they train on such a device: else they could not be compared."""
    for other in [run] if run.step else store.group(run.group_id):
        taken = computed_in(run.config, other.precision).training.precision
        if run.config.training.precision == "auto" and taken != "auto" and _kind_of(other.device) == device.type:
            kept = store.snapshots(other.id).get(NUMBER_FORMAT)
            again = choose(computed_in(run.config, taken), data, model, device, settings.cache_dir, shortcuts)
            return replace(again, why=str(kept.value["why"])) if kept and again.precision == taken else again
    return choose(run.config, data, model, device, settings.cache_dir, shortcuts)


def _kind_of(device: str) -> str:
    """"cuda" of "cuda:1": a run that goes on may do so on another GPU."""
    return device.partition(":")[0]


def _watchers(store: RunStore, run: Run, config: RunConfig, data: Dataset, model: torch.nn.Module,
              device: torch.device) -> list[Watcher]:
    """Who looks at the network while it trains: at the plane, where there is one, and at watched images, where they are whole and
    for these data."""
    watchers: list[Watcher] = [PlaneWatcher(config, data, device)] if can_show(config) else []
    images = store.watched(run.id)
    if images is not None and can_watch(images, data):
        watchers.append(ImageWatcher(images, config.training, data, model, device))
    return watchers


def _conclude(store: RunStore, run_id: str, config: RunConfig, data: Dataset, model: torch.nn.Module, event: Finished) -> None:
    """The one look at the test images, unless the run was cut short: then there is nothing to compare it with. A trial of a
    search leaves them alone: what is chosen by validation images is tested once, and the others never.

    What the network said about each of them is kept, so that the page Evaluate opens without computing anything.
    """
    if event.reason == "completed" and store.holds_test(run_id):
        store.finish(run_id, "finished", event.message, seconds=event.seconds)
    elif event.reason == "completed" and data.target == "number":
        result = evaluate(model, data, config)
        store.finish(run_id, "finished", event.message, None, result.loss, event.seconds)
    elif event.reason == "completed":
        predictions = predict(model, data, config)
        with suppress(StoreError):  # they can be computed again; a full disk must not cost the run its result
            save_predictions(store, run_id, predictions)
        store.finish(run_id, "finished", event.message, float(predictions.correct.mean()), predictions.mean_loss, event.seconds)
    else:
        status = "stopped" if event.reason == "stopped" else "failed"
        store.finish(run_id, status, event.message or "Stopped.", seconds=event.seconds)
