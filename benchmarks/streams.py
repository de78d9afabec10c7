"""Streams with drift, each sample answered before it is learned: Hoeffding trees and networks.

    pip install river
    python benchmarks/streams.py --backend jax --json FILE

`river` draws the streams, SEA with two sudden drifts and LED with features that change places, and
has the trees. Networks learn in batches of 32, trees sample by sample. The first 2,000 samples
train the networks and grow the trees, and are not counted.
"""

import argparse
import json
import time

import each_backend
import json_lines

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--samples", type=int, default=20000, help="after the first 2,000")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--json", metavar="FILE", help="append the numbers here, a line for each run")
options = each_backend.parse(parser)

import keras
import numpy as np
from river import datasets, tree

import keras_dynamicgate as kdg
from keras_dynamicgate import plasticity

FIRST = 2000
BATCH = 32
EPOCHS = 10


def sea(seed):
    """Two classes whose boundary moves twice."""
    third = (FIRST + options.samples) // 3
    return sum(
        (list(datasets.synth.SEA(v, seed=seed, noise=0.1).take(third)) for v in (0, 2, 3)), []
    )


def led(seed):
    """Ten digits of seven segments, one of ten wrong, seven of which move to other places."""
    half = (FIRST + options.samples) // 2
    still = datasets.synth.LED(seed=seed, noise_percentage=0.1, irrelevant_features=True)
    moved = datasets.synth.LEDDrift(
        seed=seed, noise_percentage=0.1, irrelevant_features=True, n_drift_features=7
    )
    return [*still.take(half), *moved.take(half)]


STREAMS = {"sea": sea, "led": led}
TREES = {
    "Hoeffding tree": tree.HoeffdingTreeClassifier,
    "adaptive Hoeffding tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=0),
}
NETWORKS = {  # gates, update mode
    "dense, none": (False, "none"),
    "dense, all": (False, "all"),
    "gated, none": (True, "none"),
    "gated, both": (True, "both"),
    "gated, all": (True, "all"),
}


def follow(answer, learn, x, y):
    """Answer and learn batch by batch; give the accuracy of all answers and the faded one."""
    counted, faded = plasticity.FadingAccuracy(1.0), plasticity.FadingAccuracy(0.999)
    for start in range(0, len(x), BATCH):
        rows = slice(start, start + BATCH)
        answers = answer(x[rows])
        counted.update(answers, y[rows])
        faded.update(answers, y[rows])
        learn(x[rows], y[rows])
    return {"accuracy": counted.accuracy, "at_the_end": faded.accuracy}


def grow(make, stream):
    """Let a tree answer and learn the samples one by one."""
    model, hits = make(), []
    for number, (x, y) in enumerate(stream):
        if number >= FIRST:
            hits.append(model.predict_one(x) == y)
        model.learn_one(x, y)
    faded = plasticity.FadingAccuracy(0.999)
    faded.update(np.array(hits, int), np.ones(len(hits), int))
    return {"accuracy": float(np.mean(hits)), "at_the_end": faded.accuracy}


def network(gated, x, y, seed):
    """Train a network on the first samples; of gated ones, half of the units is in reserve."""
    keras.utils.set_random_seed(seed)
    layer = (
        kdg.DynamicGateDense(64, "relu", gate="linear", block_size=8)
        if gated
        else keras.layers.Dense(64, "relu")
    )
    classes = int(y.max()) + 1
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, keras.layers.Dense(classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(plasticity.MaskedUpdate(keras.optimizers.Adam(1e-3)), loss)
    model.fit(x[:FIRST], y[:FIRST], batch_size=BATCH, epochs=EPOCHS, verbose=0)
    if gated:
        plasticity.reserve_units(model, x[:FIRST], 0.5)
    return model


def learn_online(gated, mode, stream, seed):
    """Let a network in an update mode answer and learn."""
    x = np.array([list(sample.values()) for sample, _ in stream], "float32")
    x = (x - x[:FIRST].mean(axis=0)) / x[:FIRST].std(axis=0)
    y = np.array([label for _, label in stream], "int32")
    learner = plasticity.OnlineLearner(network(gated, x, y, seed), mode, x[:FIRST])
    return follow(learner.predict, learner.learn, x[FIRST:], y[FIRST:])


def report(seconds, **result):
    result["seconds"] = seconds
    print(json.dumps(result), flush=True)
    json_lines.append(options.json, result)


def main():
    for seed in range(options.seeds):
        for stream_name, make in STREAMS.items():
            stream = make(seed)
            where = {"stream": stream_name, "seed": seed}
            for name, make_tree in TREES.items():
                start = time.perf_counter()
                found = grow(make_tree, stream)
                report(time.perf_counter() - start, **where, model=name, **found)
            for name, (gated, mode) in NETWORKS.items():
                start = time.perf_counter()
                found = learn_online(gated, mode, stream, seed)
                report(time.perf_counter() - start, **where, model=name, **found)


if __name__ == "__main__":
    main()
