import io
import stat
import tarfile
import zipfile

import pytest

from keras_dynamicgate.datasets._archive import extract

FILES = {"a/one.txt": b"one", "a/b/two.txt": b"two" * 1000}


def write_zip(path, files, mode=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            if mode is not None:
                info.external_attr = mode << 16
            file.writestr(info, content)


def write_tar(path, files, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/hostname"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            file.addfile(info, io.BytesIO(content))


@pytest.fixture(params=[("data.zip", write_zip), ("data.tar.gz", write_tar)], ids=["zip", "tar"])
def archive(request, tmp_path):
    name, write = request.param
    path = tmp_path / name
    write(path, FILES)
    return path, write


def content_of(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_everything_is_unpacked_once(archive, tmp_path):
    path, _ = archive
    assert content_of(extract(path, tmp_path / "out")) == FILES
    path.unlink()
    assert content_of(extract(path, tmp_path / "out")) == FILES


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "C:evil", "\\\\host\\x\\y"]
)
def test_a_path_that_leads_outside_is_refused_before_anything_is_written(archive, name, tmp_path):
    path, write = archive
    write(path, {"good": b"", name: b"evil"})
    with pytest.raises(ValueError, match=f"{path} must hold plain files.*Received: member="):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_file_are_refused(tmp_path, kind):
    write_tar(tmp_path / "data.tar.gz", {"link": b""}, kind)
    with pytest.raises(ValueError, match="must hold plain files.*Received: member='link'"):
        extract(tmp_path / "data.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_file_are_refused(tmp_path):
    write_zip(tmp_path / "data.zip", {"link": b"/etc/hostname"}, stat.S_IFLNK | 0o777)
    with pytest.raises(ValueError, match="must hold plain files.*Received: member='link'"):
        extract(tmp_path / "data.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kept", [0, 10, -20])
def test_a_truncated_archive_is_named_and_leaves_nothing(archive, kept, tmp_path):
    path, _ = archive
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"{path} is not a complete archive"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_archive_is_named_and_leaves_nothing(archive, tmp_path):
    path, _ = archive
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is not a complete archive"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]
