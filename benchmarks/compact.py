"""Is a compacted model as fast as a dense model that was built at its sizes?

Run with `KERAS_BACKEND=tensorflow|jax|torch python benchmarks/compact.py`. The models are timed in
turn within one run, and what counts are the ratios to the dense model at these sizes: that of the
compacted one, and beside it that of a second dense model, which shows how sure the first is. Each
of the three is there in several copies, of which all calls are taken together: where in memory the
weights of a single one happen to lie can make it a fifth slower.
"""

import argparse
import json
import pathlib
import statistics

import keras
import numpy as np
from keras import layers

import keras_dynamicgate as kdg
from keras_dynamicgate.compaction.compact import compact
from keras_dynamicgate.latency.backend_function import runner
from keras_dynamicgate.latency.timing import measure

INPUTS, HIDDEN, OUTPUTS = 1024, 4096, 1024
SHARES = (0.5, 0.25)
BATCH_SIZES = (1, 8, 256, 1024)
COPIES = 5


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


def rows(seconds):
    """Time the models for each share of open units and each batch size."""
    result = []
    for share in SHARES:
        runners = contenders(share)
        for size in BATCH_SIZES:
            x = np.random.default_rng(1).normal(size=(size, INPUTS)).astype("float32")
            times = measure(runners, [keras.ops.convert_to_tensor(x)], seconds)
            ms = {name: 1e3 * statistics.median(calls) for name, calls in joined(times).items()}
            result.append({"open": share, "batch_size": size, "milliseconds": ms})
    return result


def contenders(share):
    """Build what is timed: `(name, number of the copy) -> function`."""
    gated = gated_model(share)
    runners = {("full", 0): runner(dense_model(HIDDEN)), ("masked", 0): runner(gated)}
    for copy in range(COPIES):
        runners["compact", copy] = runner(compact(gated))
        runners["small", copy] = runner(dense_model(int(share * HIDDEN)))
        runners["again", copy] = runner(dense_model(int(share * HIDDEN)))
    return runners


def joined(times):
    """Take the calls of all copies of a model together: `name -> times`."""
    calls: dict = {}
    for (name, _), each in times.items():
        calls.setdefault(name, []).extend(each)
    return calls


def show(rows):
    """Print the rows as a table."""
    print(f"{INPUTS}-{HIDDEN}-{OUTPUTS}, {keras.backend.backend()}, float32, milliseconds")
    heads = ("full dense", "masked", "compact", "dense at size", "compact ratio", "dense ratio")
    print("open   batch" + "".join(f"{head:>16s}" for head in heads))
    for row in rows:
        ms = row["milliseconds"]
        shown = [ms[name] for name in ("full", "masked", "compact", "small")]
        shown += [ms[name] / ms["small"] for name in ("compact", "again")]
        cells = "".join(f"{each:16.3f}" for each in shown)
        print(f"{row['open']:4.2f} {row['batch_size']:7d}{cells}")


def main():
    """Measure, print, and add what this backend gave to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row of the table")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers here, too")
    options = parser.parse_args()
    measured = rows(options.seconds)
    show(measured)
    if options.json:
        # One file holds what all backends gave.
        kept = json.loads(options.json.read_text()) if options.json.exists() else {}
        kept[keras.backend.backend()] = measured
        options.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
