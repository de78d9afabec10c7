"""What a comparison leaves in its folder: results as JSON and CSV, a table and pictures."""

import csv
import json

from rich.console import Console

from keras_dynamicgate import pictures
from keras_dynamicgate.experiments import figures
from keras_dynamicgate.experiments.tables import markdown_table, note, summarise, terminal_table

COLUMNS = (
    "model",
    "target",
    "seed",
    "accuracy",
    "macro_f1",
    "relative_macs",
    "relative_without_gates",
    "theoretical",
    "open_ratio",
    "dense_macs",
    "executed_macs",
    "gate_macs",
    "parameters",
    "seconds",
    "settings",
)


def write(store):
    """Write the outputs of all finished runs and print the table.

    Args:
        store: The `RunStore`.

    Returns:
        List of dicts, the results of the runs.
    """
    runs = store.results()
    write_results(store.folder / "results.json", store.conditions, runs)
    with open(store.folder / "results.csv", "w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        rows.writeheader()
        rows.writerows({**run, "settings": json.dumps(run["settings"])} for run in runs)
    summary = summarise(runs)
    (store.folder / "results.md").write_text(markdown_table(summary) + "\n")
    if pictures.available():
        pictures.save(figures.plot_pareto(summary), store.folder / "pareto.png")
        pictures.save(figures.plot_usage(runs), store.folder / "usage.png")
    console = Console()
    console.print(terminal_table(summary), note(summary), highlight=False)
    written = sorted(path.name for path in store.folder.iterdir() if path.is_file())
    console.print(f"Written to {store.folder}: {', '.join(written)}", highlight=False)
    return runs


def write_results(path, conditions, runs):
    """Write conditions and results as JSON with one run on each line."""
    lines = ",\n".join(json.dumps(run) for run in runs)
    head = json.dumps(conditions, indent=1).removesuffix("\n}")
    path.write_text(f'{head},\n "runs": [\n{lines}\n]}}\n')
