"""Is a compacted model as fast as a dense model that was built at its sizes?

Run with `KERAS_BACKEND=tensorflow|jax|torch python benchmarks/compact.py`. The models are timed in
turn within one run, and what counts are the ratios to the dense model at these sizes: that of the
compacted one, and beside it that of a second dense model, which shows how sure the first is.
"""

import argparse
import statistics

import keras
import numpy as np
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.inference.benchmark import measure
from keras_dynamicgate.inference.compact import compact

INPUTS, HIDDEN, OUTPUTS = 1024, 4096, 1024


def dense_model(hidden):
    """Build a feed-forward block without gates."""
    return keras.Sequential(
        [keras.Input((INPUTS,)), layers.Dense(hidden, "relu"), layers.Dense(OUTPUTS)]
    )


def gated_model(share):
    """Build a feed-forward block of which a random share of the hidden units is open."""
    hidden = kdg.DynamicGateDense(HIDDEN, "relu", gate="static", block_size=1)
    model = keras.Sequential([keras.Input((INPUTS,)), hidden, layers.Dense(OUTPUTS)])
    is_open = np.random.default_rng(0).permutation(HIDDEN) < share * HIDDEN
    hidden.gate.network.scaled_bias.assign(is_open - 0.5)
    return model


def runner(model):
    """Make a compiled function that runs a model and waits for the result."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x: model(x, training=False))
    if backend == "jax":
        import jax

        weights = [weight.value for weight in model.trainable_variables]
        others = [weight.value for weight in model.non_trainable_variables]
        run = jax.jit(lambda x: model.stateless_call(weights, others, x, training=False)[0])
        return lambda x: run(x).block_until_ready()

    import torch

    def without_gradients(x):
        with torch.no_grad():
            return model(x, training=False)

    return without_gradients


def main():
    """Print a table of times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row of the table")
    options = parser.parse_args()
    heads = ("full dense", "masked", "compact", "dense at size", "compact ratio", "dense ratio")
    print(f"{INPUTS}-{HIDDEN}-{OUTPUTS}, {keras.backend.backend()}, float32, milliseconds")
    print("open   batch" + "".join(f"{head:>16s}" for head in heads))
    for share in (0.5, 0.25):
        gated = gated_model(share)
        runners = {
            "full": runner(dense_model(HIDDEN)),
            "masked": runner(gated),
            "compact": runner(compact(gated)),
            "small": runner(dense_model(int(share * HIDDEN))),
            "again": runner(dense_model(int(share * HIDDEN))),
        }
        for batch in (1, 8, 256, 1024):
            x = np.random.default_rng(1).normal(size=(batch, INPUTS)).astype("float32")
            times = measure(runners, [keras.ops.convert_to_tensor(x)], options.seconds)
            ms = {name: 1e3 * statistics.median(each) for name, each in times.items()}
            shown = [ms[name] for name in ("full", "masked", "compact", "small")]
            ratios = [ms[name] / ms["small"] for name in ("compact", "again")]
            print(f"{share:4.2f} {batch:7d}" + "".join(f"{each:16.3f}" for each in shown + ratios))


if __name__ == "__main__":
    main()
