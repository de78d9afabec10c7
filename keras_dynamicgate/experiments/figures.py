"""Pictures of a comparison: accuracy against cost, and gates over the epochs."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_dynamicgate.experiments.tables import Line
from keras_dynamicgate.pictures.figure import new_figure
from keras_dynamicgate.utils.pareto import pareto_front

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
STYLES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))


def plot_pareto(summary: Sequence[Line]) -> "Figure":
    """Draw accuracy against relative MACs with the Pareto front of each family.

    Args:
        summary: List of `Line`, from `summarise`.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(9, 5)
    axes = figure.subplots()
    families = dict.fromkeys(line.model for line in summary)
    for number, family in enumerate(families):
        lines = [line for line in summary if line.model == family]
        color, marker = f"C{number % 10}", "os^Dv"[number // 10]
        axes.errorbar(
            [line.mean["relative_macs"] for line in lines],
            [100 * line.mean["accuracy"] for line in lines],
            yerr=[100 * line.deviation["accuracy"] for line in lines],
            fmt=marker,
            color=color,
            markersize=4,
            capsize=2,
            linewidth=0.8,
            label=family + (" (theoretical)" if lines[0].theoretical else ""),
        )
        front = pareto_front(
            [(line.mean["relative_macs"], 100 * line.mean["accuracy"]) for line in lines]
        )
        dashes = "--" if lines[0].theoretical else "-"
        axes.plot(*np.transpose(front), dashes, color=color, linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.set(xlabel="relative MACs, gate networks counted", ylabel="test accuracy in %")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure


def plot_usage(runs: Sequence[dict[str, Any]]) -> "Figure":
    """Draw usage, open ratio and relative MACs over the epochs of the gated runs.

    Args:
        runs: List of dicts as `compare` returns them, at least one of a gated model. Of runs that
            differ only in their seed, the one with the smallest seed is drawn.

    Returns:
        A matplotlib `Figure`.
    """
    gated = gated_runs(runs)
    colors = _by_value(gated, "model", [f"C{number}" for number in range(10)])
    styles = _by_value(gated, "target", STYLES)
    figure = new_figure(11, 4)
    titles = {"gate_usage": "usage", "open_ratio": "open ratio", "relative_macs": "relative MACs"}
    for axes, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for run in gated:
            values = run["history"][name]
            look = {"color": colors[run["model"]], "linestyle": styles[run["target"]]}
            axes.plot(range(1, len(values) + 1), values, linewidth=1, **look)
        axes.set(xlabel="epoch", title=title, ylim=(-0.03, 1.1))
    looks = {name: {"color": color} for name, color in colors.items()}
    for target, style in styles.items():
        looks[f"budget {target:g}"] = {"color": "0.3", "linestyle": style}
    # Lines without points, for the legend alone.
    handles = [figure.axes[0].plot([], [], linewidth=1, **look)[0] for look in looks.values()]
    figure.legend(handles, list(looks), loc="outside right upper")
    return figure


def gated_runs(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the gated runs of the smallest seed, by family and from large to small budgets.

    Args:
        runs: List of dicts as `compare` returns them.

    Returns:
        List of the dicts that record how the gates were used.
    """
    chosen: dict = {}
    for run in sorted(runs, key=lambda run: (run["model"], -(run["target"] or 0.0), run["seed"])):
        if "gate_usage" in run["history"]:
            chosen.setdefault((run["model"], run["target"]), run)
    return list(chosen.values())


def _by_value(runs: Sequence[dict[str, Any]], key: str, looks: Iterable[Any]) -> dict[Any, Any]:
    """Assign one of the looks to each value of a key, in turn."""
    values = dict.fromkeys(run[key] for run in runs)
    return dict(zip(values, itertools.cycle(looks), strict=False))
