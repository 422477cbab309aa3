"""What a process of ours sets before it imports PyTorch. Importing `core` sets nothing, so that a notebook stays as it was.

Every program of ours begins with a call of configure(): the app and each of its pages, the command line, the benchmarks. A
module inside a package that imports torch comes too late for that, so such a child process is started through this module:
`python -m core.process ROLE MODULE [ARGUMENT …]`. (core.importing.child, core.importing.picture and core.tsne_child need
none: they have no torch and at most one thread.)
"""

import gc
import os
import runpy
import sys
from typing import Literal

from core import lean_torch
from core.memory import malloc_for_server, malloc_for_training

Role = Literal["server", "training", "other"]

# Threads that have nothing to do sleep soon instead of spinning; read by OpenMP when torch is first imported, hence here. GNU's
# spins so many times first, about 0.5 ms, which saves the time to wake up within a training step. A CNN's step with two threads
# on two cores, quiet and beside a busy process: never spinning 7.8 and 20 ms, so 4.7 and 28 ms, by default 4.6 and 127 ms.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
LEAN_IMPORT = "PLAYGROUND_LEAN_IMPORT"  # "0": import all of PyTorch, as a plain script does


def configure(role: Role) -> None:
    """Make this process one of ours: to be called once, before torch is imported and any thread is started.

    In every role idle threads sleep soon (what the environment says about that stays), and torch is imported without its
    compiler (see core.lean_torch) unless PLAYGROUND_LEAN_IMPORT is 0. A process that has imported torch already keeps what it
    has of both; so a page may call this each time that its script runs.

    Args:
        role: "server" returns large freed blocks to the system (see core.memory.malloc_for_server), and looks for no garbage
            until the page that asks for this calls gc.enable() after its imports: looking among a million objects that stay
            took 0.3 of their 1.2 s; "training" is as configure_training_process() has it, and imports torch; "other" sets no
            more than the above.
    """
    first = "torch" not in sys.modules
    if first:
        for name, value in WAITING.items():
            os.environ.setdefault(name, value)
        if os.environ.get(LEAN_IMPORT) != "0":
            lean_torch.install()
    if role == "training":
        configure_training_process()
    elif role == "server" and first:  # only once: another session may be measuring as in training
        malloc_for_server()
        gc.disable()


def configure_training_process() -> None:
    """Set what a process that trains sets for all that runs in it: once, before any thread is started.

    Adam's averages of gradients that stay zero shrink until they are denormal, which processors handle slowly; as zeros they
    change no weight, and an epoch of 784-50-10 takes 10 % less. Memory that a step frees is kept for the next one, which
    halves the time of a small convolutional network's step.
    """
    import torch  # after configure() has said how

    torch.set_flush_denormal(True)
    malloc_for_training()


def configured(role: Role, module: str, *arguments: str) -> tuple[str, ...]:
    """What core.subprocesses starts so that a child process is configured before `module`, its program, is imported."""
    return "core.process", role, module, *arguments


def main(role: str, module: str, *arguments: str) -> None:
    """The child's side of configured()."""
    assert role in ("server", "training", "other")
    configure(role)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
