"""Where data and runs live and what this installation allows, read once from environment variables PLAYGROUND_*."""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.fields import ConfigError
from core.limits import NO_LIMITS, Limits
from core.sinks import SINKS

GIGABYTE = 10**9
MODES = ("local", "hosted")
ENGINES = ("local", "ray")
MOST_LOCAL, MOST_ON_CLUSTER = 16, 256  # runs at once
CLUSTER = re.compile(r"(ray://)?[A-Za-z0-9.\-\[\]:_]{1,253}:[0-9]{1,5}")  # an address that Ray joins and never starts anything at
FEWEST_SIGNS = 12  # of the teacher's code: a thousand tries a minute never get there
DISK_BUDGET = 10 * GIGABYTE  # of runs, where nobody says


@dataclass(frozen=True)
class Settings:
    """One installation's places and limits.

    data_dir: data sets in torchvision's layout (PLAYGROUND_DATA); written to by downloads a person asks for, by images of
        their own (imported/) and by what classes draw (class_digits/).
    runs_dir: the run database and checkpoints (PLAYGROUND_RUNS).
    cache_dir: unpacked and prepared copies of the data, safe to delete (PLAYGROUND_CACHE).
    workers: training processes on the processor (PLAYGROUND_WORKERS); each takes about 400 MB and is fastest with the cores to
        itself. Every GPU has one more. 0 shows what has been trained and trains nothing. On a cluster: runs at once, at most.
    cluster: address of the Ray cluster that trains (RAY_ADDRESS, where PLAYGROUND_ENGINE is "ray"); "" where this machine does.
    cluster_cores: processor cores that a run on the cluster asks for (PLAYGROUND_RAY_CORES).
    cuda_graphs: whether training steps may be recorded and replayed on a CUDA GPU (PLAYGROUND_CUDA_GRAPHS): off, as no GPU has
        tried that yet.
    disk_budget: bytes that all runs together may take before deleted ones are removed and moments of old ones thinned
        (PLAYGROUND_DISK, in GB); 0 is no limit.
    sink: where metrics of runs go as well, a name in core.sinks.SINKS (PLAYGROUND_SINK); "" for nowhere else.
    hosted: many people use this server, and each sees and changes their own runs alone (PLAYGROUND_MODE, "local" or "hosted").
    user_header: the header in which a trusted proxy says who is asking (PLAYGROUND_USER_HEADER); "" where none does.
    limits: what one visitor may take, on such a server (PLAYGROUND_LIMITS, such as "waiting=5, run_minutes=0").
    teacher: the code that makes a visitor the teacher (PLAYGROUND_TEACHER); "" where there is none.
    """

    data_dir: Path
    runs_dir: Path
    cache_dir: Path
    workers: int = 1
    cuda_graphs: bool = False
    disk_budget: int = DISK_BUDGET
    sink: str = ""
    hosted: bool = False
    limits: Limits = NO_LIMITS
    user_header: str = ""
    teacher: str = field(default="", repr=False)
    cluster: str = ""
    cluster_cores: int = 2

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> "Settings":
        """Settings from PLAYGROUND_* variables; places that are not named lie below `home` (the working directory).

        Raises:
            ConfigError: PLAYGROUND_WORKERS is not a whole number from 0 to 16, or to 256 on a cluster, PLAYGROUND_ENGINE neither
                local nor ray, RAY_ADDRESS no address then, PLAYGROUND_RAY_CORES no number, PLAYGROUND_CUDA_GRAPHS neither 0 nor
                1, PLAYGROUND_DISK no number of GB, PLAYGROUND_SINK none of SINKS, PLAYGROUND_MODE neither local nor hosted,
                PLAYGROUND_USER_HEADER no name of a header, PLAYGROUND_TEACHER too short, PLAYGROUND_LIMITS no limits, or a place
                lies below an unknown user's home.
        """
        home = home or Path.cwd()
        engine = environment.get("PLAYGROUND_ENGINE") or "local"
        if engine not in ENGINES:
            raise ConfigError(f"PLAYGROUND_ENGINE is {engine!r}; it must be local or ray")
        cluster = (environment.get("RAY_ADDRESS") or "") if engine == "ray" else ""
        if engine == "ray" and not (CLUSTER.fullmatch(cluster) and 0 < int(cluster.rpartition(":")[2]) < 65_536):
            raise ConfigError(f"PLAYGROUND_ENGINE is ray, and RAY_ADDRESS is {cluster!r}; it must be where the cluster is, such "
                              "as 10.0.0.5:6379 on one of its machines, or ray://10.0.0.5:10001 from elsewhere")
        workers = _whole(environment, "PLAYGROUND_WORKERS", 1, 0, MOST_ON_CLUSTER if cluster else MOST_LOCAL)
        cores = _whole(environment, "PLAYGROUND_RAY_CORES", cls.cluster_cores, 1, 256)
        graphs = environment.get("PLAYGROUND_CUDA_GRAPHS") or "0"
        if graphs not in ("0", "1"):
            raise ConfigError(f"PLAYGROUND_CUDA_GRAPHS is {graphs!r}; it must be 0 or 1")
        sink = environment.get("PLAYGROUND_SINK") or ""
        if sink and sink not in SINKS:
            raise ConfigError(f"PLAYGROUND_SINK is {sink!r}; it must be {' or '.join(SINKS)}, or empty for none")
        mode = environment.get("PLAYGROUND_MODE") or "local"
        if mode not in MODES:
            raise ConfigError(f"PLAYGROUND_MODE is {mode!r}; it must be local or hosted")
        header = environment.get("PLAYGROUND_USER_HEADER") or ""
        if header and not re.fullmatch(r"[A-Za-z0-9-]{1,64}", header):
            raise ConfigError(f"PLAYGROUND_USER_HEADER is {header!r}; it must be the name of a header, such as X-Forwarded-User")
        teacher = environment.get("PLAYGROUND_TEACHER") or ""
        if teacher and len(teacher) < FEWEST_SIGNS:  # what it is stays unsaid: the line is shown on a page
            raise ConfigError(f"PLAYGROUND_TEACHER has {len(teacher)} signs; it must have {FEWEST_SIGNS} or more")
        return cls(
            data_dir=default_data_dir(environment, home),
            runs_dir=_place(environment.get("PLAYGROUND_RUNS") or home / "runs"),
            cache_dir=_place(environment.get("PLAYGROUND_CACHE") or default_cache_dir(environment)),
            workers=workers,
            cuda_graphs=graphs == "1",
            disk_budget=_bytes_of(environment.get("PLAYGROUND_DISK") or f"{DISK_BUDGET / GIGABYTE:g}"),
            sink=sink,
            hosted=mode == "hosted",
            limits=Limits.read(environment.get("PLAYGROUND_LIMITS") or "") if mode == "hosted" else NO_LIMITS,
            user_header=header,
            teacher=teacher,
            cluster=cluster,
            cluster_cores=cores,
        )

    def with_places(self, data: str | None = None, runs: str | None = None) -> "Settings":
        """A copy with other directories, as the command line's --data and --runs give them."""
        return replace(self, data_dir=_place(data) if data else self.data_dir, runs_dir=_place(runs) if runs else self.runs_dir)


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Raises ConfigError for anything but a whole number of that range."""
    text = environment.get(name) or str(default)
    # the length first: int() refuses thousands of digits with an error of its own
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not least <= int(text) <= most:
        raise ConfigError(f"{name} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)


def _bytes_of(gigabytes: str) -> int:
    """Raises ConfigError for anything but a number of gigabytes from 0 to a million."""
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", gigabytes) or float(gigabytes) > 1e6:
        raise ConfigError(f"PLAYGROUND_DISK is {gigabytes!r}; it must be a number of GB, such as 10 or 0.5, or 0 for no limit")
    return round(float(gigabytes) * GIGABYTE)


def _place(path: str | Path) -> Path:
    """A full path, "~" replaced. Raises ConfigError for "~name" of a user there isn't."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"{path}: that home directory is not known here; write the whole path") from None


def default_data_dir(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Path:
    """PLAYGROUND_DATA, or "data" below `home` (the working directory). Raises ConfigError for an unknown user's home."""
    return _place(environment.get("PLAYGROUND_DATA") or (home or Path.cwd()) / "data")


def default_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache directory, or one below the temporary directory where no home can be written to."""
    temporary = Path(tempfile.gettempdir()) / "torch-playground-cache"
    try:
        base = Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:  # a container's user may have no home at all
        return temporary
    wanted = base / "torch-playground"
    # os.path and not Path.exists, which raises where a parent may not be entered
    there = next((place for place in (wanted, base, base.parent) if os.path.exists(place)), None)
    return wanted if there and os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK) else temporary
