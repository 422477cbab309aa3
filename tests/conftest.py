"""Places below pytest's temporary directory, so that no test writes to the user's home, the checkout or a real runs folder."""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read as torch is imported; two test processes share the cores

from core.process import configure

configure("other")

import torch
from streamlit.components.v2 import manifest_scanner
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from core.cluster.engine import RayEngine, engine_for
from core.config import DataConfig
from core.data import DATASETS, Dataset, load
from core.runs import LocalEngine, Run, RunStore
from core.runs.engine import ProcessEngine
from core.settings import Settings
from tests.browser import launched, tabs_of
from tests.cluster import WHY_NOT, is_installed, started_cluster
from tests.helpers import run_here, tiny

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# the same examples each time, however slow the machine is; a test's own fixture is seldom changed by an example
hypothesis.settings.register_profile("no luck", deadline=None, derandomize=True, database=None, suppress_health_check=[
    hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture])
hypothesis.settings.load_profile("no luck")
# how names of files begin that take longest, the longest first
LONGEST = ("test_browser", "test_every_option", "test_engine", "test_process.py", "test_unlike", "test_statements", "test_pages",
           "test_home", "test_export_data", "test_draw_page", "test_plane_page", "test_presets", "test_takeaway")
REAL_DATA = os.environ.get("PLAYGROUND_DATA")  # before `places` hides it


class ByFile(LoadFileScheduling):
    """A file is one process's, which makes its fixtures once. All browser tests are one process's: two cores are slow with two
    browsers."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "browser" if Path(file).name.startswith("test_browser") else file


def pytest_configure() -> None:
    """Garbage is looked for less often while thousands of tests are collected, and of what is there by then nothing goes."""
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish() -> None:
    """All tests and imports: looking through them again and again took a tenth of the time of tests that train or open pages."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first where processes share the work, so that none is alone with it at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: next((n for n, name in enumerate(LONGEST) if item.path.name.startswith(name)), len(LONGEST)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Asked for by pytest-xdist, whose own ways are chosen with --dist."""
    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for the session; PLAYGROUND_* point into it, for subprocesses and pages too. No data set is downloaded there."""
    root = tmp_path_factory.mktemp("playground")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "runs", "cache", "xdg"):
            (root / name).mkdir()
        patch.setenv("PLAYGROUND_DATA", str(root / "data"))
        patch.setenv("PLAYGROUND_RUNS", str(root / "runs"))
        patch.setenv("PLAYGROUND_CACHE", str(root / "cache"))
        patch.setenv("PLAYGROUND_WORKERS", "1")
        patch.setenv("XDG_CACHE_HOME", str(root / "xdg"))  # load() without a cache goes to the user's
        yield root


@pytest.fixture(autouse=True)
def real_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    """Tests marked mnist see the PLAYGROUND_DATA that pytest was started with."""
    if REAL_DATA and request.node.get_closest_marker("mnist"):
        monkeypatch.setenv("PLAYGROUND_DATA", REAL_DATA)


@pytest.fixture(scope="session")
def started(places: Path) -> Iterator[list[Settings]]:
    """Of all servers whose pages are opened in this process."""
    from pages.parts.shell import services  # here: many a test file has nothing to do with Streamlit

    settings: list[Settings] = []

    def noted(store: RunStore, of: Settings) -> ProcessEngine:
        settings.append(of)
        return engine_for(store, of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "engine_for", noted)
        yield settings


@pytest.fixture(autouse=True)
def servers_end_with_their_runs_folder(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of tests with a folder of their own. They would look after their runs until the last test: hundreds of them took more of a
    core than the tests."""
    if "tmp_path" not in request.fixturenames:
        yield
        return
    folder, started = request.getfixturevalue("tmp_path"), request.getfixturevalue("started")
    yield
    from pages.parts.shell import services

    for settings in [one for one in started if one.runs_dir.is_relative_to(folder)]:
        services._start.clear(repr(settings), settings)
        started.remove(settings)


