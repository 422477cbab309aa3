"""What each process need not have in memory: asked of fresh processes."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from core.lean_torch import KNOWN

ROOT = Path(__file__).parents[1]
PAGES = ("streamlit", "plotly", "pandas", "pyarrow")
# what the lean import keeps out, with the one version of PyTorch that it knows
COMPILER = ("torch._inductor", "sympy.core") if version("torch").startswith(KNOWN) else ()
HEAVY = ("sklearn", "scipy", "torchvision", "matplotlib", "captum", *COMPILER)


def loaded(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules a fresh process has after running `code`."""
    asked = (f"import sys\nfrom core.process import configure\nconfigure('other')\n{code}\n"
             f"print(*[name for name in {names!r} if name in sys.modules])")
    ran = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True)
    assert not ran.returncode, ran.stderr
    return ran.stdout.split()


def test_a_worker_trains_without_libraries_of_pages(tmp_path):
    """From its start, with nothing prepared, to the end of a run on varied digits."""
    code = f"""
from pathlib import Path
import torch
from core.config import RunConfig
from core.data import default_config
from core.runs import RunStore
from core.runs.worker import warm_up
from core.runs.execute import execute
from core.settings import Settings
place = Path({str(tmp_path)!r})
settings = Settings(place / "data", place / "runs", place / "cache")
warm_up(settings, torch.device("cpu"))
store = RunStore(settings.runs_dir)
store.create(RunConfig(data=default_config("digits")).with_values({{"training.epochs": 1}}), "ann")
assert execute(store, store.claim("me"), settings).status == "finished"
"""
    assert loaded(code, (*PAGES, *HEAVY)) == []


def test_what_pages_calculate_with_brings_nothing_heavy():
    modules = ("core.labs.surfaces", "core.data.drawing", "core.data.drawing.photograph", "core.evaluation.comparison",
               "core.evaluation.report", "core.inspection", "core.data.explore.pca", "core.figures.evaluation")
    assert loaded(f"import {', '.join(modules)}", HEAVY) == []


def test_what_joins_a_cluster_has_no_pytorch():
    """It would be two thirds of its memory; the server beside it has one."""
    assert loaded("import core.cluster.bridge", ("torch", "numpy", "pydantic", *PAGES, *HEAVY)) == []


def test_home_and_tables_are_drawn_without_pandas(tmp_path):
    """By a server that has just been started: it would wait for 0.3 s longer, and hold 45 MB more."""
    code = f"""
import os
os.environ |= {{"PLAYGROUND_DATA": {str(tmp_path / "data")!r}, "PLAYGROUND_RUNS": {str(tmp_path / "runs")!r},
               "PLAYGROUND_CACHE": {str(tmp_path / "cache")!r}, "PLAYGROUND_WORKERS": "0"}}
from streamlit.testing.v1 import AppTest
at = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=300).run()
assert at.title[0].value == "See a neural network learn" and not at.exception
import sys
assert "pyarrow" not in sys.modules, "Home has no table"
at.switch_page("pages/build_model.py").run()
assert len(at.dataframe) == 2 and not at.exception
from pages.parts.widgets.table import draw_table, rows_table
draw_table(rows_table([{{"Run": "one", "x": 1.5, "tags": ["a"]}}], index="Run"))  # as outside of AppTest, whose tables come whole
from core.runs.thinning import running_mean
assert running_mean([1.0, 3.0], 0.5).tolist() == [1.0, 3.5 / 1.5]
"""
    assert loaded(code, ("pandas", *HEAVY)) == []
