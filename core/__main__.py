"""The command line: `python -m core presets | train | sweep | summary | evaluate | export | import | runs | backup | …`."""

import gc

from core.process import configure

if __name__ == "__main__":
    gc.disable()  # until all is imported: looking for garbage among a million things that stay takes as long as many a command
    configure("training")

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from core.cluster.engine import engine_for
from core.config import RunConfig
from core.data import DataError, load, outline, spec_of
from core.devices import DeviceError
from core.errors import os_reason, reason
from core.evaluation import Predictions
from core.evaluation.report import evaluation_report
from core.export import ExportError, script
from core.fields import ConfigError, describe
from core.files import write_atomically
from core.inspection import InspectionError, describe_layers, totals
from core.models import ModelError, build
from core.presets import PRESETS, UnknownPreset, preset
from core.runs import CheckpointError, Run, RunNotFound, RunStore, StoreError, load_model
from core.runs.backup import BackupError, back_up
from core.runs.evaluations import OtherImages, compute_predictions, load_predictions
from core.runs.execute import StoreControl, execute
from core.runs.memory import NotEnoughMemory
from core.runs.records import SINK
from core.runs.shipped import ShippedError, assets
from core.runs.shipping import train_shipped, write_shipped
from core.runs.sweep_records import Sweep, SweepNotFound, Trial
from core.settings import MOST_LOCAL, MOST_ON_CLUSTER, Settings
from core.sweeps import SweepError, SweepPlan, pause, plan_of, read_plan, run_sweep
from core.sweeps.optional import load_optuna
from core.sweeps.report import TrialReport, as_lines, beginning_of, end_of, minutes_of
from core.takeaway import KINDS, Options, Subject, TakeawayError, bring_back, file_name, take
from core.training import Epoch, Event, Intervention, freeze_for, outputs_for
from core.version import VERSION
from core.wording import percent, plural, size_of_bytes

