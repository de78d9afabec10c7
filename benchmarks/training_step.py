"""Time gated against plain Dense layers: one training step and one inference, as ratios.

    python benchmarks/training_step.py                  # all installed backends, one after another
    python benchmarks/training_step.py --backend jax

Every repetition times the plain and the gated layer in turn, so that a machine whose speed drifts
slows both; the ratio is that of the medians.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
INPUTS, UNITS, BATCH = 1024, 4096, 256

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--backend", choices=BACKENDS)
parser.add_argument("--repetitions", type=int, default=15)
parser.add_argument("--calls", type=int, default=4, help="calls in a repetition")
options = parser.parse_args()

if options.backend is None:
    for name in BACKENDS:
        if importlib.util.find_spec(name):
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--backend", name], check=True)
    sys.exit()

os.environ["KERAS_BACKEND"] = options.backend

import keras
import numpy as np

import keras_dynamicgate as kdg


def model(layer):
    """Build and compile a model of one layer."""
    result = keras.Sequential([keras.Input((INPUTS,)), layer])
    result.compile(keras.optimizers.SGD(0.01), "mse")
    return result


def seconds(call):
    """Time a few calls."""
    start = time.perf_counter()
    for _ in range(options.calls):
        call()
    return (time.perf_counter() - start) / options.calls


def compare(name, plain, gated, limit):
    """Time two calls in turn and print the ratio of their medians."""
    for call in (plain, gated):
        seconds(call)
    pairs = [(seconds(plain), seconds(gated)) for _ in range(options.repetitions)]
    plain_median, gated_median = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"{options.backend:10}  {name:14}  Dense {plain_median * 1e3:7.2f} ms   "
        f"DynamicGateDense {gated_median * 1e3:7.2f} ms   "
        f"ratio {gated_median / plain_median:.3f} (limit {limit})",
        flush=True,
    )


x = np.random.default_rng(0).normal(size=(BATCH, INPUTS)).astype("float32")
y = np.zeros((BATCH, UNITS), "float32")
dense = model(keras.layers.Dense(UNITS, activation="relu"))
gated = model(kdg.DynamicGateDense(UNITS, activation="relu"))
compare(
    "training step",
    lambda: dense.train_on_batch(x, y),
    lambda: gated.train_on_batch(x, y),
    limit=1.15,
)
compare(
    "inference",
    lambda: dense.predict_on_batch(x),
    lambda: gated.predict_on_batch(x),
    limit=1.05,
)
