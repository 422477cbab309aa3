"""Planted mistakes and sound settings, and what both doctors say of them: named, half, not named, accused.

    python -m benchmarks.doctor_cases                       # from the curves kept in tests/doctor_cases: a minute
    python -m benchmarks.doctor_cases --fixes               # and each planted case trained again as its finding's button mends it
    # other cases, drawn and trained anew; with --keep to tests/doctor_cases
    python -m benchmarks.doctor_cases --draw 5 6 --bases 60 --odd 3
    python -m benchmarks.doctor_cases --draw 5 --bases 20 --pictures   # sets of one's own, large networks

A case of tests/doctor_cases is judged by training alone (benchmarks/doctor_draws.py says what is drawn): a setting is sound if
it gets to a good accuracy on examples that it has not seen, and planted if it loses much against its twin without the mistake.
The training doctor is asked at 25 places of each run and must say nothing of a sound one at any of them.
"""

import argparse
import json
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.conditions import conditions
from benchmarks.doctor_draws import MISTAKES, Changes, Draw, draws
from benchmarks.doctor_pictures import CLOTHES, SHAPES, made_sets
from benchmarks.doctor_runs import Outcome, Series, Trained, train
from core.config import RunConfig
from core.data.own.sets import FOLDER as IMPORTED
from core.inspection import Finding
from core.inspection.doctor import diagnose
from core.inspection.training_doctor import examine
from core.settings import default_data_dir

FOLDER = Path(__file__).parents[1] / "tests/doctor_cases"
COARSE = {"loss", "accuracy"}  # of each batch: kept with fewer digits
FAMILIES = {"digits": "digits", "mnist": "mnist", "reviews": "texts", "linear": "numbers", "hills": "numbers",
            CLOTHES: "pictures", SHAPES: "pictures"}  # files
LOOKS = 25  # at each run while it goes, the last at its end
# Rules that name a mistake, by what was planted
NAMING = {
    "rate_too_high": {"learning_rate_too_high", "diverged"}, "rate_too_low": {"learning_rate_too_low"},
    "weight_decay": {"weight_decay_too_strong"}, "l1": {"l1_too_strong"}, "clipping": {"clipping_too_short"},
    "label_smoothing": {"smoothed_too_much"}, "schedule_falls": {"rate_falls_too_soon"},
    "schedule_waits": {"rate_falls_too_soon"},
    "momentum": {"averages_too_long"}, "initialization": {"starts_at_nothing"}, "small_weights": {"starts_at_nothing"},
    "saturating": {"saturating_activations", "too_deep", "vanishing_gradients"}, "too_deep": {"too_deep"},
    "too_small": {"network_too_small", "bottleneck", "few_channels"},
    "linear_model_for_curves": {"network_too_small", "no_activation_between"},
    "no_activation": {"no_activation_between", "network_too_small"}, "squashed": {"squashed_before_loss", "squashed_number"},
    "relu_on_output": {"relu_on_output", "squashed_number"}, "dropout_on_output": {"dropout_on_output"},
    "dropout": {"drops_too_much"}, "few_epochs": {"few_steps", "batch_larger_than_data"},
    "large_batches": {"few_steps", "batch_larger_than_data"}, "batch_norm_alone": {"batch_norm_small_batch"},
    "averages_behind": {"averages_lag"},
    "loss_for_numbers": {"loss_for_numbers"}, "loss_for_quantities": {"distance_loss_for_classes"},
    "loss_for_questions": {"yes_no_loss_for_classes"}, "label_noise": {"wrong_labels"}, "imbalance": {"unbalanced_classes"},
    "few_examples": {"few_points", "few_per_class"},
    "transforms": {"drowned_in_noise", "turned_too_far", "digits_cut_off", "most_is_erased", "flips_on_digits"},
    "missing_input": {"answers_not_in_inputs"}, "noisy_points": {"answers_not_in_inputs"},
    "random_answers": {"answers_not_in_inputs"}, "short_texts": {"few_words"}, "early_stopping": {"stopped_too_soon"}}
# What is a mistake whatever comes of it: never among the sound settings
ALWAYS = {"dropout_on_output", "no_activation", "squashed", "relu_on_output", "batch_norm_alone", "initialization",
          "linear_model_for_curves", "missing_input", "label_noise"}
# Test accuracy (of numbers: variance explained) that a good run on these data reaches
GOOD = {"digits": 0.9, "mnist": 0.85, "circle": 0.88, "xor": 0.9, "blobs": 0.97, "moons": 0.93, "spirals": 0.9, "linear": 0.95,
        "hills": 0.7, "reviews": 0.6, CLOTHES: 0.8, SHAPES: 0.8}
