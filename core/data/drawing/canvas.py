"""What the canvas on a page sends: a small PNG, which anybody can forge, read with limits."""

import base64
import binascii
import io

import numpy as np
from PIL import Image

from core.data.drawing import DrawingError

MOST_BYTES, MOST_SIDE = 4_000_000, 1400  # a canvas of 280 pixels sends some 20 kB
DAMAGED = "The canvas sent something that is no picture. Clear it and draw again."


def read_canvas(url: object) -> np.ndarray:
    """A data URL of a PNG → (H, W, 4) uint8 RGBA. Raises DrawingError for anything else, with one line."""
    if not isinstance(url, str) or not url.startswith("data:image/png;base64,") or len(url) > 2 * MOST_BYTES:
        raise DrawingError(DAMAGED)
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True)), formats=("PNG",))
        if max(picture.size) > MOST_SIDE or getattr(picture, "n_frames", 1) > 1:  # before a pixel is decoded
            raise DrawingError(DAMAGED)
        return np.asarray(picture.convert("RGBA"))
    except DrawingError:
        raise
    except (binascii.Error, OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError, ArithmeticError, LookupError,
            TypeError, AttributeError, NotImplementedError, Image.DecompressionBombError):
        raise DrawingError(DAMAGED) from None
