"""What `execution="skip"` saves in Keras: dense, masked and skipping execution side by side.

    python benchmarks/skip_execution.py                    # all installed backends in turn
    python benchmarks/skip_execution.py --backend jax --block 32

A feed-forward block 1024-4096-1024 in float32 with low-rank gates (their time counts) and `top_k`,
so that exactly the share asked for is open and each sample has a mask of its own. All three are
`predict_on_batch` of models with the same weights, run in turn; the ratios are those of the minima,
because other work on the machine only ever adds time.
"""

import argparse
import os
import time

import each_backend
import json_lines

FEATURES, HIDDEN = 1024, 4096

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 64])
parser.add_argument("--open", type=float, nargs="+", default=[0.25, 0.125])
parser.add_argument("--block", type=int, default=128)
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--calls", type=int, default=5, help="calls in a round")
parser.add_argument("--json", metavar="FILE", help="append the numbers here, a line for each")
options = each_backend.parse(parser)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_dynamicgate as kdg


def model(weights=None, **arguments):
    """Make the block, with given weights as far as it has them."""
    block = kdg.DynamicGateMLP(HIDDEN, FEATURES, block_size=options.block, **arguments)
    result = keras.Sequential([keras.Input((FEATURES,)), block])
    if weights is not None:
        result.set_weights(weights[: len(result.weights)])
    return result


def least_times(contenders, batches):
    """Give the least time of each contender, in seconds, over interleaved rounds."""
    times = dict.fromkeys(contenders, float("inf"))
    for round_ in range(options.rounds):
        for name, contender in contenders.items():
            contender.predict_on_batch(batches[round_ % len(batches)])
            for call in range(options.calls):
                batch = batches[(round_ * options.calls + call) % len(batches)]
                begin = time.perf_counter()
                contender.predict_on_batch(batch)
                times[name] = min(times[name], time.perf_counter() - begin)
    return times


def measure(share, size):
    """Compare the three at one open share and one batch size."""
    keras.utils.set_random_seed(0)
    top_k = round(share * HIDDEN / options.block)
    masked = model(top_k=top_k, gate=kdg.LowRankGate(16))
    skip = model(masked.get_weights(), top_k=top_k, gate=kdg.LowRankGate(16), execution="skip")
    dense = model(masked.get_weights(), gate=None)
    random = np.random.default_rng(0)
    batches = [random.normal(size=(size, FEATURES)).astype("float32") for _ in range(16)]
    difference = np.abs(skip.predict_on_batch(batches[0]) - masked.predict_on_batch(batches[0]))
    if difference.max() > 1e-5:
        raise RuntimeError(f"skipping differs from masked execution by {difference.max()}")
    times = least_times({"dense": dense, "masked": masked, "skip": skip}, batches)
    return {
        "backend": options.backend,
        "block": options.block,
        "open": share,
        "batch_size": size,
        **{f"{name}_ms": 1e3 * seconds for name, seconds in times.items()},
        "dense_to_skip": times["dense"] / times["skip"],
        "masked_to_skip": times["masked"] / times["skip"],
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


for open_share in options.open:
    for batch_size in options.batch_sizes:
        row = measure(open_share, batch_size)
        print(
            "{backend:10}  block {block:3}  open {open:5.3f}  batch {batch_size:4}  "
            "dense {dense_ms:8.3f} ms  masked {masked_ms:8.3f} ms  skip {skip_ms:8.3f} ms  "
            "dense/skip {dense_to_skip:5.2f}  masked/skip {masked_to_skip:5.2f}  "
            "load {load:.1f}".format(**row),
            flush=True,
        )
        json_lines.append(options.json, row)
