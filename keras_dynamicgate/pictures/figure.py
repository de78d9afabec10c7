"""Figures of matplotlib, which is an extra."""

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

from keras_dynamicgate.utils.extras import install_command


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


def save(figure: "Figure", path: Any) -> None:
    """Write a figure to a PNG file."""
    figure.savefig(path, dpi=120)