@pytest.fixture(scope="session", autouse=True)
def packages_looked_through_once() -> Iterator[None]:
    """Each AppTest looks through all installed packages for Streamlit components, which takes it 0.1 s; they stay the same while
    tests run."""
    with pytest.MonkeyPatch.context() as patch:
        looked = cache(getattr(manifest_scanner, "scan_component_manifests", list))  # private: where it is gone, nothing is lost
        patch.setattr(manifest_scanner, "scan_component_manifests", looked, raising=False)
        yield


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are fastest with one thread, and sums come out the same whatever ran before."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache_dir(places: Path) -> Path:
    """Prepared copies of the data, made once for all tests."""
    return places / "cache"


@pytest.fixture(scope="session")
def digits(places: Path, cache_dir: Path) -> Dataset:
    """scikit-learn's digits with 200 held back; the data that tiny() describes."""
    return load(DataConfig(dataset="digits", validation=200), places / "data", cache_dir)


@pytest.fixture
def settings(tmp_path: Path, places: Path, cache_dir: Path) -> Settings:
    """A runs folder of the test's own; data and cache of the session."""
    return Settings(data_dir=places / "data", runs_dir=tmp_path / "runs", cache_dir=cache_dir, workers=1)


@pytest.fixture
def store(settings: Settings) -> Iterator[RunStore]:
    """An empty store of the test's own."""
    store = RunStore(settings.runs_dir)
    yield store
    store.close()


@pytest.fixture(scope="session")
def engine(places: Path) -> Iterator[LocalEngine]:
    """One engine with one warm worker for the session, on the runs folder that PLAYGROUND_RUNS names."""
    settings = Settings.from_environment()
    store = RunStore(settings.runs_dir)
    with LocalEngine(store, settings) as engine:
        yield engine
    store.close()


@pytest.fixture(scope="session")
def cluster(places: Path) -> Iterator[str]:
    """The address of a Ray cluster of this machine alone; skips the test where Ray is not installed. The environment is such that
    it can be joined."""
    if not is_installed():
        pytest.skip(WHY_NOT)
    folder = Path(tempfile.mkdtemp(prefix="tp-ray-"))  # short: there are sockets in it
    with started_cluster(folder) as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.variables.items():
            patch.setenv(name, value)
        yield cluster.address
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ray_engine(places: Path, cluster: str) -> Iterator[RayEngine]:
    """One engine on that cluster for the session, on a runs folder of its own."""
    settings = replace(Settings.from_environment(), runs_dir=places / "runs-ray", cluster=cluster, cluster_cores=1)
    store = RunStore(settings.runs_dir)
    with RayEngine(store, settings) as engine:
        yield engine
    store.close()


@pytest.fixture(scope="session")
def trained(places: Path) -> tuple[RunStore, Run]:
    """A finished run of two epochs in a store of its own. For reading only."""
    settings = Settings(places / "data", places / "trained", places / "cache")
    store = RunStore(settings.runs_dir)
    torch.set_num_threads(1)
    return store, run_here(store, settings, tiny(training__epochs=2))


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder with the real MNIST; skips the test where PLAYGROUND_DATA does not hold it."""
    root = Path(REAL_DATA or "data").absolute()
    if not DATASETS["mnist"].is_available(root):
        pytest.skip(f"MNIST is not in {root}; set PLAYGROUND_DATA to the folder that holds it")
    return root


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One for the tests of a module: to start it takes as long as many a test."""
    with launched() as browser:
        yield browser


@pytest.fixture
def tabs(browser: "Browser") -> Iterator[Callable[..., "Page"]]:
    """What makes tabs, each a visitor of its own: (width, touch=False) → Page."""
    with tabs_of(browser) as tab:
        yield tab


@pytest.fixture
def page(tabs: Callable[..., "Page"]) -> "Page":
    """A tab on a desktop."""
    return tabs(1280)
