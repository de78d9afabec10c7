import pytest

from keras_dynamicgate.baselines.spreading import kept_counts


@pytest.mark.parametrize(
    ("shapes", "sparsity", "distribution", "counts"),
    [
        # 8 of 16 weights in proportion to 8 and 5.
        ([(6, 2), (4, 1)], 0.5, "erk", [5, 3]),
        ([(6, 2), (4, 1)], 0.5, "uniform", [6, 2]),
        # The small layer has room for 4 only; the rest of 1000.4 goes to the large one.
        ([(100, 100), (2, 2)], 0.9, "erk", [996, 4]),
        ([(100, 100), (2, 2)], 0.9, "uniform", [1000, 1]),
        ([(3, 2)], 0.0, "erk", [6]),
    ],
)
def test_distributions_spread_the_weights_as_worked_out_by_hand(
    shapes, sparsity, distribution, counts
):
    assert kept_counts(shapes, [sparsity] * len(shapes), distribution) == counts
