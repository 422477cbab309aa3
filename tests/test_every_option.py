"""Every option the way a user takes it: the doctor, a run as the worker does it, its files, Evaluate, the script, and pages.

What there is to choose comes from RunConfig's schema (tests/options.py), which runs that makes from tests/option_cases.py. What
the app refuses is refused everywhere with the same line: by the run, the export and the command line; the doctor calls it an
error.
"""

import contextlib
import io
import json
import math
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, get_args

import pytest
from pydantic import Discriminator, create_model
from streamlit.testing.v1 import AppTest

from core.__main__ import main
from core.config import (
    OPTIMIZERS,
    SCHEDULES,
    DataConfig,
    Feature,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainingConfig,
    read_config,
)
from core.data import DATASETS, FEATURES, DataMissing, Dataset, import_images, load
from core.data.sources.text_files import import_csv
from core.devices import DeviceError, select_device
from core.evaluation import evaluate
from core.export import ExportError, points_script, script, step_code
from core.fields import Config, ConfigError, setting
from core.inspection import diagnose
from core.inspection.doctor import network_rules, training_rules
from core.models import ARCHITECTURES, ModelConfig
from core.models.layers import LAYERS, LayerConfig
from core.runs import CheckpointError, Run, RunStore, load_model
from core.runs.starting import take_start
from core.settings import Settings
from core.training import OBJECTIVES, build_for, check, computed_in, prepare
from core.training.events import DIVERGED
from core.transforms import TRANSFORMS
from core.transforms.configs import TransformConfig
from pages.parts.draft import fields as forms
from pages.parts.shell import keys
from tests.archives import png, zipped
from tests.helpers import run_here, tiny
from tests.option_cases import LARGE, REFUSED, Case, every_choice, every_pair, is_plain
from tests.options import OWN_IMAGES, OWN_TEXTS, START, UnknownKind, choices_of, holds, tag_of
from tests.small_sets import write_small

ROOT = Path(__file__).parents[1]
CHOICES, PAIRS = list(every_choice()), list(every_pair())
PAGES = {"build_model": "Build model", "train_model": "Train model", "evaluate_model": "Evaluate", "compare_runs": "Compare runs"}
SCRIPTS = 25  # that are run, not only compiled


@dataclass(frozen=True)
class Place:
    """Data of every kind, a runs folder, and what stands for OWN_IMAGES and so on."""

    settings: Settings
    store: RunStore
    made: dict[str, str]

    def config(self, case: Case) -> RunConfig:
        text = case.config
        for word, instead in self.made.items():
            text = text.replace(word, instead)
        return read_config(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, places: Path) -> Iterator[Place]:
    """Every registered data set with files, small, in the format of its download; images and texts of one's own; a run."""
    root = tmp_path_factory.mktemp("options")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "runs"):
            (root / name).mkdir()
            patch.setenv(f"PLAYGROUND_{name.upper()}", str(root / name))
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 1e6)  # the pages' engine takes no run that goes on here for dead
        for name, spec in DATASETS.items():
            if spec.folder:
                write_small(name, root / "data", patch, (1200, 50))
        write_imdb(root / "data")
        # more workers than cores, so that each run takes one thread, beside other tests
        settings = Settings(root / "data", root / "runs", places / "cache", workers=16)
        store = RunStore(settings.runs_dir)
        pictures = {f"{label}/{n}.png": png(seed=n + 100 * label, side=28) for label in range(3) for n in range(40)}
        images = import_images(zipped(root / "own.zip", pictures), root / "data", title="Own", size=28, channels=1).name
        texts = "text,label\n" + "".join(f"film number {n} was {w},{w}\n" for n in range(40) for w in ("positive", "negative"))
        made = {OWN_IMAGES: images, OWN_TEXTS: import_csv(texts.encode(), root / "data").name,
                START: run_here(store, settings, tiny()).id}
        yield Place(settings, store, made)
        store.close()


def write_imdb(root: Path) -> None:
    """A few reviews in IMDB's folders."""
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            folder = root / "aclImdb" / part / label
            folder.mkdir(parents=True)
            for number in range(80):
                (folder / f"{number}.txt").write_text(f"a {label} review number {number}", encoding="utf-8")


