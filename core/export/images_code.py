"""The data part of a script that learns from images: read, joined, split, chosen, varied, and handed out in batches.

What core.data.load does, step by step and in its order, so that a script's images are the run's and come in the same order.
"""

from collections.abc import Sequence

from core.config import DataConfig
from core.data import DatasetSpec, fixed_normalization
from core.data.variations import DIGITS
from core.export.combine_code import choosing, is_chosen, refuse_combined, renumbering
from core.export.digits_code import placing_code, varying_code, writing_code
from core.export.reading_code import reader_of
from core.export.transforms_code import transforms_code
from core.transforms import has_chance

IMAGES = '''class Images(Dataset):
    """Images (N, C, H, W) uint8 that go through a transform each time they are asked for."""

    def __init__(self, images, labels, transform):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.labels[index]'''

BATCHES = '''class Batches:
    """What a DataLoader gives, from a set that is in memory as a whole: one selection for each batch, and not one call for each
    image."""

    def __init__(self, images, labels, transform, batch_size, shuffle=False):
        self.images, self.labels, self.transform = images.to(device), labels.to(device), transform
        self.batch_size, self.shuffle = batch_size, shuffle

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self):
        rows = torch.randperm(len(self.labels), generator=order) if self.shuffle else torch.arange(len(self.labels))
        for some in rows.to(device).split(self.batch_size):
            yield self.transform(self.images[some]), self.labels[some]'''

NORMALIZED = '''def prepared(images):
    """Images (N, C, H, W) of uint8 as the network gets them: float32{how}."""
    return {what}'''

EACH = '''def each_transformed(images):
    """Random steps draw anew for each image, so they are taken one by one here too."""
    return torch.stack([train_transform(image) for image in images])'''


def images_data(data: DataConfig, spec: DatasetSpec, others: Sequence[DatasetSpec], fast: bool, shuffle: bool) -> list[str]:
    """Parts of a script, from reading to train_loader, validation_loader and test_loader, as generators of batches.

    Args:
        others: the entries of the sets that data.join names. fast: the whole set in memory, and no DataLoader. shuffle:
            another order in each epoch.

    Raises ExportError for what a script can't read or say.
    """
    refuse_combined(data, spec)
    readers = [reader_of(name, one) for name, one in zip((data.dataset, *data.join), (spec, *others), strict=True)]
    functions = [text for reader in readers for text in (*reader.helpers, reader.code)]
    if data.variations:
        functions += [placing_code(), varying_code(), *([writing_code()] if data.dataset in DIGITS else [])]
    lines = [f"images, labels, test_images, test_labels = {readers[0].call}"]
    if data.join:
        lines += ["", *_joining(data, spec, others, [reader.call for reader in readers[1:]])]
    lines += ["", *_splitting(data, spec)]
    parts = [*dict.fromkeys(functions), "\n".join(lines)]
    lazy = not fast and bool(data.dataset != "digits" or data.transforms or data.join)
    return parts + _sets(data, spec, fast, lazy, shuffle)


def _joining(data: DataConfig, spec: DatasetSpec, others: Sequence[DatasetSpec], calls: list[str]) -> list[str]:
    """Lines that put the other sets' training images into `stacks` and their labels behind `labels`."""
    lines = [f"# training images of other sets come after those of {_line(spec.title)}, which alone has the test images",
             "own, stacks, stacked_labels = len(labels), [images], [labels]"]
    for other, call in zip(others, calls, strict=True):
        numbers = [spec.classes.index(name) for name in other.classes]
        lines += [f"more, more_labels, _, _ = {call}",
                  f"new_label = torch.tensor({numbers})  # the number here of each class of {_line(other.title)}",
                  "stacks.append(more)", "stacked_labels.append(new_label[more_labels])"]
    return [*lines, "labels = torch.cat(stacked_labels)"]


