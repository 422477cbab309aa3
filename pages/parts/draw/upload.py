"""Draw a digit: a picture from a file or from the camera, and what is done to a photograph."""

import hashlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.data.drawing import DrawingError
from core.data.drawing.as_kept import Preparation, Prepared, from_file, from_sheet
from core.data.drawing.photograph import MOST_MB, Photograph, flatten, looks_photographed, read_upload
from core.figures.images import ink_picture
from core.wording import percent
from pages.parts.shell.markdown import as_text

SHOWN = 128  # pixels


@dataclass(frozen=True, eq=False)
class Given:
    """What somebody has given. content: a picture file's bytes, b"" of the sheet. pixels: (H, W, 4) uint8, as it is prepared like
    MNIST's digits: a photograph's background taken away, where that is asked for."""

    content: bytes
    pixels: np.ndarray


def uploaded(thing: str, how: Preparation | None) -> Given | None:
    """A file's picture; None while there is none or it can't be used. thing: "digit", "letter" or "drawing"."""
    # Of any type: what the browser refuses never comes here, and the answer to the file before it would stand beside the refusal
    what = f"one {thing}" if how is None or thing != "drawing" else "what it knows"
    file = st.file_uploader(f"PNG, JPEG or WebP with {what} (up to {MOST_MB} MB)", key="draw.file",
                            max_upload_size=2 * MOST_MB)
    return _read(file.getvalue(), how) if file is not None else None


def photographed(thing: str, how: Preparation | None) -> Given | None:
    """The camera's picture; None while there is none."""
    what = "Draw it" if thing == "drawing" else f"Write one {thing}"
    todo = f"{what} large with a dark pen, and let it fill most of the picture." if how is None or thing != "drawing" else \
        "Let what is to be recognised lie in its frame as in the images that the network learned from."
    st.caption(f"{todo} It is looked at on this server and not kept.")
    shot = st.camera_input(f"Photograph a {thing}", key="draw.camera", label_visibility="collapsed")
    return _read(shot.getvalue(), how) if shot is not None else None


@st.cache_data(max_entries=8, show_spinner="Preparing the picture…")
def prepared_file(digest: str, _content: bytes, how: Preparation) -> Prepared | str:
    """A file's picture as a set's images were prepared, or why not."""
    try:
        return from_file(_content, how)
    except DrawingError as error:
        return str(error)


def prepared_for(given: Given, how: Preparation) -> Prepared | str:
    """What somebody has given as a set's images were prepared, or why not."""
    if given.content:
        return prepared_file(hashlib.sha256(given.content).hexdigest(), given.content, how)
    try:
        return from_sheet(given.pixels, how)
    except DrawingError as error:
        return str(error)


@st.cache_data(max_entries=8, show_spinner="Reading the picture…")
def _decoded(digest: str, _content: bytes) -> np.ndarray | str:
    try:
        return read_upload(_content)
    except DrawingError as error:
        return str(error)


def _read(content: bytes, how: Preparation | None) -> Given | None:
    pixels = _decoded(hashlib.sha256(content).hexdigest(), content)
    if isinstance(pixels, str):
        st.error(as_text(pixels), icon=":material/broken_image:")
        return None
    if how is not None:
        st.image(pixels, width=280, alt="Your picture")
        return Given(content, flatten(pixels).rgba if looks_photographed(pixels) else pixels)
    photo = st.toggle("Take the background away", looks_photographed(pixels), key=f"draw.flatten.{pixels.shape}",
                      help="For a photograph: shadows, the paper's colour and the table are taken away before the ink is looked "
                           "for. A clean picture needs none of it.")
    if not photo:
        st.image(pixels, width=280, alt="Your picture")
        return Given(content, pixels)
    found = flatten(pixels)
    _steps(pixels, found)
    return Given(content, found.rgba)


def _steps(pixels: np.ndarray, photo: Photograph) -> None:
    """What is done to a photograph, in pictures."""
    turned = " It is brighter than its ground, so light and dark were swapped." if photo.light_on_dark else ""
    shown = (
        ("Your picture", "At most 560 pixels long.", pixels[..., :3]),
        ("The paper's light", "The brightest nearby, smoothed: shadows, without the ink." + turned, photo.light),
        ("Evenly lit", "Brightness divided by the paper's light.", photo.flat),
        ("Ink alone", f"Darker than {percent(photo.threshold, 0)} of the paper's light (Otsu's threshold), dust and the edge "
         "left out.",
         ink_picture(photo.ink, SHOWN)),
    )
    with st.container(horizontal=True, gap="small"):
        for title, about, picture in shown:
            with st.container(width=SHOWN):
                st.image(picture, width=SHOWN, alt=title, clamp=True)
                st.markdown(f"**{title}**")
                st.caption(about)
