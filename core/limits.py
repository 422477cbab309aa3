"""What one visitor may take of a server that many use, so that there is something left for the others."""

import re
from dataclasses import dataclass, fields

from core.fields import ConfigError

MOST = 10**9


@dataclass(frozen=True)
class Limits:
    """Each for one visitor, but all_waiting; 0 is no limit.

    waiting: runs of theirs that wait in the queue. all_waiting: runs of everybody that wait.
    run_minutes: of training, for one run. hour_minutes: of training, all of their runs within an hour together.
    pause_minutes: that a run may be paused in all, single steps in between or not, while others wait.
    parameters: of a network. examples: training examples that a run looks at, all epochs together.
    runs: that are kept. megabytes: of data sets, drawings and texts that are kept.
    """

    waiting: int = 3
    all_waiting: int = 60
    run_minutes: int = 10
    hour_minutes: int = 30
    pause_minutes: int = 5
    parameters: int = 5_000_000
    examples: int = 2_000_000
    runs: int = 200
    megabytes: int = 200

    @classmethod
    def read(cls, text: str) -> "Limits":
        """The usual ones but for those that are named: "waiting=5, run_minutes=0". Raises ConfigError."""
        found, known = {}, [one.name for one in fields(cls)]
        for part in filter(None, re.split(r"[,\s]+", text)):
            name, _, number = part.partition("=")
            if name not in known or not re.fullmatch(r"[0-9]{1,10}", number) or int(number) > MOST:
                raise ConfigError(f"PLAYGROUND_LIMITS names {part[:60]!r}; it must be like waiting=5, with one of "
                                  f"{', '.join(known)} and a whole number up to {MOST:,}, 0 for no limit")
            found[name] = int(number)
        return cls(**found)


NO_LIMITS = Limits(*(0 for _ in fields(Limits)))