CLASSES = {"digits": 10, "mnist": 10, CLOTHES: 7, SHAPES: 5}
LOST, LOST_TEXT, UNSURE = 0.08, 0.12, 0.6  # accuracy that a mistake costs at least, or log loss
# what a sound variant may lose of what its twin has learned; validation loss / smallest
AS_GOOD, AS_SURE, CLIMBED = 0.02, 0.1, 1.15


@dataclass(frozen=True)
class Case:
    """One entry of tests/doctor_cases. planted, cause: "" where it is sound. twin: the changes without the mistake."""

    name: str
    planted: str
    cause: str
    changes: Changes
    twin: Changes
    measured: dict[str, Any]
    twin_measured: dict[str, Any]

    @property
    def config(self) -> RunConfig:
        return RunConfig().with_values(self.changes)


def judged(draw: Draw, outcome: Outcome, base: Draw, reached: Outcome) -> str:
    """"planted", "sound", or "" where neither can be said."""
    data = base.changes["data.dataset"]
    numbers = data in {"linear", "hills"}
    if reached.ended != "completed" or reached.accuracy < GOOD[data] or (reached.climbed > CLIMBED and not numbers):
        return ""
    if not draw.cause:
        return "sound"
    lost = reached.accuracy - outcome.accuracy
    if draw.cause in MISTAKES and (outcome.ended != "completed" or lost > (LOST_TEXT if data == "reviews" else LOST) or
                                   outcome.log_loss > reached.log_loss + UNSURE):
        return "planted"
    guess = 0.9 if draw.changes.get("data.task") == "is_target" else 0.0 if numbers else 1 / CLASSES.get(data, 2)
    as_good = lost < AS_GOOD * (reached.accuracy - guess) and outcome.log_loss < reached.log_loss + AS_SURE
    settled = outcome.ended == "completed" and (outcome.climbed < CLIMBED or numbers)
    return "sound" if as_good and settled and outcome.accuracy >= GOOD[data] and draw.cause not in ALWAYS else ""


def chosen(trained: Sequence[tuple[Draw, Trained]]) -> Iterator[tuple[Case, Trained]]:
    """The draws of which something can be said, as cases."""
    bases = {draw.name: (draw, run) for draw, run in trained if not draw.cause}
    for draw, run in trained:
        base, reached = bases.get("-".join(draw.name.split("-")[:2]), (None, None))
        if base is None or reached is None:
            continue
        verdict = judged(draw, run.outcome, base, reached.outcome)
        if verdict:
            what, cause = (draw.planted, draw.cause) if verdict == "planted" else ("", "")
            yield Case(draw.name, what, cause, draw.changes, base.changes, run.outcome.values(), reached.outcome.values()), run


def said_before(config: RunConfig) -> list[Finding]:
    """Errors and warnings of the config doctor."""
    return [finding for finding in diagnose(config) if finding.severity != "note"]


def said_while(config: RunConfig, series: Series, steps_per_epoch: int, not_finite: bool = False,
               looks: int = LOOKS) -> dict[str, Finding]:
    """Errors and warnings of the training doctor at so many places of a run, by rule."""
    steps = series.get("loss", ([], []))[0]
    found: dict[str, Finding] = {}
    for look in range(1, looks + 1) if steps else ():
        until = steps[-1] * look // looks
        cut = {name: (at[:(end := bisect_right(at, until))], values[:end]) for name, (at, values) in series.items()}
        for trouble in examine(config, cut, steps_per_epoch, not_finite and look == looks):
            if trouble.severity != "note":
                found[trouble.rule] = trouble
    return found


# --- kept as data


def keep(cases: Sequence[tuple[Case, Trained]]) -> None:
    """To tests/doctor_cases: cases by data set as JSON, and their curves in one file."""
    FOLDER.mkdir(exist_ok=True)
    by_data: dict[str, list[dict[str, Any]]] = {}
    index, steps, coarse, fine = [], [np.zeros(0, np.uint16)], [np.zeros(0, np.float16)], [np.zeros(0, np.float32)]
    for case, run in cases:
        data = case.twin["data.dataset"]
        family = FAMILIES.get(data, "points")
        by_data.setdefault(family, []).append(vars(case) | {"steps_per_epoch": run.steps_per_epoch, "not_finite": run.not_finite})
        for name, (at, values) in run.series.items():
            whole = list(at) == list(range(1, len(at) + 1))
            index.append([case.name, name, len(values), whole])
            if not whole:
                steps.append(np.asarray(at, np.uint16))
            if name in COARSE:  # a mantissa of 6 bits: ± 1 %
                coarse.append((np.clip(np.asarray(values), 0, 6e4).astype(np.float16).view(np.uint16) & 0xFFF0).view(np.float16))
            else:
                fine.append(np.asarray(values, np.float32))
    for family, entries in by_data.items():
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        (FOLDER / f"{family}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    np.savez_compressed(FOLDER / "curves.npz", index=np.frombuffer(json.dumps(index).encode(), np.uint8),
                        steps=np.concatenate(steps), coarse=np.concatenate(coarse), fine=np.concatenate(fine))


