"""What a comparison under drift writes to its folder: results, a table and pictures."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_dynamicgate.experiments.outputs import as_json
from keras_dynamicgate.experiments.store import RunStore
from keras_dynamicgate.experiments.tables import markdown
from keras_dynamicgate.experiments.under_drift.students import STUDENTS
from keras_dynamicgate.pictures.figure import available, new_figure, save
from keras_dynamicgate.utils.files import written_at_once
from keras_dynamicgate.utils.tables import as_text, make_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADS = ("mode", "drifted", "gained", "forgotten", "flips", "changed", "stream", "learns", "MACs")
NOTE = (
    "In percent, means over the seeds. Drifted: accuracy on test samples after the drift; gained: "
    "what the stream has added to it; forgotten: what it has taken from the accuracy on test "
    "samples of before whose answers stay right; flips: of these, that get another class; changed: "
    "reference samples whose answer differs in any bit; stream: accuracy of the answers before "
    "each batch is learned; learns: numbers among the weights that may move, and MACs: those of an "
    "update of one sample, both in thousands."
)
CURVES = {
    "stream": "answers to the stream",
    "drifted": "test samples after the drift",
    "kept": "test samples of before",
}


def write(store: RunStore, task: str, kind: str) -> list[dict[str, Any]]:
    """Write the results and the pictures of all finished runs and print the table.

    Args:
        store: The `RunStore`.
        task: Name of the task, for the titles.
        kind: Kind of drift, likewise.

    Returns:
        List of dicts, the results of the runs.
    """
    runs = store.results()
    rows = [*map(_row, by_mode(runs).items())]
    with written_at_once(store.folder / "results.json") as part:
        part.write_text(as_json(store.conditions, runs))
    with written_at_once(store.folder / "results.md") as part:
        part.write_text(f"{markdown(HEADS, rows)}\n")
    title = f"{task}, {kind}"
    if available():
        save(plot_curves(runs, title), store.folder / "curves.png")
        save(plot_balance(runs, title), store.folder / "gained_forgotten.png")
    print(as_text([make_table(title, HEADS, rows, texts=("mode",))], [NOTE]))
    files = sorted(path.name for path in store.folder.glob("[!.]*.*"))
    print(f"Written to {store.folder}: {', '.join(files)}")
    return runs


def by_mode(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sort runs by their mode, the modes in the order in which `STUDENTS` has them."""
    found = {mode: [run for run in runs if run["model"] == mode] for mode in STUDENTS}
    return {mode: mine for mode, mine in found.items() if mine}


def plot_curves(runs: list[dict[str, Any]], title: str) -> "Figure":
    """Draw the accuracies over the stream, means over the seeds.

    Args:
        runs: List of dicts as `drift` returns them.
        title: The title.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(11, 4)
    all_axes = figure.subplots(1, len(CURVES), sharey=True)
    for number, (mode, mine) in enumerate(by_mode(runs).items()):
        look = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}
        for axes, name in zip(all_axes, CURVES, strict=True):
            curve = 100 * np.mean([run["curves"][name] for run in mine], axis=0)
            learned = np.linspace(0, 100, len(curve) + 1)[1:]
            label = mode if axes is all_axes[0] else None
            axes.plot(learned, curve, linewidth=1.2, label=label, **look)
    for axes, text in zip(all_axes, CURVES.values(), strict=True):
        axes.set(xlabel="learned of the stream in %", title=text)
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("accuracy in %")
    figure.suptitle(title)
    figure.legend(loc="outside right upper")
    return figure


def plot_balance(runs: list[dict[str, Any]], title: str) -> "Figure":
    """Draw what each mode gains on data after the drift against what it forgets of before.

    Args:
        runs: List of dicts as `drift` returns them.
        title: The title.

    Returns:
        A matplotlib `Figure`.
    """
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    for number, (mode, mine) in enumerate(by_mode(runs).items()):
        forgotten, gained = ([100 * run[name] for run in mine] for name in ("forgotten", "gained"))
        marker = "os^Dv"[number % 5]
        axes.plot(forgotten, gained, marker, color=f"C{number % 10}", markersize=5, label=mode)
    axes.set(xlabel="forgotten in points", ylabel="gained in points", title=title)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure


def _row(entry: tuple[str, list[dict[str, Any]]]) -> list[str]:
    """Lay out the runs of a mode as a row of the table."""
    mode, runs = entry

    def percent(name: str) -> str:
        values = [100 * run[name] for run in runs]
        spread = f" ±{np.std(values, ddof=1):.1f}" if len(runs) > 1 else ""
        return f"{np.mean(values):.1f}{spread if name in ('gained', 'forgotten') else ''}"

    names = ("accuracy", "gained", "forgotten", "flips", "changed", "stream")
    thousands = (
        np.mean([run[name] for run in runs]) / 1000 for name in ("may_move", "update_macs")
    )
    return [mode, *map(percent, names), *(f"{number:.1f}" for number in thousands)]
