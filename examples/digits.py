"""Handwritten digits on a budget: dense, gated and narrow networks in less than a minute.

    python examples/digits.py --target-macs 0.3

The 8x8 digits come with scikit-learn, so nothing is downloaded. Static gates choose the pixels
that matter at all, and low-rank gates decide for each image which blocks of hidden units run. The
budget is one number; nothing else has to be tuned.
"""

import argparse
import os

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data-dir", help="not used here: the digits are bundled with scikit-learn")
parser.add_argument(
    "--backend",
    choices=("tensorflow", "jax", "torch"),
    default=os.environ.get("KERAS_BACKEND", "tensorflow"),
    help="Keras backend (default: $KERAS_BACKEND or tensorflow)",
)
parser.add_argument(
    "--target-macs", type=float, default=0.3, help="budget of relative MACs (default: 0.3)"
)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", default="runs/digits", help="folder for results and pictures")
options = parser.parse_args()
os.environ["KERAS_BACKEND"] = options.backend

import keras

import keras_dynamicgate as kdg
from keras_dynamicgate import datasets, experiments

WIDTH = 256


def build(width, gated):
    """Build 64-width-10; dropout in proportion to the width, since narrow networks need less."""
    inputs = keras.Input((8, 8))
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
    datasets.digits(),
    experiments.Recipe(epochs=options.epochs, batch_size=32, seed=options.seed),
    target_macs=options.target_macs,
    width=WIDTH,
    out=options.out,
)
