import keras
import numpy as np
import pytest

from keras_dynamicgate.plasticity.samples import checked_samples

X = np.ones((2, 4), "float32")


@pytest.fixture(scope="module")
def model():
    """A model of 3 classes."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


LABELS = [[0, 2], [[0], [2]], [0.0, 2.0], np.eye(3)[:2], [[-1.0, 9.0, 0.5]] * 2]


@pytest.mark.parametrize("y", LABELS)
def test_classes_and_numbers_for_each_output_are_labels(model, y):
    x, labels = checked_samples(model, X.tolist(), y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(labels, y)


@pytest.mark.parametrize("y", [[0, 3], [[-1], [3]], [0.5, 3.0]])
def test_labels_outside_the_classes_are_refused(model, y):
    with pytest.raises(ValueError, match=r"`y` must hold classes from 0 to 2.*Received: labels"):
        checked_samples(model, X, y)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (X, [0], r"`y` must hold a label for each sample.*y of shape \(1,\)"),
        (X, 0, "`y` must hold a label for each sample"),
        (X, None, "`y` must be an array of numbers. Received: y with a NoneType"),
        (X, ["a", "b"], "`y` must be an array of numbers. Received: y with a list"),
        ([[1.0], [1.0, 2.0]], [0, 1], "`x` must be an array of numbers. Received: x with a list"),
        (X[:, :3], [0, 1], r"`x` must hold samples of shape \(4,\).*shape \(2, 3\)"),
        (X * np.nan, [0, 1], "`x` must hold numbers. Received: NaN"),
        (X, [[0.0, np.nan, 1.0]] * 2, "`y` must hold numbers. Received: NaN"),
        (X[:0], [], "`x` must hold at least one sample"),
    ],
)
def test_what_is_no_sample_or_label_is_refused_by_name(model, x, y, match):
    with pytest.raises(ValueError, match=match):
        checked_samples(model, x, y)
