import pickle

import numpy as np
import pytest

from keras_dynamicgate.datasets.reading.cifar_batches import read_batches

pytestmark = pytest.mark.one_backend("torch")


def opcodes(value):
    return pickle.dumps(value, protocol=2)[2:-1]


def array(dtype, flags, shape, content):
    """Writes an array whose dtype claims to have other flags than it has."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + opcodes(shape) + b"cnumpy\ndtype\n" + opcodes((dtype, False, True))
        + b"R" + opcodes((3, "|", None, None, None, -1, -1, flags)) + b"b\x89"
        + b"T" + len(content).to_bytes(4, "little") + content + b"tb"
    )  # fmt: skip


def write_batch(path, labels):
    data = array("u1", 0, (1, 3072), bytes(3072))
    path.write_bytes(b"\x80\x02}(U\x04data" + data + b"U\x06labels" + labels + b"u.")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data_batch_1"


def test_a_batch_is_read(path):
    write_batch(path, opcodes([7]))
    images, labels = read_batches([path, path])
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == "uint8"
    assert labels.tolist() == [7, 7]


def test_bytes_that_claim_to_be_objects_do_not_crash_the_interpreter(path):
    write_batch(path, b"](" + array("O", 0, (1,), b"A" * 8) + b"e")
    with pytest.raises(ValueError, match=f"{path} is not a complete CIFAR-10 batch"):
        read_batches([path])


def test_a_few_bytes_cannot_ask_for_any_number_of_labels(path):
    labels = [1] * 16
    for _ in range(30):
        labels = [labels] * 16
    write_batch(path, opcodes(labels))
    with pytest.raises(ValueError, match=f"{path} .*it holds labels of the type list"):
        read_batches([path])


def test_a_few_bytes_cannot_ask_for_any_amount_of_memory(path):
    # The number under which the value is to be remembered.
    path.write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    with pytest.raises(ValueError, match=f"{path} is not a complete CIFAR-10 batch"):
        read_batches([path])


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_pixels_of_another_type_are_named(path, dtype):
    batch = {b"data": np.zeros((1, 3072), dtype), b"labels": [0]}
    path.write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(ValueError, match=f"{path} .*another type than uint8"):
        read_batches([path])


@pytest.mark.parametrize("order", ["C", "F"])
def test_pixels_keep_their_places_whatever_their_order(path, order):
    pixels = np.arange(2 * 3072).astype("uint8").reshape(2, 3072)
    batch = {b"data": np.array(pixels, order=order), b"labels": [0, 1]}
    path.write_bytes(pickle.dumps(batch, protocol=2))
    images, _ = read_batches([path])
    np.testing.assert_array_equal(images.transpose(0, 3, 1, 2).reshape(2, 3072), pixels)
