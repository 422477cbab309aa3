"""Images as data URIs, which a browser shows without asking the server again."""

import base64
import io
import struct
import zlib

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

THUMBNAIL = 32  # pixels: longer sides are shrunk where thousands of images are sent
QUALITY = 70  # of JPEG


def data_uri(image: Tensor) -> str:
    """(1 or 3, H, W) uint8 → a PNG's data URI, exact. Written here: Pillow takes five times as long for so small an image."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()  # (H, W, C)
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)  # each line begins with its filter, 0: none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines.data, 1)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def thumbnails(images: Tensor) -> list[str]:
    """(N, C, H, W) uint8 → data URIs for thousands of images: at most 32 pixels, PNG where gray, JPEG where in colour."""
    longest = max(images.shape[2:])
    if longest > THUMBNAIL:
        scale = THUMBNAIL / longest
        size = [max(1, round(side * scale)) for side in images.shape[2:]]
        images = torch.cat([F.interpolate(part.float(), size=size, mode="area").round().byte() for part in images.split(500)])
    return [data_uri(image) if image.shape[0] == 1 else _jpeg(image) for image in images]


def to_bytes(images: Tensor) -> Tensor:
    """Float images in [0, 1] → uint8; what is not a number becomes 0."""
    return (images.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)


def _jpeg(image: Tensor) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Source: PNG specification (W3C), section 5.3: length, type, data, checksum of type and data."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
