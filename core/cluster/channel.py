"""One run's way between its training and the server, on the worker's side: what one thread says is fetched by another.

The server fetches: a worker can't call it. What the training says keeps its order, and it waits only for what it asks.
"""

import threading
from collections.abc import Sequence
from typing import Any

from core.cluster.messages import KEEP, Answer, Call, News, Order

MOST_WAITING = 2_000  # calls; a training that is so far ahead of the server waits for it
SECONDS_PER_FETCH = 0.2  # at most, until the server is answered that there is nothing


class Channel:
    """order: what the server said last."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._answers: dict[int, Answer] = {}
        self._number = 0
        self._ended, self._error = False, ""

    # --- the training

    def tell(self, name: str, *arguments: Any, **named: Any) -> None:
        """Say something without waiting for an answer. A file's earlier content that was not fetched yet is left out."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._calls) < MOST_WAITING)
            if name == KEEP:
                self._calls = [call for call in self._calls if (call.name, call.arguments[:2]) != (KEEP, arguments[:2])]
            self._calls.append(Call(name, arguments, named))
            self._changed.notify_all()

    def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What the server answers. Raises what it raised."""
        with self._changed:
            self._number += 1
            number = self._number
            self._calls.append(Call(name, arguments, named, number))
            self._changed.notify_all()
            self._changed.wait_for(lambda: number in self._answers)
            answer = self._answers.pop(number)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def end(self, error: str = "") -> None:
        """Nothing more is said."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    # --- the server, by the actor's method

    def exchange(self, order: Order, seconds: float = SECONDS_PER_FETCH) -> News:
        """Take what the server says, and hand over what there is, as soon as there is anything."""
        with self._changed:
            self.order = order
            self._answers |= {answer.number: answer for answer in order.answers}
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._calls or self._ended, seconds)
            calls: Sequence[Call] = self._calls
            self._calls = []
            self._changed.notify_all()
            return News(tuple(calls), self._ended, self._error)

    def give(self, number: int, value: Any) -> None:
        """The answer to what was asked under that number, where it is too large to be part of an order."""
        with self._changed:
            self._answers[number] = Answer(number, value)
            self._changed.notify_all()