def kept() -> list[tuple[Case, Trained]]:
    """What is in tests/doctor_cases."""
    found: dict[str, Series] = {}
    with np.load(FOLDER / "curves.npz") as file:
        index, steps = json.loads(file["index"].tobytes()), iter(file["steps"].tolist())
        numbers = {True: iter(file["coarse"].astype(float).tolist()), False: iter(file["fine"].astype(float).tolist())}
    for case, name, count, whole in index:
        values = list(islice(numbers[name in COARSE], count))
        found.setdefault(case, {})[name] = (list(range(1, count + 1)) if whole else list(islice(steps, count)), values)
    cases = []
    for path in sorted(FOLDER.glob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8")):
            per_epoch, ended = entry.pop("steps_per_epoch"), entry.pop("not_finite")
            cases.append((Case(**entry), Trained(Outcome(**entry["measured"]), found.get(entry["name"], {}), per_epoch, ended)))
    return cases


# --- the table


def table(cases: Sequence[tuple[Case, Trained]], fixes: tuple[Path, Path] | None = None) -> None:
    counts: Counter[str] = Counter()
    for case, run in cases:
        before = {finding.rule: finding for finding in said_before(case.config)}
        said = before | said_while(case.config, run.series, run.steps_per_epoch, run.not_finite)
        if not case.cause:
            counts["sound"] += 1
            if said:
                counts["accused"] += 1
                print(f"accused    {case.name}: {', '.join(said)}")
            continue
        named = [finding for rule, finding in said.items() if rule in NAMING[case.cause]]
        verdict = "named" if named else "half" if said else "not named"
        counts[verdict] += 1
        if not named:
            print(f"{verdict:10s} {case.name} ({case.planted}): {', '.join(said) or 'nothing'}")
        fixed = next((finding.fix for finding in named if finding.fix is not None), None)
        counts["with a fix"] += fixed is not None
        if fixes and fixed is not None:
            again = train(fixed, *fixes).outcome
            gap = case.twin_measured["accuracy"] - case.measured["accuracy"]
            sure = case.twin_measured["log_loss"] - case.measured["log_loss"]
            helps = again.accuracy - case.measured["accuracy"] > gap / 2 if gap > LOST else \
                again.log_loss - case.measured["log_loss"] < sure / 2
            counts["fixes that mend"] += helps
            if not helps:
                print(f"fix fails  {case.name} ({case.planted}): {case.measured['accuracy']} → {again.accuracy:.3f}, twin "
                      f"{case.twin_measured['accuracy']}", flush=True)
    planted = counts["named"] + counts["half"] + counts["not named"]
    print(f"{planted} planted: " + ", ".join(f"{counts[name]} {name}" for name in ("named", "half", "not named", "with a fix"))
          + (f", {counts['fixes that mend']} fixes that mend" if fixes else ""))
    print(f"{counts['sound']} sound: {counts['accused']} accused")


def _data_with_pictures(folder: Path) -> Path:
    """A data folder with what there is, and the sets that are drawn; what a config is asked about is found there, too."""
    place, there = folder / "data", default_data_dir()
    place.mkdir()
    for found in there.iterdir() if there.is_dir() else ():
        if found.name != IMPORTED:
            (place / found.name).symlink_to(found.resolve())
    made_sets(place)
    os.environ["PLAYGROUND_DATA"] = str(place)
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--bases", type=int, default=60)
    parser.add_argument("--each", type=int, default=4, help="mistakes planted in each base")
    parser.add_argument("--odd", type=int, default=0, help="harmless oddities of each base")
    parser.add_argument("--pictures", action="store_true", help="draw bases on sets of one's own and with large networks")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--fixes", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(conditions())
    with TemporaryDirectory() as cache:
        places = (_data_with_pictures(Path(cache)), Path(cache))
        cases = kept() if not asked.draw else [case for seed in asked.draw for case in chosen([
            (draw, train(RunConfig().with_values(draw.changes), *places)) for draw in draws(
                seed, asked.bases, asked.each, asked.pictures, asked.odd)])]
        if asked.keep:
            keep(cases)
        table(cases, places if asked.fixes else None)


if __name__ == "__main__":
    main()
