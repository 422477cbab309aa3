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
        self.next_row: dict[str, int] = {}  # layer → how many of its calls have a box

    def draw(self) -> Diagram:
        open_layer, open_box = "", 0
        for number, operation in enumerate(self.flow.operations):
            layer = self._layer_of(operation)
            sources = list(dict.fromkeys(self.place[source] for source in operation.sources))
            if layer and layer == open_layer and open_box in sources:
                self.place[number] = open_box  # one more operation of the same call
                self._connect([source for source in sources if source != open_box], open_box)
                continue
            if not layer and operation.name in PASSED and len(sources) == 1:
                self.place[number] = sources[0]
                continue
            self.boxes.append(self._box(layer, operation))
            open_layer, open_box = layer, len(self.boxes) - 1
            self.place[number] = open_box
            self._connect(sources, open_box)
        return Diagram(self.boxes, self.arrows)

    def _layer_of(self, operation: Operation) -> str:
        """The row's name that the operation belongs to: its layer or the one around it that the table shows as one."""
        parts = operation.layer.split(".") if operation.layer else []
        names = {row.name for row in self.rows}
        for end in range(len(parts), 0, -1):
            if (name := ".".join(parts[:end])) in names:
                return name
        whole = len(self.rows) == 1 and not operation.layer  # the network is a single layer
        return self.rows[0].name if whole else ""

    def _box(self, layer: str, operation: Operation) -> Box:
        if not layer:
            return Box(f"{operation.name}()", "in forward", operation.output[1:], None)
        calls = [place for place, row in enumerate(self.rows) if row.name == layer]
        number = self.next_row.get(layer, 0)
        self.next_row[layer] = number + 1
        place = calls[min(number, len(calls) - 1)]
        row = self.rows[place]
        return Box(row.name, row.kind, row.output_shape, place)

    def _connect(self, sources: list[int], box: int) -> None:
        for source in sources:
            if source != box and (source, box) not in self.arrows:
                self.arrows.append((source, box))
