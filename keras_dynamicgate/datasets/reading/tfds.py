"""Read data sets that tensorflow-datasets downloads and prepares."""

import contextlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.datasets.reading.optional import import_optional

_BATCH_SIZE = 1024


def import_tfds(loader: str) -> Any:
    """Import tensorflow-datasets, and keep TensorFlow off the GPU of another backend.

    Args:
        loader: Name of the loader that needs it, for the message.

    Returns:
        The module `tensorflow_datasets`.

    Raises:
        ImportError: If tensorflow-datasets or TensorFlow is not installed.
    """
    tensorflow = import_optional("tensorflow", loader)
    if keras.backend.backend() != "tensorflow":
        # TensorFlow would take all memory of a GPU that JAX or PyTorch is about to use. Once it
        # has taken its devices it raises an error, and then it is too late anyway.
        with contextlib.suppress(RuntimeError):
            tensorflow.config.set_visible_devices([], "GPU")
    return import_optional("tensorflow_datasets", loader)


def load_images(
    name: str,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Load an image data set, downloading it where needed.

    Args:
        name: Name of the data set in tensorflow-datasets, which is also the loader's name.

    Returns:
        `((x_train, y_train), (x_test, y_test))`, images in uint8, labels in int32.

    Raises:
        ImportError: If tensorflow-datasets or TensorFlow is not installed.

    Examples:
        >>> (x_train, y_train), (x_test, y_test) = load_images("mnist")
        >>> x_train.shape
        (60000, 28, 28, 1)
    """
    tfds = import_tfds(name)
    splits = tfds.load(name, split=["train", "test"], as_supervised=True, batch_size=_BATCH_SIZE)
    train, test = (_join(tfds.as_numpy(split)) for split in splits)
    return train, test


def _join(batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels).astype("int32")
