"""What a run's training images look like to its network, kept beside its weights: core.evaluation.ood.score says what for."""

import json
import time
from contextlib import suppress
from math import isfinite

import torch
from safetensors.torch import save as safetensors_save
from torch import nn

from core.data import DataError, Dataset, load
from core.evaluation.ood.classifier import Judge
from core.evaluation.ood.score import ANSWER, OODReference, can_have_reference, reference_in_pieces
from core.files import write_atomically
from core.pieces import Pieces, finish
from core.runs.checkpoints import UNREADABLE, CheckpointError, checkpoint_path, read_tensors
from core.runs.evaluations import weights_stamp
from core.runs.records import RunNotFound
from core.runs.store import RunStore
from core.settings import Settings
from core.trained_model import TrainedModel

FILE = "familiar.safetensors"
LARGE = 8_000_000  # parameters; resnet18 has 11 million
RULE = 3  # files of another version are worked out again
LABELS = "labels"
JUDGE = "judge."  # prefix of its tensors
NONE = "familiar.none"  # beside FILE: there is nothing to be worked out for these weights
WANTED = "look_back"  # a folder beside the runs', with an empty file for each run that somebody waits for
MOST_ALIKE = 50  # runs whose weights are compared: reading one takes a millisecond or so
ASK_AGAIN = 600.0  # seconds; data that was not there may have come meanwhile


def keep_reference(store: RunStore, run_id: str, model: nn.Module, data: Dataset, variations: int
                   ) -> Pieces[OODReference | None]:
    """Work it out and keep it; given up halfway, nothing of it is kept. None where there is nothing to compare. What can't be
    written is worked out again next time."""
    if not can_have_reference(data):
        return None
    found = yield from reference_in_pieces(model, data, variations)
    _keep(store, run_id, found)  # in one piece
    return found


def _keep(store: RunStore, run_id: str, found: OODReference) -> None:
    about = {"weights": weights_stamp(store, run_id), "limits": found.limits, "rule": RULE}
    tensors = {kind: rows.half().contiguous() for kind, rows in found.images.items()}
    if found.labels is not None:
        tensors[LABELS] = found.labels.contiguous()
    if found.judge is not None:
        tensors |= {JUDGE + name: values.contiguous() for name, values in found.judge.tensors().items()}
    content = safetensors_save(tensors, metadata={"about": json.dumps(about)})
    if about["weights"][0]:  # a deleted run must not come back as a folder
        with suppress(OSError):
            write_atomically(store.folder(run_id) / FILE, lambda file: file.write(content))


def load_reference(store: RunStore, run_id: str, oldest: int = RULE) -> OODReference | None:
    """What was kept for the run's current weights; None where nothing was, or it is damaged. Raises RunNotFound for no id.

    oldest: the oldest version of the score that will do; 1 is the one before there was a judge.
    """
    try:
        tensors, about = read_tensors(store.folder(run_id) / FILE)
        limits = {kind: float(limit) for kind, limit in about["limits"].items()}
        usable = limits and all(isfinite(limit) and limit > 0 for limit in limits.values())
        if about["weights"] != weights_stamp(store, run_id) or not oldest <= about.get("rule", 1) <= RULE or not usable:
            return None
        labels = tensors.pop(LABELS, None)
        images = {kind: rows.float() for kind, rows in tensors.items() if not kind.startswith(JUDGE)}
        whole = all(rows.dim() == 2 and len(rows) and bool(torch.isfinite(rows).all()) for rows in images.values())
        judge = Judge.from_tensors({name.removeprefix(JUDGE): values for name, values in tensors.items()
                                    if name.startswith(JUDGE)})
        complete = set(limits) - {ANSWER} <= set(images) and (judge is None or "directions" in images)
        complete &= (labels is None) == (ANSWER not in limits)
        if labels is not None:
            complete &= {"features", "directions"} <= set(images) and len(labels) == len(images["features"])
        return OODReference(images, limits, judge, labels) if whole and complete else None
    except RunNotFound:
        raise
    except (OSError, *UNREADABLE):
        return None


def want_reference(store: RunStore, run_id: str) -> bool:
    """Ask a training process to work it out when nothing trains; False where one has found that there is nothing to work out.

    Raises RunNotFound for no id, and OSError where the runs directory can't be written to.
    """
    none = store.folder(run_id) / NONE
    with suppress(OSError, ValueError):
        same = json.loads(none.read_text(encoding="utf-8")) == list(weights_stamp(store, run_id))
        if same and time.time() - none.stat().st_mtime < ASK_AGAIN:
            return False
    folder = store.path / WANTED
    folder.mkdir(exist_ok=True)
    (folder / run_id).touch()
    return True


def take_wanted(store: RunStore) -> str | None:
    """The run that has been waited for the longest, which is then this process's to work out; None where nobody waits."""
    try:
        waiting = sorted((store.path / WANTED).iterdir(), key=lambda path: path.stat().st_mtime)
    except OSError:
        return None  # nobody has ever asked, or another process has just taken one
    for path in waiting:
        with suppress(OSError):  # another process has taken it
            path.unlink()
            return path.name
    return None


def work_out(store: RunStore, run_id: str, model: TrainedModel, settings: Settings) -> Pieces[None]:
    """reference_of() as work that can be given up; where there is none, that is written down for whoever waits."""
    found = yield from _worked_out(store, run_id, model, settings)
    if (found is None or load_reference(store, run_id) is None) and store.folder(run_id).exists():
        stamp = json.dumps(list(weights_stamp(store, run_id))).encode()
        with suppress(OSError):
            write_atomically(store.folder(run_id) / NONE, lambda file: file.write(stamp))


def reference_of(store: RunStore, run_id: str, model: TrainedModel, settings: Settings) -> OODReference | None:
    """What was kept, or worked out now; None where the training images are not there any more or can't be compared, and where a
    large network would be busy with them for minutes while somebody waits.

    Of a run of an earlier version it is worked out again, or is what was kept then, where the images are not there.
    """
    return finish(_worked_out(store, run_id, model, settings))


def _worked_out(store: RunStore, run_id: str, model: TrainedModel, settings: Settings) -> Pieces[OODReference | None]:
    if kept := load_reference(store, run_id):
        return kept
    if found := (yield from _of_the_same_weights(store, run_id, model)):
        _keep(store, run_id, found)
        return found
    try:
        data = load(model.config.data, settings.data_dir, settings.cache_dir)
    except DataError:
        return load_reference(store, run_id, oldest=1)
    if sum(p.numel() for p in model.model.parameters()) > LARGE:
        return load_reference(store, run_id, oldest=1)
    if data.input_shape != model.input_shape:
        return None
    return (yield from keep_reference(store, run_id, model.model, data, model.config.data.variations))


def _of_the_same_weights(store: RunStore, run_id: str, model: TrainedModel) -> Pieces[OODReference | None]:
    """What was kept for another run of the same config whose weights are the same to the bit: a class that presses one button
    trains thirty such runs.

    An own set that has changed between two runs gives other weights.
    """
    weights = model.model.state_dict()
    for other in store.like(run_id)[:MOST_ALIKE]:
        yield
        with suppress(CheckpointError, RunNotFound, OSError, *UNREADABLE):  # deleted meanwhile, or damaged
            if (found := load_reference(store, other)) is None:
                continue
            theirs, _ = read_tensors(checkpoint_path(store, other), mapped=True)
            if theirs.keys() == weights.keys() and all(torch.equal(theirs[name], weights[name]) for name in weights):
                return found
    return None
