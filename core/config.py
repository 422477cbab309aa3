"""RunConfig: the one description of a run. Plain JSON in and out; forms and the command line read its fields."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from core.fields import Config, ConfigError, explain, setting
from core.models import MLPConfig, ModelConfig
from core.transforms import MOST_STEPS, Steps
from core.version import VERSION

Feature = Literal["x1", "x2", "x1_squared", "x2_squared", "x1_x2", "sin_x1", "sin_x2"]
Coordinate = Annotated[float, Field(ge=-6.0, le=6.0)]
AddedPoint = tuple[Coordinate, Coordinate, Annotated[int, Field(ge=0, le=1)]]

ClassName = Annotated[str, Field(max_length=200)]  # the name of a data set or of a class


class DataConfig(Config):
    """Which examples, what question is asked of them, and how pixels become numbers."""

    dataset: str = setting("mnist", "Which data set to learn from.", label="Data set", max_length=100)
    task: Literal["classes", "is_target"] = setting(
        "classes", "Tell all classes apart, or answer one question: is it this class or not?")
    target: int = setting(8, "The class that the yes-no question is about.", ge=0, le=999)
    normalization: Literal["none", "half", "standard", "imagenet", "channels"] = setting(
        "none", "none: pixels from 0 to 1. half: (x − 0.5) / 0.5, from −1 to 1. standard: mean 0 and standard deviation 1 in "
        "each channel of the training images. imagenet: ImageNet's means and standard deviations, which networks trained on it "
        "expect. channels: numbers of your own.", label="Normalisation")
    channel_mean: tuple[Annotated[float, Field(ge=-10.0, le=10.0)], ...] = setting(
        (0.5,), "For the normalisation channels: what is subtracted, one number for each channel, or one for all. Of pixels "
        "from 0 to 1.", label="Channel means", min_length=1, max_length=10)
    channel_std: tuple[Annotated[float, Field(ge=0.001, le=1000.0)], ...] = setting(
        (0.5,), "For the normalisation channels: what is divided by, one number for each channel, or one for all.",
        label="Channel standard deviations", min_length=1, max_length=10)
    validation: int = setting(
        5000, "Training images held back to check each epoch on examples the network did not learn from.",
        unit="images", ge=1, le=1_000_000, step=100, label="Validation images")
    variations: int = setting(
        0, "Extra copies of each training image as other hands might have written it: slanted, turned, with a thinner pen; of "
        "digits, two fifths are written anew by a program, with flags, feet and tails of others. Helps small data sets most.",
        unit="copies", ge=0, le=8, step=1)
    split_seed: int = setting(
        0, "Decides which images are held back, and which points a computed set gets; the same number gives the same ones.",
        ge=0, le=2**31 - 1)
    transforms: Steps = setting(
        (), "Steps that images go through on their way to the network, in this order; normalization comes after them. Random "
        "ones act on training images alone.", max_length=MOST_STEPS)
    points: int = setting(100, "For computed sets: how many points to learn from.", unit="points", ge=10, le=10_000, step=10)
    noise: float = setting(0.0, "For computed sets: how far points stray from where they belong, as a standard deviation.",
                           ge=0.0, le=1.0, step=0.05)
    vocabulary: int = setting(
        1000, "For texts: how many words get a number of their own, the most frequent of the training texts. All others share "
        "one.", unit="words", ge=1, le=50_000, step=100)
    text_length: int = setting(64, "For texts: how many words of each are read. What comes after is left out.", unit="words",
                               ge=1, le=2000, step=16)
    text_file: str = setting("", "For your own texts: which uploaded file.", max_length=64)
    features: tuple[Feature, ...] = setting(
        ("x1", "x2"), "For points in the plane: what the network gets to see of each point. x1 and x2 are its coordinates, the "
        "others are computed from them.", label="Inputs", min_length=1, max_length=7)
    added: tuple[AddedPoint, ...] = setting(
        (), "For points in the plane: training points of one's own beside the computed ones, each as x1, x2 and class 0 or 1.",
        label="Added points", unit="points", max_length=500)
    # how data sets are combined: core/data/combine.py, in this order
    join: tuple[ClassName, ...] = setting(
        (), "Other data sets whose training images are added: same image size, and no class that this one lacks. The test images "
        "stay those of the data set itself.", label="Join with", max_length=8)
    join_times: int = setting(1, "How often each joined image is used in an epoch: few images of your own weigh more so.",
                              unit="times", ge=1, le=100, step=1, label="Repeat the joined images")
    only_classes: tuple[ClassName, ...] = setting(
        (), "Learn and test with these classes only; none chosen means all. Labels are numbered anew.",
        max_length=1000, label="Only these classes")
    fraction: float = setting(1.0, "Share of the training images to learn from, the same share of each class.",
                              gt=0.0, le=1.0, step=0.05, label="Share of the training images")
    imbalance: float = setting(
        1.0, "The last class keeps this share of its training images, the first all, and those between are graded. "
        "1 changes nothing.", gt=0.0, le=1.0, step=0.05, label="Share of the rarest class")
    label_noise: float = setting(
        0.0, "Share of the training labels that are replaced by another class at random. Validation and test labels stay true.",
        ge=0.0, le=1.0, step=0.05)


def optimizer_name(name: str) -> Any:
    """The field that says which optimizer a config is for."""
    return setting(name, "The rule that turns gradients into new weights.", label="Optimizer")


def learning_rate(default: float) -> Any:
    """Every optimizer's first field."""
    return setting(default, "How far each step moves the weights. Too small learns slowly, too large jumps about or "
                   "diverges.",
                   gt=0.0, le=100.0)


