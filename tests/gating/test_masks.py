import math

import keras
import numpy as np
import pytest
from harness import gradient
from keras import ops

from keras_dynamicgate.gating import masks


def numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def test_gate_probability_is_a_sigmoid_of_the_logit_over_the_temperature():
    probability = masks.gate_probability(ops.array([0.0, math.log(9.0), 2 * math.log(3.0)]), 2.0)
    np.testing.assert_allclose(numpy(probability), [0.5, 0.75, 0.75], rtol=1e-6)


def test_threshold_opens_strictly_above():
    mask = masks.threshold_mask(ops.array([0.25, 0.5, 0.75]), 0.5)
    np.testing.assert_array_equal(numpy(mask), [0, 0, 1])


def test_top_k_opens_exactly_k():
    mask = masks.top_k_mask(ops.array([[3.0, 1.0, 2.0, 0.0], [0.0, 1.0, 2.0, 3.0]]), 2)
    np.testing.assert_array_equal(numpy(mask), [[1, 0, 1, 0], [0, 0, 1, 1]])


def test_top_k_breaks_ties_by_index():
    mask = masks.top_k_mask(ops.array([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]), 2)
    np.testing.assert_array_equal(numpy(mask), [[1, 1, 0, 0], [0, 1, 1, 0]])


def test_min_open_keeps_exactly_its_share_when_all_logits_are_equal():
    logits = ops.full((1, 4), -5.0)
    mask = masks.hard_mask(logits, ops.sigmoid(logits), threshold=0.5, min_open=0.5)
    np.testing.assert_array_equal(numpy(mask), [[1, 1, 0, 0]])


def test_min_open_closes_nothing_that_the_threshold_opens():
    logits = ops.array([[5.0, 4.0, 3.0, -5.0]])
    mask = masks.hard_mask(logits, ops.sigmoid(logits), threshold=0.5, min_open=0.5)
    np.testing.assert_array_equal(numpy(mask), [[1, 1, 1, 0]])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_straight_through_is_exactly_the_mask_forward(dtype):
    probability = ops.cast(np.random.default_rng(0).uniform(size=1000), dtype)
    mask = ops.cast(probability > 0.5, dtype)
    gate = masks.straight_through(mask, probability)
    np.testing.assert_array_equal(numpy(gate), numpy(mask))
    assert set(numpy(gate)) == {0.0, 1.0}


def test_straight_through_has_the_gradient_of_the_probability():
    # d/dz sum(weight * sigmoid(z)) = weight * p * (1 - p), with p = 3/4 and 1/4.
    def loss(logits):
        probability = ops.sigmoid(logits)
        mask = masks.threshold_mask(probability, 0.5)
        return ops.sum(ops.array([16.0, 32.0]) * masks.straight_through(mask, probability))

    logits = np.array([math.log(3.0), -math.log(3.0)], "float32")
    np.testing.assert_allclose(gradient(loss, logits), [3.0, 6.0], rtol=1e-6)


def test_bernoulli_opens_with_the_given_probability():
    seed = keras.random.SeedGenerator(0)
    mask = masks.bernoulli_mask(ops.array([[0.0, 0.25, 1.0]]), (20000, 3), seed)
    means = numpy(mask).mean(axis=0)
    assert means[0] == 0
    assert means[2] == 1
    assert abs(means[1] - 0.25) < 0.02


def test_logistic_noise_opens_with_the_probability_of_the_gate():
    seed = keras.random.SeedGenerator(0)
    noise = masks.logistic_noise((20000,), seed)
    logit = math.log(0.25 / 0.75)
    assert abs(np.mean(numpy(noise) + logit > 0) - 0.25) < 0.02
