"""What the doctor looks at: a run's config, its network as built, and whatever is known of data and machine."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import nn

from core.config import RunConfig
from core.data import DataError, Dataset, DatasetSpec, Outline, outline, spec_for, spec_of
from core.data.combine import training_estimate, training_total_estimate
from core.fields import ConfigError
from core.layers.flow import Flow, flow
from core.layers.table import InspectionError, LayerRow, describe_layers, totals
from core.models import ModelError, build, check_kind
from core.training import freeze_for, outputs_for
from core.training.range_test import RangeTest

HANDWRITING = {"mnist", "digits", "emnist", "kmnist", "qmnist", "usps"}  # besides what classes draw
WEIGHTED = {"linear", "conv2d", "residual"}  # kinds of layers of a composed network
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or doubtful.

    rule: its name in RULES.
    severity: "error" for what can't run or can't learn what it is asked, "warning" for what is probably a mistake, "note" for
        what is worth knowing.
    title: one line. evidence: the numbers it rests on. explanation: why it matters, for a beginner.
    remedy: what to do, as an imperative; of `fix`, where there is one.
    fix: the config with the mistake mended; None where a config can't say it.
    """

    rule: str
    severity: Severity
    title: str
    evidence: str
    explanation: str
    remedy: str = ""
    fix: RunConfig | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a config does not say. None: not known, and the rules that need it are silent.

    seconds_per_epoch: how long one pass through the training images may take.
    images_per_second: training speed, measured on the device that will train; without it the speed is estimated.
    memory_bytes: of the device that will train.
    tested_runs: how many runs on this data set have already shown their test accuracy.
    transform: a torchvision transform that the images go through, where that is not the config's.
    test_transform: a torchvision transform that the test images go through, where that is one of the person's own.
    """

    seconds_per_epoch: float = 600.0
    images_per_second: float | None = None
    memory_bytes: int | None = None
    tested_runs: int = 0
    transform: Any = None
    test_transform: Any = None


def is_handwriting(name: str) -> bool:
    """Whether a data set's pictures are handwritten, and so have a right way round. False for one that is not there."""
    with suppress(DataError):
        return name in HANDWRITING or spec_of(name).drawn
    return False


