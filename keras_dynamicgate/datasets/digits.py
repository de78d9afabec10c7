"""Handwritten digits of 8x8 pixels: small, real, and bundled with scikit-learn."""

import numpy as np

from keras_dynamicgate.datasets.dataset import Dataset, Split
from keras_dynamicgate.datasets.reading.optional import import_optional
from keras_dynamicgate.datasets.reading.splitting import (
    TEST_FRACTION,
    check_validation_fraction,
    train_validation_and_test,
)

_CITATION = (
    "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, "
    "UCI Machine Learning Repository, 1998. https://doi.org/10.24432/C50P49"
)
_LICENCE = "CC BY 4.0"


def digits(*, validation_fraction: float = 0.1, seed: int = 0) -> Dataset:
    """Load 1,797 handwritten digits that need no network and no download.

    The data set has no official test samples: a fifth of each class (359 samples in all) is
    drawn for testing. `seed` fixes both draws, so keep it while you compare models.

    Args:
        validation_fraction: Share of all samples, drawn from each class alike, that is kept for
            validation, in `[0, 0.8)`. Defaults to 0.1.
        seed: Integer that fixes the splits. Defaults to 0.

    Returns:
        A `Dataset`; `x` has shape `(samples, 8, 8)`, float32 in `[0, 1]`, `y` is int32.

    Raises:
        ValueError: If `validation_fraction` is out of range.
        ImportError: If scikit-learn is not installed.

    Examples:
        >>> dataset = keras_dynamicgate.datasets.digits()
        >>> dataset.train.x.shape, dataset.train.y.shape
        ((1258, 8, 8), (1258,))

    Reference:
        [Optical Recognition of Handwritten Digits](https://doi.org/10.24432/C50P49)
    """
    check_validation_fraction(validation_fraction, below=1 - TEST_FRACTION)
    bundled = import_optional("sklearn.datasets", "digits").load_digits()
    x = bundled.images.astype("float32") / np.float32(16)
    y = bundled.target.astype("int32")
    train, validation, test = train_validation_and_test(y, validation_fraction, seed)
    return Dataset(
        name="digits",
        train=Split(x[train], y[train]),
        validation=Split(x[validation], y[validation]),
        test=Split(x[test], y[test]),
        class_names=tuple("0123456789"),
        citation=_CITATION,
        licence=_LICENCE,
    )