OWNER = "command line"
USER_ERRORS = (BackupError, CheckpointError, ConfigError, DataError, DeviceError, ExportError, InspectionError, ModelError,
               NotEnoughMemory, OtherImages, RunNotFound, ShippedError, StoreError, SweepError, SweepNotFound, TakeawayError,
               UnknownPreset)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, or 2 with one line on stderr for what can't be done or has failed."""
    args = parser().parse_args(arguments)
    try:
        settings = Settings.from_environment().with_places(getattr(args, "data", None), getattr(args, "runs", None))
        commands = {"presets": presets, "train": train, "sweep": sweep, "summary": summary, "evaluate": evaluate,
                    "export": export, "import": import_bundle, "runs": runs, "backup": backup, "first-model": first_model}
        return commands[args.command](args, settings)
    except USER_ERRORS as error:
        print(reason(error), file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The arguments. --data and --runs may stand before or after the command's own."""
    places = OneLineParser(add_help=False)
    # SUPPRESS, and no set_defaults(), which would reach the commands' copies too: what stands before the command must not be
    # overwritten by the absence of it after
    places.add_argument("--data", metavar="DIR", default=argparse.SUPPRESS, help="data directory (PLAYGROUND_DATA)")
    places.add_argument("--runs", metavar="DIR", default=argparse.SUPPRESS, help="runs directory (PLAYGROUND_RUNS)")
    top = OneLineParser(prog="python -m core", description=__doc__, parents=[places])
    top.add_argument("--version", action="version", version=f"Torch Playground {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OneLineParser)
    commands.add_parser("presets", parents=[places], help="list the named runs")
    for name, text in {"train": "train a preset here and record the run", "summary": "a preset's layers and parameters"}.items():
        command = commands.add_parser(name, parents=[places], help=text)
        command.add_argument("preset", metavar="PRESET")
        command.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], help="such as training.epochs=2")
        command.add_argument("--json", action="store_true", help="one JSON object for each line")
    searching = commands.add_parser("sweep", parents=[places], help="search for a preset's best settings; needs Optuna "
                                    "(pip install -r requirements-sweep.txt)")
    searching.add_argument("preset", metavar="PRESET", nargs="?")
    searching.add_argument("--vary", metavar="FIELD=LOW..HIGH[:log][:int] | FIELD=ONE|ANOTHER", action="append", default=[],
                           help="such as training.optimizer.learning_rate=1e-4..1e-1:log or 'model.hidden=[32]|[64,32]'")
    searching.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], help="such as training.epochs=2")
    searching.add_argument("--trials", metavar="N", type=int, help="settings that are tried; 40 if not said")
    searching.add_argument("--budget", metavar="TIME", help="such as 90s, 10m or 2h; 10m if not said, 0 for no limit")
    for option in ("sampler", "pruner", "metric"):
        about = describe(SweepPlan, option)
        searching.add_argument(f"--{option}", choices=about.choices, help=f"{about.help} {about.default} if not said")
    searching.add_argument("--seeds", metavar="N", type=int, help="fresh seeds for measuring luck; 3 if not said")
    searching.add_argument("--patience", metavar="N", type=int, help=describe(SweepPlan, "patience").help)
    searching.add_argument("--workers", metavar="N", type=int, help="trials at once; PLAYGROUND_WORKERS if not said")
    searching.add_argument("--resume", metavar="ID", help="go on with a search that was interrupted or paused")
    searching.add_argument("--json", action="store_true", help="one JSON object for each line")
    judging = commands.add_parser("evaluate", parents=[places], help="what a recorded run gets right and wrong")
    judging.add_argument("run", metavar="RUN")
    judging.add_argument("--split", choices=["test", "validation"], default="test", help="which images; test if not said")
    judging.add_argument("--json", action="store_true", help="all figures as one JSON object")
    taking = commands.add_parser("export", parents=[places], help="a preset or run as something to take away")
    taking.add_argument("preset", metavar="PRESET_OR_RUN")
    taking.add_argument("--to", metavar="KIND", choices=list(KINDS), default="script",
                        help=f"{', '.join(KINDS)}; script if not said, the one kind that a preset can be")
    taking.add_argument("--alone", action="store_true",
                        help="onnx, torch-export: the network without normalisation before it and probabilities after it")
    taking.add_argument("--fast", action="store_true", help="the whole set in memory, and no DataLoader: some ten times as fast")
    taking.add_argument("--out", metavar="FILE", help="write to FILE instead of the screen; what is no text goes to a file here "
                        "that is named after the run, if not said")
    taking.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[], help="such as training.epochs=2")
    bringing = commands.add_parser("import", parents=[places], help="bring back a run from its bundle")
    bringing.add_argument("bundle", metavar="BUNDLE")
    listing = commands.add_parser("runs", parents=[places], help="list recorded runs")
    listing.add_argument("--json", action="store_true", help="one JSON object for each line")
    copying = commands.add_parser("backup", parents=[places],
                                  help="copy all runs into one zip file, also while runs go on; unpacked it is a runs directory")
    copying.add_argument("--out", metavar="FILE", help="write to FILE; runs-DATE.zip here if not said")
    making = commands.add_parser("first-model", parents=[places],
                                 help="train again what Home shows before anybody has trained: a small model and its recording")
    making.add_argument("--out", metavar="DIR", default=str(assets()), help="write them there; into assets/ if not said")
    return top


