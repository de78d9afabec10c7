"""CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes."""

from os import PathLike
from pathlib import Path

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.arrays import scale_images, train_and_validation
from keras_dynamicgate.datasets.reading.cifar_batches import read_batches
from keras_dynamicgate.datasets.reading.files import (
    LARGEST,
    check_data_dir,
    check_labels,
    errors_as,
    find_file,
)
from keras_dynamicgate.datasets.reading.splitting import check_validation_fraction
from keras_dynamicgate.datasets.reading.tfds import load_images

_CITATION = (
    "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, "
    "University of Toronto, 2009. https://www.cs.toronto.edu/~kriz/cifar.html"
)
_LICENCE = "No formal licence; free use with citation of the report is customary"
_CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_BATCHES = "cifar-10-batches-py"
_SUBSET = "cifar10_subset_*.npz"
_KEYS = ("x_train", "y_train", "x_test", "y_test")

_Arrays = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def cifar10(
    data_dir: str | PathLike[str] | None = None,
    *,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Load CIFAR-10: 50,000 training and 10,000 test photographs in ten classes.

    Args:
        data_dir: Folder with the original Python batches (`cifar-10-batches-py`, or the folder
            above it) or with one file `cifar10_subset_*.npz` that holds `x_train`, `y_train`,
            `x_test` and `y_test`. Defaults to `None`: tensorflow-datasets downloads.
        validation_fraction: Share of the training images, drawn from each class alike, that is
            kept for validation, in `[0, 1)`. Defaults to 0.1: 5,000 of the full data set.
        seed: Integer that fixes which images are drawn. Defaults to 0.

    Returns:
        A `Dataset`; `x` has shape `(samples, 32, 32, 3)`, float32 in `[0, 1]`, `y` is int32.

    Raises:
        FileNotFoundError: If a file is missing from `data_dir`.
        ValueError: If a file is corrupt or truncated, or an argument is out of range.
        ImportError: If `data_dir` is `None` and tensorflow-datasets is not installed.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.cifar10("data/cifar10")
        >>> dataset.class_names[:3]
        ('airplane', 'automobile', 'bird')

    Reference:
        [CIFAR-10 and CIFAR-100](https://www.cs.toronto.edu/~kriz/cifar.html)
    """
    check_validation_fraction(validation_fraction)
    (x, y), (x_test, y_test) = load_images("cifar10") if data_dir is None else _read(data_dir)
    train, validation = train_and_validation(scale_images(x), y, validation_fraction, seed)
    return Dataset(
        name="cifar10",
        train=train,
        validation=validation,
        test=Split(scale_images(x_test), y_test),
        class_names=_CLASS_NAMES,
        citation=_CITATION,
        licence=_LICENCE,
    )


def _read(data_dir: str | PathLike[str]) -> _Arrays:
    folder = check_data_dir(data_dir, f"{_BATCHES} or {_SUBSET}")
    for batches in (folder, folder / _BATCHES):
        if (batches / "test_batch").is_file() or (batches / "data_batch_1").is_file():
            return _read_batches(batches)
    subsets = sorted(folder.glob(_SUBSET))
    if len(subsets) != 1:
        raise FileNotFoundError(
            f"Argument `data_dir` must hold the folder {_BATCHES} or exactly one file {_SUBSET}. "
            f"Received: data_dir={folder} with {len(subsets)} such files"
        )
    return _read_subset(subsets[0])


def _read_batches(folder: Path) -> _Arrays:
    train = [find_file(folder, [f"data_batch_{number}"]) for number in range(1, 6)]
    test = [find_file(folder, ["test_batch"])]
    return read_batches(train), read_batches(test)


def _read_subset(path: Path) -> _Arrays:
    with (
        errors_as(f"{path} must be a complete npz file with the arrays {', '.join(_KEYS)}"),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        # No more bytes are unpacked than the list of the file announces.
        size = sum(info.file_size for info in arrays.zip.infolist())
        if size > LARGEST:
            raise ValueError(f"it unpacks to {size} bytes, of {LARGEST} allowed")
        x, y, x_test, y_test = (arrays[key] for key in _KEYS)
    for images, labels in ((x, y), (x_test, y_test)):
        if images.dtype != np.uint8 or images.shape != (*labels.shape, 32, 32, 3):
            raise ValueError(
                f"{path} must hold uint8 images of shape (32, 32, 3), each with a label. "
                f"Received: images {images.shape} {images.dtype}, labels {labels.shape}"
            )
    y, y_test = (check_labels(labels, len(_CLASS_NAMES), path) for labels in (y, y_test))
    return (x, y), (x_test, y_test)
