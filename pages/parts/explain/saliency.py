"""Why?, Which pixels matter: four ways to ask, side by side, each with what it can't tell."""

from dataclasses import dataclass

import streamlit as st
from torch import Tensor

from core.figures.attribution import overlay
from core.inspection.activations.windows import number
from core.inspection.explain.attribution import (
    STEPS,
    Attribution,
    GradCam,
    IntegratedGradients,
    Occlusion,
    conv_layers,
    grad_cam,
    integrated_gradients,
    occlusion,
    saliency,
    usual_layer,
)
from core.runs import TrainedModel
from core.wording import chance
from pages.parts.explain.asked import Asked
from pages.parts.shell.markdown import as_text

CARD = 192  # pixels: four fit side by side
PLAIN = {0.0: "black", 0.5: "grey", 1.0: "white"}


@dataclass(frozen=True)
class Settings:
    """What the methods are told. layer: of Grad-CAM, None where the network has no convolution."""

    plain: float
    steps: int
    patch: int
    stride: int
    layer: str | None


def maps_section(model: TrainedModel, image: Tensor, probabilities: list[float], key: str, ask: Asked) -> None:
    """A class, settings, and a card for each method."""
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    titles = [f"{name} · {chance(share)}" for name, share in zip(model.classes, probabilities, strict=True)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox("Explain the score of", order, key=f"{key}.label.{ask.stamp}", width=280,
                             format_func=titles.__getitem__,  # not the model: a session keeps what its widgets are given
                             help="The score is what the network says before softmax or sigmoid: high for a likely class. Ask "
                                  "about another class to see what would speak for it.")
        chosen = _settings(image, key, ask)
    name = as_text(model.classes[label])
    st.markdown(f":red[**Red**] speaks for {name}, :blue[**blue**] against it, :violet[**purple**] matters either way. Each "
                "picture has a scale of its own.")
    with st.container(horizontal=True, gap="medium"):
        for draw in (_saliency, _integrated, _grad_cam, _occlusion):
            with st.container(width=CARD):
                draw(image, label, chosen, ask, key)
    st.caption("These maps show where, not why, and they need not agree: each answers a question of its own. That a map looks "
               "reasonable does not prove that the network is right, or right for a good reason.")


def _settings(image: Tensor, key: str, ask: Asked) -> Settings:
    """With bounds that always make sense together."""
    side = min(image.shape[1:])
    layers = ask.result(lambda: conv_layers(ask.scores(), tuple(image.shape)), "layers")
    with st.popover("Settings", icon=":material/tune:"):
        plain = st.segmented_control("Compare with", list(PLAIN), default=0.0, format_func=PLAIN.__getitem__, required=True,
                                     key=f"{key}.plain", persist_state="session",
                                     help="What integrated gradients start from, and what occlusion covers with.")
        steps = st.number_input("Steps of integrated gradients", 8, 256, STEPS, 8, key=f"{key}.steps", persist_state="session")
        patch = st.number_input("Patch (pixels)", 1, side, max(1, side // 7), key=f"{key}.patch.{side}", persist_state="session",
                                help="Side of the square that occlusion covers.")
        stride = st.number_input("Stride (pixels)", 1, side, max(1, side // 14), key=f"{key}.stride.{side}",
                                 persist_state="session", help="From one patch to the next, at most the patch itself.")
        layer = None
        if layers:
            known = {found.name: found.shape for found in layers}
            layer = st.selectbox("Layer for Grad-CAM", list(known), list(known).index(usual_layer(layers).name),
                                 key=f"{key}.layer.{abs(hash(tuple(known)))}",
                                 format_func=lambda name: f"{name} · " + "×".join(map(str, known[name])))
    return Settings(float(plain), int(steps), int(patch), min(int(stride), int(patch)), layer)


def _card(title: str, image: Tensor, found: Attribution, says: str, cannot: str, strength: bool = False) -> None:
    st.image(overlay(image, found.map, strength), output_format="PNG", alt=f"{title}: {says}")
    st.markdown(f"**{title}**  \n{says}")
    st.caption(f"Can't tell: {cannot}")


def _saliency(image: Tensor, label: int, chosen: Settings, ask: Asked, key: str) -> None:
    found = ask.result(lambda: saliency(ask.scores(), image, label), "saliency", label)
    largest = number(float(found.map.max()))
    _card("Saliency", image, found, "Where a tiny change of a pixel would move the score most: the size of the gradient, at most "
          f"{largest} for each unit of brightness.",
          "for or against, and what a large change would do. It is noisy by nature.", strength=True)


def _integrated(image: Tensor, label: int, chosen: Settings, ask: Asked, key: str) -> None:
    found: IntegratedGradients = ask.result(
        lambda: integrated_gradients(ask.scores(), image, label, chosen.steps, chosen.plain), "integrated", label, chosen.steps,
        chosen.plain)
    plain = PLAIN[chosen.plain]
    _card("Integrated gradients", image, found,
          f"Shares out the score among the pixels. It is {number(found.score)}, and {number(found.baseline_score)} for a {plain} "
          f"image; the shares should add up to the difference and are off by {number(abs(found.error))}.",
          f"what {plain} pixels do: they get no share, even where it matters that they are {plain}.")


def _grad_cam(image: Tensor, label: int, chosen: Settings, ask: Asked, key: str) -> None:
    if chosen.layer is None:
        st.markdown("**Grad-CAM**")
        st.info("This network has no convolution with maps, so Grad-CAM has nothing to look at. A CNN has.",
                icon=":material/grid_off:")
        return
    found: GradCam = ask.result(lambda: grad_cam(ask.scores(), image, label, chosen.layer), "grad_cam", label, chosen.layer)
    size = " × ".join(map(str, found.maps.shape))
    nothing = " It is empty here: on balance these maps speak for other classes." * (not bool(found.maps.any()))
    _card("Grad-CAM", image, found, f"In which regions the maps of {as_text(found.layer)} found something for this class."
          + nothing, f"which pixels exactly, since its {size} maps are enlarged; and what speaks against.")


def _occlusion(image: Tensor, label: int, chosen: Settings, ask: Asked, key: str) -> None:
    what = ("occlusion", label, chosen.patch, chosen.stride, chosen.plain)
    if not ask.after_click("Cover it patch by patch", f"{key}.occlude", *what):
        return
    found: Occlusion = ask.result(
        lambda: occlusion(ask.scores(), image, label, chosen.patch, chosen.stride, chosen.plain), *what)
    low, high = float(found.map.min()), float(found.map.max())
    falls = f"It falls by up to {number(high)}" if high > 0 else "It never falls"
    rises = f" and rises by up to {number(-low)}." if low < 0 else " and never rises."
    _card("Occlusion", image, found, f"Covers {found.patch} × {found.patch} pixels in {PLAIN[chosen.plain]}, at {found.asked:,} "
          f"places, and watches the score. {falls}{rises}",
          "whether two places stand in for each other. Covered images are also unlike any it has learned from.")
