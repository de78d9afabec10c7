"""Reads the idx format of the original MNIST files."""

import gzip
import math
from pathlib import Path

import numpy as np

from keras_dynamicgate.datasets.reading.files import errors_as

_UINT8 = 8


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Reads an idx file of bytes, compressed with gzip or not.

    Args:
        path: The file; a name that ends in `.gz` is unpacked.
        dimensions: Number of axes that the file must have: 3 for images, 1 for labels.

    Returns:
        A uint8 array.

    Raises:
        ValueError: If the file is corrupt, truncated, too long or not of this format.

    Examples:
        >>> read_idx(Path("train-images-idx3-ubyte.gz"), dimensions=3).shape
        (60000, 28, 28)

    Reference:
        [The MNIST database](http://yann.lecun.com/exdb/mnist/)
    """
    content = _read_bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2:4] != bytes((_UINT8, dimensions)):
        raise ValueError(
            f"{path} is not an idx file of unsigned bytes with {dimensions} axes. "
            f"Received: first bytes={content[:4].hex(' ')}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise ValueError(f"{path} is truncated. Received: {len(content)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(content[4:header], ">u4"))
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{path} is truncated or damaged: its header announces {expected} bytes "
            f"for shape {shape}. Received: {len(content)} bytes"
        )
    return np.frombuffer(content, "uint8", offset=header).reshape(shape)


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    with errors_as(f"{path} is truncated or not a gzip file"):
        return gzip.decompress(content)
