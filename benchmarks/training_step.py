"""Time what gates add to one training step and to one inference, as ratios to the plain model.

    python benchmarks/training_step.py                  # all installed backends, one after another
    python benchmarks/training_step.py --backend jax

Measured are a Dense layer and, where keras_hub is installed, the fine-tuning of a transformer with
four blocks of width 256 whose feed-forward layers `gate_model` has gated. Every repetition times
the plain and the gated model in turn, so that a machine whose speed drifts slows both; the ratio is
that of the medians.
"""

import argparse
import importlib.util
import statistics
import time

import each_backend

INPUTS, UNITS, BATCH = 1024, 4096, 256
SEQUENCES, TOKENS = 16, 64

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--repetitions", type=int, default=15)
parser.add_argument("--calls", type=int, default=4, help="calls in a repetition")
options = each_backend.parse(parser)

import keras
import numpy as np

import keras_dynamicgate as kdg


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
        f"{options.backend:10}  {name:24}  plain {plain_median * 1e3:7.2f} ms   "
        f"gated {gated_median * 1e3:7.2f} ms   "
        f"ratio {gated_median / plain_median:.3f} (limit {limit})",
        flush=True,
    )


def compare_layers():
    """Compare a Dense layer and a `DynamicGateDense` in training and at inference."""

    def compiled(layer):
        model = keras.Sequential([keras.Input((INPUTS,)), layer])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    x = np.random.default_rng(0).normal(size=(BATCH, INPUTS)).astype("float32")
    y = np.zeros((BATCH, UNITS), "float32")
    dense = compiled(keras.layers.Dense(UNITS, activation="relu"))
    gated = compiled(kdg.DynamicGateDense(UNITS, activation="relu"))
    compare(
        "Dense, training step",
        lambda: dense.train_on_batch(x, y),
        lambda: gated.train_on_batch(x, y),
        limit=1.15,
    )
    compare(
        "Dense, inference",
        lambda: dense.predict_on_batch(x),
        lambda: gated.predict_on_batch(x),
        limit=1.05,
    )


def compare_transformers():
    """Compare one step of fine-tuning a transformer and its gated copy."""
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=1000,
        num_layers=4,
        num_heads=4,
        hidden_dim=256,
        intermediate_dim=1024,
        max_sequence_length=TOKENS,
    )
    random = np.random.default_rng(0)
    x = {
        "token_ids": random.integers(0, 1000, (SEQUENCES, TOKENS)),
        "segment_ids": np.zeros((SEQUENCES, TOKENS), int),
        "padding_mask": np.ones((SEQUENCES, TOKENS), int),
    }
    y = random.integers(0, 2, SEQUENCES)

    def classifier(model):
        inputs = {name: keras.Input((TOKENS,), dtype="int32", name=name) for name in x}
        outputs = keras.layers.Dense(2)(model(inputs)["pooled_output"])
        result = keras.Model(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        result.compile(keras.optimizers.AdamW(1e-4), loss)
        return result

    gated = classifier(kdg.gate_model(backbone))
    plain = classifier(backbone)
    compare(
        "transformer, fine-tuning",
        lambda: plain.train_on_batch(x, y),
        lambda: gated.train_on_batch(x, y),
        limit=1.25,
    )


compare_layers()
if importlib.util.find_spec("keras_hub"):
    compare_transformers()