class OneLineParser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one line."""

    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def presets(args: argparse.Namespace, settings: Settings) -> int:
    """Names, what they are, and whether their data is there."""
    for name, entry in PRESETS.items():
        there = spec_of(entry.config.data.dataset).is_available(settings.data_dir)
        print(f"{name:<16} {entry.summary}{'' if there else '  [data not downloaded]'}")
    return 0


def configured(args: argparse.Namespace) -> RunConfig:
    """The preset with its --set changes. Raises UnknownPreset or ConfigError."""
    return preset(args.preset).config.with_values(changes(args))


def changes(args: argparse.Namespace) -> dict[str, Any]:
    """What --set asks for. Raises ConfigError."""
    asked: dict[str, Any] = {}
    for assignment in args.set:
        field, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment}: write it as FIELD=VALUE, such as training.epochs=2")
        try:
            asked[field] = json.loads(value)
        except ValueError:
            asked[field] = value  # a word such as cnn
    return asked


def train(args: argparse.Namespace, settings: Settings) -> int:
    """Train in the foreground and record the run like any other. Ctrl-C stops it and keeps what it has learned."""
    config = configured(args)
    store = RunStore(settings.runs_dir, patience=60.0)
    worker = f"foreground:{time.time_ns()}"
    # not queued first: a worker of a running app would take it
    run = store.create_running(config, OWNER, worker, title=preset(args.preset).title)
    interrupted, over = threading.Event(), threading.Event()
    threading.Thread(target=_beat, args=(store, worker, over), daemon=True).start()
    report = _print_json if args.json else _print_text
    try:
        with interrupt_sets(interrupted):
            ended = execute(store, run, settings, StoreControl(store, run.id, interrupted),
                            lambda event: report(event) if isinstance(event, Epoch) else None, wait_for_sink=True)
    except StoreError as error:
        if args.json:
            print(json.dumps({"event": "failed", "run": run.id, "reason": str(error)}), flush=True)
        raise
    finally:
        over.set()
    if settings.sink and (kept := store.snapshots(run.id).get(SINK)):
        print(kept.value["line"], file=sys.stderr)
    return _print_end(ended, args.json)


def sweep(args: argparse.Namespace, settings: Settings) -> int:
    """Search for the best settings with training processes of its own. Ctrl-C pauses the search; --resume goes on with it."""
    if bool(args.preset) == bool(args.resume):
        raise SweepError("Name a preset with --vary, or a search with --resume.")
    if args.workers is not None:
        settings = replace(settings, workers=args.workers)
    most = MOST_ON_CLUSTER if settings.cluster else MOST_LOCAL
    if not 1 <= settings.workers <= most:
        raise SweepError(f"{settings.workers} trials at once; it must be from 1 to {most}")
    values = {name: value for name in ("trials", "sampler", "pruner", "metric", "seeds", "patience")
              if (value := getattr(args, name)) is not None}
    if args.budget is not None:
        values["minutes"] = minutes_of(args.budget)
    plan = plan_of(configured(args), args.vary, **values) if args.preset else None
    store, report = RunStore(settings.runs_dir, patience=60.0), TrialReport()
    if args.resume:
        plan = read_plan(store.sweep(args.resume).plan)
    elif going := next((one for one in store.sweeps() if one.is_active), None):
        raise SweepError(f"A search is going already, {going.title}. Go on with it by --resume {going.id}, or stop it on the "
                         "page Search settings.")
    load_optuna()  # before processes are started for nothing
    assert plan is not None

    said = ""

    def tell(now: Sweep, trials: list[Trial]) -> None:
        nonlocal said
        if engine.trouble != said and (said := engine.trouble):
            print(said, file=sys.stderr)
        if not report.sweep_id:
            print(beginning_of(plan, now, args.json), flush=True)
        for line in as_lines(plan, now, report.news(now, trials), args.json):
            print(line, flush=True)

    with engine_for(store, settings) as engine:
        try:
            ended = run_sweep(engine, store, None if args.resume else plan, OWNER, f"Search: {args.preset}", tell,
                              args.resume or "")
        except KeyboardInterrupt:
            pause(store, report.sweep_id)
            print(f"paused; go on with: python -m core sweep --resume {report.sweep_id}", file=sys.stderr)
            return 130
    print(end_of(plan, ended, store.trials(ended.id), args.json), flush=True)
    if ended.status == "failed":
        print(ended.message, file=sys.stderr)
    return 2 if ended.status == "failed" else 0


def _beat(store: RunStore, worker: str, ended: threading.Event) -> None:
    """Say each second that this run is alive, so that no app marks it as interrupted."""
    while not ended.wait(1.0):
        try:
            store.heartbeat(worker)
        except StoreError:
            continue


@contextmanager
def interrupt_sets(interrupted: threading.Event) -> Iterator[None]:
    """Ctrl-C as a request to stop after the current step; a second one ends the process."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_json(event: Event) -> None:
    assert isinstance(event, Epoch)
    # JSON has no word for NaN or infinity, which the loss of a network that goes astray can be
    values = {name: value for name, value in asdict(event).items() if name != "step"}
    known = {name: value if value is not None and isfinite(value) else None for name, value in values.items()}
    print(json.dumps({"event": "epoch"} | known), flush=True)


