"""A sink in a process of its own: python -m core.sink_child NAME.

Messages are lines of JSON on its standard input: {"start": …}, {"rows": …} and {"finish": …}; their end without the last one
means that the run's process has died. As it ends it writes one line of JSON with a Report on its standard output.
"""

import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO

from core.errors import reason
from core.sinks import SINKS, Sink, SinkRun, make_sink
from core.subprocesses import is_alive

SECONDS_TO_END = 30.0  # after the process that it works for
LONGEST = 200  # characters of what went wrong


@dataclass
class Report:
    """rows: how many the sink has taken. trouble: the first thing that went wrong, in one line; "" if nothing did."""

    rows: int = 0
    trouble: str = ""

    def note(self, what: str) -> None:
        self.trouble = self.trouble or what[:LONGEST]


def serve(messages: Iterable[str | bytes], make: Callable[[], Sink], report: Report) -> None:
    """Hand messages to a sink, and fill in the report. A row that it refuses costs that row; where it can't be made or
    started, all is over."""
    try:
        sink = make()
        for line in messages:
            match json.loads(line):
                case {"start": about}:
                    sink.start(SinkRun(**about | {"tags": tuple(about["tags"])}))
                case {"rows": rows}:
                    for step, values in rows:
                        _take(sink, step, values, report)
                case {"finish": {"status": status, "summary": summary}}:
                    sink.finish(status, summary)
                    return
        sink.finish("interrupted", {})
    except (Exception, SystemExit) as error:  # of a package that may do anything
        report.note(said(error))


def _take(sink: Sink, step: int, values: dict[str, float], report: Report) -> None:
    try:
        sink.metrics(step, values)
        report.rows += 1
    except Exception as error:
        report.note(said(error))


def said(error: BaseException) -> str:
    """What an error says in one line, its kind first where that is not clear."""
    text = " ".join(reason(error).split())
    return text if text.startswith(type(error).__name__) else f"{type(error).__name__}: {text}"


def make(name: str) -> Sink:
    """As make_sink(), but with a line that says how to get what is not installed."""
    try:
        return make_sink(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(f"{name} is not installed; {SINKS[name]}") from None


def own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """What is asked and said here, kept from the sink: it may print, or ask for a password where somebody could type one."""
    asked, answered = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return asked, answered


def end_with(parent: int) -> None:
    """Let this process end a while after another one has, even where the sink hangs."""

    def watch() -> None:
        while is_alive(parent):
            time.sleep(1.0)
        time.sleep(SECONDS_TO_END)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(name: str) -> None:
    if hasattr(os, "nice"):
        os.nice(10)  # the training goes first
    asked, answered = own_pipes()
    end_with(os.getppid())
    report = Report()
    # trackers warn where they can't write, from threads of their own, and go on as if they had
    warnings.showwarning = lambda message, *_, **__: report.note(" ".join(str(message).split()))
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", category=UserWarning)
    serve(asked, lambda: make(name), report)
    with suppress(OSError):
        answered.write(json.dumps(asdict(report)).encode())
        answered.flush()
    os._exit(0)  # whatever a tracker would still do or wait for at an exit


if __name__ == "__main__":
    main(*sys.argv[1:])
