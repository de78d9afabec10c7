import os
import time

import pytest

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
