"""What an evaluation costs: python -m benchmarks.evaluation_speed [--repeats 7]. Needs MNIST below PLAYGROUND_DATA.

The network of the preset mnist-is-8-cnn, once with its one output and once with ten, and the smaller mnist-mlp-50, with fresh
weights (how they were trained changes no time): seconds for all 10,000 test images in batches as evaluation takes them, in
larger ones and in a plain loop with a DataLoader, in turn; processor time summed over threads (which other programs change less),
and the memory it took beyond before. Then
the app is started on a runs directory of its own with finished runs: milliseconds from asking for the page Evaluate to the end
of its script over Streamlit's own websocket, for the first visit of all and for new sessions.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app, rerun, session
from core.config import RunConfig
from core.data import load, normalize
from core.data.dataset import Dataset
from core.devices import usable_cores
from core.evaluation import predict
from core.presets import PRESETS
from core.runs import RunStore
from core.runs.execute import execute
from core.settings import Settings
from core.training import build_for

MANY = 1000
TEN = {"data.task": "classes", "training.loss": "cross_entropy"}


def configs() -> dict[str, RunConfig]:
    """Names as they are printed."""
    cnn = PRESETS["mnist-is-8-cnn"].config
    return {"mnist-mlp-50": PRESETS["mnist-mlp-50"].config, "mnist-is-8-cnn": cnn,
            "the same with ten outputs": cnn.with_values(TEN)}


def peak() -> float:
    """The most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def plain(model: torch.nn.Module, data: Dataset) -> torch.Tensor:
    """Logits of the test images as the notes' loop computes them: a DataLoader in batches of 64, float32, no_grad."""
    images, labels = data.test.take(torch.arange(len(data.test)))
    loader = DataLoader(TensorDataset(normalize(images, data.mean, data.std), labels), batch_size=64)
    model.eval()
    with torch.no_grad():
        return torch.cat([model(batch) for batch, _ in loader])


def measure(name: str, config: RunConfig, data: Dataset, repeats: int) -> None:
    """Seconds for the test set as it is done, in other batches, and in a plain loop, one after the other in each round."""
    model = build_for(config, data)
    if any(isinstance(module, torch.nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)
    ways = {"as it is done": lambda: predict(model, data, config).logits,
            f"{MANY} at once": lambda: predict(model, data, config, batch_size=MANY).logits,
            "a plain loop": lambda: plain(model, data)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    work: dict[str, list[float]] = {way: [] for way in ways}
    said, grown = {}, {}
    for way, ask in ways.items():
        before = peak()
        said[way] = ask().float()  # not counted: memory is taken, kernels are made
        grown[way] = peak() - before
    for _ in range(repeats):
        for way, ask in ways.items():
            start, used = time.perf_counter(), time.process_time()
            ask()
            times[way].append(time.perf_counter() - start)
            work[way].append(time.process_time() - used)
    for way in ways:
        print(f"  {name}, {way}: {spread(times[way], 's')}; processor time {spread(work[way], 's')}; "
              f"peak memory +{grown[way]:.0f} MB")
    ratio = statistics.median(times["a plain loop"]) / statistics.median(times["as it is done"])
    share = statistics.median(work["a plain loop"]) / statistics.median(work["as it is done"])
    same = float((answers(said["as it is done"]) == answers(said["a plain loop"])).float().mean())
    apart = float((said["as it is done"] - said["a plain loop"]).abs().max())
    print(f"    {ratio:.1f} times as fast as the plain loop ({share:.1f} times in processor time); {same:.2%} of the answers "
          f"equal, largest difference of a logit {apart:.4f}")


def answers(logits: torch.Tensor) -> torch.Tensor:
    """(N, outputs) → (N,) the class that is said."""
    return logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()


def finished_run(store: RunStore, settings: Settings, config: RunConfig) -> str:
    """A run that has ended, after very few steps: its predictions are what the page reads."""
    short = config.with_values({"training.epochs": 1, "training.batch_size": 4096})
    return execute(store, store.create_running(short, "benchmark", "here", "a benchmark's run"), settings).id


def measure_page(settings: Settings, repeats: int) -> None:
    """Milliseconds to the page of a finished run."""
    with tempfile.TemporaryDirectory() as folder:
        own = Settings(settings.data_dir, Path(folder), settings.cache_dir)
        store = RunStore(own.runs_dir)
        runs = {name: finished_run(store, own, config) for name, config in list(configs().items())[:2]}
        with app(Path(folder)) as port:
            with session(port) as connection:
                rerun(connection, "", "")
                time.sleep(6)  # the worker warms up
                print(f"  first visit after the server's start: {rerun(connection, 'evaluate_model', ''):.0f} ms")
            for name, run in runs.items():
                opening = []
                for _ in range(repeats):
                    with session(port) as connection:
                        opening.append(rerun(connection, "evaluate_model", f"run={run}"))
                print(f"  {name}, opened by a new session (aim ≤ 500 ms): {spread(opening, 'ms', 0)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    settings = Settings.from_environment()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or usable_cores()))
    print(conditions())
    print(f"{torch.get_num_threads()} threads; evaluation of MNIST's 10,000 test images (aim for the CNN ≤ 2 s):")
    for name, config in configs().items():
        measure(name, config, load(config.data, settings.data_dir, settings.cache_dir), args.repeats)
    print("the page Evaluate on a finished run:")
    measure_page(settings, args.repeats)


if __name__ == "__main__":
    main()
