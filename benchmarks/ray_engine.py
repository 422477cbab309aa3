"""Runs through Ray beside runs on this machine: python -m benchmarks.ray_engine [--rounds 3] [--short 10] [--epochs 60].

Starts a Ray cluster of this machine alone (on the loopback interface, with a token), and on it and beside it each engine with one
training process. In turn: a run of 784-50-10 on MNIST (on scikit-learn's digits where MNIST is not below PLAYGROUND_DATA) of
twenty seconds or more, from when it is asked for until it has ended; and short runs, of which the first point is waited for, on
processes that are warm. Said are the ratio of the long runs' times, the time to the first point, and the memory of the server, of
its child that has joined the cluster, of a process that does nothing but join it, which is the least that Ray takes, and of the
training processes; and what a run through Ray costs the server in processor time. Needs Linux and the requirements of development
and of a cluster.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.conditions import conditions, spread
from benchmarks.memory import Held, held
from core.cluster.engine import RayEngine
from core.config import RunConfig
from core.data import spec_of
from core.presets import preset
from core.runs import LocalEngine, Run, RunStore
from core.runs.engine import ProcessEngine
from core.settings import Settings
from tests.cluster import started_cluster

THROUGHPUT, SECONDS, MEGABYTES = 0.9, 2.0, 120.0
BARE = """import ray, sys
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print("joined", flush=True)
sys.stdin.read()"""


def until(engine: ProcessEngine, run_id: str, happened: Callable[[Run], bool], seconds: float = 0.005) -> Run:
    """The run as soon as that is so, give or take so many seconds."""
    while not happened(run := engine.store.get(run_id)):
        time.sleep(seconds)
    return run


@dataclass(frozen=True)
class Took:
    """Seconds of a run: by the clock until it has ended, of processor time in its process, in this one and in its child."""

    clock: float
    process: float
    here: float
    child: float


def long_run(engine: ProcessEngine, config: RunConfig) -> Took:
    pids = *engine.worker_pids, os.getpid(), engine._workers[0].popen.pid
    began, before = time.perf_counter(), [processor_seconds(pid) for pid in pids]
    run = until(engine, engine.submit(config, ""), lambda run: not run.is_active, 0.05)
    assert run.status == "finished", run.message
    return Took(time.perf_counter() - began, *(processor_seconds(pid) - was for pid, was in zip(pids, before, strict=True)))


def processor_seconds(pid: int) -> float:
    """What all threads of a process have had of the processor."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def bare_driver(address: str) -> Held:
    """What a process holds that has joined the cluster and does nothing."""
    process = subprocess.Popen([sys.executable, "-c", BARE, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None
    while process.stdout.readline().strip() not in (b"joined", b""):
        pass  # Ray prints, too
    time.sleep(2.0)  # as it stands, not as it starts
    found = held(process.pid)
    process.stdin.close()
    process.wait()
    return found


def first_point(engine: ProcessEngine, config: RunConfig) -> float:
    began = time.perf_counter()
    run_id = engine.submit(config, "")
    until(engine, run_id, lambda run: run.step > 0 or not run.is_active)
    seconds = time.perf_counter() - began
    until(engine, run_id, lambda run: not run.is_active)
    return seconds


def report_times(epochs: int, long: dict[str, list[Took]]) -> None:
    for what, part, aim in (("by the clock", "clock", f" (aim ≥ {THROUGHPUT})"),
                            ("by its process's processor time", "process", "")):
        one = {name: [getattr(took, part) for took in found] for name, found in long.items()}
        print(f"a run of {epochs} epochs {what}: local {spread(one['local'], 's', 1)}; Ray {spread(one['ray'], 's', 1)}; "
              f"Ray's throughput is {median(one['local']) / median(one['ray']):.2f} of the local engine's{aim}")
    for part, who in (("here", "the server, this benchmark's looking on included"), ("child", "the child that has joined")):
        shares = [getattr(took, part) / took.clock * 100 for took in long["ray"]]
        print(f"processor time of {who}, while a run is done through Ray: {spread(shares, '%', 1)} of a core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()
    print(conditions())
    data_dir = Settings.from_environment().data_dir
    on_mnist = spec_of("mnist").is_available(data_dir)
    config = preset("mnist-mlp-50" if on_mnist else "digits-quick").config.with_values({
        "training.epochs": args.epochs, "training.threads": 1, "training.precision": "float32", "training.device": "cpu"})
    short = config.with_values({"training.epochs": 1})
    folder = Path(tempfile.mkdtemp(prefix="tp-ray-"))
    with started_cluster(folder, cores=2) as cluster:
        os.environ.update(cluster.variables)
        settings = replace(Settings.from_environment(), data_dir=data_dir, workers=1)
        stores = [RunStore(folder / f"runs-{name}") for name in ("local", "ray")]
        bare = held(os.getpid()).rss
        local = LocalEngine(stores[0], settings)
        with_local = held(os.getpid()).rss
        ray = RayEngine(stores[1], replace(settings, cluster=cluster.address, cluster_cores=1))
        engines: dict[str, ProcessEngine] = {"local": local, "ray": ray}
        cold = {name: first_point(engine, short) for name, engine in engines.items()}
        points = {name: [first_point(engine, short) for _ in range(args.short)] for name, engine in engines.items()}
        with_ray = held(os.getpid()).rss
        long: dict[str, list[Took]] = {"local": [], "ray": []}
        for number in range(args.rounds):
            for name in sorted(engines, reverse=number % 2 == 1):
                long[name].append(long_run(engines[name], config))
        after = held(os.getpid()).rss
        child, trains, here = (held(pid) for pid in (ray._workers[0].popen.pid, ray.worker_pids[0], local.worker_pids[0]))
        bare_ray = bare_driver(cluster.address)
        ray.close()
        local.close()
    shutil.rmtree(folder, ignore_errors=True)
    report_times(args.epochs, long)
    for name, found in points.items():
        print(f"first point, {name}: {spread(found, 's')}, right after the start {cold[name]:.1f} s (aim ≤ {SECONDS:g} s, warm)")
    print(f"server: {bare:.0f} MB before, {with_local - bare:+.0f} MB with the local engine, {with_ray - with_local:+.0f} MB "
          f"with Ray's and short runs, {after - with_ray:+.0f} MB with long ones")
    print(f"server and its child through Ray: {after - with_local + child.rss:+.0f} MB RSS, "
          f"{after - with_local + child.pss:+.0f} MB PSS (aim ≤ {MEGABYTES:g} MB)")
    for what, one in (("its child that has joined", child), ("a process that does no more than join", bare_ray),
                      ("Ray's training process", trains), ("the local one", here)):
        print(f"{what}: {one.rss:.0f} MB (PSS {one.pss:.0f} MB)")


if __name__ == "__main__":
    main()
