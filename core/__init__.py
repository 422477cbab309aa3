"""Torch Playground without its pages: data, models, training, runs. Works the same in a notebook; needs no Streamlit."""

import os

from core import lean_torch

# Threads that have nothing to do sleep instead of spinning. Beside another busy process on two cores, spinning made an
# epoch 20 times slower (1.5 to 28 s), sleeping 1.5 times. Read by OpenMP when torch is first imported, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
lean_torch.install()
