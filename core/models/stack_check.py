"""What every row of a stack receives and returns, which rows are wrong, and the edit that mends each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from core.models.base import ModelError, Shape
from core.models.layers import (
    AvgPool2dConfig,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    FlattenConfig,
    LayerConfig,
    LinearConfig,
    MaxPool2dConfig,
    PlainLayerConfig,
    ResidualConfig,
)
from core.models.stack import (
    PICTURE_LAYERS,
    WINDOWS,
    LayerMisfit,
    StackConfig,
    check_skip,
    misfit,
    named,
    probe,
    size,
    title,
)
from core.models.stack_edits import Edit, Place, apply, places, with_fields
from core.wording import size_of_bytes

HUGE = 50_000_000  # parameters of one layer: 200 MB of float32, and Adam keeps four times as much
WIDE = 16_000_000  # numbers that a layer returns for one image: 4 GB for a batch of 64
FALLBACK_UNITS = 128
FALLBACK_FILTERS = 32


@dataclass(frozen=True)
class RowCheck:
    """One row of a stack. Shapes are of one example, without batch.

    After a wrong row the check goes on as if its fix had been made, so that each row tells of its own mistake alone.
    """

    place: Place  # (3,), or (3, 0) inside the residual block at 3
    name: str  # in the network: "conv1"
    title: str  # "Conv2d"
    input_shape: Shape  # what it received
    output_shape: Shape | None  # None where it is wrong
    parameters: int
    problem: str = ""  # "received 64×7×7 and needs one row of numbers, as Flatten makes it"
    needs: str = ""  # of it, what it needs
    fix: Edit | None = None  # mends it; every problem has one
    unfinished: bool = False  # nothing is wrong with the row: there must come more after it
    warning: str = ""  # right, but huge


def check(stack: StackConfig, input_shape: Shape, outputs: int) -> list[RowCheck]:
    """All rows in order, each residual block before what is inside it; without problems exactly if `build` takes the stack.

    Nothing is computed or allocated, whatever sizes are asked for.

    Args:
        input_shape: of one example, (C, H, W).
        outputs: how many numbers must come out.
    """
    walk = _Walk(outputs)
    last = walk.through(stack.layers, tuple(input_shape), ())
    rows = [walk.rows[place] for place in places(stack)]
    if not stack.layers:
        layers = ending(input_shape, outputs)
        return [RowCheck((0,), "", "", tuple(input_shape), None, 0, "There are no layers yet", needs=_list(layers),
                         fix=Edit(f"Add {_list(layers)}", "add", (0,), layers), unfinished=True)]
    if last != (outputs,):
        _mark_output(stack, rows, last, outputs)
    return rows


def problems(rows: Sequence[RowCheck]) -> list[RowCheck]:
    """The rows that are wrong."""
    return [row for row in rows if row.problem]


class _Walk:
    """Goes through the layers with a shape in hand."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self.rows: dict[Place, RowCheck] = {}

    def through(self, layers: Sequence[LayerConfig], shape: Shape, above: Place) -> Shape:
        """Notes a row for each layer; the shape at the end, as if all were fixed."""
        received: list[Shape] = []
        for position, (name, layer) in enumerate(zip(named(layers), layers, strict=True)):
            place = (*above, position)
            received.append(shape)
            row = RowCheck(place, name, title(layer), shape, None, 0)
            if isinstance(layer, ResidualConfig):
                row, shape = self.block(row, layer)
            elif problem := misfit(layer, shape):
                fix = fix_of(layer, problem, place, layers[:position])
                row = replace(row, problem=f"received {size(shape)} and needs {problem.needs}", needs=problem.needs, fix=fix)
                shape = self.after(fix, layer, shape)
            else:
                row, shape = self.plain(row, layer)
            self.rows[place] = row
        return shape

    def plain(self, row: RowCheck, layer: PlainLayerConfig) -> tuple[RowCheck, Shape]:
        """A layer that fits, unless it is too large to count."""
        try:
            tried = probe(layer, row.input_shape, self.outputs)
        except ModelError as error:
            fix = _smaller(layer, row.place)
            return replace(row, problem=str(error), needs="fewer numbers", fix=fix), self.after(fix, layer, row.input_shape)
        warning = huge(tried.parameters, tried.returned)
        return replace(row, output_shape=tried.returned, parameters=tried.parameters, warning=warning), tried.returned

    def block(self, row: RowCheck, layer: ResidualConfig) -> tuple[RowCheck, Shape]:
        """A residual block: what is inside, then whether the two ways can be added."""
        returned = self.through(layer.layers, row.input_shape, row.place)
        inside = [self.rows[(*row.place, i)] for i in range(len(layer.layers))]
        count = sum(inner.parameters for inner in inside)
        if problems(inside):  # first things first
            return replace(row, parameters=count), returned
        try:
            count += check_skip(layer, row.input_shape, returned)
        except ModelError as error:
            fix = self.mend_block(layer, row)
            block = next(iter(fix.layers), None)
            mended_shape = self.inner_shape(block, row.input_shape) if isinstance(block, ResidualConfig) else returned
            return replace(row, parameters=count, problem=str(error), needs="two ways that end in the same shape", fix=fix), \
                mended_shape
        return replace(row, output_shape=returned, parameters=count), returned

    def inner_shape(self, layer: ResidualConfig, shape: Shape) -> Shape:
        """What comes out of a block's layers, all of which fit."""
        for inner in layer.layers:
            shape = probe(inner, shape, self.outputs).returned
        return shape

    def mend_block(self, layer: ResidualConfig, row: RowCheck) -> Edit:
        """A projection where that is enough, else padding that keeps sizes as well, else no block."""
        kept = tuple(_padded(inner) if isinstance(inner, Conv2dConfig) and inner.kernel % 2 else inner for inner in layer.layers)
        for label, changes in (("Make the skip a projection", {"skip": "projection"}),
                               ("Pad so that sizes stay", {"layers": kept}),
                               ("Pad so that sizes stay, with a projection", {"layers": kept, "skip": "projection"})):
            candidate = with_fields(layer, **changes)
            try:
                check_skip(candidate, row.input_shape, self.inner_shape(candidate, row.input_shape))
            except ModelError:
                continue
            return Edit(label, "replace", row.place, (candidate,))
        return Edit("Take the layers out of the block", "unwrap", row.place)

    def after(self, fix: Edit, layer: PlainLayerConfig, shape: Shape) -> Shape:
        """What comes out once a plain layer is fixed."""
        if fix.action == "add":  # Flatten before it
            return self.after_mended(layer, (prod(shape),))
        if fix.action == "replace" and not isinstance(fix.layers[0], ResidualConfig):
            return self.after_mended(fix.layers[0], shape)
        return shape

    def after_mended(self, layer: PlainLayerConfig, shape: Shape) -> Shape:
        try:
            return probe(layer, shape, self.outputs).returned
        except ModelError:  # still too large
            return shape