def _print_text(event: Event) -> None:
    assert isinstance(event, Epoch)
    right, validated = (f"  accuracy {percent(share)}" if share is not None else ""  # a predicted number is not right or wrong
                        for share in (event.train_accuracy, event.validation_accuracy))
    print(f"epoch {event.epoch:>3}  loss {event.train_loss:.4f}{right}  validation loss {event.validation_loss:.4f}{validated}  "
          f"{event.seconds:.2f} s  {event.images_per_second:,.0f} images/s", flush=True)


def _print_end(run: Run, as_json: bool) -> int:
    """The last line of `train`, and the exit status."""
    failed = run.status == "failed"
    if as_json:
        end = {"event": "failed", "run": run.id, "reason": run.message} if failed else {
            "event": "finished" if run.status == "finished" else run.status, "run": run.id,
            "test_accuracy": run.test_accuracy, "seconds": run.seconds}
        print(json.dumps(end), flush=True)
    elif not failed:
        accuracy = f"test accuracy {percent(run.test_accuracy)}" if run.test_accuracy is not None else run.status
        print(f"{accuracy}, trained in {run.seconds or 0:.1f} s; run {run.id}", flush=True)
    if failed:
        print(run.message, file=sys.stderr)
    return 2 if failed else 0


def summary(args: argparse.Namespace, settings: Settings) -> int:
    """Layers, shapes and parameters of a preset's network; needs no data."""
    config = configured(args)
    shape = outline(config.data, settings.data_dir)
    with torch.device("meta"):  # shapes are all that is needed
        model = build(config.model, shape.input_shape, outputs_for(config, len(shape.source_classes)))
    freeze_for(config, model)
    rows = describe_layers(model, shape.input_shape)
    if args.json:
        for row in rows:
            print(json.dumps(asdict(row)))
        return 0
    print(f"{'layer':<10} {'kind':<18} {'input':<14} {'output':<14} {'parameters':>12}  how they come about")
    for row in rows:
        shapes = ["×".join(map(str, shape)) for shape in (row.input_shape, row.output_shape)]
        note = "  frozen" if row.parameters and not row.trainable else ""
        print(f"{row.name:<10} {row.kind:<18} {shapes[0]:<14} {shapes[1]:<14} {row.parameters:>12,}  {row.formula}{note}")
    total = totals(rows)
    print(f"total: {total.parameters:,} parameters, {size_of_bytes(total.parameters * 4)} in float32; "
          f"{total.mult_adds:,} multiply-adds for one image")
    if total.trainable < total.parameters:
        print(f"trainable: {total.trainable:,}; frozen: {total.parameters - total.trainable:,}")
    return 0


def evaluate(args: argparse.Namespace, settings: Settings) -> int:
    """Accuracy with its interval, calibration, and each class's figures of a recorded run, from what it kept or computed now."""
    store = RunStore(settings.runs_dir)
    predictions = _predictions(store, store.get(args.run), settings, args.split)
    figures = evaluation_report(predictions)
    if args.json:
        print(json.dumps({"run": args.run, "split": args.split} | figures))
        return 0
    low, high = figures["accuracy_interval"]
    loss, error = figures["loss"], figures["calibration_error"]
    print(f"accuracy {percent(figures['accuracy'])} (95 % interval {percent(low)} to {percent(high)}), {figures['right']:,} of "
          f"{figures['examples']:,} right; loss {'–' if loss is None else f'{loss:.4f}'}; "
          f"calibration error {percent(error)}")
    print(f"{'class':<16} {'precision':>9} {'recall':>9} {'F1':>9} {'support':>9}")
    for row in figures["classes"]:
        shares = " ".join("        –" if row[name] is None else f"{row[name]:9.4f}" for name in ("precision", "recall", "f1"))
        print(f"{row['name']:<16} {shares} {row['support']:>9,}")
    return 0


def _predictions(store: RunStore, run: Run, settings: Settings, split: str) -> Predictions:
    """Kept ones, or computed now and kept. Raises CheckpointError, DataError, OtherImages and NotEnoughMemory."""
    if (kept := load_predictions(store, run.id, split)) is not None:
        return kept
    return compute_predictions(store, run.id, load_model(store, run.id),
                               load(run.config.data, settings.data_dir, settings.cache_dir), split)