def _splitting(data: DataConfig, spec: DatasetSpec) -> list[str]:
    """Lines that make `train_rows` and `validation_rows` of the stack, ascending, and spoil `labels`."""
    lines, count = [], "len(labels)"
    if data.variations and data.dataset in DIGITS:
        lines = ["digits = labels.numpy().copy()  # which each image shows, whatever is asked of it", ""]
    if data.only_classes:
        lines += [renumbering(data, spec), "labels, test_labels = new_label[labels], new_label[test_labels]",
                 "test_images, test_labels = test_images[test_labels >= 0], test_labels[test_labels >= 0]",
                 "learn_rows = (labels >= 0).nonzero()[:, 0]", ""]
        count = "len(learn_rows)"
    if is_chosen(data):
        lines += ["labels = labels.clone()"]
    lines += ["# the same images held back each time",
              f"held = torch.randperm({count}, generator=torch.Generator().manual_seed({data.split_seed}))",
              "validation_rows, train_rows = held[:VALIDATION].sort().values, held[VALIDATION:].sort().values"]
    if data.only_classes:
        lines += ["validation_rows, train_rows = learn_rows[validation_rows], learn_rows[train_rows]"]
    if chosen := choosing(data, spec):
        lines += [chosen]
    return lines


def _sets(data: DataConfig, spec: DatasetSpec, fast: bool, lazy: bool, shuffle: bool) -> list[str]:
    """Normalisation, transforms, and the three sets with what hands them out."""
    channels = spec.input_shape[0]
    stack = "torch.cat(stacks)" if data.join else "images"
    measured = fixed_normalization(data, channels) is None
    parts, lines = [], []
    whole = fast or not lazy or bool(data.variations)  # the training images as one tensor
    if whole:
        lines += [f"train_images, train_labels = {stack}[train_rows], labels[train_rows]",
                  f"validation_images, validation_labels = {stack}[validation_rows], labels[validation_rows]"]
        if data.join:
            lines.insert(0, "images = torch.cat(stacks)")
            lines[1:] = [line.replace(stack, "images") for line in lines[1:]]
    if data.variations:
        anew = data.dataset in DIGITS
        lines += ["# copies as other hands might have written them" + ", some of them written anew" * anew,
                  "copies = vary(train_images[:, 0].numpy(), COPIES)",
                  *["copies = some_written(copies, np.tile(digits[train_rows], COPIES))"] * anew,
                  "copies = torch.from_numpy(copies)[:, None]",
                  "train_images, train_labels = torch.cat([train_images, copies]), train_labels.repeat(COPIES + 1)"]
    if measured:
        lines += _measuring("train_images" if whole else f"{stack}[train_rows]", channels)
    if lines:
        parts.append("\n".join(lines))
    piped = lazy or bool(data.transforms)
    if piped:
        parts.append(transforms_code(data.transforms, data.normalization, last_step(data, channels), tensors=True))
    else:
        parts.append(_normalizing(data, channels))
    if fast:
        return parts + _in_memory(data, piped, shuffle)
    return parts + (_one_by_one(data, whole) if piped else _as_tensors())


def last_step(data: DataConfig, channels: int) -> str:
    """The normalisation after all transforms, as an entry of a Compose; "" where there is none."""
    fixed = fixed_normalization(data, channels)
    if fixed is None:
        return "v2.Normalize(mean, std),"
    if fixed == ((0.0,) * channels, (1.0,) * channels):
        return ""
    mean, std = ([numbers[0]] if len(set(numbers)) == 1 else list(numbers) for numbers in fixed)
    return f"v2.Normalize({mean}, {std}),{'  # from −1 to 1' if data.normalization == 'half' else ''}"


def _measuring(images: str, channels: int) -> list[str]:
    """Lines that make `mean` and `std` of the training images, a number for each channel, as lists."""
    over = "(0, 2, 3)"
    return [f"pixels = {images} / 255  # from 0 to 1", f"mean = pixels.mean({over}).tolist()  # of {_channels(channels)}",
            f"std = pixels.std({over}, correction=0).clamp(min=1e-6).tolist()", "del pixels"]


def _channels(channels: int) -> str:
    return "the one channel" if channels == 1 else f"each of the {channels} channels"


