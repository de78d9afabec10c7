import numpy as np
import pytest

from keras_dynamicgate.latency.fit import Terms, fit, nonnegative

KNOTS = (0.0, 0.5, 1.0)


def opened(number):
    """Random open shares of an input, a hidden and an output layer."""
    return np.random.default_rng(0).uniform(0.05, 1.0, size=(number, 2))


def test_terms_are_how_far_each_share_has_climbed_and_their_products():
    # Inputs: 1 below .5 and .5 above. Outputs: .5 below .5 and 0 above.
    terms = Terms(KNOTS, KNOTS)
    np.testing.assert_allclose(terms.at(0.75, 0.25), [0.5, 0.0, 1.0, 0.5, 0.0, 0.5, 0.25, 0.0])
    assert terms.times(np.eye(8)[2]) == ((0, 0, 0), (1, 1, 1), (1, 1, 1))


def test_terms_by_macs_are_the_product_of_both_shares():
    terms = Terms(KNOTS, (0.0, 0.25, 1.0))
    assert terms.by_macs(8.0) @ terms.at(0.75, 0.5) == pytest.approx(8.0 * 0.75 * 0.5)
    one_side = Terms((1.0,), KNOTS)
    assert one_side.by_macs(8.0) @ one_side.at(1.0, 0.25) == pytest.approx(2.0)


def test_times_of_products_follow_from_those_of_whole_models():
    terms = [Terms((0.0, 1.0), (0.0, 1.0)), Terms((0.0, 1.0), (1.0,))]
    shares = [[(a, b), (b, 1.0)] for a, b in opened(40)]
    times = np.array([2.0 + 6.0 * a * b + 1.0 * a + 3.0 * b for a, b in opened(40)])
    rest, factors = fit(terms, [60, 30], shares, times)
    predicted = [
        rest + sum(f @ t.at(*pair) for f, t, pair in zip(factors, terms, pairs, strict=True))
        for pairs in shares
    ]
    np.testing.assert_allclose(predicted, times, rtol=0.02)
    assert rest == pytest.approx(2.0, rel=0.1)


def test_what_times_leave_open_is_shared_out_by_macs():
    # Two layers whose inputs one gate closes, so that no time tells them apart.
    terms = [Terms((0.0, 1.0), (1.0,)), Terms((0.0, 1.0), (1.0,))]
    shares = [[(a, 1.0), (a, 1.0)] for a, _ in opened(20)]
    times = np.array([1.0 + 4.0 * a for a, _ in opened(20)])
    rest, (large, small) = fit(terms, [300, 100], shares, times)
    assert rest == pytest.approx(1.0, rel=0.01)
    assert large[0] == pytest.approx(3.0, rel=0.01)
    assert small[0] == pytest.approx(1.0, rel=0.01)


def test_no_time_is_below_zero():
    # The straight line through these would fall.
    matrix = np.array([[1.0, 0.0], [1.0, 1.0]])
    found = nonnegative(matrix, np.array([2.0, 1.0]), np.zeros(2))
    np.testing.assert_allclose(found, [1.5, 0.0], atol=1e-9)
