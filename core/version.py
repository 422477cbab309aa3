"""Versions that pages and benchmarks print."""

import torch

TORCH_VERSION = torch.__version__.split("+")[0]
