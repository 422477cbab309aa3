"""What all sessions of the server share: settings, store, engine, loaded data and trained models."""

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from core.actors import LOCAL, Actor
from core.cluster.engine import engine_for
from core.config import DataConfig
from core.data import DataError, Dataset, load
from core.evaluation.ood.score import OODReference
from core.lessons.class_sets import FEWEST
from core.memory import MappedData, drop_mapped_pages
from core.runs import CheckpointError, Run, RunNotFound, RunStore, StoreError, TrainedModel, checkpoint_path
from core.runs.engine import ProcessEngine
from core.runs.model_cache import ModelCache
from core.runs.ood_reference import FILE, load_reference, reference_of, want_reference
from core.settings import Settings
from core.sweeps import SweepService
from pages.parts.shell import class_set, keys, lesson
from pages.parts.shell.markdown import as_text
from pages.parts.shell.visitor import asking


@dataclass(frozen=True)
class Services:
    """One server's settings, store, engine, and what drives its searches over settings. actor: who asks, for whom store and
    engine check what they do."""

    settings: Settings
    store: RunStore
    engine: ProcessEngine
    sweeps: SweepService
    actor: Actor = LOCAL

    def close(self) -> None:
        """End what this server has started; searches are left to the next one."""
        self.sweeps.close()
        self.engine.close()

    @property
    def private(self) -> bool:
        """Whether what this person brings is theirs alone."""
        return self.actor.kind == "visitor"

    @property
    def who_can(self) -> str:
        """Who can do something with a run that this person brings, at the beginning of a sentence."""
        if self.actor.is_local:
            return "Everybody who can open this app"
        return "You, the teacher and whoever has the run's link" if self.private else "You and whoever has the run's link"

    @property
    def about_saving(self) -> str:
        """What becomes of a data set that this person keeps."""
        if self.private:
            return "It is on Explore data then, for you to train on. Others do not see it there."
        deletes = " or delete it." if self.actor.is_local else "; only a teacher can delete it."
        return f"Everybody who can open this app sees it then, on Explore data, and can train on it{deletes}"

    def may_change(self, run: Run) -> bool:
        """Whether buttons that change it are offered; store and engine refuse them anyway."""
        return self.actor.may_change(run.owner)


def services() -> Services:
    """The server's services, for whoever asks and in the lesson that is taken; on trouble with the runs directory one line on the
    page, and the page ends there where nothing can be read either."""
    try:
        settings = Settings.from_environment()
        started = _start(repr(settings), settings)
    except (StoreError, ValueError) as error:
        st.error(as_text(str(error)), icon=":material/folder_off:")
        st.stop()
    if started.store.read_only:
        st.warning(f"{as_text(started.store.read_only)} What is there can be looked at; nothing can be trained or changed until "
                   "that is mended. Deleting runs frees space.", icon=":material/edit_off:")
    if started.engine.trouble:
        st.warning(f"{as_text(started.engine.trouble)} Runs wait in the queue until then.", icon=":material/cloud_off:")
    actor = asking(settings)
    if (now := lesson.taken()) is not None:
        started = replace(started, store=started.store.in_lesson(now.code), engine=started.engine.in_lesson(now.code))
    _with_class_set(started, actor)
    if actor.is_local:
        return replace(started, actor=actor)
    return replace(started, store=started.store.as_actor(actor), engine=started.engine.as_actor(actor), actor=actor)


def _with_class_set(started: "Services", actor: Actor) -> None:
    """Where the class of a lesson draws digits: the data set of them as it is when a page is opened. Not as they are drawn."""
    now, page = lesson.taken(), st.session_state.get(keys.PAGE)
    if now is None or not now.draws or page == class_set.PAGE:
        return
    try:
        if class_set.of(now.code) is None or st.session_state.get(keys.PAGE_BEFORE) != page:
            class_set.renew(now.code, started.settings, actor, started.store.names)
    except DataError as error:
        st.warning(as_text(str(error)), icon=":material/groups:")
    own = class_set.of(now.code)
    if now.class_data and (own is None or not own.name):
        st.info(f"The class has drawn fewer than {FEWEST} digits, too few to train on: these are other ones until then.",
                icon=":material/groups:")


@st.cache_resource(show_spinner="Starting the training process…", on_release=lambda started: started.close())
def _start(key: str, _settings: Settings) -> Services:
    store = RunStore(_settings.runs_dir, in_turns=_settings.hosted)
    engine = engine_for(store, _settings)
    return Services(_settings, store, engine, SweepService(engine, store, _settings))


def dataset(config: DataConfig, settings: Settings) -> Dataset:
    """A data set, memory-mapped, for all sessions to read; what they have read leaves the server's memory by itself. Raises
    DataError."""
    where = f"{settings.data_dir}\n{settings.cache_dir}"
    return _dataset(config.model_dump_json(), where, config, settings)  # texts, which it hashes at once


@st.cache_resource(max_entries=8, show_spinner="Reading the data…")
def _dataset(key: str, where: str, _config: DataConfig, _settings: Settings) -> Dataset:
    data = load(_config, _settings.data_dir, _settings.cache_dir)
    images = data.train.images, data.validation.images, data.test.images
    _mapped().add(*images)
    drop_mapped_pages(*images)  # mean and deviation may have taken a look at all of them
    return data


@st.cache_resource(show_spinner=False, on_release=lambda mapped: mapped.close())
def _mapped() -> MappedData:
    return MappedData()


def trained_model(store: RunStore, run_id: str) -> TrainedModel:
    """A run's network, read again when its checkpoint has changed. Raises CheckpointError, also where the run was deleted
    after the page had listed it."""
    try:
        return _models().get(store, run_id)
    except RunNotFound as error:
        raise CheckpointError(str(error)) from None


@st.cache_resource(show_spinner=False)
def _models() -> ModelCache:
    return ModelCache()


def familiar(server: Services, run_id: str, model: TrainedModel, here: bool = True) -> tuple[OODReference | None, bool]:
    """What a run's training images look like to its network, and whether the training process has yet to work it out; None and
    False where that can't be known. Nobody waits for it here, but where there is no training process; here=False: nor then.
    Raises RunNotFound."""
    checkpoint = checkpoint_path(server.store, run_id)
    kept = _kept(server, run_id, _changed(checkpoint), _changed(checkpoint.parent / FILE))
    if kept is not None:
        return kept, False
    if not server.settings.workers:  # there is no other process to ask
        return _worked_out(server, model, run_id, str(checkpoint), _changed(checkpoint)) if here else None, False
    try:
        if want_reference(server.store, run_id):
            return None, True
    except OSError:
        pass  # a full or locked disk: the answer stands without it
    return load_reference(server.store, run_id, oldest=1), False


def _changed(path: Path) -> int:
    """When a file was written last, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(_server: Services, run_id: str, weights: int, reference: int) -> OODReference | None:
    return load_reference(_server.store, run_id)


@st.cache_resource(max_entries=8, show_spinner="Looking at the training images…")
def _worked_out(_server: Services, _model: TrainedModel, run_id: str, path: str, changed: int) -> OODReference | None:
    return reference_of(_server.store, run_id, _model, _server.settings)
