"""How often the 2-D lab's picture can change while its run trains, and what it costs: `python -m benchmarks.plane_speed`.

A worker process trains 2-8-1 on 100 points at the lab's usual pace; this process does what the page's fragment does: it takes the
newest weights, asks them at 100×100 points, and packs all maps for the browser. The aim is five new pictures a second.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.conditions import conditions, spread
from core.data import load
from core.labs.decision_boundary import maps_of, plane_points, standing
from core.runs import LocalEngine, RunStore
from core.runs.live_weights import newest_model
from core.settings import Settings
from pages.parts.learn.decision_boundary.config import FIRST
from pages.parts.learn.decision_boundary.live import SECONDS_PER_PICTURE, SPEEDS
from pages.parts.widgets.plane import message

SECONDS = 6.0
LARGEST = {"model.hidden": [8] * 6, "data.features": ["x1", "x2", "x1_squared", "x2_squared", "x1_x2", "sin_x1", "sin_x2"]}


def watch(engine: LocalEngine, store: RunStore, speed: str, changes: dict[str, object]) -> None:
    """Print what the pictures of one run cost."""
    config = FIRST.with_values({"model.hidden": [8], "training.epochs": 1000} | changes)
    data, points = load(config.data, Path("none")), plane_points(config)
    run_id = engine.submit(config, "benchmark", pace=SPEEDS[speed])
    while newest_model(store, run_id) is None:
        time.sleep(0.02)
    took, sizes, seen, began = [], [], set(), time.perf_counter()
    while (elapsed := time.perf_counter() - began) < SECONDS and store.get(run_id).is_active:
        start = time.perf_counter()
        trained = newest_model(store, run_id)
        sent = message(maps_of(trained), trained, data, points, discrete=False, validation=True, adding=False)
        standing(trained, data, "train"), standing(trained, data, "validation")
        sizes.append(len(json.dumps(sent)))
        took.append((time.perf_counter() - start) * 1000)
        seen.add(sent["answer"])
        time.sleep(SECONDS_PER_PICTURE)
    engine.cancel(run_id)
    shape = "-".join(map(str, (len(config.data.features), *config.model.hidden, 1)))
    print(f"{shape}, speed “{speed}”: {len(seen) / elapsed:.1f} new pictures/s (aim 5); each {spread(took, 'ms', 1)}, "
          f"{statistics.median(sizes) / 1000:.0f} kB")


def main() -> None:
    torch.set_num_threads(1)
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder) / "data", Path(folder) / "runs", Path(os.environ.get("PLAYGROUND_CACHE", folder)), 1)
        store = RunStore(settings.runs_dir)
        with LocalEngine(store, settings) as engine:
            for speed, changes in (("20", {}), ("100", {}), ("20", LARGEST)):
                watch(engine, store, speed, changes)
        store.close()


if __name__ == "__main__":
    main()
