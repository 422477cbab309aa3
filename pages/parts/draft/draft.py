"""The RunConfig that a session's forms edit. Pages that show it call draft() at their beginning, address.keep() at their end."""

from contextlib import suppress
from typing import Any

import streamlit as st

from core.config import DataConfig, RunConfig, read_config
from core.data import DataError, check, default_config, is_own, outline, spec_of
from core.data.combine import without_misfits
from core.data.sources import owners_of
from core.fields import ConfigError
from core.lessons.class_sets import as_it_is_now, train_config
from core.models import MLPConfig, ModelConfig, ModelError, StackConfig
from core.models.composer import from_model_config
from core.models.pretrained import IMAGENET
from core.presets import PRESETS
from core.runs import RunNotFound, RunUnreadable, StoreError
from core.settings import Settings
from core.training import outputs_for
from core.transforms import Steps
from pages.parts.draft import address
from pages.parts.shell import class_set, keys, lesson
from pages.parts.shell.services import Services
from pages.parts.shell.versions import Form
from pages.parts.shell.visitor import asking

FORM = Form("form", keys.DRAFT_VERSION)


def first_preset(settings: Settings) -> str:
    """The preset a newcomer starts with: MNIST where it is there, else the digits that need no download."""
    return "mnist-mlp-50" if spec_of("mnist").is_available(settings.data_dir) else "digits-quick"


def draft(server: Services) -> RunConfig:
    """The session's config in the making: what the address asks for, else what was chosen before. At first it is that of the run
    that is looked at, or a first preset's; in a lesson what that starts from, once for each preset of it."""
    settings, first = server.settings, _first(server)
    said, reached = address.news(), lesson.reached(keys.LESSON_DRAFT)
    if reached == "begun" or said is not None or keys.DRAFT not in st.session_state:
        take(address.read(said or {}, first))
        st.session_state.pop(keys.LAST_DRAFT, None)  # nothing starts by itself because of it
    elif reached == "changed":
        take(lesson.applied_anew(read_config(st.session_state[keys.DRAFT])))
        st.session_state.pop(keys.LAST_DRAFT, None)
    _with_class_set(settings)
    config = read_config(st.session_state[keys.DRAFT])
    try:
        spec_of(config.data.dataset, settings.data_dir)
    except DataError:  # somebody has deleted it since, or the settings are those of a run from elsewhere
        st.toast(f"The data set of these settings is not here; {spec_of('digits').title} takes its place.",
                 icon=":material/delete:")
        take_data(default_config("digits"))
    if settings.hosted and not lesson.is_fixed("data.dataset"):  # else its start says why it can't be
        _without_others(settings)
    config = _without_deleted(read_config(st.session_state[keys.DRAFT]), settings)
    address.put_in_words(config, first)
    return config


def _first(server: Services) -> RunConfig:
    """What a page begins with whose address names no draft."""
    if (now := lesson.taken()) is not None:
        return lesson.start_of(now)
    run_id = st.session_state.get(keys.RUN)
    with suppress(RunNotFound, RunUnreadable, StoreError):  # Train model says so
        if run_id and (run := server.store.get(run_id)).kind == "training":
            return run.config
    return PRESETS[first_preset(server.settings)].config


def _without_others(settings: Settings) -> None:
    """The settings of another's run may name data that only they may train on."""
    data = read_config(st.session_state[keys.DRAFT]).data
    if not all(map(asking(settings).may_use, owners_of(data, settings.data_dir))):
        st.toast(f"These settings' data belong to somebody else; {spec_of('digits').title} takes their place.",
                 icon=":material/lock:")
        take_data(default_config("digits"))


def _with_class_set(settings: Settings) -> None:
    """What the class of the lesson has drawn, as it was when this page was opened."""
    now = lesson.taken()
    own = class_set.of(now.code) if now is not None and now.draws else None
    if now is None or own is None or not own.name:
        return
    config = read_config(st.session_state[keys.DRAFT])
    with suppress(DataError):  # damaged: the page says so
        data = as_it_is_now(config.data, own.name, settings.data_dir)
        if now.class_data and data.dataset != own.name:  # the first time that there is enough of it
            data = train_config(own.name, root=settings.data_dir)
        if data != config.data:
            take(config.model_copy(update={"data": data}))


def _fitting(before: DataConfig, data: DataConfig) -> DataConfig:
    """Changed data with what belongs to it: of another data set only joins and classes that fit, and the question about the same
    class, where it is still there. Raises DataError for what can't be combined."""
    if data.dataset != before.dataset:
        data = without_misfits(data)
    classes, old = outline(data).source_classes, outline(before).source_classes
    asked = old[before.target] if before.target < len(old) else ""
    if classes == old or not classes:
        return data
    target = classes.index(asked) if asked in classes else min(data.target, len(classes) - 1)
    return data.model_copy(update={"target": target})


def _without_deleted(config: RunConfig, settings: Settings) -> RunConfig:
    """The draft without joined images that somebody has deleted since."""
    fitting = without_misfits(config.data, settings.data_dir)
    if fitting != config.data:
        st.toast("Data that was joined or chosen is not there any more; it has been left out.", icon=":material/delete:")
        take(config.model_copy(update={"data": fitting}))
    return read_config(st.session_state[keys.DRAFT])


def preset_of(config: RunConfig) -> str:
    """The name of the preset that a config is; in a lesson, as that gives it to whoever has this session. "" for one's own."""
    same = next((name for name, entry in PRESETS.items() if entry.config == config), "")
    now = lesson.taken()
    if same or now is None:
        return same
    names = [now.lesson.preset_at(now.number), *PRESETS]  # several may be the same here, such as with its own data
    return next((name for name in names if lesson.applied(PRESETS[name].config) == config), "")