def weight_decay(default: float = 0.0) -> Any:
    """A pull of all weights towards zero."""
    return setting(default, "Pulls all weights a little towards zero at each step, so that none grows large without need.",
                   ge=0.0, le=10.0, step=0.0001)


def momentum() -> Any:
    """How much of the last step goes on, of SGD and RMSprop."""
    return setting(0.0, "Share of the last step that is kept in the next one.", ge=0.0, lt=1.0, step=0.05)


def mean_kept() -> Any:
    """Adam's and AdamW's β₁."""
    return setting(0.9, "Share of the running mean of gradients that each step keeps.", ge=0.0, lt=1.0, step=0.01)


def squares_kept(default: float, step: float) -> Any:
    """Adam's and AdamW's β₂, and RMSprop's α."""
    return setting(default, "Share of the running mean of squared gradients that is kept.", ge=0.0, lt=1.0, step=step)


class SGDConfig(Config):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = optimizer_name("sgd")
    learning_rate: float = learning_rate(0.01)
    momentum: float = momentum()
    nesterov: bool = setting(False, "Look ahead along the momentum before taking the gradient. Needs momentum above 0.")
    weight_decay: float = weight_decay()

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGDConfig":
        if self.nesterov and not self.momentum:
            raise PydanticCustomError("nesterov", "nesterov needs momentum above 0, such as 0.9")
        return self


class AdamConfig(Config):
    """Adam: a step size of its own for each weight (Kingma & Ba, arXiv:1412.6980)."""

    name: Literal["adam"] = optimizer_name("adam")
    learning_rate: float = learning_rate(0.001)
    beta1: float = mean_kept()
    beta2: float = squares_kept(0.999, 0.001)
    weight_decay: float = weight_decay()


class AdamWConfig(Config):
    """Adam with weight decay kept apart from the gradients (Loshchilov & Hutter, arXiv:1711.05101)."""

    name: Literal["adamw"] = optimizer_name("adamw")
    learning_rate: float = learning_rate(0.001)
    beta1: float = mean_kept()
    beta2: float = squares_kept(0.999, 0.001)
    weight_decay: float = weight_decay(0.01)


class RMSpropConfig(Config):
    """RMSprop: gradients divided by their recent size."""

    name: Literal["rmsprop"] = optimizer_name("rmsprop")
    learning_rate: float = learning_rate(0.01)
    alpha: float = squares_kept(0.99, 0.01)
    momentum: float = momentum()
    weight_decay: float = weight_decay()


class AdagradConfig(Config):
    """Adagrad: gradients divided by the size of all that came before, so steps only shrink."""

    name: Literal["adagrad"] = optimizer_name("adagrad")
    learning_rate: float = learning_rate(0.01)
    weight_decay: float = weight_decay()


OptimizerConfig = Annotated[SGDConfig | AdamConfig | AdamWConfig | RMSpropConfig | AdagradConfig, Discriminator("name")]
OPTIMIZERS: dict[str, type[Config]] = {
    "adam": AdamConfig, "adamw": AdamWConfig, "sgd": SGDConfig, "rmsprop": RMSpropConfig, "adagrad": AdagradConfig}


def schedule_name(name: str) -> Any:
    """The field that says which schedule a config is for."""
    return setting(name, "How the learning rate changes while the network learns.", label="Schedule")


class ConstantConfig(Config):
    """The same learning rate from start to end."""

    name: Literal["constant"] = schedule_name("constant")


class StepConfig(Config):
    """The learning rate falls by a factor every few epochs."""

    name: Literal["step"] = schedule_name("step")
    every: int = setting(2, "Epochs between two falls.", unit="epochs", ge=1, le=1000, step=1)
    factor: float = setting(0.5, "What the learning rate is multiplied by at each fall.", gt=0.0, lt=1.0, step=0.05)


class CosineConfig(Config):
    """The learning rate falls along half a cosine, slowly at first and at the end."""

    name: Literal["cosine"] = schedule_name("cosine")
    final: float = setting(0.0, "Share of the learning rate that is left at the end.", ge=0.0, le=1.0, step=0.05)


