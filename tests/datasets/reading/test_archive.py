import errno
import gzip
import io
import os
import stat
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from keras_dynamicgate.datasets.reading.archive import extract

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
    with pytest.raises(ValueError, match=f"{path} is not a readable archive"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_archive_is_named_and_leaves_nothing(archive, tmp_path):
    path, _ = archive
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is not a readable archive"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b"), (".",)])
def test_a_file_in_the_place_of_a_folder_is_refused(archive, names, tmp_path):
    path, write = archive
    write(path, dict.fromkeys(names, b"x"))
    with pytest.raises(ValueError, match=f"{path} must not hold a file and a folder.*member='[a.]"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_in_the_place_of_a_file_is_refused(tmp_path):
    path = tmp_path / "data.zip"
    write_zip(path, {"a": b"x", "a/": b""})
    with pytest.raises(ValueError, match=f"{path} must not hold a file and a folder.*member='a'"):
        extract(path, tmp_path / "out")


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    path = tmp_path / "data.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"path": "a\0b"}
        file.addfile(info)
    with pytest.raises(ValueError, match=rf"{path} must hold plain files.*member='a\\x00b'"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize("position", [-8, -1])
def test_the_checksum_at_the_end_of_a_gzip_stream_is_checked(tmp_path, position):
    path = tmp_path / "data.tar.gz"
    write_tar(path, FILES)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is not a readable archive"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def test_a_gzip_stream_that_lacks_only_its_end_is_named(tmp_path):
    path = tmp_path / "data.tar.gz"
    write_tar(path, FILES)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=f"{path} is not a readable archive"):
        extract(path, tmp_path / "out")


def test_a_second_damaged_gzip_member_is_named(tmp_path):
    path = tmp_path / "data.tar.gz"
    write_tar(path, FILES)
    path.write_bytes(path.read_bytes() + gzip.compress(b"more")[1:])
    with pytest.raises(ValueError, match=f"{path} is not a readable archive"):
        extract(path, tmp_path / "out")


def test_a_tar_file_without_compression_is_unpacked(tmp_path):
    path = tmp_path / "data.tar"
    write_tar(tmp_path / "data.tar.gz", FILES)
    path.write_bytes(gzip.decompress((tmp_path / "data.tar.gz").read_bytes()))
    assert content_of(extract(path, tmp_path / "out")) == FILES


@pytest.mark.parametrize(
    ("flags", "method", "message"), [(1, 0, "encrypted"), (0, 99, "compression method")]
)
def test_a_zip_file_that_needs_more_than_python_has_is_named(tmp_path, flags, method, message):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("one.txt", b"one")
    content = bytearray(path.read_bytes())
    # Flags and method stand twice: in the header of the file and in the list at the end.
    for start in (6, content.index(b"PK\1\2") + 8):
        content[start], content[start + 2] = flags, method
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is not a readable archive: .*{message}"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


class FullDisk(io.BytesIO):
    def write(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    def writelines(self, lines):
        for line in lines:
            self.write(line)


def test_a_full_disk_is_not_the_archives_fault(archive, tmp_path, monkeypatch):
    path, _ = archive
    monkeypatch.setattr(Path, "open", lambda path, mode: FullDisk())
    with pytest.raises(OSError, match="No space left on device"):
        extract(path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def test_old_leftovers_go_also_when_all_has_been_unpacked(archive, tmp_path):
    path, _ = archive
    extract(path, tmp_path / "out")
    (tmp_path / ".out.1.part").mkdir()
    os.utime(tmp_path / ".out.1.part", (time.time() - 90_000,) * 2)
    extract(path, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "out"])
