"""transform and target_transform, step by step: what each makes of an image or a label, and why PyTorch refuses some orders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from core.errors import reason
from core.labs.data_folder import CLASSES, script_head
from core.torchvision_guard import torchvision


@dataclass(frozen=True)
class Step:
    """One transform. code: with {mean} and {std} where it has them; make: from those two numbers; about: what it does."""

    code: str
    make: Callable[[float, float], Callable[[Any], Any]]
    about: str


STEPS: dict[str, Step] = {
    "to_tensor": Step("ToTensor()", lambda mean, std: torchvision.transforms.ToTensor(),
                      "Pillow image or NumPy array to a float32 tensor, values 0 to 255 divided by 255."),
    "pil_to_tensor": Step("PILToTensor()", lambda mean, std: torchvision.transforms.PILToTensor(),
                          "Pillow image to a tensor of the same whole numbers, uint8."),
    "convert": Step("ConvertImageDtype(torch.float32)",
                    lambda mean, std: torchvision.transforms.ConvertImageDtype(torch.float32),
                    "A tensor's type of number, and its scale with it: 0 to 255 becomes 0 to 1."),
    "normalize": Step("Normalize(({mean},), ({std},))", lambda mean, std: torchvision.transforms.Normalize((mean,), (std,)),
                      "(x − mean) / std for each value of a float tensor."),
    "invert": Step("Lambda(lambda x: 1 - x)", lambda mean, std: torchvision.transforms.Lambda(lambda x: 1 - x),
                   "Any function of your own; this one makes black white."),
}
USUAL = ("to_tensor", "normalize")


@dataclass(frozen=True)
class Stage:
    """The image after a step. code: the step, "" for the start; kind: what it is; shape, dtype: of a tensor, else of what Pillow
    says; low, high, mean: of its values; picture: (1, H, W) uint8, its smallest value black and its largest white."""

    code: str
    kind: str
    shape: str
    dtype: str
    low: float
    high: float
    mean: float
    picture: Tensor


@dataclass(frozen=True)
class Way:
    """An image's way through a pipeline. error: what PyTorch said at the step after the last stage, "" where all went through;
    about: what that means, or what is odd although nothing was refused."""

    stages: tuple[Stage, ...]
    stopped: str
    error: str
    about: str


def step_code(name: str, mean: float, std: float) -> str:
    """A step as it is written."""
    return STEPS[name].code.format(mean=float(mean), std=float(std))


def through(image: Image.Image, names: Sequence[str], mean: float = 0.5, std: float = 0.5) -> Way:
    """Take a Pillow image through steps of STEPS, in this order. Raises KeyError for a step that does not exist."""
    value: Any = image
    stages, around = [_stage("", value)], False
    for name in names:
        code, before = step_code(name, mean, std), value
        try:
            value = STEPS[name].make(mean, std)(value)
        except (TypeError, ValueError, RuntimeError) as error:
            return Way(tuple(stages), code, f"{type(error).__name__}: {reason(error)}", _meaning(name, before, std))
        around = around or (name == "invert" and before.dtype == torch.uint8)
        stages.append(_stage(code, value))
    return Way(tuple(stages), "", "", _odd(value, around))


def _stage(code: str, value: Any) -> Stage:
    if isinstance(value, Tensor):
        pixels, kind = value, "tensor"
        shape, dtype = str(tuple(value.shape)), str(value.dtype).removeprefix("torch.")
    else:
        pixels = torchvision.transforms.PILToTensor()(value)
        kind, shape, dtype = "Pillow image", f"{value.width}×{value.height}", f"mode {value.mode}"
    numbers = pixels.float()
    low, high = numbers.min(), numbers.max()
    picture = ((numbers - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8)
    return Stage(code, kind, shape, dtype, low.item(), high.item(), numbers.mean().item(), picture)


def _meaning(name: str, value: Any, std: float) -> str:
    """Why a step refused what it was given."""
    if not isinstance(value, Tensor):
        return {"convert": "It takes a tensor, and this is still a Pillow image: put ToTensor() or PILToTensor() before it.",
                "normalize": "It calculates with a tensor, and this is still a Pillow image: ToTensor() comes first.",
                "invert": "Python can't subtract a Pillow image from a number: ToTensor() comes first."}[name]
    if name == "normalize" and value.is_floating_point():
        return f"A standard deviation of {std:g} would be divided by, in float32 as 0."
    if name == "normalize":
        return ("The values are still whole numbers from 0 to 255: ConvertImageDtype(torch.float32) comes first, or ToTensor() "
                "in place of PILToTensor().")
    return "It makes a tensor of an image, and this already is one. Once is enough."


def _odd(value: Any, around: bool) -> str:
    """What a person should know of a result that nobody refused; "" where it is as a network takes it. around: whether 1 - x was
    calculated in uint8."""
    if not isinstance(value, Tensor):
        return "Still a Pillow image: a DataLoader can't stack those into a batch."
    if around:
        return ("In uint8 there is nothing below 0: 1 − 255 goes around and is 2. Nobody refuses, and the picture is nearly "
                "right. Make it float32 first.")
    if value.dtype == torch.uint8:
        return "Still whole numbers from 0 to 255: a layer's float32 weights refuse them."
    return ""


# --- labels


TARGETS: dict[str, str] = {
    "none": "None",
    "scatter": "Lambda(lambda y: torch.zeros(10).scatter_(0, torch.tensor(y), value=1))",
    "one_hot": "Lambda(lambda y: F.one_hot(torch.tensor(y), 10))",
    "one_hot_float": "Lambda(lambda y: F.one_hot(torch.tensor(y), 10).float())",
}
LOGITS = (0.0, 1.0, -1.0, 3.0, 0.5, 0.0, 2.0, -2.0, 0.0, 1.0)  # what a network might say, for the loss of a label


@dataclass(frozen=True)
class Label:
    """A label after a target_transform.

    value: the tensor, or the number itself; None where it was refused. loss: cross-entropy of LOGITS with it; index_loss: with
    the plain label. Both None where there is none. error: what PyTorch said, about: what that means.
    """

    value: Tensor | int | None
    loss: float | None
    index_loss: float | None
    error: str
    about: str


def scatter_steps(label: int) -> tuple[Tensor, Tensor] | None:
    """zeros(10) before and after scatter_, each (10,) float32; None for a label that has no place there."""
    if not 0 <= label < CLASSES:
        return None
    before = torch.zeros(CLASSES)
    return before, before.clone().scatter_(0, torch.tensor(label), value=1)


def transformed(label: int, name: str) -> Label:
    """A label through one of TARGETS, and its cross-entropy. Raises KeyError for another name."""
    makers: dict[str, Callable[[int], Tensor | int]] = {
        "none": lambda y: y,
        "scatter": lambda y: torch.zeros(CLASSES).scatter_(0, torch.tensor(y), value=1),
        "one_hot": lambda y: F.one_hot(torch.tensor(y), CLASSES),
        "one_hot_float": lambda y: F.one_hot(torch.tensor(y), CLASSES).float()}
    logits = torch.tensor([LOGITS])
    index_loss = F.cross_entropy(logits, torch.tensor([label])).item() if 0 <= label < CLASSES else None
    value = None
    try:
        value = makers[name](label)
        target = value[None] if isinstance(value, Tensor) else torch.tensor([value])
        loss = F.cross_entropy(logits, target).item()
    except (IndexError, RuntimeError) as error:
        return Label(value, None, index_loss, f"{type(error).__name__}: {reason(error)}", _label_meaning(label))
    return Label(value, loss, index_loss, "", "")


def _label_meaning(label: int) -> str:
    if not 0 <= label < CLASSES:
        hint = " Labels that count from 1 end like this." if label == CLASSES else ""
        return f"Ten classes have the labels 0 to 9, and {label} is none of them.{hint}"
    return ("one_hot gives whole numbers (int64), and cross-entropy wants probabilities, which are float: add .float(), or leave "
            "the label as the number it is.")


TORCHVISION = '''from torch.nn import functional as F
from torchvision.transforms import {names}'''
CODE = '''{head}

transform = Compose([{steps}])
target_transform = {target}

image, label = Image.open("digits/images/{file}"), {label}
image = transform(image)
if target_transform:
    label = target_transform(label)
print("image:", image.shape, image.dtype, f"{{image.min():.4f}} to {{image.max():.4f}}")
print("label:", label)

# What the loss makes of that label, for one network's answer
logits = torch.tensor([{logits}])
print(f"loss: {{F.cross_entropy(logits, torch.as_tensor(label)[None]).item():.6f}}")
'''


def transforms_code(names: Sequence[str], mean: float, std: float, target: str, label: int, file: str) -> str:
    """A script that takes one image and its label through the same transforms; runs alone where the page shows no error."""
    steps = [step_code(name, mean, std) for name in names]
    used = {"Compose", *(code.split("(")[0] for code in steps), *(["Lambda"] if target != "none" else [])}
    return CODE.format(head=script_head(TORCHVISION.format(names=", ".join(sorted(used)))), steps=", ".join(steps),
                       target=TARGETS[target], label=label, file=file, logits=list(LOGITS))
