"""The file of an online learner: one archive, which is whole or not there."""

import io
import json
import pathlib
import tempfile
import zipfile
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.utils.files import written_at_once

MODEL, STATE, ARRAYS = "model.keras", "state.json", "arrays.npz"


def write(path: pathlib.Path, model: keras.Model, state: dict[str, Any], arrays: Any) -> None:
    """Write a model, what JSON can hold and arrays by name.

    Args:
        path: The file.
        model: A compiled model.
        state: Dict that JSON can hold.
        arrays: Dict from names to arrays.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)
    with (
        written_at_once(path) as part,
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(part, "w") as archive,
    ):
        model.save(pathlib.Path(folder) / MODEL)
        archive.write(pathlib.Path(folder) / MODEL, MODEL)
        archive.writestr(STATE, json.dumps(state))
        archive.writestr(ARRAYS, content.getvalue())


def read(path: pathlib.Path) -> tuple[keras.Model, dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write` wrote.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            archive.extract(MODEL, folder)
            model = keras.models.load_model(pathlib.Path(folder) / MODEL)
            with np.load(io.BytesIO(archive.read(ARRAYS))) as arrays:
                return model, json.loads(archive.read(STATE)), dict(arrays)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(
            f"Argument `path` must be a file that `OnlineLearner.save` wrote. Received: {path}"
        ) from error
