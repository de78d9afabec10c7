"""Unpacks archives that may be hostile or broken."""

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple, cast

import keras

from keras_dynamicgate.datasets.reading.files import errors_as
from keras_dynamicgate.utils.files import remove_leftovers, written_at_once

_CHUNK = 1 << 20
_FEW = 100


class _Member(NamedTuple):
    name: str
    is_folder: bool
    is_plain: bool
    open: Callable[[], IO[bytes]]


def extract(archive: Path, folder: Path) -> Path:
    """Unpacks a zip or tar file unless that has been done already.

    Every name is checked before the first file is written: only plain files and folders, none
    outside `folder`, none in the way of another. `folder` appears when it is complete.

    Args:
        archive: A `.zip`, `.tar` or `.tar.gz` file.
        folder: Where to put the content.

    Returns:
        `folder`.

    Raises:
        ValueError: If the archive is damaged or encrypted, or holds links, devices, paths that
            lead outside, or a file and a folder of the same name.
        OSError: If a file cannot be written.

    Examples:
        >>> extract(Path("tiny-imagenet-200.zip"), Path("tiny-imagenet"))
    """
    if folder.is_dir():
        remove_leftovers(folder)
        return folder
    open_archive = _open_zip if archive.suffix == ".zip" else _open_tar
    with ExitStack() as stack:
        with _errors_of_reading(archive):
            members = stack.enter_context(open_archive(archive))
        _check_places(archive, members)
        _check_conflicts(archive, members)
        part = stack.enter_context(written_at_once(folder))
        part.mkdir(parents=True)
        _write(archive, members, part)
    return folder


def _errors_of_reading(archive: Path) -> AbstractContextManager[None]:
    return errors_as(f"{archive} is not a readable archive")


@contextmanager
def _open_zip(archive: Path) -> Iterator[list[_Member]]:
    with zipfile.ZipFile(archive) as file:
        yield [_zip_member(file, info) for info in file.infolist()]


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    # Archives made on Windows carry no kind.
    is_plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    return _Member(info.filename, info.is_dir(), is_plain, partial(file.open, info))


@contextmanager
def _open_tar(archive: Path) -> Iterator[list[_Member]]:
    with tarfile.open(archive) as file:
        members = [_tar_member(file, info) for info in file]
        # The list ends before the compressed stream does, whose last bytes are its checksum.
        while cast(IO[bytes], file.fileobj).read(_CHUNK):
            pass
        yield members


def _tar_member(file: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    # `extractfile` gives `None` for members that are not files, which are never opened.
    open_member = cast(Callable[[], IO[bytes]], partial(file.extractfile, info))
    return _Member(info.name, info.isdir(), info.isfile() or info.isdir(), open_member)


def _check_places(archive: Path, members: list[_Member]) -> None:
    for member in members:
        # A Windows path also understands the other separator and drive letters.
        path = PureWindowsPath(member.name)
        leads_outside = path.anchor or ".." in path.parts or "\0" in member.name
        if not member.is_plain or leads_outside:
            raise ValueError(
                f"{archive} must hold plain files and folders below its own root. "
                f"Received: member={member.name!r}"
            )


def _check_conflicts(archive: Path, members: list[_Member]) -> None:
    folders = {PurePosixPath()}
    for member in members:
        path = PurePosixPath(member.name)
        folders.update([path, *path.parents] if member.is_folder else path.parents)
    for member in members:
        if not member.is_folder and PurePosixPath(member.name) in folders:
            raise ValueError(
                f"{archive} must not hold a file and a folder of the same name. "
                f"Received: member={member.name!r}"
            )


def _write(archive: Path, members: list[_Member], target: Path) -> None:
    # A few files are there at once; a bar would only be in the way.
    progress = keras.utils.Progbar(len(members), unit_name="file", verbose=int(len(members) > _FEW))
    for member in members:
        path = target / member.name
        if member.is_folder:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(_chunks(archive, member))
        progress.add(1)


def _chunks(archive: Path, member: _Member) -> Iterator[bytes]:
    # A generator sees the errors of reading only: a full disk is not the archive's fault.
    with _errors_of_reading(archive), member.open() as source:
        while chunk := source.read(_CHUNK):
            yield chunk
