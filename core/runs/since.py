"""For how long something has been as it is, by the clock of the process that looks at it.

Times in the store are of the machine that wrote them: another one's clock may be minutes off, and any clock may be set anew.
"""

import time
from collections.abc import Callable, Hashable


class Since:
    """Remembers when it first saw a value. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seen: dict[Hashable, tuple[object, float]] = {}

    def seconds(self, key: Hashable, value: object) -> float:
        """For how many seconds the value of this key has been this one; 0 where it is seen for the first time."""
        now = self.clock()
        before = self._seen.get(key)
        if before is None or before[0] != value:
            self._seen[key] = before = value, now
        return now - before[1]

    def clear(self) -> None:
        """Begin anew with all of them."""
        self._seen.clear()

    def keep(self, keys: set[Hashable]) -> None:
        """Forget all others: they are gone, and would pile up."""
        for key in self._seen.keys() - keys:
            del self._seen[key]


class Total:
    """How long something has been so in all, as far as it was looked at. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seen: dict[Hashable, tuple[float, float, bool]] = {}  # total, when it was looked at last, whether it was so then

    def seconds(self, key: Hashable, is_so: bool) -> float:
        """For how many seconds in all it was so; a time between two looks counts where it was so at the first of them."""
        now = self.clock()
        total, last, was = self._seen.get(key, (0.0, now, False))
        total += now - last if was else 0.0
        self._seen[key] = total, now, is_so
        return total

    def keep(self, keys: set[Hashable]) -> None:
        """Forget all others."""
        for key in self._seen.keys() - keys:
            del self._seen[key]
