"""An exported script, plain and fast, beside the app: python -m benchmarks.script_speed [--preset mnist-mlp-50] [--epochs 10].

Each is a process of its own from start to end, with its imports and the reading of its files: the two scripts as a person runs
them, and `python -m core train`. All print the same losses. Needs MNIST in PLAYGROUND_DATA, and a processor: with a GPU the
order of sums differs.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.conditions import conditions
from core.data import DataError
from core.export import script
from core.fields import ConfigError
from core.presets import UnknownPreset, preset
from core.settings import Settings


def timed(command: list[str], folder: str) -> tuple[float, list[str]]:
    """Seconds, and the training losses that were printed. Raises SystemExit with what the process said where it failed."""
    start = time.perf_counter()
    ran = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if ran.returncode:
        raise SystemExit(ran.stderr.strip())
    return seconds, re.findall(r"^epoch +\d+:? +loss ([\d.]+)", ran.stdout, re.M)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mnist-mlp-50")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    settings = Settings.from_environment()
    changes = {"training.epochs": args.epochs, "training.precision": "float32"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = preset(args.preset).config.with_values(changes)
            for name in ("plain", "fast"):
                Path(folder, f"{name}.py").write_text(script(config, settings.data_dir, name == "fast"), encoding="utf-8")
        except (ConfigError, DataError, UnknownPreset) as error:
            raise SystemExit(str(error)) from None
        data = ["--data", str(settings.data_dir)]
        app = ["-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from core.__main__ import main; "
               "sys.exit(main())", "train", args.preset, *data, "--runs", f"{folder}/runs"]
        print(f"{conditions()}\n{args.preset}, {args.epochs} epochs, float32")
        for name, command in {"plain script": ["plain.py", *data], "fast script": ["fast.py", *data],
                              "core train": [*app, *(f"--set={field}={value}" for field, value in changes.items())]}.items():
            seconds, losses = timed(command, folder)
            print(f"  {name:<13} {seconds:6.1f} s; losses {losses[0]} … {losses[-1]}", flush=True)


if __name__ == "__main__":
    main()
