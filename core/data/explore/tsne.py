"""t-SNE maps: made in a child process, one at a time, kept in the cache."""

import hashlib
import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import os_reason
from core.subprocesses import ONE_THREAD, end, start
from core.tsne_child import ITERATIONS

COMPONENTS = 50  # of PCA, which t-SNE is given, as van der Maaten and Hinton did (JMLR 9, 2008, section 4.2)
FEWEST = 5  # images; fewer have no neighbourhoods
PERPLEXITY = 30.0
LONGEST = 900.0  # seconds; 5,000 points take about 30


@dataclass(frozen=True)
class TsneState:
    """share: 0 to 1 of the iterations; None while it waits for another map. problem: why there will be none."""

    share: float | None = 0.0
    problem: str = ""


class TsneMaps:
    """The maps of one cache directory. All sessions of a server share one; two that ask for the same map get the same."""

    def __init__(self, cache: Path) -> None:
        self.folder = cache / "maps"
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by the map that is being made
        self._states: dict[str, TsneState] = {}

    def find(self, points: Tensor) -> Tensor | None:
        """(N, 2) float32 if the map of these points, (N, F) float32, has been made."""
        path = self._path(name_of(points))
        try:
            placed = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or damaged: then it is made again
            return None
        return torch.from_numpy(placed) if placed.shape == (len(points), 2) and placed.dtype == np.float32 else None

    def state(self, points: Tensor) -> TsneState | None:
        """How far the map is; None where nobody has asked for it."""
        with self._lock:
            return self._states.get(name_of(points))

    def ask(self, points: Tensor) -> None:
        """Have the map made, unless it is already on its way."""
        name = name_of(points)
        with self._lock:
            state = self._states.get(name)
            if state is not None and not state.problem:
                return
            if len(points) < FEWEST:
                self._states[name] = TsneState(problem=f"t-SNE needs at least {FEWEST} images; there are {len(points)}.")
                return
            self._states[name] = TsneState(share=None)
        threading.Thread(target=self._make, args=(name, points.numpy().copy()), daemon=True, name="tsne").start()

    def _make(self, name: str, points: np.ndarray) -> None:
        with self._turn:
            self._set(name, TsneState())
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                problem = self._run(name, points)
            except OSError as error:
                problem = f"The cache directory can't be written to: {os_reason(error)}."
        with self._lock:
            if problem:
                self._states[name] = TsneState(problem=problem)
            else:
                self._states.pop(name, None)  # found in the cache from now on

    def _run(self, name: str, points: np.ndarray) -> str:
        """Why it failed, or ""."""
        with tempfile.TemporaryDirectory(prefix="tsne-", dir=self.folder) as folder:
            source = Path(folder) / "points.npy"
            np.save(source, points)
            perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
            child = start("core.tsne_child", str(source), str(self._path(name)), f"{perplexity:g}",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", environment=ONE_THREAD | {"PYTHONUNBUFFERED": "1"})  # its lines as it writes them
            timer = threading.Timer(LONGEST, child.kill)
            timer.daemon = True
            timer.start()
            last = ""
            try:
                assert child.stdout is not None
                for line in child.stdout:
                    last = line.strip() or last
                    if found := re.search(r"Iteration (\d+):", line):
                        self._set(name, TsneState(share=min(1.0, int(found[1]) / ITERATIONS)))
                code = child.wait()
            finally:
                timer.cancel()
                end(child)
        return f"t-SNE ended with exit code {code}: {last[:200]}" if code else ""

    def _set(self, name: str, state: TsneState) -> None:
        with self._lock:
            self._states[name] = state

    def _path(self, name: str) -> Path:
        return self.folder / f"tsne-{name}.npy"


def name_of(points: Tensor) -> str:
    """The points themselves are the name: other images, or another number of them, are another map."""
    digest = hashlib.blake2b(f"v1 {tuple(points.shape)} {ITERATIONS} {PERPLEXITY}".encode(), digest_size=12)
    digest.update(np.ascontiguousarray(points.numpy()).data)
    return digest.hexdigest()
