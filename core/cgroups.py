"""What a container may use of the processors, where the system says so: Linux's control groups, versions 1 and 2.

A host that gives an app 2 of its 64 cores shows it all 64; the limit stands in files of the group that the process is in, or of
a group around that one.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cpu_quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Processor cores' worth of time that this process gets at most, 1.5 for one and a half; None where nothing limits it.

    root: where the groups' files are. own: which groups this process is in, lines such as "0::/user/app" or "4:cpu,cpuacct:/app".
    """
    return min((quota for folder in _folders(root, own) if (quota := _quota(folder)) is not None), default=None)


def _folders(root: Path, own: Path) -> Iterator[Path]:
    """Those that can limit the processor time: this process's group in either version, and all around it."""
    yield from (root, root / "cpu", root / "cpu,cpuacct")  # in a container its own group is often shown as the root
    with suppress(OSError, ValueError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            named = controllers.split(",")
            if controllers and "cpu" not in named:
                continue
            for top in [root, root / "unified"] if not controllers else [root / controllers, root / "cpu"]:
                group = top / path.lstrip("/")
                yield from (folder for folder in (group, *group.parents)
                            if folder.is_relative_to(top) and ".." not in folder.parts)


def _quota(folder: Path) -> float | None:
    """The limit that one group's files name."""
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()  # version 2: "150000 100000", "max 100000"
        return _share(quota, period)
    with suppress(OSError, ValueError):
        quota, period = ((folder / name).read_text(encoding="utf-8") for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        return _share(quota, period)  # version 1: -1 for no limit
    return None


def _share(quota: str, period: str) -> float | None:
    microseconds, each = int(quota), int(period)
    return microseconds / each if microseconds > 0 and each > 0 else None
