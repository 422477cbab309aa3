"""Bounds that the system keeps for a process that reads what a stranger has made."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MEMORY = 288 << 20  # bytes more than it has after its imports
LIBRARY = 256 << 20  # bytes that an import on top of them may map
CPU_SECONDS = 300


def limit(memory: int = MEMORY, seconds: int = CPU_SECONDS) -> None:
    """Bounds on memory and processor time, and no core file. Windows has no such limits."""
    try:
        import resource
    except ImportError:
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(5)  # pages come first
    with suppress(OSError, ValueError, IndexError):  # no /proc on a Mac, which does not keep RLIMIT_AS anyway
        bound = _mapped() + memory
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound + LIBRARY))


def import_beside_limit(load: Callable[[], Any]) -> Any:
    """Import a library that maps much: what it maps does not count against the limit on memory, as that of the others doesn't."""
    try:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if resource.RLIM_INFINITY in (soft, hard) or soft == hard:
            return load()
        before = _mapped()
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        found = load()
        bound = min(hard, soft + max(0, _mapped() - before))
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        return found
    except (ImportError, OSError, ValueError, IndexError):
        return load()


def _mapped() -> int:
    """Bytes that this process has mapped. Raises OSError where the system doesn't say."""
    import resource

    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
