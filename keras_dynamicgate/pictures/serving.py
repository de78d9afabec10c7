"""What a governor did while the load changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_dynamicgate.pictures.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Moment = tuple[float, float, float, float]


def plot_serving(moments: "Sequence[Moment]", target: float, measured: str) -> "Figure":
    """Draw load, p99 and budget over time, below each other.

    Args:
        moments: List of tuples `(time, p99, load, budget)`, seconds and requests a second.
        target: Float, the target of the p99, drawn as a line.
        measured: String, what the p99 is of.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(10, 6)
    loads, p99s, budgets = figure.subplots(3, 1, sharex=True)
    times = [moment[0] - moments[0][0] for moment in moments]
    for axes, place in ((p99s, 1), (loads, 2), (budgets, 3)):
        axes.plot(times, [moment[place] for moment in moments], linewidth=1)
        axes.spines[["top", "right"]].set_visible(False)
    p99s.axhline(target, color="0.5", linewidth=0.8, linestyle=":", label="target")
    p99s.set_yscale("log")
    p99s.legend(frameon=False)
    loads.set(ylabel="requests a second", ylim=(0, None))
    p99s.set_ylabel(measured)
    budgets.set(ylabel="budget, relative MACs", ylim=(0, None), xlabel="seconds")
    return figure
