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


def test_uniform_noise_is_uniform():
    uniform = numpy(masks.uniform_noise((100, 200, 3), keras.random.SeedGenerator(0)))
    for quarter in range(1, 4):
        share = (uniform < quarter / 4).mean(axis=(0, 1))
        np.testing.assert_allclose(share, quarter / 4, atol=0.02)


def test_any_two_numbers_of_uniform_noise_are_independent():
    below = numpy(masks.uniform_noise((500, 4000), keras.random.SeedGenerator(0))) < 0.3
    # Two gates of a sample, two samples of a gate, and two of neither: 3/10 times 3/10 each.
    pairs = [
        below[:, ::2] & below[:, 1::2],
        below[::2] & below[1::2],
        below[::2, ::2] & below[1::2, 1::2],
    ]
    np.testing.assert_allclose([pair.mean() for pair in pairs], 0.09, atol=0.01)


def test_samples_rank_gates_in_orders_of_their_own():
    # Orders of 4 gates: 4 if each sample turned the same circle, 24 if they are independent.
    noise = numpy(masks.uniform_noise((500, 4), keras.random.SeedGenerator(0), ranked=True))
    assert len({tuple(order) for order in noise.argsort(axis=-1)}) == 24


@pytest.mark.parametrize(
    ("scale", "low", "high"), [(1.0, 0.0, 1.0), (0.5, 0.25, 0.75), (0, 0.5, 0.5)]
)
def test_scale_draws_uniform_noise_towards_one_half(scale, low, high):
    uniform = numpy(masks.uniform_noise((50, 50), 1, scale))
    np.testing.assert_allclose([uniform.min(), uniform.max()], [low, high], atol=0.01)
    assert uniform.min() > 0
    assert uniform.max() < 1


def test_noisy_probability_is_a_sigmoid_after_logistic_noise():
    # Odds multiply: 3 to 1 and 1 to 3 make 1 to 1, 3 to 1 and 3 to 1 make 9 to 1.
    probability, uniform = ops.array([0.75, 0.75, 0.25]), ops.array([0.25, 0.75, 0.75])
    np.testing.assert_allclose(
        numpy(masks.noisy_probability(probability, uniform)), [0.5, 0.9, 0.5], rtol=1e-6
    )
    logits, uniform = np.meshgrid(np.linspace(-9, 9, 13), np.linspace(0.01, 0.99, 13))
    noise = numpy(masks.logistic_noise(ops.cast(uniform, "float32")))
    probability = ops.sigmoid(ops.cast(logits, "float32"))
    noisy = numpy(masks.noisy_probability(probability, ops.cast(uniform, "float32")))
    np.testing.assert_allclose(noisy, 1 / (1 + np.exp(-logits - noise)), rtol=1e-4, atol=1e-6)


def test_noisy_probability_of_gates_that_are_all_open_or_closed_is_that():
    uniform = masks.uniform_noise((1000, 2), 1)
    noisy = masks.noisy_probability(ops.array([[0.0, 1.0]]), uniform)
    np.testing.assert_array_equal(numpy(noisy), [[0.0, 1.0]] * 1000)


@pytest.mark.parametrize("probability", [0.05, 0.25, 0.9])
def test_noisy_probability_lies_above_one_half_as_often_as_the_gate_is_open(probability):
    uniform = masks.uniform_noise((20000, 1), keras.random.SeedGenerator(0))
    noisy = numpy(masks.noisy_probability(ops.full((1, 1), probability), uniform))
    assert abs(np.mean(noisy > 0.5) - probability) < 0.02


def test_gradient_of_the_noisy_mask_is_that_of_a_threshold_after_logistic_noise():
    uniform = ops.array([[0.25, 0.75], [0.5, 0.25]])
    weights = ops.array([[16.0, 100.0], [32.0, 64.0]])

    def noisy_mask(logits):
        probability = masks.gate_probability(logits, 2.0)
        noisy = ops.stop_gradient(masks.noisy_probability(probability, uniform))
        mask = masks.straight_to_logits(masks.threshold_mask(noisy, 0.5), noisy, logits / 2.0)
        return ops.sum(weights * mask)

    def as_defined(logits):
        noise = ops.log(uniform) - ops.log1p(-uniform)
        probability = masks.gate_probability(logits + 2.0 * noise, 2.0)
        mask = masks.threshold_mask(probability, 0.5)
        return ops.sum(weights * masks.straight_through(mask, probability))

    logits = np.array([[2 * math.log(3.0)] * 2], "float32")
    # p = 3/4; after the draws 1/2 and 9/10, then 3/4 and 1/2, whose p (1 - p) / 2 is
    # 1/8 and 9/200, then 3/32 and 1/8: 16/8 + 32 * 3/32 and 100 * 9/200 + 64/8.
    np.testing.assert_allclose(gradient(noisy_mask, logits), [[5.0, 12.5]], rtol=1e-5)
    np.testing.assert_allclose(gradient(as_defined, logits), [[5.0, 12.5]], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_straight_to_logits_is_exactly_the_mask_forward(dtype):
    random = np.random.default_rng(0)
    probability = ops.cast(random.uniform(size=(10, 100)), dtype)
    mask = ops.cast(probability > 0.5, dtype)
    logits = ops.cast(random.normal(size=(1, 100)), dtype)
    gate = masks.straight_to_logits(mask, probability, logits)
    np.testing.assert_array_equal(numpy(gate), numpy(mask))
