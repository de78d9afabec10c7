import keras
import numpy as np
import pytest

from keras_dynamicgate.plasticity import FadingAccuracy, Prequential


def test_accuracy_fades_as_the_formula_says():
    accuracy = FadingAccuracy(alpha=0.5)
    assert np.isnan(accuracy.accuracy)
    # S: 1, .5, 1.25; N: 1, 1.5, 1.75.
    np.testing.assert_allclose(accuracy.update([2, 0, 1], [2, 1, 1]), [1, 1 / 3, 5 / 7])
    # S: .625, N: 1.875.
    np.testing.assert_allclose(accuracy.update([[0.9, 0.1]], [1]), [1 / 3])


def test_without_fading_it_is_the_mean():
    np.testing.assert_allclose(FadingAccuracy(1).update([1, 0, 1], [1, 1, 1]), [1, 0.5, 2 / 3])


def test_refusals_name_the_argument():
    with pytest.raises(ValueError, match="`alpha` must be .*alpha=0"):
        FadingAccuracy(0)
    with pytest.raises(ValueError, match=r"`labels` must .*shape \(2,\), labels of shape \(3,\)"):
        FadingAccuracy().update([1, 0], [1, 0, 1])


def test_the_callback_answers_each_batch_before_it_is_learned():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.layers[0].set_weights([np.array([[1.0, 0.0], [0.0, 1.0]])])
    # Class 1 for the first feature, which the model gets wrong until it has learned it.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(10.0), loss)
    x, y = np.array([[1.0, 0.0]] * 6), np.ones(6, int)
    prequential = Prequential(x, y, batch_size=2, alpha=1.0)
    fitted = model.fit(x, y, batch_size=2, shuffle=False, verbose=0, callbacks=[prequential])
    np.testing.assert_allclose(prequential.curve, [0, 0, 1 / 3, 1 / 2, 3 / 5, 2 / 3])
    assert fitted.history["prequential_accuracy"] == pytest.approx([2 / 3])
