"""The tables of `tables.py` on predicted time and on budgets of time."""

import json
import pathlib

import numpy as np

from keras_dynamicgate.experiments.tables import markdown

RESULT = pathlib.Path(__file__).parent / "results" / "time_budget.json"


def predicted():
    """Lay out how far predicted times are from measured ones, for each network and runtime."""
    rows = []
    for run in json.loads(RESULT.read_text())["predicted"]:
        ratios = np.array([each["predicted"] / each["measured"] for each in run["unseen"]])
        off = abs(ratios - 1.0)
        rows.append(
            [
                run["network"],
                f'`"{run["runtime"]}"`',
                str(len(ratios)),
                _percent(run["error_of_table"]),
                _percent(np.median(off)),
                _percent(np.max(off)),
            ]
        )
    heads = ["network", "runtime", "unseen", "table's own error", "off, median", "off, most"]
    return markdown(heads, rows)


def trained():
    """Lay out accuracy at equal measured time: `TimeBudget` beside `MacBudget`."""
    runs = json.loads(RESULT.read_text())["trained"]
    rows = []
    for task in dict.fromkeys(run["task"] for run in runs):
        mine = [run for run in runs if run["task"] == task]
        for run in (run for run in mine if run["kind"] == "time"):
            others = [
                each for each in mine if each["kind"] == "macs" and each["seed"] == run["seed"]
            ]
            others.sort(key=lambda each: each["measured"])
            at = [each["measured"] for each in others]
            equal = np.interp(run["measured"], at, [each["test_accuracy"] for each in others])
            rows.append(
                [
                    task,
                    f"{run['budget']:g}",
                    f"{run['predicted'] / run['predicted_full']:.3f}",
                    f"{run['measured']:.4f}",
                    f"{run['relative_macs']:.3f}",
                    _percent(run["test_accuracy"]),
                    _percent(equal),
                ]
            )
    heads = ["data set", "budget", "predicted", "measured, ms", "relative MACs"]
    return markdown([*heads, "accuracy, `TimeBudget`", "`MacBudget` at equal time"], rows)


def _percent(share):
    return f"{100 * share:.1f} %"
