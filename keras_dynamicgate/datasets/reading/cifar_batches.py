"""Reads the original Python batches of CIFAR-10."""

import codecs
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.reading.files import check_labels, errors_as

_SHAPE = (3, 32, 32)
_NUM_CLASSES = 10
_RECONSTRUCT = np.empty(0).__reduce__()[0]


def read_batches(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Reads and joins CIFAR-10 batch files.

    Args:
        paths: Files such as `data_batch_1` or `test_batch`.

    Returns:
        Images of shape `(samples, 32, 32, 3)`, uint8, and labels of shape `(samples,)`,
        int32.

    Raises:
        ValueError: If a file is damaged, not a CIFAR-10 batch, or has labels that are
            not integers or lie outside the classes.

    Examples:
        >>> images, labels = read_batches([Path("cifar-10-batches-py/test_batch")])

    Reference:
        [CIFAR-10 and CIFAR-100](https://www.cs.toronto.edu/~kriz/cifar.html)
    """
    batches = [_read_batch(path) for path in paths]
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with errors_as(f"{path} is not a complete CIFAR-10 batch"), path.open("rb") as file:
        batch = _ArrayUnpickler(file, encoding="bytes").load()
        pixels, labels = batch[b"data"], np.asarray(batch[b"labels"])
        images = pixels.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1)
    if images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{path} must hold one label for each uint8 image. "
            f"Received: images {images.shape} {images.dtype}, labels {labels.shape}"
        )
    return images, check_labels(labels, _NUM_CLASSES, path)


class _ArrayUnpickler(pickle.Unpickler):
    """A pickle may run any code; this one builds arrays and nothing else."""

    _allowed: dict[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # How Python 3 writes byte strings in a format that Python 2 understands.
        ("_codecs", "encode"): codecs.encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None
