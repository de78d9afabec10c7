import numpy as np
import pytest

from keras_dynamicgate.datasets import digits

pytestmark = pytest.mark.one_backend("torch")


def test_digits_need_no_network_and_have_all_samples():
    dataset = digits()
    assert repr(dataset) == (
        "Dataset digits: x (8, 8) float32, 10 classes, train 1258, validation 180, test 359"
    )
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.x.dtype == "float32"
        assert split.y.dtype == "int32"
        assert split.x.min() == 0
        assert split.x.max() == 1
        assert np.unique(split.y).tolist() == list(range(10))


def test_no_sample_is_in_two_splits():
    dataset = digits()
    x = np.concatenate([split.x for split in (dataset.train, dataset.validation, dataset.test)])
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == 1797


def test_the_seed_decides_the_splits():
    np.testing.assert_array_equal(digits(seed=1).test.x, digits(seed=1).test.x)
    assert (digits(seed=1).test.x != digits(seed=2).test.x).any()


def test_validation_may_be_empty_but_not_everything():
    assert len(digits(validation_fraction=0).validation) == 0
    with pytest.raises(ValueError, match=r"\[0, 0\.8\).*Received: validation_fraction=0\.8"):
        digits(validation_fraction=0.8)
