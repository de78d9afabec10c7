import pathlib

import pytest

from keras_dynamicgate.pictures.figure import new_figure, save

pytest.importorskip("matplotlib")


def test_a_picture_appears_whole(tmp_path):
    save(new_figure(1, 1), tmp_path / "gates.png")
    assert (tmp_path / "gates.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["gates.png"]


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "gates.png"
    path.write_bytes(b"old")
    figure = new_figure(1, 1)

    def fill_the_disk(file, **settings):
        target = file if isinstance(file, pathlib.Path) else pathlib.Path(file.name)
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["gates.png"]