def export(args: argparse.Namespace, settings: Settings) -> int:
    """A preset as a script, or a recorded run as any of KINDS, on the screen or in a file."""
    if args.preset in PRESETS:
        if args.to != "script":
            raise ExportError(f"{args.preset} is a preset: nothing has been trained yet. Train it with python -m core train "
                              f"{args.preset}, then export that run.")
        content, name = _script(preset(args.preset).config, args, settings), ""
    else:
        store = RunStore(settings.runs_dir)
        try:
            run = store.get(args.preset)
        except RunNotFound:
            raise UnknownPreset(f"There is no preset or run {args.preset!r}; choose from {', '.join(PRESETS)}, or see "
                                "python -m core runs.") from None
        if args.set and args.to != "script":
            raise ExportError("--set changes what a script says; a run that has been is what it was.")
        subject = Subject(store, run, settings, Options(args.fast, args.alone))
        by_hand = [] if args.set else store.interventions(run.id)  # with other settings it is another run
        content = _script(run.config, args, settings, by_hand) if args.to == "script" else take(subject, args.to)
        name = file_name(subject, args.to)
    if args.out is None and KINDS[args.to].text:
        print(content.decode(), end="")
        return 0
    _write(args.out or name, content)
    if args.out is None:
        print(f"{name}  {size_of_bytes(len(content))}")
    return 0


def _script(config: RunConfig, args: argparse.Namespace, settings: Settings, by_hand: Sequence[Intervention] = ()) -> bytes:
    return script(config.with_values(changes(args)), settings.data_dir, args.fast, by_hand).encode()


def _write(path: str, content: bytes) -> None:
    try:
        if not Path(path).absolute().parent.is_dir():
            raise FileNotFoundError(2, "there is no such folder")
        write_atomically(Path(path), lambda file: file.write(content))
    except OSError as error:
        raise ExportError(f"{path} can't be written to: {os_reason(error)}.") from None


def import_bundle(args: argparse.Namespace, settings: Settings) -> int:
    """A bundle's run, kept here under a new id."""
    run = bring_back(RunStore(settings.runs_dir), Path(args.bundle), OWNER)
    print(f"{run.id}  {run.status}  {run.title}")
    return 0


def runs(args: argparse.Namespace, settings: Settings) -> int:
    """Recorded runs, newest first."""
    for run in RunStore(settings.runs_dir).runs(limit=-1):
        if args.json:
            print(json.dumps({"run": run.id, "title": run.title, "status": run.status, "message": run.message,
                              "test_accuracy": run.test_accuracy, "seconds": run.seconds,
                              "config": run.config.model_dump(mode="json")}))
        else:
            print(f"{run.id}  {run.status:<11} {percent(run.test_accuracy):>8}  {run.title}")
    return 0


def backup(args: argparse.Namespace, settings: Settings) -> int:
    """All runs, their metrics and their files in one zip file."""
    out = Path(args.out or time.strftime("runs-%Y-%m-%d.zip"))
    made = back_up(settings.runs_dir, out)
    print(f"{out}: {plural(made.runs, 'run')}, {plural(made.files, 'file')}, {size_of_bytes(made.size)}")
    return 0


def first_model(args: argparse.Namespace, settings: Settings) -> int:
    """Train the model that comes with the app, and write it and the recording of its training."""
    with tempfile.TemporaryDirectory(prefix="playground-first-model-") as folder:
        store = RunStore(Path(folder))  # of its own: no app shows or takes this run
        try:
            run, data = train_shipped(store, settings)
            written = write_shipped(store, run, data, Path(args.out))
        except OSError as error:
            raise ShippedError(f"{args.out} can't be written to: {os_reason(error)}.") from None
        finally:
            store.close()
    for path in written:
        print(f"{path}: {size_of_bytes(path.stat().st_size)}")
    print(f"test accuracy {percent(run.test_accuracy)}, trained in {run.seconds or 0:.1f} s")
    return 0


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    sys.exit(main())
