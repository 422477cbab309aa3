"""The script for a day with a GPU, where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks/gpu_day.sh"


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would take its ten minutes")
@pytest.mark.skipif(sys.platform == "win32", reason="it is a script for bash")
def test_without_a_gpu_it_says_so_in_one_line():
    ran = subprocess.run(["bash", str(SCRIPT)], env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}, capture_output=True,
                         text=True, encoding="utf-8", check=False)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.count("\n") == 1 and ran.stderr.startswith("There is no CUDA GPU here")
