import os
import time

import numpy as np
import pytest

from keras_dynamicgate.datasets.reading.download import cache_folder
from keras_dynamicgate.datasets.reading.feature_cache import cached_arrays, digest_files
from keras_dynamicgate.utils.files import remove_leftovers, written_at_once


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "features"
    with written_at_once(path) as part:
        part.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path, error):
    with written_at_once(path) as part:
        part.mkdir()
        (part / "a").touch()
        raise error


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_interrupted_folder_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        write_half(tmp_path / "images", error)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_file_leaves_nothing(tmp_path):
    def write(path):
        with written_at_once(path) as part:
            part.write_text("half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "features")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_finished_is_kept(tmp_path):
    with written_at_once(tmp_path / "images") as part:
        part.mkdir()
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "theirs").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["images", "theirs"]


def test_leftovers_of_a_killed_process_go_after_a_day(tmp_path):
    old, young = tmp_path / ".features.1.part", tmp_path / ".features.2.part"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    with written_at_once(tmp_path / "features") as part:
        part.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".features.2.part", "features"]


def test_leftovers_that_cannot_be_removed_do_no_harm(tmp_path, monkeypatch):
    old = tmp_path / ".features.1.part"
    old.touch()
    os.utime(old, (time.time() - 90_000,) * 2)

    def refuse(path, missing_ok):
        raise PermissionError("read-only")

    monkeypatch.setattr(type(old), "unlink", refuse)
    remove_leftovers(tmp_path / "features")
    assert old.exists()


def test_leftovers_are_those_of_this_file_alone(tmp_path):
    old = tmp_path / ".a.1.part"
    old.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    remove_leftovers(tmp_path / "[a]")
    assert old.exists()
    remove_leftovers(tmp_path / "a")
    assert not old.exists()


def test_the_cache_lies_in_keras_own_folder_unless_named(keras_home, tmp_path):
    assert cache_folder(None, "mnist") == keras_home / "datasets" / "keras_dynamicgate" / "mnist"
    assert cache_folder(tmp_path / "mine", "mnist") == tmp_path / "mine" / "mnist"
    assert (tmp_path / "mine" / "mnist").is_dir()


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
