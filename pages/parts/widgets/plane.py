"""The picture of the 2-D lab: a small component of our own, which plays the pictures of a run by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core.config import RunConfig
from core.data import FEATURES, Dataset
from core.data.sources.generated import Generated
from core.figures.plane import as_text, message, points_as_bytes
from core.labs.decision_boundary import input_maps
from core.models import MLPConfig
from core.runs import Look
from core.training.by_hand import LARGEST_WEIGHT
from core.training.plane import EXTENT, SIDE, UNIT_SIDE

HTML = """<div class="plane"><div class="both"><div class="left"><canvas class="net" role="img" aria-label="The network"></canvas>
<input class="weight" type="number" step="any" hidden><div class="caption"></div>
<canvas class="losses" role="img" aria-label="Both losses"></canvas></div><div class="out"><div class="now"></div>
<canvas class="big" role="img" aria-label="The plane"></canvas><div class="time" hidden><button class="replay">Play</button>
<input class="slider" type="range" min="0" step="1" aria-label="How it learned"></div>
<div class="legend"></div></div></div></div>"""
CSS = """.plane { container-type: inline-size; color: var(--st-text-color); font: 0.8125rem var(--st-font, sans-serif); }
.both { display: flex; gap: 12px 20px; align-items: flex-start; }
.left { flex: 1 1 0; min-width: 0; position: relative; }
.weight { position: absolute; width: 96px; height: 34px; box-sizing: border-box; padding: 0 6px; font: inherit; color: inherit;
  font-size: 1rem; background: var(--st-background-color); border: 2px solid var(--st-primary-color);
  border-radius: var(--st-base-radius, 8px); }
.weight[hidden] { display: none; }
.weight[aria-invalid="true"] { border-color: var(--st-red-color, #c92a2a); outline-color: var(--st-red-color, #c92a2a); }
.caption[role="alert"] { font-weight: 600; }
.net { width: 100%; display: block; touch-action: pan-y; }
.losses { width: 100%; display: block; }
.out { flex: 0 0 clamp(300px, 50%, max(450px, 100dvh - 430px)); min-width: 0; }
.big { width: 100%; aspect-ratio: 1; display: block; border-radius: 4px; }
.now { min-height: 1.375rem; font-variant-numeric: tabular-nums; }
.time { display: flex; gap: 8px; align-items: center; margin-top: 6px; }
.time[hidden] { display: flex; visibility: hidden; } /* its place is kept */
.slider { flex: 1; min-width: 0; min-height: 1.75rem; accent-color: var(--st-primary-color); }
.replay { min-width: 3.75rem; height: 1.875rem; border: 1px solid var(--st-border-color, #b0b4bb); background: transparent;
  color: inherit; border-radius: var(--st-button-radius, 8px); font: inherit; cursor: pointer; }
.replay:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
.replay:focus-visible, .slider:focus-visible { outline: 2px solid var(--st-primary-color); }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 6px; margin-top: 4px; min-height: 1.25rem; }
.swatch { width: 0.625rem; height: 0.625rem; border-radius: 50%; box-sizing: border-box; margin-left: 6px; }
.swatch:first-child { margin-left: 0; }
.caption { margin-top: 4px; min-height: 2.5rem; }
@container (max-width: 640px) { .both { flex-direction: column-reverse; align-items: stretch; }
  .left, .out { flex: none; } .now { min-height: 2.5rem; } }
@media (pointer: coarse) { .replay, .slider { height: 40px; } }"""
_component = st.components.v2.component("torch_playground.plane", html=HTML, css=CSS,
                                        js=(Path(__file__).parent / "plane.js").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Shown:
    """How it is drawn, and what can be done with it.

    discrete: two colours only. validation: whether these points are drawn too. adding: whether clicks on the plane add points.
    editing: whether a click on a link opens a field for its weight.
    """

    discrete: bool = False
    validation: bool = False
    adding: bool = False
    editing: bool = False


def content(config: RunConfig, data: Dataset, points: Generated, bound: float, shown: Shown) -> dict[str, Any]:
    """What is the same for all pictures of a network. bound: for a number to predict, which answer has the full colour."""
    assert isinstance(config.model, MLPConfig)
    number, hidden = data.target == "number", config.model.hidden
    names = [FEATURES[name].title for name in config.data.features]
    low, high = (f"{-bound:.3g}", f"{bound:.3g}") if number else data.classes
    layers = [f"{units} units" if units > 1 else "1 unit" for units in hidden]
    what = "What the network says at every point"
    pointing = "Point at a unit or a line to see it" + ("; click a line to set its weight." if shown.editing else ".")
    return {
        "sizes": [len(names), *hidden, 1], "side": SIDE, "unitSide": UNIT_SIDE, "names": names, "titles": ["inputs", *layers],
        "inputs": [as_text(values) for values in input_maps(config.data.features)],
        "train": points_as_bytes(*points.train, EXTENT, bound, number),
        "validation": points_as_bytes(*points.validation, EXTENT, bound, number),
        "extent": int(EXTENT), "low": low, "high": high, "discrete": shown.discrete, "showValidation": shown.validation,
        "adding": shown.adding, "editing": shown.editing, "largest": LARGEST_WEIGHT,
        "rest": f"{what}{' (click to add a training point)' if shown.adding else ''}. {pointing}",
        "alt": {"network": f"Network with {len(names)} inputs and {', '.join(layers) or 'no hidden layer'}; each unit as a map.",
                "answer": f"{what}, from {low} (orange) to {high} (blue), with the points it learns from."},
    }


@dataclass(frozen=True)
class Link:
    """A link and the weight that it is to have: to which unit of which linear layer (from 0), from which unit or input before."""

    layer: int
    to: int
    start: int
    weight: float


def wanted(key: str) -> Link | None:
    """What a person has just asked for in the field at a link, for show()'s `on_weight`; None for a message made by hand that
    says nothing of the kind."""
    match getattr(st.session_state.get(key), "weight", None):
        case [int() as layer, int() as to, int() as start, (int() | float()) as weight]:
            return Link(layer, to, start, weight)
    return None


def show(about: dict[str, Any], pictures: Sequence[Look], run: str, *, going: bool, whole: bool, key: str, changes: int = 0,
         on_weight: Callable[[], None] = lambda: None) -> tuple[float, float] | None:
    """Draw it. Returns where on the map a person has just clicked, (x₁, x₂).

    about: see content(). pictures: what a PlaneWatcher saw; of a run that goes those since the last call, else (`whole`) all
    there are. run: what names it; another one's pictures are forgotten. changes: how many were made by hand
        until then; where there are more than last time, a picture of the same step takes the place of that one.
    on_weight: called when a person has given a link another weight, where about says `editing`; wanted() says which one.
    """
    sent = message(about | {"run": run, "going": going, "whole": whole, "changes": changes}, pictures)
    clicked = _component(data=sent, key=key, on_clicked_change=lambda: None, on_weight_change=on_weight).clicked
    match clicked:
        case [int() | float() as x1, int() | float() as x2]:
            return float(x1), float(x2)
    return None
