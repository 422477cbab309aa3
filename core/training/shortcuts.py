"""What training takes beyond plain PyTorch because it is faster on some devices, and what becomes of it where it fails.

A shortcut that raises is given up: the training goes on with plain PyTorch, says so in one line, and nobody tries that shortcut
again on such a device in this process.
"""

from collections.abc import Callable
from typing import Literal, TypeVar

import torch

from core.devices import ran_out
from core.errors import reason

Shortcut = Literal["graphs", "fused_optimizer", "adam_kernel", "onednn_products", "blocked_layout", "bfloat16", "channels_last"]
TITLES: dict[Shortcut, str] = {
    "graphs": "Recorded steps (CUDA graphs)",
    "fused_optimizer": "The fused optimizer",
    "adam_kernel": "Adam's kernel, called directly,",
    "onednn_products": "oneDNN's product of matrices",
    "blocked_layout": "oneDNN's layout of images",
    "bfloat16": "bfloat16",
    "channels_last": "The layout channels_last",
}
# what an operation raises that a device, or this version of PyTorch, does not have
FAILURES = (RuntimeError, AttributeError, TypeError, ValueError, AssertionError)
Result = TypeVar("Result")


class Shortcuts:
    """The shortcuts of one training.

    failed: why which shortcut was given up, by device and name; trainings of one process share it, so that none is tried twice.
    graphs: whether steps may be recorded on a CUDA device. No GPU has tried that yet, so somebody has to ask for it.
    """

    def __init__(self, device: torch.device, failed: dict[str, str] | None = None, graphs: bool = False) -> None:
        self.device, self.graphs = device, graphs
        self.failed = {} if failed is None else failed
        self.lines: list[str] = []  # not handed on yet
        self.said: set[Shortcut] = set()

    def usable(self, name: Shortcut) -> bool:
        """Whether it has not failed here. A training that does without says so, once."""
        why = self.failed.get(self.key(name))
        if why is not None:
            self._say(name, f"{TITLES[name]} failed here before ({why}) and was left out; plain PyTorch took its place.")
        return why is None

    def take(self, name: Shortcut, quick: Callable[[], Result], plain: Callable[[], Result]) -> Result:
        """What `quick` returns; where it fails, or has failed, what `plain` does.

        Running out of memory is no failure of a shortcut, and is raised.
        """
        if not self.usable(name):
            return plain()
        try:
            return quick()
        except FAILURES as error:
            self.give_up(name, error)
        return plain()

    def give_up(self, name: Shortcut, error: Exception) -> None:
        """Never again on this device, in this process. Raises the error where it only says that memory has run out."""
        if isinstance(error, RuntimeError) and ran_out(error):
            raise error
        self.failed[self.key(name)] = why = reason(error).rstrip(".")
        self._say(name, f"{TITLES[name]} failed here ({why}) and is not used any more; plain PyTorch takes its place.")

    def news(self) -> list[str]:
        """The lines that have not been handed on yet."""
        lines = self.lines.copy()
        self.lines.clear()
        return lines

    def for_trying(self) -> "Shortcuts":
        """The same without recording, for steps of a copy before a training begins; what fails there is the training's news."""
        others = Shortcuts(self.device, self.failed)
        others.lines, others.said = self.lines, self.said
        return others

    def _say(self, name: Shortcut, line: str) -> None:
        if name not in self.said:
            self.said.add(name)
            self.lines.append(line)

    def key(self, name: Shortcut) -> str:
        """By which `failed` has it."""
        return f"{self.device.type} {name}"
