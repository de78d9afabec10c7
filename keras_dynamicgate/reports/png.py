"""Small pictures of samples that have the shape of images, as PNG inside the page."""

import base64
import struct
import zlib

import numpy as np

SMALLEST_SIDE, LARGEST_SIDE = 4, 96


def is_image(sample: np.ndarray) -> bool:
    """Tell whether an array has the shape `(height, width)` or `(height, width, 1 or 3)`."""
    channels = sample.shape[2:]
    return (
        sample.ndim in (2, 3)
        and channels in ((), (1,), (3,))
        and min(sample.shape[:2]) >= SMALLEST_SIDE
    )


def limits(images: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest finite value, or 0 and 1 if there is none."""
    finite = images[np.isfinite(images)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def data_uri(image: np.ndarray, low: float, high: float) -> str:
    """Encode an image as a `data:` address.

    Args:
        image: Array for which `is_image` holds.
        low: The value that becomes black.
        high: The value that becomes white.
    """
    step = -(-max(image.shape[:2]) // LARGEST_SIDE)
    image = np.nan_to_num(image[::step, ::step].astype("float64"), nan=low)
    levels = np.clip((image - low) / ((high - low) or 1.0), 0.0, 1.0)
    pixels = (255 * levels).round().astype("uint8")
    return "data:image/png;base64," + base64.b64encode(encode(pixels)).decode()


def encode(pixels: np.ndarray) -> bytes:
    """Encode 8-bit pixels of shape `(height, width)` or `(height, width, 1 or 3)` as PNG."""
    height, width = pixels.shape[:2]
    color = 2 if pixels.shape[2:] == (3,) else 0
    # Each row starts with the number of its filter: none.
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