def take_preset(name: str) -> None:
    """Start from a preset."""
    take(PRESETS[name].config)


def take(config: RunConfig) -> None:
    """Replace the draft, in a lesson as far as that allows; the forms show the new values."""
    _set(lesson.applied(config))
    FORM.renew()


def _set(config: RunConfig) -> None:
    st.session_state[keys.DRAFT] = config.model_dump(mode="json")
    address.put_in_words(config)


def take_data(data: DataConfig) -> None:
    """Another data set for the draft; what it asks, as far as it has that class, and how it normalises stay as they are."""
    values = st.session_state[keys.DRAFT]["data"]
    kept = {name: values[name] for name in ("task", "target")}
    kept |= fitting_normalization(DataConfig.model_validate(values), data.dataset)
    if spec_of(data.dataset).kind == "images":
        kept["transforms"] = values["transforms"]
    kept["target"] = max(0, min(kept["target"], len(outline(data).source_classes) - 1))
    take(read_config(st.session_state[keys.DRAFT] | {"data": data.model_dump(mode="json") | kept}))


def fitting_normalization(data: DataConfig, dataset: str) -> dict[str, Any]:
    """How `data` normalises, for another data set; by that one's own mean and deviation where numbers are for other channels."""
    kept = {name: getattr(data, name) for name in ("normalization", "channel_mean", "channel_std")}
    if data.normalization not in {"imagenet", "channels"}:
        return kept
    try:
        check(default_config(dataset).model_copy(update=kept))
    except DataError:
        return {"normalization": "standard"}
    return kept


def take_transforms(dataset: str, steps: Steps) -> None:
    """Transforms for the draft, on the data set they were composed for."""
    if st.session_state[keys.DRAFT]["data"]["dataset"] != dataset:
        take_data(default_config(dataset))
    values = st.session_state[keys.DRAFT]
    changed = values["data"] | {"transforms": [step.model_dump(mode="json") for step in steps]}
    take(read_config(values | {"data": changed}))


def take_kind(data: DataConfig) -> None:
    """Another kind of data for the draft, such as points after images, with a loss and a network that can take it."""
    config = read_config(st.session_state[keys.DRAFT])
    is_number, was_number = (not spec_of(name).classes for name in (data.dataset, config.data.dataset))
    loss = "mse" if is_number else "cross_entropy" if was_number else config.training.loss
    fits = spec_of(data.dataset).kind == "images" or config.model.architecture in {"mlp", "softmax_regression"}
    take(config.model_copy(update={"data": data, "model": config.model if fits else MLPConfig(hidden=(8,)),
                                   "training": config.training.model_copy(update={"loss": loss})}))


def take_model(model: ModelConfig) -> None:
    """Another network for the draft; data and training stay as they are, and in a lesson so does a network that it fixes."""
    before = read_config(st.session_state[keys.DRAFT])
    if line := lesson.problem(before.model_copy(update={"model": model})):
        st.session_state["problem.model.architecture"] = line
        return
    st.session_state.pop("problem.model.architecture", None)
    _set(before.model_copy(update={"model": model}))
    if before.model.architecture != model.architecture:
        FORM.renew()


def take_apart() -> None:
    """The draft's network as a composition to change layer by layer; a small one where it can't be taken apart."""
    config = read_config(st.session_state[keys.DRAFT])
    shape = outline(config.data)
    try:
        stack = from_model_config(config.model, shape.input_shape, outputs_for(config, len(shape.source_classes)))
    except ModelError:
        stack = StackConfig()
    take_model(stack)


def put(path: str, value: object) -> None:
    """Change one dotted field of the draft from outside its form, which then shows it."""
    change(path, value)
    FORM.renew()


def change(path: str, value: object) -> None:
    """Change one dotted field of the draft; a value that is not allowed leaves it as it was and says why."""
    if (path, value) == ("model.architecture", "stack"):
        return take_apart()
    before = st.session_state[keys.DRAFT]["data"]["dataset"]
    if path == "data.dataset" and (is_own(str(value)) or is_own(before)):
        return take_data(default_config(str(value)))  # its size may be anything: as many held back as suits it
    if path == "data.dataset" and isinstance(value, str) and _is_another_kind(value):
        return take_kind(default_config(value))
    try:
        config = read_config(st.session_state[keys.DRAFT]).with_values({path: value})
    except ConfigError as error:
        st.session_state[f"problem.{path}"] = str(error)
        return
    if ((path, value) == ("training.start_from", IMAGENET) and spec_of(config.data.dataset).kind == "images"
            and not lesson.is_fixed("data.normalization")):  # as those weights were learned
        config = config.with_values({"data.normalization": "imagenet"})
        FORM.renew()
    try:
        fitting = _fitting(read_config(st.session_state[keys.DRAFT]).data, config.data)
    except DataError as error:  # such as one class, to which another will be added
        st.session_state[f"problem.{path}"] = str(error)
        return
    if fitting != config.data:
        config = config.model_copy(update={"data": fitting})
        FORM.renew()
    if line := lesson.problem(config):
        st.session_state[f"problem.{path}"] = line
        return
    st.session_state.pop(f"problem.{path}", None)
    _set(config)
    if path.endswith((".architecture", "optimizer.name")):  # other fields now, at their own defaults
        FORM.renew()


def _is_another_kind(name: str) -> bool:
    """Whether this data set has other examples, or asks for something else, than the draft's."""
    old, new = spec_of(st.session_state[keys.DRAFT]["data"]["dataset"]), spec_of(name)
    return (old.kind, old.target) != (new.kind, new.target)
