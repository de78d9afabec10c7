import math

import keras
import numpy as np
import pytest
from harness import gradient
from keras import ops

import keras_dynamicgate as kdg

PROBABILITY = np.array([[1.0, 0.0], [1.0, 1.0]], "float32")  # usage 0.75


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (kdg.UsagePenalty(0.5), 0.375),
        (kdg.TargetUsage(0.25, weight=2.0), 1.0),
        (kdg.TargetUsage(0.8, weight=2.0), 0.0),
        (kdg.TargetUsage(0.25, weight=2.0, mode="squared"), 0.5),
        (kdg.TargetUsage(1.0, weight=2.0, mode="squared"), 0.125),
    ],
)
def test_penalty_equals_the_value_worked_out_by_hand(penalty, expected):
    assert float(penalty(ops.convert_to_tensor(PROBABILITY))) == pytest.approx(expected)


def test_usage_penalty_does_not_depend_on_batch_size_or_number_of_gates():
    penalty = kdg.UsagePenalty(1.0)
    once = float(penalty(ops.array([[0.25, 0.75]])))
    assert float(penalty(ops.tile(ops.array([[0.25, 0.75]]), (8, 4)))) == pytest.approx(once)


def test_usage_penalty_spreads_its_gradient_over_the_gates():
    # d/dz of weight * mean(sigmoid(z)) = weight / 2 * p * (1 - p) with p = 1/2 and 3/4.
    logits = np.array([0.0, math.log(3.0)], "float32")
    slope = gradient(lambda z: kdg.UsagePenalty(4.0)(ops.sigmoid(z)), logits)
    np.testing.assert_allclose(slope, [0.5, 0.375], rtol=1e-6)


def test_hinge_has_no_gradient_below_the_target():
    slope = gradient(lambda p: kdg.TargetUsage(0.8, weight=2.0)(p), PROBABILITY)
    np.testing.assert_array_equal(slope, np.zeros((2, 2)))


@pytest.mark.parametrize(
    "penalty", [kdg.UsagePenalty(0.5), kdg.TargetUsage(0.25, weight=2.0, mode="squared")]
)
def test_penalty_survives_a_round_trip_through_its_config(penalty):
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(penalty))
    assert type(copy) is type(penalty)
    assert copy.get_config() == penalty.get_config()


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, "1", None])
def test_usage_penalty_refuses_a_weight_that_is_no_price(weight):
    with pytest.raises(ValueError, match=r"`weight` must be a number of at least 0. Received"):
        kdg.UsagePenalty(weight)


def test_target_usage_refuses_what_no_usage_can_reach():
    with pytest.raises(ValueError, match=r"`target` must be a number from 0 to 1"):
        kdg.TargetUsage(1.5, weight=1.0)
    with pytest.raises(ValueError, match=r"`mode` must be one of 'hinge', 'squared'"):
        kdg.TargetUsage(0.5, weight=1.0, mode="cubed")
