"""Draw a digit: what becomes of the drawing on its way to the network, and what each stage is good for."""

import streamlit as st
import torch

from core.data import DataError, normalize, spec_of
from core.data.drawing import Drawing
from core.data.drawing.without_a_stage import variants
from core.figures.images import as_picture, ink_picture
from core.figures.maps import colours
from core.runs import TrainedModel
from core.wording import chance
from pages.parts.draw.answers import Asked
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.quick_bars import Card, cards

SIDE, SMALLER = 140, 112  # pixels of a picture: five and four for each of the 28
BOX = 20  # the box that a drawing is fitted into
LIKE_MNIST = ("mnist", "digits")  # scikit-learn's are brought to the same form


def stages(asked: Asked, drawing: Drawing) -> None:
    """The stages as pictures, then the answers with and without each."""
    st.caption(_about(asked))
    shown = [Card("Ink", "How far each pixel is from the paper's colour.", ink_picture(drawing.raw, SIDE), SIDE),
             Card("Cut out", "The part with ink on it.", ink_picture(drawing.crop, SIDE), SIDE),
             Card("Fit into 20×20", "Made smaller, its shape kept.", ink_picture(drawing.fitted, BOX), SIDE),
             Card("Centre in 28×28", "Moved until the middle of the ink is in the middle.", as_picture(drawing.image), SIDE)]
    if asked.model is None or asked.problem:
        cards(shown, "draw.stages")
        return
    values = normalize(drawing.image[None], asked.model.mean, asked.model.std)[0, 0]
    about = f"Numbers from {float(values.min()):.2f} to {float(values.max()):.2f}. This is what the network gets."
    cards([*shown, Card("Normalise", about, colours(values.numpy()), SIDE)], "draw.stages")
    with_and_without(asked.model, drawing)


def _about(asked: Asked) -> str:
    """Whether what the network learned from was prepared as drawings are."""
    data = asked.run.config.data
    if data.dataset in LIKE_MNIST:
        return "MNIST's digits were prepared like this. A network only knows pictures like the ones it learned from."
    try:
        title = spec_of(data.dataset).title
    except DataError:
        title = "images that are no longer here"
    return (f"A drawing is prepared as MNIST's digits were. This network learned from {as_text(title)}, which may lie "
            "otherwise in their frame: it only knows pictures like those.")


def with_and_without(model: TrainedModel, drawing: Drawing) -> None:
    """What the model says if a stage is left out."""
    st.markdown("### With and without each stage")
    ways = variants(drawing)
    images = torch.stack([way.image for way in ways.values()])
    said = model.predict(images).tolist()
    seen = [(way.title, way.about, way.image) for way in ways.values()]
    if model.normalizes:
        said += model.without_normalization().predict(drawing.image[None]).tolist()
        seen.append(("Without normalising", "Numbers from 0 to 1 as they are, which it did not learn from.", drawing.image))
    best = [max(range(len(one)), key=one.__getitem__) for one in said]
    cards([Card(title, about, as_picture(image), SMALLER,
                f"{'✓' if place == best[0] else '✗'} {as_text(model.classes[place])}, {chance(one[place])}")
           for (title, about, image), place, one in zip(seen, best, said, strict=True)], "draw.without")
    st.caption("A tick where the answer stays the same as with all stages.")
