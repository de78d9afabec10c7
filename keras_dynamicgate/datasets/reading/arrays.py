"""Turn image arrays into the splits of a data set."""

import numpy as np

from keras_dynamicgate.datasets.dataset import Split
from keras_dynamicgate.datasets.reading.splitting import stratified_split


def scale_images(images: np.ndarray) -> np.ndarray:
    """Return uint8 images as float32 in `[0, 1]`."""
    return images.astype("float32") / np.float32(255)


def train_and_validation(
    x: np.ndarray, y: np.ndarray, validation_fraction: float, seed: int
) -> tuple[Split, Split]:
    """Divide training samples into a training and a validation split.

    Args:
        x: Samples, shape `(samples, ...)`.
        y: Labels, shape `(samples,)`.
        validation_fraction: Size of the validation split, in `[0, 1)`.
        seed: Integer that fixes which samples are drawn.

    Returns:
        The training and the validation split, each in the original order of the samples.
    """
    kept, drawn = stratified_split(y, validation_fraction, seed)
    return Split(x[kept], y[kept]), Split(x[drawn], y[drawn])
