"""The picture of the 2-D lab: a small component of our own, because a chart is drawn anew with each update and this is not."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.data import FEATURES, Dataset
from core.data.sources.generated import Generated
from core.figures.plane import as_bytes, points_as_bytes, rounded
from core.labs.decision_boundary import EXTENT, Maps
from core.runs import TrainedModel

HTML = """<div class="plane"><canvas class="net" role="img"></canvas>
<div class="out"><canvas class="big" role="img"></canvas><div class="legend"></div><div class="caption"></div></div></div>"""
CSS = """.plane { display: flex; flex-wrap: wrap; gap: 12px 20px; align-items: flex-start; color: var(--st-text-color);
  font: 13px var(--st-font, sans-serif); }
.net { flex: 1 1 240px; min-width: 0; width: 100%; touch-action: pan-y; }
.out { flex: 0 1 44%; min-width: 230px; }
.big { width: 100%; aspect-ratio: 1; display: block; border-radius: 4px; }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 6px; margin-top: 6px; min-height: 20px; }
.swatch { width: 10px; height: 10px; border-radius: 50%; box-sizing: border-box; margin-left: 6px; }
.swatch:first-child { margin-left: 0; }
.caption { margin-top: 2px; min-height: 36px; opacity: 0.8; }
@media (max-width: 700px) { .net, .out { flex: 1 1 100%; } }"""
_component = st.components.v2.component("torch_playground.plane", html=HTML, css=CSS,
                                        js=(Path(__file__).parent / "plane.js").read_text(encoding="utf-8"))


def message(maps: Maps, trained: TrainedModel, data: Dataset, points: Generated, *, discrete: bool, validation: bool,
            adding: bool) -> dict[str, Any]:
    """All that the browser needs for one picture; at most 100 kB for the largest network of the lab."""
    number = data.target == "number"
    names = [FEATURES[name].title for name in trained.config.data.features]
    low, high = (f"{-maps.bound:.3g}", f"{maps.bound:.3g}") if number else data.classes
    layers = [f"{len(layer)} units" if len(layer) > 1 else "1 unit" for layer in maps.units[1:]]
    what = "What the network says at every point"
    return {
        "answer": as_bytes(maps.answer), "units": [[as_bytes(unit) for unit in layer] for layer in maps.units],
        "largest": [rounded(layer) for layer in maps.largest], "weights": [rounded(layer) for layer in maps.weights],
        "biases": [rounded(layer) for layer in maps.biases], "names": names, "titles": ["inputs", *layers],
        "train": points_as_bytes(*points.train, EXTENT, maps.bound, number),
        "validation": points_as_bytes(*points.validation, EXTENT, maps.bound, number),
        "extent": int(EXTENT), "low": low, "high": high, "discrete": discrete, "showValidation": validation, "adding": adding,
        "rest": f"{what}{' (click to add a training point)' if adding else ''}. Point at a unit or a line to see it.",
        "alt": {"network": f"Network with {len(names)} inputs and {', '.join(layers) or 'no hidden layer'}; each unit as a map.",
                "answer": f"{what}, from {low} (orange) to {high} (blue), with the points it learns from."},
    }


def show(content: dict[str, Any], key: str) -> tuple[float, float] | None:
    """Draw it. Returns where on the map a person has just clicked, (x₁, x₂)."""
    clicked = _component(data=content, key=key, on_clicked_change=lambda: None).clicked
    match clicked:
        case [int() | float() as x1, int() | float() as x2]:
            return float(x1), float(x2)
    return None
