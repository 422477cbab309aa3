"""A file is there whole or not at all."""

import os
import stat
import sys

import pytest

from core.files import TRIES, put_in_place, write_atomically


def test_a_new_file_below_new_folders(tmp_path):
    path = tmp_path / "a/b/file.bin"
    write_atomically(path, lambda file: file.write(b"one"))
    assert path.read_bytes() == b"one"
    write_atomically(path, lambda file: file.write(b"two, which is longer"))
    assert path.read_bytes() == b"two, which is longer"
    assert os.listdir(path.parent) == ["file.bin"]


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), ValueError("no"), KeyboardInterrupt()])
def test_failure_in_the_middle_leaves_the_old_file(tmp_path, trouble):
    path = tmp_path / "file.bin"

    def write(file):
        file.write(b"x" * 100_000)
        raise trouble

    with pytest.raises(type(trouble)):
        write_atomically(path, write)
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"old")
    with pytest.raises(type(trouble)):
        write_atomically(path, write)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file.bin"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    write_atomically(path, write)
    assert path.read_bytes() == b"new"


def test_flushed_to_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr("os.fsync", lambda handle: done.append("fsync"))
    replace = os.replace
    monkeypatch.setattr("os.replace", lambda old, new: (done.append("replace"), replace(old, new)))
    write_atomically(tmp_path / "file.bin", lambda file: file.write(b"x"))
    assert done == ["fsync", "replace"]


def test_as_readable_as_any_other_file(tmp_path):
    write_atomically(tmp_path / "ours", lambda file: file.write(b"x"))
    (tmp_path / "plain").write_bytes(b"x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_two_writers_at_once(tmp_path):
    path = tmp_path / "file.bin"

    def write(file):
        file.write(b"outer")
        write_atomically(path, lambda inner: inner.write(b"inner"))

    write_atomically(path, write)
    assert path.read_bytes() == b"outer" and os.listdir(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("place", ["blocked/file.bin", "folder"])
def test_what_the_file_system_refuses_is_an_oserror(tmp_path, place):
    (tmp_path / "blocked").write_text("a file where a folder should be", encoding="utf-8")
    (tmp_path / "folder/with something in it").mkdir(parents=True)
    with pytest.raises(OSError):
        write_atomically(tmp_path / place, lambda file: file.write(b"x"))
    assert sorted(os.listdir(tmp_path)) == ["blocked", "folder"]


@pytest.mark.parametrize(("system", "asked"), [("linux", 1), ("win32", 3)])
def test_a_reader_in_the_way_is_waited_for_where_it_can_be_in_the_way(tmp_path, monkeypatch, system, asked):
    """Windows puts no file over one that is open, which a reader or a virus scanner has for a moment."""
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    tries, replace = [], os.replace

    def in_the_way(old, new):
        tries.append(new)
        if len(tries) < 3:
            raise PermissionError(13, "Access is denied")
        replace(old, new)

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("core.files.SECONDS_BETWEEN", 0)
    monkeypatch.setattr("os.replace", in_the_way)
    if system == "win32":
        put_in_place(tmp_path / "new", tmp_path / "old")
    else:
        with pytest.raises(PermissionError):
            put_in_place(tmp_path / "new", tmp_path / "old")
    assert len(tries) == asked
    assert (tmp_path / "old").read_bytes() == (b"new" if system == "win32" else b"old")


def test_who_never_leaves_is_an_oserror_on_windows_too(tmp_path, monkeypatch):
    tries = []

    def in_the_way(old, new):
        tries.append(new)
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("core.files.SECONDS_BETWEEN", 0)
    monkeypatch.setattr("os.replace", in_the_way)
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "file.bin", lambda file: file.write(b"x"))
    assert len(tries) == TRIES and os.listdir(tmp_path) == []
