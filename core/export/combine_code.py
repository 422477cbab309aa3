"""What core.data.combine does, as lines of plain PyTorch for a script without this project: the same rows and labels."""

from core.config import DataConfig
from core.data import DatasetSpec
from core.data.combine import FRACTION, IMBALANCE, NOISE, combined_classes, imbalance_shares
from core.export.forward import ExportError

KEEP_SOME = '''def keep_some(rows, labels, wanted, seed):
    """So many rows of each class, at random."""
    order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    of = labels[order]
    return torch.cat([order[of == label][:count] for label, count in enumerate(wanted)]).sort().values'''


def refuse_combined(data: DataConfig, spec: DatasetSpec) -> None:
    """Raises ExportError with one line for what a script can't say."""
    if data.label_noise and (data.task != "classes" or not spec.classes):
        raise ExportError("Label noise is written for classes only, not for a yes-no question or numbers; set data.label_noise "
                          "to 0.")


def renumbering(data: DataConfig, spec: DatasetSpec) -> str:
    """`new_label`, which is −1 for classes that are left out; "" where all are kept."""
    if not data.only_classes:
        return ""
    left = combined_classes(data, spec)
    kept = [spec.classes.index(name) for name in left]
    return (f"# only these classes, numbered anew: {', '.join(' '.join(name.split()) for name in left)}\n"
            f"KEPT = {kept}\nnew_label = torch.full(({len(spec.classes)},), -1)\nnew_label[KEPT] = torch.arange({len(kept)})")


def is_chosen(data: DataConfig) -> bool:
    """Whether some of the training images are left out or get other labels."""
    return data.fraction < 1 or data.imbalance < 1 or data.label_noise > 0 or is_repeated(data)


def is_repeated(data: DataConfig) -> bool:
    """Whether joined images are learned from several times in an epoch."""
    return bool(data.join) and data.join_times > 1


def choosing(data: DataConfig, spec: DatasetSpec) -> str:
    """Lines that cut `train_rows` down, ascending, and spoil `labels`, (M,) of the whole stack; "" where all images are learned
    from. Rows below `own` are not joined ones."""
    classes, lines = len(combined_classes(data, spec)) or 1, []
    if data.fraction < 1 or data.imbalance < 1:
        lines += ["", "", KEEP_SOME, "", "", "def class_counts():",
                  f"    return torch.bincount(labels[train_rows], minlength={classes}).tolist()", "", ""]
    if data.fraction < 1:
        lines += [f"# {100 * data.fraction:.4g} % of each class",
                  f"wanted = [min(count, max(1, int(count * {data.fraction!r} + 0.5))) for count in class_counts()]",
                  f"train_rows = keep_some(train_rows, labels, wanted, {_seed(data, FRACTION)})"]
    if data.imbalance < 1:
        assert imbalance_shares(classes, data.imbalance)[0] == 1
        lines += [f"# class after class fewer, as in long-tailed CIFAR: the last keeps {100 * data.imbalance:.4g} %",
                  f"shares = [{data.imbalance!r} ** (i / {max(1, classes - 1)}) for i in range({classes})]",
                  "wanted = [min(count, max(1, int(count * share + 0.5))) for count, share in zip(class_counts(), shares)]",
                  f"train_rows = keep_some(train_rows, labels, wanted, {_seed(data, IMBALANCE)})"]
    if is_repeated(data):
        lines += [f"# each joined image {data.join_times} times in an epoch",
                  f"train_rows = train_rows.repeat_interleave(torch.where(train_rows < own, 1, {data.join_times}))"]
    if data.label_noise:
        rows = "train_rows.unique()" if is_repeated(data) else "train_rows"
        lines += [f"# {100 * data.label_noise:.4g} % of the training labels are replaced by another class",
                  f"noise = torch.Generator().manual_seed({_seed(data, NOISE)})",
                  f"spoiled = {rows}",
                  "spoiled = spoiled[torch.randperm(len(spoiled), generator=noise)]",
                  f"step = torch.randint(1, {classes}, (len(spoiled),), generator=noise)",
                  f"count = int(len(spoiled) * {data.label_noise!r} + 0.5)",
                  f"labels[spoiled[:count]] = (labels[spoiled[:count]] + step[:count]) % {classes}"]
    return "\n".join(lines)


def _seed(data: DataConfig, step: int) -> int:
    return (data.split_seed + step) % 2**32
