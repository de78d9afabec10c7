"""MNIST: 70,000 handwritten digits of 28x28 pixels."""

from os import PathLike
from pathlib import Path

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.arrays import scale_images, train_and_validation
from keras_dynamicgate.datasets.reading.files import check_data_dir, check_labels, find_file
from keras_dynamicgate.datasets.reading.idx import read_idx
from keras_dynamicgate.datasets.reading.splitting import check_validation_fraction
from keras_dynamicgate.datasets.reading.tfds import load_images

_CITATION = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document "
    "Recognition, Proceedings of the IEEE 86(11), 1998. http://yann.lecun.com/exdb/mnist/"
)
_LICENCE = "No formal licence on the original page; commonly stated as CC BY-SA 3.0"
_NUM_CLASSES = 10
_IMAGE_SHAPE = (28, 28)


def mnist(
    data_dir: str | PathLike[str] | None = None,
    *,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Load MNIST: 60,000 training and 10,000 test images of handwritten digits.

    Args:
        data_dir: Folder with the four original idx files, `train-images-idx3-ubyte`,
            `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`,
            each compressed (`.gz`) or not. Defaults to `None`: tensorflow-datasets downloads.
        validation_fraction: Share of the training images, drawn from each class alike, that is
            kept for validation, in `[0, 1)`. Defaults to 0.1: 6,000 images.
        seed: Integer that fixes which images are drawn. Defaults to 0.

    Returns:
        A `Dataset`; `x` has shape `(samples, 28, 28)`, float32 in `[0, 1]`, `y` is int32.

    Raises:
        FileNotFoundError: If a file is missing from `data_dir`.
        ValueError: If a file is corrupt, truncated or holds images of another size, or an argument
            is out of range.
        ImportError: If `data_dir` is `None` and tensorflow-datasets is not installed.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.mnist("data/mnist")
        >>> dataset
        Dataset mnist: x (28, 28) float32, 10 classes, train 54000, validation 6000, test 10000

    Reference:
        [The MNIST database](http://yann.lecun.com/exdb/mnist/)
    """
    check_validation_fraction(validation_fraction)
    if data_dir is None:
        (x, y), (x_test, y_test) = load_images("mnist")
        x, x_test = x.squeeze(-1), x_test.squeeze(-1)
    else:
        folder = check_data_dir(data_dir, "the four original MNIST files (*-idx?-ubyte[.gz])")
        # All four are looked for before the first is read: a missing file is reported at once.
        train_files, test_files = _find_pair(folder, "train"), _find_pair(folder, "t10k")
        (x, y), (x_test, y_test) = _read_pair(*train_files), _read_pair(*test_files)
    train, validation = train_and_validation(scale_images(x), y, validation_fraction, seed)
    return Dataset(
        name="mnist",
        train=train,
        validation=validation,
        test=Split(scale_images(x_test), y_test),
        class_names=tuple("0123456789"),
        citation=_CITATION,
        licence=_LICENCE,
    )


def _find_pair(folder: Path, part: str) -> tuple[Path, Path]:
    images, labels = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    return find_file(folder, (f"{images}.gz", images)), find_file(folder, (f"{labels}.gz", labels))


def _read_pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(images_path, dimensions=3)
    labels = read_idx(labels_path, dimensions=1)
    if images.shape[1:] != _IMAGE_SHAPE:
        raise ValueError(f"{images_path} must hold 28 x 28 pixels. Received: shape={images.shape}")
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} and {labels_path} must hold the same number of samples. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
    return images, check_labels(labels, _NUM_CLASSES, labels_path)
