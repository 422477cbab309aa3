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
