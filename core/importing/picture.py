"""The process that reads one picture of unknown origin: python -m core.importing.picture OPTIONS.

OPTIONS is a JSON object with "file", "folder" and "longest", and for a picture that is prepared as a set of images was, "size",
"channels" and "fit". Started by core.data.drawing.photograph. It writes picture.npy and prepared.npz, or result.json with why
not, into the folder.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from core.importing.decode import TRANSPOSE, BadImage, _eight_bits, _open, _orientation, _why, decode
from core.importing.limits import limit

MOST_RATIO = 40  # a strip of 16 million by 1 pixels has no digit on it


def read_picture(data: bytes, longest: int) -> np.ndarray:
    """Bytes of a PNG or JPEG file → (H, W, 4) uint8 RGBA, upright, its longer side at most `longest`. Raises BadImage."""
    if not data:
        raise BadImage("empty")
    try:
        image = _open(data, 2 * longest)
        if max(image.size) > MOST_RATIO * min(image.size):
            raise BadImage(f"{image.width:,}×{image.height:,} pixels, too long a strip")
        orientation = _orientation(image)
        image.load()  # a truncated file opens well and fails here
        image = _eight_bits(image, [])
        scale = longest / max(image.size)
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.BOX, reducing_gap=3.0)
        if orientation in TRANSPOSE:
            image = image.transpose(TRANSPOSE[orientation])
        return np.asarray(image.convert("RGBA"))
    except BadImage:
        raise
    except MemoryError:
        raise BadImage("needs more memory than one picture may take") from None
    except Exception as error:  # decoders raise anything on crafted bytes
        raise BadImage(_why(data, error)) from None


def main(text: str) -> int:
    options = json.loads(text)
    # makes the matrix library take its buffers before the limit
    np.matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32))
    limit()
    folder = Path(options["folder"])
    try:
        data = Path(options["file"]).read_bytes()
        np.save(folder / "picture.npy", read_picture(data, int(options["longest"])))
        if "size" in options:
            steps: dict[str, np.ndarray] = {}
            picture = decode(data, options["size"], options["channels"], options["fit"], steps)
            np.savez(folder / "prepared.npz", pixels=picture.pixels, flat=np.array("flat" in picture.told),
                     fitted=steps["fitted"], framed=steps["framed"])
        result = {}
    except BadImage as error:
        result = {"refused": str(error)}
    except MemoryError:
        result = {"refused": "needs more memory than one picture may take"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
