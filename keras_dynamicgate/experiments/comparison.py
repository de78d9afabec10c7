"""The comparison that counts: gated, dense, and dense made narrower to the same MACs."""

import json
import math
import pathlib

import keras
from rich.console import Console
from rich.table import Table

from keras_dynamicgate import pictures
from keras_dynamicgate.callbacks.gate_summary import GateSummary
from keras_dynamicgate.callbacks.mac_budget import MacBudget
from keras_dynamicgate.macs.report import count_macs

SUMMARY_SAMPLES = 2000


def compare(build, dataset, recipe, *, target_macs, width, out):
    """Train a dense, a narrow and a gated model by one recipe and write what came out.

    Args:
        build: Function `build(width, gated)` that gives a new model whose hidden layers are
            `width` units wide, or in proportion to it.
        dataset: A `keras_dynamicgate.datasets.Dataset`.
        recipe: The `Recipe` that all models are trained by.
        target_macs: Float, the budget of relative MACs of the gated model.
        width: Integer, the width of the dense and the gated model.
        out: Folder for `results.json`, `gates.png` and `history.png`.

    Returns:
        List of dicts with the results of `dense`, `dense_narrow` and `gated`.
    """
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    print(dataset)
    budget = MacBudget(target_macs)
    summary = GateSummary(dataset.validation[:SUMMARY_SAMPLES][0], verbose=0)

    console.rule("gated")
    gated, gated_run = _run("gated", build, width, True, dataset, recipe, [budget, summary])
    console.rule("dense")
    _, dense_run = _run("dense", build, width, False, dataset, recipe)
    narrow_width = width_for(build, gated_run["executed_macs"] + gated_run["gate_macs"], width)
    console.rule(f"dense_narrow, {narrow_width} units")
    _, narrow_run = _run("dense_narrow", build, narrow_width, False, dataset, recipe)
    reference = dense_run["dense_macs"]
    for name in ("relative_macs", "relative_without_gates"):
        narrow_run[name] = narrow_run["dense_macs"] / reference

    runs = [dense_run, narrow_run, gated_run]
    histories = {run["name"]: run.pop("history") for run in runs}
    reports = {run["name"]: run.pop("report") for run in runs}
    _write_json(out / "results.json", runs, dataset, recipe, target_macs)
    if pictures.available():
        _draw(out, gated, dataset, histories)
    console.print(results_table(runs))
    print(reports["gated"])
    print(f"Written to {out}: " + ", ".join(sorted(path.name for path in out.iterdir())))
    return runs


def _run(name, build, width, gated, dataset, recipe, callbacks=()):
    keras.utils.set_random_seed(recipe.seed)
    model = build(width, gated)
    history, seconds = recipe.train(model, dataset, callbacks)
    x_test, y_test = dataset.test[:]
    report = count_macs(model, x_test)
    return model, {
        "name": name,
        "accuracy": float(model.evaluate(x_test, y_test, batch_size=512, verbose=0)[1]),
        "dense_macs": report.dense,
        "executed_macs": report.executed,
        "gate_macs": report.gates,
        "relative_macs": report.relative,
        "relative_without_gates": report.relative_without_gates,
        "open_ratio": report.open_ratio,
        "seconds_per_epoch": seconds,
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "history": history.history,
        "report": report,
    }


def width_for(build, macs, widest):
    """Find the width at which an ungated model costs as close to `macs` as possible.

    Args:
        build: Function `build(width, gated)` that gives a model.
        macs: Multiply-accumulates per sample to spend.
        widest: Integer, the largest width to consider.

    Returns:
        The width, at least 1.
    """
    low, high = 1, widest
    while low < high:
        middle = (low + high + 1) // 2
        if count_macs(build(middle, False)).dense <= macs:
            low = middle
        else:
            high = middle - 1
    candidates = [low, min(low + 1, widest)]
    return min(candidates, key=lambda width: abs(count_macs(build(width, False)).dense - macs))


def results_table(runs):
    """Lay out results as a table for the terminal."""
    table = Table(title="Test split; MACs per sample", title_justify="left")
    table.add_column("model", no_wrap=True)
    for head in ("accuracy", "open", "executed", "gates", "relative", "s/epoch"):
        table.add_column(head, justify="right")
    for run in runs:
        table.add_row(
            run["name"],
            f"{run['accuracy']:.2%}",
            f"{run['open_ratio']:.3f}",
            f"{run['executed_macs']:,.0f}",
            f"{run['gate_macs']:,.0f}",
            f"{run['relative_macs']:.3f}",
            f"{run['seconds_per_epoch']:.1f}",
        )
    return table


def _write_json(path, runs, dataset, recipe, target_macs):
    content = {
        "dataset": dataset.name,
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "target_macs": target_macs,
        "epochs": recipe.epochs,
        "seed": recipe.seed,
        "models": runs,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _draw(out, gated, dataset, histories):
    x, y = dataset.test[:]
    figure = pictures.plot_gates(gated, x, y, dataset.class_names)
    pictures.save(figure, out / "gates.png")
    pictures.save(pictures.plot_histories(histories), out / "history.png")
