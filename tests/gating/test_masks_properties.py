"""Masks of any logits are those of a few lines of NumPy."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_dynamicgate.gating import masks

# Backends compile for each shape, so there are few of them; ties and both zeros are frequent.
SHAPES = [(1, 1), (2, 3), (1, 8)]
VALUES = st.sampled_from([-30.0, -1.5, -1.0, -0.0, 0.0, 1e-30, 1.0, 1.5, 30.0]) | st.floats(
    -100, 100, width=32, allow_subnormal=False
)
FLOORS = st.sampled_from([0.0, 0.07, 0.125, 1 / 3, 0.5, 0.7, 1.0]) | st.floats(0, 1)
fast = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@st.composite
def logits(draw):
    rows, gates = draw(st.sampled_from(SHAPES))
    row = st.lists(VALUES, min_size=gates, max_size=gates)
    return np.array(draw(st.lists(row, min_size=rows, max_size=rows)), "float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def largest(row, k):
    """Open the k largest values; of equal ones the first."""
    order = sorted(range(len(row)), key=lambda index: (-row[index], index))
    return [float(index in order[:k]) for index in range(len(row))]


def fewest(min_open, gates):
    """Count as a user does who takes .07 of 100 for 7, whatever floating point makes of it."""
    return next(count for count in range(gates + 1) if count >= min_open * gates - 1e-9)


@fast
@given(z=logits(), data=st.data())
def test_top_k_opens_the_largest_and_of_equal_ones_the_first(z, data):
    k = data.draw(st.integers(1, z.shape[-1]))
    expected = [largest(row, k) for row in z.tolist()]
    np.testing.assert_array_equal(numpy(masks.top_k_mask(ops.array(z), k)), expected)
    # It takes the place of threshold and floor.
    mask = masks.hard_mask(ops.array(z), ops.zeros(z.shape), threshold=0.5, top_k=k, min_open=1.0)
    np.testing.assert_array_equal(numpy(mask), expected)


@fast
@given(z=logits(), threshold=st.sampled_from([0.0, 0.25, 0.5, 0.731, 1.0]), min_open=FLOORS)
def test_threshold_opens_what_lies_above_and_the_floor_the_largest_besides(z, threshold, min_open):
    p = numpy(masks.gate_probability(ops.array(z), 1.0))
    mask = masks.hard_mask(ops.array(z), ops.array(p), threshold=threshold, min_open=min_open)
    count = fewest(min_open, z.shape[-1])
    above = (p > np.float32(threshold)).astype("float32")
    expected = np.maximum(above, [largest(row, count) for row in z.tolist()])
    np.testing.assert_array_equal(numpy(mask), expected)
    assert set(numpy(mask).ravel()) <= {0.0, 1.0}
    assert (numpy(mask).sum(axis=-1) >= count).all()


@fast
@given(z=logits(), temperature=st.sampled_from([0.25, 1.0, 4.0]))
def test_probability_is_a_sigmoid_that_rises_with_the_logit(z, temperature):
    p = numpy(masks.gate_probability(ops.array(z), temperature))
    exact = [[1 / (1 + math.exp(-value / temperature)) for value in row] for row in z.tolist()]
    np.testing.assert_allclose(p, exact, rtol=1e-5, atol=1e-7)
    order = np.argsort(z, axis=-1, kind="stable")
    assert (np.diff(np.take_along_axis(p, order, axis=-1), axis=-1) >= 0).all()


@fast
@given(z=logits())
def test_straight_through_is_the_mask_bit_for_bit(z):
    p = masks.gate_probability(ops.array(z), 1.0)
    mask = masks.threshold_mask(p, 0.5)
    np.testing.assert_array_equal(numpy(masks.straight_through(mask, p)), numpy(mask))
