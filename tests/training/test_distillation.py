import keras
import numpy as np
import pytest
from keras import ops

from keras_dynamicgate.training.distillation import DistillationLoss, label_accuracy


def test_loss_weighs_label_and_teacher():
    # The student is undecided, so both cross-entropies are log 2, whatever label and teacher say.
    loss = DistillationLoss(weight=0.25, temperature=3.0)
    value = loss(ops.array([[1.0, 5.0, -5.0]]), ops.array([[0.0, 0.0]]))
    assert float(value) == pytest.approx((0.75 + 0.25 * 9) * np.log(2), rel=1e-6)


def test_loss_without_a_teacher_is_cross_entropy_and_without_labels_ignores_them():
    student = ops.array([[np.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    first, second = ops.array([[0.0, 9.0, -9.0]]), ops.array([[1.0, 9.0, -9.0]])
    assert float(DistillationLoss(weight=0.0)(first, student)) == pytest.approx(-np.log(0.75))
    assert float(DistillationLoss(weight=0.0)(second, student)) == pytest.approx(-np.log(0.25))
    both = [float(DistillationLoss(weight=1.0)(each, student)) for each in (first, second)]
    assert both[0] == both[1]


def test_loss_keeps_its_settings():
    loss = keras.losses.deserialize(keras.losses.serialize(DistillationLoss(0.1, 4.0)))
    assert (loss.weight, loss.temperature) == (0.1, 4.0)


def test_accuracy_compares_with_the_label_and_not_with_the_teacher():
    targets = ops.array([[1.0, 9.0, -9.0], [0.0, 9.0, -9.0]])
    correct = label_accuracy(targets, ops.array([[-1.0, 1.0], [-1.0, 1.0]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(correct), [1.0, 0.0])
