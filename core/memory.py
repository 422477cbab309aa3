"""What becomes of freed memory: a server gives it back to the system, a training process uses it again."""

import ctypes
import sys
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
WORTH_DROPPING = 8 << 20  # bytes


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


def drop_mapped_pages(examples: "Tensor") -> bool:
    """After a look at all of a data set that is mapped from a file: give back the pages that were read, 47 MB for MNIST. Whoever
    touches one again gets it from the system's cache of the file, without the disk.

    Only where it is worth the few milliseconds, and the system says that this memory is a file's and that nobody has written to
    it. Returns whether it was so.
    """
    if examples.nbytes < WORTH_DROPPING:
        return False
    address = examples.data_ptr()
    advise = _from_libc("madvise")
    if advise is None:
        return False
    first = last = 0
    inside = mapped = False
    with suppress(OSError, ValueError, IndexError), open("/proc/self/smaps", encoding="utf-8") as file:  # only Linux has it
        for line in file:
            if not line[0].isupper():  # a mapping's first line: from-to rights offset device inode path
                first, last = (int(end, 16) for end in line.split(maxsplit=1)[0].split("-"))
                if address < first:  # they are in order
                    return False
                inside, mapped = address < last, int(line.split()[4]) > 0
            elif inside and line.startswith("Anonymous:"):  # pages that are not the file's any more
                untouched = mapped and int(line.split()[1]) == 0
                return untouched and advise(c_void_p(first), c_size_t(last - first), MADV_DONTNEED) == 0
    return False


def _mallopt(option: int, value: int) -> bool:
    mallopt = _from_libc("mallopt")
    return bool(mallopt and mallopt(option, value))


def _from_libc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
