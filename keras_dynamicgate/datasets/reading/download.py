"""Download a file, check it, and only then give it its name.

`keras.utils.get_file` would do if it could name itself: the server of 10x refuses the name that
urllib gives itself, and `get_file` can neither set another nor stop waiting for a silent server.
"""

import hashlib
import http.client
import os
import urllib.request
from os import PathLike
from pathlib import Path

import keras

from keras_dynamicgate.utils.files import remove_leftovers, written_at_once

_CHUNK = 1 << 18
_TIMEOUT = 60


def cache_folder(cache_dir: str | PathLike[str] | None, name: str) -> Path:
    """Return the folder where a loader keeps what it downloaded or computed.

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


def download(url: str, path: Path, *, checksum: str) -> Path:
    """Download a file unless it is already there.

    Args:
        url: Address of the file.
        path: Where to put it. A file that is there was checked when it was written.
        checksum: Algorithm and hexadecimal digest, such as `"md5:9e10..."`.

    Returns:
        `path`.

    Raises:
        OSError: If the file cannot be fetched or written.
        ValueError: If its checksum is wrong. Nothing is kept then.

    Examples:
        >>> download("https://example.org/a.zip", Path("a.zip"), checksum="md5:9e107d9d372bb682")
    """
    if path.is_file():
        remove_leftovers(path)
        return path
    algorithm, expected = checksum.split(":")
    with written_at_once(path) as part:
        digest = _fetch(url, part, algorithm)
        if digest != expected:
            raise ValueError(
                f"The download of {url} must have the {algorithm} checksum {expected}. "
                f"Received: {digest} of {part.stat().st_size} bytes"
            )
    return path


def _fetch(url: str, part: Path, algorithm: str) -> str:
    request = urllib.request.Request(url, headers={"User-Agent": "keras-dynamicgate"})
    digest = hashlib.new(algorithm)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response, part.open("wb") as file:
            size = response.headers.get("Content-Length")
            progress = keras.utils.Progbar(size and int(size), unit_name="byte")
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                progress.add(len(chunk))
    except (OSError, http.client.HTTPException) as error:
        raise OSError(
            f"Could not download {url}: {error}. Fetch the file by other means and name its "
            "folder with `data_dir`"
        ) from error
    return digest.hexdigest()