def ids(cases: list[Case]) -> list[str]:
    return [f"{number:03} {case.name[:100]}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("number", "case"), [*enumerate(CHOICES)], ids=ids(CHOICES))
def test_every_choice(place, number, case):
    assert_whole_way(place, case, pages_of_choices()[number])


@pytest.mark.parametrize(("number", "case"), [*enumerate(PAIRS)], ids=ids(PAIRS))
def test_every_pair_of_choices(place, number, case):
    assert_whole_way(place, case, in_turn(number))


def in_turn(number: int) -> list[str]:
    return [list(PAGES)[number % len(PAGES)]]


@cache
def pages_of_choices() -> list[list[str]]:
    """What each of CHOICES is opened on: Train model, whose forms show every setting, Build model where layers are composed, and
    each page that has seen one of its plain choices (an optimizer, not that optimizer's momentum) neither in a pair nor in a case
    before. A large network, for which a page takes seconds, is opened on one, in turn."""
    plain = [choice for choice in choices_of(RunConfig) if is_plain(choice)]
    configs = [json.loads(case.config) for case in CHOICES]
    seen = {(json.dumps(choice), page) for number, case in enumerate(PAIRS) if not case.refused for choice in plain
            if holds(json.loads(case.config), choice) for page in in_turn(number)}
    found = []
    for number, config in enumerate(configs):
        held = [json.dumps(choice) for choice in plain if holds(config, choice)]
        kind, turn = config["model"]["architecture"], in_turn(number)
        if kind not in LARGE:
            always = {"train_model", "build_model"} if kind == "stack" else {"train_model"}
            turn = [page for page in PAGES if page in always or not all((choice, page) in seen for choice in held)]
        seen.update((choice, page) for choice in held for page in turn)
        found.append(turn)
    return found


def assert_whole_way(place: Place, case: Case, pages: list[str]) -> None:
    """A config from the form to the pages; refused everywhere alike, or taken everywhere."""
    try:
        config = place.config(case)
    except ConfigError as error:  # no form and no command line can make a run of it
        assert case.refused and is_line(error)
        return
    found = diagnose(config)
    run = run_here(place.store, place.settings, config)
    try:
        if run.status != "finished" and not run.message.startswith(DIVERGED):
            error = refusal(place, config)
            assert error is not None, run.message
            assert (run.status, run.message) == ("failed", str(error))
            refused_alike(place, config, run, error, {finding.severity for finding in found})
        else:
            assert not case.refused
            taken(place, config, run)
        open_pages(pages, config, run)
    finally:
        place.store.delete(run.id)


def refusal(place: Place, config: RunConfig) -> Exception | None:
    """The error that the app refuses a config with; None where it takes it."""
    try:
        select_device(config.training.device)
        prepare(config, place.settings.data_dir, place.settings.cache_dir)
        if config.training.start_from:
            take_start(place.store, config, build_for(config, load_here(place, config)), place.settings)
    except (CheckpointError, DeviceError, *REFUSED) as error:
        assert is_line(error)
        return error
    return None


def refused_alike(place: Place, config: RunConfig, run: Run, error: Exception, severities: set[str]) -> None:
    """What a run is refused for the doctor calls an error, and no script is written; what this machine lacks is no reason not to
    write one."""
    if is_of_this_machine(config, error):
        assert (text := script_of(config)) is None or compile(text, "train.py", "exec")
        return
    assert "error" in severities
    with pytest.raises(type(error)) as written:
        script(config)
    assert str(written.value) == str(error)
    assert said_by("export", run.id, "--to", "script") == (2, f"{error}\n")


def is_of_this_machine(config: RunConfig, error: Exception) -> bool:
    """Whether a config is refused for a device, a file or a run that is not here, and would be taken where they are."""
    if not isinstance(error, CheckpointError | DeviceError | DataMissing):
        return False
    try:
        check(config)
    except REFUSED:
        return False
    return True


def taken(place: Place, config: RunConfig, run: Run) -> None:
    """The files of a run that the app has taken, what it is measured with, and its script."""
    trained, data = load_model(place.store, run.id), load_here(place, config)
    computed = computed_in(config, run.precision)
    assert (trained.config, trained.classes, trained.input_shape) == (computed, data.classes, data.input_shape)
    result = evaluate(trained.model, data, computed)
    if run.status != "finished" or result.accuracy is None:
        assert run.test_accuracy is None
    else:  # memory laid out otherwise rounds otherwise: a few answers around 10¹¹, and some in bfloat16, are others
        coarse = result.loss > 1e6 or config.training.precision == "bfloat16"
        assert run.test_accuracy == pytest.approx(result.accuracy, abs=0.05 if coarse else 0)
    if data.target == "classes" and isfinite(result.loss):
        assert said_by("evaluate", run.id)[0] == 0
    text = script_of(config)
    assert text is None or compile(text, "train.py", "exec")


def script_of(config: RunConfig, fast: bool = False) -> str | None:
    """The script; None where it can't be said in plain PyTorch, which is one line."""
    try:
        return script(config, fast=fast)
    except ExportError as error:
        assert is_line(error)
        return None


def load_here(place: Place, config: RunConfig) -> Dataset:
    return load(config.data, place.settings.data_dir, place.settings.cache_dir)


def is_line(error: Exception) -> bool:
    return bool(str(error).strip()) and len(str(error).splitlines()) == 1


def said_by(*arguments: str) -> tuple[int, str]:
    """The command line's exit status and what it says of an error."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        return main(arguments), said.getvalue()


def open_pages(pages: list[str], config: RunConfig, run: Run) -> None:
    """Pages as one visitor opens them, with the config in the forms and the run in the address."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["run"] = run.id
    at.session_state[keys.DRAFT] = config.model_dump(mode="json")
    at.session_state["train.view"] = "All settings"
    for page in pages:
        at.switch_page(f"pages/{page}.py").run()  # the first one without Home before it
        assert [error.message for error in at.exception] == [], page
        assert [one.value for one in at.title] == [PAGES[page]]
        assert run.status == "failed" or not at.error, (page, [error.value for error in at.error])


# --- scripts that are run

SCRIPTED = [case for case in (*CHOICES, *PAIRS) if not case.refused and START not in case.config]


@pytest.mark.parametrize("number", range(SCRIPTS))
def test_a_sample_of_scripts_runs(place, tmp_path, monkeypatch, capsys, number):
    start = number * len(SCRIPTED) // SCRIPTS
    configs = map(place.config, SCRIPTED[start:] + SCRIPTED[:start])
    text = next(text for config in configs if refusal(place, config) is None
                and (text := script_of(config, fast=number % 2 == 1)) is not None)
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(text, encoding="utf-8")
    runpy.run_path("train.py", run_name="__main__")
    assert re.search(r"^test loss ", capsys.readouterr().out, re.M)
    assert list(tmp_path.glob("*.pth"))


# --- the list itself


def test_no_choice_is_lost():
    configs = [json.loads(case.config) for case in CHOICES]
    lost = [choice for choice in choices_of(RunConfig) if not any(holds(config, choice) for config in configs)]
    assert not lost
    print(f"{len(choices_of(RunConfig))} choices in {len(CHOICES)} runs, {len(PAIRS)} runs for pairs")


class Colour(Config):
    kind: Literal["colour"] = "colour"
    brightness: float = setting(0.5, "How bright.", ge=0.0, lt=1.0)


class Sound(Config):
    kind: Literal["sound"] = "sound"
    loud: bool | None = None


class New(RunConfig):
    """Options that nobody has thought of when this was written."""

    extra: Annotated[Colour | Sound, Discriminator("kind")] = Colour()


def test_a_new_option_is_in_the_list():
    found = [choice["extra"] for choice in choices_of(New) if "extra" in choice]
    assert found == [{"kind": "colour"}, {"kind": "colour", "brightness": 0.0},
                     {"kind": "colour", "brightness": math.nextafter(1.0, 0.0)}, {"kind": "sound"},
                     *({"kind": "sound", "loud": loud} for loud in (False, True, None))]


@pytest.mark.parametrize(("kind", "says"), [
    (dict[str, int], "is of a kind that"), (str, "say in WORDS"), (int, "without both bounds"),
    (tuple[bool, ...], "without a longest length"), (Path, "is of a kind that"), (list[bool], "is of a kind that")])
def test_a_field_that_can_not_be_listed_is_an_error(kind, says):
    with pytest.raises(UnknownKind, match=says):
        choices_of(create_model("Strange", field=(kind, ...)))


# --- tables by name


def tags(union: object) -> set[str]:
    """The names of a union's configs: {"adam", "sgd", …}."""
    if isinstance(union, type) and issubclass(union, Config):
        return {union.model_fields[tag_of(union)].default}
    return {tag for member in get_args(union) for tag in tags(member)}


def listed(config: type[Config], name: str) -> set[str]:
    return set(get_args(config.model_fields[name].annotation))


LOSSES, OPTIMIZER_NAMES = listed(TrainingConfig, "loss"), tags(OptimizerConfig)


@pytest.mark.parametrize(("table", "names"), [
    pytest.param(ARCHITECTURES, tags(ModelConfig), id="ARCHITECTURES"), pytest.param(LAYERS, tags(LayerConfig), id="LAYERS"),
    pytest.param(OPTIMIZERS, OPTIMIZER_NAMES, id="OPTIMIZERS"), pytest.param(SCHEDULES, tags(ScheduleConfig), id="SCHEDULES"),
    pytest.param(TRANSFORMS, tags(TransformConfig), id="TRANSFORMS"),
    pytest.param(FEATURES, set(get_args(Feature)), id="FEATURES"),
    pytest.param(OBJECTIVES, LOSSES, id="OBJECTIVES"), pytest.param(training_rules.RATES, OPTIMIZER_NAMES, id="RATES"),
    pytest.param(step_code.CLASSES, OPTIMIZER_NAMES, id="CLASSES of step_code"),
    pytest.param(points_script.LOSSES, LOSSES | {"number"}, id="LOSSES of points_script")])
def test_a_table_has_what_the_schema_names_and_nothing_else(table, names):
    assert set(table) == names


@pytest.mark.parametrize(("table", "names"), [
    pytest.param(network_rules.NAMES, LOSSES, id="the doctor's names of losses"),
    pytest.param(forms.CHOICES, LOSSES | OPTIMIZER_NAMES | set(SCHEDULES) | set(ARCHITECTURES), id="a form's choices"),
    *(pytest.param(forms.CHOICES, listed(config, name), id=f"a form's choices of {name}") for config, name in [
        (TrainingConfig, "initialization"), (TrainingConfig, "keep"), (TrainingConfig, "device"), (DataConfig, "task"),
        (DataConfig, "normalization")])])
def test_a_table_has_all_that_the_schema_names(table, names):
    assert names <= set(table)
