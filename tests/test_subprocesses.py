"""Processes of our own, and what Windows would be asked; timeit is a module that runs whatever it is told."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.subprocesses import ROOT, end, is_alive, own_group_flags, run, start, windows_has

ONCE = ("timeit", "-n1", "-r1")
SLEEP = (*ONCE, "import time; time.sleep(600)")
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and sessions are POSIX")


def writes(path: Path, expression: str) -> tuple[str, ...]:
    """The command of a child that writes down an expression's value."""
    return (*ONCE, f"import os, sys; open({str(path)!r}, 'w', encoding='utf-8').write(str({expression}))")


def test_a_child_has_our_package_first_and_what_pythonpath_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PLAYGROUND_TEST", "ours")
    assert run(*writes(tmp_path / "said", "[os.environ[n] for n in ('PYTHONPATH', 'PLAYGROUND_TEST', 'MORE')] + [os.getcwd()]"),
               seconds=60, environment={"MORE": "theirs"}) == 0
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert said == str([os.pathsep.join([str(ROOT), str(tmp_path)]), "ours", "theirs", str(ROOT)])


def test_run_gives_the_exit_code_and_ends_what_takes_too_long(tmp_path):
    assert run(*ONCE, "import os; os._exit(7)", seconds=60) == 7
    with pytest.raises(subprocess.TimeoutExpired):
        run(*ONCE, f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)", seconds=2)
    pid = (tmp_path / "pid").read_text(encoding="utf-8")
    assert not is_alive(int(pid))


@POSIX
def test_ctrl_c_is_kept_from_a_child_of_its_own_group():
    ours, theirs = start(*SLEEP), start(*SLEEP, own_group=True)
    try:
        assert os.getsid(ours.pid) == os.getsid(0) and os.getpgid(ours.pid) == os.getpgid(0)
        assert os.getsid(theirs.pid) == theirs.pid == os.getpgid(theirs.pid)
    finally:
        end(ours), end(theirs)


def test_the_counterpart_on_windows():
    """The number that subprocess.CREATE_NEW_PROCESS_GROUP has there; it stands in Microsoft's list of creation flags."""
    assert own_group_flags("win32") == {"creationflags": 0x00000200}
    assert own_group_flags("linux") == own_group_flags("darwin") == {"start_new_session": True}


@POSIX
def test_end_does_not_wait_for_consent_and_may_come_twice():
    child = start(*ONCE, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); "
                  "time.sleep(600)", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"here\n"
    child.stdin.write(b"not read")  # still with us: closing the pipe tries to hand it over
    end(child)
    assert child.returncode == -signal.SIGKILL and child.stdin.closed and child.stdout.closed
    end(child)


def test_alive_until_it_has_ended():
    child = start(*SLEEP)
    assert is_alive(child.pid) and is_alive(os.getpid())
    end(child)
    assert not is_alive(child.pid)


@POSIX
def test_one_that_nobody_waited_for_is_counted():
    child = start(*SLEEP)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is left as it is
    assert is_alive(child.pid)
    child.wait()
    assert not is_alive(child.pid)


@POSIX
@pytest.mark.parametrize("pid", [0, -1, -12345, 2**70])
def test_numbers_of_no_process_are_asked_of_nobody(pid, monkeypatch):
    """0 and negative numbers mean groups: everything this user runs, at −1."""
    monkeypatch.setattr("os.kill", lambda *asked: pytest.fail(f"os.kill{asked}") if pid <= 0 else asked[0].to_bytes(4))
    assert not is_alive(pid)


@POSIX
def test_somebody_elses_is_alive(monkeypatch):
    def refuses(pid, number):
        assert number == 0, "that would be a signal"
        raise PermissionError

    monkeypatch.setattr("os.kill", refuses)
    assert is_alive(12345)


class Kernel32:
    """kernel32.dll as its documentation describes the three functions, for one process."""

    SIGNALLED, TIMEOUT, FAILED = 0, 0x102, 0xFFFFFFFF
    HANDLE = 0x1_0000_0004  # more than 32 bits

    def __init__(self, running: bool, refused: int = 0) -> None:
        self.running, self.refused, self.open = running, refused, 0
        self.OpenProcess = lambda access, inherit, pid: self._open(access, inherit, pid)  # a function that takes attributes

    def _open(self, access: int, inherit: bool, pid: int) -> int | None:
        assert access == 0x00100000 and not inherit and pid == 4321  # SYNCHRONIZE, the right to wait for it
        if self.refused:
            return None
        self.open += 1
        return self.HANDLE

    def WaitForSingleObject(self, handle: ctypes.c_void_p, milliseconds: int) -> int:
        assert handle.value == self.HANDLE and milliseconds == 0 and self.open
        return self.TIMEOUT if self.running else self.SIGNALLED

    def CloseHandle(self, handle: ctypes.c_void_p) -> int:
        assert handle.value == self.HANDLE
        self.open -= 1
        return 1


@pytest.mark.parametrize(("running", "refused", "alive"), [
    (True, 0, True), (False, 0, False),
    (True, 5, True),  # ERROR_ACCESS_DENIED: somebody else's
    (False, 87, False)])  # ERROR_INVALID_PARAMETER: there is no such process
def test_windows_is_asked_without_harm(running, refused, alive):
    kernel32 = Kernel32(running, refused)
    assert windows_has(4321, kernel32, lambda: refused) is alive
    assert kernel32.open == 0 and kernel32.OpenProcess.restype is ctypes.c_void_p


def test_on_windows_no_signal_is_sent(monkeypatch):
    """os.kill(pid, 0) would end the process there."""
    kernel32 = Kernel32(running=True)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: kernel32, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 0, raising=False)
    monkeypatch.setattr("os.kill", lambda *asked: pytest.fail(f"os.kill{asked}"))
    assert is_alive(4321)
    kernel32.running = False
    assert not is_alive(4321)


WITHOUT = """
import importlib, os, pkgutil, signal, sys

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in MODULES:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for name in ("fork", "nice", "sched_getaffinity", "killpg", "getuid", "setsid", "confstr", "waitid"):
    delattr(os, name)
for name in ("SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGXCPU", "SIGUSR1"):
    delattr(signal, name)

import core
import pages.parts

for package in (core, pages.parts):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
assert not any(sys.modules.get(name) for name in MODULES)

from core.__main__ import main

sys.exit(main(["train", "digits-quick", "--set", "training.epochs=1", "--set", "data.dataset=digits"]))
"""


@POSIX
def test_all_of_it_without_what_windows_lacks():
    """Every module of core and pages/parts is imported and a run is trained where Windows has no such modules and names."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "test accuracy" in done.stdout, done.stdout + done.stderr
