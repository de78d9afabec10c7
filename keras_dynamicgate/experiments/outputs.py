"""What a comparison writes to its folder: results as JSON and CSV, a table and pictures."""

import csv
import json
from typing import Any

from rich.console import Console

from keras_dynamicgate.experiments import figures
from keras_dynamicgate.experiments.store import RunStore
from keras_dynamicgate.experiments.tables import markdown_table, note, summarise, terminal_table
from keras_dynamicgate.pictures.figure import available, save
from keras_dynamicgate.utils.files import written_at_once

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


def write_results(store: RunStore) -> list[dict[str, Any]]:
    """Write the results of all finished runs as JSON and CSV, and their means as a table.

    Each file is replaced in one step, so processes that share a folder may do this at any time.

    Args:
        store: The `RunStore`.

    Returns:
        List of dicts, the results of the runs.

    Raises:
        ValueError: If runs that differ only in their seed have different settings.
    """
    runs = store.results()
    with written_at_once(store.folder / "results.json") as part:
        part.write_text(as_json(store.conditions, runs))
    with written_at_once(store.folder / "results.csv") as part, open(part, "w", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        rows.writeheader()
        rows.writerows({**run, "settings": json.dumps(run["settings"])} for run in runs)
    table = markdown_table(summarise(runs))
    with written_at_once(store.folder / "results.md") as part:
        part.write_text(f"{table}\n")
    return runs


def write(store: RunStore) -> list[dict[str, Any]]:
    """Write the results and the pictures of all finished runs and print the table.

    Args:
        store: The `RunStore`.

    Returns:
        List of dicts, the results of the runs.
    """
    runs = write_results(store)
    summary = summarise(runs)
    if available():
        save(figures.plot_pareto(summary), store.folder / "pareto.png")
        if figures.gated_runs(runs):
            save(figures.plot_usage(runs), store.folder / "usage.png")
    console = Console()
    console.print(terminal_table(summary), note(summary), highlight=False)
    files = [path.name for path in store.folder.iterdir() if path.is_file()]
    # Files whose names begin with a dot are being written by another process.
    written = sorted(name for name in files if not name.startswith("."))
    console.print(f"Written to {store.folder}: {', '.join(written)}", highlight=False)
    return runs


def as_json(conditions: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """Give conditions and results as JSON, with one run on each line."""
    lines = ",\n".join(json.dumps(run) for run in runs)
    head = json.dumps(conditions, indent=1).removesuffix("\n}")
    return f'{head},\n "runs": [\n{lines}\n]}}\n'
