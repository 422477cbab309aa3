"""Draw a digit: what becomes of the drawing on its way to the network, and what each stage is good for."""

import streamlit as st
import torch

from core.data import normalize
from core.data.drawing import Drawing
from core.data.stages import variants
from core.figures.images import as_picture, ink_picture
from core.figures.maps import colours
from core.runs import TrainedModel
from pages.parts.draw_answers import Asked
from pages.parts.run_words import percent

SIDE = 136  # pixels of a stage's picture


def stages(asked: Asked, drawing: Drawing) -> None:
    """The stages as pictures, then the answers with and without each."""
    st.caption("MNIST's digits were prepared like this. A network only knows pictures like the ones it learned from.")
    pictures = {
        "Ink": ("How far each pixel is from the paper's colour.", ink_picture(drawing.raw, SIDE)),
        "Cut out": ("The part with ink on it.", ink_picture(drawing.crop, SIDE)),
        "Fit into 20×20": ("Made smaller, its shape kept.", ink_picture(drawing.fitted, SIDE)),
        "Centre in 28×28": ("Moved until the middle of the ink is in the middle.", as_picture(drawing.image, 5)),
    }
    if asked.model is not None and not asked.problem:
        values = normalize(drawing.image[None], asked.model.mean, asked.model.std)[0, 0]
        about = f"Numbers from {float(values.min()):.2f} to {float(values.max()):.2f}. This is what the network gets."
        pictures["Normalise"] = (about, colours(values.numpy()).repeat(5, axis=0).repeat(5, axis=1))
    with st.container(horizontal=True, gap="small"):
        for title, (text, picture) in pictures.items():
            with st.container(width=SIDE + 8):
                st.image(picture, width=SIDE, alt=title)
                st.markdown(f"**{title}**")
                st.caption(text)
    if asked.model is not None and not asked.problem:
        with_and_without(asked.model, drawing)


def with_and_without(model: TrainedModel, drawing: Drawing) -> None:
    """What the model says if a stage is left out."""
    st.markdown("#### With and without each stage")
    ways = variants(drawing)
    images = torch.stack([way.image for way in ways.values()])
    cards = [(way.title, way.about, as_picture(way.image, 4), said)
             for way, said in zip(ways.values(), model.predict(images).tolist(), strict=True)]
    if model.normalizes:
        said = model.without_normalization().predict(drawing.image[None])[0].tolist()
        cards.append(("Without normalising", "Numbers from 0 to 1 as they are, which it did not learn from.",
                      as_picture(drawing.image, 4), said))
    usual = max(range(len(cards[0][3])), key=cards[0][3].__getitem__)
    with st.container(horizontal=True, gap="small"):
        for title, about, picture, said in cards:
            best = max(range(len(said)), key=said.__getitem__)
            with st.container(width=SIDE + 8):
                st.image(picture, width=112, alt=title)
                mark = ":material/check:" if best == usual else ":material/close:"
                st.markdown(f"{mark} **{model.classes[best]}**, {percent(said[best])}  \n{title}")
                st.caption(about)
    st.caption("A tick where the answer stays the same as with all stages.")
