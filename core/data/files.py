"""Which files of the data directory a run learns from: what a machine that hasn't got it is sent."""

from pathlib import Path

from core.config import DataConfig
from core.data.own.sets import FOLDER, PREFIX, is_own
from core.data.sources import DATASETS
from core.data.sources.imdb import ARCHIVE
from core.data.sources.imdb import FOLDER as REVIEWS
from core.data.sources.text_files import OWN


def files_of(config: DataConfig, root: Path) -> list[Path]:
    """The files below `root` that load(config, root) may read, as far as they are there, in the order of their names. None for
    sets that are computed, or come with the app."""
    found: set[Path] = set()
    for name in (config.dataset, *config.join):
        if is_own(name):
            found |= _below(root / FOLDER / name.removeprefix(PREFIX))
        elif name == "own_texts":
            found |= {path for path in (root / OWN).glob("*") if path.stem == config.text_file and path.is_file()}
        elif name == "imdb":
            found |= _below(root / REVIEWS) or {path for path in [root / ARCHIVE] if path.is_file()}
        elif name in DATASETS and DATASETS[name].folder:
            found |= _below(root / DATASETS[name].folder)
    return sorted(found)


def _below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}
