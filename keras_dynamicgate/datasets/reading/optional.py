"""Packages that only some loaders need."""

import importlib
import importlib.util
from typing import Any


def import_optional(module: str, loader: str) -> Any:
    """Import a package of the `examples` extra.

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
    if importlib.util.find_spec(module) is None:
        raise _missing(module, loader)


def _missing(module: str, loader: str) -> ImportError:
    return ImportError(
        f"`{loader}` needs the package `{module}`. "
        "Install it with: pip install keras-dynamicgate[examples]"
    )
