"""What a run was made with, as plain JSON values: for its card, its bundle and the page."""

from dataclasses import dataclass
from typing import Any

from core.data.sources import kind_of
from core.export import described
from core.models.pretrained import IMAGENET
from core.runs import Run, RunStore
from core.runs.made_with import SPLITS, read_made_with
from core.runs.records import SINK
from core.wording import EXAMPLES, plural

UNKNOWN = "not recorded"
TITLES = {"train": "Training", "validation": "Validation", "test": "Test"}  # of the splits
MOST_CHANGES = 6  # by hand, that are told


@dataclass(frozen=True)
class Line:
    """One line of a record for people: what it is about, and what is known of it. value may hold what a person wrote."""

    name: str
    value: str


def record_of(store: RunStore, run: Run) -> dict[str, Any]:
    """Versions, device, threads, number format, seed, data, changes by hand and the run it started from.

    What a run of an earlier version did not write down is "" or missing.
    """
    made = read_made_with(store, run.id)
    steps, threads = store.metrics(run.id, names=("threads",)).series.get("threads", ([], []))
    return {"version": run.version, "starts": made.get("starts", []), "data": made.get("data", {}),
            "brought": made.get("brought", {}), "device": run.device, "precision": run.precision,
            "threads": [[step, int(count)] for step, count in zip(steps, threads, strict=True)],
            "seed": run.config.training.seed, "start_from": run.config.training.start_from,
            "changed_by_hand": [described(one) for one in store.interventions(run.id)], "sink": _sink(store, run)}


def _sink(store: RunStore, run: Run) -> str:
    """Where its metrics went as well, and what came of it; "" where they went nowhere else."""
    kept = store.snapshots(run.id).get(SINK)
    return (kept.value.get("line") or f"{kept.value.get('name')}: it has not said yet what it has taken") if kept else ""


def lines_of(record: dict[str, Any], run: Run) -> list[Line]:
    """A record in words. It may come from a bundle: whatever it holds becomes text."""
    starts = _rows(record, "starts")
    first: dict[str, Any] = starts[0] if starts else {}
    versions = ", ".join(f"{title} {short(first[name])}" for name, title in (
        ("torch_playground", "Torch Playground"), ("torch", "PyTorch"), ("python", "Python")) if first.get(name))
    if not versions and record.get("version"):
        versions = f"Torch Playground {short(record['version'])}; others {UNKNOWN}"
    machine = ", ".join(filter(None, [short(first.get("system", "")), short(first.get("processor", "")),
                                      plural(first["cores"], "core") if isinstance(first.get("cores"), int) else "",
                                      short(first.get("gpu", ""))]))
    found = [Line("Versions", versions or UNKNOWN), Line("Machine", machine or UNKNOWN),
             Line("Device", short(record.get("device", "")) or UNKNOWN),
             Line("Number format", short(record.get("precision", "")) or UNKNOWN), Line("Threads", _threads(record)),
             Line("Seed", short(record.get("seed", ""))), *_data(record, run),
             Line("Started from", _start(record, first)),
             Line("Changed by hand", _changes(record))]
    if record.get("sink"):
        found.append(Line("Metrics also went to", short(record["sink"], 300)))
    if len(starts) > 1:
        found.insert(2, Line("Went on", "; ".join(f"at step {short(start.get('step', '?'))} with PyTorch "
                                                  f"{short(start.get('torch', '?'))}" for start in starts[1:])))
    if isinstance(brought := record.get("brought"), dict) and brought:
        found.append(Line("Brought here", f"as a bundle of run {short(brought.get('run', '?'))}, made with Torch Playground "
                                          f"{short(brought.get('version', '?'))}; its figures are what the bundle says"))
    return found


def _start(record: dict[str, Any], first: dict[str, Any]) -> str:
    """Which weights it began with. Runs of earlier versions did not write down what was taken over: all of a run's."""
    if not record.get("start_from"):
        return "fresh weights"
    whose = "ImageNet's weights" if record["start_from"] == IMAGENET else f"run {short(record['start_from'])}"
    return short(first.get("taken_over", ""), 300) or whose


def _rows(record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = record.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def short(value: object, longest: int = 60) -> str:
    """One printable line."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= longest else text[:longest - 1] + "…"


def _threads(record: dict[str, Any]) -> str:
    pairs = [pair for pair in record["threads"] if len(pair) == 2] if isinstance(record.get("threads"), list) else []
    if not pairs:
        return UNKNOWN
    return ", ".join(f"{short(count)}" if not step else f"{short(count)} from step {short(int(step) + 1)} on" if isinstance(
        step, int) else short(count) for step, count in pairs[:6])


def _data(record: dict[str, Any], run: Run) -> list[Line]:
    data, what = record.get("data"), EXAMPLES[kind_of(run.config.data.dataset)]
    if not isinstance(data, dict) or not data:
        return [Line("Data", UNKNOWN)]
    lines = []
    for split in SPLITS:
        if isinstance(one := data.get(split), dict) and isinstance(one.get("examples"), int):
            lines.append(Line(f"{TITLES[split]} data", f"{one['examples']:,} {what}, fingerprint "
                                                            f"{short(one.get('fingerprint', UNKNOWN))}"))
    return lines


def _changes(record: dict[str, Any]) -> str:
    changes = _rows(record, "changed_by_hand")
    if not changes:
        return "nothing recorded"
    shown = "; ".join(_change(change) for change in changes[:MOST_CHANGES])
    return shown + (f"; and {len(changes) - MOST_CHANGES} more" if len(changes) > MOST_CHANGES else "")


def _change(change: dict[str, Any]) -> str:
    place = ", ".join(f"{name} {short(change[name])}" for name in ("layer", "row", "column") if name in change)
    return (f"after step {short(change.get('step', '?'))} {short(change.get('what', '?')).replace('_', ' ')}"
            f"{f' ({place})' if place else ''} from {short(change.get('before', '?'))} to {short(change.get('after', '?'))}")
