import numpy as np
import pytest
from harness import gradient
from keras import ops

from keras_dynamicgate.latency.product_times import ProductTimes

# 2 ms for reading, 4 more for computing, of which the first half of the units takes 3.
TIMES = ProductTimes("a", 0, (0.0, 1.0), (0.0, 0.5, 1.0), ((0, 0, 0), (2, 5, 6)))


@pytest.mark.parametrize(
    ("inputs", "outputs", "milliseconds"),
    [
        (1.0, 1.0, 6.0),
        (1.0, 0.5, 5.0),
        (1.0, 0.25, 3.5),
        (0.5, 0.75, 2.75),
        (0.0, 1.0, 0.0),
        (1.0, 0.0, 2.0),
    ],
)
def test_time_is_linear_between_measured_shares_in_both_directions(inputs, outputs, milliseconds):
    assert float(TIMES.at(np.float64(inputs), np.float64(outputs))) == milliseconds
    tensors = (ops.convert_to_tensor(each, "float32") for each in (inputs, outputs))
    assert float(ops.convert_to_numpy(TIMES.at(*tensors, xp=ops))) == milliseconds


def test_many_shares_are_looked_up_at_once():
    inputs, outputs = ops.array([1.0, 0.5, 0.0]), ops.array([0.5, 0.75, 0.5])
    found = ops.convert_to_numpy(TIMES.at(inputs, outputs, xp=ops))
    np.testing.assert_allclose(found, [5.0, 2.75, 0.0])


def test_beyond_the_smallest_measured_share_nothing_is_saved():
    times = ProductTimes("a", 0, (0.5, 1.0), (1.0,), ((2.0,), (4.0,)))
    shares = np.array([0.25, 0.5, 0.75])
    np.testing.assert_array_equal(times.at(shares, np.ones(3)), [2.0, 2.0, 3.0])


def test_gradient_is_the_slope_between_measured_shares():
    def of_outputs(share):
        return TIMES.at(ops.convert_to_tensor(1.0), share, xp=ops)

    def of_inputs(share):
        return TIMES.at(share, ops.convert_to_tensor(0.75), xp=ops)

    assert float(gradient(of_outputs, np.float32(0.25))) == pytest.approx(6.0)
    assert float(gradient(of_outputs, np.float32(0.75))) == pytest.approx(2.0)
    assert float(gradient(of_inputs, np.float32(0.75))) == pytest.approx(5.5)


def test_closing_never_makes_it_dearer():
    noisy = ProductTimes("a", 0, (0.0, 0.5, 1.0), (0.5, 1.0), ((1.0, 0.5), (3.0, 2.0), (2.0, 4.0)))
    assert noisy.milliseconds == ((1.0, 1.0), (3.0, 3.0), (3.0, 4.0))
    assert noisy.full == 4.0


@pytest.mark.parametrize(
    ("shares", "milliseconds"),
    [
        ((0.0, 1.0), ((1.0,),)),
        ((1.0, 0.0), ((1.0,), (2.0,))),
        ((1.0,), ((-1.0,),)),
        ((1.0,), ((float("nan"),),)),
        ((), ()),
    ],
)
def test_times_that_do_not_fit_their_shares_are_refused_by_layer(shares, milliseconds):
    with pytest.raises(ValueError, match=r"`milliseconds` must hold a number .* of layer 'hidden'"):
        ProductTimes("hidden", 0, shares, (1.0,), milliseconds)
