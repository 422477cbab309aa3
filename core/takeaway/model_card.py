"""A model card: what a run's network is, what it was shown, how good it is and where that ends.

Markdown with the metadata block that Hugging Face reads (huggingface.co/docs/hub/model-cards).
"""

import json
import re
from typing import Any

from core.data import DataError, load, outline, spec_of
from core.data.sources import DATASETS
from core.evaluation import Predictions
from core.evaluation.calibration import BINS, reliability
from core.evaluation.report import evaluation_report
from core.models import ARCHITECTURES
from core.runs import CheckpointError
from core.runs.evaluations import OtherImages, compute_predictions, load_predictions
from core.runs.memory import NotEnoughMemory
from core.takeaway.parts import Subject
from core.takeaway.record import TITLES, lines_of, record_of
from core.transforms import TRANSFORMS
from core.wording import number, percent, plural

SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~$&@^!]|:(?=//)|^[-+=](?=[\s=-]|$)|^\d+(?=[.)])|(?<=www)\.)", re.IGNORECASE)
MOST_CLASSES = 50  # of a table
FEW_SHOWN = 3  # classes that are named as the weakest
PIPELINES = {"images": "image-classification", "text": "text-classification", "points": "tabular-classification"}


def card(subject: Subject) -> bytes:
    """UTF-8 Markdown. What a person has named is text in it, whatever signs it holds."""
    predictions, why = answers(subject)
    figures = evaluation_report(predictions) if predictions is not None else None
    parts = [_metadata(subject, figures), f"# {words(_title(subject))}", _what(subject), _data(subject),
             _results(subject, figures, why), _calibration(predictions), _limits(subject, figures), _made(subject), _use(subject)]
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def answers(subject: Subject) -> tuple[Predictions | None, str]:
    """What the network said about the test data, kept or computed now; or None, and in one line why it can't be known."""
    run, store = subject.run, subject.store
    if run.kind != "training" or not subject.has_weights:
        return None, "The run has kept no weights."
    if _predicts_number(subject):
        return None, ""
    if run.test_accuracy is None and run.is_active:
        return None, "The run is still going."
    if (kept := load_predictions(store, run.id)) is not None:
        return kept, ""
    if run.status != "finished":
        return None, "The run ended early, so the test data have not been looked at."
    try:
        data = load(run.config.data, subject.settings.data_dir, subject.settings.cache_dir)
        return compute_predictions(store, run.id, subject.trained, data, "test"), ""
    except (DataError, OtherImages, NotEnoughMemory, CheckpointError) as error:
        return None, str(error)


def words(text: str) -> str:
    """Words of a person as Markdown shows them: in one line, every sign as it was written."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return SIGNS.sub(lambda sign: f"{sign[0]}\\" if sign[0].isdigit() else f"\\{sign[0]}", line)


def _title(subject: Subject) -> str:
    return subject.run.title or f"Run {subject.run.id[:8]}"


def _predicts_number(subject: Subject) -> bool:
    return subject.run.config.training.loss == "mse" and _outline_target(subject) == "number"


def _outline_target(subject: Subject) -> str:
    try:
        return outline(subject.run.config.data, subject.settings.data_dir).target
    except DataError:
        return "classes"


def _data_title(subject: Subject) -> str:
    try:
        return outline(subject.run.config.data, subject.settings.data_dir).title
    except DataError:
        return subject.run.config.data.dataset


def _metadata(subject: Subject, figures: dict[str, Any] | None) -> str:
    """The block at the top. YAML takes JSON's texts, so nothing in one can end it."""
    run = subject.run
    spec = DATASETS.get(run.config.data.dataset)
    kind = spec.kind if spec else "images"
    task = "tabular-regression" if _predicts_number(subject) else PIPELINES[kind]
    lines = ["---", "library_name: pytorch", f"pipeline_tag: {task}", "tags:", "- torch-playground", f"- {quoted(task)}"]
    if spec is not None and (spec.folder or spec.torchvision):  # a set that has a name elsewhere
        lines += ["datasets:", f"- {quoted(run.config.data.dataset)}"]
    if figures:
        lines += ["metrics:", "- accuracy", "model-index:", f"- name: {quoted(_title(subject))}", "  results:", "  - task:",
                  f"      type: {task}", "    dataset:", f"      name: {quoted(_data_title(subject))}",
                  f"      type: {quoted(run.config.data.dataset)}", "      split: test", "    metrics:", "    - type: accuracy",
                  f"      value: {figures['accuracy']!r}"]
    return "\n".join([*lines, "---"])


def quoted(text: str) -> str:
    """A text for YAML, on one line."""
    return json.dumps(" ".join(text.split()))


def _what(subject: Subject) -> str:
    run, data = subject.run, subject.run.config.data
    size = f" with {plural(run.parameters, 'parameter')}" if run.parameters is not None else ""
    question = f", asked whether an example is of class {data.target}" if data.task == "is_target" else ""
    trained = f"trained for {run.epoch:,} of {plural(run.config.training.epochs, 'epoch')}" if run.epoch else \
        "how it was trained is not known"
    return (f"A network of the kind “{ARCHITECTURES[run.config.model.architecture].title}”{size} on "
            f"{words(_data_title(subject))}{question}; {trained}. Made with Torch Playground to learn from, not for use where "
            "a wrong answer does harm.")


def _data(subject: Subject) -> str:
    data = subject.run.config.data
    lines = ["## Data", ""]
    try:
        spec = spec_of(data.dataset, subject.settings.data_dir)
        lines += [f"- Set: {words(_data_title(subject))}", f"- Source: {words(spec.source)}", f"- Licence: {words(spec.licence)}"]
        if spec.citation:
            lines.append(f"- Cite: {words(spec.citation)}")
    except DataError:
        lines.append(f"- Set: {words(data.dataset)}, which is not on this machine")
    counts = record_of(subject.store, subject.run)["data"]
    for split, title in TITLES.items():
        one = counts.get(split) if isinstance(counts, dict) else None
        if isinstance(one, dict) and isinstance(one.get("examples"), int):
            lines.append(f"- {title}: {one['examples']:,} {subject.examples}")
    lines.append(f"- Normalisation: {data.normalization}")
    if data.transforms:
        lines.append(f"- Transforms: {', '.join(TRANSFORMS[step.kind].title for step in data.transforms)}")
    changed = {"varied copies of each training image": data.variations, "share of the training data": data.fraction != 1.0
               and data.fraction, "share of the rarest class": data.imbalance != 1.0 and data.imbalance,
               "share of training labels replaced at random": data.label_noise}
    lines += [f"- {name.capitalize()}: {value:g}" for name, value in changed.items() if value]
    return "\n".join(lines)


def _results(subject: Subject, figures: dict[str, Any] | None, why: str) -> str:
    run = subject.run
    if figures is None:
        known = f"Mean squared error on the test data: {number(run.test_loss)}." if run.test_loss is not None and not why else ""
        if not known and run.test_accuracy is not None:
            known = (f"Recorded accuracy on the test data: {percent(run.test_accuracy)}, loss {number(run.test_loss)}; without "
                     "an interval, as the answers behind it are not here.")
        return "\n".join(["## Results", "", " ".join(filter(None, [known, words(why)])) or "Not evaluated on test data."])
    low, high = figures["accuracy_interval"]
    lines = ["## Results", "", "On the test data, which training did not see:", "",
             f"- Accuracy: {percent(figures['accuracy'])}, 95 % interval {percent(low)} to {percent(high)} (Wilson); "
             f"{figures['right']:,} of {figures['examples']:,} right",
             f"- Loss: {number(figures['loss'])}",
             f"- Always answering {words(figures['larger_class'])} would be right for {percent(figures['larger_share'])}",
             f"- F1, mean over classes: {percent(figures['macro_mean']['f1'])}", "",
             "| class | precision | recall | F1 | test examples |", "| --- | --- | --- | --- | --- |"]
    rows = figures["classes"]
    lines += [f"| {words(row['name'])} | {percent(row['precision'])} | {percent(row['recall'])} | {percent(row['f1'])} | "
              f"{row['support']:,} |" for row in rows[:MOST_CLASSES]]
    if len(rows) > MOST_CLASSES:
        lines += ["", f"The first {MOST_CLASSES} of {len(rows):,} classes."]
    return "\n".join(lines)


def _calibration(predictions: Predictions | None) -> str:
    if predictions is None or not predictions.is_finite:
        return ""
    found = reliability(predictions.scores, predictions.targets)
    direction = "too sure" if found.gap > 0 else "not sure enough"
    return (f"## Calibration\n\nExpected calibration error {percent(found.error)} in {BINS} equal bins. On average it is "
            f"{direction}: mean confidence and accuracy are {100 * abs(found.gap):.2f} percentage points apart.")


def _limits(subject: Subject, figures: dict[str, Any] | None) -> str:
    lines = ["## Limits", "", "- The figures hold for data like the test data. Elsewhere they may be much lower, and nothing "
             "here says how much."]
    if figures is not None:
        seen = [row for row in figures["classes"] if row["recall"] is not None]
        weakest = sorted(seen, key=lambda row: row["recall"])[:FEW_SHOWN]
        lines.append("- It misses most of: " + ", ".join(f"{words(row['name'])} ({percent(1 - row['recall'])} missed)"
                                                         for row in weakest))
        lines.append(f"- It always answers with one of its {plural(len(figures['classes']), 'class', 'classes')}, also for what "
                     "is none of them.")
    lines.append("- One run with one seed: another seed gives other figures.")
    return "\n".join(lines)


def _made(subject: Subject) -> str:
    record = record_of(subject.store, subject.run)
    lines = [f"| {line.name} | {words(line.value)} |" for line in lines_of(record, subject.run)]
    training = subject.run.config.training
    about = (f"{training.optimizer.name}, learning rate {training.optimizer.learning_rate:g}, batch size "
             f"{training.batch_size:,}, loss {training.loss}, schedule {training.schedule.name}")
    return "\n".join(["## How it was made", "", "| | |", "| --- | --- |", f"| Training | {words(about)} |", *lines])


def _use(subject: Subject) -> str:
    if not subject.has_weights:
        return "## Use\n\nThe run has kept no weights; its settings can be trained again."
    return ("## Use\n\nThe weights are a `state_dict` of the class that the run's script defines "
            f"(`python -m core export {subject.run.id} --to script`):\n\n"
            "```python\nmodel.load_state_dict(torch.load(\"weights.pth\", weights_only=True))\nmodel.eval()\n```")
