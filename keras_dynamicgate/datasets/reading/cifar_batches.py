"""Read the original Python batches of CIFAR-10."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.datasets.reading.files import check_labels, errors_as

_SHAPE = (3, 32, 32)
_NUM_CLASSES = 10


def read_batches(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read and join CIFAR-10 batch files.

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
        batch = _BatchUnpickler(file, encoding="bytes").load()
        images = batch[b"data"].pixels().reshape(-1, *_SHAPE).transpose(0, 2, 3, 1)
        kinds = {type(label) for label in batch[b"labels"]}
        # Before an array is made: a small file can hold lists of lists of any number of labels.
        if kinds - {int}:
            raise TypeError(f"it holds labels of the type {(kinds - {int}).pop().__name__}")
        labels = np.array(batch[b"labels"], "int64")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{path} must hold one label for each image. "
            f"Received: images {images.shape}, labels {labels.shape}"
        )
    return images, check_labels(labels, _NUM_CLASSES, path)


class _StandIn:
    """Stand in for NumPy's objects, which some states make crash."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def pixels(self) -> np.ndarray:
        _, shape, dtype, is_fortran, content = self.state
        if dtype.arguments[0] not in ("u1", b"u1"):
            raise TypeError("it holds an array of another type than uint8")
        return np.frombuffer(content, "uint8").reshape(shape, order="F" if is_fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


# The one in Python: a few bytes make the one in C ask for any amount of memory.
class _BatchUnpickler(pickle._Unpickler):
    """Build stand-ins for arrays and nothing else: a pickle may run any code."""

    _allowed: dict[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): _StandIn,
        ("numpy._core.multiarray", "_reconstruct"): _StandIn,
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): _StandIn,
        # How Python 3 writes byte strings in a format that Python 2 understands.
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None
