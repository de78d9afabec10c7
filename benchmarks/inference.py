"""How fast the engine skips: against the fastest dense path of several libraries.

    KERAS_BACKEND=torch python benchmarks/inference.py

A feed-forward block 1024-4096-1024 in float32 with random weights, low-rank gates on blocks of 128
hidden units (their time is in the engine's) and `top_k` gates, so that exactly the share asked for
is open and each sample has a mask of its own. Dense paths are those of the libraries that are
installed; all run interleaved, and the ratio is that of the fastest of them to the engine.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from dense_paths import dense_paths, weights_of
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate.engine.engine import InferenceEngine
from keras_dynamicgate.latency.timing import measure

FEATURES, HIDDEN, BLOCK = 1024, 4096, 128
# Ratios to reach: open share -> batch size -> times the fastest dense path.
TARGETS = {
    0.25: {1: 3.0, 8: 1.5, 256: 2.5, 1024: 3.0},
    0.125: {1: 5.0, 8: 2.0, 256: 4.0, 1024: 5.0},
    1.0: {256: 1 / 1.15},
}


def gated_block(share):
    """Make the block with so large a share of its gates open."""
    gates = HIDDEN // BLOCK
    block = kdg.DynamicGateMLP(
        HIDDEN, FEATURES, block_size=BLOCK, top_k=round(share * gates), gate=kdg.LowRankGate(16)
    )
    return keras.Sequential([keras.Input((FEATURES,)), block])


def run(options):
    """Measure everything; give a list of rows."""
    random = np.random.default_rng(options.seed)
    keras.utils.set_random_seed(options.seed)
    models = {share: gated_block(share) for share in options.open}
    engines = {
        share: InferenceEngine(model, threads=options.threads) for share, model in models.items()
    }
    block = next(iter(models.values())).layers[0]
    dense = dense_paths(weights_of(block.dense_layers), threads=options.threads)
    rows = []
    for size in options.batch_sizes:
        batches = [random.normal(size=(size, FEATURES)).astype("float32") for _ in range(16)]
        check(dense, batches[0])
        runs = {**dense, **{share: engine.predict for share, engine in engines.items()}}
        times = measure(runs, batches, options.seconds)
        rows += [row(share, size, times, list(dense)) for share in options.open]
        rows[-1]["memory"] = engines[options.open[-1]].memory()
    return rows


def check(dense, batch):
    """Make sure that all dense paths compute the same."""
    expected = dense["numpy"](batch)
    for name, run in dense.items():
        difference = np.abs(np.asarray(run(batch)) - expected).max()
        if difference > 1e-3:
            raise RuntimeError(f"{name} differs from NumPy by {difference}")


def row(share, size, times, dense):
    """Compare the engine with the fastest dense path, by medians and by minima."""
    medians = {name: 1e3 * float(np.median(values)) for name, values in times.items()}
    minima = {name: 1e3 * float(np.min(values)) for name, values in times.items()}
    fastest = min(dense, key=medians.get)
    return {
        "open": share,
        "batch_size": size,
        "fastest_dense": fastest,
        "dense_ms": medians[fastest],
        "engine_ms": medians[share],
        "ratio": medians[fastest] / medians[share],
        "ratio_of_minima": min(minima[name] for name in dense) / minima[share],
        "target": TARGETS.get(share, {}).get(size),
        "all_dense_ms": {name: medians[name] for name in dense},
        "calls": len(times[share]),
    }


def table(rows, options):
    """Lay out the rows."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    title = f"Engine against the fastest dense path, {options.threads} thread(s), load {load:.1f}"
    result = Table(title=title, title_justify="left")
    for head in (
        "open",
        "batch",
        "fastest dense",
        "ms",
        "engine ms",
        "ratio",
        "ratio of minima",
        "target",
    ):
        result.add_column(head, justify="right")
    for each in rows:
        target = each["target"]
        reached = (
            ""
            if target is None
            else f"{target:.2f}" + ("" if each["ratio"] >= target else " missed")
        )
        result.add_row(
            f"{each['open']:.3f}",
            str(each["batch_size"]),
            each["fastest_dense"],
            f"{each['dense_ms']:.3f}",
            f"{each['engine_ms']:.3f}",
            f"{each['ratio']:.2f}",
            f"{each['ratio_of_minima']:.2f}",
            reached,
        )
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--open", type=float, nargs="+", default=[0.25, 0.125, 1.0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 64, 256, 1024])
    parser.add_argument("--seconds", type=float, default=8.0, help="for each batch size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here, too")
    options = parser.parse_args()
    rows = run(options)
    Console(width=110).print(table(rows, options))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
