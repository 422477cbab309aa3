"""Long work that can be given up: a generator that stops between pieces, yields nothing there, and returns what it found.

Who works it out iterates; who ceases to and closes it (close()) has all that it held freed. finish() is for who wants it whole.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Pieces = Generator[None, None, T]


def finish(work: Pieces[T]) -> T:
    """What the work finds, in one go."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value