class OneCycleConfig(Config):
    """The learning rate rises to its full value and falls to almost nothing (Smith & Topin, arXiv:1708.07120)."""

    name: Literal["one_cycle"] = schedule_name("one_cycle")
    rise: float = setting(0.3, "Share of all steps during which the learning rate rises.", gt=0.0, lt=1.0, step=0.05)


class WarmUpConfig(Config):
    """The learning rate rises from almost nothing, then stays."""

    name: Literal["warm_up"] = schedule_name("warm_up")
    share: float = setting(0.1, "Share of all steps during which the learning rate rises.", gt=0.0, lt=1.0, step=0.05)


class PlateauConfig(Config):
    """The learning rate falls when the validation loss no longer does."""

    name: Literal["plateau"] = schedule_name("plateau")
    patience: int = setting(2, "Epochs to wait for a smaller validation loss.", unit="epochs", ge=0, le=100, step=1)
    factor: float = setting(0.5, "What the learning rate is multiplied by then.", gt=0.0, lt=1.0, step=0.05)


ScheduleConfig = Annotated[ConstantConfig | StepConfig | CosineConfig | OneCycleConfig | WarmUpConfig | PlateauConfig,
                           Discriminator("name")]
SCHEDULES: dict[str, type[Config]] = {
    "constant": ConstantConfig, "step": StepConfig, "cosine": CosineConfig, "one_cycle": OneCycleConfig,
    "warm_up": WarmUpConfig, "plateau": PlateauConfig}
# the same by their dotted names: where one is changed, the other fields beside it begin with the new kind's
KIND_PATHS = ("model.architecture", "training.optimizer.name", "training.schedule.name")
TAGS = {"architecture", "name"}  # the fields that say which kind of model, optimizer or schedule it is


MOST_THREADS = 64
MOST_MOMENT_EPOCHS = 32
MOST_FROZEN = 200  # as many layers as a composed network may have

class TrainingConfig(Config):
    """How the network learns."""

    loss: Literal["cross_entropy", "nll", "bce_with_logits", "bce", "mse"] = setting(
        "cross_entropy", "What is made small. cross_entropy picks one of several classes; bce_with_logits answers yes or no.")
    label_smoothing: float = setting(
        0.0, "Ask for a little less than certainty: this share is spread over all classes. For cross-entropy only.",
        ge=0.0, le=0.9, step=0.05)
    optimizer: OptimizerConfig = setting(AdamConfig(), "The rule that turns gradients into new weights.")
    schedule: ScheduleConfig = setting(ConstantConfig(), "How the learning rate changes while the network learns.")
    batch_size: int = setting(64, "Images seen before each change of the weights.", unit="images", ge=1, le=4096, step=16)
    epochs: int = setting(5, "How many times the network goes through all training images.", unit="epochs", ge=1, le=1000, step=1)
    shuffle: bool = setting(
        True, "Another order of the training images in each epoch. Off: always the order of the files, where one class may "
        "follow the other; what came first can be forgotten then.")
    gradient_clipping: float = setting(
        0.0, "Longest gradient that is let through, as the norm over all weights; longer ones are shortened. 0 lets all through.",
        ge=0.0, le=1000.0, step=0.5)
    l1: float = setting(
        0.0, "Adds this times the sum of all weights' sizes to the loss, which pulls every weight towards zero by the same "
        "amount: those that are not needed end close to it. The losses shown are without it.",
        label="L1 regularisation", ge=0.0, le=10.0, step=0.0001)
    initialization: Literal["default", "xavier_uniform", "kaiming_normal", "normal", "zeros"] = setting(
        "default", "Where the weights start. default: PyTorch's own for each layer. zeros: see what happens when all are equal.",
        label="Initialisation")
    early_stopping: int = setting(
        0, "Stop after so many epochs without a smaller validation loss; 0 never does.",
        unit="epochs", ge=0, le=1000, step=1)
    keep: Literal["last", "best"] = setting(
        "last", "Which weights are kept: those of the last epoch, or of the epoch with the smallest validation loss.",
        label="Weights to keep")
    seed: int = setting(0, "Start of the random numbers: weights, order of images, dropout. Same seed, same curve; to the last "
                        "digit with a fixed number of processor threads.",
                        ge=0, le=2**31 - 1, step=1)
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "Number format of the arithmetic. auto takes bfloat16 where a few steps, measured on this machine, were clearly "
        "faster with it, and float32 elsewhere; a run says which it took. In a notebook, fit() takes auto as float32.")
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "Where to compute; auto takes a GPU if there is one.")
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_THREADS)] = setting(
        "auto", "Processor threads that share the arithmetic. auto tries out in the run which number is fastest beside what else "
        "the machine does, and a repeat may differ by rounding; with a number the same run on the same machine gives the same "
        "figures to the last digit, in the same number format.",
        label="Processor threads")
    moments: int = setting(
        40, "How many moments of the training are kept to go back to: many at first, then fewer and fewer. Changes nothing in "
        "what is learned. 0 keeps none.", label="Moments to go back to", unit="moments", ge=0, le=200, step=10)
    moment_epochs: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = setting(
        (), "After which epochs a moment is kept for certain, such as 1, 5, 20: it never goes for others. These come on top of "
        "the moments to go back to; where 0 of those are wanted, none is kept.", label="Epochs to keep for certain",
        max_length=MOST_MOMENT_EPOCHS)
    start_from: str = setting(
        "", "What the weights start from: empty for fresh ones, the id of a run for its own, or imagenet for those that "
        "torchvision has for this network, learned from ImageNet's photographs. What fits is taken over; a last layer for other "
        "classes is new.",
        label="Start from", max_length=32)
    trainable: Literal["all", "linear_layers", "last_layer"] = setting(
        "all", "Which layers learn; those before them are frozen: they keep the weights that they start with. linear_layers: all "
        "from the first linear layer on, while convolutions or embeddings stay. last_layer: the one that answers, alone.",
        label="What is trained")
    frozen_first: int = setting(
        0, "How many layers with weights, counted from the input, keep the weights that they start with, beside those that are "
        "not trained anyway. A batch norm behind one of them is frozen with it, and does not count. 0 freezes none.",
        label="First layers frozen", unit="layers", ge=0, le=MOST_FROZEN, step=1)
    rate_below_last: float = setting(
        1.0, "How much of the learning rate all layers below the last one get, so that what they have learned elsewhere "
        "changes slowly, while a new last layer learns. 1 makes no difference.",
        label="Share of the learning rate below the last layer", gt=0.0, le=1.0, step=0.1)

    @field_validator("threads", mode="before")
    @classmethod
    def _auto_or_a_number(cls, value: Any) -> Any:
        """One line for whatever it can't be; pydantic has one for each of both kinds."""
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 5 else value
        if value != "auto" and (not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_THREADS):
            raise ValueError(f"it must be auto, or a whole number from 1 to {MOST_THREADS}")
        return number


