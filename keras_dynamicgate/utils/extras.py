"""The extras of the distribution: which packages each of them brings, and how it is installed."""

# From extra to what it brings: the name to import, and the name of the distribution. The smallest
# extras come first.
EXTRAS: dict[str, dict[str, str]] = {
    "tensorflow": {"tensorflow": "tensorflow"},
    "jax": {"jax": "jax"},
    "torch": {"torch": "torch"},
    "plots": {"matplotlib": "matplotlib"},
    "engine": {"numba": "numba"},
    "demo": {
        "matplotlib": "matplotlib",
        "mlxtend": "mlxtend",
        "numba": "numba",
        "sklearn": "scikit-learn",
    },
    "vision": {"PIL": "pillow", "tensorflow_datasets": "tensorflow-datasets"},
    "cells": {"anndata": "anndata", "pandas": "pandas", "scanpy": "scanpy"},
    "serve": {
        "fastapi": "fastapi",
        "prometheus_client": "prometheus-client",
        "uvicorn": "uvicorn",
    },
    "audio": {
        "librosa": "librosa",
        "pydub": "pydub",
        "soundfile": "soundfile",
        "tensorflow_datasets": "tensorflow-datasets",
    },
}


def install_command(module: str, preferred: str | None = None) -> str:
    """Give the command that installs the smallest extra with a package.

    Args:
        module: Name to import, such as `"PIL"` or `"sklearn.datasets"`.
        preferred: Name of the extra that is taken if it has the package, whatever its size.
            Defaults to `None`.

    Returns:
        The command, quoted so that every shell takes it; for a package of no extra, the one that
        installs the package itself.

    Examples:
        >>> install_command("librosa")
        'pip install "keras-dynamicgate[audio]"'
    """
    name = module.partition(".")[0]
    fitting = [extra for extra, brought in EXTRAS.items() if name in brought]
    if not fitting:
        return f'pip install "{name}"'
    return f'pip install "keras-dynamicgate[{preferred if preferred in fitting else fitting[0]}]"'
