"""What becomes of freed memory: a server gives it back to the system, a training process uses it again."""

import ctypes
import mmap
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import c_size_t, c_void_p
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # core.process needs this module before torch is imported
    from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
LARGE = 1 << 20  # bytes
LARGEST = 32 << 20  # bytes; the most that glibc itself raises M_MMAP_THRESHOLD to
NEVER = 1 << 30
MADV_DONTNEED = 4  # mman.h
USUAL_TRIM = 128 << 10  # glibc's own
WORTH_DROPPING = 1 << 20  # bytes
SECONDS_PER_LOOK = 1.0  # at what pages have read


def malloc_for_server() -> bool:
    """Have glibc take blocks of a megabyte and more from the system one by one, and return each when it is freed.

    By default it raises that limit to 32 MB as blocks are freed, and what lies in the heap between small objects then stays
    with the process: looking at neighbours, odd ones and a map of MNIST left the server 450 MB larger, and with this (and smaller
    pieces of work) 90 MB, of which 55 MB are the mapped files.
    Meant for servers; for a training process see malloc_for_training().

    Returns whether it could be set: only where the C library is glibc.
    """
    return _mallopt(M_MMAP_THRESHOLD, LARGE) and _mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)


def malloc_for_training() -> bool:
    """Have glibc keep freed blocks of up to 32 MB for the next step of a training, which needs the same ones again.

    By default it returns them, and the system hands them out anew page by page, filled with zeros: 3,000 page faults in each
    step of a network with two convolutions and 64 images, which took as long as the arithmetic (2 cores: 9.6 ms a step,
    without them 4.8 ms). trim_heap() returns what is free, after a run.

    All threads share one heap: of their own ones (arenas) glibc returns little, and 50 MB stayed with the process after a run and
    what a second thread then worked out about its images.

    Returns whether it could be set: only where the C library is glibc.
    """
    return _mallopt(M_MMAP_THRESHOLD, LARGEST) and _mallopt(M_TRIM_THRESHOLD, NEVER) and _mallopt(M_ARENA_MAX, 1)


@contextmanager
def as_in_training() -> Iterator[None]:
    """In a server, for a measurement: blocks are kept as in a training process, and returned as before afterwards."""
    malloc_for_training()
    try:
        yield
    finally:
        malloc_for_server()
        trim_heap()


def trim_heap() -> None:
    """Return freed memory to the system, where the C library is glibc."""
    if (trim := _from_libc("malloc_trim")) is not None:
        trim(0)


def drop_mapped_pages(*examples: "Tensor") -> int:
    """After a look at data sets that are mapped from files: give back the pages that were read, 47 MB for MNIST. Whoever touches
    one again gets it from the system's cache of the file, without the disk.

    Only where it is worth the few milliseconds, and the system says that this memory is a file's and that nobody has written to
    it. Returns how many bytes were given back.
    """
    addresses = [one.data_ptr() for one in examples if one.nbytes >= WORTH_DROPPING]
    advise = _from_libc("madvise")
    if not addresses or advise is None:
        return 0
    first = last = held = dropped = 0
    ours = False
    with suppress(OSError, ValueError, IndexError), open("/proc/self/smaps", encoding="utf-8") as file:  # only Linux has it
        for line in file:
            if not line[0].isupper():  # a mapping's first line: from-to rights offset device inode path
                parts = line.split(maxsplit=5)
                first, last = (int(end, 16) for end in parts[0].split("-"))
                ours = int(parts[4]) > 0 and any(first <= address < last for address in addresses)
            elif ours and line.startswith("Rss:"):
                held = int(line.split()[1]) << 10
            elif ours and line.startswith("Anonymous:") and int(line.split()[1]) == 0:  # no page that is not the file's any more
                dropped += held if advise(c_void_p(first), c_size_t(last - first), MADV_DONTNEED) == 0 else 0
    return dropped


class MappedData:
    """The data sets of a server that are mapped from files: what is read of them is given back a second or so later, whoever has
    read it and how.

    A single image brings the 64 kB around it into memory, and with ten visitors these were all of MNIST. A thread of its own
    looks how much of files the process holds, which takes 0.02 ms; only where that has grown does it look which pages these are
    (15 ms in a server that has opened every page). Where the system does not say, as only Linux does, nothing is done.
    """

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Tensor]] = {}  # address → examples, as long as somebody holds them
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="mapped-data")

    def add(self, *examples: "Tensor") -> None:
        """Examples that may be mapped; any others are left alone."""
        with self._lock:
            self._known |= {one.data_ptr(): weakref.ref(one) for one in examples}
            if self._thread.ident is None and mapped_bytes():
                self._thread.start()

    def close(self) -> None:
        self._closing.set()

    def _watch(self) -> None:
        least = 0  # that was held of files since something was given back: libraries
        while not self._closing.wait(SECONDS_PER_LOOK):
            now = mapped_bytes()
            least = min(least, now)
            if now - least >= WORTH_DROPPING:
                least = now - drop_mapped_pages(*self._held())  # not what is held then: somebody may be reading on

    def _held(self) -> "list[Tensor]":
        """Those that are still there, held on to: another memory may take their place as soon as nobody does."""
        with self._lock:
            self._known = {address: known for address, known in self._known.items() if known() is not None}
            return [one for known in self._known.values() if (one := known()) is not None]


def mapped_bytes() -> int:
    """How much of files, libraries among them, this process holds in memory; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[2]) * mmap.PAGESIZE
    return 0


def _mallopt(option: int, value: int) -> bool:
    mallopt = _from_libc("mallopt")
    return bool(mallopt and mallopt(option, value))


def _from_libc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
