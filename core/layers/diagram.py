"""A network as boxes and arrows: its layers in order, the functions that forward calls, and which one feeds which."""

from dataclasses import dataclass

from core.layers.flow import INPUT, SHAPING, Flow, Operation
from core.layers.table import LayerRow
from core.layers.trace import Shape

PASSED = SHAPING | {"size", "shape", "property", "getitem", "dim", "numel", "len"}  # not worth a box of their own


@dataclass(frozen=True)
class Box:
    """One box. `row` is its place in the layer table, None for the input and for functions that forward calls itself."""

    title: str
    kind: str
    shape: Shape  # of what comes out, for one example
    row: int | None


@dataclass(frozen=True)
class Diagram:
    """Boxes in order of execution, the input first; arrows as pairs of places in `boxes`."""

    boxes: list[Box]
    arrows: list[tuple[int, int]]


def diagram(found: Flow, rows: list[LayerRow], input_shape: Shape) -> Diagram:
    """Boxes for the `rows` of describe_layers(model, input_shape), and for sums, concatenations and other functions between
    them, connected as in the same network's flow(model, input_shape)."""
    return _Drawing(found, rows, input_shape).draw()


class _Drawing:
    """Puts the operations of a flow into boxes."""

    def __init__(self, found: Flow, rows: list[LayerRow], input_shape: Shape) -> None:
        self.flow, self.rows = found, rows
        self.boxes = [Box("input", "", input_shape, None)]
        self.arrows: list[tuple[int, int]] = []
        self.place: dict[int, int] = {INPUT: 0}  # operation → box
        self.box_of: dict[int, int] = {}  # row → box

    def draw(self) -> Diagram:
        for number, operation in enumerate(self.flow.operations):
            row = self._row_of(operation)
            sources = list(dict.fromkeys(self.place[source] for source in operation.sources))
            if row is None and operation.name in PASSED and len(sources) == 1:
                self.place[number] = sources[0]
                continue
            box = None if row is None else self.box_of.get(row)  # one more operation of the same call
            if box is None:
                self.boxes.append(self._box(row, operation))
                box = len(self.boxes) - 1
                if row is not None:
                    self.box_of[row] = box
            self.place[number] = box
            self._connect(sources, box)
        return Diagram(self.boxes, self.arrows)

    def _row_of(self, operation: Operation) -> int | None:
        """The row that an operation belongs to: of the outermost call that has one, with which the table shows all inside."""
        for call in operation.calls:
            name = self.flow.calls[call]
            rows = [place for place, row in enumerate(self.rows) if row.name == name]
            if rows:  # as many calls as rows, in the same order
                return rows[min(self.flow.calls[:call].count(name), len(rows) - 1)]
        is_layer = len(self.flow.calls) == len(self.rows) == 1 and self.rows[0].input_shape  # the network itself
        return 0 if is_layer else None

    def _box(self, row: int | None, operation: Operation) -> Box:
        if row is None:
            return Box(f"{operation.name}()", "in forward", operation.output[1:], None)
        found = self.rows[row]
        return Box(found.name, found.kind, found.output_shape, row)

    def _connect(self, sources: list[int], box: int) -> None:
        for source in sources:
            if source != box and (source, box) not in self.arrows:
                self.arrows.append((source, box))
