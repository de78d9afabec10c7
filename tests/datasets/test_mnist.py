import gzip

import numpy as np
import pytest

from keras_dynamicgate.datasets import mnist

pytestmark = pytest.mark.one_backend("torch")

IMAGES = np.stack([np.full((28, 28), value) for value in (0, 51, 255, 255)])
LABELS = np.array([3, 3, 9, 9])
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(params=["", ".gz"])
def folder(request, tmp_path, write_idx):
    for name, array in zip(NAMES, (IMAGES, LABELS, IMAGES[:1], LABELS[:1]), strict=True):
        write_idx(tmp_path / (name + request.param), array)
    return tmp_path


def only(folder, name):
    return next(folder.glob(f"{name}*"))


def test_originals_are_read_compressed_or_not(folder):
    dataset = mnist(folder, validation_fraction=0.5)
    assert sorted(dataset.train.y.tolist() + dataset.validation.y.tolist()) == [3, 3, 9, 9]
    assert dataset.train.y.tolist() == [3, 9]
    assert dataset.test.x.shape == (1, 28, 28)
    whole = mnist(folder, validation_fraction=0).train
    np.testing.assert_allclose(whole.x[:, 0, 0], [0, 0.2, 1, 1])
    assert whole.x.dtype == "float32"
    assert whole.y.dtype == "int32"


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder, name):
    only(folder, name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}.gz or {name}.*Received: data_dir="):
        mnist(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data_dir` must be a folder.*Received: data_dir="):
        mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kept", [0, 3, 6, -1])
def test_a_truncated_file_is_named(folder, name, kept):
    path = only(folder, name)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{name}.* is (truncated|not an idx file)"):
        mnist(folder)


def test_a_truncated_stream_inside_a_whole_gzip_file_is_named(tmp_path, folder):
    path = tmp_path / f"{NAMES[0]}.gz"
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + bytes(4)))
    with pytest.raises(ValueError, match=f"{path} is truncated"):
        mnist(folder)


def test_swapped_files_are_noticed(folder):
    images, labels = only(folder, NAMES[0]), only(folder, NAMES[1])
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(content)
    with pytest.raises(ValueError, match=f"{images} is not an idx file.*with 3 axes"):
        mnist(folder)


def test_labels_outside_the_classes_name_the_file(folder, write_idx):
    path = only(folder, NAMES[1])
    write_idx(path, np.array([3, 3, 10, 9]))
    with pytest.raises(ValueError, match=rf"{path} must be in \[0, 10\)\. Received: label=10"):
        mnist(folder)


def test_images_without_labels_name_both_files(folder, write_idx):
    path = only(folder, NAMES[1])
    write_idx(path, LABELS[:3])
    with pytest.raises(ValueError, match=f"{path} must hold the same number.*4 images, 3 labels"):
        mnist(folder)


@pytest.mark.parametrize(("part", "count"), [("train", 4), ("t10k", 1)])
@pytest.mark.parametrize("size", [(28, 27), (32, 32), (0, 28)])
def test_images_of_another_size_name_the_file(folder, write_idx, part, count, size):
    path = only(folder, f"{part}-images")
    write_idx(path, np.zeros((count, *size)))
    with pytest.raises(
        ValueError, match=rf"{path} must hold 28 x 28 .*Received: shape=\({count}, "
    ):
        mnist(folder)


def test_a_header_that_announces_more_than_64_bits_is_named(tmp_path, folder):
    path = only(folder, NAMES[0])
    content = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (2**31, 2**31, 4))
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    with pytest.raises(ValueError, match=f"{path} is truncated or damaged"):
        mnist(folder)


def test_the_real_files_have_the_published_counts(real_data):
    dataset = mnist(real_data("mnist"))
    assert repr(dataset) == (
        "Dataset mnist: x (28, 28) float32, 10 classes, train 54000, validation 6000, test 10000"
    )
    counts = np.bincount(np.concatenate([dataset.train.y, dataset.validation.y]))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(dataset.validation.y).tolist() == [
        592, 674, 596, 613, 584, 542, 592, 627, 585, 595,
    ]  # fmt: skip
    assert dataset.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert dataset.train.x.max() == 1
    assert dataset.train.x.mean() == pytest.approx(0.1307, abs=1e-3)
