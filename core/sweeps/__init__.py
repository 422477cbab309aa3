"""Searches over settings: which are best, judged by validation images, and how much of that is luck?

    plan = plan_of(preset("digits-quick").config, ["training.optimizer.learning_rate=1e-4..1e-1:log"], trials=40, minutes=10)
    store = RunStore(Path("runs"))
    with LocalEngine(store) as engine:
        sweep = run_sweep(engine, store, plan, owner="me")

Optuna chooses the settings; it is asked for only where a search is driven (requirements-sweep.txt).
"""

from core.sweeps.optional import GET, is_available
from core.sweeps.plan import Range, SweepError, SweepPlan, read_plan
from core.sweeps.ranges import plan_of, read_range
from core.sweeps.result import Result, read_result
from core.sweeps.run import run_sweep
from core.sweeps.service import SweepService, add_trials, narrow, pause, resume, start, stop

__all__ = ["GET", "Range", "Result", "SweepError", "SweepPlan", "SweepService", "add_trials", "is_available", "narrow", "pause",
           "plan_of", "read_plan", "read_range", "read_result", "resume", "run_sweep", "start", "stop"]