@dataclass(frozen=True)
class Case:
    """Everything the rules ask for, worked out once and only if asked. Without a network that runs, its lists are empty.

    model: a network of the person's own in place of the config's. criterion: its loss, in place of the config's.
    """

    config: RunConfig
    given: nn.Module | None = None
    criterion: nn.Module | None = None
    data: Dataset | None = None
    surroundings: Surroundings = field(default_factory=Surroundings)
    range_test: RangeTest | None = None

    @cached_property
    def spec(self) -> DatasetSpec | None:
        """The data set's facts; None for a data set that isn't known."""
        try:
            return spec_for(self.config.data)
        except DataError:
            return None

    @cached_property
    def _outline(self) -> Outline | str:
        try:
            return outline(self.config.data)
        except DataError as error:
            return str(error)

    @property
    def misfit_of_data(self) -> str:
        """Why data sets can't be combined so; "" where they can, or the data set is not known."""
        return self._outline if isinstance(self._outline, str) and self.spec and not self.data else ""

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        if self.data:
            return self.data.input_shape
        return self._outline.input_shape if isinstance(self._outline, Outline) else self.spec.input_shape if self.spec else ()

    @cached_property
    def source_classes(self) -> int:
        """Classes of the data set itself."""
        if self.data:
            return len(self.data.source_classes)
        if isinstance(self._outline, Outline):
            return len(self._outline.source_classes)
        return len(self.spec.classes) if self.spec else 0

    @property
    def has_images(self) -> bool:
        """Whether the examples are images, and not points or texts."""
        return self.spec is None or self.spec.kind == "images"

    @property
    def classes(self) -> int:
        """Classes of the question that is asked."""
        return 2 if self.config.data.task == "is_target" else self.source_classes

    @property
    def predicts_number(self) -> bool:
        """Whether the answer is a number and no class."""
        return (self.data.target if self.data else self.spec.target if self.spec else "classes") == "number"

    @cached_property
    def training_total(self) -> int:
        """Training images before any are held back for validation; 0 where not known."""
        if self.data:
            return len(self.data.train) // (1 + self.config.data.variations) + len(self.data.validation)
        if self.spec and self.spec.generate:
            return self.config.data.points + self.config.data.validation  # points of their own, held back from nothing
        if not self.spec or self.misfit_of_data:
            return self.spec.counts[0] if self.spec else 0
        return training_total_estimate(self.config.data, self.spec)

    @property
    def unaugmented_total(self) -> int:
        """Training images without varied copies, after the validation images are held back."""
        if self.data:
            return self.training_total - len(self.data.validation)
        if not self.spec or self.misfit_of_data:
            return max(0, self.training_total - self.config.data.validation)
        return training_estimate(self.config.data, self.spec, total=self.training_total)

    @property
    def per_epoch(self) -> int:
        """Images that one epoch goes through, varied copies included."""
        return self.unaugmented_total * (1 + self.config.data.variations)

    @property
    def loss(self) -> str:
        """Name of the loss: the config's, or the criterion's: "cross_entropy", "bce_with_logits", "mse", "nll", "bce", …

        A run's own bce and nll put the sigmoid or log-softmax on first, so they take logits as the other two do.
        """
        if self.criterion is None:
            own = str(self.config.training.loss)
            return {"bce": "bce_with_logits", "nll": "cross_entropy"}.get(own, own)
        names = {nn.CrossEntropyLoss: "cross_entropy", nn.BCEWithLogitsLoss: "bce_with_logits", nn.MSELoss: "mse",
                 nn.BCELoss: "bce", nn.NLLLoss: "nll", nn.L1Loss: "l1", nn.SmoothL1Loss: "smooth_l1", nn.HuberLoss: "huber"}
        return names.get(type(self.criterion), type(self.criterion).__name__)

    @property
    def outputs(self) -> int:
        """Outputs the loss needs for the question."""
        if self.criterion is None:
            return outputs_for(self.config, self.source_classes)
        yes_or_no = self.loss in {"bce_with_logits", "bce"} and self.classes == 2
        return 1 if yes_or_no else self.classes

    @cached_property
    def _built(self) -> nn.Module | str:
        if not self.input_shape:
            return ""  # without known data there is nothing to build for, and another rule says so
        if self.given is not None:
            return self.given
        try:
            if self.spec:
                check_kind(self.config.model, self.spec.kind, self.config.data.vocabulary)
            with torch.device("meta"):  # shapes without weights
                model = build(self.config.model, self.input_shape, self.outputs)
        except ModelError as error:
            return str(error)
        with suppress(ConfigError):  # nothing would learn, which another rule says; there are layers to look at
            freeze_for(self.config, model)
        return model

    @cached_property
    def _described(self) -> list[LayerRow] | str:
        if isinstance(self._built, str):
            return self._built
        try:
            return describe_layers(self._built, self.input_shape)
        except InspectionError as error:
            return str(error)

    @property
    def model(self) -> nn.Module | None:
        """The network, the config's without numbers (meta device); None where it can't be built."""
        return self._built if isinstance(self._built, nn.Module) else None

    @property
    def misfit(self) -> str:
        """Why the network can't be built or run on this data; "" if it can."""
        return self._described if isinstance(self._described, str) else ""

    @property
    def rows(self) -> list[LayerRow]:
        """The layer table."""
        return [] if isinstance(self._described, str) else self._described

    @cached_property
    def totals(self) -> Any:
        return totals(self.rows)

    @cached_property
    def modules(self) -> dict[str, nn.Module]:
        """The network's modules by dotted path; a shared one by each of its paths."""
        return {} if self.model is None else dict(self.model.named_modules(remove_duplicate=False))

    @cached_property
    def flow(self) -> Flow:
        """The operations of forward, in order."""
        return Flow([], None) if self.model is None or self.misfit else flow(self.model, self.input_shape)

    def changed(self, **values: Any) -> RunConfig | None:
        """The config with fields replaced, "training__loss" for training.loss; None where a config can't be that."""
        try:
            return self.config.with_values({name.replace("__", "."): value for name, value in values.items()})
        except ConfigError:
            return None

    def without_end(self, kinds: set[str]) -> RunConfig | None:
        """A composed network without the layers of these kinds after its last layer of weights; None for any other network."""
        layers = list(getattr(self.config.model, "layers", ()))
        end = next((place for place in range(len(layers), 0, -1) if layers[place - 1].kind in WEIGHTED), 0)
        kept = [layer.model_dump() for place, layer in enumerate(layers) if place < end or layer.kind not in kinds]
        return self.changed(model__layers=kept) if self.given is None and end and len(kept) < len(layers) else None

    def with_own_network(self, config: RunConfig) -> "Case":
        """The same surroundings with another config and its own network."""
        return replace(self, config=config, given=None)
