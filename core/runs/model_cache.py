"""Trained networks kept for whoever asks next: a few, and not more than so many megabytes of weights."""

import threading
from collections import OrderedDict

from core.devices import free_memory_bytes
from core.runs.checkpoints import CheckpointError, checkpoint_path, load_model
from core.runs.store import RunStore
from core.trained_model import TrainedModel
from core.wording import size_of_bytes

MOST_MODELS = 8
MOST_BYTES = 192 * 2**20  # of weights: eight resnet18 take 360 MB, one vgg16 540 MB
ROOM = 100 * 2**20  # what answering takes beside the weights

Key = tuple[str, int, int]


class ModelCache:
    """The networks that were asked for last. One for all threads of a server."""

    def __init__(self, most_models: int = MOST_MODELS, most_bytes: int = MOST_BYTES) -> None:
        self.most_models, self.most_bytes = most_models, most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[TrainedModel, int]] = OrderedDict()

    def get(self, store: RunStore, run_id: str) -> TrainedModel:
        """A run's network; read again when its checkpoint has changed.

        Raises:
            CheckpointError: no weights, damaged ones, or more than there is memory for.
            RunNotFound: there is no such run.
        """
        path = checkpoint_path(store, run_id)
        about = path.stat() if path.exists() else None
        key = (str(path), about.st_mtime_ns, about.st_size) if about else (str(path), 0, 0)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        self._make_room(key)
        model = load_model(store, run_id)  # outside the lock: whoever asks for another one need not wait
        size = sum(p.numel() * p.element_size() for p in model.model.parameters())
        with self._lock:
            self._kept.setdefault(key, (model, size))
            self._forget(0)
            return self._kept[key][0]

    def held_bytes(self) -> int:
        """Weights that are kept now."""
        with self._lock:
            return sum(size for _, size in self._kept.values())

    def _make_room(self, key: Key) -> None:
        """Forget what would be too much beside the one that is asked for; then see whether that one fits at all."""
        path, _, size = key
        with self._lock:
            for old in [known for known in self._kept if known[0] == path]:
                del self._kept[old]  # weights of an earlier epoch
            self._forget(size)
        free = free_memory_bytes()
        if free is not None and size and size + ROOM > free:
            raise CheckpointError(f"These weights take {size_of_bytes(size)}, and {size_of_bytes(free)} of memory are free. End "
                                  "other programs, or choose a smaller network.")

    def _forget(self, coming: int) -> None:
        """Drop the oldest until all fits, but for the one that was asked for last; `coming` bytes are about to be added."""
        one = bool(coming)  # a place for it, too
        while len(self._kept) > 1 - one and (len(self._kept) > self.most_models - one
                                             or sum(size for _, size in self._kept.values()) + coming > self.most_bytes):
            self._kept.popitem(last=False)
