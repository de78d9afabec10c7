"""Reading and checking the files that the user names, with errors that name the file."""

import json
import os
import pathlib
import tempfile
import zipfile
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.cli.wrong_input import WrongInput
from keras_dynamicgate.utils.files import written_at_once


def load_array(path: str, what: str = "inputs") -> np.ndarray:
    """Read one array of numbers from an `.npy` file."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WrongInput(f"cannot read {what} from {path!r}: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim == 0:
        raise WrongInput(f"{path!r} must hold one array of numbers, saved with `numpy.save`")
    return array


def load_json(path: str) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongInput(f"cannot read JSON from {path!r}: {error}") from error


def load_names(text: str) -> list[str]:
    """Read names, separated by commas, or the lines of the file that `text` names."""
    if not os.path.isfile(text):
        return [name.strip() for name in text.split(",")]
    try:
        return pathlib.Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise WrongInput(f"cannot read names from {text!r}: {error}") from error


def load_model(path: str) -> keras.Model:
    """Read a Keras model."""
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WrongInput(f"cannot load the model {path!r}: {error}") from error


def load_model_for_one_array(path: str) -> keras.Model:
    """Read a Keras model and check that it takes what an `.npy` file can hold."""
    model = load_model(path)
    # A subclassed model has no such list; whether the array fits shows when it runs.
    inputs = getattr(model, "inputs", None) or [None]
    if len(inputs) > 1:
        raise WrongInput(
            f"the model {path!r} takes {len(inputs)} inputs and `--data` gives one; for such a "
            "model use the functions of `keras_dynamicgate` in Python"
        )
    return model


def save_model(model: keras.Model, path: str) -> None:
    """Write a model to a file that appears whole or not at all."""
    file = pathlib.Path(path)
    # Keras asks for a name that ends with `.keras`; that of a part does not.
    with (
        written_at_once(file) as part,
        tempfile.TemporaryDirectory(
            prefix=f".{file.name}.", suffix=".part", dir=file.parent
        ) as folder,
    ):
        whole = pathlib.Path(folder) / file.name
        model.save(whole)
        whole.rename(part)


def check_output(path: str, suffix: str, force: bool) -> None:
    """Check a file to write before the work begins, so that no work is lost.

    Args:
        path: The name of the file.
        suffix: The end that the name must have.
        force: Boolean, whether the file may exist.
    """
    file = pathlib.Path(path)
    if file.suffix != suffix:
        raise WrongInput(f"the name of the file to write must end with {suffix}, not {path!r}")
    if not file.parent.is_dir():
        raise WrongInput(f"cannot write {path!r}: there is no folder {str(file.parent)!r}")
    if file.is_dir() or (file.exists() and not force):
        raise WrongInput(f"{path!r} exists; name another file, or give --force to replace it")
