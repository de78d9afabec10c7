"""Write the tables of README.md and of the pages in docs from the result files in docs/results.

python docs/tables.py           # rewrite the tables
python docs/tables.py --check   # exit with 1 if a table is not what the files say

The files are the `results.json` that `keras-dynamicgate compare` writes, by the name of the task,
and those that the benchmarks write.
"""

import functools
import json
import pathlib
import re
import sys

import numpy as np
from speed_tables import engine, first, trained_models

from keras_dynamicgate.datasets import PBMC3K_MARKERS
from keras_dynamicgate.experiments.tables import markdown, markdown_table, percent, summarise

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
TASKS = [
    name
    for name in ("mnist", "cifar10", "tiny_imagenet", "speech_commands", "pbmc3k")
    if (RESULTS / f"{name}.json").exists()
]
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("deploy", "index", "gate_model", "results")),
]
BACKENDS = ("jax", "tensorflow", "torch")
GATED = ("static", "dynamic", "dynamic_rigl")
BUDGETS = (0.5, 0.3, 0.15, 0.05)
TOLERANCE = 0.02


@functools.cache
def load(name):
    """Load one result file and average its seeds."""
    return summarise(json.loads((RESULTS / f"{name}.json").read_text())["runs"])


def find(summary, model, target):
    """Find the line of a model at a budget, or `None`."""
    return next((each for each in summary if (each.model, each.target) == (model, target)), None)


def pretrained():
    """Lay out what gating a trained network leaves of its accuracy, over the seeds."""
    rows = []
    for path in sorted(RESULTS.glob("gate_pretrained-*.json")):
        runs = json.loads(path.read_text())
        for name in dict.fromkeys(run["model"] for run in runs):
            mine = [run for run in runs if run["model"] == name]
            accuracy = [100 * run["accuracy"] for run in mine]
            rows.append(
                [
                    path.stem.removeprefix("gate_pretrained-"),
                    name,
                    str(mine[0]["epochs"]),
                    f"{np.mean(accuracy):.2f} ± {np.std(accuracy, ddof=1):.2f} %",
                    f"{np.mean([run['relative MACs'] for run in mine]):.3f}",
                ]
            )
    return markdown(["data set", "model", "epochs in all", "accuracy", "relative MACs"], rows)


def backends():
    """Lay out MNIST on the three backends, seed 0."""
    rows = []
    for backend in BACKENDS:
        name = "mnist" if backend == "jax" else f"mnist-{backend}"
        runs = json.loads((RESULTS / f"{name}.json").read_text())["runs"]
        summary = summarise([run for run in runs if run["seed"] == 0])
        for model, target in [
            ("dropout", None),
            *((m, t) for t in (0.3, 0.15) for m in ("narrow", "static", "dynamic")),
        ]:
            line = find(summary, model, target)
            budget = f"{target:g}" if target else ""
            relative = f"{line.mean['relative_macs']:.3f}"
            rows.append([backend, model, budget, percent(line), relative])
    return markdown(["backend", "model", "budget", "accuracy in %", "relative MACs"], rows)


def verdict():
    """Set the best gated model beside the full and the narrow network, task by task."""
    rows = []
    for task in TASKS:
        summary = load(task)
        full = max(
            (find(summary, model, None) for model in ("dense", "dropout")),
            key=lambda line: line.mean["accuracy"],
        )
        for suffix in ("", "_distilled"):
            for target in BUDGETS:
                rows += _verdict(summary, task, full, target, suffix)
    heads = ["data set", "budget", "full", "narrow", "best gated", "which", "won back"]
    return markdown(heads, rows)


def _verdict(summary, task, full, target, suffix):
    narrow = find(summary, f"narrow{suffix}", target)
    gated = [find(summary, f"{model}{suffix}", target) for model in GATED]
    gated = [
        line
        for line in gated
        if line is not None and abs(line.mean["relative_macs"] - target) <= TOLERANCE
    ]
    if narrow is None or not gated:
        return []
    best = max(gated, key=lambda line: line.mean["accuracy"])
    cost = full.mean["accuracy"] - narrow.mean["accuracy"]
    deviation = max(narrow.deviation["accuracy"], full.deviation["accuracy"])
    share = (best.mean["accuracy"] - narrow.mean["accuracy"]) / cost if cost else 0.0
    return [
        [
            task,
            f"{target:g}",
            percent(full),
            percent(narrow),
            percent(best),
            best.model + (" *" if best.theoretical else ""),
            f"{share:.0%}" if cost > deviation else "narrowing costs nothing",
        ]
    ]


def results(task):
    """Lay out all models of a task."""
    return markdown_table(load(task))


def signatures(task):
    """Lay out the signs of conditional computation, seed 0."""
    runs = json.loads((RESULTS / f"{task}.json").read_text())["runs"]
    runs = [run for run in runs if run["signatures"] and run["seed"] == 0]
    names = list(runs[0]["signatures"])
    rows = [
        [run["model"], f"{run['target']:g}", *(f"{run['signatures'][name]:.3f}" for name in names)]
        for run in sorted(runs, key=lambda run: (-run["target"], run["model"]))
    ]
    return markdown(["model", "budget", *(name.replace("_", " ") for name in names)], rows)


def genes():
    """List the genes that the smallest static gates leave open, seed 0."""
    runs = json.loads((RESULTS / "pbmc3k.json").read_text())["runs"]
    run = next(r for r in runs if (r["model"], r["target"], r["seed"]) == ("static", 0.05, 0))
    names = sorted(run["open_features"])
    return f"{len(names)} of 2,000 genes: " + ", ".join(names) + "."


def markers():
    """Say for each cell type which marker genes the smallest static gates leave open, by seed."""
    runs = json.loads((RESULTS / "pbmc3k.json").read_text())["runs"]
    runs = [run for run in runs if (run["model"], run["target"]) == ("static", 0.05)]
    rows = []
    for cell_type, genes in PBMC3K_MARKERS.items():
        kept = [
            f"{gene} ({sum(gene in run['open_features'] for run in runs)} of {len(runs)})"
            for gene in genes
        ]
        rows.append([cell_type, ", ".join(kept)])
    return markdown(["cell type", "marker genes (seeds in which it is open)"], rows)


TABLES = {
    "markers": markers,
    "first": first,
    "engine": engine,
    "trained_models": trained_models,
    "pretrained": pretrained,
    "backends": backends,
    "verdict": verdict,
    "genes": genes,
    **{f"results-{task}": functools.partial(results, task) for task in TASKS},
    **{f"signatures-{task}": functools.partial(signatures, task) for task in ("mnist",)},
}


def fill(text):
    """Replace what stands between the marks of each table."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- /table -->)"
        if re.search(pattern, text, flags=re.DOTALL):
            content = make()
            text = re.sub(pattern, lambda m, c=content: f"{m[1]}{c}\n{m[2]}", text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    stale = False
    for page in PAGES:
        old = page.read_text()
        new = fill(old)
        stale |= old != new
        if "--check" not in sys.argv:
            page.write_text(new)
    sys.exit(
        "The tables are not what the result files say." if stale and "--check" in sys.argv else 0
    )
