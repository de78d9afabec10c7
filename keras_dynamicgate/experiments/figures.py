"""Pictures of a comparison: accuracy against cost, and gates over the training."""

import numpy as np

from keras_dynamicgate import pictures
from keras_dynamicgate.pareto import pareto_front

TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def plot_pareto(summary):
    """Draw accuracy against relative MACs with the Pareto front of each family.

    Args:
        summary: List of `Line`, from `summarise`.

    Returns:
        A matplotlib `Figure`.
    """
    figure = pictures.new_figure(9, 5)
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


def plot_usage(runs):
    """Draw usage, open ratio and relative MACs over the epochs of the gated runs of one seed.

    Args:
        runs: List of dicts as `compare` returns them.

    Returns:
        A matplotlib `Figure`.
    """
    gated = [run for run in runs if "gate_usage" in run["history"]]
    gated = [run for run in gated if run["seed"] == gated[0]["seed"]]
    figure = pictures.new_figure(11, 4)
    titles = {"gate_usage": "usage", "open_ratio": "open ratio", "relative_macs": "relative MACs"}
    families = list(dict.fromkeys(run["model"] for run in gated))
    for axes, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for run in gated:
            number = families.index(run["model"])
            values = run["history"][name]
            (line,) = axes.plot(range(1, len(values) + 1), values, color=f"C{number}", linewidth=1)
            line.set_label(run["model"] if run["target"] == gated[0]["target"] else "")
        axes.set(xlabel="epoch", title=title, ylim=(-0.03, 1.03))
    if gated:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
