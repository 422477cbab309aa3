"""The classic notes' loop against fit(), in turn: python -m benchmarks.training_speed [--seeds 3] [--only mlp] [--threads 1].

The notes' loop: torchvision's MNIST, ToTensor (and Normalize) for each image, a DataLoader, Adam, float32, PyTorch's own number
of threads; model and batches go to the GPU where there is one. fit(): the same network, initial weights, batch size, learning
rate, epochs, device and 55,000 training images. Each training has a process of its own: the notes' an ordinary one, fit()'s with
what the app's training processes set. Both are measured by seconds for each epoch of training alone, of the clock and of the
processor (summed over threads, which other programs lengthen least), and both are tested on the same 10,000 images afterwards.
--threads gives both the same number; --busy keeps so many other processes busy. Needs MNIST in PLAYGROUND_DATA.
"""

import argparse
import gzip
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from benchmarks.conditions import as_in_the_app, busy_processes, conditions, in_own_process, spread, threads_in_the_app
from core.config import AdamConfig, DataConfig, RunConfig, TrainingConfig
from core.data import DataError, Dataset, load
from core.data.sources.idx import FILES
from core.devices import select_device, wait_for
from core.evaluation import evaluate
from core.models import CNNConfig, MLPConfig
from core.presets import PRESETS
from core.process import configure_training_process
from core.settings import Settings
from core.torchvision_guard import torchvision
from core.training import Epoch, build_for, fit


@dataclass(frozen=True)
class System:
    """What is trained, and how many times faster fit() should be."""

    title: str
    config: RunConfig
    aim: float


SYSTEMS = {
    "mlp": System("mnist-mlp-50: 784-50-10", RunConfig(
        data=DataConfig(), model=MLPConfig(hidden=(50,)),
        training=TrainingConfig(optimizer=AdamConfig(learning_rate=1e-3), batch_size=64, epochs=3)), 8),
    "cnn": System("10-class CNN: conv 32, conv 64, fc 128", RunConfig(
        data=DataConfig(normalization="half"), model=CNNConfig(channels=(32, 64), kernel=3, fc_width=128),
        training=TrainingConfig(optimizer=AdamConfig(learning_rate=1e-3), batch_size=64, epochs=2)), 4),
    "is-8": System("mnist-is-8-cnn: the same with one output", PRESETS["mnist-is-8-cnn"].config.with_values(
        {"training.epochs": 2}), 4),
}


class NotesCNN(nn.Module):
    """The notes' network: ReLU before pooling, as they write it."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(64 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class NotesMLP(nn.Module):
    """The notes' 784-50-10."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.relu(self.fc1(x.reshape(x.shape[0], -1))))


def unpacked(settings: Settings, into: Path) -> Path:
    """MNIST as torchvision wants it: four unpacked files below a root."""
    raw = into / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        source = settings.data_dir / "MNIST/raw" / name
        data = source.read_bytes() if source.exists() else gzip.decompress(source.with_name(f"{name}.gz").read_bytes())
        (raw / name).write_bytes(data)
    return into


@dataclass
class Clock:
    """Seconds by the clock and of the processor since the last look."""

    wall: float = field(default_factory=time.perf_counter)
    processor: float = field(default_factory=time.process_time)

    def lap(self) -> tuple[float, float]:
        before, self.wall, self.processor = (self.wall, self.processor), time.perf_counter(), time.process_time()
        return self.wall - before[0], self.processor - before[1]


