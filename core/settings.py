"""Where data and runs live and what this installation allows, read once from environment variables PLAYGROUND_*."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.fields import ConfigError


@dataclass(frozen=True)
class Settings:
    """One installation's places and limits.

    data_dir: data sets in torchvision's layout (PLAYGROUND_DATA); only ever written to by a download a person asks for.
    runs_dir: the run database and checkpoints (PLAYGROUND_RUNS).
    cache_dir: unpacked and prepared copies of the data, safe to delete (PLAYGROUND_CACHE).
    workers: training processes (PLAYGROUND_WORKERS); each takes about 400 MB and is fastest with the cores to itself.
        0 shows what has been trained and trains nothing.
    """

    data_dir: Path
    runs_dir: Path
    cache_dir: Path
    workers: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> "Settings":
        """Settings from PLAYGROUND_* variables; places that are not named lie below `home` (the working directory).

        Raises:
            ConfigError: PLAYGROUND_WORKERS is not a whole number from 0 to 16.
        """
        home = home or Path.cwd()
        workers = environment.get("PLAYGROUND_WORKERS", "1")
        if not workers.isascii() or not workers.isdigit() or not 0 <= int(workers) <= 16:
            raise ConfigError(f"PLAYGROUND_WORKERS is {workers!r}; it must be a whole number from 0 to 16")
        return cls(
            data_dir=Path(environment.get("PLAYGROUND_DATA") or home / "data").expanduser().absolute(),
            runs_dir=Path(environment.get("PLAYGROUND_RUNS") or home / "runs").expanduser().absolute(),
            cache_dir=Path(environment.get("PLAYGROUND_CACHE") or default_cache_dir(environment)).expanduser().absolute(),
            workers=int(workers),
        )

    def with_places(self, data: str | None = None, runs: str | None = None) -> "Settings":
        """A copy with other directories, as the command line's --data and --runs give them."""
        return replace(self, data_dir=Path(data).expanduser().absolute() if data else self.data_dir,
                       runs_dir=Path(runs).expanduser().absolute() if runs else self.runs_dir)


def default_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache directory, or one below the temporary directory where no home can be written to."""
    base = Path(environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    if os.access(base if base.exists() else base.parent, os.W_OK):
        return base / "torch-playground"
    return Path(tempfile.gettempdir()) / "torch-playground-cache"
