"""Keep computed features on disk."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.utils.files import remove_leftovers, written_at_once

Arrays = dict[str, Any]


def cached_arrays(folder: Path, key: Any, compute: Callable[[], Arrays]) -> Arrays:
    """Return the arrays computed earlier for the same key, or compute and keep them.

    A file that cannot be read is computed again; one that cannot be written gives a warning.

    Args:
        folder: Where the files lie.
        key: All that decides the result, as JSON values: parameters, the digest of files.
        compute: Function that returns the arrays by name.

    Returns:
        The arrays by name.

    Examples:
        >>> cached_arrays(Path("cache"), {"hop": 320}, lambda: {"x": np.zeros(3)})["x"]
        array([0., 0., 0.])
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = folder / f"features_{digest[:16]}.npz"
    kept = _load(path)
    if kept is not None:
        remove_leftovers(path)
        return kept
    arrays = compute()
    try:
        with written_at_once(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        # What took minutes to compute is not lost because the disk is full.
        warnings.warn(f"The features could not be kept in {path}: {error}", stacklevel=2)
    return arrays


def digest_files(paths: Iterable[Path], folder: Path) -> str:
    """Return one digest over the names and the content of files, for the key of a cache.

    Args:
        paths: The files, all below `folder`.
        folder: Names count from here, so the digest stays when the folder moves.

    Returns:
        The digest in hexadecimal.

    Examples:
        >>> len(digest_files([Path("speech/bed/a.wav"), Path("speech/cat/b.wav")], Path("speech")))
        64
    """
    digest = hashlib.sha256()
    for path in paths:
        # A name ends at the zero byte and a content digest has a fixed length, so no two lists of
        # files give the same bytes.
        digest.update(os.fsencode(path.relative_to(folder).as_posix()) + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _load(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    # Damaged bytes can raise anything inside a parser.
    except Exception:
        return None