def train_as_notes(system: System, model: nn.Module, rows: torch.Tensor, root: Path, seed: int) -> list[tuple[float, float]]:
    """Seconds for each epoch of the notes' loop, by the clock and of the processor; on the device that fit() takes, where the
    model stays."""
    device, transforms = select_device(), torchvision.transforms
    model.to(device)
    steps = [transforms.ToTensor()]
    if system.config.data.normalization == "half":
        steps.append(transforms.Normalize((0.5,), (0.5,)))
    images = torchvision.datasets.MNIST(root, train=True, transform=transforms.Compose(steps))
    torch.manual_seed(seed)
    training = system.config.training
    loader = DataLoader(Subset(images, rows.tolist()), batch_size=training.batch_size, shuffle=True)
    asks = system.config.training.loss == "bce_with_logits"  # whether it is the data's target, such as an 8
    criterion = nn.BCEWithLogitsLoss() if asks else nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=training.optimizer.learning_rate)
    seconds = []
    for _ in range(training.epochs):
        clock = Clock()
        model.train()
        for batch, labels in loader:
            batch, labels = batch.to(device), labels.to(device)
            if asks:
                labels = (labels == system.config.data.target).float().unsqueeze(1)
            loss = criterion(model(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait_for(device)
        seconds.append(clock.lap())
    return seconds


def train_as_we_do(config: RunConfig, model: nn.Module, data: Dataset, threads: int) -> list[tuple[float, float]]:
    """Seconds for each epoch of fit(), by the clock of training alone, and of the processor with all that the loop does besides.

    threads: 0 for those that the app chooses as it goes.
    """
    device = select_device()
    config = as_in_the_app(config, data, model, device)
    clock, seconds = Clock(), []
    for event in fit(config, data, model, device, threads=threads_in_the_app(model, device, threads)):
        if isinstance(event, Epoch):
            seconds.append((event.seconds, clock.lap()[1]))
    return seconds


def train(name: str, who: str, seed: int, settings: Settings, root: Path,
          threads: int) -> tuple[list[tuple[float, float]], float]:
    """Seconds for each epoch, by the clock and of the processor, and test accuracy in percent. Meant for a process of its own."""
    if who == "fit":
        configure_training_process()  # first of all, as a worker does: threads that are there already stay as they were
    system = SYSTEMS[name]
    config = system.config.with_values({"training.seed": seed})
    data = load(config.data, settings.data_dir, settings.cache_dir)
    model = build_for(config, data)
    if who == "notes":
        ours, model = model, {"mlp": NotesMLP, "cnn": NotesCNN, "is-8": lambda: NotesCNN(1)}[name]()
        model.load_state_dict(ours.state_dict())  # the same names: both start from the same weights
        if threads:
            torch.set_num_threads(threads)
        seconds = train_as_notes(system, model, data.train.rows, root, seed)
    else:
        seconds = train_as_we_do(config, model, data, threads)
    return seconds, 100 * (evaluate(model, data, config).accuracy or 0)


def compare(name: str, settings: Settings, root: Path, seeds: int, threads: int) -> None:
    """Train both for each seed, the first one in turn, and print what came out."""
    system = SYSTEMS[name]
    seconds: dict[str, list[tuple[float, float]]] = {"notes": [], "fit": []}
    accuracy: dict[str, list[float]] = {"notes": [], "fit": []}
    for seed in range(seeds):
        for who in ("notes", "fit") if seed % 2 == 0 else ("fit", "notes"):
            taken, right = in_own_process(train, name, who, seed, settings, root, threads, plain=who == "notes")
            seconds[who] += taken
            accuracy[who].append(right)
    wall, processor = ({who: [taken[kind] for taken in each] for who, each in seconds.items()} for kind in (0, 1))
    ratio, of_processor = (statistics.median(each["notes"]) / statistics.median(each["fit"]) for each in (wall, processor))
    differences = [ours - theirs for ours, theirs in zip(accuracy["fit"], accuracy["notes"], strict=True)]
    # how far the mean of so few seeds may be from that of all: each pair begins with the same weights, but sees another order
    error = statistics.stdev(differences) / len(differences) ** 0.5 if seeds > 1 else float("nan")
    training = system.config.training
    print(f"\n{system.title}; batch {training.batch_size}, Adam {training.optimizer.learning_rate:g}, {training.epochs} epochs, "
          f"{seeds} seeds, {threads or 'usual'} threads")
    for who, title in (("notes", "notes' loop"), ("fit", "fit()")):
        print(f"  {title:<12} {spread(wall[who], 's/epoch')}; processor {spread(processor[who], 's')}; test accuracy "
              f"{', '.join(f'{a:.2f}' for a in accuracy[who])} %, mean {statistics.mean(accuracy[who]):.2f} %")
    print(f"  ratio {ratio:.1f}× (aim {system.aim:g}×), in processor time {of_processor:.1f}×; "
          f"accuracy difference {statistics.mean(differences):+.2f} points, "
          f"standard error {error:.2f} (aim within ±0.2)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=list(SYSTEMS))
    parser.add_argument("--threads", type=int, default=0, help="of both; 0: PyTorch's own number, and the app's")
    parser.add_argument("--busy", type=int, default=0)
    args = parser.parse_args()
    settings = Settings.from_environment()
    print(conditions())
    try:
        with tempfile.TemporaryDirectory() as folder, busy_processes(args.busy):
            root = unpacked(settings, Path(folder))
            for name in SYSTEMS:
                if args.only in (None, name):
                    compare(name, settings, root, args.seeds, args.threads)
    except (DataError, OSError) as error:
        raise SystemExit(f"MNIST is needed in PLAYGROUND_DATA: {error}") from None


if __name__ == "__main__":
    main()
