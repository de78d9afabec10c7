"""Keeps computed features on disk."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_dynamicgate.files import written_at_once

Arrays = dict[str, Any]


def cached_arrays(folder: Path, key: Any, compute: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays computed earlier for the same key, or computes and keeps them.

    A file that cannot be read is computed again.

    Args:
        folder: Where the files lie.
        key: All that decides the result, as JSON values: parameters, names and sizes of files.
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
        return kept
    arrays = compute()
    with written_at_once(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)
    return arrays


def _load(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None
