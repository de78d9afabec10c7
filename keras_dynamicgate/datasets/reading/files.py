"""Checks on the files and labels that a loader reads."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np

# No file of these data sets has more bytes than this once unpacked: 256 MiB.
LARGEST = 1 << 28


def check_data_dir(data_dir: str | PathLike[str], expected: str) -> Path:
    """Return `data_dir` as a path, or raise an error that says what it should hold.

    Args:
        data_dir: The folder that the user named.
        expected: What the folder should hold, for the message.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If `data_dir` is not a folder.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"Argument `data_dir` must be a folder with {expected}. Received: data_dir={folder}"
        )
    return folder


def find_file(folder: Path, names: Iterable[str]) -> Path:
    """Return the first of `names` that is a file in `folder`.

    Args:
        folder: Where to look.
        names: File names, the preferred one first.

    Returns:
        Path of the file.

    Raises:
        FileNotFoundError: If there is none of them; the message lists what was expected.
    """
    names = list(names)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"Missing file: argument `data_dir` must hold {' or '.join(names)}. "
        f"Received: data_dir={folder}"
    )


@contextmanager
def errors_as(message: str) -> Iterator[None]:
    """Turn any error of the block into a `ValueError` that says which file is at fault.

    Args:
        message: The sentence to begin with, such as `"a.csv is not a readable table"`.

    Yields:
        Nothing.

    Raises:
        ValueError: If the block raises an error, which is then the cause.

    Examples:
        >>> with errors_as(f"{path} is not a complete .h5ad file"):
        ...     cells = anndata.read_h5ad(path)
    """
    try:
        yield
    # Damaged bytes can raise anything inside a parser: a list of errors would never be complete.
    except Exception as error:
        raise ValueError(f"{message}: {error}") from error


def read_text(path: Path) -> str:
    """Return the text of a file.

    Args:
        path: A file in UTF-8.

    Returns:
        The text.

    Raises:
        ValueError: If the file is not text in UTF-8.

    Examples:
        >>> read_text(Path("tiny-imagenet-200/wnids.txt")).split()[0]
        'n02124075'
    """
    with errors_as(f"{path} is not a text file in UTF-8"):
        return path.read_text(encoding="utf-8")


def check_labels(y: np.ndarray, num_classes: int, source: str | PathLike[str]) -> np.ndarray:
    """Return labels as int32, or raise an error that names the file they came from.

    Args:
        y: Labels, shape `(samples,)`.
        num_classes: Labels must be in `[0, num_classes)`.
        source: The file the labels were read from, for the message.

    Returns:
        The labels as int32.

    Raises:
        ValueError: If the labels are not integers, or one lies outside the classes.
    """
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"Labels in {source} must be integers. Received: dtype={y.dtype}")
    wrong = y[(y < 0) | (y >= num_classes)]
    if wrong.size:
        raise ValueError(
            f"Labels in {source} must be in [0, {num_classes}). Received: label={wrong[0]}"
        )
    return y.astype("int32")
