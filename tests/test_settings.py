"""Where data and runs live: from variables, from arguments, and where there is no home to write to."""

import tempfile
from pathlib import Path

import pytest

from core.fields import ConfigError
from core.settings import Settings, default_cache_dir


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory with a cache, so that no test looks at the real one."""
    (tmp_path / "home/.cache").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_defaults_lie_below_the_working_directory(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = Settings(tmp_path / "data", tmp_path / "runs", home / ".cache/torch-playground", workers=1)
    assert Settings.from_environment({}) == expected
    assert Settings.from_environment({}, home=tmp_path) == expected
    # an empty variable is what a compose file makes of one that isn't set
    assert Settings.from_environment(dict.fromkeys(["PLAYGROUND_DATA", "PLAYGROUND_RUNS", "PLAYGROUND_CACHE",
                                                    "PLAYGROUND_WORKERS"], "")) == expected


def test_a_server_that_many_use(home, tmp_path):
    plain = Settings.from_environment({}, tmp_path)
    assert (plain.hosted, plain.user_header, plain.teacher) == (False, "", "")
    assert Settings.from_environment({"PLAYGROUND_MODE": "local"}, tmp_path) == plain
    code = "only the teacher knows"
    settings = Settings.from_environment({"PLAYGROUND_MODE": "hosted", "PLAYGROUND_USER_HEADER": "X-Forwarded-User",
                                          "PLAYGROUND_TEACHER": code}, tmp_path)
    assert (settings.hosted, settings.user_header, settings.teacher) == (True, "X-Forwarded-User", code)
    assert code not in repr(settings)


@pytest.mark.parametrize(("variable", "text"), [
    ("PLAYGROUND_MODE", "Hosted"), ("PLAYGROUND_MODE", "1"), ("PLAYGROUND_USER_HEADER", "X-User: ann"),
    ("PLAYGROUND_USER_HEADER", "x" * 65), ("PLAYGROUND_TEACHER", "hunter2")])
def test_a_mode_that_is_none(variable, text, home, tmp_path):
    with pytest.raises(ConfigError, match=f"{variable} (is|has)") as refused:
        Settings.from_environment({variable: text}, tmp_path)
    assert variable != "PLAYGROUND_TEACHER" or text not in str(refused.value)


@pytest.mark.parametrize(("variable", "field"), [
    ("PLAYGROUND_DATA", "data_dir"), ("PLAYGROUND_RUNS", "runs_dir"), ("PLAYGROUND_CACHE", "cache_dir")])
def test_each_place_has_a_variable(variable, field, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = Settings.from_environment({})
    for text, path in {"/some/where": Path("/some/where"), "below": tmp_path / "below", "~/mine": home / "mine"}.items():
        settings = Settings.from_environment({variable: text})
        assert getattr(settings, field) == path
        others = {"data_dir", "runs_dir", "cache_dir"} - {field}
        assert all(getattr(settings, other) == getattr(plain, other) for other in others)


@pytest.mark.parametrize("workers", [0, 1, 4, 16])
def test_workers(workers, home):
    assert Settings.from_environment({"PLAYGROUND_WORKERS": str(workers)}).workers == workers


@pytest.mark.parametrize(("text", "asked"), [("1", True), ("0", False), ("", False)])
def test_recording_on_a_gpu_has_to_be_asked_for(text, asked, home):
    assert Settings.from_environment({"PLAYGROUND_CUDA_GRAPHS": text}).cuda_graphs is asked
    assert not Settings.from_environment({}).cuda_graphs


@pytest.mark.parametrize(("text", "wanted"), [("", 10 * 10**9), ("0", 0), ("0.5", 5 * 10**8), ("250", 250 * 10**9)])
def test_the_disk_budget_is_in_gigabytes(text, wanted, home):
    assert Settings.from_environment({"PLAYGROUND_DISK": text}).disk_budget == wanted


@pytest.mark.parametrize("text", ["-1", "ten", "1e3", "nan", ".5", "9" * 5000, "٣"])
def test_other_disk_budgets_are_refused_in_one_line(text, home):
    with pytest.raises(ConfigError, match=r"^PLAYGROUND_DISK is '") as refused:
        Settings.from_environment({"PLAYGROUND_DISK": text})
    assert len(str(refused.value).splitlines()) == 1 and len(str(refused.value)) <= 500


def test_anything_else_is_no_answer(home):
    with pytest.raises(ConfigError, match="^PLAYGROUND_CUDA_GRAPHS is 'yes'; it must be 0 or 1$"):
        Settings.from_environment({"PLAYGROUND_CUDA_GRAPHS": "yes"})


@pytest.mark.parametrize("text", ["17", "-1", "two", "1.5", " 2", "²", "٣", "9" * 5000])
def test_other_numbers_of_workers_are_refused_in_one_line(text, home):
    with pytest.raises(ConfigError, match=r"^PLAYGROUND_WORKERS is '") as refused:
        Settings.from_environment({"PLAYGROUND_WORKERS": text})
    assert len(str(refused.value).splitlines()) == 1 and len(str(refused.value)) <= 500


def test_the_environment_is_read_when_asked(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "elsewhere"))
    assert Settings.from_environment().data_dir == tmp_path / "elsewhere"


def test_the_command_lines_places_win(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({"PLAYGROUND_DATA": "/a", "PLAYGROUND_RUNS": "/b", "PLAYGROUND_WORKERS": "3"})
    assert settings.with_places() == settings
    changed = settings.with_places(data="here", runs="~/runs")
    assert (changed.data_dir, changed.runs_dir) == (tmp_path / "here", home / "runs")
    assert (changed.cache_dir, changed.workers) == (settings.cache_dir, 3)


def test_the_home_of_nobody(home):
    with pytest.raises(ConfigError, match="~no-such-user-here/data"):
        Settings.from_environment({"PLAYGROUND_DATA": "~no-such-user-here/data"})
    with pytest.raises(ConfigError, match="~no-such-user-here/runs"):
        Settings.from_environment({}).with_places(runs="~no-such-user-here/runs")


# The cache

TEMPORARY = Path(tempfile.gettempdir()) / "torch-playground-cache"


def test_cache_in_the_users_cache_directory(home, tmp_path):
    assert default_cache_dir({}) == home / ".cache/torch-playground"
    assert default_cache_dir({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "torch-playground"
    (home / ".cache").rmdir()
    assert default_cache_dir({}) == home / ".cache/torch-playground"  # can be made


def test_cache_without_a_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "never made"))
    assert default_cache_dir({}) == TEMPORARY
    monkeypatch.delenv("HOME")  # as in a container whose user has a number and no name

    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert default_cache_dir({}) == TEMPORARY


def test_cache_where_the_home_is_not_writable(home, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: not Path(path).is_relative_to(home))
    assert default_cache_dir({}) == TEMPORARY


@pytest.mark.parametrize("blocked", [".cache", ".cache/torch-playground"])
def test_cache_where_a_file_is_in_the_way(blocked, home):
    (home / ".cache").rmdir()
    (home / blocked).parent.mkdir(exist_ok=True)
    (home / blocked).write_text("", encoding="utf-8")
    (home / blocked).chmod(0o755)  # so that its permissions alone say nothing
    assert default_cache_dir({}) == TEMPORARY
