"""Why?: what has been worked out about one image, and networks for which some of it takes long."""

import hashlib
import weakref
from collections.abc import Callable
from typing import Any

import streamlit as st
from torch import Tensor

from core.inspection.explain.scores import ClassScores
from core.memory import trim_heap
from core.runs import TrainedModel
from pages.parts.shell import keys

KEPT = 24  # results of one image; then the first ones are forgotten
HEAVY = 8_000_000  # parameters; resnet18 has 11 million, and hundreds of questions to it take many seconds


class Asked:
    """Results about one image of one model, kept in the session, so that one setting does not repeat all the others' work."""

    def __init__(self, model: TrainedModel, image: Tensor) -> None:
        self.model = model
        self.stamp = hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=8).hexdigest()
        self.parameters = sum(parameter.numel() for parameter in model.model.parameters())
        kept = st.session_state.get(keys.WHY)
        if kept is None or kept[0]() is not model or kept[1] != self.stamp:
            # a weak reference: a session does not keep a network alive that the server has forgotten
            kept = st.session_state[keys.WHY] = (weakref.ref(model), self.stamp, {})
        self.results: dict[tuple[Any, ...], Any] = kept[2]

    def scores(self) -> ClassScores:
        """The network as a function from pixels to scores, in a copy."""
        return ClassScores(self.model.model, self.model.mean, self.model.std)

    def result(self, work: Callable[[], Any], *what: Any) -> Any:
        """What `work` returns; done once for each `what`."""
        if what not in self.results:
            while len(self.results) >= KEPT:
                del self.results[next(iter(self.results))]
            self.results[what] = work()
            trim_heap()  # gradients of a large network leave a hundred megabytes of small blocks behind; takes 1 to 4 ms
        return self.results[what]

    def after_click(self, label: str, key: str, *what: Any) -> bool:
        """Whether to work it out now: at once for small networks, when a button is pressed for large ones."""
        if self.parameters < HEAVY or what in self.results:
            return True
        st.caption(f"This network has {self.parameters:,} parameters, so this can take a minute.")
        return st.button(label, icon=":material/play_arrow:", key=key)
