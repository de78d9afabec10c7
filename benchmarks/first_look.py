"""The table at the top of the README: accuracy, multiply-accumulates and milliseconds on CIFAR-10.

    python benchmarks/first_look.py --data-dir data/cifar10

Trains the full network, narrow ones and gated ones at two budgets by the recipe of the comparison
and times them in turn within one run: dense networks as compiled functions, static gates compacted,
input-dependent gates on the engine. Trained models are kept in the output folder, so that started
again the script only measures. The figures go to `docs/results/first.json`.
"""

import argparse
import json
import os
import pathlib
import platform

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from kept_models import trained

import keras_dynamicgate as kdg
from keras_dynamicgate import experiments
from keras_dynamicgate.latency.backend_function import runner
from keras_dynamicgate.latency.timing import measure

RESULTS = pathlib.Path(__file__).parents[1] / "docs" / "results" / "first.json"
BUDGETS = (0.15, 0.05)
MODELS = (("dropout", None), *((m, b) for b in BUDGETS for m in ("narrow", "static", "dynamic")))
BATCH_SIZES = (1, 256)


def fastest_way(model, family, threads):
    """Give a function of a batch that runs a model as it would be deployed, and its name."""
    if family == "static":
        return runner(kdg.compact(model)), "compact"
    if family == "dynamic":
        return kdg.InferenceEngine(model, threads=threads).predict, "engine"
    return runner(model), "dense"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="folder with the original data")
    parser.add_argument("--out", type=pathlib.Path, default="runs/first_look")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=20.0, help="for each batch size")
    parser.add_argument("--train-only", action="store_true")
    options = parser.parse_args()
    task = experiments.TASKS["cifar10"]
    dataset = task.dataset(options.data_dir)
    models = {
        (family, budget): trained(task, dataset, family, budget, options.out)
        for family, budget in MODELS
    }
    if options.train_only:
        return
    x, y = dataset.test[:]
    full = kdg.count_macs(models["dropout", None]).dense
    rows, calls = [], {}
    for (family, budget), model in models.items():
        calls[family, budget], way = fastest_way(model, family, options.threads)
        report = kdg.count_macs(model, x)
        right = model.predict(x, batch_size=512, verbose=0).argmax(axis=1) == y
        rows.append(
            {
                "model": family,
                "target": budget,
                "way": way,
                "accuracy": float(np.mean(right)),
                "open_ratio": report.open_ratio if family in ("static", "dynamic") else 1.0,
                "relative_macs": (report.executed + report.gates) / full,
                "milliseconds": {},
            }
        )
    for size in BATCH_SIZES:
        batches = [x[i * size : (i + 1) * size] for i in range(min(64, len(x) // size))]
        times = measure(calls, batches, options.seconds)
        for row in rows:
            median = float(np.median(times[row["model"], row["target"]]))
            row["milliseconds"][str(size)] = 1e3 * median
    result = {
        "task": "cifar10",
        "backend": keras.backend.backend(),
        "machine": platform.machine(),
        "threads": options.threads,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
