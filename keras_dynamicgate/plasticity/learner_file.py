"""The file of an online learner: one archive, which is whole or not there."""

import io
import json
import pathlib
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.utils.files import written_at_once

MODEL, STATE, ARRAYS = "model.keras", "state.json", "arrays.npz"

# What a part of a learner needs to go on: what JSON can hold, and arrays by name.
Saved = tuple[dict[str, Any], dict[str, np.ndarray]]


def write(path: pathlib.Path, model: keras.Model, parts: Mapping[str, Saved]) -> None:
    """Write a model and the parts of its learner by name."""
    states = {name: state for name, (state, _) in parts.items()}
    arrays = {
        f"{name}/{key}": array for name, (_, named) in parts.items() for key, array in named.items()
    }
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    with (
        written_at_once(path) as part,
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(part, "w") as archive,
    ):
        model.save(pathlib.Path(folder) / MODEL)
        archive.write(pathlib.Path(folder) / MODEL, MODEL)
        archive.writestr(STATE, json.dumps(states))
        archive.writestr(ARRAYS, content.getvalue())


def read(path: pathlib.Path) -> tuple[keras.Model, dict[str, Saved]]:
    """Read what `write` wrote.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            archive.extract(MODEL, folder)
            model = keras.models.load_model(pathlib.Path(folder) / MODEL)
            states = json.loads(archive.read(STATE))
            with np.load(io.BytesIO(archive.read(ARRAYS))) as arrays:
                named = dict(arrays)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(
            f"Argument `path` must be a file that `OnlineLearner.save` wrote. Received: {path}"
        ) from error
    return model, {name: (state, _of(name, named)) for name, state in states.items()}


def _of(part: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    prefix = f"{part}/"
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
