import errno
import os
import time

import numpy as np
import pytest

from keras_dynamicgate.datasets.reading.feature_cache import cached_arrays, digest_files

pytestmark = pytest.mark.one_backend("torch")


@pytest.fixture
def counted():
    def compute():
        compute.calls += 1
        return {"features": np.array([1.5, 2.5], "float32")}

    compute.calls = 0
    return compute


def test_arrays_are_computed_once_for_one_key(tmp_path, counted):
    for _ in range(2):
        arrays = cached_arrays(tmp_path, {"hop": 320}, counted)
        assert arrays["features"].tolist() == [1.5, 2.5]
    assert counted.calls == 1
    cached_arrays(tmp_path, {"hop": 160}, counted)
    assert counted.calls == 2


def test_a_damaged_cache_file_is_computed_again(tmp_path, counted):
    cached_arrays(tmp_path, "key", counted)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:60], whole[:-30]):
        path.write_bytes(damaged)
        assert cached_arrays(tmp_path, "key", counted)["features"].tolist() == [1.5, 2.5]
    assert counted.calls == 4
    assert path.read_bytes() == whole


def test_a_cache_file_with_any_flipped_byte_is_computed_again_or_right(tmp_path, counted):
    cached_arrays(tmp_path, "key", counted)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 0xFF
        path.write_bytes(content)
        assert cached_arrays(tmp_path, "key", counted)["features"].tolist() == [1.5, 2.5]


def test_old_leftovers_go_also_when_the_arrays_are_there(tmp_path, counted):
    cached_arrays(tmp_path, "key", counted)
    (path,) = tmp_path.iterdir()
    old = path.with_name(f".{path.name}.1.part")
    old.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    cached_arrays(tmp_path, "key", counted)
    assert list(tmp_path.iterdir()) == [path]


def test_a_digest_covers_names_and_content_wherever_the_folder_lies(tmp_path):
    def digest(folder, **files):
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_text(content)
        return digest_files(sorted((tmp_path / folder).iterdir()), tmp_path / folder)

    first = digest("first", a="1", b="2")
    assert digest("moved", a="1", b="2") == first
    others = [digest("x", a="2", b="1"), digest("y", a="1", c="2"), digest("z", a="12", b="")]
    assert len({first, *others}) == 4


def test_a_failed_computation_leaves_no_cache_file(tmp_path):
    def compute():
        raise ValueError("unreadable clip")

    with pytest.raises(ValueError, match="unreadable clip"):
        cached_arrays(tmp_path, "key", compute)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_gives_a_warning_and_the_features(tmp_path, counted, monkeypatch):
    def refuse(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", refuse)
    with pytest.warns(UserWarning, match=f"could not be kept in {tmp_path}.*No space left"):
        arrays = cached_arrays(tmp_path, "key", counted)
    assert arrays["features"].tolist() == [1.5, 2.5]
    assert list(tmp_path.iterdir()) == []
