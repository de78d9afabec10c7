"""Draw the pictures of README.md and of the pages in docs from the result files in docs/results.

python docs/pictures.py   # writes accuracy.svg, training.svg and governor.svg to docs/assets
"""

import json
import pathlib

import matplotlib

from keras_dynamicgate.experiments.tables import summarise
from keras_dynamicgate.pictures.figure import new_figure
from keras_dynamicgate.pictures.serving import plot_serving

ROOT = pathlib.Path(__file__).parents[1]
RESULTS, ASSETS = ROOT / "docs" / "results", ROOT / "docs" / "assets"
PANELS = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "tiny_imagenet": "Tiny-ImageNet",
    "speech_commands": "Speech Commands",
    "pbmc3k": "PBMC3k",
}
FAMILIES = {
    "static": ("static gates", "C0", "o-"),
    "dynamic": ("input-dependent gates", "C1", "o-"),
    "narrow": ("narrower dense network", "0.5", "s--"),
}
TICKS = (0.05, 0.15, 0.3, 0.5)
# Readable on white and on black.
INK = "#808080"
STYLE = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9,
    "path.simplify_threshold": 1.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "keras-dynamicgate",
}


def draw(draw_panel, x_label, y_label):
    """Draw a picture of one panel for each data set."""
    figure = new_figure(2.6 * len(PANELS), 2.9)
    panels = zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True)
    for axes, (name, title) in panels:
        draw_panel(axes, json.loads((RESULTS / f"{name}.json").read_text())["runs"])
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(y_label)
    figure.supxlabel(x_label, fontsize=9, color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def draw_accuracy(axes, runs):
    """Draw accuracy against relative MACs."""
    summary = summarise(runs)
    for family, (label, color, style) in FAMILIES.items():
        lines = [line for line in summary if line.model == family]
        axes.errorbar(
            [line.mean["relative_macs"] for line in lines],
            [100 * line.mean["accuracy"] for line in lines],
            yerr=[100 * line.deviation["accuracy"] for line in lines],
            fmt=style,
            color=color,
            markersize=3.5,
            linewidth=1.2,
            elinewidth=0.7,
            label=label,
        )
    full = max(line.mean["accuracy"] for line in summary if line.model in ("dense", "dropout"))
    axes.axhline(100 * full, color=INK, linewidth=0.8, linestyle=":", label="full network")
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()


def draw_training(axes, runs):
    """Draw the relative MACs after each epoch of the gated runs of seed 0, and their budgets."""
    for family, (label, color, _) in FAMILIES.items():
        for run in runs:
            macs = run["history"].get("relative_macs")
            if macs and (run["model"], run["seed"]) == (family, 0):
                first = run["target"] == max(TICKS)
                axes.plot(
                    range(1, len(macs) + 1), macs, color=color, label=label if first else None
                )
    axes.set_yscale("log")
    axes.set_yticks((*TICKS, 1.0), [f"{tick:g}" for tick in (*TICKS, 1.0)])
    axes.minorticks_off()
    for tick in TICKS:
        axes.axhline(tick, color=INK, linewidth=0.8, linestyle=":")


def governed_day():
    """Draw the day that a governor served."""
    result = json.loads((RESULTS / "governor.json").read_text())
    minutes = result["minutes"]
    columns = (minutes[name] for name in ("p99_ms", "load", "budget"))
    hours = (minute / 60 for minute in range(len(minutes["load"])))
    moments = list(zip(hours, *columns, strict=True))
    figure = plot_serving(moments, result["target_ms"], "p99 of latency, ms")
    figure.axes[-1].set(xlabel="hour", xticks=range(0, 25, 3))
    return figure


def main():
    ASSETS.mkdir(exist_ok=True)
    macs = "relative MACs, gate networks counted"
    drawn = {
        "accuracy": lambda: draw(draw_accuracy, macs, "test accuracy in %"),
        "training": lambda: draw(draw_training, "epoch", "relative MACs"),
        "governor": governed_day,
    }
    for name, make in drawn.items():
        with matplotlib.rc_context(STYLE):
            figure = make()
            figure.savefig(ASSETS / f"{name}.svg", transparent=True, metadata={"Date": None})
        print(f"Written to {(ASSETS / name).relative_to(ROOT)}.svg")


if __name__ == "__main__":
    main()
