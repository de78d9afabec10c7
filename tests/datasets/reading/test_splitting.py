import numpy as np
import pytest

from keras_dynamicgate.datasets.reading.splitting import check_validation_fraction, stratified_split

pytestmark = pytest.mark.one_backend("torch")


def test_each_class_gives_its_share():
    y = np.array([0, 0, 0, 0, 1, 1])
    kept, drawn = stratified_split(y, 0.5, seed=0)
    assert y[kept].tolist() == [0, 0, 1]
    assert y[drawn].tolist() == [0, 0, 1]


def test_the_total_is_exact_where_shares_are_not_whole():
    # Shares are 1.5 each and round(4.5) = 4, so one class gives 2 and the others 1.
    y = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    _, drawn = stratified_split(y, 0.5, seed=0)
    assert y[drawn].tolist() == [0, 0, 1, 2]


def test_the_total_is_the_nearest_whole_number():
    # .5 * 7 = 3.5 is as near to 3 as to 4; the even one counts.
    assert len(stratified_split(np.zeros(7, "int32"), 0.5, seed=0)[1]) == 4


def test_the_parts_are_disjoint_ordered_and_complete():
    kept, drawn = stratified_split(np.arange(20) % 3, 0.3, seed=5)
    assert sorted([*kept, *drawn]) == list(range(20))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(drawn) > 0).all()


def test_the_seed_alone_decides():
    y = np.zeros(50, "int32")
    first = stratified_split(y, 0.5, seed=1)[1]
    np.testing.assert_array_equal(first, stratified_split(y, 0.5, seed=1)[1])
    assert (first != stratified_split(y, 0.5, seed=2)[1]).any()


def test_fraction_zero_draws_nothing():
    kept, drawn = stratified_split(np.array([0, 1]), 0, seed=0)
    assert kept.tolist() == [0, 1]
    assert drawn.tolist() == []


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan"), "0.1", None])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"`fraction` must be .* in \[0, 1\).*Received: fraction="):
        stratified_split(np.array([0, 1]), fraction, seed=0)
    with pytest.raises(ValueError, match="Argument `validation_fraction` must be a number in"):
        check_validation_fraction(fraction)
