"""How fast trained models answer one input: the engine against dense networks in real libraries.

    python benchmarks/trained_models.py --data-dir folder   # with mnist, cifar10, speech_commands

Trains on each data set, by the recipe of the comparison, the full network, one with input-dependent
gates at 30 % relative MACs, and narrow ones. Then the engine on the gated one and the fastest
library on the full network, on the narrow one of the same MACs and on the smallest narrow one that
is at least as accurate as the gated one run interleaved on single inputs.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from dense_paths import dense_paths, weights_of
from kept_models import trained
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments
from keras_dynamicgate.latency.timing import measure

TASKS = ("mnist", "cifar10", "speech_commands")
BUDGET = 0.3
NARROW = (0.15, 0.3, 0.5, 0.75)


def dense_weights(task, model):
    """Give the kernels and biases of a dense network, the rescaling of its input folded in."""
    weights = weights_of(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    kernel, bias = weights[0]
    shift = -task.mean * task.scale
    weights[0] = (kernel * np.float32(task.scale), bias + np.float32(shift) * kernel.sum(axis=0))
    return weights


def library_calls(kind, task, model, threads):
    """Give functions that run a dense network on one sample, by what it is and the library."""

    def flat(run):
        return lambda x: run(x.reshape(1, -1))

    paths = dense_paths(dense_weights(task, model), threads=threads)
    return {(kind, library): flat(run) for library, run in paths.items()}


def compare(name, options):
    """Train and measure on one data set; give a row of the table."""
    task = experiments.TASKS[name]
    dataset = task.dataset(options.data_dir / name)
    x, y = dataset.test[:]
    folder = options.out / name

    def prepared(family, budget=None):
        model = trained(task, dataset, family, budget, folder)
        right = model.predict(x, batch_size=512, verbose=0).argmax(axis=1) == y
        return model, float(np.mean(right))

    gated, gated_accuracy = prepared("dynamic", BUDGET)
    full, full_accuracy = prepared("dropout")
    narrow = {budget: prepared("narrow", budget) for budget in NARROW}
    equal = next((b for b in NARROW if narrow[b][1] >= gated_accuracy), 1.0)
    dense = {"full": full, "narrow": narrow[BUDGET][0], "equal": narrow.get(equal, (full,))[0]}
    calls = {"engine": kdg.InferenceEngine(gated, threads=options.threads).predict}
    for kind, model in dense.items():
        calls |= library_calls(kind, task, model, options.threads)
    times = measure(calls, [x[i : i + 1] for i in range(64)], options.seconds)
    medians = {call: 1e6 * float(np.median(each)) for call, each in times.items()}
    return {
        "task": name,
        "relative_macs": kdg.count_macs(gated, x).relative,
        "accuracy": {
            "full": full_accuracy,
            "gated": gated_accuracy,
            "narrow": narrow[BUDGET][1],
        },
        "equal_budget": equal,
        "microseconds": {
            "engine": medians.pop("engine"),
            **{kind: min(t for call, t in medians.items() if call[0] == kind) for kind in dense},
        },
    }


def cells(row):
    """Write a row of the table."""
    times = row["microseconds"]
    engine = times["engine"]
    return (
        row["task"],
        f"{row['relative_macs']:.3f}",
        " / ".join(f"{accuracy:.2%}" for accuracy in row["accuracy"].values()),
        *(f"{time:.1f}" for time in times.values()),
        f"{row['equal_budget']:g}",
        *(f"{time / engine:.2f}" for kind, time in times.items() if kind != "engine"),
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default="runs/trained_models")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=20.0, help="for each data set")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here, too")
    options = parser.parse_args()
    table = Table(title=f"One input, {options.threads} threads, medians in microseconds")
    for head in (
        "data",
        "relative MACs",
        "accuracy full / gated / narrow",
        "engine",
        "full",
        "narrow",
        "as accurate",
        "its MACs",
        "full / engine",
        "narrow / engine",
        "as accurate / engine",
    ):
        table.add_column(head)
    rows = []
    for name in TASKS:
        rows.append(compare(name, options))
        print(*cells(rows[-1]), sep=" | ", flush=True)
        table.add_row(*cells(rows[-1]))
    Console(width=150).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
