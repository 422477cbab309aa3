"""The lab on transfer learning: which network's features are used, and for which new classes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st
from torch import nn

from core.config import DataConfig
from core.data import DATASETS, DataError, Dataset, spec_of
from core.labs.text import learn
from core.labs.transfer import DIGITS, TARGET, few_data, source_config
from core.models import ModelConfig
from core.runs import CheckpointError, Run, has_checkpoint
from core.runs.evaluations import weights_stamp
from core.settings import Settings
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, trained_model

HERE = ""  # in place of a run's id: a network that is taught on the spot
SHAPE = (1, 28, 28)


@dataclass(frozen=True)
class Subject:
    """model: gives the trained network, which may have to learn first; config: its architecture; run: its id, HERE for none;
    weights: tells its weights from others; data: of the new classes, as data_config says."""

    model: Callable[[], nn.Module]
    config: ModelConfig
    run: str
    weights: str
    data: Dataset
    data_config: DataConfig


def taught(settings: Settings) -> nn.Module:
    """A network that has learned 0 to 4 here, for reading."""
    return _taught(settings.data_dir, settings.cache_dir, settings)


@st.cache_resource(max_entries=2, show_spinner="Learning the digits 0 to 4…")
def _taught(data_dir: Path, cache_dir: Path, _settings: Settings) -> nn.Module:
    config = source_config()
    return learn(config, dataset(config.data, _settings))


def choose(server: Services) -> Subject | None:
    """The network and the new classes; None, with a line, where they can't be used."""
    runs = {run.id: run for run in server.store.runs() if _is_usable(server, run)}
    names = {HERE: "a CNN that learns 0 to 4 here"} | {run.id: f"{run.title or 'Run'} ({run.id[:4]})" for run in runs.values()}
    targets = [name for name in DATASETS if _offers(name, server.settings)]
    left, right = st.columns(2)
    if st.session_state.get("transfer.source", HERE) not in names:  # deleted since
        st.session_state["transfer.source"] = HERE
    source = left.selectbox("Features of", list(names), format_func=names.__getitem__, key="transfer.source",
                            bind="query-params", help="Runs on images of 1×28×28 that have ended appear here, too.")
    target = right.selectbox("New classes", targets, targets.index("digits"), format_func=_title, key="transfer.target",
                             bind="query-params",
                             help="Data sets of 1×28×28 that are on this machine.")
    try:
        return _subject(server, runs.get(source), target)
    except (DataError, CheckpointError) as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None


def _subject(server: Services, run: Run | None, target: str) -> Subject:
    data_config = few_data(target)
    if run is None:
        model, config, weights, seen = partial(taught, server.settings), source_config().model, "", set()
    else:
        trained = trained_model(server.store, run.id)
        model, config, weights = lambda: trained.model, run.config.model, str(weights_stamp(server.store, run.id))
        data_config = data_config.model_copy(update={"normalization": run.config.data.normalization})
        seen = set(run.config.data.only_classes or spec_of(target).classes) if run.config.data.dataset == target else set()
    data = dataset(data_config, server.settings)
    if seen & set(data.classes):
        st.info("This network has learned from images of these very classes, so its features know them: the comparison says "
                "nothing about new ones.", icon=":material/info:")
    return Subject(model, config, run.id if run is not None else HERE, weights, data, data_config)


def _is_usable(server: Services, run: Run) -> bool:
    """Whether it has ended with weights and looks at images of SHAPE as they are."""
    spec = DATASETS.get(run.config.data.dataset)
    return (spec is not None and spec.input_shape == SHAPE and not run.config.data.transforms and not run.is_active
            and has_checkpoint(server.store, run.id))


def _offers(name: str, settings: Settings) -> bool:
    spec = DATASETS[name]
    return spec.kind == "images" and spec.input_shape == SHAPE and spec.is_available(settings.data_dir)


def _title(name: str) -> str:
    return f"{DATASETS[name].title}: {TARGET[0]} to {TARGET[-1]}" if name in DIGITS else DATASETS[name].title


