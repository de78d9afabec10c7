"""Figures of matplotlib, which is an extra."""

import importlib.util
import pathlib
from typing import TYPE_CHECKING

from keras_dynamicgate.utils.extras import install_command
from keras_dynamicgate.utils.files import written_at_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def available() -> bool:
    """Tell whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def new_figure(width: float, height: float) -> "Figure":
    """Create a figure that needs no display and leaves the user's matplotlib settings alone."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"Pictures need matplotlib. Install it with: {install_command('matplotlib')}"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: "Figure", path: pathlib.Path) -> None:
    """Write a figure to a PNG file that appears whole or not at all."""
    with written_at_once(path) as part, open(part, "wb") as file:
        figure.savefig(file, dpi=120, format="png")
