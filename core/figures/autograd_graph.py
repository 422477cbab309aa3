"""The graph of the lab Autograd as a Graphviz description, which the browser lays out."""

from torch import Tensor

from core.figures.palette import ORANGE_TEXT, TRAIN, VALIDATION
from core.labs.autograd import Node, Pass

EDGES = (("x", "u"), ("w", "u"), ("u", "z"), ("b", "z"), ("z", "l"), ("y", "l"), ("l", "loss"))
TITLES = {"x": "x  input", "w": "w  weights", "b": "b  bias", "y": "y  target", "u": "u = x @ w", "z": "z = u + b",
          "l": "l = BCE(z, y)", "loss": "loss = mean(l)"}
KINDS = {"x": "#cfe3f1", "y": "#cfe3f1", "w": "#fbd9cb", "b": "#fbd9cb"}  # data, parameters; others are calculated
CALCULATED, OFF, LINE = "#e6e8ee", "#c9ccd3", "#80868f"


def graph_dot(passed: Pass, step: int, detach: str | None = None, dark: bool = False) -> str:
    """Dot source of the graph after `step` steps: values that are there, gradients that have arrived, where we are.

    Nodes keep their size from step to step, with room for what is still to come, so that the picture does not jump.
    dark: whether the page is.
    """
    done = passed.steps[:step]
    valued = {"x", "w", "b", "y"} | {each.node for each in done if not each.backward}
    arrived = {each.node: each.source for each in done if each.backward}
    here = done[-1].node if done else None
    lines = ["digraph {", 'bgcolor="transparent"; rankdir=LR; nodesep=0.2; ranksep=0.3;',
             'node [shape=box style="rounded,filled" fontname="monospace" fontsize=14 fontcolor="#1a1c20" penwidth=1 width=1.3];',
             f'edge [color="{LINE}" fontname="sans-serif" fontsize=11 fontcolor="{ORANGE_TEXT[dark]}"];']
    lines += [_node(node, name in valued, name in arrived, name == here, any(each.node == name for each in passed.steps
                                                                             if each.backward))
              for name, node in passed.nodes.items()]
    for source, target in EDGES:
        forward = target in valued
        cut = source == detach
        style = ("dotted" if cut else "solid") if forward else "dashed"
        label = ' label="  detach" ' if cut else ""
        lines.append(f'{source} -> {target} [style={style} '
                     f'penwidth={2 if target == here and not _going_back(passed, step) else 1}'
                     f'{label}];')
    for node, source in arrived.items():
        if source is not None:
            lines.append(f'{source} -> {node} [color="{TRAIN}" penwidth={3 if node == here else 1.5} constraint=false];')
    return "\n".join([*lines, "}"])


def _going_back(passed: Pass, step: int) -> bool:
    return step > 0 and passed.steps[step - 1].backward


def _node(node: Node, valued: bool, arrived: bool, here: bool, gets_gradient: bool) -> str:
    blank = [" "] * len(_rows(node.value))
    lines = [TITLES[node.name], *(_rows(node.value) if valued else blank)]
    if gets_gradient:
        lines += ["gradient", *_rows(node.gradient)] if arrived and node.gradient is not None else [" ", *blank]
    off = not node.requires_grad and node.name not in {"x", "y"}
    if off:
        lines[0] += "  (no grad)"
    border = TRAIN if here else VALIDATION if node.requires_grad else LINE
    look = f'fillcolor="{OFF}" style="rounded,filled,dashed"' if off else f'fillcolor="{KINDS.get(node.name, CALCULATED)}"'
    text = "\\n".join(lines)
    return f'{node.name} [label="{text}" {look} color="{border}" penwidth={3 if here else 1}];'


def _rows(value: Tensor) -> list[str]:
    rows = [[value.item()]] if value.dim() == 0 else value.tolist() if value.dim() == 2 else [value.tolist()]
    return ["  ".join(f"{number:6.3g}" for number in row) for row in rows]
