"""What can be wrong with the lines of a Dataset, by which error it shows, and what to do about it."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from PIL import Image

from core.torchvision_guard import torchvision

Picked = Mapping[str, str]  # name of a line in core.labs.dataset_choices.LINES → name of the option chosen for it


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a choice of lines.

    there: whether it is, for the lines and whether torchvision's decoders load here. stops: (place, types of error) by which it
    shows; without any it is silent, and so it is, too, where the samples that would show it are never asked for.
    """

    there: Callable[[Picked, bool], bool]
    stops: tuple[tuple[str, tuple[str, ...]], ...]
    text: str


def decoders_load() -> bool:
    """Whether torchvision can read image files here: its wheel holds compiled parts that fit one build of torch alone."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, format="PNG")
    try:
        torchvision.io.decode_image(torch.tensor(list(file.getvalue()), dtype=torch.uint8))
    except RuntimeError:
        return False
    return True


def _is_tensor(picked: Picked, decoders: bool) -> bool:
    """Whether the transform gets a tensor."""
    return picked["image"] == "tensor" or (picked["image"] == "decode" and decoders)


FAULTS = (
    Fault(lambda p, _: p["read"] == "plain", (),
          "read_csv takes the first line for a header unless it is told otherwise. The first image is lost, and nothing says so. "
          "With header=None or names=… every line is a sample."),
    Fault(lambda p, _: p["length"] == "columns", (),
          "columns are what stands side by side: file and label, so 2. A Dataset's length is its number of lines, len(table)."),
    Fault(lambda p, _: p["length"] == "size", (("path", ("IndexError",)),),
          "size counts all cells of the table, lines times columns. So __len__ promises twice as many samples as there are, and "
          "the first one beyond the last line does not exist."),
    Fault(lambda p, _: p["length"] == "shape", (("len", ("TypeError",)),),
          "shape is a tuple, (lines, columns), and __len__ has to return a whole number: shape[0], or len(table)."),
    Fault(lambda p, _: p["path"] == "next", (("path", ("IndexError",)),),
          "Positions count from 0, so line idx is the one that belongs to sample idx. With idx + 1 every sample shows its "
          "neighbour's image, and the last one has no neighbour."),
    Fault(lambda p, _: p["path"] == "row", (("path", ("TypeError",)),),
          "iloc[idx] is a whole line of the table, a Series. iloc[idx, 0] is the entry in its first column, the file's name."),
    Fault(lambda p, loads: p["path"] == "bare" and p["image"] != "decode", (("image", ("FileNotFoundError",)),),
          "The CSV holds names without their folder, so Python looks in the folder where it was started. "
          "os.path.join(self.img_dir, …) puts the folder in front."),
    Fault(lambda p, loads: p["path"] == "bare" and p["image"] == "decode" and loads, (("image", ("RuntimeError",)),),
          "The CSV holds names without their folder, so torchvision looks in the folder where Python was started. "
          "os.path.join(self.img_dir, …) puts the folder in front."),
    Fault(lambda p, loads: p["image"] == "decode" and not loads, (("image", ("RuntimeError",)),),
          "Your line is right, and read_image(…) of the older tutorials would say the same: torchvision's compiled decoders do "
          "not fit the torch that is installed here, as beside a build of torch for the CPU alone. Image.open of Pillow reads "
          "the same files everywhere."),
    Fault(lambda p, loads: _is_tensor(p, loads) and p["transform"] == "to_tensor", (("transform", ("TypeError",)),),
          "ToTensor turns a Pillow image or a NumPy array into a tensor, and this already is one. What is left to do is to make "
          "it float32 from 0 to 1: ConvertImageDtype(torch.float32). Or read with Image.open."),
    Fault(lambda p, loads: p["image"] == "open" and p["transform"] == "convert", (("transform", ("TypeError",)),),
          "ConvertImageDtype changes a tensor's type of number, and a Pillow image is no tensor yet. ToTensor does both."),
    Fault(lambda p, loads: p["image"] == "open" and p["transform"] == "none", (("batch", ("TypeError",)),),
          "Each sample is fine alone, but a batch is one tensor, and a DataLoader does not know how to stack Pillow images. "
          "transform=ToTensor() makes each a tensor."),
    Fault(lambda p, loads: _is_tensor(p, loads) and p["transform"] == "none", (("logits", ("RuntimeError",)),),
          "The pixels are still whole numbers from 0 to 255 (uint8), and a layer's weights are float32. "
          "transform=ConvertImageDtype(torch.float32) makes them numbers from 0 to 1."),
    Fault(lambda p, _: p["label"] == "first", (("loss", ("TypeError",)),),
          "Column 0 holds the file's name. It goes through the DataLoader without a word, as a tuple of texts, and only the loss "
          "asks for numbers. The label is in column 1."),
    Fault(lambda p, _: p["label"] == "named" and p["read"] != "names", (("label", ("KeyError",)),),
          "There is no column of that name: the CSV has no header, so the columns are named only by names=[…] in read_csv. "
          "iloc[idx, 1] goes by position and works either way."),
    Fault(lambda p, _: p["label"] == "next", (("label", ("IndexError",)),),
          "With idx + 1 every image gets its neighbour's label. Where neighbours are of the same class, nobody sees it; the last "
          "image has no neighbour."),
    Fault(lambda p, _: p["give"] == "image", (("ask", ("ValueError", "TypeError")),),
          "Whoever asks wants two things, an image and its label, and __getitem__ returns one. return image, label."),
    Fault(lambda p, _: p["give"] == "forgot", (("ask", ("TypeError",)),),
          "Without return a function gives None. The line makes a pair and throws it away."),
)


def faults(picked: Picked, decoders: bool) -> list[Fault]:
    """All that is wrong with these lines, whether it shows or not."""
    return [fault for fault in FAULTS if fault.there(picked, decoders)]
