"""Pure functions from one stack to the next, and the way back; a stack as text, and from another architecture.

A place says where a layer is: 3 or (3,) for the fourth row, (3, 0) for the first layer inside the residual block there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import nn

from core.fields import ConfigError, explain
from core.models import ARCHITECTURES, ModelConfig
from core.models.base import ConfigT, ModelError, Shape
from core.models.layers import LayerConfig, LinearConfig, ResidualConfig, layer_of
from core.models.stack import StackConfig

Place = tuple[int, ...]
MOST_BYTES = 200_000  # of a composition as JSON; 200 layers are 30 kB
MOST_STEPS_BACK = 100


@dataclass(frozen=True)
class Edit:
    """One change of a stack, as a value: `apply` makes it.

    add: `layers` before the row at `place`. replace: the layer there by `layers`. move: from `place` to `to`.
    unwrap: a residual block by what is inside.
    """

    label: str  # what a button that makes it says: "Put Flatten before it"
    action: Literal["add", "replace", "delete", "move", "unwrap"]
    place: Place
    layers: tuple[LayerConfig, ...] = ()
    to: Place = ()


def apply(stack: StackConfig, edit: Edit) -> StackConfig:
    """The stack after the edit. Raises ConfigError where there is no such row or block, or too many layers."""
    match edit.action:
        case "add":
            for layer in reversed(edit.layers):
                stack = add(stack, layer, edit.place)
            return stack
        case "replace":
            return _changed(stack, edit.place, edit.layers)
        case "move":
            return move(stack, edit.place, edit.to)
        case "unwrap":
            block = layer_at(stack, edit.place)
            if not isinstance(block, ResidualConfig):
                raise ConfigError(f"Row {row_number(edit.place)} is no residual block.")
            return _changed(stack, edit.place, block.layers)
    return delete(stack, edit.place)


def add(stack: StackConfig, layer: LayerConfig, place: int | Place | None = None) -> StackConfig:
    """With `layer` before the row at `place`; at the end for None. A place one after the last is the end, too."""
    end = (len(stack.layers),)
    return _changed(stack, end if place is None else _place(place), (layer,), insert=True)


def move(stack: StackConfig, place: int | Place, to: int | Place) -> StackConfig:
    """The layer at `place` taken out and put back so that it is at `to`, which is within the same list of layers."""
    place, to = _place(place), _place(to)
    if place[:-1] != to[:-1]:
        raise ConfigError("A layer moves within its own list: copy it to move it into a residual block, or out of one.")
    layer = layer_at(stack, place)
    count = len(siblings(stack, place))
    if not 0 <= to[-1] < count:
        raise ConfigError(f"There is no row {to[-1] + 1} to move to; there are {count}.")
    return add(delete(stack, place), layer, to)


def duplicate(stack: StackConfig, place: int | Place) -> StackConfig:
    """With a copy of the layer at `place` right after it."""
    place = _place(place)
    return add(stack, layer_at(stack, place), (*place[:-1], place[-1] + 1))


def delete(stack: StackConfig, place: int | Place) -> StackConfig:
    """Without the layer at `place`."""
    return _changed(stack, _place(place), ())


def replace(stack: StackConfig, place: int | Place, layer: LayerConfig) -> StackConfig:
    """With `layer` instead of the one at `place`."""
    return _changed(stack, _place(place), (layer,))


def layer_at(stack: StackConfig, place: int | Place) -> LayerConfig:
    """The layer there. Raises ConfigError where there is none."""
    place = _place(place)
    beside = siblings(stack, place)
    if not 0 <= place[-1] < len(beside):
        raise ConfigError(f"There is no row {row_number(place)}.")
    return beside[place[-1]]


def places(stack: StackConfig) -> list[Place]:
    """Of all layers in order, each residual block before what is inside it."""
    found: list[Place] = []
    for row, layer in enumerate(stack.layers):
        found.append((row,))
        if isinstance(layer, ResidualConfig):
            found += [(row, inside) for inside in range(len(layer.layers))]
    return found


def row_number(place: Place) -> str:
    """As people count: "4", and "4.1" for the first layer inside a block."""
    return ".".join(str(position + 1) for position in place)


def with_fields(layer: ConfigT, **values: Any) -> ConfigT:
    """A copy of a layer with some fields replaced. Raises ConfigError for values that are not allowed."""
    try:
        return type(layer).model_validate(layer.model_dump() | values)
    except ValidationError as error:
        raise ConfigError(explain(error, type(layer))) from None


def _place(place: int | Place) -> Place:
    return (place,) if isinstance(place, int) else tuple(place)


def siblings(stack: StackConfig, place: Place) -> tuple[LayerConfig, ...]:
    """The list of layers that a place is in: the stack's own, or a block's. Raises ConfigError where there is no such list."""
    if len(place) == 1:
        return stack.layers
    block = stack.layers[place[0]] if len(place) == 2 and 0 <= place[0] < len(stack.layers) else None
    if not isinstance(block, ResidualConfig):
        raise ConfigError(f"There is no row {row_number(place)}.")
    return block.layers


def _changed(stack: StackConfig, place: Place, instead: Sequence[LayerConfig], insert: bool = False) -> StackConfig:
    """With `instead` in place of one layer, or with `insert` before it. Raises ConfigError."""
    beside, at = siblings(stack, place), place[-1]
    if not 0 <= at < len(beside) + insert:
        raise ConfigError(f"There is no row {row_number(place)}.")
    layers: tuple[LayerConfig, ...] = (*beside[:at], *instead, *beside[at + (not insert):])
    if len(place) == 2:
        above = stack.layers[place[0]]
        assert isinstance(above, ResidualConfig)  # siblings refuses all others
        block = _checked(ResidualConfig, layers=layers, skip=above.skip)
        layers = (*stack.layers[:place[0]], block, *stack.layers[place[0] + 1:])
    return _checked(StackConfig, layers=layers)


def _checked(kind: type[ConfigT], **values: Any) -> ConfigT:
    try:
        return kind(**values)
    except ValidationError as error:
        raise ConfigError(explain(error, kind)) from None


@dataclass(frozen=True)
class History:
    """The stacks that a person came by, to go back to and forth again."""

    now: StackConfig
    before: tuple[StackConfig, ...] = ()
    after: tuple[StackConfig, ...] = ()

    def then(self, stack: StackConfig) -> "History":
        """After one more change; what had been undone is forgotten. No change, no step."""
        return self if stack == self.now else History(stack, (*self.before, self.now)[-MOST_STEPS_BACK:])

    def undone(self) -> "History":
        """One step back; the same where there is none."""
        return History(self.before[-1], self.before[:-1], (self.now, *self.after)) if self.before else self

    def redone(self) -> "History":
        """One step forth again; the same where there is none."""
        return History(self.after[0], (*self.before, self.now), self.after[1:]) if self.after else self


def to_json(stack: StackConfig) -> str:
    """The composition as text to keep or to share; `from_json` reads it."""
    return stack.model_dump_json(indent=2)


def from_json(text: str | bytes) -> StackConfig:
    """A composition from its text. Raises ConfigError with one line for anything it can't be."""
    if len(text) > MOST_BYTES:
        raise ConfigError(f"This has {len(text):,} characters, and a composition at most {MOST_BYTES:,}: it is no composition.")
    try:
        return StackConfig.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(explain(error, StackConfig)) from None


