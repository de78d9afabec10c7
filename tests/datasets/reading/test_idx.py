import gzip
import tracemalloc

import numpy as np
import pytest

from keras_dynamicgate.datasets.reading import idx
from keras_dynamicgate.datasets.reading.idx import read_idx

pytestmark = pytest.mark.one_backend("torch")

HEADER = bytes((0, 0, 8, 1))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_bytes_come_back_in_their_shape(tmp_path, write_idx, suffix):
    array = np.arange(24).reshape(2, 3, 4)
    write_idx(tmp_path / f"file{suffix}", array)
    read = read_idx(tmp_path / f"file{suffix}", dimensions=3)
    assert read.dtype == "uint8"
    np.testing.assert_array_equal(read, array)


def test_a_stream_that_goes_on_after_what_it_announces_is_not_unpacked(tmp_path):
    path = tmp_path / "labels.gz"
    with gzip.open(path, "wb") as file:
        file.write(HEADER + (1576).to_bytes(4, "big"))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"{path} is .*damaged: its header announces 1584 bytes"):
        read_idx(path, dimensions=1)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_file_of_more_than_the_limit_is_refused(tmp_path, write_idx, monkeypatch):
    write_idx(tmp_path / "file.gz", np.zeros(1000))
    monkeypatch.setattr(idx, "LARGEST", 1007)
    with pytest.raises(ValueError, match="header announces 1008 bytes"):
        read_idx(tmp_path / "file.gz", dimensions=1)
    monkeypatch.setattr(idx, "LARGEST", 1008)
    assert len(read_idx(tmp_path / "file.gz", dimensions=1)) == 1000


@pytest.mark.parametrize("position", [-8, -1])
def test_the_checksum_at_the_end_is_checked(tmp_path, write_idx, position):
    path = tmp_path / "file.gz"
    write_idx(path, np.zeros(1000))
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is truncated or not a gzip file"):
        read_idx(path, dimensions=1)
