"""A run's script as a notebook, executed in a process of its own as it is made, with how its curve compares with the run's."""

import ast
import os
import re
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isclose
from pathlib import Path
from typing import Any

from core.errors import reason
from core.export import script, state_dict_file
from core.export.start_code import START
from core.subprocesses import ROOT
from core.takeaway.parts import Subject, TakeawayError
from core.version import TORCH_VERSION, VERSION
from core.wording import duration, plural

NEEDS = ("nbformat", "nbclient", "ipykernel")
LEAST_SECONDS, TIMES = 600.0, 20.0  # how long it may take, also as a multiple of the run's own seconds
LINE = re.compile(r"^epoch (\d+):? +loss (\S+?)(?:, validation loss (\S+?))?(?:,|$)", re.M)
PRINTED = 5e-5  # half of the last digit that the script prints
MOST_LINES = {"definitions": 80, "steps": 15}  # of a cell that takes more than one part of the script


@dataclass(frozen=True)
class Compared:
    """How an executed script's printed losses compare with the run's: epochs that both have, and the largest differences."""

    epochs: int
    train: float
    validation: float

    def words(self) -> str:
        if not self.epochs:
            return "The run has recorded no epochs to compare with."
        apart = max(self.train, self.validation)
        if apart <= 1.5 * PRINTED:
            return f"Its losses are the run's in all four printed digits, over {plural(self.epochs, 'epoch')}."
        return (f"Largest difference from the run's recorded curve over {plural(self.epochs, 'epoch')}: loss {self.train:.4f}, "
                f"validation loss {self.validation:.4f}. The script computes in float32; a run with another number format, "
                "random transforms, or other threads differs by rounding that grows.")


def notebook(subject: Subject) -> bytes:
    """A notebook (nbformat 4) with its outputs. It trains, and so takes about as long as the run did.

    Raises ExportError: the run has no plain script. CheckpointError: the weights it started with are not here. TakeawayError:
    executing it fails or takes too long.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    run = subject.run
    text = script(run.config, subject.settings.data_dir, True, subject.store.interventions(run.id))
    cells = [nbformat.v4.new_code_cell(part) for part in parts_of(text)]
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {
        "name": "python3", "display_name": "Python 3", "language": "python"}, "language_info": {"name": "python"}})
    most = max(LEAST_SECONDS, TIMES * (run.seconds or 0.0))
    before = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="playground-notebook-") as folder:
        if subject.run.config.training.start_from:
            (Path(folder) / START).write_bytes(state_dict_file(subject.start_weights()))
        client = NotebookClient(made, timeout=int(most), kernel_name="python3", resources={"metadata": {"path": folder}})
        manager = client.create_kernel_manager()
        if os.name == "posix":  # files of this user in place of ports that others on the machine can reach
            manager.transport, manager.ip = "ipc", f"{folder}/kernel"
        try:
            client.execute(env={**os.environ, "PLAYGROUND_DATA": str(subject.settings.data_dir), "IPYTHONDIR": folder})
        except (CellTimeoutError, TimeoutError):
            raise TakeawayError(f"The notebook was stopped after {duration(most)}: it trains as long as the run did. Export the "
                                "script instead.") from None
        except CellExecutionError as error:
            raise TakeawayError(f"The notebook's script fails: {error.ename}: {error.evalue[:200]}") from None
        except (DeadKernelError, RuntimeError, OSError) as error:
            raise TakeawayError(f"The notebook can't be executed: {reason(error)[:200]}") from None
    took = time.monotonic() - before
    compared = compare(printed(made), subject.store.metrics(run.id, names=("train_loss", "validation_loss")).series,
                       run.steps_per_epoch)
    stamp = (f"Executed on {datetime.now(UTC):%Y-%m-%d} in {duration(took)} with PyTorch {TORCH_VERSION}, by Torch Playground "
             f"{VERSION}. {compared.words()}")
    made.cells.insert(0, nbformat.v4.new_markdown_cell(f"{opening(text)}\n\n{stamp}"))
    made.metadata["torch_playground"] = {"version": VERSION, "run": run.id, "epochs_compared": compared.epochs,
                                         "largest_difference": {"loss": compared.train, "validation_loss": compared.validation}}
    for cell in made.cells:
        cell.get("metadata", {}).pop("execution", None)  # when each cell ran says nothing to a reader
    content = nbformat.writes(made)
    for place in (str(subject.settings.data_dir), str(ROOT), str(Path.home())):
        if len(place) > 1 and place in content:
            content = content.replace(place, "…")
    return content.encode()


def opening(text: str) -> str:
    """The script's docstring as Markdown: its first line is the run's title, which may hold anything."""
    about = ast.get_docstring(ast.parse(text)) or ""
    return "\n".join(f"    {line}" if line else "" for line in about.splitlines())


def parts_of(text: str) -> list[str]:
    """A script in cells, without its docstring: imports and settings; definitions together; what is done, step by step; the
    network's class and the loop each alone."""
    tree = ast.parse(text)
    body = "\n".join(text.splitlines()[tree.body[0].end_lineno or 0:]).strip("\n")
    cells: list[tuple[str, str]] = []  # what it is, and the code
    for block in re.split(r"\n\n\n+", body):
        what = _what(block)
        if not what:  # three empty lines inside a text
            cells[-1] = cells[-1][0], f"{cells[-1][1]}\n\n\n{block}"
        elif cells and what == cells[-1][0] and cells[-1][1].count("\n") + block.count("\n") < MOST_LINES.get(what, 0):
            cells[-1] = what, f"{cells[-1][1]}\n\n\n{block}"
        else:
            cells.append((what, block))
    return [code for _, code in cells]


def _what(block: str) -> str:
    """"definitions", "network", "loop" or "steps"; "" for what is no whole Python."""
    try:
        nodes = ast.parse(block).body
    except SyntaxError:
        return ""
    if any(isinstance(node, ast.ClassDef) and "nn.Module" in map(ast.unparse, node.bases) for node in nodes):
        return "network"
    if any(isinstance(node, ast.For | ast.Import) for node in nodes):
        return "loop"
    named = [ast.unparse(node.targets[0]) for node in nodes if isinstance(node, ast.Assign)]
    defined = all(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) for node in nodes)
    return "definitions" if defined and all(name.isupper() for name in named) else "steps"


def printed(made: Any) -> str:
    """All that the executed cells printed."""
    return "".join(output.get("text", "") for cell in made.cells if cell.cell_type == "code" for output in cell.outputs
                   if output.get("output_type") == "stream" and output.get("name") == "stdout")


def compare(text: str, series: dict[str, tuple[list[int], list[float]]], per_epoch: int) -> Compared:
    """Losses that a script printed beside those that the run recorded, epoch by epoch. NaN equals NaN."""
    recorded = {name: {step // max(per_epoch, 1): value for step, value in zip(*points, strict=True)}
                for name, points in series.items()}
    epochs, apart = 0, {"train_loss": 0.0, "validation_loss": 0.0}
    for epoch, train, validation in LINE.findall(text):
        mine = {"train_loss": train, "validation_loss": validation}
        both = {name: (float(value), recorded[name][int(epoch)]) for name, value in mine.items()
                if value and int(epoch) in recorded.get(name, {})}
        epochs += bool(both)
        for name, (one, other) in both.items():
            if not (one != one and other != other or isclose(one, other, abs_tol=0.0)):
                apart[name] = max(apart[name], abs(one - other) if one == one and other == other else float("inf"))
    return Compared(epochs, apart["train_loss"], apart["validation_loss"])
