"""How fast trained models answer one input: the engine against dense networks in real libraries.

    python benchmarks/trained_models.py --data-dir folder   # with mnist, cifar10, speech_commands

Trains a network with one hidden layer on each data set, dense, gated to 30 % relative MACs and
narrowed to the same MACs. Then the engine on the gated one, and the fastest library on the full and
on the narrow dense one, run interleaved on single inputs.
"""

import argparse
import dataclasses
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from dense_paths import dense_paths
from rich.console import Console
from rich.table import Table

import keras_dynamicgate as kdg
from keras_dynamicgate import datasets, experiments
from keras_dynamicgate.inference.benchmark import measure

# Data set: hidden units, epochs, peak learning rate.
SETTINGS = {
    "mnist": (256, 10, 5e-3),
    "cifar10": (1024, 20, 2e-3),
    "speech_commands": (512, 30, 2e-3),
}


def flattened(dataset):
    """Give a data set with one axis of features, standardised by the training split."""
    mean, deviation = dataset.train.x.mean(), dataset.train.x.std()

    def convert(split):
        x = ((split.x - mean) / deviation).reshape(len(split), -1).astype("float32")
        return datasets.Split(x, split.y)

    parts = ("train", "validation", "test")
    return dataclasses.replace(dataset, **{part: convert(getattr(dataset, part)) for part in parts})


def train(dataset, width, full_width, recipe, budget=None):
    """Train a network with one hidden layer, gated if there is a budget."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input(dataset.train.x.shape[1:])]
    if budget is not None:
        layers += [kdg.DynamicGate(), kdg.DynamicGateDense(width, activation="relu")]
    else:
        layers += [keras.layers.Dense(width, activation="relu")]
    layers += [keras.layers.Dropout(0.2 * width / full_width)]
    model = keras.Sequential([*layers, keras.layers.Dense(dataset.num_classes)])
    callbacks = [] if budget is None else [kdg.MacBudget(budget)]
    recipe.train(model, dataset, callbacks, verbose=0)
    return model, model.evaluate(dataset.test.x, dataset.test.y, batch_size=512, verbose=0)[1]


def library_paths(model, threads):
    """Give the dense network in every library."""
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    weights = [keras.ops.convert_to_numpy(w) for layer in dense for w in (layer.kernel, layer.bias)]
    return dense_paths(*weights, threads=threads)


def compare(name, data_dir, options):
    """Train and measure on one data set; give a row of the table."""
    width, epochs, rate = SETTINGS[name]
    dataset = flattened(getattr(datasets, name)(data_dir / name))
    recipe = experiments.Recipe(epochs=epochs, peak_learning_rate=rate)
    gated, gated_accuracy = train(dataset, width, width, recipe, budget=0.3)
    report = kdg.count_macs(gated, dataset.test.x)
    full, full_accuracy = train(dataset, width, width, recipe)
    macs_of_a_unit = dataset.train.x.shape[1] + dataset.num_classes
    narrow_width = round((report.executed + report.gates) / macs_of_a_unit)
    narrow, narrow_accuracy = train(dataset, narrow_width, width, recipe)
    engine = kdg.InferenceEngine(gated, threads=options.threads)
    calls = {"engine": engine.predict}
    calls |= {f"full {k}": f for k, f in library_paths(full, options.threads).items()}
    calls |= {f"narrow {k}": f for k, f in library_paths(narrow, options.threads).items()}
    inputs = [dataset.test.x[i : i + 1] for i in range(64)]
    times = measure(calls, inputs, options.seconds)
    milliseconds = {name: float(np.median(each)) * 1e3 for name, each in times.items()}
    fastest = {
        kind: min((ms, k.split()[1]) for k, ms in milliseconds.items() if k.startswith(kind))
        for kind in ("full", "narrow")
    }
    return (
        name,
        f"{report.relative:.3f}",
        f"{full_accuracy:.2%} / {gated_accuracy:.2%} / {narrow_accuracy:.2%}",
        f"{milliseconds['engine'] * 1e3:.1f}",
        f"{fastest['full'][0] * 1e3:.1f} {fastest['full'][1]}",
        f"{fastest['narrow'][0] * 1e3:.1f} {fastest['narrow'][1]}",
        f"{fastest['full'][0] / milliseconds['engine']:.2f}",
        f"{fastest['narrow'][0] / milliseconds['engine']:.2f}",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    table = Table(title=f"One input, {options.threads} threads, microseconds, medians")
    heads = (
        "data",
        "relative MACs",
        "accuracy full / gated / narrow",
        "engine",
        "full dense",
        "narrow dense",
        "full / engine",
        "narrow / engine",
    )
    for head in heads:
        table.add_column(head)
    for name in SETTINGS:
        row = compare(name, options.data_dir, options)
        print(*row, sep=" | ", flush=True)
        table.add_row(*row)
    Console(width=130).print(table)