def fix_of(layer: PlainLayerConfig, problem: LayerMisfit, place: Place, before: Sequence[LayerConfig]) -> Edit:
    """The edit for a layer that can't take what it receives.

    Args:
        before: the layers before it in the same list.
    """
    match problem.code:
        case "row" if isinstance(layer, BatchNorm1dConfig):
            return Edit("Make it BatchNorm2d", "replace", place, (BatchNorm2dConfig(),))
        case "row":
            return Edit("Put Flatten before it", "add", place, (FlattenConfig(),))
        case "picture" if isinstance(layer, BatchNorm2dConfig):
            return Edit("Make it BatchNorm1d", "replace", place, (BatchNorm1dConfig(),))
        case "picture":
            flattened = next((i for i, other in enumerate(before) if isinstance(other, FlattenConfig)), None)
            if flattened is None:
                return Edit("Remove it", "delete", place)
            return Edit("Move it before Flatten", "move", place, to=(*place[:-1], flattened))
        case "window" if not isinstance(layer, Conv2dConfig):
            return Edit("Remove it", "delete", place)
    assert isinstance(layer, WINDOWS)  # no other lacks pixels around it or has too many
    return Edit(f"Set its padding to {layer.kernel // 2}", "replace", place, (_padded(layer),))


def _padded(layer: Conv2dConfig | MaxPool2dConfig | AvgPool2dConfig) -> PlainLayerConfig:
    """With half of the window on each side, which leaves something of any picture."""
    return with_fields(layer, padding=layer.kernel // 2)


def _smaller(layer: PlainLayerConfig, place: Place) -> Edit:
    """For a layer whose numbers PyTorch can't count."""
    if isinstance(layer, LinearConfig):
        return Edit(f"Set its units to {FALLBACK_UNITS}", "replace", place, (with_fields(layer, out_features=FALLBACK_UNITS),))
    if isinstance(layer, Conv2dConfig):
        smaller = with_fields(layer, out_channels=FALLBACK_FILTERS)
        return Edit(f"Set its filters to {FALLBACK_FILTERS}", "replace", place, (smaller,))
    return Edit("Remove it", "delete", place)


def _mark_output(stack: StackConfig, rows: list[RowCheck], returned: Shape, outputs: int) -> None:
    """Tell the row that decides how many numbers come out, unless it has a problem of its own."""
    at = len(stack.layers) - 1
    while at >= 0 and len(returned) == 1 and not isinstance(stack.layers[at], LinearConfig):
        if isinstance(stack.layers[at], (ResidualConfig, FlattenConfig, *PICTURE_LAYERS)):
            at = -1
            break
        at -= 1  # activations, dropout and batch norm keep the width
    decides = len(returned) == 1 and at >= 0
    place = (at,) if decides else (len(stack.layers) - 1,)
    index = next(index for index, row in enumerate(rows) if row.place == place)
    if rows[index].problem:
        return
    if decides:
        fix = Edit(f"Set its units to {outputs}", "replace", place, (with_fields(stack.layers[at], out_features=outputs),))
    else:
        layers = ending(returned, outputs)
        fix = Edit(f"Add {_list(layers)}", "add", (len(stack.layers),), layers)
    needs = f"{outputs} number{'s, one for each class' if outputs > 1 else ', yes or no'}"
    problem = f"returns {size(returned)} at the end, and the question needs {needs}"
    rows[index] = replace(rows[index], problem=problem, needs=needs, fix=fix, unfinished=not decides)


def ending(shape: Shape, outputs: int) -> tuple[LayerConfig, ...]:
    """The layers that bring any shape to as many numbers as are needed."""
    last = LinearConfig(out_features=outputs)
    return (last,) if len(shape) == 1 else (FlattenConfig(), last)


def _list(layers: Sequence[LayerConfig]) -> str:
    return " and ".join(f"{title(layer)} {layer.out_features}" if isinstance(layer, LinearConfig) else title(layer)
                        for layer in layers)


def huge(parameters: int, returned: Shape) -> str:
    """What to know of a layer with very many parameters or results (for one example); "" for all others."""
    if parameters > HUGE:
        return (f"{parameters:,} parameters: {size_of_bytes(parameters * 4)} of weights, and training with Adam needs four "
                "times as much.")
    if prod(returned) > WIDE:
        memory = size_of_bytes(prod(returned) * 4)
        return f"returns {prod(returned):,} numbers for each image: {memory} with every one in a batch."
    return ""


def fixed(stack: StackConfig, input_shape: Shape, outputs: int, most: int = 1000) -> Iterator[StackConfig]:
    """The stacks on the way to one without problems, by making the first row's fix again and again."""
    for _ in range(most):
        wrong = problems(check(stack, input_shape, outputs))
        if not wrong or wrong[0].fix is None:
            return
        stack = apply(stack, wrong[0].fix)
        yield stack
