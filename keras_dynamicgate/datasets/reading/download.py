"""Download a file, check it, and only then give it its name."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import keras

from keras_dynamicgate.utils.files import remove_leftovers, written_at_once

_CHUNK = 1 << 18
_TIMEOUT = 60


def cache_folder(cache_dir: str | PathLike[str] | None, name: str) -> Path:
    """Returns the folder where a loader keeps what it downloaded or computed.

    Args:
        cache_dir: Folder that the user named, or `None` for `datasets/keras_dynamicgate` in
            Keras's own folder (the environment variable `KERAS_HOME`, or `~/.keras`).
        name: Name of the loader; each has its own subfolder.

    Returns:
        The folder, created if need be.
    """
    if cache_dir is None:
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        cache_dir = home / "datasets" / "keras_dynamicgate"
    folder = Path(cache_dir) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def download(url: str, path: Path, *, checksum: str, size: int | None = None) -> Path:
    """Downloads a file unless it is already there.

    Args:
        url: Address of the file.
        path: Where to put it. A file that is there was checked when it was written.
        checksum: Algorithm and hexadecimal digest, such as `"md5:9e10..."`.
        size: Expected size in bytes. Defaults to `None`: as the server announces, if it does. The
            checksum pins the content in either case.

    Returns:
        `path`.

    Raises:
        OSError: If the file cannot be fetched.
        ValueError: If its size or checksum is wrong. Nothing is kept then.

    Examples:
        >>> download("https://example.org/a.zip", Path("a.zip"), checksum="md5:9e107d9d372bb682")
    """
    if path.is_file():
        remove_leftovers(path)
        return path
    with written_at_once(path) as part:
        _fetch(url, part, size)
        _verify(part, url, checksum)
    return path


def _fetch(url: str, part: Path, size: int | None) -> None:
    # Some servers refuse the name that urllib gives itself.
    request = urllib.request.Request(url, headers={"User-Agent": "keras-dynamicgate"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response, part.open("wb") as file:
            announced = response.headers.get("Content-Length")
            expected = size or (int(announced) if announced else None)
            received = _copy(response, file, expected)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        raise OSError(
            f"Could not download {url}: {error}. Fetch the file by other means and name its "
            "folder with `data_dir`"
        ) from error
    if expected is not None and received != expected:
        raise ValueError(
            f"The download of {url} must have {expected} bytes. Received: {received} bytes"
        )


def _copy(response: BinaryIO, file: BinaryIO, expected: int | None) -> int:
    progress = keras.utils.Progbar(expected, unit_name="byte")
    received = 0
    while chunk := response.read(_CHUNK):
        received += len(chunk)
        file.write(chunk)
        progress.update(received, finalize=received == expected)
    return received


def _verify(part: Path, url: str, checksum: str) -> None:
    algorithm, expected = checksum.split(":")
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).hexdigest()
    if digest != expected:
        raise ValueError(
            f"The download of {url} must have the {algorithm} checksum {expected}. "
            f"Received: {digest}"
        )
