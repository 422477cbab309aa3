"""How fast something arrives: over the last seconds, so that a stall shows and a single piece does not."""

from collections import deque

WINDOW = 3.0  # seconds


class Speed:
    """MB/s over the last three seconds. value: 0 until two moments have been seen."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()  # (seconds, megabytes)
        self._what = ""

    def see(self, what: str, megabytes: float, now: float) -> None:
        """megabytes: all that there is of `what` by now. Fewer than before, or of something else: it began anew."""
        if what != self._what or self._seen and megabytes < self._seen[-1][1]:
            self._what = what
            self._seen.clear()
        self._seen.append((now, megabytes))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()

    @property
    def value(self) -> float:
        if len(self._seen) < 2:
            return 0.0
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start else 0.0