def _normalizing(data: DataConfig, channels: int) -> str:
    """The function `prepared(images)`."""
    fixed = fixed_normalization(data, channels)
    if fixed == ((0.0,) * channels, (1.0,) * channels):
        return NORMALIZED.format(how=" from 0 to 1", what="images / 255")
    if fixed is not None and len(set(zip(*fixed, strict=True))) == 1:
        return NORMALIZED.format(how=" from −1 to 1" if data.normalization == "half" else ", normalised",
                                 what=f"(images / 255 - {fixed[0][0]!r}) / {fixed[1][0]!r}")
    numbers = "mean, std" if fixed is None else f"{list(fixed[0])}, {list(fixed[1])}"
    first = f"mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in ({numbers}))\n\n\n"
    return first + NORMALIZED.format(how=", normalised for each channel",
                                     what="(images / 255 - mean.to(images.device)) / std.to(images.device)")


def _in_memory(data: DataConfig, piped: bool, shuffle: bool) -> list[str]:
    """Batches from whole tensors."""
    train, test = ("train_transform", "test_transform") if piped else ("prepared", "prepared")
    parts = [BATCHES]
    if has_chance(data.transforms):
        parts.append(EACH)
        train = "each_transformed"
    parts.append("\n".join([
        ORDER, f"train_loader = Batches(train_images, train_labels, {train}, BATCH_SIZE, shuffle={shuffle})",
        f"validation_loader = Batches(validation_images, validation_labels, {test}, 1000)",
        f"test_loader = Batches(test_images, test_labels, {test}, 1000)"]))
    return parts


def _one_by_one(data: DataConfig, whole: bool) -> list[str]:
    """Each image through the transforms when it is asked for, as torchvision's own data sets do it."""
    def rows_of(split: str, transform: str) -> str:
        if data.join:
            return f"{split}_set = Subset(joined({transform}), {split}_rows.tolist())"
        return f"{split}_set = Subset(Images(images, labels, {transform}), {split}_rows.tolist())"

    parts = [IMAGES]
    if data.join and not whole:
        parts.append('''def joined(transform):
    """The sets one after the other, as if they were one."""
    parts = zip(stacks, labels.split([len(stack) for stack in stacks]))
    return ConcatDataset([Images(images, labels, transform) for images, labels in parts])''')
    lines = [f"{split}_set = Images({split}_images, {split}_labels, {transform})" if whole else rows_of(split, transform)
             for split, transform in (("train", "train_transform"), ("validation", "test_transform"))]
    parts.append("\n".join([*lines, "test_set = Images(test_images, test_labels, test_transform)"]))
    return parts


def _as_tensors() -> list[str]:
    """A small set, made ready as a whole."""
    return ["\n".join(f"{split}_set = TensorDataset(prepared({split}_images), {split}_labels)"
                      for split in ("train", "validation", "test"))]


ORDER = "order = torch.Generator()  # of the training images; seeded anew for each epoch, as the app does"


def loaders(draws: bool, shuffle: bool) -> str:
    """DataLoaders over train_set, validation_set and test_set, in the order of a run.

    draws: training draws from PyTorch's own generator, so nothing else may. shuffle: another order in each epoch.
    """
    own = ", generator=torch.Generator()" if draws else ""
    about = "# each with a generator of its own: what training draws from PyTorch's does not depend on them\n" if draws else ""
    shuffled = ("shuffled = RandomSampler(train_set, generator=order)  # what shuffle=True makes, with this generator\n"
                f"train_loader = DataLoader(train_set, batch_size=BATCH_SIZE, sampler=shuffled{own})")
    in_order = f"train_loader = DataLoader(train_set, batch_size=BATCH_SIZE{own})  # always in the order of the files"
    return f'''{ORDER}
{about}{shuffled if shuffle else in_order}
validation_loader = DataLoader(validation_set, batch_size=1000{own})
test_loader = DataLoader(test_set, batch_size=1000)'''


def _line(text: str) -> str:
    """A title on one line: it may be a person's own."""
    return " ".join(text.split())


__all__ = ["BATCHES", "ORDER", "images_data", "last_step", "loaders"]
