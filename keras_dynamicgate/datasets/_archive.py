"""Unpacks archives that may be hostile or broken."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PureWindowsPath
from typing import IO, cast

import keras

from keras_dynamicgate.files import written_at_once


def extract(archive: Path, folder: Path) -> Path:
    """Unpacks a zip or tar file unless that has been done already.

    Every name is checked before the first file is written: only plain files and folders, none
    outside `folder`. `folder` appears when it is complete.

    Args:
        archive: A `.zip`, `.tar` or `.tar.gz` file.
        folder: Where to put the content.

    Returns:
        `folder`.

    Raises:
        ValueError: If the archive is damaged, or holds links, devices or paths that lead outside.

    Examples:
        >>> extract(Path("tiny-imagenet-200.zip"), Path("tiny-imagenet"))
    """
    if folder.is_dir():
        return folder
    unpack = _unpack_zip if archive.suffix == ".zip" else _unpack_tar
    with written_at_once(folder) as part:
        part.mkdir(parents=True)
        try:
            unpack(archive, part)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
            raise ValueError(f"{archive} is not a complete archive: {error}") from error
    return folder


def _unpack_zip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            # Archives made on Windows carry no kind.
            _check(archive, member.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        progress = keras.utils.Progbar(len(members), unit_name="file")
        for member in members:
            if member.is_dir():
                (target / member.filename).mkdir(parents=True, exist_ok=True)
            else:
                with file.open(member) as source:
                    _write(source, target / member.filename)
            progress.add(1)


def _unpack_tar(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as file:
        members = file.getmembers()
        for member in members:
            _check(archive, member.name, member.isfile() or member.isdir())
        for member in members:
            if member.isdir():
                (target / member.name).mkdir(parents=True, exist_ok=True)
            else:
                # `None` is for members that are not files, which the check has refused.
                _write(cast(IO[bytes], file.extractfile(member)), target / member.name)


def _write(source: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)


def _check(archive: Path, name: str, is_plain: bool) -> None:
    # A Windows path also understands the other separator and drive letters.
    path = PureWindowsPath(name)
    if not is_plain or path.anchor or ".." in path.parts:
        raise ValueError(
            f"{archive} must hold plain files and folders below its own root. "
            f"Received: member={name!r}"
        )
