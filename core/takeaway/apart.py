"""A kind made by a process of its own: what a server should not load, set or wait for in its own."""

import subprocess
import tempfile
from pathlib import Path

from core.subprocesses import ONE_THREAD, end, start
from core.takeaway.parts import Subject, TakeawayError
from core.wording import duration

SECONDS = 600.0  # by the clock


def take_apart(subject: Subject, kind: str, seconds: float = SECONDS) -> bytes:
    """As take(), made by `python -m core export`. Raises TakeawayError."""
    settings, options = subject.settings, subject.options
    with tempfile.TemporaryDirectory(prefix="playground-takeaway-") as folder:
        out = Path(folder) / "made"
        flags = [*(["--fast"] if options.fast else []), *(["--alone"] if options.alone else [])]
        child = start("core", "export", subject.run.id, "--to", kind, "--out", str(out), "--runs", str(subject.store.path),
                      "--data", str(settings.data_dir), *flags, environment={**ONE_THREAD, "PLAYGROUND_CACHE": str(
                          settings.cache_dir)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                      text=True, encoding="utf-8", errors="replace")
        try:
            said = child.communicate(timeout=seconds)[1]
        except subprocess.TimeoutExpired:
            raise TakeawayError(f"This took more than {duration(seconds)} and was stopped. On the command line there is no "
                                f"such limit: python -m core export {subject.run.id} --to {kind}") from None
        finally:
            end(child)
        try:
            if child.returncode == 0:
                return out.read_bytes()
        except OSError as error:
            raise TakeawayError(f"What was made can't be read: {error.strerror}.") from None
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raise TakeawayError(lines[-1][:400] if lines else f"It could not be made (exit code {child.returncode}).")
