"""The tables of `tables.py` about one model at many budgets, beside models trained for each."""

import json
import pathlib

import comparison_tables
import numpy as np
from plasticity_tables import json_lines

from keras_dynamicgate.experiments.tables import markdown

RESULTS = pathlib.Path(__file__).parent / "results"
GATES = ("static", "dynamic")
BUDGETS = comparison_tables.BUDGETS


def elastic():
    """Lay out how far one model at each budget is from the models trained for it alone."""
    rows = []
    for task in comparison_tables.TASKS:
        if not (RESULTS / f"elastic-{task}.json").exists():
            continue
        for gates in GATES:
            one = {
                target: _runs(f"elastic-{task}", f"elastic_{gates}", target) for target in BUDGETS
            }
            if not all(one.values()):
                continue
            alone = {target: _runs(task, gates, target) for target in BUDGETS}
            narrow = {target: _runs(task, "narrow", target) for target in BUDGETS}
            rows.append(
                [
                    task,
                    gates,
                    str(len(one[BUDGETS[0]])),
                    *(_difference(one[target], alone[target]) for target in BUDGETS),
                    f"{max(_miss(runs, target) for target, runs in one.items()):.3f}",
                    f"{min(_between(one)):+.1f}",
                    "yes" if all(run["monotone"] for run in one[BUDGETS[0]]) else "no",
                    _below_narrow(one, alone, narrow),
                ]
            )
    heads = ["data set", "gates", "seeds", *(f"at {target:g}" for target in BUDGETS)]
    heads += ["furthest from a budget", "halfway, least", "monotone", "below narrow at"]
    return markdown(heads, rows)


def budget_switch():
    """Lay out what it takes to go to another budget."""
    rows = []
    for run in json_lines("budget_switch.jsonl"):
        rows.append(
            [
                run["backend"],
                f"{run['set_budget_ms']:.1f} ms",
                f"{run['engine_weights']:.2f}",
                f"{run['budget_of_a_call_us']:.1f} us",
            ]
        )
    heads = ["backend", "`set_budget`", "engine's weights, times those for one budget"]
    return markdown([*heads, "another budget in a call of the engine"], rows)


def _runs(name, model, target):
    runs = json.loads((RESULTS / f"{name}.json").read_text())["runs"]
    return [run for run in runs if (run["model"], run["target"]) == (model, target)]


def _accuracy(runs):
    return 100 * np.mean([run["accuracy"] for run in runs])


def _difference(one, alone):
    """Say by how many points one model is above those trained alone, with the same seeds."""
    seeds = {run["seed"] for run in one}
    same = [run for run in alone if run["seed"] in seeds]
    return f"{_accuracy(one) - _accuracy(same):+.2f}"


def _miss(runs, target):
    return max(abs(run["relative_macs"] - target) for run in runs)


def _between(one):
    """Give by how many points a model halfway between two budgets is above the line of these.

    The line is one of accuracy over the logarithm of what the model costs.
    """
    for target, smaller in zip(BUDGETS[:-1], BUDGETS[1:], strict=True):
        ends = [one[smaller], one[target]]
        costs = [np.log(np.mean([run["relative_macs"] for run in runs])) for runs in ends]
        halfway = [run["between"] for run in one[target]]
        cost = np.log(np.mean([each["relative_macs"] for each in halfway]))
        yield _accuracy(halfway) - np.interp(cost, costs, [_accuracy(runs) for runs in ends])


def _below_narrow(one, alone, narrow):
    """Name the budgets at which one model is below narrow, but the model trained alone is not."""
    found = [
        f"{target:g}"
        for target in BUDGETS
        if _accuracy(one[target]) < _accuracy(narrow[target]) <= _accuracy(alone[target])
    ]
    return ", ".join(found) or "none"
