"""Reading and checking the files that the user names, with errors that name the file."""

import json
import os
import pathlib
import zipfile
from typing import Any

import keras
import numpy as np

from keras_dynamicgate.cli.wrong_input import WrongInput


def load_array(path: str, what: str = "inputs") -> np.ndarray:
    """Read one array of numbers from an `.npy` file."""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:
        # Damaged headers make NumPy raise anything, a `MemoryError` for enormous shapes included.
        raise WrongInput(f"cannot read {what} from {path!r}: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.ndim == 0:
        raise WrongInput(f"{path!r} must hold one array of numbers, saved with `numpy.save`")
    return array


def load_json(path: str) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
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
    if path.endswith(".keras") and os.path.isfile(path) and not _is_whole_archive(path):
        # Keras calls some such files missing, and builds the model of others first.
        raise WrongInput(
            f"cannot load the model {path!r}: it is damaged, or `model.save` has not written it"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        # Damaged files make Keras, its readers of ZIP and HDF5, and layers raise anything.
        raise WrongInput(f"cannot load the model {path!r}: {error}") from error


def _is_whole_archive(path: str) -> bool:
    """Tell whether a file is a ZIP archive whose members have the contents that were written."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:
        # Damaged directories and compressed data make its readers raise anything.
        return False


def load_model_for_one_array(path: str, array: np.ndarray) -> keras.Model:
    """Read a Keras model and check that it takes an array as its only input."""
    model = load_model(path)
    # A subclassed model has no such list; whether the array fits shows when it runs.
    inputs = getattr(model, "inputs", None) or [None]
    if len(inputs) > 1:
        raise WrongInput(
            f"the model {path!r} takes {len(inputs)} inputs and `--data` gives one; for such a "
            "model use the functions of `keras_dynamicgate` in Python"
        )
    if inputs[0] is not None and not _fits(inputs[0].shape[1:], array.shape[1:]):
        raise WrongInput(
            f"the model {path!r} takes samples of shape {tuple(inputs[0].shape[1:])}, and "
            f"`--data` has samples of shape {array.shape[1:]}"
        )
    return model


def _fits(expected: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    """Tell whether Keras takes samples of a shape; it adds or drops a last axis of size 1."""
    if len(given) == len(expected) + 1 and given[-1] == 1:
        given = given[:-1]
    elif len(expected) == len(given) + 1 and expected[-1] == 1:
        expected = expected[:-1]
    return len(expected) == len(given) and all(
        size in (None, there) for size, there in zip(expected, given, strict=True)
    )


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
