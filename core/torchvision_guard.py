"""Torchvision, also beside a CPU build of torch: `from core.torchvision_guard import torchvision`, everywhere.

The torchvision wheel is compiled against CUDA's torch. Beside a CPU-only torch its compiled operators can't load, and the
module that registers their shapes stops the import with "operator torchvision::nms does not exist". Data sets, transforms
and models need none of those operators, so that one module is replaced by an empty one. On a matched pair nothing happens.
Under the lean import all but plain transforms wait until they are asked something (core.lean_torch.NAMED).
"""

import sys
from types import ModuleType

import torch

if torch.version.cuda is None:
    sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))

import torchvision
import torchvision.datasets
import torchvision.models
import torchvision.transforms.v2

__all__ = ["torchvision"]
