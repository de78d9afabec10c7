"""The tables of docs/results.md, from the `results.json` of each comparison."""

import functools
import json
import pathlib

import numpy as np

from keras_dynamicgate.datasets import PBMC3K_MARKERS
from keras_dynamicgate.experiments.families import place
from keras_dynamicgate.experiments.tables import (
    chosen,
    markdown,
    markdown_table,
    percent,
    summarise,
)

RESULTS = pathlib.Path(__file__).parent / "results"
TASKS = [
    name
    for name in ("mnist", "cifar10", "tiny_imagenet", "speech_commands", "pbmc3k")
    if (RESULTS / f"{name}.json").exists()
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


def gains():
    """Lay out by how many points the chosen gated model is above the narrow network."""
    rows = []
    for task in TASKS:
        for suffix, name in (("", task), ("_distilled", f"{task}, distilled")):
            compared = [_compared(task, target, suffix) for target in BUDGETS]
            rows.append([name, *(_gain(each) if each else "" for each in compared)])
    return markdown(["data set", *(f"at {target:g}" for target in BUDGETS)], rows)


def verdict(suffix):
    """Set the chosen gated model beside the full and the narrow network, task by task."""
    rows = []
    for task in TASKS:
        full = _full(task)
        for target in BUDGETS:
            if compared := _compared(task, target, suffix):
                narrow, best = compared
                _, plain = _compared(task, target, suffix, sparse=False)
                won, reached = _won_back(full, narrow, best)
                rows.append(
                    [
                        task,
                        f"{target:g}",
                        *(percent(line) for line in (full, narrow, best)),
                        f"{best.model.removesuffix(suffix)}{_star(best)}",
                        _gain(compared, star=False),
                        won,
                        "yes" if reached else "no",
                        f"{plain.model.removesuffix(suffix)} {100 * plain.mean['accuracy']:.2f}",
                    ]
                )
    heads = ["data set", "budget", "full", "narrow", "gated", "which"]
    heads += ["over narrow", "won back", "reached", "without *"]
    return markdown(heads, rows)


def _full(task):
    return chosen(find(load(task), model, None) for model in ("dense", "dropout"))


def _compared(task, target, suffix, sparse=True):
    """Find the narrow network and, by validation, the gated model for a budget, or `None`."""
    narrow = find(load(task), f"narrow{suffix}", target)
    gated = [find(load(task), f"{model}{suffix}", target) for model in GATED]
    gated = [
        line
        for line in gated
        if line is not None
        and abs(line.mean["relative_macs"] - target) <= TOLERANCE
        and (sparse or not line.theoretical)
    ]
    if narrow is None or not gated:
        return None
    return narrow, chosen(gated)


def _gain(compared, star=True):
    narrow, best = compared
    gain = 100 * (best.mean["accuracy"] - narrow.mean["accuracy"])
    return f"{gain:+.2f}" + (_star(best) if star else "")


def _star(line):
    return " *" if line.theoretical else ""


def _won_back(full, narrow, gated):
    """Say what share of the cost of narrowing gates win back, and whether that is enough.

    Enough is half where narrowing costs more than one standard deviation of the full or the narrow
    network, the larger of the two; elsewhere, not to be below the narrow network by more than that.
    """
    cost = full.mean["accuracy"] - narrow.mean["accuracy"]
    gain = gated.mean["accuracy"] - narrow.mean["accuracy"]
    deviation = max(narrow.deviation["accuracy"], full.deviation["accuracy"])
    if cost > deviation:
        return f"{gain / cost:.0%}", gain >= cost / 2
    return "free", gain >= -deviation


def conditions():
    """Say how each data set's comparison was made: networks, recipe, versions, time."""
    rows = []
    for name in TASKS:
        content = json.loads((RESULTS / f"{name}.json").read_text())
        recipe, runs, data = content["task"]["recipe"], content["runs"], content["data"]
        seeds = {run["seed"] for run in runs}
        made = ", ".join(f"{key} {version}" for key, version in content["versions"].items())
        rows.append(
            [
                name,
                f"{data['train']:,}",
                f"{data['test']:,}",
                "-".join(map(str, content["task"]["hidden"])),
                str(recipe["epochs"]),
                f"{recipe['peak_learning_rate']:g}",
                str(len(seeds)),
                str(len(runs)),
                f"{sum(run['seconds'] for run in runs) / len(seeds) / 60:.0f}",
                f"{made}, {content['machine']}",
            ]
        )
    samples = ["data set", "training samples", "test samples"]
    recipe = ["hidden units", "epochs", "peak learning rate"]
    return markdown([*samples, *recipe, "seeds", "runs", "minutes a seed", "made with"], rows)


def commands():
    """Give the command that makes each data set's comparison."""
    lines = []
    for name in TASKS:
        runs = json.loads((RESULTS / f"{name}.json").read_text())["runs"]
        models = sorted({run["model"] for run in runs}, key=place)
        seeds = len({run["seed"] for run in runs})
        lines += [
            f"keras-dynamicgate compare {name} --data-dir data/{name} --seeds {seeds} \\",
            f"    --models {','.join(models)}",
        ]
    return "```\n" + "\n".join(lines) + "\n```"


def results(task):
    """Lay out all models of a task."""
    return markdown_table(load(task))


def signatures(task):
    """Lay out the signs of conditional computation, averaged over the seeds."""
    groups: dict = {}
    for run in json.loads((RESULTS / f"{task}.json").read_text())["runs"]:
        if run["signatures"]:
            groups.setdefault((run["model"], run["target"]), []).append(run["signatures"])
    names = list(next(iter(groups.values()))[0])
    rows = []
    for model, target in sorted(groups, key=lambda key: (-key[1], place(key[0]))):
        means = [np.mean([each[name] for each in groups[model, target]]) for name in names]
        rows.append([model, f"{target:g}", *(f"{mean:.3f}" for mean in means)])
    return markdown(["model", "budget", *(name.replace("_", " ") for name in names)], rows)


def genes():
    """List the genes that the smallest static gates leave open, seed 0."""
    runs = json.loads((RESULTS / "pbmc3k.json").read_text())["runs"]
    run = next(r for r in runs if (r["model"], r["target"], r["seed"]) == ("static", 0.05, 0))
    names = sorted(run["open_features"])
    summary = f"<summary>{len(names)} of 2,000 genes</summary>"
    return f"<details>{summary}\n{', '.join(names)}.\n</details>"


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
