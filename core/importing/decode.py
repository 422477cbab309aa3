"""One picture of unknown origin → pixels. What decoders get wrong by themselves is in the comments.

Only the decoders of FORMATS are let near the bytes: other ones of Pillow's start programs (EPS), read other files, or are rarely
tested.
"""

import io
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from PIL import Image, ImageFile

MOST_PIXELS = 16_000_000  # that are decoded
MOST_SHRUNK = 120_000_000  # of a JPEG, which a decoder can shrink as it reads
Fit = Literal["pad", "crop"]
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # the last one is PGM and PBM, too
FIRST_OF = {"GIF", "TIFF", "HEIF"}  # the first picture of several is taken
# ISO 14496-12, 4.3: what an ftyp box says that the file is
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
NO_HEIC = ("a HEIC picture, as phones take them; send it as JPEG (iPhone: Settings, Camera, Formats, Most Compatible), or have "
           "requirements-heic.txt installed here")
LIGHT = 170  # gray value: ink on clear ground that is lighter on average is laid on black
Image.MAX_IMAGE_PIXELS = None  # ours is smaller, and refuses where Pillow's only warns
ImageFile.LOAD_TRUNCATED_IMAGES = False
# The first bytes of what people take for pictures, or name .png
KINDS = (
    (b"%PDF", "a PDF, not a picture"), (b"%!PS", "a PostScript program, not a picture"),
    (b"PK\3\4", "an archive inside the archive; unpack it first"),
    (b"\x1f\x8b", "an archive inside the archive; unpack it first"),
    (b"\0\0\1\0", "an icon; save it as PNG"),
)
TRANSPOSE = {  # EXIF 2.32, tag 0x0112: what has to be done for the picture to stand upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}


TOLD = {  # what a report counts
    "black": "Images of light ink on a clear ground, laid on black (all others on white)",
    "eight": "Images of 16 bits of which only the lowest 8 are used, read as 8 bits",
    "first": "Files with several pictures, of which the first was taken",
    "flat": "Images of one colour all over",
}


class BadImage(Exception):
    """A file that is no usable picture; the message is the reason."""


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels: (C, size, size) uint8. resized: whether it had another size. told: what was decided about it, of TOLD."""

    pixels: np.ndarray
    resized: bool
    told: tuple[str, ...] = ()


def decode(data: bytes, size: int, channels: int, fit: Fit, steps: dict[str, np.ndarray] | None = None) -> Picture:
    """Bytes of a picture file of FORMATS → pixels. Raises BadImage with the reason.

    steps: gets "fitted", (h, w, 3 or 4) uint8, and "framed", (size, size, 3) uint8, what becomes of the picture on its way.

    Its shape is kept: "pad" makes the longer side fit and fills the rest with the colour of the edge, "crop" makes the shorter
    side fit and cuts off what sticks out, evenly. Shrinking averages (bilinear with antialiasing, as torchvision's Resize).
    """
    if not data:
        raise BadImage("empty")
    try:
        image = _open(data, 4 * size)
        resized = image.size != (size, size)
        orientation = _orientation(image)
        image.load()  # a truncated file opens well and fails here
        told = ["first"] if image.format in FIRST_OF and getattr(image, "n_frames", 1) > 1 else []
        small = _fitted(_eight_bits(image, told), size, fit)
        if orientation in TRANSPOSE:
            small = small.transpose(TRANSPOSE[orientation])
        framed = _framed(_on_ground(small, told), size)
        pixels = np.asarray(framed.convert("L" if channels == 1 else "RGB"))
        if steps is not None:
            steps["fitted"] = np.asarray(small.convert("RGBA" if small.has_transparency_data else "RGB"))
            steps["framed"] = np.asarray(framed.convert("RGB"))
        if pixels.min() == pixels.max() or (pixels == pixels[:1, :1]).all():
            told.append("flat")
    except BadImage:
        raise
    except MemoryError:
        raise BadImage("needs more memory than one picture may take") from None
    except Exception as error:  # decoders raise anything on crafted bytes: OSError, SyntaxError, struct.error, …
        raise BadImage(_why(data, error)) from None
    return Picture(np.ascontiguousarray(pixels.reshape(size, size, channels).transpose(2, 0, 1)), resized, tuple(told))


def from_array(pixels: np.ndarray, size: int, channels: int, fit: Fit) -> Picture:
    """(H, W, 1 or 3) uint8 → pixels, as decode() makes them of a file."""
    if pixels.shape == (size, size, channels):  # nothing to be done, 42,000 times
        found = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return Picture(found, False, ("flat",) if found.min() == found.max() else ())
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    framed = _framed(_fitted(image, size, fit), size).convert("L" if channels == 1 else "RGB")
    found = np.ascontiguousarray(np.asarray(framed).reshape(size, size, channels).transpose(2, 0, 1))
    return Picture(found, image.size != (size, size), ("flat",) if found.min() == found.max() else ())


def _open(data: bytes, longest: int) -> Image.Image:
    """The picture, its pixels not yet decoded; a JPEG at a half, a quarter or an eighth of its size, as far as that is `longest`
    pixels in both directions, and further where it has more than MOST_PIXELS."""
    try:
        image = Image.open(io.BytesIO(data), formats=("HEIF",) if is_heic(data) and _reads_heic() else FORMATS)
    except Exception as error:
        raise BadImage(_why(data, error)) from None
    width, height = image.size
    if image.format in {"JPEG", "MPO"} and width * height <= MOST_SHRUNK:
        part = 1  # a 12-megapixel photograph is decoded at an eighth, ten times faster
        while part < 8 and (min(width, height) >= 2 * part * longest or width * height > part**2 * MOST_PIXELS):
            part *= 2
        image.draft(None, (width // part, height // part))
    if image.width * image.height > MOST_PIXELS:
        raise BadImage(f"{width:,}×{height:,} pixels; at most {MOST_PIXELS // 1_000_000} megapixels, of a JPEG "
                       f"{MOST_SHRUNK // 1_000_000}. Save it smaller, or as JPEG")
    # phones write photographs with a second picture inside (MPO), which is no animation: the first is the photograph
    if image.format not in {"MPO", *FIRST_OF} and getattr(image, "n_frames", 1) > 1:
        raise BadImage("an animation; save one picture of it")
    return image


def is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS


def _reads_heic() -> bool:
    """Whether pi-heif is installed, see requirements-heic.txt; from then on Pillow knows the format in this process."""
    if find_spec("pi_heif") is None:
        return False
    import pi_heif  # pyright: ignore[reportMissingImports]  # it is in a requirements file of its own

    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = False
    pi_heif.register_heif_opener()
    return True


def _why(data: bytes, error: Exception) -> str:
    """What is wrong with these bytes, as helpful as their first ones allow."""
    start = data[:512]
    for first, reason in KINDS:
        if start.startswith(first):
            return reason
    if is_heic(data):
        return "damaged: it begins like a HEIC picture and isn't one" if find_spec("pi_heif") else NO_HEIC
    if start[4:8] == b"ftyp":
        return "an AVIF picture; save it as PNG or JPEG" if start[8:12] in (b"avif", b"avis") else \
            "a video or another kind of recording, not a picture"
    if b"<svg" in data[:4096].lower():
        return "an SVG drawing, which has no pixels; export it as PNG"
    if start.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"P4", b"P5", b"P6")):
        truncated = "truncated" in str(error).lower() or isinstance(error, EOFError)
        return "cut off: the end of the picture is missing" if truncated else "damaged: it begins like a picture and isn't one"
    return "not a picture (PNG, JPEG, WebP, BMP, GIF, TIFF or PGM)"


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 for upright. Damaged EXIF data count as none."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:
        return 1


def _eight_bits(image: Image.Image, told: list[str]) -> Image.Image:
    """Mode L, RGB, LA or RGBA."""
    if image.mode.startswith("I"):  # 16-bit gray: convert("L") would clip everything above 255 to white
        values = np.asarray(image).astype(np.uint16)
        if values.max() > 255:
            return Image.fromarray((values >> 8).astype(np.uint8))
        told.append("eight")  # as OpenCV and scikit-image write 8 bits that lie in 16
        return Image.fromarray(values.astype(np.uint8))
    if image.has_transparency_data and image.mode not in {"LA", "RGBA"}:
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in {"L", "LA", "RGB", "RGBA"} else image.convert("RGB")  # palette, CMYK


def _fitted(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    """The picture with its longer ("pad") or its shorter side ("crop") brought to `size`, and then the middle of it."""
    width, height = image.size
    if (width, height) == (size, size):
        return image
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        target, box = (size, size), (left, top, left + side, top + side)
    else:
        scale = size / max(width, height)
        target, box = (max(1, round(width * scale)), max(1, round(height * scale))), (0.0, 0.0, float(width), float(height))
    # Pillow weighs colours by their alpha, so what is under clear pixels does not bleed into others
    return image.resize(target, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def _on_ground(image: Image.Image, told: list[str]) -> Image.Image:
    """Laid on white where it is transparent, on black where its ink is light, as it would vanish: convert() would show whatever
    lies under clear pixels."""
    if image.mode not in {"LA", "RGBA"}:
        return image
    gray, alpha = np.asarray(image.convert("LA"), np.float32).transpose(2, 0, 1)
    light = alpha.sum() > 0 and alpha.mean() < 240 and float((gray * alpha).sum() / alpha.sum()) > LIGHT
    told += ["black"] if light else []
    paper = Image.new("RGBA", image.size, "black" if light else "white")
    return Image.alpha_composite(paper, image.convert("RGBA")).convert("L" if image.mode == "LA" else "RGB")


def _framed(image: Image.Image, size: int) -> Image.Image:
    """In the middle of a square of the colour that its edge has most: the median of its outermost pixels."""
    if image.size == (size, size):
        return image
    pixels = np.asarray(image)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(edge, axis=0).astype(int)
    frame = Image.new(image.mode, (size, size), int(colour) if image.mode == "L" else tuple(colour.tolist()))
    frame.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return frame
