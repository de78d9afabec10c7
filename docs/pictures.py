"""Draw the picture of README.md from the result files in docs/results.

python docs/pictures.py   # writes docs/assets/accuracy.svg
"""

import json
import pathlib

import matplotlib

from keras_dynamicgate import pictures
from keras_dynamicgate.experiments.tables import summarise

ROOT = pathlib.Path(__file__).parents[1]
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
    "svg.fonttype": "none",
    "svg.hashsalt": "keras-dynamicgate",
}


def draw(names):
    """Draw accuracy against relative MACs, one panel for each data set."""
    figure = pictures.new_figure(2.6 * len(names), 2.9)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        runs = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())["runs"]
        _draw_panel(axes, summarise(runs), PANELS[name])
    figure.axes[0].set_ylabel("test accuracy in %")
    figure.supxlabel("relative MACs, gate networks counted", fontsize=9, color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _draw_panel(axes, summary, title):
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
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    found = [name for name in PANELS if (ROOT / "docs" / "results" / f"{name}.json").exists()]
    target = ROOT / "docs" / "assets" / "accuracy.svg"
    target.parent.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        draw(found).savefig(target, transparent=True, metadata={"Date": None})
    print(f"Written to {target.relative_to(ROOT)}: {', '.join(found)}")
