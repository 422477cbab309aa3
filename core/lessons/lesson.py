"""A lesson: what it shows and fixes, as plain JSON; and what it makes of settings."""

import hashlib
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, field_validator, model_validator

from core.config import KIND_PATHS, ClassName, RunConfig
from core.data import DataError, default_config, is_own, spec_of
from core.fields import Config, ConfigError, Setting, describe, explain, setting
from core.lessons.pages import MAY_BE_BARE, PAGES, PICKERS, SECTIONS, Page
from core.presets import PRESETS, UnknownPreset, preset

LONGEST = 64_000  # bytes of a lesson's file
MOST_STEPS = 20
DATASET, SEED = "data.dataset", "training.seed"
OWN_SEEDS = 1, 9999  # from one to the other; 0 is what nobody has chosen
CLASS_DATA = "class"  # as a lesson's data: what its class draws
DRAWN_ON = "collect_digits"  # the page for it
JOINS = "\u200d"  # between the parts of an emoji
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and signs that are drawn as nothing


def _plain(text: str) -> str:
    """Without signs that nobody sees, such as those that turn the direction of writing; spaces of all kinds are spaces."""
    text = "".join(" " if c.isspace() and c != "\n" else c for c in text.replace("\r\n", "\n"))
    return "".join(c for c in text if c.isprintable() or c in "\n" + JOINS).strip()


def is_seen(text: str) -> bool:
    """Whether any sign of a text is drawn: a joiner, a mark that belongs to a letter, or a filler alone is not."""
    return any(c not in BLANK and unicodedata.category(c)[0] not in "CMZ" for c in text)


def _seen(title: str) -> str:
    if title and not is_seen(title):
        raise ValueError("nobody would see it")
    return title


def as_line(text: str) -> str:
    """Words of people in one line, without signs that nobody sees."""
    return " ".join(_plain(text).split())


Line = Annotated[str, Field(max_length=300), AfterValidator(as_line)]
Path = Annotated[str, StringConstraints(pattern=r"^(data|model|training)(\.[a-z][a-z0-9_]{0,40}){1,2}$")]
Parameter = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,60}$")]  # a name in an address
Plain = bool | int | float | Annotated[str, Field(max_length=200)]
Value = Plain | Annotated[tuple[Plain, ...], Field(max_length=20)]
RESERVED = ("run", "lesson", "step")  # in an address, what a lesson has no say in


class Step(Config):
    """One page, and what to do there."""

    title: Line = setting("", "What this step is called.")
    page: Page = setting("home", "The page it is done on.")
    text: Annotated[str, AfterValidator(_plain)] = setting("", "What to do, and what to look for: plain text.", max_length=1500)
    preset: Line = setting("", "The preset that the settings become when this step is reached; empty leaves them as they are.")
    view: dict[Parameter, Annotated[str, Field(max_length=200)]] = setting(
        {}, "What the page's address says after the question mark, such as explore.section = Batches.", max_length=10)

    @field_validator("view")
    @classmethod
    def _no_others(cls, view: dict[str, str]) -> dict[str, str]:
        if reserved := [name for name in view if name in RESERVED]:
            raise ValueError(f"{reserved[0]} is the app's own")
        return view


