"""What a process does with freed memory, seen by the page faults of taking the same 8 MB again and again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = (8 << 20) // 4096
COUNT = """
import resource
from core import memory
BLOCK = 8 << 20
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        b"x" * BLOCK
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50
def resident():
    return int(open("/proc/self/statm").read().split()[1])
"""


def told(code: str) -> list[float]:
    """The numbers that a fresh process prints."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", COUNT + code], capture_output=True, text=True, check=True,
                          env={**usual, "PYTHONPATH": str(Path(__file__).parents[1])})
    return [float(word) for word in done.stdout.split()]


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux") or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"),
                                reason="other C libraries keep memory in their own way")


def test_a_training_process_uses_the_same_memory_again():
    kept, returned = told("assert memory.malloc_for_training(); faults(); print(faults())\n"
                          "assert memory.malloc_for_server(); print(faults())")
    assert kept < PAGES / 20
    assert returned > PAGES / 2, "a server gives each block back, and pays for it when it takes the next"


def test_a_measurement_in_a_server_is_as_in_training_and_leaves_no_trace():
    within, after = told("memory.malloc_for_server()\nwith memory.as_in_training():\n    faults(); print(faults())\n"
                         "print(faults())")
    assert within < PAGES / 20 and after > PAGES / 2


def test_memory_is_given_back_after_a_run():
    held, given = told("memory.malloc_for_training()\nblocks = [bytearray(b'x' * (1 << 20)) for _ in range(64)]\ndel blocks\n"
                       "print(resident()); memory.trim_heap(); print(resident())")
    assert held - given > 4 * PAGES


def test_threads_of_a_training_process_share_one_heap():
    """What a thread has left in a heap of its own is not given back by glibc; malloc_info counts the heaps."""
    code = """
import ctypes, threading
libc = ctypes.CDLL(None)
libc.tmpfile.restype = ctypes.c_void_p
def heaps():
    held = threading.Event()
    others = [threading.Thread(target=lambda: (libc.malloc(5000), held.wait())) for _ in range(3)]
    [thread.start() for thread in others]
    file = ctypes.c_void_p(libc.tmpfile())
    libc.malloc_info(0, file)
    libc.rewind(file)
    text = ctypes.create_string_buffer(1 << 20)
    libc.fread(text, 1, len(text), file)
    held.set()
    return text.value.count(b"<heap nr=")
"""
    one, many = (told(code + before + "print(heaps())")[0] for before in ("memory.malloc_for_training()\n", ""))
    assert one == 1 < many
