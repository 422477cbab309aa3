"""The diagram has the table's layers in order, and an arrow wherever one feeds another."""

import json

import pytest
import torch
from torch import nn

from core.figures.diagram import BOX_WIDTH, STEP, diagram_chart, diagram_height
from core.inspection import describe_layers
from core.layers.diagram import Diagram, diagram
from core.layers.flow import flow
from core.models import ARCHITECTURES, CNNConfig, build
from tests.random_stacks import random_stack
from tests.shared_networks import random_shared


def drawn(model: nn.Module, shape=(1, 28, 28)) -> tuple[Diagram, list]:
    rows = describe_layers(model, shape)
    return diagram(flow(model, shape), rows, shape), rows


def names(drawing: Diagram) -> list[tuple[str, str]]:
    return [(drawing.boxes[a].title, drawing.boxes[b].title) for a, b in drawing.arrows]


def test_a_chain():
    drawing, rows = drawn(build(CNNConfig(channels=(4,), fc_width=8), (1, 28, 28), 10))
    titles = [box.title for box in drawing.boxes]
    assert titles == ["input", *(row.name for row in rows)]
    assert names(drawing) == list(zip(titles, titles[1:], strict=False))
    assert [box.row for box in drawing.boxes] == [None, *range(len(rows))]
    assert [box.shape for box in drawing.boxes[1:]] == [row.output_shape for row in rows]


class Notes(nn.Module):
    """As the classic notes write it: functions in forward, a skip, and one layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2 = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 64, 16), nn.Linear(16, 16)

    def forward(self, x):
        x = torch.relu(self.conv(x)).view(x.size(0), -1)
        x = self.fc1(x)
        return torch.cat([x + self.fc2(torch.relu(self.fc2(x))), x], dim=1)


def test_functions_and_skips():
    drawing, rows = drawn(Notes(), (1, 8, 8))
    assert [box.title for box in drawing.boxes] == ["input", "conv", "relu()", "fc1", "fc2", "relu()", "fc2", "add()", "cat()"]
    assert [box.row for box in drawing.boxes] == [None, 0, None, 1, 2, None, 3, None, None]
    assert drawing.arrows == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (3, 7), (6, 7), (7, 8), (3, 8)]
    assert rows[3].note == "shared" or "shared" in rows[3].note


def test_a_network_that_is_one_layer():
    drawing, _ = drawn(nn.Linear(5, 2), (5,))
    assert names(drawing) == [("input", "Linear")] and drawing.boxes[1].row == 0


FOR_IMAGES = [name for name, entry in ARCHITECTURES.items() if "images" in entry.takes and name != "stack"]


@pytest.mark.parametrize("name", FOR_IMAGES)
def test_every_architecture_is_one_piece(name):
    model = build(ARCHITECTURES[name].config(), (3, 32, 32), 10)
    whole(*drawn(model, (3, 32, 32)))


@pytest.mark.parametrize("seed", range(25))
def test_random_compositions_are_one_piece(seed):
    config, shape, outputs = random_stack(seed)
    whole(*drawn(build(config, shape, outputs), shape))


@pytest.mark.parametrize("seed", range(10))
def test_networks_that_share_are_one_piece(seed):
    plan, shape = random_shared(seed)
    whole(*drawn(plan.build(), shape))


class Again(nn.Module):
    """One layer three times in a row, the last time by calling itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, x, last=False):
        return self.fc(x) if last else self(self.fc(self.fc(x)), True)


def test_each_call_is_a_box_also_where_nothing_is_between():
    drawing, _ = drawn(Again(), (5,))
    assert [(box.title, box.row) for box in drawing.boxes] == [("input", None), ("fc", 0), ("fc", 1), ("fc", 2)]
    assert drawing.arrows == [(0, 1), (1, 2), (2, 3)]


def test_a_function_is_no_part_of_the_only_layer():
    class One(Again):
        def forward(self, x):
            return torch.relu(self.fc(x))

    drawing, _ = drawn(One(), (5,))
    assert names(drawing) == [("input", "fc"), ("fc", "relu()")]


def whole(drawing: Diagram, rows: list) -> None:
    """Each executed row has its box, arrows go forward, everything is reached from the input and leads to the end."""
    computing = [place for place, row in enumerate(rows) if row.kind != "Identity"]  # hands on what it got: no box
    assert [box.row for box in drawing.boxes if box.row is not None] == computing
    assert all(start < end for start, end in drawing.arrows)
    reached, leads = {0}, {len(drawing.boxes) - 1}
    for start, end in drawing.arrows:
        reached |= {end} if start in reached else set()
    for start, end in sorted(drawing.arrows, key=lambda arrow: -arrow[1]):
        leads |= {start} if end in leads else set()
    assert reached == leads == set(range(len(drawing.boxes)))


def test_the_chart():
    drawing, _ = drawn(Notes(), (1, 8, 8))
    chart = diagram_chart(drawing, chosen=3)
    json.dumps(chart)
    series, lines = chart["series"]
    assert [node["value"] for node in series["data"]] == [[0, place] for place in range(9)]
    assert [node["itemStyle"]["borderWidth"] > 0 for node in series["data"]] == [place == 3 for place in range(9)]
    assert series["data"][1]["label"]["formatter"] == "conv · Conv2d\n4×8×8"
    ends = [(round(a[1]), round(b[1])) for a, b in (line["coords"] for line in lines["data"])]
    assert ends == drawing.arrows
    skip, step = lines["data"][ends.index((3, 7))], lines["data"][ends.index((3, 4))]
    length = STEP * (skip["coords"][1][1] - skip["coords"][0][1])
    assert skip["lineStyle"]["curveness"] * length / 2 > BOX_WIDTH / 2, "it passes the boxes it skips"
    assert step["lineStyle"]["curveness"] == 0 and step["coords"][0][1] < step["coords"][1][1], "it lies between two boxes"
    assert diagram_height(drawing) > 9 * 40