class Lesson(Config):
    """Pages in an order, what is shown of them, and which settings can be changed and how far."""

    title: Annotated[Line, Field(min_length=1, max_length=80), AfterValidator(_seen)] = setting("A lesson", "What it is called.")
    summary: Line = setting("", "What it is about, in a line.")
    steps: tuple[Step, ...] = setting((Step(),), "What is done, one after the other.", min_length=1, max_length=MOST_STEPS)
    also: tuple[Page, ...] = setting((), "Pages that are shown besides those of its steps.", max_length=len(PAGES))
    sections: dict[Page, tuple[Line, ...]] = setting(
        {}, "Of a page, the parts that are shown. A page that is not named is shown whole.", max_length=len(PAGES))
    preset: Line = setting("digits-quick", "The settings that it starts with.")
    data: ClassName = setting("", "A data set in the place of the preset's, such as the class's own; it can't be changed. "
                              f"“{CLASS_DATA}” is what the class draws on the page Class digits, once there is enough of it.")
    fixed: dict[Path, Value] = setting({}, "Settings that can't be changed, and what they are.", max_length=40)
    ranges: dict[Path, tuple[float, float]] = setting({}, "Settings that can be changed from a least to a largest value.",
                                                     max_length=40)
    seeds: Literal["own", "same", "shared"] = setting(
        "own", "What becomes of equal settings. Own: each pupil begins with a seed of their own, so that equal settings differ "
        "by chance alone. Same: one seed for all, so that equal settings give equal curves. Shared: trained once; whoever starts "
        "the same again is led to that run.")

    @model_validator(mode="after")
    def _fits_together(self) -> "Lesson":
        _check_names(self)
        _check_settings(self)
        return self

    @property
    def pages(self) -> tuple[str, ...]:
        """The pages that it shows, in the order of the app's menu."""
        shown = {step.page for step in self.steps} | set(self.also)
        return tuple(page for page in PAGES if page in shown)

    def shown(self, page: str, parts: list[str]) -> list[str]:
        """Those of a page's parts that it shows."""
        return [part for part in parts if page not in self.sections or part in self.sections[page]]

    def picked_at(self, number: int) -> dict[str, str]:
        """What is looked at on the page of step `number`, counted from 1, as far as it is one of the page's parts and shown: by
        its name in the address."""
        step = self.steps[number - 1]
        hidden = set(SECTIONS.get(step.page, ())) - set(self.shown(step.page, list(SECTIONS.get(step.page, ()))))
        return {name: text for name, text in step.view.items() if text in PICKERS.get(name, ()) and text not in hidden}

    def preset_at(self, number: int) -> str:
        """The name of the preset that the settings started from last when step `number` is reached, counted from 1."""
        return next((step.preset for step in reversed(self.steps[:number]) if step.preset), self.preset)

    def start_at(self, number: int, pupil: str = "") -> RunConfig:
        """The settings that step `number` starts with, where nobody has changed any. pupil: as in applied()."""
        return self.applied(PRESETS[self.preset_at(number)].config, pupil)

    def applied(self, config: RunConfig, pupil: str = "") -> RunConfig:
        """Settings brought to what the lesson allows, as far as they have what it speaks of. pupil: whose they are, by a key that
        stays; in most lessons it gives those who have chosen no seed one of their own, always the same."""
        if pupil and self.seeds == "own" and config.training.seed == 0:
            config = config.with_values({SEED: self._own_seed(pupil)})
        if self.data not in ("", CLASS_DATA) and config.data.dataset != self.data:
            with suppress(DataError):  # it has been deleted: the page says so
                config = config.model_copy(update={"data": default_config(self.data)})
        for path, value in _kinds_first(self.fixed):
            if self._differs(config, path):
                with suppress(ConfigError):  # of other settings than those of its preset
                    config = config.with_values({path: value})
        for path, (least, most) in self.ranges.items():
            now = value_of(config, path)
            if _is_number(now) and not least <= now <= most:
                with suppress(ConfigError):
                    config = config.with_values({path: type(now)(min(max(now, least), most))})
        return config

    def applied_anew(self, config: RunConfig, pupil: str) -> RunConfig:
        """The same for settings of before this lesson was corrected: a seed that was given as somebody's own is given again, or
        no more."""
        if pupil and config.training.seed == self._own_seed(pupil):
            config = config.with_values({SEED: 0})
        return self.applied(config, pupil)

    def _own_seed(self, pupil: str) -> int:
        least, most = self.ranges.get(SEED, OWN_SEEDS)
        number = int.from_bytes(hashlib.sha256(f"seed {pupil}".encode()).digest()[:8])
        return int(least) + number % (int(most) - int(least) + 1)

    def problem(self, config: RunConfig) -> str:
        """Why settings are not those of the lesson, in one line; empty where they are."""
        if self.data not in ("", CLASS_DATA) and config.data.dataset != self.data:
            return "This lesson has a data set of its own."
        for path in self.fixed:
            if self._differs(config, path):
                return f"{_label(config, path)} is {_said(value_of(config, path))}; in this lesson it stays {self.said(path)}."
        for path, (least, most) in self.ranges.items():
            now = value_of(config, path)
            if _is_number(now) and not least <= now <= most:
                return f"{_label(config, path)} is {now:g}; in this lesson it can be from {least:g} to {most:g}."
        return ""

    def check(self, config: RunConfig) -> None:
        """Raises ConfigError with one line for settings that are not those of the lesson."""
        if line := self.problem(config):
            raise ConfigError(line)

    def said(self, path: str) -> str:
        """A fixed value in words."""
        return _said(self.fixed[path])

    def _differs(self, config: RunConfig, path: str) -> bool:
        now, fixed = value_of(config, path), self.fixed[path]
        if now is None:
            return False
        return (list(now) if isinstance(now, tuple) else now) != (list(fixed) if isinstance(fixed, tuple) else fixed)


def read_lesson(text: str | bytes) -> Lesson:
    """A lesson from JSON of unknown origin. Raises ConfigError with one line for anything else."""
    if len(text if isinstance(text, bytes) else text.encode(errors="replace")) > LONGEST:
        raise ConfigError(f"A lesson's file is at most {LONGEST // 1000} kB large")
    try:
        return Lesson.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(explain(error, Lesson).removeprefix("this: ").replace(".[key]", "")) from None


