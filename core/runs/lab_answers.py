"""What a training process answers labs while it trains nothing: see core.runs.asked. To let another lab ask, name it in LABS."""

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict

from torch import nn

from core.data import load
from core.devices import with_threads
from core.labs.text import learn
from core.labs.transfer import TransferQuestion, compare, source_config
from core.runs.asked import Taken, take
from core.runs.checkpoints import CheckpointError, load_model
from core.runs.evaluations import weights_stamp
from core.runs.store import RunStore
from core.settings import Settings


class LabAnswers:
    """The answers of one process, one at a time."""

    def __init__(self, store: RunStore, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self.taken: Taken | None = None  # what is being worked on
        self.taught: nn.Module | None = None  # the network that learns 0 to 4, once somebody has asked for it

    def give(self) -> bool:
        """Answer one question that somebody waits for. Returns whether there was one.

        It takes seconds: the page that waits says so, and a run that comes meanwhile waits for the rest of them.
        """
        self.taken = take(self.store)
        if self.taken is None:
            return False
        answer = b""
        try:
            with with_threads(1):  # as the page has: sums of two threads are rounded otherwise, and the answer would be another
                answer = LABS[self.taken.lab](self, self.taken.text).encode()
        except Exception:  # whatever it is, runs are to be done all the same; the page, which tries it then, says why
            traceback.print_exc()  # to this process's log
        self.taken.keep(answer)
        self.taken = None
        return True

    def beat(self) -> None:
        """Say that this process is at it. From another thread."""
        if (taken := self.taken) is not None:
            taken.beat()

    def transfer(self, text: str) -> str:
        """The three ways as core.labs.transfer.ways_from() reads them."""
        question = TransferQuestion.model_validate_json(text)
        if question.run:
            trained = load_model(self.store, question.run)
            if str(weights_stamp(self.store, question.run)) != question.weights:
                raise CheckpointError("These weights were replaced meanwhile.")
            source, model = trained.model, trained.config.model
        else:
            source, model = self._source(), source_config().model
        data = load(question.data, self.settings.data_dir, self.settings.cache_dir)
        return json.dumps([asdict(way) for way in compare(source, data, question.config, model)])

    def _source(self) -> nn.Module:
        if self.taught is None:
            config = source_config()
            self.taught = learn(config, load(config.data, self.settings.data_dir, self.settings.cache_dir))
        return self.taught


LABS: dict[str, Callable[[LabAnswers, str], str]] = {"transfer": LabAnswers.transfer}
