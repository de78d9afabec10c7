import codecs
import io
import pickle
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_dynamicgate.datasets import cifar10

pytestmark = pytest.mark.one_backend("torch")

PIXELS = np.zeros((4, 3, 32, 32), "uint8")
PIXELS[:, 0] = 255  # red everywhere
PIXELS[:, 2, 5, 7] = 51  # a little blue in row 5, column 7
LABELS = [0, 0, 9, 9]


def write_batch(path, pixels=PIXELS, labels=LABELS):
    batch = {b"data": pixels.reshape(len(pixels), -1), b"labels": labels}
    path.write_bytes(pickle.dumps(batch, protocol=2))


def write_python2_batch(path):
    """Writes the opcodes that Python 2, in which the originals were made, wrote."""
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff"
    pixels = struct.pack("<i", PIXELS.size) + PIXELS.tobytes()
    path.write_bytes(
        b"\x80\x02}(U\x04data"
        + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01K\x04M\x00\x0c\x86"  # the array's shape: (4, 3072)
        + dtype + b"K\x00tb\x89T" + pixels + b"tb"
        + b"U\x06labels](K\x00K\x00K\x09K\x09eu."
    )  # fmt: skip


def write_subset(path, **changed):
    images = PIXELS.transpose(0, 2, 3, 1)
    arrays = {"x_train": images, "y_train": LABELS, "x_test": images[:1], "y_test": LABELS[:1]}
    np.savez(path, **(arrays | changed))


@pytest.fixture
def batches(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"):
        write_batch(folder / name)
    write_batch(folder / "test_batch", PIXELS[:1], LABELS[:1])
    return folder


@pytest.fixture
def subset(tmp_path):
    path = tmp_path / "cifar10_subset_4_1.npz"
    write_subset(path)
    return path


def test_python_batches_are_read_from_their_folder_or_the_one_above(batches):
    for folder in (batches, batches.parent):
        dataset = cifar10(folder, validation_fraction=0.2)
        assert repr(dataset) == (
            "Dataset cifar10: x (32, 32, 3) float32, 10 classes, train 16, validation 4, test 1"
        )
        np.testing.assert_allclose(dataset.test.x[0, 5, 7], [1, 0, 0.2])
        np.testing.assert_allclose(dataset.test.x[0, 7, 5], [1, 0, 0])


def test_batches_written_by_python_2_are_read(batches):
    write_python2_batch(batches / "test_batch")
    test = cifar10(batches).test
    assert test.y.tolist() == LABELS
    np.testing.assert_allclose(test.x[3, 5, 7], [1, 0, 0.2])


def test_a_subset_file_is_read(subset):
    dataset = cifar10(subset.parent, validation_fraction=0.5)
    assert dataset.train.y.tolist() == [0, 9]
    np.testing.assert_allclose(dataset.train.x[0, 5, 7], [1, 0, 0.2])


def test_a_missing_batch_is_named(batches):
    (batches / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match="must hold data_batch_3. Received: data_dir="):
        cifar10(batches)


def test_an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py or exactly one file"):
        cifar10(tmp_path)


def test_two_subset_files_are_refused(subset):
    write_subset(subset.with_name("cifar10_subset_8_2.npz"))
    with pytest.raises(FileNotFoundError, match="exactly one file.*with 2 such files"):
        cifar10(subset.parent)


def test_a_truncated_batch_is_named(batches):
    path = batches / "data_batch_2"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{path} is not a complete CIFAR-10 batch"):
        cifar10(batches)


def test_a_batch_cannot_run_code(batches):
    (batches / "data_batch_1").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(ValueError, match="data_batch_1 is not a complete.*asks for.*print"):
        cifar10(batches)


def test_a_batch_with_too_few_labels_is_named(batches):
    write_batch(batches / "data_batch_4", labels=LABELS[:3])
    with pytest.raises(ValueError, match="data_batch_4 must hold one label for each"):
        cifar10(batches)


def test_labels_outside_the_classes_name_the_batch(batches):
    write_batch(batches / "data_batch_4", labels=[0, 0, 9, 10])
    with pytest.raises(ValueError, match="data_batch_4 must be in .*Received: label=10"):
        cifar10(batches)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([0, 0, 9, 3.7], "float"), ([0, 0, 9, float("nan")], "float"), (["0", "0", "9", "9"], "str")],
)
def test_labels_that_are_not_integers_name_the_batch(batches, labels, kind):
    write_batch(batches / "data_batch_4", labels=labels)
    with pytest.raises(ValueError, match=f"data_batch_4 .*it holds labels of the type {kind}"):
        cifar10(batches)


