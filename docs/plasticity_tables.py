"""The tables of `tables.py` about learning while serving: drift, continual learning, streams."""

import json
import pathlib

import numpy as np

from keras_dynamicgate.experiments.tables import markdown
from keras_dynamicgate.experiments.under_drift.outputs import by_mode

RESULTS = pathlib.Path(__file__).parent / "results"
KINDS = ("noise", "rotation", "labels")
WAYS = {"permuted": "permuted, 10 tasks", "split": "split, 5 tasks, told apart among 10 classes"}


def drift():
    """Lay out what each mode gains and forgets under each kind of drift."""
    runs = {
        kind: json.loads((RESULTS / f"drift-mnist-{kind}.json").read_text())["runs"]
        for kind in KINDS
    }
    rows = []
    for mode, first in by_mode(runs[KINDS[0]]).items():
        row = [f"`{mode}`", f"{np.mean([run['may_move'] for run in first]):,.0f}"]
        for kind in KINDS:
            mine = [run for run in runs[kind] if run["model"] == mode]
            row += [_points(mine, "gained"), _points(mine, "forgotten")] if mine else ["", ""]
        changed = [run["changed"] for kind in KINDS for run in runs[kind] if run["model"] == mode]
        rows.append([*row, f"{100 * max(changed):.0f} %"])
    heads = ["mode", "learns"]
    heads += [f"{kind}, {what}" for kind in KINDS for what in ("gained", "forgotten")]
    return markdown([*heads, "reference changed"], rows)


def continual():
    """Lay out what a network keeps that grows into one task after the other."""
    runs = json_lines("continual.jsonl")
    rows = []
    for scenario, name in WAYS.items():
        mine = [run for run in runs if run["scenario"] == scenario]
        for tau, replay in dict.fromkeys((run["tau"], run["replay"]) for run in mine):
            same = [run for run in mine if (run["tau"], run["replay"]) == (tau, replay)]
            measures = ("validation", "average_accuracy", "forgetting", "task_incremental")
            spread = [100 * np.mean([run[measure] for run in same]) for measure in measures]
            row = [name, f"{tau:g}", str(replay), str(len(same))]
            rows.append([*row, *(f"{value:.1f} %" for value in spread)])
    heads = ["tasks", "tau", "replay a task", "seeds", "validation", "test", "forgetting"]
    return markdown([*heads, "test, task known"], rows)


def streams():
    """Lay out the accuracies of trees and networks on streams."""
    runs = json_lines("streams.jsonl")
    names = list(dict.fromkeys(run["stream"] for run in runs))
    rows = []
    for model in dict.fromkeys(run["model"] for run in runs):
        row = [model]
        for name in names:
            mine = [run for run in runs if (run["stream"], run["model"]) == (name, model)]
            row += [
                f"{100 * np.mean([run[what] for run in mine]):.1f} %"
                for what in ("accuracy", "at_the_end")
            ]
        rows.append(row)
    heads = [f"{name}{what}" for name in names for what in ("", ", at the end")]
    return markdown(["model", *heads], rows)


def json_lines(name):
    """Read the rows of a result file with one on each line."""
    return [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]


def _points(runs, measure):
    values = [100 * run[measure] for run in runs]
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"
