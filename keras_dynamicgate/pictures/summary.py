"""How the gates of a model changed in training, beside the cost of its layers."""

from typing import TYPE_CHECKING, Any

from keras_dynamicgate.macs.report import MacReport
from keras_dynamicgate.pictures.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_summary(rows: list[dict[str, Any]], report: MacReport) -> "Figure":
    """Draw the open ratio of each layer over the epochs, beside the cost of the layers.

    Args:
        rows: List of dicts with `epoch`, `layer`, `usage` and `open_ratio`.
        report: The `MacReport` of the last epoch.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(10, 3.6)
    over_time, costs = figure.subplots(1, 2)
    for name in dict.fromkeys(row["layer"] for row in rows):
        mine = [row for row in rows if row["layer"] == name]
        epochs = [row["epoch"] + 1 for row in mine]
        (line,) = over_time.plot(epochs, [row["open_ratio"] for row in mine], "o-", ms=3)
        over_time.plot(epochs, [row["usage"] for row in mine], "--", color=line.get_color())
        line.set_label(name)
    over_time.set(xlabel="epoch", ylabel="share of gates", ylim=(-0.03, 1.03))
    over_time.set_title("open ratio (dashed: usage)")
    over_time.legend()
    _plot_costs(costs, report)
    return figure


def _plot_costs(axes: "Axes", report: MacReport) -> None:
    layers = [layer for layer in report.layers if layer.dense]
    names = [layer.name for layer in layers]
    axes.barh(names, [layer.dense for layer in layers], color="0.88", label="dense")
    executed = [layer.executed for layer in layers]
    axes.barh(names, executed, color="tab:blue", label="executed")
    gates = [layer.gates for layer in layers]
    axes.barh(names, gates, left=executed, color="tab:orange", label="gates")
    axes.invert_yaxis()
    axes.set(xlabel="MACs per sample")
    axes.set_title(f"relative MACs {report.relative:.3f}")
    axes.legend()
