"""A pipeline as torchvision.transforms.v2 writes it: what a learner takes along."""

from collections.abc import Sequence

from core.export.head_code import install_line
from core.export.model_class import imports_of
from core.transforms import (
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    ResizeConfig,
    Steps,
    TransformConfig,
    has_chance,
    with_to_tensor,
    without_chance,
)

LINE = 84  # columns of the code that is written
BILINEAR = "interpolation=v2.InterpolationMode.BILINEAR"
LAST = {"none": "", "half": "v2.Normalize([0.5], [0.5]),  # from −1 to 1", "standard": "v2.Normalize([mean], [std]),"}


def step_code(step: TransformConfig) -> str:
    """One step as torchvision's call, such as "v2.Resize((32, 32))"."""
    match step:
        case NormalizeConfig():
            return f"v2.Normalize([{step.mean:g}], [{step.std:g}])"
        case ResizeConfig():
            return f"v2.Resize(({step.size}, {step.size}))"
        case RandomRotationConfig():
            return f"v2.RandomRotation({step.degrees:g}, {BILINEAR})"
        case RandomHorizontalFlipConfig():
            return f"v2.RandomHorizontalFlip({step.p:g})"
        case RandomResizedCropConfig():
            return (f"v2.RandomResizedCrop({step.size}, scale=({step.scale_min:g}, {step.scale_max:g}), "
                    f"ratio=({step.ratio_min:g}, {step.ratio_max:g}))")
        case RandomAffineConfig():
            return _affine(step)
        case RandomErasingConfig():
            return (f"v2.RandomErasing({step.p:g}, scale=({step.scale_min:g}, {step.scale_max:g}), "
                    f"ratio=({step.ratio_min:g}, {step.ratio_max:g}))")
        case GaussianNoiseConfig():
            return f"v2.GaussianNoise(sigma={step.sigma:g}{'' if step.clip else ', clip=False'})"
    return "v2.ToDtype(torch.float32, scale=True)"


def _affine(step: RandomAffineConfig) -> str:
    arguments = [f"{step.degrees:g}", *([f"translate=({step.translate:g}, {step.translate:g})"] if step.translate else [])]
    if (step.scale_min, step.scale_max) != (1.0, 1.0):
        arguments.append(f"scale=({step.scale_min:g}, {step.scale_max:g})")
    if step.shear:
        arguments.append(f"shear={step.shear:g}")
    return f"v2.RandomAffine({', '.join([*arguments, BILINEAR])})"


def compose_code(name: str, steps: Steps, normalization: str = "none", last: str | None = None, tensors: bool = False) -> str:
    """`name = v2.Compose([…])` for these steps as they are given, ToTensor put in, and the normalisation that comes after them;
    "standard" takes `mean` and `std` of the code around it.

    Args:
        last: instead of the normalisation's own line. tensors: images are tensors (C, H, W) of uint8 already.
    """
    last = LAST[normalization] if last is None else last
    lines = [] if tensors else ["v2.ToImage(),  # a tensor (C, H, W) of uint8"]
    for step in with_to_tensor(steps):
        line = step_code(step) + ","
        if len(line) + 4 > LINE:  # the arguments on a line of their own
            head, rest = line.split("(", 1)
            line = f"{head}(\n        {rest}".replace(", interpolation", ",\n        interpolation")
        lines.append(line + ("  # float32 from 0 to 1" if line.startswith("v2.ToDtype") else ""))
    lines += [last] if last else []
    return "\n".join([f"{name} = v2.Compose([", *(f"    {line}" for line in lines), "])"])


def transforms_code(steps: Steps, normalization: str = "none", last: str | None = None, tensors: bool = False) -> str:
    """Both pipelines of a run: train_transform, and test_transform where they differ, as lines that follow each other. last,
    tensors: see compose_code."""
    parts = [compose_code("train_transform", steps, normalization, last, tensors)]
    if has_chance(steps):
        parts.append("# for validation and test images: nothing random\n"
                     + compose_code("test_transform", without_chance(steps), normalization, last, tensors))
    else:
        parts.append("test_transform = train_transform  # nothing in it is random")
    return "\n".join(parts)


def pipeline_script(steps: Steps, normalization: str = "none", mean: tuple[float, ...] = (0.0,),
                    std: tuple[float, ...] = (1.0,)) -> str:
    """transforms_code with its imports and what to install, to run alone. mean, std: of the last normalisation, for each
    channel."""
    numbers, last = "", None
    if normalization == "standard":
        numbers = (f"mean, std = {_numbers([float(f'{one:.4f}') for one in mean])}, "
                   f"{_numbers([float(f'{one:.4f}') for one in std])}  # of the training images\n")
        last = "v2.Normalize(mean, std),"
    elif normalization not in LAST:
        last = normalize_line(mean, std)
    text = f"{numbers}{transforms_code(steps, normalization, last)}"
    imports = imports_of(f"{text}\ntorch.")
    return f"# {install_line(imports)}\n{imports}\n\n{text}\n"


def normalize_line(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """One Normalize with a number for each channel, as an entry of a Compose."""
    return f"v2.Normalize({_numbers(mean)}, {_numbers(std)}),"


def _numbers(values: Sequence[float]) -> str:
    """A list; of equal numbers one, which stands for all."""
    return repr([values[0]] if len(set(values)) == 1 else list(values))
