"""Read the idx format of the original MNIST files."""

import gzip
import math
from pathlib import Path

import numpy as np

from keras_dynamicgate.datasets.reading.files import LARGEST, errors_as

_UINT8 = 8


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an idx file of bytes, compressed with gzip or not.

    Args:
        path: The file; a name that ends in `.gz` is unpacked.
        dimensions: Number of axes that the file must have: 3 for images, 1 for labels.

    Returns:
        A uint8 array.

    Raises:
        ValueError: If the file is corrupt, truncated, too long or not of this format, or
            announces more than 256 MiB.

    Examples:
        >>> read_idx(Path("train-images-idx3-ubyte.gz"), dimensions=3).shape
        (60000, 28, 28)

    Reference:
        [The MNIST database](http://yann.lecun.com/exdb/mnist/)
    """
    size = 4 + 4 * dimensions
    header = _read(path, size)
    if header[:4] != bytes((0, 0, _UINT8, dimensions)):
        raise ValueError(
            f"{path} is not an idx file of unsigned bytes with {dimensions} axes. "
            f"Received: first bytes={header[:4].hex(' ')}"
        )
    if len(header) < size:
        raise ValueError(f"{path} is truncated. Received: {len(header)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(header[4:], ">u4"))
    expected = size + math.prod(shape)
    # One byte more than allowed is enough to refuse. A stream that ends is read to its checksum.
    content = _read(path, min(expected, LARGEST) + 1)
    if len(content) != expected or expected > LARGEST:
        raise ValueError(
            f"{path} is truncated or damaged: its header announces {expected} bytes "
            f"for shape {shape}. Received: {len(content)} bytes"
        )
    return np.frombuffer(content, "uint8", offset=size).reshape(shape)


def _read(path: Path, size: int) -> bytes:
    open_file = gzip.open if path.suffix == ".gz" else open
    with errors_as(f"{path} is truncated or not a gzip file"), open_file(path, "rb") as file:
        return file.read(size)
