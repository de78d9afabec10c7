"""MNIST on a budget: a dense network, the same network gated, and a narrow one for comparison.

    python examples/mnist.py --target-macs 0.3

Static gates choose the pixels that matter at all, and low-rank gates decide for each image which
blocks of hidden units run. The budget is one number; nothing else has to be tuned.
"""

import argparse
import os

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument(
    "--data-dir", help="folder with the four original idx files; without it they are downloaded"
)
parser.add_argument(
    "--backend",
    choices=("tensorflow", "jax", "torch"),
    default=os.environ.get("KERAS_BACKEND", "tensorflow"),
    help="Keras backend (default: $KERAS_BACKEND or tensorflow)",
)
parser.add_argument(
    "--target-macs", type=float, default=0.3, help="budget of relative MACs (default: 0.3)"
)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", default="runs/mnist", help="folder for results and pictures")
options = parser.parse_args()
os.environ["KERAS_BACKEND"] = options.backend

import keras

import keras_dynamicgate as kdg
from keras_dynamicgate import datasets, experiments

WIDTH = 256


def build(width, gated):
    """Build 784-width-10; dropout in proportion to the width, since narrow networks need less."""
    inputs = keras.Input((28, 28))
    x = keras.layers.Flatten()(inputs)
    if gated:
        x = kdg.DynamicGate(name="pixels")(x)
        x = kdg.DynamicGateDense(width, activation="relu", name="hidden")(x)
    else:
        x = keras.layers.Dense(width, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.2 * width / WIDTH)(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="classes")(x))


experiments.compare(
    build,
    datasets.mnist(options.data_dir, validation_fraction=1 / 12),
    experiments.Recipe(epochs=options.epochs, seed=options.seed),
    target_macs=options.target_macs,
    width=WIDTH,
    out=options.out,
)