def from_model_config(config: ModelConfig, input_shape: Shape, outputs: int) -> StackConfig:
    """The stack that computes the same as `config`'s network, layer for layer, for equal weights.

    Weights have the same names for softmax regression, MLP, CNN, LeNet-5 and the small residual network, so that a state_dict
    of one loads into the other; the same seed draws the same ones. The last linear layer gives as many numbers as are needed.

    Raises:
        ModelError: the network does not fit the input, or is not a plain sequence of layers that a stack can have.
    """
    if isinstance(config, StackConfig):
        return config
    spec = ARCHITECTURES[config.architecture]
    with torch.device("meta"):
        model = spec.build(config, input_shape, outputs)
    try:
        return from_modules(model)
    except ModelError as error:
        raise ModelError(f"{spec.title} can't be taken apart into rows: {error}") from None


def from_modules(model: nn.Module) -> StackConfig:
    """The stack of a plain nn.Sequential. Raises ModelError."""
    if not isinstance(model, nn.Sequential):
        raise ModelError(f"{type(model).__name__} is not a plain sequence of layers.")
    *rest, last = map(layer_of, model)
    if isinstance(last, LinearConfig):  # as wide as the question needs, as in the architecture itself
        last = with_fields(last, out_features=0)
    return _checked(StackConfig, layers=(*rest, last))
