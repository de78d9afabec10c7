"""Write the tables of README.md and of the pages in docs from the result files in docs/results.

python docs/tables.py           # rewrite the tables
python docs/tables.py --check   # exit with 1 if a table is not what the files say

The files are the `results.json` that `keras-dynamicgate compare` writes, by the name of the task,
and those that the benchmarks and `examples/gate_pretrained.py` write.
"""

import functools
import json
import pathlib
import re
import sys

import comparison_tables
import elastic_tables
import numpy as np
import plasticity_tables
import speed_tables
import time_tables

from keras_dynamicgate.experiments.tables import markdown

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in (
            "budget",
            "deploy",
            "index",
            "gate_model",
            "language_models",
            "plasticity",
            "results",
        )
    ),
]


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


TABLES = {
    "first": speed_tables.first,
    "engine": speed_tables.engine,
    "compact": speed_tables.compacted,
    "skip_experts": speed_tables.skip_experts,
    "governor": speed_tables.governor,
    "language_model": speed_tables.language_model,
    "trained_models": speed_tables.trained_models,
    "predicted-time": time_tables.predicted,
    "time-budget": time_tables.trained,
    "pretrained": pretrained,
    "drift": plasticity_tables.drift,
    "continual": plasticity_tables.continual,
    "elastic": elastic_tables.elastic,
    "budget_switch": elastic_tables.budget_switch,
    "streams": plasticity_tables.streams,
    "gains": comparison_tables.gains,
    "verdict": functools.partial(comparison_tables.verdict, ""),
    "verdict-distilled": functools.partial(comparison_tables.verdict, "_distilled"),
    "conditions": comparison_tables.conditions,
    "commands": comparison_tables.commands,
    "backends": comparison_tables.backends,
    "genes": comparison_tables.genes,
    "markers": comparison_tables.markers,
    **{
        f"results-{task}": functools.partial(comparison_tables.results, task)
        for task in comparison_tables.TASKS
    },
    **{
        f"signatures-{task}": functools.partial(comparison_tables.signatures, task)
        for task in comparison_tables.TASKS
    },
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