def value_of(config: RunConfig, path: str) -> Any:
    """What a config has at a dotted path; None where it has no such setting."""
    found: Any = config
    for name in path.split("."):
        found = getattr(found, name, None) if isinstance(found, Config) and name in type(found).model_fields else None
    return None if isinstance(found, Config) else found


def settings_of(config: RunConfig) -> dict[str, Setting]:
    """What can be fixed of such a config, by dotted path, and what a form needs to know about each."""
    return {path: describe(owner, path.rpartition(".")[2]) for path, owner in _fields(config)}


def _fields(config: Config, before: str = "") -> Iterator[tuple[str, type[Config]]]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config):
            yield from _fields(value, f"{before}{name}.")
        elif before + name not in (DATASET, "data.transforms", "data.added", "training.start_from", "model.layers"):
            yield before + name, type(config)


def _check_names(lesson: Lesson) -> None:
    for page, parts in lesson.sections.items():
        known = SECTIONS.get(page, ())
        if not known:
            raise ValueError(f"sections: {page} is always shown whole")
        if not parts and page not in MAY_BE_BARE:
            raise ValueError(f"sections: {page} needs one part at least; choose from {', '.join(known)}")
        if wrong := [part for part in parts if part not in known]:
            raise ValueError(f"sections: {page} has no part {wrong[0][:60]!r}; choose from {', '.join(known)}")
    for name in (lesson.preset, *(step.preset for step in lesson.steps if step.preset)):
        try:
            preset(name)
        except UnknownPreset as error:
            raise ValueError(str(error)) from None
    if lesson.data == CLASS_DATA and DRAWN_ON not in lesson.pages:
        raise ValueError(f"data: what the class draws is drawn on the page {DRAWN_ON}, which this lesson does not show")
    if lesson.data not in ("", CLASS_DATA) and not is_own(lesson.data):
        try:
            spec_of(lesson.data)
        except DataError as error:
            raise ValueError(f"data: {error}") from None


def _check_settings(lesson: Lesson) -> None:
    """Each fixed setting and each range is of one that some preset of the lesson has, and of values that it can have."""
    configs = [PRESETS[name].config for name in dict.fromkeys((lesson.preset, *(s.preset for s in lesson.steps if s.preset)))]
    if lesson.data:
        kind = "images" if lesson.data == CLASS_DATA or is_own(lesson.data) else spec_of(lesson.data).kind
        if other := [config for config in configs if spec_of(config.data.dataset).kind != kind]:
            raise ValueError(f"data: {spec_of(other[0].data.dataset).title}, which a preset starts from, is of another kind")
    configs = [_fixing(config, lesson.fixed) for config in configs]  # kinds, such as an optimizer's, decide what others there are
    for path, value in lesson.fixed.items():
        _check_path(configs, path)
        for config in _having(configs, path):
            if _has_bool(value) and not _has_bool(value_of(config, path)):  # pydantic would take true for 1
                raise ValueError(f"fixed: {path} is neither on nor off")
            _with(config, path, value)
    for path, (least, most) in lesson.ranges.items():
        _check_path(configs, path)
        if path in lesson.fixed:
            raise ValueError(f"ranges: {path} is fixed")
        if least > most:
            raise ValueError(f"ranges: {path} goes from {least:g} to {most:g}; the least value comes first")
        for config in _having(configs, path):
            now = value_of(config, path)
            if not _is_number(now):
                raise ValueError(f"ranges: {path} is no number")
            if isinstance(now, int) and not (least.is_integer() and most.is_integer()):
                raise ValueError(f"ranges: {path} is a whole number; {least:g} to {most:g} is not")
            for end in (least, most):
                _with(config, path, type(now)(end))


def _fixing(config: RunConfig, fixed: dict[str, Any]) -> RunConfig:
    for path, value in _kinds_first(fixed):
        with suppress(ConfigError):
            config = config.with_values({path: value})
    return config


def _kinds_first(fixed: dict[str, Any]) -> list[tuple[str, Any]]:
    """Another kind of optimizer has other settings, each as it is at first: those that are fixed come after it."""
    return sorted(fixed.items(), key=lambda item: item[0] not in KIND_PATHS)


def _check_path(configs: list[RunConfig], path: str) -> None:
    if path == DATASET:
        raise ValueError("the data set of a lesson is its data, and no setting of its own")
    if not _having(configs, path):
        raise ValueError(f"{path}: none of its presets has such a setting")


def _having(configs: list[RunConfig], path: str) -> list[RunConfig]:
    return [config for config in configs if value_of(config, path) is not None]


def _with(config: RunConfig, path: str, value: Any) -> None:
    try:
        config.with_values({path: value})
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _has_bool(value: Any) -> bool:
    return isinstance(value, bool) or isinstance(value, tuple | list) and any(map(_has_bool, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(config: RunConfig, path: str) -> str:
    owner: Any = config
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return describe(type(owner), name).label


def _said(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(_said, value)) or "none"
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
