import errno
import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from keras_dynamicgate.datasets.reading import archive as archives
from keras_dynamicgate.datasets.reading.archive import unpack

pytestmark = pytest.mark.one_backend("torch")

FILES = {"a/one.txt": b"one", "a/b/two.txt": b"two" * 1000}
NAMES = list(FILES)


def write(path, files, **changed):
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for attribute, value in changed.items():
                setattr(info, attribute, value)
            file.addfile(info, io.BytesIO(content))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.tar.gz"
    write(path, FILES)
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "below" / "out"
    folder.mkdir(parents=True)
    return folder


def assert_refused(path, folder, message):
    with pytest.raises(ValueError, match=f"{path} {message}"):
        unpack(path, NAMES, folder)
    assert list(folder.iterdir()) == []


def test_the_named_files_are_unpacked_and_no_others(path, folder):
    write(path, FILES | {"three.txt": b"three"})
    unpack(path, NAMES, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "one.txt": b"one",
        "two.txt": b"two" * 1000,
    }


def test_names_may_begin_at_the_folder_of_the_archive(path, folder):
    write(path, {f"./{name}": content for name, content in FILES.items()})
    unpack(path, NAMES, folder)
    assert (folder / "one.txt").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil"])
def test_nothing_is_written_outside(path, folder, tmp_path, name):
    write(path, FILES | {name: b"evil"})
    unpack(path, NAMES, folder)
    found = [file.name for file in tmp_path.rglob("*") if file.is_file()]
    assert sorted(found) == ["data.tar.gz", "one.txt", "two.txt"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_no_files(path, folder, kind):
    write(path, dict.fromkeys(FILES, b""), type=kind, linkname="/etc/hostname")
    assert_refused(path, folder, "must hold the file a/one.txt")


def test_a_missing_file_is_named(path, folder):
    write(path, {"a/one.txt": b"one", "a/b/two.txt/three": b""})
    assert_refused(path, folder, "must hold the file a/b/two.txt")


def test_a_file_with_holes_is_no_file(path, folder):
    # Ten bytes that say they are the end of a terabyte.
    holes = {"GNU.sparse.map": f"{2**40},10", "GNU.sparse.size": str(2**40 + 10)}
    write(path, {name: bytes(10) for name in FILES}, pax_headers=holes)
    assert_refused(path, folder, "must hold the file a/one.txt")


@pytest.mark.parametrize("kept", [0, 10, -20, -8])
def test_a_truncated_archive_is_named(path, folder, kept):
    path.write_bytes(path.read_bytes()[:kept])
    assert_refused(path, folder, "is not a readable archive")


def test_a_whole_stream_of_a_truncated_archive_is_named(path, folder):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:2000]))
    assert_refused(path, folder, "is not a readable archive")


@pytest.mark.parametrize("position", [40, -8, -1])
def test_a_damaged_archive_is_named(path, folder, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert_refused(path, folder, "is not a readable archive")


def test_a_second_damaged_gzip_member_is_named(path, folder):
    path.write_bytes(path.read_bytes() + gzip.compress(b"more")[1:])
    assert_refused(path, folder, "is not a readable archive")


def test_an_archive_within_the_archive_is_not_unpacked(path, folder):
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert_refused(path, folder, "is not a readable archive")


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is(path, folder, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 1 << 20)
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    assert_refused(path, folder, f"must have at most {1 << 20} bytes")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_full_disk_is_not_the_archives_fault(path, folder, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        unpack(path, NAMES, folder)
