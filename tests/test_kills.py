"""kill −9 at random moments: at most the batch of metrics that was not handed over yet is lost, and never a checkpoint."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from core.runs import RunStore, load_model
from core.runs.checkpoints import load_training
from core.training import build_for
from tests.helpers import tiny

# One process imports torch, and a child of it is forked for each run: 30 workers would take two minutes to start. The child
# says on a pipe, which outlives it, what it has handed over: "F step" after each flush and "C step" after each checkpoint.
NURSERY = """
import os, sys, torch
from core.config import read_config
from core.runs import RunStore
from core.runs import execute as module
from core.runs.worker import warm_up
from core.settings import Settings

settings, config = Settings.from_environment(), read_config(sys.argv[1])
torch.set_num_threads(1)
warm_up(settings, torch.device("cpu"))

def say(text):
    os.write(1, (text + chr(10)).encode())

def child():
    store = RunStore(settings.runs_dir)
    run = store.create_running(config, "ann", "here")
    say("R " + run.id)
    record, save = store.record, module.save_checkpoint

    def recorded(run_id, metrics, *rest, **progress):
        done = record(run_id, metrics, *rest, **progress)
        say(f"F {progress.get('step', 0):.0f}")
        return done

    def saved(store, run_id, config, data, checkpoint):
        save(store, run_id, config, data, checkpoint)
        say(f"C {checkpoint.step}")

    store.record, module.save_checkpoint = recorded, saved
    module.execute(store, run, settings)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        child()
        os._exit(0)
    say(f"P {pid}")
    os.waitpid(pid, 0)
    say("X 0")
"""
KILLS = 30


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_kills(settings, digits):
    config = tiny(training__epochs=1000, training__batch_size=16)
    environment = os.environ | {"PLAYGROUND_RUNS": str(settings.runs_dir), "OMP_NUM_THREADS": "1"}
    nursery = subprocess.Popen([sys.executable, "-c", NURSERY, config.model_dump_json()], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, bufsize=1, env=environment)
    chance = random.Random(0)
    try:
        ends = [one_kill(nursery, chance.uniform(0.0, 0.4)) for _ in range(KILLS)]
    finally:
        nursery.kill()
        nursery.communicate()
    store, model = RunStore(settings.runs_dir), build_for(config, digits)
    for said in ends:
        check(store, model, said)
    assert sum(bool(said["C"]) for said in ends) > KILLS / 3, "most were killed before their first checkpoint"


def one_kill(nursery: subprocess.Popen, delay: float) -> dict[str, list[str]]:
    """Start a run, kill it `delay` seconds after it began, and return what it had said by kind."""
    said: dict[str, list[str]] = {kind: [] for kind in "RFCPX"}
    nursery.stdin.write("go\n")
    while not (said["P"] and said["F"]):  # it has begun to train
        kind, _, value = nursery.stdout.readline().strip().partition(" ")
        said[kind].append(value)
    time.sleep(delay)
    os.kill(int(said["P"][0]), signal.SIGKILL)
    while not said["X"]:
        kind, _, value = nursery.stdout.readline().strip().partition(" ")
        said[kind].append(value)
    return said


def check(store: RunStore, model, said: dict[str, list[str]]) -> None:
    run_id, = said["R"]
    series = store.metrics(run_id, names=("loss", "accuracy")).series
    steps = series["loss"][0]
    # everything that was handed over is there, whole and without a gap; beyond it at most the batch that was on its way
    assert steps == series["accuracy"][0] == list(range(1, len(steps) + 1))
    assert len(steps) >= max(map(int, said["F"])), "a batch that was acknowledged is gone"
    assert store.get(run_id).step == len(steps)
    if said["C"]:
        trained, state = load_model(store, run_id), load_training(store, run_id, model)
        assert trained.epoch >= 1 and state is not None
        assert int(said["C"][-1]) <= state.step <= len(steps)
