"""Give the theme the version that the package states, so that it stands in one place."""

import pathlib
import re

PACKAGE = pathlib.Path(__file__).parents[2] / "keras_dynamicgate" / "__init__.py"


def on_config(config):
    """Read the version without importing the package, which would need a backend."""
    stated = re.search(r'^__version__ = "(.+)"$', PACKAGE.read_text(), re.MULTILINE)
    config.extra["package_version"] = stated[1]
    return config