class UnknownCodec:
    def __reduce__(self):
        return codecs.encode, ("x", "nonsense")


@pytest.mark.parametrize("data", [None, [0] * 3072, UnknownCodec()])
def test_a_batch_without_an_array_is_named(batches, data):
    path = batches / "data_batch_4"
    path.write_bytes(pickle.dumps({b"data": data, b"labels": [0]}, protocol=2))
    with pytest.raises(ValueError, match=f"{path} is not a complete CIFAR-10 batch"):
        cifar10(batches)


def test_a_truncated_subset_is_named(subset):
    subset.write_bytes(subset.read_bytes()[:-200])
    with pytest.raises(ValueError, match=f"{subset} must be a complete npz file"):
        cifar10(subset.parent)


def write_deflated(path):
    images = io.BytesIO()
    np.save(images, np.arange(256, dtype="uint8"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x_train.npy", images.getvalue())


def test_a_subset_with_a_damaged_stream_is_named(subset):
    write_deflated(subset)
    content = bytearray(subset.read_bytes())
    start = 30 + len("x_train.npy")
    content[start : start + 20] = b"\xff" * 20
    subset.write_bytes(content)
    with pytest.raises(ValueError, match=f"{subset} must be a complete npz file"):
        cifar10(subset.parent)


@pytest.mark.parametrize("header", [b"{'descr': (((((", b"{'descr': '|u1'", b"\xff\xfe", b"f(1)"])
def test_a_subset_with_a_damaged_header_is_named(subset, header):
    with zipfile.ZipFile(subset, "w") as file:
        size = struct.pack("<H", len(header))
        file.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + size + header)
    with pytest.raises(ValueError, match=f"{subset} must be a complete npz file"):
        cifar10(subset.parent)


def test_a_subset_that_unpacks_to_too_much_is_refused_before_it_is(subset, monkeypatch):
    # The function hides the module of the same name.
    monkeypatch.setattr(sys.modules[cifar10.__module__], "LARGEST", 1 << 20)
    np.savez_compressed(subset, x_train=np.zeros(64 << 20, "uint8"))
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"{subset} must be a complete npz file.*it unpacks to"):
        cifar10(subset.parent)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_one_array_in_place_of_a_subset_is_named(subset):
    with subset.open("wb") as file:
        np.save(file, PIXELS)
    with pytest.raises(ValueError, match=f"{subset} must be a complete npz file"):
        cifar10(subset.parent)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y_train": [0, 0, 9, 10]}, r"must be in \[0, 10\)\. Received: label=10"),
        ({"y_test": [-1]}, r"must be in \[0, 10\)\. Received: label=-1"),
        ({"y_train": [0, 0, 9, 3.7]}, r"must be integers\. Received: dtype=float64"),
        ({"y_test": [float("nan")]}, r"must be integers\. Received: dtype=float64"),
        ({"y_train": [0, 0, 9]}, r"each with a label"),
        ({"x_train": np.zeros((4, 28, 28, 3), "uint8")}, r"images \(4, 28, 28, 3\)"),
    ],
)
def test_a_wrong_subset_is_named(subset, changed, message):
    write_subset(subset, **changed)
    with pytest.raises(ValueError, match=f"{subset.name} .*{message}"):
        cifar10(subset.parent)


def test_the_real_subset_has_its_counts(real_data):
    dataset = cifar10(real_data("cifar10"))
    assert repr(dataset) == (
        "Dataset cifar10: x (32, 32, 3) float32, 10 classes, train 9000, validation 1000, test 2000"
    )
    assert np.bincount(dataset.train.y).tolist() == [900] * 10
    assert np.bincount(dataset.validation.y).tolist() == [100] * 10
    assert np.bincount(dataset.test.y).tolist() == [200] * 10
    assert dataset.train.x.min() >= 0
    assert dataset.train.x.max() == 1
