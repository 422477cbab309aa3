"""Processes of our own: started, asked for and ended in one place, in each system's way.

Linux is what all of this is tried on. What Windows is asked follows Microsoft's documentation of process creation flags,
OpenProcess and WaitForSingleObject, and the tests hold it to that; it has not been run there.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]  # where the package `core` is
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # pages and training keep the other cores

# winbase.h, winnt.h, winerror.h and synchapi.h
CREATE_NEW_PROCESS_GROUP = 0x200
SYNCHRONIZE = 0x100000
ERROR_ACCESS_DENIED = 5
WAIT_TIMEOUT = 0x102


def start(module: str, *arguments: str, own_group: bool = False, environment: Mapping[str, str] | None = None,
          **streams: Any) -> subprocess.Popen[Any]:
    """Start `python -m MODULE ARGUMENTS` with the package `core` of this process. Raises OSError as the system does.

    own_group: Ctrl-C in the terminal is for this process and does not reach the child.
    environment: variables to set besides those that this process has.
    streams: stdin, stdout, stderr, text and encoding, as subprocess.Popen takes them.
    """
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, env=_environment(environment or {}),
                            **(own_group_flags() if own_group else {}), **streams)


def run(module: str, *arguments: str, seconds: float, environment: Mapping[str, str] | None = None) -> int:
    """Run `python -m MODULE ARGUMENTS`, which reads and writes files alone, to its end; its exit code.

    Raises subprocess.TimeoutExpired where it takes longer than so many seconds by the clock; it has been ended then.
    """
    nowhere = subprocess.DEVNULL
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env=_environment(environment or {}),
                          stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=seconds, check=False).returncode


def end(child: subprocess.Popen[Any]) -> None:
    """End a process at once, whatever it is doing, and close its pipes. One that has ended already is only waited for."""
    child.kill()
    for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
        with suppress(OSError):  # what was still to be written to it
            pipe.close()
    child.wait()


def own_group_flags(system: str = sys.platform) -> dict[str, Any]:
    """What subprocess.Popen is told so that Ctrl-C in the terminal does not reach the child."""
    return {"creationflags": CREATE_NEW_PROCESS_GROUP} if system == "win32" else {"start_new_session": True}


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number, even one that has ended and was not waited for. True where it can't be told."""
    if pid <= 0:  # to os.kill these are groups of processes
        return False
    if sys.platform == "win32":  # os.kill would end it
        return windows_has(pid, ctypes.WinDLL("kernel32", use_last_error=True), ctypes.get_last_error)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # more than the system counts to
        return False
    except OSError:  # somebody else's
        return True
    return True


def windows_has(pid: int, kernel32: Any, last_error: Callable[[], int]) -> bool:
    """is_alive() on Windows, by what its kernel32.dll says. Not by the exit code, in which 259 may mean either."""
    kernel32.OpenProcess.restype = ctypes.c_void_p  # a handle has 64 bits, of which c_int would keep 32
    handle = kernel32.OpenProcess(SYNCHRONIZE, False, pid)
    if not handle:
        return last_error() == ERROR_ACCESS_DENIED  # somebody else's
    handle = ctypes.c_void_p(handle)
    try:
        return kernel32.WaitForSingleObject(handle, 0) == WAIT_TIMEOUT  # it is signalled once the process has ended
    finally:
        kernel32.CloseHandle(handle)


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **changes}