ABOUT = ("version", "changed_by_hand")  # what a file of a config says besides


class RunConfig(Config):
    """Everything that decides what a run does."""

    data: DataConfig = DataConfig()
    model: ModelConfig = MLPConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="before")
    @classmethod
    def _files_say_who_wrote_them(cls, values: Any) -> Any:
        """Files of configs name the version that wrote them and what was changed by hand in the run they are of, which decide
        nothing: see config_bytes."""
        return {name: value for name, value in values.items() if name not in ABOUT} if isinstance(values, dict) else values

    def with_values(self, changes: dict[str, Any]) -> "RunConfig":
        """A copy with dotted fields replaced, such as {"training.epochs": 2}.

        Choosing another architecture or optimizer starts from that one's defaults.

        Raises:
            ConfigError: an unknown field, or a value out of bounds.
        """
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            parents, leaf = _find(values, path, tags_only=True)
            if leaf in TAGS and parents.get(leaf) != value:
                parents.clear()
                parents[leaf] = value
        values = read_config(values).model_dump(mode="json")  # the new kinds' own fields, at their defaults
        for path, value in changes.items():
            parents, leaf = _find(values, path)
            parents[leaf] = value
        return read_config(values)


def read_config(values: dict[str, Any] | str | bytes) -> RunConfig:
    """A RunConfig from a dict or from JSON text. Raises ConfigError with one line for anything it can't be."""
    try:
        return RunConfig.model_validate_json(values) if isinstance(values, str | bytes) else RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, RunConfig)) from None


def config_bytes(config: RunConfig, changed_by_hand: Sequence[dict[str, Any]] = ()) -> bytes:
    """A config as a file for people and for read_config(): JSON, the version that wrote it first, and last what was changed by
    hand in the run it is of, which another run of it would not repeat."""
    by_hand = {"changed_by_hand": list(changed_by_hand)} if changed_by_hand else {}
    return json.dumps({"version": VERSION} | config.model_dump(mode="json") | by_hand, indent=2).encode()


def _find(values: dict[str, Any], path: str, tags_only: bool = False) -> tuple[dict[str, Any], str]:
    """The dict that holds the field at a dotted path, and the field's own name in it."""
    *parents, leaf = path.split(".")
    place: Any = values
    for part in parents:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ConfigError(f"{path}: there is no such field; a run has {', '.join(values)}")
    if leaf not in place and not tags_only:
        raise ConfigError(f"{path}: there is no such field; {'.'.join(parents) or 'a run'} has {', '.join(place)}")
    return place, leaf
