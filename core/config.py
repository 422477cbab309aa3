"""RunConfig: the one description of a run. Plain JSON in and out; forms and the command line read its fields."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, ValidationError

from core.fields import Config, ConfigError, explain, setting
from core.models import MLPConfig, ModelConfig


class DataConfig(Config):
    """Which examples, what question is asked of them, and how pixels become numbers."""

    dataset: str = setting("mnist", "Which data set to learn from.", label="Data set", max_length=100)
    task: Literal["classes", "is_target"] = setting(
        "classes", "Tell all classes apart, or answer one question: is it this class or not?")
    target: int = setting(8, "The class that the yes-no question is about.", ge=0, le=999)
    normalization: Literal["none", "half", "standard"] = setting(
        "none", "none: pixels from 0 to 1. half: (x − 0.5) / 0.5, from −1 to 1. standard: mean 0 and standard deviation 1.")
    validation: int = setting(
        5000, "Training images held back to check each epoch on examples the network did not learn from.",
        unit="images", ge=1, le=1_000_000, step=100, label="Validation images")
    variations: int = setting(
        0, "Extra copies of each training image as other hands might have written it: slanted, turned, with a thinner pen. "
        "Helps small data sets most.", unit="copies", ge=0, le=8, step=1)
    split_seed: int = setting(0, "Decides which images are held back; the same number gives the same split.", ge=0, le=2**31 - 1)


class SGDConfig(Config):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = setting("sgd", "The rule that turns gradients into new weights.", label="Optimizer")
    learning_rate: float = setting(0.01, "How far each step moves the weights against the gradient.", gt=0.0, le=100.0)
    momentum: float = setting(0.0, "Share of the last step that is kept in the next one.", ge=0.0, lt=1.0, step=0.05)


class AdamConfig(Config):
    """Adam: a step size of its own for each weight."""

    name: Literal["adam"] = setting("adam", "The rule that turns gradients into new weights.", label="Optimizer")
    learning_rate: float = setting(0.001, "How far each step moves the weights, before Adam scales it for each one.",
                                   gt=0.0, le=100.0)


OptimizerConfig = Annotated[SGDConfig | AdamConfig, Discriminator("name")]
TAGS = {"architecture", "name"}  # the fields that say which kind of model or optimizer it is
OPTIMIZERS: dict[str, type[SGDConfig] | type[AdamConfig]] = {"adam": AdamConfig, "sgd": SGDConfig}


class TrainingConfig(Config):
    """How the network learns."""

    loss: Literal["cross_entropy", "bce_with_logits"] = setting(
        "cross_entropy", "What is made small. cross_entropy picks one of several classes; bce_with_logits answers yes or no.")
    optimizer: OptimizerConfig = setting(AdamConfig(), "The rule that turns gradients into new weights.")
    batch_size: int = setting(64, "Images seen before each change of the weights.", unit="images", ge=1, le=4096, step=16)
    epochs: int = setting(5, "How many times the network goes through all training images.", unit="epochs", ge=1, le=1000, step=1)
    seed: int = setting(0, "Start of the random numbers: weights, order of images, dropout. Same seed, same curve.",
                        ge=0, le=2**31 - 1, step=1)
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "Number format of the arithmetic. bfloat16 is faster where the processor has it; auto picks what fits.")
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "Where to compute; auto takes a GPU if there is one.")


class RunConfig(Config):
    """Everything that decides what a run does."""

    data: DataConfig = DataConfig()
    model: ModelConfig = MLPConfig()
    training: TrainingConfig = TrainingConfig()

    def with_values(self, changes: dict[str, Any]) -> "RunConfig":
        """A copy with dotted fields replaced, such as {"training.epochs": 2}.

        Choosing another architecture or optimizer starts from that one's defaults.

        Raises:
            ConfigError: an unknown field, or a value out of bounds.
        """
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            parents, leaf = _find(values, path, tags_only=True)
            if leaf in TAGS and parents[leaf] != value:
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
