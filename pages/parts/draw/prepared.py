"""Draw a digit, for networks of other images than MNIST's kind: a picture is prepared as what they learned from was."""

import numpy as np
import streamlit as st
from PIL import Image
from torch import Tensor

from core.data import normalize
from core.data.drawing import Drawing
from core.data.drawing.as_kept import Preparation, Prepared
from core.figures.images import as_picture
from core.figures.maps import colours
from pages.parts.draw.answers import Answer, Asked, show_answer
from pages.parts.draw.upload import Given, prepared_for
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.quick_bars import Card, cards

SIDE = 140  # pixels of a stage's picture
MOST_NAMED = 6  # classes
TO_DO = {"Draw": "Draw on the white square", "Upload": "Choose a picture", "Camera": "Take a picture"}


def brought(given: Given | None, how: Preparation) -> Prepared | None:
    """What was given, prepared as the model's images were; None while there is nothing, or with a line why not."""
    found = None if given is None else prepared_for(given, how)
    if isinstance(found, str):
        st.error(as_text(found), icon=":material/broken_image:")
        return None
    return found


def image_for(asked: Asked, first: Asked, given: Given | None, drawing: Drawing | None,
              prepared: Prepared | None) -> Tensor | None:
    """What a model gets to see, (C, H, W); None where there is nothing to be seen.

    drawing: what was given, prepared like MNIST's digits. prepared: as the first model's images were.
    """
    if asked.how is None:
        return None if drawing is None or drawing.empty else drawing.image
    found = prepared if asked.how == first.how else prepared_for(given, asked.how) if given is not None else None
    return found.image if isinstance(found, Prepared) and not found.flat else None


def answer_to_prepared(first: Asked, said: Answer | None, prepared: Prepared | None, source: str) -> None:
    """What the first model says, or what to do, in the words of its classes."""
    assert first.model is not None
    classes = first.model.classes
    known = ", ".join(classes[:MOST_NAMED]) + (", …" if len(classes) > MOST_NAMED else "")
    empty = "Nothing to see: all of it has the same colour. " if prepared is not None and prepared.flat else ""
    show_answer(classes, said, f"{empty}{TO_DO[source]} of what the network knows: {known}.")


def stages_of_prepared(asked: Asked, prepared: Prepared) -> None:
    """The stages of a picture that was prepared as the images of the model's own set were."""
    how = asked.how
    assert how is not None and asked.model is not None
    st.caption(_about_kept(how))
    fits = f"Its longer side has {how.size} pixels, its shape is kept." if how.fit == "pad" else \
        f"Its shorter side has {how.size} pixels; what sticks out is cut off."
    square = "Filled up with the colour of its edge." if how.fit == "pad" else "The middle of it."
    shown = [Card("Your picture", "Light and dark are swapped after this: the set's ground is dark." if prepared.inverted else
                  "As it was given.", _shrunk(prepared.given), SIDE),
             Card(f"Fit into {how.size}×{how.size}", fits, _shrunk(prepared.fitted), SIDE),
             Card("Square", square, prepared.framed, SIDE),
             Card("Gray" if how.channels == 1 else "Red, green, blue",
                  f"{how.channels}×{how.size}×{how.size} numbers from 0 to 1.", as_picture(prepared.image), SIDE)]
    values = normalize(prepared.image[None], asked.model.mean, asked.model.std)[0] if asked.model.mean else prepared.image
    about = f"Numbers from {float(values.min()):.2f} to {float(values.max()):.2f}. This is what the network gets."
    cards([*shown, Card("Normalise", about, colours(values.mean(0).numpy()), SIDE)], "draw.prepared")
    if how.channels == 3:
        st.caption("After normalising, the mean of the three colours is shown.")


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 4) uint8 → (h, w, 3), small enough to send with every stroke, on white where it is transparent."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.thumbnail((2 * SIDE, 2 * SIDE))
    return np.asarray(image)


def _about_kept(how: Preparation) -> str:
    """Whether a picture is prepared as the model's images were."""
    if how.said:
        return f"Prepared exactly as the images of “{as_text(how.title)}” were when they were brought here, step by step."
    if how.title:
        return (f"How the images of “{as_text(how.title)}” were made square was not kept when they were brought here; all of the "
                "picture is shown to the network, as is usual.")
    return ("How the images that it learned from were prepared isn't known here: the middle of the picture is cut out and made "
            "smaller, as is usual." if how.fit == "crop" else "The images that it learned from are no longer here: all of the "
            "picture is shown to the network, as is usual.")
