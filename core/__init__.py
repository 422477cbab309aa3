"""Torch Playground without its pages: data, models, training, runs. Works the same in a notebook; needs no Streamlit."""

import os

from core import lean_torch

# Threads that have nothing to do sleep soon instead of spinning; read by OpenMP when torch is first imported, hence here. GNU's
# spins so many times first, about 0.5 ms, which saves the time to wake up within a training step. A CNN's step with two threads
# on two cores, quiet and beside a busy process: never spinning 7.8 and 20 ms, so 4.7 and 28 ms, by default 4.6 and 127 ms.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
for name, value in WAITING.items():
    os.environ.setdefault(name, value)
lean_torch.install()
