"""Where loaders keep what they downloaded or computed."""

import os
from os import PathLike
from pathlib import Path


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
